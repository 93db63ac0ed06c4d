local n = require "spec.data.notation"

local function probe(commands)
   return n.probe("codec_probe", commands)
end

local function each(command, values)
   local commands = {}
   for i, v in ipairs(values) do
      commands[i] = command .. " " .. n.show(v)
   end
   return probe(commands)
end

local function prefixed(command, arguments)
   local commands = {}
   for i, argument in ipairs(arguments) do
      commands[i] = command .. " " .. argument
   end
   return probe(commands)
end

-- The numbers around which an encoding may go wrong.
local function edge_numbers()
   local list = { 0, 0.0, -0.0, 1, 1.0, -1, -1.0, 0.5, -0.5, math.huge, -math.huge, 5e-324, -5e-324,
      0x1p-1022, 0x1.fffffffffffffp+1023, -0x1.fffffffffffffp+1023, math.maxinteger, math.mininteger,
      0x1p63, -0x1p63, 0x1p64, -0x1p64, 0x1.fffffffffffffp62, -0x1.fffffffffffffp62, -0x1.0000000000001p63 }
   for _, bits in ipairs { 31, 32, 52, 53, 54, 55, 60, 61, 62 } do
      for _, off in ipairs { -3, -2, -1, 0, 1, 2, 3, 511, 512, 513, 1023, 1024, 1025 } do
         list[#list + 1] = (1 << bits) + off
         list[#list + 1] = -(1 << bits) + off
         list[#list + 1] = (1 << bits) + off + 0.0
         list[#list + 1] = -(1 << bits) + off + 0.0
      end
   end
   for off = 0, 5 do
      list[#list + 1] = math.maxinteger - off * 300
      list[#list + 1] = math.mininteger + off * 300
   end
   return list
end

local strings = { "", "\0", "\0\0", "\0\1", "\0\255", "\1", "\255", "\255\255", "a", "a\0", "a\0\1", "a\0\255",
   "a\1", "ab", "ab\0", "b", "aa", "\0a", "\255\0", "\255\1", "é", ("x"):rep(300) }

local function random_number()
   local kind = math.random(5)
   if kind == 1 then
      return math.random(-20, 20)
   elseif kind == 2 then
      return math.random(0)
   elseif kind == 3 then
      return math.random(-20, 20) / 4
   elseif kind == 4 then
      return math.random(0) >> math.random(0, 63)
   end
   local v = ("d"):unpack(("i8"):pack(math.random(0)))
   return v == v and v or 1.5
end

local function random_string()
   local bytes = {}
   for i = 1, math.random(0, 4) do
      bytes[i] = string.char(({ 0, 1, 97, 98, 255, math.random(0, 255) })[math.random(6)])
   end
   return table.concat(bytes)
end

local function random_value(depth)
   local kind = math.random(depth > 0 and 12 or 9)
   if kind <= 3 then
      return random_number()
   elseif kind <= 7 then
      return random_string()
   elseif kind == 8 then
      return math.random(2) == 1
   elseif kind == 9 then
      return n.null
   end
   local array = {}
   for i = 1, math.random(0, 3) do
      array[i] = random_value(depth - 1)
   end
   return array
end

local function sample(count)
   local list = edge_numbers()
   table.move(strings, 1, #strings, #list + 1, list)
   for _, s in ipairs(strings) do
      list[#list + 1] = { s }
      list[#list + 1] = { s, 1 }
   end
   for _, v in ipairs { n.null, true, false, {}, { {} }, { {}, {} }, { n.null }, { 1 }, { 1.0, 2 },
      { "a", { "b" } } } do
      list[#list + 1] = v
   end
   while #list < count do
      list[#list + 1] = random_value(3)
   end
   return list
end

local function sign(a, b)
   return a == b and 0 or a < b and -1 or 1
end

describe("keys", function()
   setup(function() math.randomseed(20) end)

   it("compare by their bytes as plain Lua compares the values", function()
      local values = sample(2500)
      local keys = each("key", values)
      assert.are.equal(#values, #keys)
      local function check(i, j)
         local expected = n.order(values[i], values[j])
         if sign(keys[i], keys[j]) ~= expected then
            error(("%s and %s: order %d, keys %s and %s"):format(n.show(values[i]), n.show(values[j]), expected,
               keys[i], keys[j]))
         end
      end
      for i = 1, 700 do
         for j = 1, 700 do
            check(i, j)
         end
      end
      for _ = 1, 100000 do
         check(math.random(#values), math.random(#values))
      end
   end)

   it("come back as they were, floats that are integers as integers", function()
      local values = sample(2000)
      local expected = {}
      for i, v in ipairs(values) do
         expected[i] = n.show(n.as_key(v))
      end
      assert.are.same(expected, prefixed("unkey", each("key", values)))
   end)

   it("have the bytes the header promises", function()
      assert.are.same({
         "20bff0000000000000", "20bff0000000000000", "208000000000000000", "208000000000000000",
         "20400fffffffffffff", "20c3400000000000000001", "20c3400000000000000000",
         "306100", "40306100ff000100", "4000", "08", "10", "11",
      }, each("key", { 1, 1.0, 0, -0.0, -1, (1 << 53) + 1, 0x1p53, "a\0", { "a\0" }, {}, n.null, false, true }))
   end)

   it("cannot be NaN, nor hold named fields, nor nest without end", function()
      local deep = ("[ "):rep(101) .. ("] "):rep(101)
      assert.are.same({
         "script_error: a key cannot be nan (not a number)",
         "script_error: a key cannot be nan (not a number)",
         "script_error: a key cannot be a table with named fields, only an array",
         "script_error: a key cannot be nested deeper than 100",
      }, probe { "key dnan", "key [ i1 dnan ]", "key { s61 i1 }", "key " .. deep })
      assert.are.equal(("40"):rep(100) .. ("00"):rep(100), probe { "key " .. ("[ "):rep(100) .. ("] "):rep(100) }[1])
   end)

   it("give their groups", function()
      local first, length, prefix = {}, {}, {}
      local arrays = {}
      for _ = 1, 500 do
         local array = {}
         for i = 1, math.random(1, 4) do
            array[i] = random_value(2)
         end
         arrays[#arrays + 1] = array
      end
      local keys = each("key", arrays)
      local expected_first, expected_prefix, expected_length = {}, {}, {}
      for i, array in ipairs(arrays) do
         first[i] = "first " .. keys[i]
         length[i] = "group 2 " .. keys[i]
         prefix[i] = "prefix 2 " .. keys[i]
         expected_first[i] = array[1]
         expected_prefix[i] = { array[1], array[2] }
      end
      expected_first = each("key", expected_first)
      expected_prefix = each("key", expected_prefix)
      for i, array in ipairs(arrays) do
         local bytes = #expected_prefix[i] // 2
         expected_length[i] = tostring(#array > 2 and bytes - 1 or bytes - (#array == 2 and 1 or 0))
      end
      assert.are.same(expected_first, probe(first))
      assert.are.same(expected_prefix, probe(prefix))
      assert.are.same(expected_length, probe(length))
   end)

   it("that are no arrays are groups by themselves", function()
      local values = { "ab", 7, n.null, {} }
      local keys = each("key", values)
      for i, key in ipairs(keys) do
         assert.are.same({ key, key, tostring(#key // 2) },
            probe { "first " .. key, "prefix 2 " .. key, "group 1 " .. key }, n.show(values[i]))
      end
   end)

   it("walk element by element", function()
      assert.are.same({ "[ s6100 [ i1 ] n ] end", "s6100 end", "data_corruption" },
         probe { "walk " .. probe { "key [ s6100 [ i1 ] n ]" }[1], "walk 306100", "walk" })
   end)

   it("whose bytes are cut or broken are corrupt, or are exactly the key they decode to", function()
      local values, damaged = sample(1500), {}
      for _, key in ipairs(each("key", values)) do
         for _ = 1, 4 do
            local at = 2 * math.random(0, #key // 2 - 1)
            local byte = ("%02x"):format(math.random(0, 255))
            damaged[#damaged + 1] = key:sub(1, at) .. byte .. key:sub(at + 3)
            damaged[#damaged + 1] = key:sub(1, at)
         end
      end
      local back, again = prefixed("unkey", damaged), {}
      local decoded = {}
      for i, value in ipairs(back) do
         if not value:find("^data_corruption") then
            again[#again + 1] = value
            decoded[#decoded + 1] = damaged[i]
         end
      end
      assert.is_true(#decoded > 100)
      assert.are.same(decoded, prefixed("key", again))
   end)

   it("cut inside an array are corrupt at every byte", function()
      local key = each("key", { { "a\0b", 1.5, (1 << 60) + 1, { n.null, true }, "" } })[1]
      for at = 0, #key - 2, 2 do
         local cut = key:sub(1, at)
         assert.matches("^data_corruption", probe { "unkey " .. cut }[1])
         assert.matches("data_corruption$", probe { "walk " .. cut }[1])
      end
   end)
end)

describe("values", function()
   setup(function() math.randomseed(21) end)

   local function with_maps(v)
      if type(v) ~= "table" or v == n.null then
         return v
      end
      local items = {}
      for i, item in ipairs(v) do
         items[i] = { ("k%02d"):format(i), with_maps(item) }
      end
      return n.map(items)
   end

   it("keep Lua's types exactly", function()
      local values = sample(1500)
      for i = 1, #values do
         values[#values + 1] = with_maps(values[i])
      end
      values[#values + 1] = 0 / 0
      local expected = {}
      for i, v in ipairs(values) do
         expected[i] = n.show(v)
      end
      assert.are.same(expected, prefixed("unval", each("val", values)))
   end)

   it("are no value at all when cut anywhere", function()
      local values = { { 1, 300, -5, 1.5, "abc", n.null }, n.map { { "a", { 1 } }, { "b", n.map {} } }, "x", 1000, 2.5 }
      for _, answer in ipairs(each("cut", values)) do
         assert.are.equal("0", answer)
      end
   end)

   it("broken in a byte are corrupt or some other value, never a crash", function()
      local damaged = {}
      for _, value in ipairs(each("val", sample(1500))) do
         local at = 2 * math.random(0, #value // 2 - 1)
         damaged[#damaged + 1] = value:sub(1, at) .. ("%02x"):format(math.random(0, 255)) .. value:sub(at + 3)
      end
      assert.are.equal(#damaged, #prefixed("unval", damaged))
   end)

   it("with lying counts, lengths or depths are corrupt", function()
      for _, hex in ipairs { "07ff01", "07ffffffffffffffffff01", "08ffffffffffffffff7f",
         "0605616263", "06", "04", "0480",
         "0500", "00", "09", "30", "0702", "0801", "08010701", "0801070001", "0101", ("0701"):rep(101) .. "01" } do
         assert.are.equal("corrupt", probe { "unval " .. hex }[1], hex)
      end
      assert.are_not.equal("corrupt", probe { "unval " .. ("0701"):rep(100) .. "01" }[1])
   end)

   it("in maps stand in the order of their names, the last of two equal names holding", function()
      assert.are.same({ "{ s61 i4 s6162 i3 s62 i2 }", "{ }" }, probe { "map b 2 a 1 ab 3 a 4", "map" })
   end)

   it("have the order of keys", function()
      local commands, expected = {}, {}
      local values = sample(800)
      for i = 1, 4000 do
         local a, b = values[math.random(#values)], values[math.random(#values)]
         commands[i] = ("order %s %s"):format(n.show(a), n.show(b))
         expected[i] = tostring(n.order(a, b))
      end
      assert.are.same(expected, probe(commands))
      assert.are.same({ "script_error: a key cannot be nan (not a number)" }, probe { "order dnan dnan" })
   end)
end)

describe("numbers as text", function()
   setup(function() math.randomseed(22) end)

   local function significant(text)
      return #text:gsub("e.*", ""):gsub("[-.]", ""):gsub("^0+", ""):gsub("0+$", "")
   end

   it("are integers without a point", function()
      local list = { 0, 1, -1, 9, 10, 99, 100, 101, -100, 12345, math.maxinteger, math.mininteger }
      for _ = 1, 1000 do
         list[#list + 1] = math.random(0) >> math.random(0, 62)
      end
      local commands, expected = {}, {}
      for i, v in ipairs(list) do
         commands[i], expected[i] = "int " .. v, tostring(v)
      end
      assert.are.same(expected, probe(commands))
   end)

   it("are floats that read back as they were, in as few digits as do", function()
      local list = { 0.1, 0.2, 0.1 + 0.2, 1e15, 1e16, 1e21, 1e22, 1e23, 123456.789, 5e-324, 2.5e-310, 1 / 3, 0x1p53,
         1e-4, 1e-5, 9.5e-5, 999999999999999.0, 0x1.fffffffffffffp+1023, 100.0, 0.000123, 4.35, 1.005 }
      for _ = 1, 4000 do
         local v = ("d"):unpack(("i8"):pack(math.random(0)))
         list[#list + 1] = v == v and v - v == 0 and v or 1.0
         list[#list + 1] = math.random(-10 ^ 6 | 0, 10 ^ 6 | 0) / 10 ^ math.random(0, 8)
      end
      local commands = {}
      for i, v in ipairs(list) do
         commands[i] = ("float %a"):format(v)
      end
      for i, text in ipairs(probe(commands)) do
         local v = list[i]
         assert(math.type(tonumber(text)) == "float" and tonumber(text) == v, ("%a became %s"):format(v, text))
         local digits = 1
         while tonumber((("%%.%dg"):format(digits)):format(v)) ~= v do
            digits = digits + 1
         end
         assert(significant(text) <= digits, ("%a became %s, %d digits do"):format(v, text, digits))
      end
   end)

   it("look like floats", function()
      assert.are.same({ "1.0", "-2.5", "0.0", "-0.0", "1e+20", "1e+15", "100000000000000.0", "0.0001", "1e-05", "inf",
         "-inf", "nan", "1234567.25", "9007199254740992.0" },
         probe { "float 1", "float -2.5", "float 0", "float -0.0", "float 1e20", "float 1e15", "float 1e14",
            "float 1e-4", "float 1e-5", "float inf", "float -inf", "float nan", "float 1234567.25",
            "float 9007199254740992" })
   end)
end)
