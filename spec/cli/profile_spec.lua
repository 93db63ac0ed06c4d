-- lmr profile: what a profile says, from the real binary.
local cjson = require "cjson"
local h = require "spec.helper"

local dir

local function lmr(...)
   return h.run({ "profile", ... }, { dir = dir })
end

local function out(...)
   local result = lmr(...)
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

local function refused(message, ...)
   local result = lmr(...)
   assert.equal("lmr: " .. message .. "\n", result.err)
   assert.equal("", result.out)
   assert.equal(2, result.code)
end

local function file(name, text)
   h.write(dir, name, text)
   return "./" .. name
end

-- A line of `show`: value, kind, source.
local function shown(text, key)
   for _, line in ipairs(h.lines(text)) do
      local name, value, kind, source = line:match("^(%S+)%s%s+(.-)%s%s+(%l+)%s%s+(.+)$")
      if name == key then return { value, kind, source } end
   end
end

-- The line of the file of the repository that sets `text`.
local function line_of(path, text)
   for i, line in ipairs(h.lines(h.read(h.root .. "/" .. path))) do
      if line:find(text, 1, true) then return ("%s:%d"):format(path, i) end
   end
end

before_each(function() dir = h.tmpdir() end)

describe("lmr profile list", function()
   it("names the profiles, with the first line of each", function()
      local lines = h.lines(out "list")
      assert.equal(3, #lines)
      for i, name in ipairs { "development", "production", "testing" } do
         local first = h.lines(h.read(("%s/profiles/%s.lua"):format(h.root, name)))[1]
         assert.equal(("%-11s  %s"):format(name, first:match("^%-%- %l+: (.*)$")), lines[i])
      end
      local all = cjson.decode(out("list", "--json"))
      assert.same({ "development", "production", "testing" }, { all[1].name, all[2].name, all[3].name })
   end)
end)

describe("lmr profile show", function()
   it("prints each value with where it stands, and plan or policy", function()
      local text = out("show", "testing")
      assert.matches("^profile testing %(profiles/testing%.lua%)\n\n", text)
      assert.same({ "3", "policy", line_of("profiles/testing.lua", "max_retries = ") },
         shown(text, "retry.max_retries"))
      assert.same({ "512M", "policy", line_of("profiles/production.lua", "memory_limit = ") },
         shown(text, "limits.memory_limit"))
      assert.same({ "false", "plan", line_of("profiles/testing.lua", "durable = ") }, shown(text, "checkpoint.durable"))
      assert.same({ "true", "policy", "built-in" }, shown(text, "checkpoint.auto_cleanup"))
      assert.same({ "function", "policy", line_of("profiles/production.lua", "network_failure = function") },
         shown(text, "on_error.network_failure"))
   end)

   it("lays the job's recovery and --set over it", function()
      file("job.lua", 'local mr = require "mr"\nreturn mr.job { map = print, error_types = { "rate_limited" },\n' ..
         "recovery = { retry = { base_delay_seconds = '2s' },\non_error = { rate_limited = 'stop' } } }")
      local text = out("show", "production", "--job", "job.lua", "--set", "retry.max_retries=1")
      assert.same({ "1", "policy", "--set retry.max_retries" }, shown(text, "retry.max_retries"))
      assert.same({ "stop", "policy", "job.lua:4" }, shown(text, "on_error.rate_limited"))
      text = out("show", file("p.lua", "return {}"), "--job", "job.lua")
      assert.same({ "2", "policy", "job.lua:3" }, shown(text, "retry.base_delay_seconds"))
   end)

   it("prints JSON", function()
      local text = out("show", file("p.lua", "return { limits = { memory_limit = '1G' },\n" ..
         " on_error = { timeout = { max_retries = 2 } } }"), "--json")
      local shown_values = {}
      for _, one in ipairs(cjson.decode(text).values) do shown_values[one.key] = one end
      assert.same({ key = "limits.memory_limit", value = 1 << 30, kind = "policy", source = "./p.lua:1" },
         shown_values["limits.memory_limit"])
      assert.same({ key = "on_error.timeout.max_retries", value = 2, kind = "policy", source = "./p.lua:2" },
         shown_values["on_error.timeout.max_retries"])
      assert.equal(1, select(2, text:gsub("\n", "")))
   end)

   it("gives values as --set takes them", function()
      for key, value in pairs { ["limits.memory_limit"] = "1536M", ["retry_budget.refill_per_success"] = "0.25",
         ["limits.max_quarantined"] = "0.5%", ["retry.jitter"] = "none", ["speculation.enabled"] = "false",
         ["failure_simulation.target_tasks"] = "map_*,reduce_1", ["limits.task_timeout_seconds"] = "90" } do
         assert.equal(value, shown(out("show", "production", "--set", key .. "=" .. value), key)[1])
      end
   end)

   it("takes a file of the name of lmr's own for what it is", function()
      h.sh("mkdir profiles", { dir = dir })
      h.write(dir, "profiles/production.lua", "return { retry = { max_retries = 1 } }")
      assert.same({ "1", "policy", "profiles/production.lua:1" },
         shown(out("show", "profiles/production.lua"), "retry.max_retries"))
   end)

   it("lets nothing a file holds steer the terminal", function()
      local text = out("show", file("p.lua", 'return { checkpoint = { checkpoint_dir = "a\\27[31mb\\nc" } }'))
      assert.is_nil(text:find("\27", 1, true))
   end)
end)

describe("lmr profile check", function()
   it("takes a good file", function()
      assert.equal("./p.lua: a good profile, with 1 function and 0 warnings\n",
         out("check", file("p.lua", "return { on_error = { timeout = function() end, network_failure = false } }")))
      for _, name in ipairs { "development", "production", "testing" } do
         assert.matches(": a good profile, with 1 function and 0 warnings\n$", out("check", name))
      end
   end)

   it("refuses a wrong one, with its line", function()
      refused("./p.lua:2: retry has no 'max_retrys'; is it 'max_retries'?", "check",
         file("p.lua", "return { retry = {\n max_retrys = 1 } }"))
      refused("./p.lua:1: unexpected symbol near <eof>", "check", file("p.lua", "return {"))
      refused("profile ./none.lua: cannot open ./none.lua: No such file or directory", "check", "./none.lua")
      refused("no profile 'prodction'; is it 'production'? (a file is named by a path such as ./prodction.lua)",
         "check", "prodction")
   end)

   it("warns of what is allowed and hardly meant", function()
      local result = lmr("check", file("p.lua", [[return {
         retry = { max_retries = 30,
                   base_delay_seconds = 100 },
         limits = { max_quarantined = 0 },
         on_error = { bad_record = "quarantine",
                      timeout = { max_retries = 25 },
                      rate_limited = "stop" },
         retry_budget = { tokens = 0 },
      }]]))
      assert.same({
         "lmr: warning: ./p.lua:7: on_error.rate_limited: no type of lmr's own; it stands for jobs with " ..
            "error_types = { \"rate_limited\" }",
         "lmr: warning: ./p.lua:3: retry.base_delay_seconds = 100 is more than max_delay_seconds = 60: every delay " ..
            "is 60 s",
         "lmr: warning: ./p.lua:2: retry.max_retries = 30 is never reached: limits.max_attempts = 20 ends a task " ..
            "before",
         "lmr: warning: ./p.lua:8: retry_budget.tokens = 0: not one retry may be made",
         "lmr: warning: ./p.lua:5: on_error.bad_record is quarantine, but limits.max_quarantined is 0: no record " ..
            "may be put aside",
         "lmr: warning: ./p.lua:6: on_error.timeout.max_retries = 25 is never reached: limits.max_attempts = 20 " ..
            "ends a task before",
      }, h.lines(result.err))
      assert.equal(0, result.code)
      assert.equal("./p.lua: a good profile, with 1 function and 6 warnings\n", result.out)
      assert.equal(6, #cjson.decode(out("check", "./p.lua", "--json")).warnings)
   end)

   it("tells what its functions raise or return wrongly", function()
      local result = lmr("check", file("p.lua", [[return { on_error = {
         timeout = function(err) return err.nonsense.x end,
         bad_record = function() return "quarantin" end,
         task_crash = function(err, ctx) return ctx.retry > 1 and "fail" or nil end } }]]))
      assert.same({
         "lmr: warning: ./p.lua:2: err has no field 'nonsense'; it has: type, message, traceback, details, task, " ..
            "attempt, worker, exit_status, signal, file, offset, record, key, elapsed_seconds, memory_peak, " ..
            "fingerprint, simulated",
         "lmr: warning: ./p.lua:3: returned \"quarantin\", which is no verdict; is it \"quarantine\"?",
      }, h.lines(result.err))
      assert.equal(0, result.code)
   end)

   it("stops code that does not end", function()
      for _, text in ipairs { "while true do pcall(function() while true do end end) end",
         "return { on_error = { timeout = function() while true do end end } }" } do
         refused("the code of the profile or job took longer than 3 s and was stopped; a profile is a table of " ..
            "settings, and its functions decide at once", "check", file("p.lua", text))
      end
      refused("the code of the profile or job did not end and could not be stopped; a profile is a table of " ..
         "settings, and its functions decide at once", "check",
         file("p.lua", 'string.find(("a"):rep(40), (".-"):rep(20) .. "b")'))
   end)

   it("gives the code of a profile 64 MB", function()
      refused("./p.lua: it needs more than 64 MB of memory; a profile is a table of settings", "check",
         file("p.lua", "local t = {} for i = 1, 1e9 do t[i] = i end return {}"))
   end)
end)

describe("lmr profile diff", function()
   it("prints what two profiles do not have in common", function()
      local lines = h.lines(out("diff", "production", file("p.lua",
         "return { retry = { max_retries = 2 }, on_error = { timeout = 'stop', network_failure = false } }")))
      assert.equal(4, #lines)
      assert.matches("^ +production +%./p%.lua$", lines[1])
      assert.matches("^retry%.max_retries +7 +2$", lines[2])
      assert.matches("^on_error%.network_failure +function profiles/production%.lua:%d+ +%-$", lines[3])
      assert.matches("^on_error%.timeout +%- +stop$", lines[4])
      assert.equal("no difference\n", out("diff", "production", "production"))
      local all = cjson.decode(out("diff", "production", "./p.lua", "--json")).differences
      assert.same({ key = "retry.max_retries", a = { value = 7, source = line_of("profiles/production.lua",
         "max_retries = ") }, b = { value = 2, source = "./p.lua:1" } }, all[1])
   end)
end)

-- Steps of the first scenario of a type, or of the one named `when`.
local function steps(name, type_name, when, ...)
   for _, one in ipairs(cjson.decode(out("explain", name, "--json", ...)).types) do
      for _, scenario in ipairs(one.type == type_name and one.scenarios or {}) do
         if not when or scenario.when == when then return scenario.steps end
      end
   end
end

local SAME = "at the same record each time"

-- What is decided at each failure, in short.
local function actions(list)
   local short = {}
   for i, step in ipairs(list) do short[i] = step.action end
   return table.concat(short, " ")
end

local function spans(list)
   local all = {}
   for i, step in ipairs(list) do
      if step.action == "retry" then all[i] = { step.delay_least, step.delay_most } end
   end
   return all
end

describe("lmr profile explain", function()
   it("gives the delays of each strategy, and what jitter may make of them", function()
      local base, max, factor, retries = 0.5, 20, 3, 6
      local delay = {
         immediate = function() return 0 end, fixed_delay = function() return base end,
         linear_backoff = function(n) return base * n end,
         exponential_backoff = function(n) return base * factor ^ (n - 1) end,
      }
      local range = {
         none = function(d) return { d, d } end, full = function(d) return { 0, d } end,
         equal = function(d) return { d / 2, d } end,
      }
      for strategy, f in pairs(delay) do
         for jitter, between in pairs(range) do
            local expected = {}
            for n = 1, retries do expected[n] = between(math.min(f(n), max)) end
            local list = steps(file("p.lua", ([[return { retry = { strategy = "%s", jitter = "%s", max_retries = %d,
               base_delay_seconds = %g, max_delay_seconds = %g, backoff_multiplier = %g } }]]):format(strategy, jitter,
               retries, base, max, factor)), "task_crash")
            assert.same(expected, spans(list))
            assert.equal(("retry "):rep(retries) .. "fail", actions(list))
         end
      end
      local expected = {}
      for n = 1, retries do expected[n] = { base, math.min(base * 3 ^ n, max) } end
      assert.same(expected, spans(steps(file("p.lua", ([[return { retry = { jitter = "decorrelated", max_retries = %d,
         base_delay_seconds = %g, max_delay_seconds = %g } }]]):format(retries, base, max)), "task_crash")))
   end)

   it("tells the built-in verdicts of production", function()
      assert.equal("retry quarantine", actions(steps("production", "task_crash", SAME)))
      assert.equal("retry quarantine", actions(steps("production", "timeout", SAME)))
      assert.equal("quarantine", actions(steps("production", "bad_record")))
      assert.equal("quarantine", actions(steps("production", "script_error")))
      assert.equal("stop", actions(steps("production", "network_failure", "the server answers 401")))
      assert.equal("fail", actions(steps("production", "network_failure", "the server answers 404")))
      assert.equal("retry retry retry stop", actions(steps("production", "disk_full")))
      assert.equal("retry fail", actions(steps("production", "data_corruption", "in an input file")))
      local memory = {}
      for i, step in ipairs(steps("production", "memory_error", SAME)) do memory[i] = step.memory_limit or false end
      assert.same({ 1 << 30, 2 << 30, 4 << 30, false }, memory)
      assert.equal("fail", actions(steps("development", "bad_record")))
      assert.same({ { 0.1, 0.1 }, { 0.1, 0.1 } }, spans(steps("development", "task_crash")))
      assert.same({ { 0, 0 }, { 0, 0 }, { 0, 0 } }, spans(steps("testing", "task_crash")))
   end)

   it("names the rule that decides, and calls functions with what such a failure looks like", function()
      local name = file("p.lua", [[return { on_error = {
         timeout = function(err, ctx)
            assert(err.details.limit == "progress_timeout_seconds" and err.type == "timeout")
            assert(ctx.limits.max_attempts == 20 and ctx.job.failures.timeout == ctx.retry)
            assert(ctx.attempt == ctx.failures)
            if ctx.retry > 2 then return { action = "stop", reason = "enough" } end
            return { action = "retry", delay_seconds = 10 * ctx.retry, timeout_seconds = 60, fresh_worker = true }
         end,
         disk_full = { max_retries = 1, strategy = "fixed_delay", jitter = false, on_exhausted = "abort" },
         bad_record = "drop_task",
         task_crash = { max_retries = 2, strategy = function(retry) return retry * retry end, jitter = "equal" },
      } }]])
      local list = steps(name, "timeout")
      assert.equal("retry retry stop", actions(list))
      assert.same({ { 10, 10 }, { 20, 20 } }, spans(list))
      assert.same({ "./p.lua:2", "enough" }, { list[3].rule, list[3].reason })
      assert.same({ 60, true }, { list[1].timeout_seconds, list[1].fresh_worker })
      list = steps(name, "disk_full")
      assert.equal("retry abort", actions(list))
      assert.same({ "./p.lua:9", "./p.lua:9" }, { list[1].rule, list[2].rule })
      assert.equal("drop_task", actions(steps(name, "bad_record")))
      list = steps(name, "task_crash")
      assert.same({ { 0.5, 1 }, { 2, 4 } }, spans(list))
   end)

   it("shows the bounds: attempts and the retry budget", function()
      local list = steps("production", "task_crash", nil, "--set", "limits.max_attempts=3")
      assert.equal("retry retry fail", actions(list))
      assert.equal("limits.max_attempts", list[3].rule)
      list = steps("production", "task_crash", nil, "--set", "retry_budget.tokens=1")
      assert.equal("retry fail", actions(list))
      assert.equal("retry_budget", list[2].rule)
   end)

   it("lets the built-in verdict stand where a function fails, and says so", function()
      local name = file("p.lua", "return { on_error = { bad_record = function(err) return err.record + {} end } }")
      local list = steps(name, "bad_record")
      assert.equal("quarantine", actions(list))
      assert.equal("built-in: bad_record", list[1].rule)
      assert.matches("the policy failed (./p.lua:1: attempt to perform arithmetic on a table value", list[1].reason,
         1, true)
   end)

   it("knows the job's own types, and its recovery", function()
      file("job.lua", 'local mr = require "mr"\nreturn mr.job { map = print, error_types = { "rate_limited" },\n' ..
         "recovery = { on_error = { rate_limited = { max_retries = 1,\nstrategy = 'immediate' } } } }")
      local list = steps("testing", "rate_limited", SAME, "--job", "job.lua")
      assert.equal("retry quarantine", actions(list))
      assert.equal("job.lua:3", list[1].rule)
   end)

   it("prints delays as a span, equal lines as one, and the table of built-in verdicts", function()
      local text = out("explain", "production")
      assert.matches("\n    2  retry after 0–2 s   built%-in: task_crash  retry 2 of 7\n", text)
      assert.matches("\n    1–19  recompute ", text)
      assert.matches("\n    1  stop  +profiles/production%.lua:%d+  access refused %(401%)", text)
      local built_in = text:match("\nBuilt%-in verdicts, [^\n]+:\n(.*)$")
      for _, name in ipairs { "task_crash", "network_failure", "disk_full", "memory_error", "timeout",
         "data_corruption", "script_error", "bad_record" } do
         assert.matches("  " .. name .. " ", built_in, 1, true)
         assert.matches("\n" .. name .. ": ", text, 1, true)
      end
      local one = out("explain", "production", "--type", "disk_full")
      assert.matches("\ndisk_full: ", one, 1, true)
      assert.is_nil(one:find("task_crash:", 1, true))
      assert.equal(#h.lines(one), #h.lines((one:gsub("\n  script_error", ""))))
   end)

   it("says what happens", function()
      h.write(dir, "in.txt", "a\n")
      file("job.lua", [[local mr = require "mr"
         return mr.job { error_types = { "busy" }, map = function() mr.fail("busy", "later") end,
            recovery = { on_error = { busy = function(err, ctx)
               if ctx.retry > 2 then return "stop" end
               return { action = "retry", delay_seconds = 0.1 * ctx.retry }
            end } } }]])
      local run = h.run({ "run", "job.lua", "in.txt", "--workers", "1" }, { dir = dir })
      assert.equal(75, run.code)
      local happened = {}
      for delay, rule in run.err:gmatch("trying again in ([%d.]+) s %((.-)%)") do
         happened[#happened + 1] = { tonumber(delay), rule }
      end
      local said = {}
      for i, step in ipairs(steps("production", "busy", SAME, "--job", "job.lua")) do
         said[i] = step.action == "retry" and { step.delay_most, step.rule } or nil
      end
      assert.same({ { 0.1, "job.lua:3" }, { 0.2, "job.lua:3" } }, said)
      assert.same(said, happened)
   end)

   it("refuses a type that is none", function()
      refused("no error type 'timout'; is it 'timeout'?", "explain", "production", "--type", "timout")
      refused("no error type 'xyzzy'; there are: task_crash, network_failure, disk_full, memory_error, timeout, " ..
         "data_corruption, script_error, bad_record", "explain", "production", "--type", "xyzzy")
   end)
end)

describe("lmr profile", function()
   it("says what is missing or too much", function()
      refused("which command? lmr profile list, show, check, diff, explain or use; see lmr help profile")
      refused("no command lmr profile shw; did you mean lmr profile show?", "shw")
      refused("no command lmr profile xyzzy; lmr help profile lists them", "xyzzy")
      refused("lmr profile show needs a profile: its name or file; usage: lmr profile show NAME|FILE", "show")
      refused("lmr profile diff needs two profiles; usage: lmr profile diff NAME|FILE NAME|FILE", "diff", "production")
      refused("lmr profile list does not take x; usage: lmr profile list", "list", "x")
      refused("--type is for lmr profile explain", "show", "production", "--type", "timeout")
   end)
end)
