-- on_error in all its forms, from all its layers, in real jobs; and what stands above every verdict: the number of
-- attempts, the retry budget, the restart intensity, limits.max_quarantined.
local h = require "spec.helper"
local real = require "spec.recover.real"

-- Of the eight types, and a declared one; each fails at line b, always.
local CAUSES = {
   script_error = "error('no')", bad_record = "mr.reject('no')", task_crash = "os.exit(1)",
   limited = "mr.fail('limited', 'no')",
}
local INPUT = "a\nb\nc\n"

local function place(cause, more, input)
   local p = real.place(input or INPUT)
   real.job(p, "if line == 'b' then " .. CAUSES[cause] .. " end",
      "error_types = { 'limited' }, reduce = mr.sum," .. (more or ""))
   return p
end

-- "verdict by rule" of each failure, in order.
local function verdicts(p)
   local list = {}
   for i, row in ipairs(real.attempts(p, "where verdict is not null")) do
      list[i] = row.verdict .. " by " .. row.rule
   end
   return list
end

-- Runs the job with a profile of these lines (in line 2 and on) and gives the verdicts.
local function decided(p, lines, args)
   if lines then real.profile(p, lines) end
   local result = real.run(p, args)
   return verdicts(p), result
end

describe("on_error", function()
   it("is a verdict's name", function()
      for error_type in pairs(CAUSES) do
         local p = place(error_type)
         assert.same({ "fail by my.lua:2" }, (decided(p, ("on_error = { %s = 'fail' },"):format(error_type))))
      end
   end)

   it("is a function; nil: \"*\", then what it extends, then the built-in verdict", function()
      local function layered(mine, star, base)
         local p = place "task_crash"
         real.profile(p, base, "base.lua")
         return (decided(p, ([[extends = "base.lua",
            on_error = {
               task_crash = %s,
               ["*"] = %s,
            },]]):format(mine, star)))
      end
      local base = "on_error = { task_crash = function(err) return { action = 'fail', reason = err.message } end },"
      local none = "function() end"
      assert.same({ "stop by my.lua:4" }, layered("function() return 'stop' end", none, base))
      assert.same({ "abort by my.lua:5" }, layered(none, "function() return 'abort' end", base))
      assert.same({ "fail by ./base.lua:2" }, layered(none, none, base))
      assert.same({ "retry by built-in: task_crash", "quarantine by built-in: task_crash" },
         layered(none, none, "on_error = { task_crash = function() end },"))
      -- A name decides in any case; false takes the rules of weaker layers away.
      assert.same({ "abort by my.lua:5" }, layered(none, "'abort'", base))
      assert.same({ "retry by built-in: task_crash", "quarantine by built-in: task_crash" },
         layered("false", "false", base))
   end)

   it("is a table: decide, then its numbers, then on_exhausted", function()
      local p = place "limited"
      assert.same({ "retry by my.lua:2", "retry by my.lua:2", "stop by my.lua:2" },
         (decided(p, "on_error = { limited = { max_retries = 2, on_exhausted = 'stop' } },")))
      -- What a function says stands above max_retries.
      p = place "limited"
      assert.same({ "retry by my.lua:2", "retry by my.lua:2", "abort by my.lua:2" }, (decided(p, [[
         on_error = { limited = { max_retries = 0, on_exhausted = 'stop', decide = function(_, ctx)
            return ctx.retry > 2 and 'abort' or { action = 'retry', delay_seconds = 0 }
         end } },]])))
      -- nil: the numbers count.
      p = place "limited"
      assert.same({ "retry by my.lua:3", "drop_task by my.lua:3" }, (decided(p,
         "\non_error = { limited = { max_retries = 1, on_exhausted = 'drop_task', decide = function() end } },")))
      assert.is_false(h.exists(p.dir .. "/out/_SUCCESS"))
   end)

   it("comes from production, the job, --profile and --set, the last one strongest", function()
      local recovery = "recovery = { on_error = { script_error = 'abort' } }"
      local p = place "script_error"
      assert.equal(3, real.run(p).code) -- put aside in the attempt
      assert.same({}, verdicts(p))
      p = place("script_error", recovery)
      assert.equal(1, real.run(p).code)
      local rule = verdicts(p)[1]
      assert.matches("^abort by job.lua:%d+$", rule)
      p = place("script_error", recovery)
      assert.same({ "fail by my.lua:2" }, (decided(p, "on_error = { script_error = 'fail' },")))
      p = place("script_error", recovery)
      assert.same({ "stop by --set on_error.script_error" }, (decided(p, "on_error = { script_error = 'fail' },",
         { "--set", "on_error.script_error=stop" })))
      -- A profile that says nothing of this type leaves it to the job.
      p = place("script_error", recovery)
      assert.same({ rule }, (decided(p, "on_error = { timeout = 'fail' },")))
      p = place("script_error", "recovery = false")
      assert.matches("^fail by ", decided(p)[1])
   end)

   it("has a strategy function's delays", function()
      local p = place "limited"
      local list = decided(p, [[
         retry = { max_retries = 3, jitter = false, strategy = function(retry, ctx)
            assert(ctx.retry == retry)
            return retry * 0.05
         end },]], { "--set", "limits.max_quarantined=0" })
      assert.equal(4, #list)
      local delays = {}
      for i, row in ipairs(real.attempts(p, "where verdict = 'retry'")) do delays[i] = row.delay end
      assert.same({ 0.05, 0.1, 0.15 }, { delays[1], delays[2], tonumber(("%.2f"):format(delays[3])) })
   end)

   it("gives ctx as it is named", function()
      local p = place("task_crash", nil, "a\nb\n")
      local before = os.time()
      decided(p, [[
         on_error = { task_crash = function(err, ctx)
            local j = ctx.job
            return { action = ctx.retry < 3 and "retry" or "fail", reason = table.concat({ ctx.attempt, ctx.retry,
               ctx.failures, ctx.same_failures, ("%.1f"):format(ctx.budget_left), ctx.limits.max_attempts,
               ("%.0f"):format(ctx.now), j.tasks, j.done, j.failures.task_crash, j.failures.timeout,
               ctx.elapsed_seconds >= 0 and ctx.elapsed_seconds < 60 and "ok" or "no" }, " ") }
         end },]], { "--set", "limits.max_attempts=9", "--set", "retry_budget.tokens=50" })
      local expected = { "0 1 0 1 50.0 9 T 2 0 0 0 ok", "1 2 1 2 49.0 9 T 2 0 1 0 ok", "2 3 2 3 48.0 9 T 2 0 2 0 ok" }
      for i, row in ipairs(real.attempts(p)) do
         local now = row.reason:match("%d%d%d%d%d%d%d+")
         assert.is_true(math.abs(now - before) < 60)
         assert.equal(expected[i], (row.reason:gsub(now, "T")))
      end
   end)
end)

describe("above every verdict", function()
   it("is limits.max_attempts", function()
      local p = place "task_crash"
      local list, result = decided(p, [[
         on_error = { task_crash = function() return { action = "retry", delay_seconds = 0 } end },]],
         { "--set", "limits.max_attempts=3" })
      assert.equal(1, result.code)
      assert.same({ "retry by my.lua:2", "retry by my.lua:2", "fail by limits.max_attempts" }, list)
      assert.equal(3, real.count(p, "select count(*) from attempt"))
   end)

   it("is the retry budget: a job whose every task fails stops early and says so", function()
      local p = real.place(("line\n"):rep(8000))
      real.job(p, "os.exit(1)")
      local list, result = decided(p, [[
         on_error = { task_crash = function() return { action = "retry", delay_seconds = 0 } end },
         limits = { max_attempts = 1000 }, retry_budget = { tokens = 5 },]], { "--split-size", "1K" })
      assert.equal(1, result.code)
      assert.matches("too many retries in this job", result.err, 1, true)
      assert.matches("retry_budget", result.err, 1, true)
      assert.equal("fail by retry_budget", list[6])
      assert.is_true(#list <= 6 + 16, #list)
      assert.equal(5, real.count(p, "select count(*) from attempt where verdict = 'retry'"))
      assert.is_true(result.seconds < 20)
      real.check_books(p)
   end)

   it("is the restart intensity: slots whose workers die at once are left alone, and the job ends", function()
      local p = real.place(INPUT)
      h.write(p.dir, "job.lua", ([[
         local file = io.open(%q)
         if file then os.exit(9) end -- all but the one that describes the job
         assert(io.open(%q, "w")):close()
         return require("mr").job { job_name = "job", map = function(_, line, emit) emit(line, 1) end }
      ]]):format(p.dir .. "/described", p.dir .. "/described"))
      local list, result = decided(p, [[
         on_error = { task_crash = function() return { action = "retry", delay_seconds = 0 } end },
         limits = { max_attempts = 1000 }, retry_budget = { tokens = 1000 },
         restart_intensity = { restarts = 4, within_seconds = 30 },]], { "--workers", "1" })
      assert.equal(1, result.code)
      assert.matches("worker processes cannot be started or die at once", result.err, 1, true)
      assert.matches("exit status 9", result.err, 1, true)
      assert.is_true(#list >= 4 and #list <= 6, #list)
      assert.is_true(result.seconds < 20)
   end)

   it("is limits.max_quarantined, a count or a share", function()
      local function run(bad, of, limit)
         local lines = {}
         for i = 1, of do lines[i] = (i <= bad and "bad" or "good") .. i end
         local p = real.place(table.concat(lines, "\n") .. "\n")
         real.job(p, "if line:find('bad') then error('no') end", "reduce = mr.sum")
         real.profile(p, "on_error = { script_error = 'quarantine' },")
         local result = real.run(p, { "--set", "limits.max_quarantined=" .. limit })
         return result.code, result.err, real.part(p)
      end
      local code, _, part = run(3, 100, "3")
      assert.equal(3, code)
      assert.equal(97, #h.lines(part))
      local err
      code, err, part = run(4, 100, "3")
      assert.equal(1, code)
      assert.matches("limits.max_quarantined", err, 1, true)
      assert.is_nil(part)
      assert.equal(3, (run(5, 100, "5%")))
      code, err = run(6, 100, "5%")
      assert.equal(1, code)
      assert.matches("6 are put aside, more than limits.max_quarantined = 5%", err, 1, true)
   end)
end)
