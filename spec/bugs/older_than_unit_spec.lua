-- `lmr clean --older-than 7` took 7 for seconds and removed all that had ended, though its help asks for a unit.
local h = require "spec.helper"

describe("lmr clean --older-than", function()
   it("wants a unit, and removes nothing without one", function()
      local dir = h.tmpdir()
      local options = { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
      h.write(dir, "in.txt", "one\n")
      assert.equal(0, h.sh("lmr run -m 'emit(value)' in.txt -o out", options).code)
      for _, age in ipairs { "0", "0.0", "7" } do
         local told = h.sh("lmr clean --older-than " .. age, options)
         assert.equal(2, told.code, age)
         assert.matches("not a time, which is a number with s, m, h or d behind it", told.err, 1, true)
      end
      assert.matches("complete", h.sh("lmr jobs", options).out, 1, true)
   end)
end)
