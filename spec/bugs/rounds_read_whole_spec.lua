-- A resume compared a round's inputs from where the comparison of the round before had stopped, which could be in the
-- middle of a task's parts: "the input is split in another way", and an iteration that had not changed went back
-- to its first round.
local assert = require "luassert"
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job { reducers = 2, iterate = mr.iterate { max_rounds = 6,
   map = function(key, value, emit)
      local round = mr.task().round
      if round == 5 and os.getenv("STOP") then os.exit(7) end
      if round == 1 then key, value = tonumber(value), 1 end
      emit(key, value)
      emit(key * 7 % 100 + 1, value / 2)
   end,
   combine = mr.sum, reduce = mr.sum,
} }
]]

describe("a resume of an iteration that has not changed", function()
   it("takes all rounds that are done", function()
      local dir, lines = h.tmpdir(), {}
      for i = 1, 100 do lines[i] = tostring(i) end
      h.write(dir, "job.lua", JOB)
      h.write(dir, "in", table.concat(lines, "\n") .. "\n")
      local function lmr(args, stop)
         return h.run(args, { dir = dir, env = { LMR_STATE_DIR = dir .. "/state", STOP = stop } })
      end
      assert.equal(0, lmr({ "run", "job.lua", "in", "-o", "expected" }).code)
      local first = lmr({ "run", "job.lua", "in", "-o", "out", "--set", "retry.max_retries=0", "--set",
         "limits.max_quarantined=0" }, "1")
      assert.equal(1, first.code, first.err)
      local told = lmr { "resume", "--dry-run" }
      assert.matches("^[^:]*: 12 tasks reuse", told.out .. told.err)
      local second = lmr { "resume" }
      assert.equal(0, second.code, second.err)
      for i = 0, 1 do
         local name = ("/part-%05d"):format(i)
         assert.equal(h.read(dir .. "/expected" .. name), h.read(dir .. "/out" .. name))
      end
   end)
end)
