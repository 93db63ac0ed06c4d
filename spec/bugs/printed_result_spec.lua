-- A job whose result went to standard output, killed while its temporary files were being removed, was not known to be
-- complete: resumed, it missed its standard input, or computed and printed all of it once more.
local h = require "spec.helper"

local job = [[local mr = require "mr"
return mr.job { job_name = "j", reducers = 1, map = function(_, line, emit) emit(line, 1) end, reduce = mr.count }
]]

describe("a job that is killed after its result was printed", function()
   it("is complete", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", job)
      h.write(dir, "in.txt", "one\ntwo\none\n")
      local function lmr(words, env)
         env.LMR_STATE_DIR = dir .. "/state"
         return h.run(words, { dir = dir, env = env, stdin_file = dir .. "/in.txt" })
      end
      for _, input in ipairs { "-", "in.txt" } do
         h.sh("rm -rf state log", { dir = dir })
         local words = { "run", "-q", "--workers", "1", "job.lua", input }
         assert.equal("one\t2\ntwo\t1\n", lmr(words, { LMR_FAILPOINT_LOG = dir .. "/log" }).out)
         local at = h.read(dir .. "/log"):match("driver (%d+) rmtree:after")
         h.sh("rm -rf state", { dir = dir })
         assert.equal("one\t2\ntwo\t1\n", lmr(words, { LMR_FAILPOINT = "driver:" .. at }).out)
         local result = lmr({ "resume" }, {})
         assert.equal(0, result.code, result.err)
         assert.equal("", result.out)
         assert.matches("j%-1.*complete", result.err)
      end
   end)
end)
