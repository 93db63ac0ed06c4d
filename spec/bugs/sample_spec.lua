-- The sample that a total order takes before its maps run.
local h = require "spec.helper"
local cjson = require "cjson"

local function run(map, lines, ...)
   local dir = h.tmpdir()
   local job = h.write(dir, "job.lua", ([[
      local mr = require "mr"
      return mr.job { reducers = 3, total_order = true, combine = mr.sum, reduce = mr.sum,
         map = function(_, line, emit) %s end }
   ]]):format(map))
   local list = {}
   for i = 1, lines do list[i] = i end
   local result = h.run({ "run", job, h.write(dir, "in.txt", table.concat(list, "\n") .. "\n"), "-o", dir .. "/out",
      ... }, { timeout = 120 })
   assert.equal(0, result.code, result.err)
   local parts = {}
   for i, file in ipairs(cjson.decode(h.read(dir .. "/out/_MANIFEST.json")).files) do
      parts[i] = h.read(dir .. "/out/" .. file.name)
   end
   return parts, result.err
end

describe("the sample of a total order", function()
   it("knows the number of a record", function()
      local parts = run("emit(mr.task().record + 1, 1)", 300)
      assert.equal(300, #h.lines(table.concat(parts)))
   end)

   -- Every key that the records of the sample emitted was held: 2 GB here.
   it("holds a bounded number of keys, and its boundaries are as even as before", function()
      local parts, said = run("for i = 1, 2048 do emit(i * 7919 % 100003, 1) emit(-i * 7919 % 100003, 1) end", 1500)
      local amount, unit = said:match("memory +([%d.]+) (%a+) at most in one process")
      assert.equal("MB", unit)
      assert.is_true(h.sanitized or tonumber(amount) < 150, amount)
      assert.equal(3, #parts)
      for _, part in ipairs(parts) do
         assert.is_true(#h.lines(part) > 900, #h.lines(part))
      end
   end)
end)
