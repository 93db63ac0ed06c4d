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
         exec "$LMR" run --quiet -m 'io.open("here", "w"):close()
            while not io.open("go") do mr.sleep(0.02) end emit(value)' in.txt
      ]]):format(h.quote(dir)))
      local run = h.background({ script }, { binary = "/bin/sh" })
      h.poll(10, h.exists, dir .. "/here")
      -- HUP and INT are the lowest two bits; what is ignored is dropped as it is sent, so nobody need wait.
      local status = h.read("/proc/" .. run:pid() .. "/status")
      assert.are.equal(3, tonumber(status:match("SigIgn:%s*(%x+)"), 16) & 3)
      run:kill("INT")
      run:kill("HUP")
      h.write(dir, "go", "")
      local result = run:wait(20)
      assert.are.equal("", result.err)
      assert.are.equal("one\n", result.out)
      assert.are.equal(0, result.code)
   end)
end)
