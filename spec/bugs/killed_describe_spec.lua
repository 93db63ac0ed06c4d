-- A worker that somebody killed while it loaded the job file ended the job as wrong usage (exit code 2),
-- and so a job that was to go on.
local h = require "spec.helper"

describe("a worker that is killed while it loads the job", function()
   it("is replaced by another one", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         local marked = os.getenv("GATE") .. "/pid"
         if not io.open(marked) then
            local stat <close> = assert(io.open("/proc/self/stat"))
            local out = assert(io.open(marked, "w"))
            out:write(stat:read("n"), "\n")
            out:close()
            while true do mr.sleep(0.01) end
         end
         return mr.job { reducers = 0, map = function(_, line, emit) emit(line) end }
      ]])
      h.write(dir, "in", "one\n")
      local running = h.background({ "run", "-o", dir .. "/out", job, dir .. "/in" }, { env = { GATE = dir } })
      local pid = h.poll(20, function() return (h.read(dir .. "/pid") or ""):match("%d+\n") end)
      h.sh("kill -KILL " .. pid)
      local result = running:wait(20)
      assert.equal(0, result.code, result.err)
      assert.equal("one\n", h.read(dir .. "/out/part-00000"))
   end)

   it("is not replaced for ever", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local stat <close> = assert(io.open("/proc/self/stat"))
         os.execute("kill -KILL " .. stat:read("n"))
      ]])
      h.write(dir, "in", "one\n")
      local result = h.run({ "run", "-o", dir .. "/out", job, dir .. "/in" })
      assert.equal(1, result.code, result.err)
      assert.truthy(result.err:find("killed by signal 9", 1, true), result.err)
   end)
end)
