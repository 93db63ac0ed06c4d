-- What an attempt had put aside before it failed, or lost against another one, stayed in the job's quarantine folder,
-- as if the job had put it aside.
local h = require "spec.helper"

describe("the quarantine file of an attempt that did not win", function()
   it("does not stay", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         return mr.job { reducers = 0, map = function(_, line, emit)
            if mr.task().attempt == 0 and line == "two" then mr.reject("the first time only") end
            if mr.task().attempt == 0 and line == "three" then os.exit(3) end
            emit(line)
         end }
      ]])
      h.write(dir, "in", "one\ntwo\nthree\n")
      local result = h.run({ "run", "--set", "retry.base_delay_seconds=0", "-o", dir .. "/out", job, dir .. "/in" },
         { env = { LMR_STATE_DIR = dir .. "/state" } })
      assert.equal(0, result.code, result.err)
      assert.equal("one\ntwo\nthree\n", h.read(dir .. "/out/part-00000"))
      assert.falsy(h.exists(dir .. "/state/job-1/quarantine"))
   end)
end)
