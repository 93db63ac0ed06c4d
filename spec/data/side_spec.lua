local h = require "spec.helper"
local n = require "spec.data.notation"

local dir = h.tmpdir()
local index = dir .. "/index"

local function probe(commands)
   return n.probe("output_probe", commands)
end

-- Builds and opens a side file of one input file; then runs the commands.
local function with_side(content, format, key, commands)
   local path = h.write(dir, "input", content)
   local all = { ("side %s %s %s %s"):format(path, index, key or "-", n.show(format)), "map " .. index }
   table.move(commands, 1, #commands, 3, all)
   return probe(all)
end

describe("a side file", function()
   it("of text has what stands before the first TAB as its key", function()
      assert.are.same({ "4", "4", n.show "one\ttwo", "t", "none", n.show "", n.show "x" },
         with_side("a\tone\ttwo\nalone\n\tx\nb\t\n", "text", nil, { "lookup " .. n.show "a",
            "lookup " .. n.show "alone",
            "lookup " .. n.show "c", "lookup " .. n.show "b", "lookup " .. n.show "" }))
   end)

   it("of rows has the named field as its key and the row as its value; the last of a key holds", function()
      local row = n.show(n.map { { "id", "1" }, { "name", "cy" } })
      assert.are.same({ "2", "2", row, "none", "s31 = " .. row, "s32 = { s6964 s32 s6e616d65 s626f62 }" },
         with_side("id,name\n1,ann\n2,bob\n1,cy\n", "csv", "id", { "lookup s31", "lookup i1", "entries" }))
   end)

   it("of JSON lines keeps types: 1 and 1.0 are one key, and no string", function()
      local content = '{"k":1,"v":"a"}\n{"k":"1","v":"b"}\n{"k":2.0,"v":"c"}\n{"k":[1,"x"],"v":"d"}\n'
      local lines = with_side(content, "jsonl", "k",
         { "lookup i1", "lookup d1", "lookup s31", "lookup i2", "lookup [ i1 s78 ]" })
      assert.are.same({ "4", "4", "{ s6b i1 s76 s61 }", "{ s6b i1 s76 s61 }", "{ s6b s31 s76 s62 }",
         "{ s6b d0x1p+1 s76 s63 }",
         "{ s6b [ i1 s78 ] s76 s64 }" }, lines)
   end)

   it("of rows without names counts its fields", function()
      local format = n.map { { "format", "csv" }, { "header", false } }
      assert.are.same({ "2", "2", "[ s62 s79 ]" }, with_side("a,x\nb,y\n", format, "2", { "lookup s79" }))
   end)

   it("finds each of many keys, and none that is not there", function()
      local count, lines, commands, expected = 5000, {}, {}, {}
      for i = 1, count do
         lines[i] = ("k%d\t%d"):format(i * 7919 % count, i)
      end
      local last = {}
      for i = 1, count do
         last[i * 7919 % count] = i
      end
      for i = -10, count + 10 do
         commands[#commands + 1] = "lookup " .. n.show("k" .. i)
         expected[#expected + 1] = last[i] and n.show(tostring(last[i])) or "none"
      end
      local got = with_side(table.concat(lines, "\n"), "text", nil, commands)
      assert.are.same(expected, table.move(got, 3, #got, 1, {}))
   end)

   it("can be of the pairs of a step before, as they are", function()
      local path = dir .. "/pairs"
      local lines = probe { ("open %s %s"):format(path, n.show "pairs"), "pair i2 s62", "pair s61 { s78 i1 }", "close",
         ("side %s %s - %s"):format(path, index, n.show "pairs"), "map " .. index, "entries" }
      assert.are.same({ "2", "2", "i2 = s62", "s61 = { s78 i1 }" }, table.move(lines, 2, #lines, 1, {}))
   end)

   it("can be empty", function()
      assert.are.same({ "0", "0", "none" }, with_side("", "text", nil, { "lookup s61", "entries" }))
   end)

   it("says which record it cannot take", function()
      assert.are.equal('bad_record: a side file\'s record has no field "nope"',
         with_side("id\n1\n", "csv", "nope", {})[1])
      assert.are.equal('bad_record: a side file\'s record has no usable key in its field "k"',
         with_side('{"k":{"a":1}}\n', "jsonl", "k", {})[1])
      assert.matches("^usage: a side file of plain text has no field", with_side("a\n", "text", "id", {})[1])
      assert.matches("^usage: a side file of records with fields needs", with_side("id\n1\n", "csv", nil, {})[1])
   end)

   it("that is cut or changed anywhere is refused", function()
      with_side("a\t1\nb\t2\nc\t3\n", "text", nil, {})
      local whole, commands = h.read(index), {}
      for at = 0, #whole do
         h.write(dir, "cut-" .. at, whole:sub(1, at))
         commands[#commands + 1] = ("map %s/cut-%d"):format(dir, at)
      end
      for at = 1, #whole do
         local flipped = string.char(whole:byte(at) ~ 1 << at % 8)
         h.write(dir, "flip-" .. at, whole:sub(1, at - 1) .. flipped .. whole:sub(at + 1))
         -- The header's reserved bytes say nothing.
         if at <= 32 or at > 64 then
            commands[#commands + 1] = ("map %s/flip-%d"):format(dir, at)
         end
      end
      local lines = probe(commands)
      assert.are.equal(#commands, #lines)
      assert.are.equal("3", table.remove(lines, #whole + 1), "the whole file")
      for _, line in ipairs(lines) do
         assert.matches("^data_corruption: side file /.* is broken: it", line)
      end
      assert.matches("No such file", probe { "map " .. dir .. "/nothing" }[1])
   end)
end)
