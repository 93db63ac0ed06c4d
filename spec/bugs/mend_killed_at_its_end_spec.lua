-- A mend that was killed between the last commit of its tasks and its publishing had removed its runs: a map that had
-- committed ran once more.
local h = require "spec.helper"
local jobs = require "spec.soak.crash_jobs"
local sweep = require "spec.soak.crash_sweep"

describe("a mend that is killed when its tasks are done", function()
   it("does none of them again", function()
      local s = sweep.new(h.tmpdir(), h.binary, jobs[8])
      local last
      for i, site in ipairs(s.sites) do
         if site == "publish.rename:before" then break end
         if site == "journal.commit:after" or site == "unlink:after" then
            last = i
            if i > #s.sites // 2 then s:kill_driver(i) end
         end
      end
      assert.truthy(last)
   end)
end)
