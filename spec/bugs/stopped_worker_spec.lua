-- A worker without work that a signal had stopped could not leave at the end, and the driver waited for it for ever.
local h = require "spec.helper"

describe("a worker that is stopped while it has no work", function()
   it("does not keep a job from ending", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         local function file(name) return mr.task().file:gsub("[^/]*$", name) end
         return mr.job { reducers = 0,
            map = function(_, line, emit)
               local is_slow = line:find("slow")
               if is_slow then assert(io.open((file "started"), "w")):close() end
               local awaited = file(is_slow and "go" or "started") -- so each has a worker of its own
               while not io.open(awaited) do mr.sleep(0.01) end
               emit(line)
            end,
            finish = function()
               local out = assert(io.open(os.getenv "PIDS" .. mr.task().id, "w"))
               out:write(io.open("/proc/self/stat"):read("n"), "\n")
               out:close()
            end,
         }
      ]])
      local fast = h.write(dir, "a", ("fast"):rep(500) .. "\n")
      local slow = h.write(dir, "b", ("slow"):rep(500) .. "\n")
      local running = h.background({ "run", "--quiet", "--workers", "2", "--split-size", "2K", "-o", dir .. "/out", job,
         fast, slow }, { env = { PIDS = dir .. "/pid." } })
      local pid = h.poll(20, function() return (h.read(dir .. "/pid.map_0") or ""):match("%d+\n") end)
      h.poll(20, function() -- its result was taken
         return h.sh("sqlite3 -readonly $LMR_STATE_DIR/*/journal.db 'select * from task'").out:find("map_0")
      end)
      h.sh("kill -STOP " .. pid)
      h.write(dir, "go", "")
      local result = running:wait(20)
      h.sh("kill -KILL " .. pid)
      assert.equal(0, result.code, result.err)
      assert.truthy(h.exists(dir .. "/out/_SUCCESS"))
   end)
end)
