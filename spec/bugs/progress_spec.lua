-- Only a new group counted as progress of a reduce: one large group, or the merging of many runs before the first
-- one, ran into limits.progress_timeout_seconds.
local h = require "spec.helper"

local function run(source, lines, ...)
   local dir = h.tmpdir()
   local job = h.write(dir, "job.lua", source)
   local result = h.run({ "run", "--quiet", "--set", "limits.progress_timeout_seconds=0.7", job,
      h.write(dir, "in.txt", ("a line of text\n"):rep(lines)), ... }, { timeout = 120 })
   assert.equal(0, result.code, result.err)
   return result.out
end

describe("a reduce that works on one group for long", function()
   it("makes progress with each value", function()
      local out = run([[
         local mr = require "mr"
         return mr.job { map = function(_, _, emit) emit("key", 1) end,
            reduce = function(key, values, emit)
               local n = 0
               for v in values do mr.sleep(0.3) n = n + v end
               emit(key, n)
            end }
      ]], 6)
      assert.equal("key\t6\n", out)
   end)

   it("makes progress in a declared reducer", function()
      local out = run([[
         local mr = require "mr"
         return mr.job { map = function(_, line, emit) emit("key", line) end,
            reduce = mr.top(1, { by = function(line) mr.sleep(0.3) return #line end }) }
      ]], 6)
      assert.equal('key\t["a line of text"]\n', out)
   end)
end)
