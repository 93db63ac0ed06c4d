-- Whole jobs over every input and output format, compressed or not, as a user would run them.
local assert = require "luassert"
local h = require "spec.helper"

local packers = { gz = "gzip -c", zst = "zstd -q -c", lz4 = "lz4 -q -c", bz2 = "bzip2 -c", xz = "xz -c" }
local unpackers = { gz = "gzip -dc", zst = "zstd -q -dc", lz4 = "lz4 -q -dc", bz2 = "bzip2 -dc", xz = "xz -dc" }

-- Runs lmr in a directory; it must end well and say nothing. Returns what it wrote to standard output.
local function lmr(dir, ...)
   local result = h.run({ "run", "--quiet", ... }, { dir = dir })
   if result.code ~= 0 or result.err ~= "" then error(("exit code %s: %s"):format(result.code, result.err), 2) end
   return result.out
end

local function job(dir, text)
   return h.write(dir, "job.lua", 'local mr = require "mr"\nreturn mr.job { job_name = "formats",\n' .. text .. "\n}\n")
end

local function lines_of(n)
   local list = {}
   for i = 1, n do list[i] = ("line %d %s"):format(i, ("x"):rep(i % 50)) end
   return table.concat(list, "\n") .. "\n"
end

describe("compressed inputs", function()
   for ending, command in pairs(packers) do
      it("of several members or frames in a file: ." .. ending, function()
         local dir = h.tmpdir()
         local text = lines_of(3000)
         h.write(dir, "a", text:sub(1, 50000))
         h.write(dir, "b", text:sub(50001))
         local packed = h.sh(("cd %s && { %s a; %s b; } > all.txt.%s && rm a b"):format(h.quote(dir), command,
            command, ending))
         assert.are.equal(0, packed.code)
         h.write(dir, "plain.txt", text)
         local function read(name)
            return lmr(dir, "-m", "emit(key, value)", "--output-format", "jsonl", "--reducers", "0", name)
         end
         assert.is_true(read("all.txt." .. ending) == read("plain.txt"))
      end)
   end
end)

describe("compressed outputs", function()
   for ending, command in pairs(unpackers) do
      it("are what the system's tools read: ." .. ending, function()
         local dir = h.tmpdir()
         local text = lines_of(3000)
         h.write(dir, "in.txt", text)
         local path = job(dir, ([[map = function(_, line, emit) emit(line) end, reducers = 0,
            output = { compress = "%s" } ]]):format(ending))
         lmr(dir, path, "in.txt", "-o", "out")
         local unpacked = h.sh(("%s %s/out/part-00000.%s"):format(command, h.quote(dir), ending))
         assert.is_true(unpacked.out == text)
         local manifest = h.read(dir .. "/out/_MANIFEST.json")
         assert.matches('"name": "part-00000.' .. ending .. '"', manifest, 1, true)
         assert.matches('"records": 3000', manifest, 1, true)
      end)
   end
end)

describe("text", function()
   it("ends lines with LF or CRLF, and needs no last one", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "a\r\nb\nc\r\r\n\r\nlast")
      assert.are.equal('{"key":0,"value":"a"}\n{"key":3,"value":"b"}\n{"key":5,"value":"c\\r"}\n' ..
         '{"key":9,"value":""}\n{"key":11,"value":"last"}\n',
         lmr(dir, "-m", "emit(key, value)", "--output-format", "jsonl", "in.txt"))
   end)

   it("of any bytes goes through as it is", function()
      local dir = h.tmpdir()
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = i ~= 10 and i ~= 13 and string.char(i) or "" end
      local text = table.concat(bytes) .. "\n"
      h.write(dir, "in.bin", text)
      assert.is_true(lmr(dir, "-m", "emit(value)", "in.bin") == text)
   end)
end)

describe("JSON lines", function()
   it("keep integers of 64 bits, and integers apart from floats", function()
      local dir = h.tmpdir()
      local text = '{"a":9223372036854775807,"b":-9223372036854775808,"c":[1,1.0,null,true,{"d":"\\u00e9"}]}\n'
      h.write(dir, "in.jsonl", text .. "\n" .. text)
      local path = job(dir, [[input = "jsonl", output = { format = "jsonl", write = "value" }, reducers = 0,
         map = function(key, value, emit)
            assert(value.a == math.maxinteger and value.b == math.mininteger)
            assert(math.type(value.c[1]) == "integer" and math.type(value.c[2]) == "float" and value.c[3] == mr.null)
            emit(key, value)
         end]])
      local expected = (text:gsub("\\u00e9", "é"))
      assert.are.equal(expected .. expected, lmr(dir, path, "in.jsonl"))
   end)
end)

describe("CSV and TSV", function()
   local ROWS = 'id,"the name",note\n1,"a ""b"", c",x\n2,plain,""\n'

   it("read RFC 4180, and write it back", function()
      local dir = h.tmpdir()
      h.write(dir, "in.csv", ROWS)
      local path = job(dir, [[input = "csv", reducers = 0,
         output = { format = "csv", header = true, columns = { "id", "the name", "note" }, write = "value" },
         map = function(key, row, emit) emit(key, row) end]])
      assert.are.equal('id,the name,note\n1,"a ""b"", c",x\n2,plain,\n', lmr(dir, path, "in.csv"))
   end)

   it("know types, other separators, no header, and fields of several lines", function()
      local dir = h.tmpdir()
      h.write(dir, "in.csv", '7;"two\nlines"\n8;one\n')
      local path = job(dir, [[reducers = 0, output = "jsonl",
         input = { format = "csv", separator = ";", header = false, columns = { "n", "t" }, types = { n = "integer" },
            multiline = true },
         map = function(key, row, emit) emit(row.n + 1, row.t) end]])
      assert.are.equal('{"key":8,"value":"two\\nlines"}\n{"key":9,"value":"one"}\n', lmr(dir, path, "in.csv"))
      h.write(dir, "in.tsv", "k\tv\na\t1\nb\t2\n")
      assert.are.equal("a\t1\nb\t2\n", lmr(dir, "-m", "emit(value.k, value.v)", "--input", "tsv", "in.tsv"))
   end)

   it("cut anywhere give each row once", function()
      local dir = h.tmpdir()
      local rows, expected = { "n,text" }, {}
      for i = 1, 2000 do
         rows[#rows + 1] = ('%d,"%s, ""%d"""'):format(i, ("y"):rep(i % 70), i)
         expected[i] = ("%d\t%s, \"%d\"\n"):format(i, ("y"):rep(i % 70), i)
      end
      h.write(dir, "in.csv", table.concat(rows, "\n"))
      for _, size in ipairs { "1K", "1500", "7K" } do
         assert.is_true(table.concat(expected) == lmr(dir, "-m", "emit(math.tointeger(value.n), value.text)",
            "--input", "csv", "--split-size", size, "in.csv"))
      end
   end)
end)

describe("whole files and fixed records", function()
   it("are what they say", function()
      local dir = h.tmpdir()
      h.write(dir, "a.bin", "12345678")
      h.write(dir, "b.bin", "abcd")
      assert.are.equal("a.bin\t12345678\nb.bin\tabcd\n",
         lmr(dir, "-m", "emit(key, value)", "--input", "whole", "a.bin", "b.bin"))
      local path = job(dir, [[input = { format = "fixed", record_size = 4 },
         map = function(k, v, emit) emit({ k, v }) end]])
      assert.are.equal('[0,"1234"]\n[0,"abcd"]\n[4,"5678"]\n', lmr(dir, path, "a.bin", "b.bin"))
   end)
end)

describe("names", function()
   it("may be directories, globs, lists and -, read in their order", function()
      local dir = h.tmpdir()
      for name, text in pairs { ["d/b"] = "2", ["d/a"] = "1", ["d/sub/c"] = "3", ["d/.hidden"] = "x", ["d/_skip"] = "x",
         ["d/.git/x"] = "x", ["e1.txt"] = "4", ["e2.txt"] = "5", list = "# names\nd\n\ne1.txt\n" } do
         h.write(dir, name, text .. "\n")
      end
      local function read(...)
         local out = h.run({ "run", "--quiet", "-m", "emit(value)", "--reducers", "0", ... },
            { dir = dir, stdin = "in\n" })
         assert.are.equal("", out.err)
         return (out.out:gsub("\n", " "))
      end
      assert.are.equal("1 2 3 ", read("d"))
      assert.are.equal("4 5 ", read("e?.txt"))
      assert.are.equal("1 2 3 4 ", read("@list"))
      assert.are.equal("5 in 4 ", read("e2.txt", "-", "e1.txt"))
   end)

   it("of many small files share splits, and a big one is cut evenly", function()
      local dir = h.tmpdir()
      for i = 1, 300 do h.write(dir, ("d/%03d"):format(i), ("word\n"):rep(10)) end
      h.write(dir, "big", ("word\n"):rep(20000))
      local function maps(...)
         local out = lmr(dir, "--json", "-m", "emit(value, 1)", "-r", "sum", "-o", h.tmpdir() .. "/out", ...)
         assert.matches('"records_out":1,', out, 1, true)
         return tonumber(out:match('"map_tasks":(%d+)'))
      end
      assert.are.equal(1, maps("d"))
      assert.are.equal(15, maps("d", "--split-size", "1K"))
      assert.are.equal(10, maps("big", "--split-size", "10000"))
   end)
end)

describe("the shuffle", function()
   it("spills and merges in passes within its memory, and gives the same", function()
      local dir = h.tmpdir()
      local input = h.write(dir, "in.txt", "")
      assert.are.equal(0, h.sh(("awk 'BEGIN { for (i = 0; i < 400000; i++) print (i * 7919) %% 1000003 }' > %s"):format(
         h.quote(input))).code)
      local code = "emit(value, 1) emit(#value, 1)"
      local function run(...)
         local out = h.tmpdir() .. "/out"
         local json = lmr(dir, "--json", "-m", code, "-r", "sum", "in.txt", "-o", out, "--reducers", "1", ...)
         return h.read(out .. "/part-00000"), tonumber(json:match('"spills":(%d+)')),
            tonumber(json:match('"peak_memory":(%d+)'))
      end
      local small, spills, peak = run("--sort-buffer", "64K", "--split-size", "64K")
      assert.is_true(spills > 256)
      if not h.sanitized then assert.is_true(peak < 66 << 20, "peak memory " .. peak) end
      local large, one = run("--sort-buffer", "1G", "--split-size", "1G")
      assert.are.equal(1, one)
      assert.is_true(small == large)
      assert.is_true(small == (run("--compress-runs", "--split-size", "300K", "--workers", "5")))
      local counted = h.sh(([[LC_ALL=C; export LC_ALL
         awk '{ c[length($0)]++ } END { for (k in c) print k "\t" c[k] }' %s | sort -n
         sort %s | awk '{ print $0 "\t1" }']]):format(h.quote(input), h.quote(input)))
      assert.is_true(small == counted.out)
   end)
end)
