-- Recovery as a whole, under a virtual clock: the scheduler's core, the rules and functions of the real production
-- profile, verdicts, delays and the retry budget, in jobs of 1,000 tasks whose attempts fail by the seed.
-- (spec/soak/recovery.lua runs a thousand of them.)
local h = require "spec.helper"

local sim = h.tool "recovery_sim"
local few = h.sanitized and 10 or 50

local function simulate(seed, runs, ...)
   local result = h.run({ tostring(seed), tostring(runs), ... }, { binary = sim, timeout = 120 })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   local list = {}
   for line in result.out:gmatch("[^\n]+") do
      local run_seed, how, fields = line:match("^(%d+) (%a+) (tasks=.*)$")
      if how then
         local run = { seed = tonumber(run_seed), how = how, why = fields:match(" why=(.*)$"), line = line }
         for name, value in fields:gsub(" why=.*$", ""):gmatch("([%a_]+)=(%S+)") do run[name] = tonumber(value) end
         run.log = fields:match(" log=(%x+)")
         list[#list + 1] = run
      end
   end
   assert.equal(runs, #list)
   return list, result.out
end

-- A profile that says "retry" to whatever comes.
local function stubborn(more, tokens)
   return "profile=" .. h.write(h.tmpdir(), "stubborn.lua", ([[
return {
   extends = "production",
   retry = { strategy = "immediate" },
   retry_budget = { tokens = %d },
   restart_intensity = { restarts = 63 },
   on_error = {
      ["*"] = function() return "retry" end,
      network_failure = function() return "retry" end,
   },
   %s
}
]]):format(tokens or 100000, more or ""))
end

describe("1,000 tasks of which every tenth attempt fails", function()
   it("are all done, under production", function()
      for _, run in ipairs((simulate(1, h.sanitized and 20 or 100))) do
         assert.equal("done", run.how, run.line)
         assert.equal(1000, run.committed, run.line)
         assert.is_true(run.failures > 50 and run.retries > 50 and run.asked > 10, run.line)
         assert.is_true(run.budget_least > 50, run.line)
         assert.equal(0, run.rests, run.line)
      end
   end)

   it("are all done when they are short and each failure is a death of a worker", function()
      for _, run in ipairs((simulate(1, few, "scale=0.05", "kinds=crash"))) do
         assert.equal("done", run.how, run.line)
         assert.equal(0, run.rests, run.line)
      end
   end)

   it("are all done where records kill who reads them, but for these records", function()
      for _, run in ipairs((simulate(1, few, "poison=20"))) do
         assert.equal("done", run.how, run.line)
         assert.equal(20, run.quarantined, run.line)
      end
      -- Other failures come between those at the record.
      assert.equal("done", simulate(66, 1, "poison=20")[1].how)
      for _, run in ipairs((simulate(1, 3, "poison=1", "set=limits.max_quarantined=0"))) do
         assert.equal("failed", run.how, run.line)
         assert.matches("limits.max_quarantined", run.why, 1, true)
      end
   end)

   it("take the same course for the same seed, whatever ran before", function()
      local all, log = simulate(5, 3, "log")
      local alone, own = simulate(6, 1, "log")
      assert.equal(all[2].line, alone[1].line)
      assert.is_truthy(log:find(own, 1, true))
      assert.is_true(#own > 50000)
      assert.not_equal(all[1].log, all[2].log)
   end)

   -- The log of a run, read without knowing how it came about.
   it("keep the delays, the counts and the budget", function()
      local runs, log = simulate(11, 1, "percent=18", "log")
      local run = runs[1]
      local tasks, budget, least, retries, waited, delays = {}, 100, 100, 0, 0, {}
      local function task_of(name)
         tasks[name] = tasks[name] or { next = 0, backups = 0, retries = 0, due = 0 }
         return tasks[name]
      end
      for time, text in log:gmatch(" *([%d.]+) (%l[^\n]*)") do
         local now = tonumber(time)
         local name, attempt, backup = text:match("^assign %d+ task (%d+)%.(%d+)(s?)")
         if name and backup == "" then
            local t = task_of(name)
            assert.equal(t.next, tonumber(attempt), text)
            assert.is_true(now >= t.due - 0.0015, text)
            t.next = t.next + 1
         elseif name then
            local t = task_of(name)
            t.backups = t.backups + 1
            assert.equal(t.backups, tonumber(attempt), text)
         end
         local committed = text:match("^commit task (%d+)")
         if committed then
            assert.is_nil(task_of(committed).committed, text)
            task_of(committed).committed = true
            budget = math.min(100, budget + 0.2)
         end
         local kind, failed, verdict, delay = text:match("^([%a_]+) of task (%d+): (%a+) after ([%d.]+) s")
         if kind then
            local t = task_of(failed)
            assert.equal("retry", verdict, text)
            t.retries = t.retries + 1
            local most = math.min(60, 2 ^ (t.retries - 1))
            delay = tonumber(delay)
            assert.is_true(delay <= (kind == "network_failure" and math.max(most, 30) or most), text)
            if kind ~= "network_failure" then delays[#delays + 1] = delay / most end
            t.due = now + delay
            retries, waited, budget = retries + 1, waited + delay, budget - 1
            least = math.min(least, budget)
         end
      end
      local committed = 0
      for name, t in pairs(tasks) do
         assert.equal(t.retries + 1, t.next, "task " .. name)
         committed = committed + (t.committed and 1 or 0)
      end
      assert.equal("done", run.how)
      assert.equal(1000, committed)
      assert.equal(retries, run.retries)
      assert.is_true(math.abs(waited - run.waited) < 0.001 * retries)
      assert.is_true(math.abs(least - run.budget_least) < 0.001)
      assert.is_true(math.abs(budget - run.budget_left) < 0.001)
      local sum = 0
      for _, share in ipairs(delays) do sum = sum + share end
      assert.is_true(math.abs(sum / #delays - 0.5) < 4 * math.sqrt(1 / 12 / #delays)) -- full jitter
   end)
end)

describe("a job that cannot be done", function()
   it("stops early when every task fails", function()
      for _, slots in ipairs { 1, 4, 64 } do
         for _, run in ipairs((simulate(1, 5, "percent=100", "slots=" .. slots))) do
            assert.equal("failed", run.how, run.line)
            assert.matches("^retry_budget: .*lmr resume", run.why)
            assert.equal(0, run.committed)
            assert.equal(100, run.retries)
            assert.is_true(run.attempts <= 101 + 2 * slots, run.line)
         end
      end
   end)

   it("stops early also when many failures wait for a function's answer at once", function()
      for _, run in ipairs((simulate(1, 5, "percent=100", "slots=64", "kinds=network", stubborn("", 30)))) do
         assert.equal("failed", run.how, run.line)
         assert.equal(30, run.retries, run.line)
      end
   end)

   it("stops early when all its workers die at once", function()
      for _, run in ipairs((simulate(1, 5, "percent=100", "scale=0.01", "kinds=crash"))) do
         assert.equal("broken", run.how, run.line)
         assert.is_true(run.attempts <= 4 * 6 and run.seconds < 20, run.line)
      end
   end)

   -- A retry costs a token and a success gives 0.2 back: more than a sixth of failures is too much for long.
   it("is given up by the budget at 30 %, and is done with more of it", function()
      for _, run in ipairs((simulate(1, few, "percent=30"))) do
         assert.equal("failed", run.how, run.line)
         assert.matches("^retry_budget: .*lmr resume", run.why)
         assert.is_true(run.committed > 150, run.line)
      end
      for _, run in ipairs((simulate(1, few, "percent=30", "set=retry_budget.tokens=1000",
         "set=retry.max_retries=15"))) do
         assert.equal("done", run.how, run.line)
      end
   end)

   it("tries a task that always fails as often as retry.max_retries says, and finishes what runs", function()
      for _, run in ipairs((simulate(1, few, "always=1"))) do
         assert.equal("failed", run.how, run.line)
         assert.equal(8, run.most_attempts, run.line)
         assert.equal(989, run.committed, run.line)
         assert.matches("its 7 retries are used up (retry.max_retries)", run.why, 1, true)
      end
   end)

   it("never tries a task more often than limits.max_attempts, whatever the policy says", function()
      local profile = stubborn()
      for _, kinds in ipairs { "crash", "network", "hang", "crash,record,network,hang,deaf" } do
         for _, run in ipairs((simulate(1, 12, "always=3", "maps=60", "percent=0", profile, "kinds=" .. kinds))) do
            assert.equal("failed", run.how, run.line)
            assert.equal(20, run.most_attempts, run.line)
            assert.matches("^limits.max_attempts: ", run.why)
         end
      end
      for _, run in ipairs((simulate(1, 5, "always=1", "maps=60", stubborn "limits = { max_attempts = 3 },"))) do
         assert.equal(3, run.most_attempts, run.line)
      end
   end)
end)

describe("an answer of a policy function", function()
   it("is taken as it is said", function()
      local profile = h.write(h.tmpdir(), "patient.lua", [[
return {
   extends = "production",
   on_error = {
      network_failure = function(err, ctx)
         if err.details.status == 503 and ctx.job.tasks == 200 and ctx.retry <= 9 then
            return { action = "retry", delay_seconds = 3, reason = "patience" }
         end
         return "fail"
      end,
   },
}
]])
      for _, run in ipairs((simulate(1, 5, "maps=200", "reduces=0", "kinds=network", "profile=" .. profile))) do
         assert.equal("done", run.how, run.line)
         assert.equal(run.asked, run.retries)
         assert.is_true(math.abs(3 * run.retries - run.waited) < 0.001, run.line)
      end
      for _, run in ipairs((simulate(1, 2, "maps=100", "reduces=0", "kinds=network", "profile=" .. profile))) do
         assert.equal("failed", run.how, run.line)
         assert.matches("patient.lua:4: the profile's function says fail", run.why, 1, true)
      end
   end)
end)
