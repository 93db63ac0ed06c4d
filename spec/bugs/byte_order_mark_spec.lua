-- A job file that begins with a byte order mark was a syntax error, though Lua itself takes it.
local h = require "spec.helper"

local JOB = 'local mr = require "mr"\nreturn mr.job { map = function(_, v, emit)\n   emit(v) error("here") end }\n'

describe("a byte order mark", function()
   for name, head in pairs {
      ["alone"] = "\xEF\xBB\xBF", ["before a first line for the shell"] = "\xEF\xBB\xBF#!/usr/bin/lmr run\n",
      ["that is not there"] = "", ["that is not there, before a line for the shell"] = "#!/usr/bin/lmr run\n",
   } do
      it(name .. " is left out, and lines count as they stand", function()
         local dir = h.tmpdir()
         h.write(dir, "job.lua", head .. JOB)
         h.write(dir, "in.txt", "a\n")
         local result = h.run({ "run", "--quiet", "job.lua", "in.txt", "--set", "limits.max_quarantined=0" },
            { dir = dir })
         assert.equal(1, result.code)
         assert.matches(("job.lua:%d: here\n"):format(head:find("\n") and 4 or 3), result.err, 1, true)
      end)
   end

   it("does not hide bytecode", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", "\xEF\xBB\xBF" .. string.dump(function() end))
      h.write(dir, "in.txt", "a\n")
      local result = h.run({ "run", "--quiet", "job.lua", "in.txt" }, { dir = dir })
      assert.equal(2, result.code)
      assert.matches("job.lua is Lua bytecode", result.err, 1, true)
   end)
end)
