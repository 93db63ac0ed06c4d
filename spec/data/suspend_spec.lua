--- What a task checkpoint saves: a collector, a reader or an output that goes on in another place gives the bytes
--- of one that was never disturbed. The probe does both and compares.
local h = require "spec.helper"
local web = require "spec.run.web"

local tool = h.tool("suspend_probe")
local dir = h.tmpdir()

local function probe(...)
   local args = { ... }
   for i = 1, #args do
      args[i] = tostring(args[i])
   end
   local result = h.run(args, { binary = tool, dir = dir })
   return result.out, result
end

-- What "same …" is followed by, as numbers.
local function same(...)
   local out, result = probe(...)
   local numbers = {}
   assert.is_truthy(out:match("^same"), table.concat({ ... }, " ") .. ": " .. out .. result.err)
   for n in out:gmatch("%d+") do
      numbers[#numbers + 1] = tonumber(n)
   end
   return numbers
end

local aggregates = {
   "sum", "count", "min", "max", "mean", "first", "last", "list", "distinct", "approx_distinct",
   '{"agg":"approx_distinct","error":0.1}', '{"agg":"top","n":3}', '{"agg":"top","n":3,"by":true}',
   '{"agg":"quantiles","at":[0.1,0.5]}',
   '{"agg":"all","of":{"n":"sum","o":"distinct","r":{"agg":"top","n":2,"by":true},"v":"list"}}',
}

describe("a collector that is suspended", function()
   for _, kind in ipairs { "pile", "combiner", table.unpack(aggregates) } do
      it("writes the same run of " .. kind, function()
         local segments
         for _, round in ipairs { { 1, 120 }, { 7, 1000 }, { 1000, 2500 } } do
            local n = same("collect", kind, round[1], round[2], 6000, 3)
            segments = n[2]
            assert.are.equal(math.ceil(round[2] / round[1]), n[3])
            assert.is_true(n[4] > n[3] * 0.9, "few saves had pairs in the stage")
         end
         assert.is_true(segments > 40)
      end)
   end

   it("keeps sketches that have outgrown their beginnings", function()
      local quantiles = '{"agg":"quantiles","at":[0.1,0.5]}'
      assert.are.equal(1, same("collect", quantiles, 700, 12000, 10000000, 2, "distinct=3")[2])
      same("collect", '{"agg":"approx_distinct","error":0.1}', 100, 3000, 1000000, 2, "distinct=3")
      same("collect", '{"agg":"all","of":{"n":' .. quantiles .. ',"o":"approx_distinct"}}', 700, 12000, 10000000, 2,
           "distinct=3")
   end)

   it("keeps many keys, groups, compression, and pairs larger than the buffer", function()
      same("collect", "sum", 500, 4000, 400000, 5, "distinct=20000", "compress")
      same("collect", "pile", 500, 4000, 200000, 5, "distinct=20000", "compress", "group_by=1")
      same("collect", "list", 9, 300, 150, 2, "distinct=20")
      same("collect", "pile", 9, 300, 150, 1)
      same("collect", "combiner", 9, 300, 150, 1)
   end)
end)

describe("a collector's state that is damaged", function()
   for _, kind in ipairs { "pile", table.unpack(aggregates) } do
      it("is refused where it is cut, and does no harm where it is changed: " .. kind, function()
         local out, result = probe("damage", kind, 0, 20, 1500, 2, "distinct=30")
         assert.is_truthy(out:match("^refused %d+\n$"), out .. result.err)
      end)
   end
end)

describe("a reader that is saved after each record", function()
   local csv = '\xEF\xBB\xBFid,name\n1,"a,b"\r\n2,"x ""q"" y"\n\n3,bad,row\n4,"multi\nline"\n5,"open\n6,z'
   local texts = {
      ["lines.txt"] = "a\nbb\r\n\nccc\n\r\n" .. ("x"):rep(40) .. "\nlast",
      ["rows.csv"] = csv, ["rows.tsv"] = csv:gsub(",", "\t"),
      ["values.jsonl"] = '\xEF\xBB\xBF{"a":1}\n\n[1,2\n3\r\n"x"',
      ["empty"] = "",
   }

   setup(function()
      for name, text in pairs(texts) do
         h.write(dir, name, text)
      end
   end)

   it("goes on at every cut of lines and JSON lines", function()
      assert.are.equal(#texts["lines.txt"] - 1, same("cuts", "text", 1, "lines.txt")[1])
      same("cuts", '{"format":"text","max_record":10}', 1, "lines.txt")
      same("cuts", "jsonl", 1, "values.jsonl")
   end)

   it("goes on at every cut of rows", function()
      for _, more in ipairs { "", ',"multiline":true', ',"header":false', ',"header":false,"columns":["a","b"]',
                              ',"columns":["a","b"],"types":{"a":"integer"}', ',"quote":false' } do
         same("cuts", '{"format":"csv"' .. more .. "}", 1, "rows.csv")
         same("cuts", '{"format":"tsv"' .. more .. "}", 1, "rows.tsv")
      end
      assert.are.equal(4, same("read", '{"format":"csv","multiline":true}', 0, "end", "rows.csv")[1])
   end)

   it("goes on in whole files, fixed records and files of nothing", function()
      assert.are.equal(1, same("read", "whole", 0, "end", "rows.csv")[1])
      assert.are.equal(1, same("read", "whole", 0, "end", "empty")[1])
      assert.are.equal(0, same("read", '{"format":"whole","max_record":10}', 0, "end", "rows.csv")[1])
      for _, format in ipairs { "text", "csv", "jsonl" } do
         assert.are.equal(0, same("read", format, 0, "end", "empty")[1])
      end
      same("cuts", '{"format":"fixed","record_size":7}', 7, "rows.csv")
      same("cuts", '{"format":"fixed","record_size":7}', 1, "rows.csv")
   end)

   it("goes on in rows that cross the blocks it reads in", function()
      local rows = { "id,text" }
      for i = 1, 700 do
         rows[#rows + 1] = ('%d,"%s\n%s"'):format(i, (i % 10 .. "x,"):rep(i % 400), (',""'):rep(i % 300))
      end
      h.write(dir, "large.csv", table.concat(rows, "\n"))
      assert.are.equal(700, same("read", '{"format":"csv","multiline":true}', 0, "end", "large.csv")[1])
      same("read", "csv", 100000, 500000, "large.csv")
      same("read", "text", 100000, 500000, "large.csv")
   end)

   it("goes on in a pair run, over its segments and blocks", function()
      h.run({ "pairs", "1700", "pairs.run" }, { binary = tool, dir = dir })
      assert.are.equal(3400, same("read", "pairs", 0, "end", "pairs.run")[1])
   end)

   for format, program in pairs { gz = "gzip", zst = "zstd -q", lz4 = "lz4 -q", bz2 = "bzip2", xz = "xz" } do
      it("goes on in a compressed file: " .. format, function()
         local lines = {}
         for i = 1, 150 do
            lines[i] = ("%d,%s"):format(i, (tostring(i * 7919):rep(i * 5)))
         end
         h.write(dir, "plain", "id,n\n" .. table.concat(lines, "\n"))
         local sh = ([[cd '%s' && { head -c 70000 plain | %s -c; tail -c +70001 plain | %s -c; } >f.csv.%s &&
            head -c -20 f.csv.%s >cut.csv.%s && %s -c rows.csv >rows.csv.%s]]):gsub("%%s", "%%s")
            :format(dir, program, program, format, format, format, program, format)
         assert.are.equal(0, h.sh(sh).code)
         assert.are.equal(150, same("read", "csv", 0, "end", "f.csv." .. format)[1])
         same("read", "text", 0, "end", "cut.csv." .. format)
         same("read", "csv", 0, "end", "rows.csv." .. format)
         same("read", '{"format":"csv","multiline":true}', 0, "end", "rows.csv." .. format)
         assert.are.equal(1, same("read", "whole", 0, "end", "rows.csv." .. format)[1])
      end)
   end

   it("goes on in a file behind a server, asking for what is left of its part", function()
      local server = web(dir)
      local size = #texts["rows.csv"]
      same("read", "csv", 0, size, server.url("rows.csv"), size)
      same("read", "csv", 20, 50, server.url("rows.csv"), size)
      same("read", "text", 0, size, server.url("norange/rows.csv"), size)
      same("read", "text", 0, "end", server.url("nosize/rows.csv"), "unknown")
      for _, request in ipairs(server.requests()) do
         assert.is_true(request.status == 200 or request.status == 206 or request.status == 416, request.target)
      end
   end)
end)

describe("an output that is suspended", function()
   for _, spec in ipairs {
      "text", "tsv", "jsonl", "raw", "pairs", '{"format":"pairs","compress":"lz4"}',
      '{"format":"csv","header":true,"columns":["a","b"]}',
   } do
      it("writes the same part: " .. spec, function()
         assert.are.equal(200, same("output", spec, 1, 200)[2])
         assert.are.equal(429, same("output", spec, 7, 3000)[2])
         assert.is_true(same("output", spec, 1000, 5000)[1] > 30000)
      end)
   end

   it("says that a compressed part cannot be continued", function()
      for _, format in ipairs { "gz", "zst", "lz4", "bz2", "xz" } do
         assert.are.equal("error usage: first: a compressed part cannot be continued in the middle of a member\n",
                          (probe("output", ('{"format":"text","compress":"%s"}'):format(format), 7, 100)))
      end
   end)
end)
