-- Checkpoints in a folder of the user's (checkpoint.checkpoint_dir) were not found when the journal, which alone knew
-- of that folder, was damaged.
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job {
   job_name = "elsewhere",
   map = function(_, line, emit)
      while mr.task().id == "map_2" and not os.rename("go", "go") do mr.progress() end
      emit(line, 1)
   end,
   reduce = mr.sum, reducers = 2, split_size = 4,
}
]]

describe("a job whose checkpoints lie elsewhere", function()
   it("is gone back to when its journal is damaged", function()
      local at = h.tmpdir()
      local options = { dir = at, env = { LMR_STATE_DIR = at .. "/state" } }
      h.write(at, "job.lua", JOB)
      h.write(at, "in.txt", "a b\nc d\ne f\ng h\n")
      local job = h.background({ "run", "--workers", "2", "-o", "out", "--set", "checkpoint.checkpoint_dir=kept",
         "job.lua", "in.txt" }, options)
      h.poll(20, function()
         local done = h.sh("sqlite3 -readonly state/elsewhere-1/journal.db 'select count(*) from task'", options)
         return done.out:match("^3")
      end)
      job:kill("TERM")
      job:wait(20)
      local number = h.ls(at .. "/kept/elsewhere-1")
      number = tonumber(number[#number]:match("^0*(%d+)%.db$"))
      h.sh("truncate -s 20000 state/elsewhere-1/journal.db && rm -f state/elsewhere-1/journal.db-*", options)
      local told = h.run({ "resume" }, options)
      assert.equal(2, told.code, told.err)
      local advice = "checkpoint %d of the job is whole: lmr resume elsewhere%%-1 %%-%%-from %d "
      assert.matches(advice:format(number, number), told.err)
      h.write(at, "go", "")
      local result = h.run({ "resume", "elsewhere-1", "--from", tostring(number) }, options)
      assert.equal(0, result.code, result.err)
      assert.is_false(h.exists(at .. "/state/elsewhere-1/checkpoints"))
      assert.equal("a b\t1\nc d\t1\ne f\t1\ng h\t1\n", h.sh("sort out/part-*", options).out)
   end)
end)
