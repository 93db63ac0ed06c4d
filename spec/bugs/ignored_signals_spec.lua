-- A shell starts background work with SIGINT ignored, nohup does so with SIGHUP: both ended a job all the same.
local assert = require "luassert"
local h = require "spec.helper"

describe("a signal that is ignored from the start", function()
   it("does not end the job", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "one\n")
      local script = h.write(dir, "run.sh", ([[
         trap '' INT HUP
         cd %s
         exec "$LMR" run --quiet -m 'while not io.open("go") do mr.sleep(0.02) end emit(value)' in.txt
      ]]):format(h.quote(dir)))
      local run = h.background({ script }, { binary = "/bin/sh" })
      h.poll(10, function() return h.sh("pgrep -P " .. run:pid()).code == 0 end)
      os.execute("sleep 0.1")
      run:kill("INT")
      run:kill("HUP")
      os.execute("sleep 0.2")
      h.write(dir, "go", "")
      local result = run:wait(20)
      assert.are.equal("", result.err)
      assert.are.equal("one\n", result.out)
      assert.are.equal(0, result.code)
   end)
end)
