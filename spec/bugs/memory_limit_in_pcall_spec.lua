-- string.rep and table.concat ask the allocator by themselves, once: a refusal there was taken for one that Lua
-- would ask again about, so a pcall around it hid the memory limit.
local assert = require "luassert"
local h = require "spec.helper"

local function run(code)
   local input = h.write(h.tmpdir(), "one.txt", "a line\nanother\n")
   return h.run { "run", "--quiet", "-m", code, "--set", "limits.memory_limit=64M", "--set",
      "retry.max_retries=0", input }
end

describe("the memory limit", function()
   for name, code in pairs {
      ["beyond all of it"] = 'pcall(string.rep, "x", 1 << 29) emit(1)',
      ["beyond what is left"] = 'local s = ("x"):rep(40 << 20) pcall(string.rep, "y", 40 << 20) emit(#s)',
      ["in a concatenation"] = 'local s = ("x"):rep(40 << 20) pcall(function() return s .. s end) emit(1)',
   } do
      it("is not hidden by a pcall: " .. name, function()
         local result = run(code)
         assert.are.equal("", result.out)
         assert.are.equal(1, result.code)
         assert.matches("map_0 failed %(memory_error%): the script needs more memory than its limit of 64 MB",
            result.err)
      end)
   end

   it("is not hit by what a collection makes room for", function()
      local result = run('for i = 1, 8 do local s = ("x"):rep((20 << 20) + i) end emit(1)')
      assert.are.equal("1\n1\n", result.out)
      assert.are.equal(0, result.code)
   end)
end)
