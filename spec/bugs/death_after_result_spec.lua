-- A worker that sent its result and died before the driver had looked at either was judged as if it had been given its
-- next task already: the driver stopped with "this must hold and does not".
local h = require "spec.helper"

describe("a worker that dies right after its result", function()
   it("costs its next task an attempt at most", function()
      local dir = h.tmpdir()
      -- At its end each map has a process stop the driver, kill the worker, and wake the driver again: sooner than the
      -- driver's timer comes, so that it finds the result and the death at once.
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         local function read(path, what)
            local file <close> = assert(io.open(path))
            return file:read(what)
         end
         return mr.job { map = function(_, line, emit) emit(line, 1) end, reduce = mr.sum,
            finish = function()
               local task = mr.task()
               if task.attempt > 0 or not task.id:find("^map") then return end
               local driver = read("/proc/self/status", "a"):match("PPid:%s*(%d+)")
               os.execute(("setsid sh -c 'kill -STOP %s; sleep 0.03; kill -KILL %d; sleep 0.005; kill -CONT %s' " ..
                  "< /dev/null > /dev/null 2>&1 &"):format(driver, read("/proc/self/stat", "n"), driver))
            end,
         }
      ]])
      local lines = {}
      for i = 1, 20000 do lines[i] = tostring(i) end
      h.write(dir, "in", table.concat(lines, "\n") .. "\n")
      local result = h.run({ "run", "--workers", "1", "--split-size", "8K", "-o", dir .. "/out", "--set",
         "retry.strategy=immediate", "--set", "restart_intensity.restarts=60", "--set", "checkpoint.durable=false", job,
         dir .. "/in" }, { timeout = 60 })
      assert.equal(0, result.code, result.err)
      assert.equal("20000 200010000\n",
         h.sh("awk '{ n += $2; s += $1 } END { print n, s }' " .. dir .. "/out/part-*").out)
   end)
end)
