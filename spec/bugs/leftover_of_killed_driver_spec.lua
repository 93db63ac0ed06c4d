-- What an attempt had put aside, or had begun to write, when its driver was killed stayed for ever: in the quarantine
-- folder, as if the job had put it aside, and beside the runs that are kept for a mend.
local h = require "spec.helper"

describe("an attempt that died with its driver", function()
   it("leaves no files once the job went on", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", [[
         local mr = require "mr"
         local function there(name)
            local file <close> = io.open(name)
            return file ~= nil
         end
         return mr.job { job_name = "j", reducers = 1, map = function(_, line, emit)
            if line == "bad" then mr.reject("bad") end
            mr.output("seen", line)
            if line == "two" and not there("go") then
               assert(io.open("waits", "w")):close()
               while true do mr.sleep(0.01) mr.progress() end
            end
            emit(line, 1)
         end, reduce = mr.sum }
      ]])
      h.write(dir, "in", "one\nbad\ntwo\n")
      local options = { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
      local job = h.background({ "run", "--workers", "1", "-o", "out", "job.lua", "in" }, options)
      h.poll(20, function() return h.exists(dir .. "/waits") end)
      job:kill("KILL")
      job:wait(20)
      assert.same({ "map_0.0.jsonl" }, h.ls(dir .. "/state/j-1/quarantine"))
      h.write(dir, "go", "")
      local result = h.run({ "resume" }, options)
      assert.equal(3, result.code, result.err)
      assert.same({ "map_0.1.jsonl" }, h.ls(dir .. "/state/j-1/quarantine"))
      assert.same({ "map_0.1.run" }, h.ls(dir .. "/out/.lmr-j-1"))
      assert.equal("one\t1\ntwo\t1\n", h.read(dir .. "/out/part-00000"))
   end)
end)
