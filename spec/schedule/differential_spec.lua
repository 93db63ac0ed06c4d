-- A bounded part of the soak: random jobs against a plain loop (spec/soak/differential.lua).
local assert = require "luassert"
local h = require "spec.helper"

describe("random jobs", function()
   it("give what a plain loop gives", function()
      local last = h.sanitized and 20 or 60
      local command = ("LMR=%s lua5.4 spec/soak/differential.lua 1 %d"):format(h.quote(h.binary), last)
      local result = h.sh(command, { timeout = 120 })
      assert.are.equal(("%d seeds, 0 differ\n"):format(last), result.out)
      assert.are.equal(0, result.code)
   end)
end)
