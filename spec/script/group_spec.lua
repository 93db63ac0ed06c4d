-- group_by together with what reduces, combines, partitions and orders. The oracle is plain Lua.
local assert = require "luassert"
local api = require "spec.script.support"
local h = require "spec.helper"

local MAP = "group_by = 1, map = function(_, line, emit) emit({ 1, -tonumber(line) }, line) end, "

describe("a group of several keys", function()
   it("is reduced in the order of its keys, with a combine and without", function()
      for reducer, wanted in pairs {
         ["mr.list"] = '["3","2","1"]', ["mr.first"] = "3", ["mr.last"] = "1", ["mr.count"] = "3", ["mr.max"] = "3",
         ["mr.distinct"] = '["1","2","3"]', ["mr.top(2)"] = '["3","2"]',
      } do
         local input = { input = "1\n2\n3\n" }
         assert.are.equal("1\t" .. wanted .. "\n", api.output(MAP .. "reduce = " .. reducer, input))
         assert.are.equal("1\t" .. wanted .. "\n",
            api.output(MAP .. ("combine = %s, reduce = %s"):format(reducer, reducer), input))
      end
   end)

   it("gives its pairs in the order of the whole key without a reduce", function()
      assert.are.equal("[1,-3]\t3\n[1,-2]\t2\n[1,-1]\t1\n", api.output(MAP, { input = "1\n2\n3\n" }))
   end)

   it("is whole in one part of a total order, whatever the splits", function()
      local lines, sums = {}, {}
      for i = 1, 3000 do
         local key = (i * 7919) % 211
         lines[i] = key .. " " .. i
         sums[key] = (sums[key] or 0) + i
      end
      local result = api.run([[group_by = 1, total_order = true, reducers = 3,
         map = function(_, line, emit)
            local k, v = line:match("(%d+) (%d+)")
            emit({ tonumber(k), -tonumber(v) }, tonumber(v))
         end, reduce = function(k, values, emit)
            local sum, last = 0, math.huge
            for v, full in values do
               assert(v <= last and full[1] == k and full[2] == -v)
               sum, last = sum + v, v
            end
            emit(k, sum)
         end]], { input = table.concat(lines, "\n"), args = { "-o", "out", "--split-size", "4K" } })
      assert.are.same({ 0, "" }, { result.code, result.err })
      local wanted, got = {}, ""
      for key = 0, 210 do wanted[#wanted + 1] = ("%d\t%d\n"):format(key, sums[key]) end
      for i = 0, 2 do got = got .. h.read(("%s/out/part-%05d"):format(result.dir, i)) end
      assert.are.equal(table.concat(wanted), got)
   end)

   it("has the full key in partition", function()
      local result = api.run([[group_by = 1, reducers = 2, partition = function(key, n) return key[1] % n end,
         map = function(_, line, emit) emit({ tonumber(line), "x" }) end]],
         { input = "1\n2\n3\n", args = { "-o", "out" } })
      assert.are.same({ 0, "" }, { result.code, result.err })
      assert.are.equal('[2,"x"]\n', h.read(result.dir .. "/out/part-00000"))
      assert.are.equal('[1,"x"]\n[3,"x"]\n', h.read(result.dir .. "/out/part-00001"))
   end)
end)

describe("mr.top", function()
   local lines = {}
   for i = 1, 500 do lines[i] = tostring((i * 7919) % 1009) end
   local ranked = {}
   for i, line in ipairs(lines) do ranked[i] = { by = tonumber(line) % 100, at = i, value = line } end
   table.sort(ranked, function(a, b) return a.by > b.by end)

   it("by a function, by a field, with a combine and without, keeps the highest ranks", function()
      local by_function = "mr.top(20, { by = function(v) return v.n % 100 end })"
      local map = "map = function(_, line, emit) local n = tonumber(line) emit('k', { n = n, r = n % 100 }) end, "
      local wanted = {}
      for i = 1, 20 do wanted[i] = ranked[i].by end
      for _, reducer in ipairs { by_function, "top", 'mr.top(20, { by = "r" })' } do
         for _, combine in ipairs { "", ("combine = %s, "):format(reducer) } do
            if combine == "" or reducer ~= by_function then
               local out = api.output(map .. combine .. "reduce = " .. reducer,
                  { before = "local top = " .. by_function, input = table.concat(lines, "\n"),
                    args = { "--split-size", "1K" } })
               local ranks = {}
               for r in out:gmatch('"r":(%d+)') do ranks[#ranks + 1] = tonumber(r) end
               assert.are.same(wanted, ranks)
            end
         end
      end
   end)
end)

describe("mr.all", function()
   it("passes over fields a value does not have", function()
      local all = "mr.all { a = mr.sum, n = mr.count, c = mr.max, l = mr.list }"
      local map = "map = function(_, line, emit) emit('k', line == '2' and { a = 1, l = mr.null } or { b = 2 }) end, "
      local wanted = 'k\t{"a":1,"c":null,"l":[null],"n":5}\n'
      local input = { input = "1\n2\n3\n4\n5\n" }
      assert.are.equal(wanted, api.output(map .. "reduce = " .. all, input))
      assert.are.equal(wanted, api.output(map .. ("combine = %s, reduce = %s"):format(all, all), input))
   end)

   it("needs tables, and does not stand in itself", function()
      local result = api.run("map = function(_, v, emit) emit(1, v) end, reduce = mr.all { a = mr.sum }")
      assert.matches("all needs a table of fields, got a string", result.err, 1, true)
      result = api.run("map = print, reduce = mr.all { a = mr.all { b = mr.sum } }")
      assert.are.equal("lmr: " .. result.dir .. "/job.lua:4: reduce: all cannot stand inside all\n", result.err)
   end)
end)
