-- math.random: Lua's own interface, the same numbers for a task whoever runs it and however often.
local assert = require "luassert"
local api = require "spec.script.support"

describe("math.random", function()
   it("has Lua's interface", function()
      assert.are.equal("ok\n", api.output([[map = function(_, _, emit)
         for _ = 1, 2000 do
            local i, f = math.random(3, 5), math.random()
            assert(math.type(i) == "integer" and i >= 3 and i <= 5 and f >= 0 and f < 1)
            assert(math.random(1) == 1 and math.random(7, 7) == 7 and math.random(3.0) <= 3)
            assert(math.type(math.random(0)) == "integer")
            math.random(math.mininteger, math.maxinteger)
         end
         math.randomseed(42)
         local a, b = math.random(1 << 40), math.random()
         math.randomseed(42)
         assert(a == math.random(1 << 40) and b == math.random())
         math.randomseed(43)
         assert(a ~= math.random(1 << 40))
         for _, bad in ipairs { { 0, -1 }, { 2, 1 }, { 1.5 }, { "x" }, { 1, 2, 3 }, { -1 } } do
            assert(not pcall(math.random, table.unpack(bad)))
         end
         emit("ok")
      end]], { input = "1\n" }))
   end)

   it("is even", function()
      local out = api.output([[combine = mr.count, reduce = mr.count, map = function(_, _, emit)
         for _ = 1, 60000 do emit(math.random(6), 1) end end]], { input = "1\n" })
      local chi = 0
      for n in out:gmatch("\t(%d+)") do chi = chi + (n - 10000) ^ 2 / 10000 end
      assert.is_true(chi < 25, "chi-squared is " .. chi) -- 5 degrees of freedom: 1 in 7,000
   end)

   it("differs from task to task, and is the same again when an attempt died", function()
      local body = "map = function(at, _, emit) %s emit(at, math.random(1 << 50)) end, reducers = 0"
      local options = { input = ("x\n"):rep(2000), args = { "--split-size", "1K" } }
      local calm = api.output(body:format(""), options)
      local dies = "if mr.task().attempt == 0 and at % 1000 == 998 then os.exit(1) end"
      local died = api.output(body:format(dies), options)
      assert.is_true(calm == died)
      local seen, n = {}, 0
      for number in calm:gmatch("\t(%d+)") do
         if not seen[number] then n = n + 1 end
         seen[number] = true
      end
      assert.are.equal(2000, n)
   end)
end)
