-- `lmr resume` told of a whole checkpoint when the journal was cut to nothing; `--from` with its number was refused.
local h = require "spec.helper"

local function stopped()
   local dir = h.tmpdir()
   h.write(dir, "job.lua", [[
local mr = require "mr"
return mr.job { job_name = "cut", input_files = { "in.txt" }, split_size = 4,
   map = function(_, value, emit)
      if value == "two" then
         io.open("here", "w"):close()
         while not io.open("go") do mr.sleep(0.02) end
      end
      emit(value, 1)
   end, reduce = mr.sum, reducers = 1 }
]])
   h.write(dir, "in.txt", "one\ntwo\n")
   local options = { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
   local run = h.background({ "run", "job.lua", "--workers", "1", "-o", "out" }, options)
   h.poll(20, h.exists, dir .. "/here")
   run:kill("TERM")
   run:wait(20)
   h.write(dir, "go", "")
   return dir, options
end

describe("a journal that was cut to nothing", function()
   it("gives way to the checkpoint that is named instead of it", function()
      local dir, options = stopped()
      h.write(dir, "state/cut-1/journal.db", "")
      os.remove(dir .. "/state/cut-1/journal.db-wal")
      os.remove(dir .. "/state/cut-1/journal.db-shm")
      local told = h.sh("lmr resume cut-1", options)
      local words = told.err:match("lmr resume (cut%-1 %-%-from %d+) goes on from it")
      assert.is_truthy(words, told.err)
      local checked = h.sh("lmr verify cut-1", options)
      assert.matches("lmr resume " .. words, checked.out, 1, true)
      local result = h.sh("lmr resume " .. words, options)
      assert.equal(0, result.code, result.err)
      assert.equal("one\t1\ntwo\t1\n", h.read(dir .. "/out/part-00000"))
   end)
end)
