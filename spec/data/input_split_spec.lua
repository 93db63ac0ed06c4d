--- Files → splits: what is cut, what is combined, and where.
local h = require "spec.helper"

local function probe(dir, spec, size, ...)
   return h.run({ "plan", spec, tostring(size), ... }, { binary = h.tool("input_probe"), dir = dir })
end

-- The lines of a plan, or the message that there is none.
local function plan(dir, spec, size, ...)
   local result = probe(dir, spec, size, ...)
   return result.code == 0 and h.lines(result.out) or result.out
end

describe("a plan", function()
   local dir

   setup(function()
      dir = h.tmpdir()
      for name, size in pairs { a = 10, b = 25, c = 3, d = 4, e = 5, none = 0, ["z.gz"] = 30, ["y.xz"] = 2 } do
         h.write(dir, name, ("x"):rep(size))
      end
   end)

   it("cuts a big file into even pieces of at most the split size", function()
      assert.are.same({ "b 0 9", "b 9 17", "b 17 25" }, plan(dir, "text", 10, "b"))
      assert.are.same({ "b 0 25" }, plan(dir, "text", 25, "b"))
      assert.are.same({ "b 0 13", "b 13 25" }, plan(dir, "jsonl", 24, "b"))
      assert.are.equal(25, #plan(dir, "csv", 1, "b"))
   end)

   it("combines small files in order, up to the split size", function()
      assert.are.same({ "c 0 3; d 0 4; c 0 3", "e 0 5; d 0 4" }, plan(dir, "text", 10, "c", "d", "c", "e", "d"))
      assert.are.same({ "c 0 3", "b 0 9", "b 9 17", "b 17 25", "d 0 4; e 0 5" },
         plan(dir, "text", 10, "c", "b", "d", "e"))
   end)

   it("makes no split of an empty file, and none of nothing", function()
      assert.are.same({ "c 0 3; d 0 4" }, plan(dir, "text", 10, "c", "none", "d"))
      assert.are.same({}, plan(dir, "text", 10, "none"))
   end)

   it("never cuts what has to be read from its start", function()
      assert.are.same({ "z.gz 0 30" }, plan(dir, "text", 10, "z.gz"))
      assert.are.same({ "c 0 3; y.xz 0 2; d 0 4", "z.gz 0 30", "e 0 5" },
         plan(dir, "text", 10, "c", "y.xz", "d", "z.gz", "e"))
      for _, spec in ipairs { "whole", '{"format":"csv","multiline":true}', "pairs", "lua" } do
         assert.are.same({ "b 0 25", "c 0 3; d 0 4" }, plan(dir, spec, 10, "b", "c", "d"), spec)
      end
      assert.are.equal(3, #plan(dir, '{"format":"lua","resumable":true}', 10, "b"))
   end)

   it("cuts fixed-size records between records only", function()
      local spec = '{"format":"fixed","record_size":4}'
      assert.are.same({ "b 0 8", "b 8 16", "b 16 24", "b 24 25" }, plan(dir, spec, 8, "b"))
      assert.are.same({ "b 0 12", "b 12 20", "b 20 25" }, plan(dir, spec, 15, "b"))
      assert.are.equal(7, #plan(dir, spec, 1, "b"))
   end)

   it("puts at most 4096 files into a split", function()
      local list = h.write(dir, "list", ("c\n"):rep(5000))
      local counts = {}
      for line in probe(dir, "text", 1000000, "@" .. list).out:gmatch("[^\n]+") do
         counts[#counts + 1] = 1 + select(2, line:gsub(";", ""))
      end
      assert.are.same({ 4096, 904 }, counts)
   end)

   it("refuses a split size of nothing, and more than a million splits", function()
      assert.matches("split size must be at least 1", plan(dir, "text", 0, "b"))
      assert.are.equal(0, h.sh("truncate -s 2000000 big", { dir = dir }).code)
      assert.matches("big would be cut into 2000000 splits; more than 1000000 in all are too many: raise",
         plan(dir, "text", 1, "big"))
   end)
end)

describe("the description of an input", function()
   local dir

   setup(function()
      dir = h.tmpdir()
      h.write(dir, "f", "a,b\n")
   end)

   local function refusal(spec)
      local out = plan(dir, spec, 10, "f")
      assert.are.equal("string", type(out), spec)
      return out:match("^error usage %-1 %-1: input:? ?([^\n]*)\n$") or out
   end

   it("is a name or a table, each field of its type", function()
      for _, spec in ipairs { "null", "text", "jsonl", "csv", "tsv", "whole", "{}",
         '{"format":"fixed","record_size":9}',
         '{"format":"csv","separator":";","quote":"\'","header":false,"columns":["x"],"types":{"x":"number"}}',
         '{"format":"csv","quote":false}', '{"max_record":"1M"}', '{"max_record":5}' } do
         assert.are.equal("table", type(plan(dir, spec, 10, "f")), spec)
      end
   end)

   it("is refused with what is wrong", function()
      assert.are.equal('unknown format "cvs"; is it "csv"?', refusal("cvs"))
      assert.are.equal('unknown format "parquet"', refusal('{"format":"parquet"}'))
      assert.are.equal('unknown field "seperator"; is it "separator"?',
         refusal('{"format":"csv","seperator":";"}'))
      assert.are.equal('separator does not go with format "text"', refusal('{"separator":";"}'))
      assert.are.equal("separator must be a string of one byte", refusal('{"format":"csv","separator":"ab"}'))
      assert.are.equal("separator must be a string of one byte", refusal('{"format":"csv","separator":"\\n"}'))
      assert.are.equal("quote must be a string of one byte, or false for none",
         refusal('{"format":"csv","quote":true}'))
      assert.are.equal("separator and quote are the same", refusal('{"format":"csv","separator":"\\""}'))
      assert.are.equal("header must be true or false", refusal('{"format":"csv","header":1}'))
      assert.are.equal("columns must be an array of column names", refusal('{"format":"csv","columns":[]}'))
      assert.are.equal("columns must be an array of column names", refusal('{"format":"csv","columns":[1]}'))
      assert.are.equal('columns names "x" twice', refusal('{"format":"csv","columns":["x","y","x"]}'))
      assert.matches("^types must be a table of column", refusal('{"format":"csv","types":{"x":"float"}}'))
      assert.are.equal('types names "y", which is none of columns',
         refusal('{"format":"csv","columns":["x"],"types":{"y":"number"}}'))
      assert.are.equal("types needs names: give columns, or header = true",
         refusal('{"format":"csv","header":false,"types":{"y":"number"}}'))
      assert.are.equal('format "fixed" needs record_size, in bytes', refusal("fixed"))
      assert.are.equal("record_size must be a number of bytes, 1 to 4294967295",
         refusal('{"format":"fixed","record_size":0}'))
      assert.are.equal("record_size is more than max_record",
         refusal('{"format":"fixed","record_size":10,"max_record":9}'))
      assert.are.equal('max_record must be a number of bytes or a size such as "64M"', refusal('{"max_record":"x"}'))
      assert.are.equal("must be a format's name or a table with format = …", refusal("7"))
   end)
end)
