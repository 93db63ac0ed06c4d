-- With input = "whole" a file is a record; an empty one was passed over.
local assert = require "luassert"
local h = require "spec.helper"

describe("input whole", function()
   it("gives a record for an empty file too", function()
      local dir = h.tmpdir()
      h.write(dir, "a.txt", "text")
      h.write(dir, "b.txt", "")
      h.write(dir, "c.txt", "")
      local args = { "run", "--quiet", "-m", "emit(key, #value)", "--input", "whole", "a.txt", "b.txt", "c.txt" }
      local result = h.run(args, { dir = dir })
      assert.are.equal("", result.err)
      assert.are.equal("a.txt\t4\nb.txt\t0\nc.txt\t0\n", result.out)
      table.remove(args, 7)
      assert.are.equal("b.txt\t0\nc.txt\t0\n", h.run(args, { dir = dir }).out)
   end)
end)
