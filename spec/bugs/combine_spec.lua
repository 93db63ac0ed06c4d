-- Two things about a combine in Lua that is called when a task's records are all read.
local h = require "spec.helper"
local cjson = require "cjson"

local function run(source, ...)
   local dir = h.tmpdir()
   local job = h.write(dir, "job.lua", source)
   local lines = {}
   for i = 1, 2000 do lines[i] = i end
   local input = h.write(dir, "in.txt", table.concat(lines, "\n") .. "\n")
   local result = h.run { "run", "--quiet", "-o", dir .. "/out", job, input, ... }
   assert.equal(0, result.code, result.err)
   return dir .. "/out"
end

describe("a combine in Lua", function()
   -- It was called on the coroutine that had emitted last, which the collector may have freed by then.
   it("does not run on a coroutine of map", function()
      local out = run([[
         local mr = require "mr"
         local function sum(key, values, emit)
            local n = 0
            for v in values do n = n + v end
            emit(key, n)
         end
         return mr.job {
            map = function(_, line, emit)
               coroutine.wrap(function()
                  for i = 1, 50 do emit(line:sub(1, 1) .. i, 1) end
                  coroutine.yield()
               end)()
               collectgarbage()
            end,
            combine = sum, reduce = sum,
         }
      ]], "--sort-buffer", "64K")
      local total = 0
      for _, line in ipairs(h.lines(h.read(out .. "/part-00000"))) do
         total = total + line:match("\t(%d+)$")
      end
      assert.equal(2000 * 50, total)
   end)

   -- Counters and side files were closed before the last spill called it.
   it("may count and write side files until the last spill", function()
      local out = run([[
         local mr = require "mr"
         return mr.job {
            map = function(_, line, emit) emit(line:sub(1, 1), 1) end,
            combine = function(key, values, emit)
               for v in values do
                  mr.increment("combine", "values", v)
                  mr.output("seen", key, v)
                  emit(key, v)
               end
            end,
            reduce = mr.sum,
         }
      ]])
      assert.same({ combine = { values = 2000 } }, cjson.decode(h.read(out .. "/_MANIFEST.json")).counters)
      assert.equal(2000, #h.lines(h.read(out .. "/seen-00000")))
   end)
end)
