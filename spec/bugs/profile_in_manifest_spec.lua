-- The manifest of a job that had taken another profile while it ran (lmr profile use) named the one it had begun with.
local cjson = require "cjson"
local h = require "spec.helper"

describe("the manifest of a job that took another profile", function()
   it("names that", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", [[
         local mr = require "mr"
         local function path(name) return mr.task().file:gsub("[^/]*$", name) end
         return mr.job { reducers = 0, map = function(_, line, emit)
            assert(io.open((path "waits"), "w")):close()
            while not io.open((path "go")) do mr.sleep(0.01) mr.progress() end
            emit(line)
         end }
      ]])
      h.write(dir, "in", "one\n")
      h.write(dir, "other.lua", "return { retry = { max_retries = 1 } }")
      local env = { LMR_STATE_DIR = dir .. "/state" }
      local running = h.background({ "run", "-o", dir .. "/out", job, dir .. "/in" }, { env = env })
      h.poll(20, h.exists, dir .. "/waits")
      local used = h.run({ "profile", "use", "job-1", dir .. "/other.lua" }, { env = env })
      assert.equal(0, used.code, used.err)
      h.write(dir, "go", "")
      local result = running:wait(20)
      assert.equal(0, result.code, result.err)
      assert.equal(dir .. "/other.lua", cjson.decode(h.read(dir .. "/out/_MANIFEST.json")).profile)
   end)
end)
