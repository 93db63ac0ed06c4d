-- A counter whose name held a NUL made a manifest that could not be read back, so that --overwrite refused the result.
local h = require "spec.helper"

describe("the name of a counter", function()
   it("may not hold a NUL", function()
      local input = h.write(h.tmpdir(), "in.txt", "one\n")
      local result = h.run { "run", "--quiet", "-m", 'mr.increment("group", "a\\0b")', input }
      assert.equal(1, result.code)
      assert.matches("mr.increment: a group or name holds a NUL byte", result.err)
   end)

   it("may be no UTF-8, and the result can be replaced", function()
      local dir = h.tmpdir()
      local input = h.write(dir, "in.txt", "one\n")
      for _ = 1, 2 do
         local result = h.run { "run", "--quiet", "--overwrite", "-o", dir .. "/out", "-m",
            'mr.increment("\\255", "\\254") mr.increment("\\253", "\\254") emit(value)', input }
         assert.equal(0, result.code, result.err)
      end
   end)
end)
