-- The traceback of an error looked for each of 200,000 levels from the first one on: an endless recursion took minutes
-- to be told.
local assert = require "luassert"
local h = require "spec.helper"

describe("an endless recursion", function()
   for name, code in pairs {
      ["of Lua"] = "local function f(n) return f(n + 1) + 1 end f(0)",
      ["through a metamethod"] = "local t = setmetatable({}, { __index = function(t) return t.x end }) emit(t.x)",
      ["in a coroutine"] = "local function f() return f() + 1 end assert(coroutine.resume(coroutine.create(f)))",
   } do
      it("is told at once, with its line: " .. name, function()
         local dir = h.tmpdir()
         local result = h.run({ "run", "-m", code, h.write(dir, "in.txt", "one\n") }, { timeout = 20 })
         assert.are.equal(1, result.code)
         assert.matches("overflow", result.err, 1, true)
         assert.matches("-m:1", result.err, 1, true)
         assert.matches("at " .. dir .. "/in.txt, byte 0, record 0", result.err, 1, true)
      end)
   end
end)
