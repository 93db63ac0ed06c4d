-- An answer of the policy host about a record of an attempt that had been killed, when the round with its task was over
-- too: the next rule's function was asked for a task that the table of tasks did not have any more.
local h = require "spec.helper"

describe("an answer of the policy host for an attempt that is gone", function()
   it("is for nobody, even when the next step runs", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         local function reject()
            if mr.task().attempt > 0 then return end
            local stat <close> = assert(io.open("/proc/self/stat"))
            local asks <close> = assert(io.open(os.getenv("ASKS") .. mr.task().id:gsub("%W", "_"), "w"))
            asks:write(stat:read("n"), "\n")
            asks:close()
            mr.reject("not now")
         end
         return mr.job { steps = {
            { map = function(_, line, emit) reject() emit(line, 1) end, reduce = mr.sum, reducers = 1 },
            { map = function(key, n, emit) -- it asks after all those: so they are answered before it ends
               if key == "1" then reject() end
               emit("sum", n)
            end, reduce = mr.sum, reducers = 1 },
         } }
      ]])
      local profile = h.write(dir, "slow.lua", [[return {
         retry = { strategy = "immediate" },
         on_error = {
            bad_record = function() for _ = 1, 1e7 do end end,
            task_crash = "retry",
            ["*"] = function() end,
         },
      }]])
      local lines = {}
      for i = 1, 6000 do lines[i] = tostring(i) end
      h.write(dir, "in", table.concat(lines, "\n") .. "\n")
      local running = h.background({ "run", "--workers", "6", "--split-size", "5K", "--profile", profile, "-o",
         dir .. "/out", job, dir .. "/in" }, { env = { ASKS = dir .. "/asks." } })
      local pids = {}
      for i = 0, 5 do
         pids[#pids + 1] = h.poll(20, function() return (h.read(dir .. "/asks.map_" .. i) or ""):match("%d+\n") end)
      end
      h.sh("kill -KILL " .. table.concat(pids, " "):gsub("\n", ""))
      local result = running:wait(60)
      assert.equal(3, result.code, result.err)
      assert.equal("sum\t5999\n", h.read(dir .. "/out/part-00000"))
   end)
end)
