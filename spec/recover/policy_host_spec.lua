-- Policy functions run in a process of their own, which answers questions and may be lost at any time.
local h = require "spec.helper"
local json = require "cjson"
local support = require "spec.recover.policy_support"

local setup, run, ask, config_step, load = support.setup, support.run, support.ask, support.config, support.load
local WAIT, HANG = support.WAIT, support.HANG

-- What functions answer to one question each.
local function answers_of(bodies, more, options)
   local config, dir = setup(bodies, options)
   local steps = { config_step(config) }
   for i in ipairs(bodies) do steps[#steps + 1] = ask(i, i, more) end
   steps[#steps + 1] = WAIT
   return run(steps).answers, dir
end

describe("a policy function", function()
   it("is given err and ctx as they are documented", function()
      local show = [[
         local texts = {}
         local function show(t, prefix)
            local keys = {}
            for key in pairs(t) do keys[#keys + 1] = key end
            table.sort(keys)
            for _, key in ipairs(keys) do
               if type(t[key]) == "table" then show(t[key], prefix .. key .. ".")
               else
                  local kind = math.type(t[key]) or type(t[key])
                  texts[#texts + 1] = ("%s%s=%s:%s"):format(prefix, key, kind, t[key])
               end
            end
         end
         show(%s, "")
         return { action = "fail", reason = table.concat(texts, " ") }]]
      local given = {
         err = { type = "network_failure", message = "401", traceback = "tb", file = "in.txt", offset = 7, record = 3,
                 key = "k", retry_after = 2.5, details = "status\t401\nurl\thttp://x\nratio\t-0.5\nempty\t\n",
                 exit_status = 9, signal = 11, elapsed_seconds = 1.5, memory_peak = 4096, simulated = true },
         task = "2.7:map_0", attempt = 2, worker = 4711, fingerprint = 255,
         ctx = { attempt = 2, retry = 3, failures = 2, same_failures = 1, elapsed_seconds = 12.5, budget_left = 99.5,
                 now = 1700000000.5, limits = { max_attempts = 20, memory_limit = 512 << 20 },
                 job = { tasks = 40, done = 11, failures = { timeout = 5 } } },
      }
      local answers = answers_of({ (show:gsub("show%(%%s", "show(err")), (show:gsub("show%(%%s", "show(ctx")) }, given)
      assert.equal("attempt=integer:2 details.empty=string: details.ratio=float:-0.5 details.retry_after=float:2.5 " ..
         "details.status=integer:401 details.url=string:http://x elapsed_seconds=float:1.5 exit_status=integer:9 " ..
         "file=string:in.txt fingerprint=string:00000000000000ff key=string:k memory_peak=integer:4096 " ..
         "message=string:401 offset=integer:7 record=integer:3 signal=integer:11 simulated=boolean:true " ..
         "task=string:2.7:map_0 traceback=string:tb type=string:network_failure worker=integer:4711",
         answers[1].answer.reason)
      assert.equal("attempt=integer:2 budget_left=float:99.5 elapsed_seconds=float:12.5 failures=integer:2 " ..
         "job.done=integer:11 job.failures.timeout=integer:5 job.tasks=integer:40 limits.max_attempts=integer:20 " ..
         "limits.memory_limit=integer:536870912 now=float:1700000000.5 retry=integer:3 same_failures=integer:1",
         answers[2].answer.reason)
   end)

   it("finds nil where nothing is known, and an error where a name is mistyped", function()
      local answers = answers_of {
         "local e = err return (e.signal or e.record or e.file or e.fingerprint or e.key) == nil and 'fail' or 'stop'",
         "return err.exitstatus", "return ctx.trys", "return ctx.job.task", "return err.details.status",
         "return ctx.job.failures.timeout + ctx.job.failures.a01 == 0 and 'abort'", "return ctx.job.failures.timeuot",
      }
      assert.equal("fail", answers[1].answer)
      assert.matches("my.lua:5: err has no field 'exitstatus'; is it 'exit_status'%?$", answers[2].problem)
      assert.matches("my.lua:6: ctx has no field 'trys'; it has: attempt, ", answers[3].problem)
      assert.matches("my.lua:7: ctx.job has no field 'task'; is it 'tasks'%?$", answers[4].problem)
      assert.equal(json.null, answers[5].answer)
      assert.equal("abort", answers[6].answer)
      assert.matches("no error type 'timeuot'; is it 'timeout'%?$", answers[7].problem)
   end)

   it("answers nil, a name, or a table, which comes in one form", function()
      local answers = answers_of {
         "", "return nil", "return 'drop_task'", "return 'retry', 'and more'",
         "return { action = 'retry', delay_seconds = '1.5s', memory_limit = '1G', timeout_seconds = 60, " ..
            "fresh_worker = true, reason = 'so' }",
         "return { action = 'quarantine' }", "return { action = 'retry', delay_seconds = 0 }",
      }
      assert.equal(json.null, answers[1].answer)
      assert.equal(json.null, answers[2].answer)
      assert.equal("drop_task", answers[3].answer)
      assert.equal("retry", answers[4].answer)
      assert.same({ action = "retry", delay_seconds = 1.5, memory_limit = 1 << 30, timeout_seconds = 60,
                    fresh_worker = true, reason = "so" }, answers[5].answer)
      assert.same({ action = "quarantine" }, answers[6].answer)
      assert.same({ action = "retry", delay_seconds = 0 }, answers[7].answer)
   end)

   it("is told what is wrong with nonsense, and where it stands", function()
      local cases = {
         { "return 'retyr'", 'returned "retyr", which is no verdict; is it "retry"?' },
         { "return 'zzzzz'", 'returned "zzzzz", which is no verdict; there are retry, quarantine, ' },
         { "return ''", 'returned "", which is no verdict' },
         { "return true", "returned true; a policy function returns nil, a verdict's name, or a table such as" },
         { "return 7", "returned 7; a policy function returns" },
         { "return print", "returned nil" }, -- no print in a profile: see below
         { "return function() end", "returned a function; " },
         { "return {}", "the verdict it returned has no action" },
         { "return { 'retry' }", "the verdict it returned has no '1'" },
         { "return { action = 'retyr' }", 'returned "retyr", which is no verdict; is it "retry"?' },
         { "return { action = 5 }", "action must be a verdict's name, such as \"retry\", not 5" },
         { "return { action = 'retry', delay = 3 }", "the verdict it returned has no 'delay'" },
         { "return { action = 'retry', delay_secs = 3 }", "has no 'delay_secs'; is it 'delay_seconds'?" },
         { "return { action = 'retry', delay_seconds = -1 }", "delay_seconds must be a number of seconds" },
         { "return { action = 'retry', delay_seconds = 0/0 }", "delay_seconds must be a number of seconds" },
         { "return { action = 'retry', delay_seconds = math.huge }", "delay_seconds must be a number of seconds" },
         { "return { action = 'retry', delay_seconds = {} }", "delay_seconds must be a number of seconds" },
         { "return { action = 'retry', timeout_seconds = 0 }", "timeout_seconds must be more than 0" },
         { "return { action = 'retry', memory_limit = '1 elephant' }", "memory_limit must be a size" },
         { "return { action = 'retry', memory_limit = 7 }", "memory_limit must be a size of at least 1048576 bytes" },
         { "return { action = 'retry', fresh_worker = 1 }", "fresh_worker must be true or false, not 1" },
         { "return { action = 'retry', reason = {} }", "reason must be a string, not a table" },
         { "local t = {} t.action = t return t", "action must be a verdict's name" },
      }
      local bodies = {}
      for i, case in ipairs(cases) do bodies[i] = case[1] end
      local answers = answers_of(bodies)
      for i, case in ipairs(cases) do
         if case[2] == "returned nil" then
            assert.equal(json.null, answers[i].answer)
         else
            assert.equal("script_error", answers[i].type)
            local start = answers[i].problem:match("/my%.lua:(%d+): ")
            assert.equal(tostring(i + 3), start)
            assert.truthy(answers[i].problem:find(case[2], 1, true), answers[i].problem .. " / " .. case[2])
         end
      end
   end)

   it("may raise any error; the message tells the line", function()
      local answers = answers_of {
         "error('no idea')", "local x = err.details.status.code", "error({})", "error(nil)", "error()",
         "local function f(a, b) local c, d, e, g, j, k = a, b return f(c, d, e, g, j, k) + 1 end return f()",
         "return os.exit(1)", "return io.open('x')",
         "return debug.sethook()", "return load('return 1')()", "coroutine.yield()",
         "return ('x'):rep(100000):gsub('.', function() error('deep') end)",
         "local function again(s) return (s:gsub('.', again)) end return again('x')",
         "error('a\\0b\\27[31m')",
      }
      for i, text in ipairs {
         "no idea", "attempt to index a nil value", "error object is a table value", "nil", "nil", "stack overflow",
         "attempt to index a nil value (global 'os')", "global 'io'", "global 'debug'", "global 'load'",
         "global 'coroutine'", "deep", "stack overflow",
      } do
         assert.equal("script_error", answers[i].type)
         assert.truthy(answers[i].problem:find("my.lua:" .. i + 3 .. ": ", 1, true), answers[i].problem)
         assert.truthy(answers[i].problem:find(text, 1, true), answers[i].problem)
      end
      assert.equal("script_error", answers[14].type)
   end)

   it("of a job may use all of Lua, and is no better off for it", function()
      local answers = answers_of({
         "error(setmetatable({}, { __tostring = function() return 'told' end }))",
         "error(setmetatable({}, { __tostring = function() error('worse') end }))",
         "return setmetatable({ action = 'stop' }, { __index = { reason = 'not this' } })",
         "return setmetatable({}, { __pairs = function() while true do end end })",
         "error(setmetatable({}, { __tostring = function() while true do end end }))",
         "local function f() while true do end end return coroutine.wrap(function() while true do pcall(f) end end)()",
         "return coroutine.wrap(function() coroutine.yield('fail') end)()", "coroutine.yield()",
         "mr.fail('a02', 'failed')", "return require('mr').fail('a01', 'failed')", "return require('mr').task().id",
      }, nil, { in_job = true })
      for i, text in pairs {
         "told", "worse", [4] = "took longer than 1 s", [5] = "took longer than 1 s", [6] = "could not be stopped",
         [8] = "outside a coroutine", [9] = "failed", [10] = "failed", [11] = "inside a running task",
      } do
         assert.truthy(answers[i].problem:find("job.lua:" .. i + 3 .. ": ", 1, true), answers[i].problem)
         assert.truthy(answers[i].problem:find(text, 1, true), answers[i].problem)
      end
      assert.same({ action = "stop" }, answers[3].answer)
      assert.equal("fail", answers[7].answer)
   end)

   it("of a job's own recovery is numbered after those of the profile asked for", function()
      local config, dir = setup({ "return 'fail'" }, {
         recovery = "on_error = { timeout = function(err) return 'stop' end },",
         profile = "retry = { strategy = function(retry, ctx) return retry * 1.5 + ctx.failures end },",
      })
      assert.is_string(dir)
      local answers = run { config_step(config),
         ask(1), ask(2, 2, { for_delay = true, ctx = { retry = 3, failures = 2 } }), ask(3),
         ask(4, 1, { for_delay = true }), ask(5, 4), ask(6, 0), WAIT }.answers
      assert.equal("fail", answers[1].answer)
      assert.equal(6.5, answers[2].answer)
      assert.equal("stop", answers[3].answer)
      assert.matches("returned \"%a+\"; a strategy returns a number of seconds", answers[4].problem)
      assert.equal("there is no policy function number 4", answers[5].problem)
      assert.equal("there is no policy function number 0", answers[6].problem)
   end)
end)

describe("a policy host", function()
   it("is stopped when a function loops, whatever it catches", function()
      local answers = answers_of {
         "while true do end", "while true do pcall(function() while true do end end) end", "return 'fail'",
      }
      for i = 1, 2 do
         assert.equal("timeout", answers[i].type)
         assert.matches("/my%.lua:" .. i + 3 .. ": the policy function took longer than 1 s$", answers[i].problem)
      end
      assert.equal("fail", answers[3].answer)
   end)

   it("is replaced when a function needs too much memory", function()
      local answers = answers_of {
         "local t = {} while true do t[#t + 1] = {} end", "return ('x'):rep(1 << 30)",
         "local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end) end",
         "kept = kept or {} for i = 1, 1000 do kept[#kept + 1] = ('x'):rep(1000) .. #kept end return 'fail'",
         "return { action = 'retry', reason = ('x'):rep(10 << 20) }",
      }
      for i = 1, 3 do
         assert.equal("memory_error", answers[i].type)
         assert.matches("/my%.lua:" .. i + 3 .. ": the policy function needs more than 64 MB of memory$",
            answers[i].problem)
      end
      assert.equal("fail", answers[4].answer)
      assert.equal(500, #answers[5].answer.reason)
   end)

   it("lets garbage be garbage", function()
      local config = setup { "local s = '' for i = 1, 20 do s = ('x'):rep(1 << 20) .. i end return 'fail'" }
      local steps = { config_step(config) }
      for i = 1, 20 do steps[#steps + 1] = ask(i, 1) end
      steps[#steps + 1] = WAIT
      local answers = run(steps).answers
      for i = 1, 20 do assert.equal("fail", answers[i].answer) end
   end)

   it("is killed when it hangs where nothing stops it; those who wait behind are answered", function()
      local config = setup { HANG, "return 'fail'" }
      local steps = { config_step(config), ask(1, 2), ask(2, 1) }
      for i = 3, 50 do steps[#steps + 1] = ask(i, 2) end
      steps[#steps + 1] = WAIT
      local said = run(steps)
      assert.equal("timeout", said.answers[2].type)
      assert.matches("/my%.lua:4: the policy function gave no answer within 2 s, and could not be stopped",
         said.answers[2].problem)
      for i = 1, 50 do
         assert.equal(i, said.order[i])
         if i ~= 2 then assert.equal("fail", said.answers[i].answer) end
      end
      assert.is_true(said.turns >= 20, "the loop turned " .. said.turns .. " times") -- of 200 in two seconds
   end)

   it("does not ask a function that was lost three times; the others are asked", function()
      local config = setup { "while true do end", "return 'fail'" }
      local steps = { config_step(config) }
      for i = 1, 40 do steps[i + 1] = ask(i, i % 8 == 0 and 2 or 1) end
      steps[#steps + 1] = WAIT
      steps[#steps + 1] = load(config)
      steps[#steps + 1] = WAIT
      steps[#steps + 1] = ask(50, 1)
      steps[#steps + 1] = WAIT
      local answers = run(steps).answers
      for i = 1, 40 do
         if i % 8 == 0 then
            assert.equal("fail", answers[i].answer)
         elseif i > 3 then
            assert.equal("timeout", answers[i].type)
            assert.matches("/my%.lua:4: the policy function took longer than 1 s; this was the case 3 times, " ..
               "so the function is switched off$", answers[i].problem)
         end
      end
      assert.matches("took longer than 1 s$", answers[50].problem)
   end)

   it("may die of a function", function()
      local config = setup({ "os.exit(7)", "os.execute('kill -9 $PPID')", "return 'fail'" }, { in_job = true })
      local answers = run { config_step(config), ask(1, 1), ask(2, 2), ask(3, 3), ask(4, 1), ask(5, 1),
                            ask(6, 1), ask(7, 3), WAIT }.answers
      assert.equal("task_crash", answers[1].type)
      assert.matches("/job%.lua:4: the process that ran the policy function died %(exit status 7%)$",
         answers[1].problem)
      assert.matches("/job%.lua:5: the process that ran the policy function died %(killed by signal 9, Killed%)$",
         answers[2].problem)
      assert.equal("fail", answers[3].answer)
      assert.matches("switched off$", answers[6].problem)
      assert.equal("fail", answers[7].answer)
   end)

   it("is started again when somebody killed it", function()
      local config = setup { "return 'fail'" }
      local answers = run { config_step(config), ask(1), WAIT, { ["do"] = "kill" }, ask(2, 1), WAIT,
                            { ["do"] = "kill" }, ask(3, 1), ask(4, 1), WAIT }.answers
      for i = 1, 4 do
         -- One that was on its way at that moment is answered with the death, and only that one.
         assert.is_true(answers[i].answer == "fail" or i ~= 1 and answers[i].type == "task_crash")
      end
      assert.equal("fail", answers[4].answer)
   end)

   it("keeps nothing from one question to the next host, and what it keeps in between is its own affair", function()
      local config = setup { "n = (n or 0) + 1 return { action = 'retry', delay_seconds = n }" }
      local answers = run { config_step(config), ask(1), ask(2, 1), WAIT, { ["do"] = "kill" } }.answers
      assert.equal(1, answers[1].answer.delay_seconds)
      assert.equal(2, answers[2].answer.delay_seconds)
   end)

   it("tells those who wait when its profile does not load, and is not started for ever", function()
      local config, dir = setup { "return 'fail'" }
      h.write(dir, "my.lua", "return {\n   retry = { max_retrys = 3 },\n}\n")
      local steps = { config_step(config) }
      for i = 1, 5 do
         steps[#steps + 1] = ask(2 * i, 1)
         steps[#steps + 1] = ask(2 * i + 1, 1)
         steps[#steps + 1] = WAIT
      end
      local answers = run(steps).answers
      for i = 2, 11 do
         assert.equal("usage", answers[i].type)
         assert.matches("my.lua:2: .*max_retrys.*max_retries", answers[i].problem)
      end
      config.job = dir .. "/gone.lua"
      answers = run { config_step(config), ask(1), WAIT }.answers
      assert.matches("gone.lua", answers[1].problem)
   end)

   it("refuses files that changed since the job took its rules", function()
      local config, dir = setup { "return 'fail'" }
      local other = h.write(dir, "other.lua", "return { on_error = { a01 = 'stop', timeout = function() end } }\n")
      local said = run { load(config), WAIT, config_step(config, true), ask(1), WAIT,
                         config_step({ job = config.job, profile = other }, true), ask(2, 1), WAIT,
                         config_step(config, true), ask(3, 1), WAIT }
      assert.equal("fail", said.answers[1].answer)
      assert.equal("usage", said.answers[2].type)
      assert.matches("changed since the job took its rules; lmr profile use", said.answers[2].problem)
      assert.equal("fail", said.answers[3].answer)
   end)

   it("goes with its driver", function()
      local config = setup { HANG }
      local script = support.lines { config_step(config), ask(1), { ["do"] = "serve", dir = h.tmpdir() } }
      local driver = h.background({}, { binary = support.probe, stdin = script })
      local child = h.poll(10, function()
         return tonumber(h.read(("/proc/%d/task/%d/children"):format(driver:pid(), driver:pid())) or "")
      end)
      driver:kill("KILL")
      h.poll(10, function()
         local status = h.read(("/proc/%d/status"):format(child))
         return not status or status:find("State:%s+Z")
      end)
   end)

   it("is killed when the driver closes with questions open", function()
      local config = setup { HANG }
      local said = run { config_step(config), ask(1), load(config),
                         { ["do"] = "shut" } }
      assert.is_nil(said.answers[1])
   end)

   it("is not started by hand", function()
      local result = h.run({ "policy" })
      assert.equal(2, result.code)
      assert.equal("lmr: lmr policy is started by lmr run, not by hand\n", result.err)
   end)
end)

describe("other rules for a running job", function()
   it("take over when they hold; what waits is to be asked anew", function()
      local old = setup { HANG }
      local new = setup { "return 'stop'" }
      local said = run { config_step(old), ask(1), ask(2, 1), load(new), WAIT, ask(3, 1), WAIT }
      assert.is_true(said.loads[1].loaded)
      for id = 1, 2 do
         assert.equal("interrupted", said.answers[id].type)
         assert.equal("other rules were taken meanwhile", said.answers[id].problem)
      end
      assert.equal("stop", said.answers[3].answer)
   end)

   it("are not taken when they do not load; the old ones stand", function()
      local config, dir = setup { "return 'fail'" }
      local function broken(name, text)
         return load { job = config.job, profile = h.write(dir, name, text) }
      end
      local said = run {
         config_step(config), ask(1), WAIT,
         broken("syntax.lua", "return {\n   retry = = 3\n}\n"), WAIT,
         broken("key.lua", "return {\n   retry = { max_retrys = 3 },\n}\n"), WAIT,
         broken("nothing.lua", "-- nothing\n"), WAIT,
         broken("loop.lua", "while true do end"), WAIT,
         broken("big.lua", "local t = {} while true do t[#t + 1] = {} end"), WAIT,
         load { job = config.job, profile = dir .. "/gone.lua" }, WAIT,
         load { job = config.job, profile = "prodction" }, WAIT,
         ask(2, 1), WAIT,
      }
      for i, text in ipairs { "syntax%.lua:2: ", "key%.lua:2: .*max_retries", "nothing%.lua.*return",
                              "longer than 10 s to load", "64 MB", "gone%.lua", "production" } do
         assert.is_false(said.loads[i].loaded)
         assert.matches(text, said.loads[i].problem)
      end
      assert.equal("fail", said.answers[1].answer)
      assert.equal("fail", said.answers[2].answer)
   end)

   it("are loaded while the present ones are asked, one at a time", function()
      local config = setup { "return 'fail'" }
      local said = run { config_step(config), load(config), load(config), WAIT }
      assert.is_false(said.loads[1].loaded)
      assert.equal("another profile is being loaded; try again in a moment", said.loads[1].problem)
      assert.is_true(said.loads[2].loaded)
   end)

   it("change policy keys; keys of the plan stay, and are named", function()
      local old = setup({ "return 'fail'" }, {
         profile = "retry = { max_retries = 3 }, checkpoint = { durable = true }," })
      local new, dir = setup({ "return 'stop'" }, {
         profile = "retry = { max_retries = 7 }, checkpoint = { durable = false },\n" })
      local said = run { load(old), WAIT, load(new, true), WAIT }.loads[2]
      assert.is_true(said.loaded)
      assert.truthy(said.report:find("\n  retry.max_retries: 3 -> 7\n", 1, true), said.report)
      assert.truthy(said.report:find("  on_error.a01: a function (", 1, true), said.report)
      assert.truthy(said.report:find(dir .. "/my.lua:5", 1, true), said.report)
      assert.matches("\nignored for this run, as it is fixed when a job starts:\n" ..
         "  checkpoint%.durable: true %-> false$", said.report)
      assert.equal(7, said.profile.retry.max_retries)
      assert.is_true(said.profile.checkpoint.durable)
   end)

   it("say so when no value differs", function()
      local config = setup { "return 'fail'" }
      local said = run { load(config), WAIT, load(config, true), WAIT }.loads[2]
      assert.equal("  no value differs; policy functions were read anew", said.report)
   end)
end)
