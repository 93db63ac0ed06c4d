-- What was in the output directory must not be lost: neither by a publishing that fails, nor to a job that ends later.
local h = require "spec.helper"

local copy = [[
local mr = require "mr"
return mr.job { job_name = "copy", reducers = 0, map = function(_, line, emit)
   local wait = os.getenv("WAIT_FOR")
   while wait and not io.open(wait) do mr.sleep(0.01) end
   if line ~= "" then emit(line) end
end }
]]

describe("an output directory", function()
   it("keeps the earlier result when an empty one cannot be published", function()
      local dir = h.tmpdir()
      local job, out = h.write(dir, "copy.lua", copy), dir .. "/out"
      local input = h.write(dir, "in.txt", "one\ntwo\n")
      local nothing = ("\n"):rep(800)
      assert.equal(0, h.run({ "run", "--quiet", "-o", out, job, input }).code)
      h.write(out .. "/part-00001", "in_the_way", "x") -- a directory: the second part cannot be put there
      local result = h.run { "run", "--overwrite", "--split-size", "1K", "-o", out, job, h.write(dir, "a", nothing),
         h.write(dir, "b", nothing) }
      assert.equal(1, result.code)
      assert.matches("cannot rename .*map_1%.0%.part to .*part%-00001", result.err)
      assert.matches("committed work is kept in .*%.lmr%-copy%-%d+", result.err)
      assert.equal("one\ntwo\n", h.sh("cat " .. h.quote(out) .. "/.lmr-*/old/part-00000").out)
   end)

   it("is not taken over by a job that ends later", function()
      local dir = h.tmpdir()
      local job, out = h.write(dir, "copy.lua", copy), dir .. "/out"
      local input, other = h.write(dir, "in.txt", "one\ntwo\n"), h.write(dir, "other.txt", "three\n")
      local waiting = h.background({ "run", "-o", out, job, input }, { env = { WAIT_FOR = dir .. "/go" } })
      h.poll(20, function() return h.sh("ls -d " .. h.quote(out) .. "/.lmr-*").code == 0 end)
      assert.equal(0, h.run({ "run", "--quiet", "-o", out, job, other }).code)
      h.write(dir, "go", "")
      local result = waiting:wait(20)
      assert.equal(1, result.code)
      assert.matches("output directory .* is not as it was when the job started", result.err)
      assert.matches("committed work is kept in .*%.lmr%-copy%-%d+", result.err)
      assert.equal("three\n", h.read(out .. "/part-00000"))
   end)
end)
