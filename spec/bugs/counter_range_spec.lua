-- A counter that was infinite, or became so over all tasks, ended the job when all its work was done, for JSON cannot
-- hold it; with --json the summary was cut. In a task integers wrapped around, and over tasks they became floats.
local h = require "spec.helper"
local cjson = require "cjson"
local api = require "spec.script.support"

local function counted(code, ...)
   local result = api.run(("map = function(_, line, emit) %s emit(line) end"):format(code),
      { input = "1\n2\n3\n", args = { "-o", "out", ... } })
   return result, h.read(result.dir .. "/out/_MANIFEST.json")
end

describe("a counter", function()
   for amount, shown in pairs { ["1/0"] = "inf", ["-1/0"] = "-inf", ["0/0"] = "NaN", ["1e308"] = "1e+308" } do
      it("cannot be raised by " .. amount, function()
         local result = counted(('mr.increment("g", "n", %s)'):format(amount))
         assert.equal(1, result.code)
         local message = "job.lua:4: mr.increment: the amount is %s; a counter goes from -1e300 to 1e300\n"
         assert.matches(message:format(shown), result.err, 1, true)
      end)
   end

   it("cannot add up to more than its range", function()
      local result = counted('mr.increment("g", "n", 6e299)')
      assert.equal(1, result.code)
      assert.matches("mr.increment: the sum is 1.2e+300; a counter", result.err, 1, true)
      assert.matches("in.*input.txt, byte 2, record 1", result.err)
   end)

   it("needs a number", function()
      assert.matches('mr.increment: the amount is a string; it must be a number\n',
         counted('mr.increment("g", "n", "5")').err, 1, true)
   end)

   it("is a float when its sum is no integer any more, in one task, in two, and in mr.run", function()
      local code = 'mr.increment("g", "n", math.maxinteger) mr.increment("g", "m", 1)'
      local result, manifest = counted(code)
      assert.equal(0, result.code, result.err)
      assert.matches('"n": 2.7670116110564327e+19', manifest, 1, true)
      local long = ("x"):rep(1000) .. "\n"
      result = api.run(("map = function() %s end"):format(code),
         { input = long:rep(3), args = { "-o", "out", "--split-size", "1K", "--json" } })
      assert.equal(3, cjson.decode(result.out).map_tasks)
      manifest = h.read(result.dir .. "/out/_MANIFEST.json")
      assert.matches('"n": 2.7670116110564327e+19', manifest, 1, true)
      assert.matches('"m": 3', manifest, 1, true)
      local test = h.write(h.tmpdir(), "test.lua", [[
         local mr = require "mr"
         local step = { map = function(k, v, emit) mr.increment("g", "n", math.maxinteger) emit(k, v) end }
         local _, counters = mr.run(mr.job { steps = { step, step, step } }, { inputs = { "a" } })
         print(counters.g.n)]])
      assert.equal("2.7670116110564e+19\n", h.run({ "lua", test }).out)
   end)

   it("stands in a summary that is JSON", function()
      local result = counted('mr.increment("g", "n", 3e299)', "--json")
      assert.equal(9e299, cjson.decode(result.out).counters.g.n)
   end)
end)
