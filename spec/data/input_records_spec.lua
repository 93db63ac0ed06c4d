--- Splits → records: text, JSON lines, fixed-size, whole files and pairs, against plain Lua and awk; and at
-- every cut the same records.
local h = require "spec.helper"

local function probe(args, options)
   options = options or {}
   options.binary = h.tool("input_probe")
   return h.run(args, options)
end

local function read(spec, path, options)
   return probe({ "read", spec, "0", "end", path }, options)
end

-- The records of a text file, by plain Lua: offset TAB line.
local function lines_of(text)
   local out, at = {}, 1
   while at <= #text do
      local lf = text:find("\n", at, true)
      local line = text:sub(at, (lf or #text + 1) - 1)
      if lf and line:sub(-1) == "\r" then
         line = line:sub(1, -2)
      end
      out[#out + 1] = (at - 1) .. "\t" .. line .. "\n"
      at = (lf or #text) + 1
   end
   return table.concat(out)
end

local function any(list)
   return list[math.random(#list)]
end

-- A text of `n` random pieces, rich in line ends of all kinds.
local function random_text(n, pieces)
   local out = {}
   for i = 1, n do
      out[i] = any(pieces)
   end
   return table.concat(out)
end

local text_pieces = { "\n", "\n", "\r\n", "\r", "a", "bc", "word ", "\0", "\xff\xfe", "ü", "\t", ("long"):rep(20) }

describe("text records", function()
   local dir = h.tmpdir()

   it("are the lines of plain Lua, with their offsets, in random files at every cut", function()
      math.randomseed(20261124)
      for round = 1, h.sanitized and 8 or 25 do
         local text = random_text(math.random(0, 60), text_pieces)
         local path = h.write(dir, "text" .. round, text)
         assert.are.equal(lines_of(text), read("text", path).out)
         assert.are.equal("same\n", #text > 0 and probe({ "cuts", "text", path }).out or "same\n")
      end
   end)

   it("are the lines of awk in a file of many buffers", function()
      math.randomseed(7)
      local lines = {}
      for i = 1, 60000 do
         lines[i] = ("x"):rep(math.random(0, 40)) .. i
      end
      lines[30000] = ("y"):rep(700000)
      h.write(dir, "many", table.concat(lines, "\n") .. "\n")
      local digest = h.sh("LC_ALL=C awk '{ print n \"\\t\" $0; n += length($0) + 1 } BEGIN { n = 0 }' many | cksum",
         { dir = dir }).out
      for _, size in ipairs { 1000, 65536, 262144, 999983, 10000000 } do
         assert.are.equal(digest, h.sh(h.quote(h.tool("input_probe")) .. " cat text " .. size .. " many | cksum",
            { dir = dir }).out)
      end
   end)

   it("of an empty file are none", function()
      h.write(dir, "empty", "")
      assert.are.equal("", probe({ "cat", "text", "10", dir .. "/empty" }).out)
   end)

   it("keep a byte order mark", function()
      assert.are.equal("0\t\xef\xbb\xbfa\n", read("text", h.write(dir, "bom", "\xef\xbb\xbfa")).out)
   end)

   it("longer than max_record are bad ones, and reading goes on behind them", function()
      local spec = '{"max_record":4}'
      local path = h.write(dir, "long", "1234\n12345\n1234\r\n12345\r\n\n123456")
      assert.are.equal(table.concat { "0\t1234\n",
         "bad 5 1 5: the record is longer than max_record (4 bytes)\n",
         "11\t1234\n",
         "bad 17 3 6: the record is longer than max_record (4 bytes)\n",
         "24\t\n",
         "bad 25 5 6: the record is longer than max_record (4 bytes)\n" }, read(spec, path).out)
      assert.are.equal("same\n", probe({ "cuts", spec, path }).out)
   end)

   it("that are far too long are passed over without being kept", function()
      local sh = "(echo a; head -c 300000000 /dev/zero | tr '\\0' x; echo; echo b) >huge; ulimit -v " ..
         (h.sanitized and "unlimited" or "120000") .. "; " .. h.quote(h.tool("input_probe")) ..
         " read '{\"max_record\":\"1M\"}' 0 end huge; rm huge"
      assert.are.equal("0\ta\nbad 2 1 65536: the record is longer than max_record (1048576 bytes)\n300000003\tb\n",
         h.sh(sh, { dir = dir }).out)
   end)
end)

describe("JSON lines", function()
   local dir = h.tmpdir()

   it("are exact", function()
      local path = h.write(dir, "exact", '{"b":9223372036854775807,"a":-9223372036854775808}\r\n' ..
         '[1,1.0,0.1,1e300,null,true,"\\u00fc\\u0000"]\n"x"\n7')
      assert.are.equal('0\t{"a":-9223372036854775808,"b":9223372036854775807}\n' ..
         '52\t[1,1.0,0.1,1e+300,null,true,"ü\\u0000"]\n95\t"x"\n99\t7\n', read("jsonl", path).out)
   end)

   it("may be blank, and may begin with a byte order mark", function()
      local path = h.write(dir, "blank", "\xef\xbb\xbf1\n\n \t\r\n2\n\n")
      assert.are.equal("3\t1\n10\t2\n", read("jsonl", path).out)
      assert.are.equal("same\n", probe({ "cuts", "jsonl", path }).out)
      assert.are.equal("", read("jsonl", h.write(dir, "mark", "\xef\xbb\xbf")).out)
   end)

   it("that are broken are bad records with their place and the reason", function()
      local path = h.write(dir, "broken", '{"a":1}\n{"a":\n[1,2\n18446744073709551616\n"\xff"\n2\n')
      local lines = h.lines(read("jsonl", path).out)
      assert.are.equal('0\t{"a":1}', lines[1])
      for i, place in ipairs { "8 1 5", "14 2 4", "19 3 20", "40 4 3" } do
         assert.are.equal("bad " .. place .. ": ", lines[i + 1]:match("^bad %d+ %d+ %d+: "))
      end
      assert.are.equal("44\t2", lines[6])
      assert.are.equal("same\n", probe({ "cuts", "jsonl", path }).out)
   end)

   it("are the values of jq, at every cut", function()
      math.randomseed(3)
      local pieces = { '{"k":[1,{"x":null}]}', '"text with \\n and ü"', "12345", "-1", "[]", "{}", "true", " 5 " }
      local out = {}
      for i = 1, 60 do
         out[i] = any(pieces) .. any { "\n", "\r\n", "\n\n" }
      end
      local path = h.write(dir, "values", table.concat(out))
      assert.are.equal(h.sh("jq -c . values", { dir = dir }).out,
         (read("jsonl", path).out:gsub("%d+\t([^\n]*\n)", "%1")))
      assert.are.equal("same\n", probe({ "cuts", "jsonl", path }).out)
   end)
end)

describe("records of a fixed size", function()
   local dir = h.tmpdir()
   local spec = '{"format":"fixed","record_size":%d}'

   it("are pieces of the file, at every cut", function()
      for _, size in ipairs { 1, 3, 7, 100 } do
         local bytes = random_text(200, { "\0", "\n", "a", "\r", "\xff" }):sub(1, 200 - 200 % size)
         local path = h.write(dir, "fixed" .. size, bytes)
         local want = {}
         for at = 1, #bytes, size do
            want[#want + 1] = (at - 1) .. "\t" .. bytes:sub(at, at + size - 1) .. "\n"
         end
         assert.are.equal(table.concat(want), read(spec:format(size), path).out)
         assert.are.equal("same\n", probe({ "cuts", spec:format(size), path }).out)
      end
   end)

   it("may be larger than a buffer", function()
      local path = h.write(dir, "large", ("a"):rep(1000000) .. ("b"):rep(1000000))
      assert.are.equal("0\t" .. ("a"):rep(1000000) .. "\n1000000\t" .. ("b"):rep(1000000) .. "\n",
         read(spec:format(1000000), path).out)
   end)

   it("end with a bad one when the last is short", function()
      local path = h.write(dir, "short", "aabbc")
      assert.are.equal("0\taa\n2\tbb\nbad 4 2 1: the last record is short: 1 of 2 bytes\n",
         read(spec:format(2), path).out)
      assert.are.equal("same\n", probe({ "cuts", spec:format(2), path }).out)
   end)
end)

describe("whole files", function()
   local dir = h.tmpdir()

   it("are one record each", function()
      h.write(dir, "a", "x\ny\0")
      h.write(dir, "b", ("z"):rep(1000000))
      assert.are.equal("0\tx\ny\0\n0\t" .. ("z"):rep(1000000) .. "\n",
         probe({ "cat", "whole", "10", "a", "b" }, { dir = dir }).out)
   end)

   it("longer than max_record are bad records", function()
      h.write(dir, "c", "123456")
      assert.are.equal("bad 0 0 6: the file is longer than max_record (5 bytes)\n",
         read('{"format":"whole","max_record":5}', dir .. "/c").out)
      assert.are.equal("0\t123456\n", read('{"format":"whole","max_record":6}', dir .. "/c").out)
   end)
end)

describe("pairs", function()
   it("come in the order of the run, segment after segment", function()
      local path = h.tmpdir() .. "/run"
      probe({ "pairs", path }, { stdin = '[1,"a"]\n[1,{"x":[null]}]\n["k",2.5]\n\n[[1,"x"],true]\n' })
      assert.are.equal('0\t1\t"a"\n1\t1\t{"x":[null]}\n2\t"k"\t2.5\n3\t[1,"x"]\ttrue\n', read("pairs", path).out)
   end)

   it("that are damaged are refused", function()
      local dir = h.tmpdir()
      probe({ "pairs", dir .. "/run" }, { stdin = '[1,"aaaaaaaaaaa"]\n' })
      local bytes = h.read(dir .. "/run")
      local at = bytes:find("aaaa", 1, true)
      h.write(dir, "run", bytes:sub(1, at) .. "b" .. bytes:sub(at + 2))
      assert.matches("^error data_corruption", read("pairs", dir .. "/run").out)
   end)
end)

describe("a file that changed since the plan", function()
   it("is refused, whatever its format", function()
      local path = h.write(h.tmpdir(), "file", "1\n2\n")
      for _, spec in ipairs { "text", "csv", "jsonl", "whole", "pairs", '{"format":"fixed","record_size":2}' } do
         local result = read(spec, path, { env = { PLANNED_SIZE = "6" } })
         assert.matches("^error data_corruption %-1 %-1: [^\n]*/file changed since the plan: it had 6 bytes and has 4",
            result.out)
      end
   end)

   it("while it is read is refused behind its last whole record", function()
      local path = h.write(h.tmpdir(), "file", ("12345678\n"):rep(100000))
      local out = probe({ "shrink", "text", "600003", path }).out
      local _, lines = out:gsub("%d+\t12345678\n", "")
      assert.are.equal(600003 // 9, lines)
      assert.matches("\nerror data_corruption %-1 %-1: [^\n]*/file changed since the plan: it had 900000 bytes and " ..
         "has 600003 now; run the job again from the start\n$", out)
   end)

   it("and is gone is an error that names it", function()
      assert.matches("^error usage %-1 %-1: no such file: /nowhere/at/all", read("text", "/nowhere/at/all").out)
   end)
end)
