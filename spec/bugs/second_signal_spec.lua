-- A second Ctrl-C killed a driver that had stopped in good order and was about to say so: no message, no exit code.
local h = require "spec.helper"

describe("a driver that was told to stop", function()
   it("says so, however often it is told again", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "one\n")
      for _ = 1, 5 do
         local run = h.background({ "run", "-m", 'io.open("here", "w"):close() mr.sleep(60)', "in.txt", "-o", "out" },
            { dir = dir })
         h.poll(20, h.exists, dir .. "/here")
         h.sh(("while kill -s INT %d; do :; done 2>/dev/null"):format(run:pid()))
         local result = run:wait(10)
         assert.equal(130, result.code, result.err)
         assert.matches("lmr: stopped by an interrupt (SIGINT)\n", result.err, 1, true)
         assert.is_false(h.exists(dir .. "/out"))
         os.remove(dir .. "/here")
      end
   end)
end)
