-- The fixed rule that stands where policies will: which failures are tried again, when, and when no more.
local h = require "spec.helper"

local probe = h.tool "verdict_probe"

local function run(...)
   local words = {}
   for i, word in ipairs { ... } do words[i] = tostring(word) end
   local result = h.run(words, { binary = probe })
   assert.equal(0, result.code)
   return (result.out:gsub("\n$", ""))
end

local function verdict(type, retry, same)
   return run(type, retry, same or 1, 5, 1, 60, 2):match("^%a+ ?[%d.]*")
end

describe("the fixed rule", function()
   it("tries transient failures again, later each time", function()
      for _, type in ipairs { "task_crash", "network_failure", "timeout" } do
         for retry, delay in ipairs { 1, 2, 4, 8, 16 } do
            assert.equal("retry " .. delay, verdict(type, retry))
         end
         assert.equal("fail", verdict(type, 6))
      end
   end)

   it("never waits longer than the longest delay, also after many retries", function()
      assert.matches("^retry 60:", run("timeout", 7, 1, 5000, 1, 60, 2))
      assert.matches("^retry 60:", run("timeout", 4000, 1, 5000, 1, 60, 2))
      assert.matches("^retry 0:", run("timeout", 1, 1, 5, 0, 60, 2))
   end)

   it("does not try the same record a third time", function()
      assert.equal("retry 1", verdict("task_crash", 1, 1))
      assert.equal("fail", verdict("task_crash", 2, 2))
   end)

   it("fails at once where nothing would change", function()
      for _, type in ipairs { "disk_full", "memory_error", "data_corruption", "script_error", "bad_record", "declared",
         "usage" } do
         assert.equal("fail", verdict(type, 1))
      end
   end)
end)

describe("a fingerprint", function()
   local function of(type, traceback, file, offset, record)
      return run("fingerprint", type, traceback, file, offset, record)
   end

   it("tells types, tracebacks and records apart", function()
      local seen, base = {}, { "script_error", "job.lua:3", "a.txt", 10, 2 }
      for _, change in ipairs { {}, { "bad_record" }, { nil, "job.lua:4" }, { nil, nil, "b.txt" },
         { nil, nil, nil, 11 }, { nil, nil, nil, nil, 3 } } do
         local args = {}
         for i = 1, 5 do args[i] = change[i] or base[i] end
         local print = of(table.unpack(args))
         assert.is_nil(seen[print])
         seen[print] = true
      end
      assert.equal(of(table.unpack(base)), of(table.unpack(base)))
   end)

   it("is nothing without a record", function()
      assert.equal(("0"):rep(16), of("task_crash", "", "a.txt", -1, -1))
   end)

   it("of a timeout does not depend on where the loop stood", function()
      assert.equal(of("timeout", "job.lua:3", "a.txt", 10, 2), of("timeout", "job.lua:4", "a.txt", 10, 2))
   end)
end)
