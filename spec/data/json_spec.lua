local n = require "spec.data.notation"

local function probe(commands)
   return n.probe("codec_probe", commands)
end

local function decode(text)
   return probe { "json " .. n.hex(text) }[1]
end

local function encode(value, indent)
   local line = probe { ("text %d %s"):format(indent or 0, n.show(value)) }[1]
   return line:match("^%x*$") and n.unhex(line) or line
end

describe("reading JSON", function()
   it("keeps 64-bit integers, and tells integers from floats", function()
      assert.are.equal(n.show { 1, 1.0, -0.0, 0, 9007199254740993, math.maxinteger, math.mininteger, 1e300, 0.1 },
         decode("[1, 1.0, -0.0, 0, 9007199254740993, 9223372036854775807, -9223372036854775808, 1e300, 0.1]"))
      assert.are.equal("d0x1.7d784p+26", decode("1E8"))
   end)

   it("takes any value at the top, with blanks around", function()
      assert.are.same({ "n", "t", "f", "i3", "s61", "[ ]", "{ }" },
         { decode(" null"), decode("true "), decode("\tfalse\n"), decode("3"), decode('"a"'),
            decode("[ ]"), decode("{}") })
   end)

   it("sorts the names of objects bytewise; of two equal names the last holds", function()
      assert.are.equal(n.show(n.map { { "", 0 }, { "B", 3 }, { "a", 4 }, { "aa", 2 }, { "é", 5 } }),
         decode('{"aa":2,"a":1,"B":3,"a":4,"é":5,"":0}'))
      local names = {}
      for i = 1, 200 do
         names[i] = ('"k%d":%d'):format(i * 7919 % 200, i)
      end
      local text = decode("{" .. table.concat(names, ",") .. "}")
      local last = ""
      for name in text:gmatch("s(%x+) i") do
         assert.is_true(last < name)
         last = name
      end
   end)

   it("understands escapes, surrogate pairs and NUL", function()
      assert.are.equal(n.show('"\\/\b\f\n\r\t\0é😀'), decode([["\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00"]]))
   end)

   it("says what is wrong with broken text, and where", function()
      for _, text in ipairs { "", "{", "[1,]", "{'a':1}", "nul", "01", "1 2", '"\xff"', '"\\ud800"', "[1", "NaN",
         "Infinity", "0x10", "+1", ".5", "1.", '"a\nb"', "9223372036854775808", "1e400",
         ("["):rep(101) .. ("]"):rep(101) } do
         assert.matches("^bad_record: ", decode(text))
      end
      assert.matches("column 5", decode("[1, x]"))
      assert.matches("deeper than 100", decode(("["):rep(101) .. ("]"):rep(101)))
      assert.are.equal(("[ "):rep(99) .. "[ ]" .. (" ]"):rep(99), decode(("["):rep(100) .. ("]"):rep(100)))
   end)
end)

describe("writing JSON", function()
   it("is compact, with names in order", function()
      assert.are.equal('{"a":[1,1.0,null,true,false],"b":{},"c":[],"d":"x"}',
         encode(n.map { { "a", { 1, 1.0, n.null, true, false } }, { "b", n.map {} }, { "c", {} }, { "d", "x" } }))
   end)

   it("can be indented", function()
      assert.are.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": {}\n}',
         encode(n.map { { "a", { 1, 2 } }, { "b", n.map {} } }, 2))
   end)

   it("escapes what it must", function()
      assert.are.equal([["\"\\\b\f\n\r\t\u0000\u0001\u001f/é😀]] .. '\127"', encode('"\\\b\f\n\r\t\0\1\31/é😀\127'))
   end)

   it("puts U+FFFD for each byte that is no UTF-8", function()
      local bad = "\u{FFFD}"
      for text, expected in pairs { ["a\xffb"] = "a" .. bad .. "b", ["\xc3"] = bad, ["\xc0\x80"] = bad .. bad,
         ["\xed\xa0\x80"] = bad:rep(3), ["\xf4\x90\x80\x80"] = bad:rep(4), ["\xe2\x82"] = bad .. bad,
         ["\xf0\x9f\x98\x80"] = "😀",
         ["\xe0\x9f\xbf"] = bad:rep(3), ["\xf0\x8f\xbf\xbf"] = bad:rep(4), ["\x80"] = bad, ["\xe2\x82\xac"] = "€" } do
         assert.are.equal('"' .. expected .. '"', encode(text))
      end
   end)

   it("turns keys that are no strings into their text", function()
      assert.are.equal('{"true":1,"7":2,"1.5":3,"a":4}',
         encode(n.map { { true, 1 }, { 7, 2 }, { 1.5, 3 }, { "a", 4 } }))
   end)

   it("has no NaN and no infinity", function()
      assert.are.equal("script_error: JSON cannot hold nan (not a number)", encode({ 0 / 0 }))
      assert.are.equal("script_error: JSON cannot hold an infinite number", encode(-math.huge))
   end)

   it("writes keys too", function()
      assert.are.equal('["a",1,[2.5,null]]', n.unhex(probe { "keytext " .. n.show { "a", 1, { 2.5, n.null } } }[1]))
   end)

   it("reads back as it was", function()
      math.randomseed(5)
      local function value(depth)
         local kind = math.random(depth > 0 and 7 or 5)
         if kind == 1 then
            return math.random(0)
         elseif kind == 2 then
            return math.random() * 10 ^ math.random(-20, 20)
         elseif kind == 3 then
            return ("é\0\n\"x"):rep(math.random(0, 2))
         elseif kind == 4 then
            return math.random(2) == 1
         elseif kind == 5 then
            return n.null
         end
         local items = {}
         for i = 1, math.random(0, 4) do
            items[i] = kind == 6 and value(depth - 1) or { "k" .. i, value(depth - 1) }
         end
         return kind == 6 and items or n.map(items)
      end
      local values, commands = {}, {}
      for i = 1, 1000 do
         values[i] = n.show(value(4))
         commands[i] = "text 0 " .. values[i]
      end
      local back = {}
      for i, hex in ipairs(probe(commands)) do
         back[i] = "json " .. hex
      end
      assert.are.same(values, probe(back))
   end)
end)
