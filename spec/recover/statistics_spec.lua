-- What failures cost a job: events counted against a plain tally in Lua, encoded and read back.
local h = require "spec.helper"
local n = require "spec.data.notation"

local function probe(commands)
   return n.probe("statistics_probe", commands)
end

-- --- the notation back into tables ---

local scalars = {
   n = function() return n.null end,
   i = function(text) return math.tointeger(tonumber(text)) end,
   d = function(text) return tonumber(text) end,
   s = function(text) return n.unhex(text) end,
}

local function parse(next_word)
   local word = next_word()
   if word == "}" then return nil end
   if word ~= "{" then return scalars[word:sub(1, 1)](word:sub(2)) end
   local map = {}
   for key in function() return parse(next_word) end do map[key] = parse(next_word) end
   return map
end

local function decode(line)
   return parse(line:gmatch("%S+"))
end

local function counted(commands)
   local all = table.move(commands, 1, #commands, 1, {})
   all[#all + 1] = "put"
   return decode(probe(all)[1])
end

local nothing = { attempts = 0, committed = 0, failures = 0, retries = 0, simulated = 0, recovered_tasks = 0,
   failed_tasks = 0, dropped_tasks = 0, recomputed_tasks = 0, quarantined_records = 0, quarantined_groups = 0,
   seconds_waited = 0, cpu_seconds = 0, cpu_seconds_wasted = 0, recovery_rate = n.null,
   speculative = { started = 0, won = 0, lost = 0 }, by_verdict = {}, by_type = {} }

local function expect(changes)
   local out = {}
   for key, value in pairs(nothing) do out[key] = value end
   for key, value in pairs(changes) do
      assert(out[key] ~= nil, key)
      out[key] = value
   end
   return out
end

describe("statistics", function()
   it("of nothing are zeros, and no rate", function()
      assert.same(nothing, counted {})
   end)

   it("count attempts, what they won and what they cost", function()
      assert.same(expect { attempts = 3, committed = 2, recovered_tasks = 1, recovery_rate = 1, cpu_seconds = 4.5,
         cpu_seconds_wasted = 1, speculative = { started = 1, won = 1, lost = 0 } },
         counted { "attempt 0", "attempt 0", "attempt 1", "commit 0 1 1.5", "commit 1 0 2", "lost 0 1" })
      assert.same(expect { attempts = 2, committed = 1, cpu_seconds = 3, cpu_seconds_wasted = 1,
         speculative = { started = 1, won = 0, lost = 1 } },
         counted { "attempt 0", "attempt 1", "commit 0 0 2", "lost 1 1" })
   end)

   for _, case in ipairs {
      { "retry", { retries = 1, seconds_waited = 2.5 } }, { "quarantine", { retries = 1, seconds_waited = 2.5 } },
      { "recompute", {} }, { "stop", {} }, { "drop_task", { dropped_tasks = 1, recovery_rate = 0 } },
      { "fail", { failed_tasks = 1, recovery_rate = 0 } }, { "abort", { failed_tasks = 1, recovery_rate = 0 } },
   } do
      it("count a failure with the verdict " .. case[1], function()
         local changes = case[2]
         changes.failures, changes.cpu_seconds, changes.cpu_seconds_wasted = 1, 0.25, 0.25
         changes.by_verdict = { [case[1]] = 1 }
         changes.by_type = { timeout = { failures = 1, retries = changes.retries or 0, simulated = 0,
            by_verdict = { [case[1]] = 1 } } }
         assert.same(expect(changes), counted { "failure timeout " .. case[1] .. " 2.5 0.25 0" })
      end)
   end

   it("count a failure beside another attempt, which needs no verdict", function()
      assert.same(expect { failures = 1, cpu_seconds = 2, cpu_seconds_wasted = 2,
         by_type = { task_crash = { failures = 1, retries = 0, simulated = 0, by_verdict = {} } } },
         counted { "backup task_crash 2" })
   end)

   it("count records and groups put aside, and those that do not count any more", function()
      local s = counted { "quarantined 0 7", "quarantined 1 3", "quarantined 0 -2", "quarantined 1 -9", "recomputed" }
      assert.same({ 5, 0, 1 }, { s.quarantined_records, s.quarantined_groups, s.recomputed_tasks })
   end)

   it("have a rate of recovered tasks among those that failed", function()
      local s = counted { "commit 0 1 0", "commit 0 1 0", "commit 0 1 0", "commit 0 0 0", "failure timeout fail 0 0 0" }
      assert.equal(0.75, s.recovery_rate)
   end)

   -- Draws its own numbers, so that it is the same in each run.
   local function random_events(seed, count, types)
      math.randomseed(seed)
      local verdicts = { "retry", "quarantine", "recompute", "drop_task", "fail", "stop", "abort" }
      local commands, tally = {}, { failures = 0, by_type = {}, by_verdict = {}, simulated = 0, waited = 0 }
      for i = 1, count do
         local type, verdict = types[math.random(#types)], verdicts[math.random(#verdicts)]
         local delay, simulated = math.random(0, 40) / 4, math.random(0, 1)
         commands[i] = ("failure %s %s %g 0 %d"):format(type, verdict, delay, simulated)
         tally.failures = tally.failures + 1
         tally.by_type[type] = (tally.by_type[type] or 0) + 1
         tally.by_verdict[verdict] = (tally.by_verdict[verdict] or 0) + 1
         tally.simulated = tally.simulated + simulated
         if verdict == "retry" or verdict == "quarantine" then tally.waited = tally.waited + delay end
      end
      return commands, tally
   end

   it("add up by type and by verdict", function()
      local commands, tally = random_events(7, 5000, { "task_crash", "timeout", "bad_record", "rate_limited" })
      local s = counted(commands)
      assert.same({ tally.failures, tally.simulated, tally.waited, tally.by_verdict }, { s.failures, s.simulated,
         s.seconds_waited, s.by_verdict })
      local sum = {}
      for type, row in pairs(s.by_type) do
         assert.equal(tally.by_type[type], row.failures)
         for verdict, count in pairs(row.by_verdict) do sum[verdict] = (sum[verdict] or 0) + count end
      end
      assert.same(tally.by_verdict, sum)
      assert.equal(s.by_verdict.retry + s.by_verdict.quarantine, s.retries)
   end)

   it("tell a policy the failures of each type", function()
      local lines = probe { "put_failures", "failure timeout retry 0 0 0", "backup timeout 0", "failure b fail 0 0 0",
         "put_failures" }
      assert.same({ {}, { timeout = 2, b = 1 } }, { decode(lines[1]), decode(lines[2]) })
   end)

   it("have room for many types, and count the rest together", function()
      local commands = {}
      for i = 1, 200 do commands[i] = ("failure type_%d retry 0 0 0"):format(i) end
      commands[201] = "again"
      commands[202] = "failure type_63 retry 0 0 0"
      commands[203] = "failure type_64 retry 0 0 0"
      local s = counted(commands)
      local names = 0
      for _ in pairs(s.by_type) do names = names + 1 end
      assert.same({ 64, 2, 138, 202 }, { names, s.by_type.type_63.failures, s.by_type.other.failures, s.failures })
   end)

   it("come back as they were, and go on", function()
      local commands = random_events(3, 200, { "task_crash", "timeout", "rate_limited" })
      table.move({ "attempt 1", "attempt 0", "commit 1 1 2.5", "lost 0 1", "quarantined 0 4", "quarantined 1 2",
         "recomputed" }, 1, 7, #commands + 1, commands)
      local once = counted(commands)
      commands[#commands + 1] = "again"
      assert.same(once, counted(commands))
      commands[#commands + 1] = "failure timeout retry 1 0 0"
      assert.equal(once.failures + 1, counted(commands).failures)
   end)

   it("are refused when they do not hold, and nothing is counted then", function()
      for _, value in ipairs { n.map { { "attempts", -1 } }, n.map { { "attempts", "1" } },
         n.map { { "attempts", 1.5 } }, n.map { { "by_type", { 1 } } },
         n.map { { "by_type", n.map { { "timeout", 5 } } } },
         n.map { { "cpu_seconds", -0.5 } }, n.map { { "cpu_seconds", 0 / 0 } }, n.map { { "speculative", 3 } }, 5 } do
         local lines = probe { "attempt 0", "get " .. n.show(value), "put" }
         assert.equal("data_corruption: the job's statistics in its journal do not hold", lines[1])
         assert.same(nothing, decode(lines[2]))
      end
      local lines = probe { "get { }", "put" }
      assert.same({ "ok", nothing }, { lines[1], decode(lines[2]) })
   end)

   it("that are damaged are refused, or hold", function()
      local commands = random_events(5, 50, { "task_crash", "timeout", "rate_limited" })
      commands[#commands + 1] = ("random 11 %d"):format(h.sanitized and 5000 or 50000)
      assert.matches("^%d+ of %d+ held$", probe(commands)[1])
   end)
end)
