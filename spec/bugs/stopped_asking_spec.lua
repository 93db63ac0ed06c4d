-- A job that was stopped while it asked servers for its inputs (exit code 75) did not say how it goes on, though lmr
-- resume did go on with it; and it threw the standard input away that it had kept.
local h = require "spec.helper"

describe("a job that is stopped while it asks a server", function()
   local function start(dir, inputs, stdin)
      h.write(dir, "stop.lua", "return { on_error = { network_failure = 'stop' } }")
      local job = h.write(dir, "job.lua", ([[
         return require "mr".job { input_files = { %s }, map = function(_, line, emit) emit(line, 1) end }
      ]]):format(inputs))
      return h.run({ "run", "--profile", dir .. "/stop.lua", "-o", dir .. "/out", job },
         { stdin = stdin, env = { LMR_STATE_DIR = dir .. "/state" } })
   end

   it("says how to go on, each time", function()
      local dir = h.tmpdir()
      local result = start(dir, "'http://127.0.0.1:9/x'")
      assert.equal(75, result.code, result.err)
      assert.truthy(result.err:find("lmr resume job-1", 1, true), result.err)
      result = h.run({ "resume" }, { env = { LMR_STATE_DIR = dir .. "/state" } })
      assert.equal(75, result.code, result.err)
      assert.truthy(result.err:find("lmr resume job-1", 1, true), result.err)
   end)

   it("keeps its standard input", function()
      local dir = h.tmpdir()
      local result = start(dir, "'-', 'http://127.0.0.1:9/x'", "one\ntwo\n")
      assert.equal(75, result.code, result.err)
      result = h.run({ "resume" }, { env = { LMR_STATE_DIR = dir .. "/state" } })
      assert.equal(75, result.code, result.err)
      assert.truthy(result.err:find("network_failure", 1, true), result.err)
   end)
end)
