-- A limit on the size of files (ulimit -f) killed each attempt by a signal, for half a minute.
local assert = require "luassert"
local h = require "spec.helper"

describe("a limit on the size of files", function()
   it("is told as what it is, and at once", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", ("0123456789abcdef\n"):rep(100000))
      local result = h.sh([[
         ulimit -f 1000 && exec "$LMR" run -m 'emit(key, value)' in.txt -o out --sort-buffer 256K
      ]], { dir = dir, timeout = 20 })
      assert.are.equal(1, result.code)
      assert.matches("map_0 failed (disk_full): ", result.err, 1, true)
      assert.matches("File too large; the size of a file is limited here (ulimit -f, or the filesystem)", result.err, 1,
         true)
      assert.is_false(h.exists(dir .. "/out/_SUCCESS"))
   end)
end)
