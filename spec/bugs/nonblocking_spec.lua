-- A pipe that another program has made non-blocking (ssh and some shells' tools do) gave "Resource temporarily
-- unavailable", and the job failed.
local h = require "spec.helper"

local perl = "perl -MFcntl -e 'fcntl(%s, F_SETFL, %s | O_NONBLOCK) or die; exec @ARGV' "

describe("a non-blocking", function()
   it("standard output is waited for", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", ("a line of text\n"):rep(100000))
      local result = h.sh("{ " .. perl:format("STDOUT", "O_WRONLY") ..
         "$LMR run --quiet -m 'emit(value)' in.txt; echo $? >code; } | { sleep 0.5; wc -c; }; cat code", { dir = dir })
      assert.equal("1500000\n0\n", result.out)
      assert.equal("", result.err)
   end)

   it("standard input is waited for", function()
      local result = h.sh("{ echo one; sleep 0.5; echo two; } | " .. perl:format("STDIN", "O_RDONLY") ..
         "$LMR run --quiet -m 'emit(value)'")
      assert.equal("one\ntwo\n", result.out)
      assert.equal("", result.err)
   end)
end)
