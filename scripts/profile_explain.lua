-- profile_explain.lua: `lmr profile explain`: plays failures of each error type against the rules, by the arithmetic of
-- the driver (native.verdict), and tells what happens at each. Policy functions are called as the policy host does it.
local _, native = ...
local job_module = require "mr.job"
local policy = require "mr.policy"
local report = require "mr.profile_report"
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

local FAILURES_MAX = 200 -- of one task; limits.max_attempts ends most before
local ALIKE_MIN = 3      -- so many lines that say the same become one
local WIDTH = 100

-- --- what is played ---

local input, run = "input.txt", "map_0.0.run"
local at_record = { file = input, offset = 1024, record = 16 }

-- How each type occurs: `when` in words, `err` beside its type, and what the driver would know.
local scenarios = {
   task_crash = {
      { when = "and no record is to blame", err = { message = "the worker was killed by signal 9", signal = 9 } },
      { when = "at the same record each time", culprit = true,
        err = { message = "the worker was killed by signal 11", signal = 11 } },
   },
   network_failure = {
      { when = "the connection is refused",
        err = { message = "cannot connect", details = "curl\tCURLE_COULDNT_CONNECT\n" } },
      { when = "the server answers 503", err = { message = "the server answered 503", details = "status\t503\n" } },
      { when = "the server answers 401", err = { message = "the server answered 401", details = "status\t401\n" } },
      { when = "the server answers 404", err = { message = "the server answered 404", details = "status\t404\n" } },
   },
   disk_full = {
      { when = "on a write", err = { message = "cannot write part-00000: No space left on device" } },
   },
   memory_error = {
      { when = "and no record is to blame", err = { message = "not enough memory" } },
      { when = "at the same record each time", culprit = true, err = { message = "not enough memory" } },
   },
   timeout = {
      { when = "and no record is to blame",
        err = { message = "no progress", details = "limit\tprogress_timeout_seconds\n" } },
      { when = "at the same record each time", culprit = true,
        err = { message = "no progress", details = "limit\tprogress_timeout_seconds\n" } },
   },
   data_corruption = {
      { when = "in intermediate data of the job", is_run = true,
        err = { message = "a block's checksum does not hold", file = run, offset = 4096 } },
      { when = "in an input file", err = { message = "the file ends within a block", file = input .. ".gz" } },
   },
   script_error = {
      { when = "at a record", culprit = true, err = { message = "job.lua:7: attempt to index a nil value" } },
      { when = "and no record is to blame", err = { message = "job.lua:3: attempt to index a nil value" } },
   },
   bad_record = { { when = "at a record", culprit = true, err = { message = "not a number: x" } } },
}

local declared_scenarios = {
   { when = "and no record is to blame", err = { message = "mr.fail" } },
   { when = "at the same record each time", culprit = true, err = { message = "mr.fail" } },
}

local what = {
   task_crash = "the worker died", network_failure = "a remote input or a connection failed",
   disk_full = "no space is left", memory_error = "a task needs more memory than it may have",
   timeout = "a task shows no progress", data_corruption = "a checksum does not hold",
   script_error = "the job's Lua raised an error", bad_record = "a record that does not decode, or mr.reject",
}

-- --- one failure ---

local function err_of(name, scenario, n)
   local err = { type = name, task = "map_0", attempt = n - 1, worker = 1000 + n, elapsed_seconds = 10.0,
                 traceback = "", details = "", simulated = false }
   for _, fields in ipairs { scenario.culprit and at_record or {}, scenario.err } do
      for key, value in pairs(fields) do err[key] = value end
   end
   if scenario.culprit then err.fingerprint = 1 end
   return err
end

-- What the driver knows at failure n: all that came before was of this kind.
local function context_of(effective, scenario, n, state)
   local limits = effective.limits
   local quarantine = limits.max_quarantined
   return {
      attempt = n - 1, retry = n, failures = n - 1, same_failures = scenario.culprit and n or 1,
      elapsed_seconds = state.elapsed, memory_limit = state.memory, timeout_seconds = state.timeout,
      task_timeout_seconds = limits.task_timeout_seconds or 0,
      progress_timeout_seconds = limits.progress_timeout_seconds or 0,
      heartbeat_timeout_seconds = limits.heartbeat_timeout_seconds or 0,
      budget_left = math.max(effective.retry_budget.tokens - state.retries, 0), has_culprit = scenario.culprit or false,
      may_quarantine = type(quarantine) == "string" and tonumber(quarantine:match("[%d.]+")) > 0
         or math.type(quarantine) == "integer" and quarantine > 0,
      may_drop = true, is_run = scenario.is_run or false,
   }
end

local function copy(t)
   local out = {}
   for key, value in pairs(t) do out[key] = value end
   return out
end

-- Asks function number f as the policy host does; true and its answer, or false and what went wrong.
local function ask(loaded, f, for_delay, err, context)
   local ctx = {
      attempt = context.attempt, retry = context.retry, failures = context.failures,
      same_failures = context.same_failures, elapsed_seconds = context.elapsed_seconds,
      budget_left = context.budget_left, now = os.time(), limits = copy(loaded.profile.limits),
      job = { tasks = 10, done = 0, failures = { [err.type] = context.failures + 1 } },
   }
   local ok, answer = pcall(policy.call, f, for_delay, copy(err), ctx)
   if ok then return true, answer end
   local place, message = loaded.places[f], tostring(answer)
   local path = place:match("^(.*):%d+$")
   if for_delay then return false, ("the strategy of %s failed: %s"):format(place, message) end
   if path and message:find(path .. ":", 1, true) ~= 1 then message = ("%s: %s"):format(place, message) end
   return false, message
end

local function decide(loaded, rules, err, context, problems)
   local verdict, f, for_delay = native.verdict(rules, err, context)
   while not verdict do
      local ok, answer = ask(loaded, f, for_delay, err, context)
      if ok then
         verdict, f, for_delay = native.verdict_answer(rules, err, context, answer)
      else
         verdict = native.verdict_without(rules, err, context, answer)
         problems[#problems + 1] = answer
      end
   end
   return verdict
end

-- All failures of one task, each of the same kind, until it is over.
local function play(loaded, rules, name, scenario, problems)
   local effective = loaded.profile
   local steps = {}
   local state = { elapsed = 0, memory = effective.limits.memory_limit or 0, timeout = 0, retries = 0 }
   for n = 1, FAILURES_MAX do
      local err = err_of(name, scenario, n)
      state.elapsed = state.elapsed + err.elapsed_seconds
      local verdict = decide(loaded, rules, err, context_of(effective, scenario, n, state), problems)
      verdict.failure = n
      steps[n] = verdict
      if verdict.action == "retry" then state.retries = state.retries + 1
      elseif verdict.action ~= "recompute" then break end
      state.elapsed = state.elapsed + verdict.delay_most
      if verdict.memory_limit > 0 then state.memory = verdict.memory_limit end
      if verdict.timeout_seconds > 0 then state.timeout = verdict.timeout_seconds end
   end
   return steps
end

-- --- all types ---

local function types_of(effective, only)
   local names, known = {}, {}
   for _, name in ipairs(schema.error_types) do names[#names + 1], known[name] = name, true end
   for _, name in ipairs(validate.sorted_keys(effective.rules)) do
      if not known[name] then names[#names + 1] = name end
   end
   if not only then return names end
   for _, name in ipairs(names) do
      if name == only then return { name } end
   end
   local near = native.nearest(only, names)
   job_module.usage("no error type '%s'; %s", only, near and ("is it '%s'?"):format(near)
      or "there are: " .. table.concat(names, ", "))
end

-- { type, what, scenarios = { { when, steps } } } for each type, and what functions raised.
local function played(loaded, only)
   local rules, all, problems = native.rules(loaded.profile), {}, {}
   for _, name in ipairs(types_of(loaded.profile, only)) do
      local one = { type = name, what = what[name] or "declared by the job, raised by mr.fail", scenarios = {} }
      for i, scenario in ipairs(scenarios[name] or declared_scenarios) do
         one.scenarios[i] = { when = scenario.when, steps = play(loaded, rules, name, scenario, problems) }
      end
      all[#all + 1] = one
   end
   return all, problems
end

local function load(query, job)
   return policy.open(job or {}, { profile = query.words[1], set = query.set, job = query.job })
end

-- What the policy functions of a profile raise or return wrongly when they are asked: texts, each once.
function M.problems(query, job)
   local _, problems = played(load(query, job))
   local known, list = {}, {}
   for _, text in ipairs(problems) do
      if not known[text] then list[#list + 1] = text end
      known[text] = true
   end
   return list
end

-- --- as lines ---

-- "0.1 s", "2 min", as far as it is whole.
local function seconds(value)
   return ("%.4g"):format(value)
end

local function span(least, most)
   if least == most then return seconds(most) .. " s" end
   return ("%s–%s s"):format(seconds(least), seconds(most))
end

local function step_text(step)
   local delay = step.delay_most > 0 and " after " .. span(step.delay_least, step.delay_most) or ""
   if step.action == "retry" then
      return (delay == "" and "retry at once" or "retry" .. delay) .. (step.fresh_worker and ", fresh worker" or "")
   end
   return step.action .. delay
end

-- Steps i to j say the same, but for their number.
local function alike(a, b)
   return a.action == b.action and a.rule == b.rule and step_text(a) == step_text(b) and
      a.memory_limit == b.memory_limit and a.timeout_seconds == b.timeout_seconds and
      a.reason:gsub("%d+", "") == b.reason:gsub("%d+", "")
end

local function rows_of(steps)
   local rows, i = {}, 1
   while i <= #steps do
      local j = i
      while steps[j + 1] and alike(steps[i], steps[j + 1]) do j = j + 1 end
      if j - i + 1 < ALIKE_MIN then j = i end
      local number = j > i and ("%d–%d"):format(i, j) or tostring(i)
      local reason = steps[i].reason .. (steps[j].reason ~= steps[i].reason and " … " .. steps[j].reason or "")
      rows[#rows + 1] = { "    " .. number, step_text(steps[i]), steps[i].rule, reason }
      i = j + 1
   end
   return rows
end

local function waiting(steps)
   local least, most = 0, 0
   for _, step in ipairs(steps) do least, most = least + step.delay_least, most + step.delay_most end
   return most > 0 and #steps > 2 and ("; it waits %s in all"):format(span(least, most)) or ""
end

-- Words broken into lines, further ones with `indent` spaces before them.
local function wrapped(lines, lead, text)
   local line, indent = lead, (" "):rep(#lead)
   for word in text:gmatch("%S+") do
      if #line > #indent and utf8.len(line) + utf8.len(word) + 1 > WIDTH then
         lines[#lines + 1], line = line, indent
      end
      line = line .. (#line > #indent and " " or "") .. word
   end
   lines[#lines + 1] = line
end

local function built_in_lines(lines, only)
   lines[#lines + 1] = "Built-in verdicts, where no rule of the profile decides:"
   for _, row in ipairs(native.built_in_verdicts()) do
      if not only or row[1] == only or row[1] == "all types" or not what[only] and row[1] == "declared types" then
         wrapped(lines, ("  %-16s "):format(row[1]), row[2])
      end
   end
end

local function type_lines(lines, one)
   lines[#lines + 1] = ("%s: %s"):format(one.type, one.what)
   local rows, starts = {}, {}
   for i, scenario in ipairs(one.scenarios) do
      starts[i] = #rows + 1
      table.move(rows_of(scenario.steps), 1, #scenario.steps, #rows + 1, rows)
   end
   local columns, at = report.columns(rows), 1
   for i, scenario in ipairs(one.scenarios) do
      lines[#lines + 1] = ("  %s%s"):format(scenario.when, waiting(scenario.steps))
      while at <= #columns and at < (starts[i + 1] or math.huge) do
         lines[#lines + 1], at = columns[at], at + 1
      end
   end
   lines[#lines + 1] = ""
end

local function lines_of(loaded, all, only)
   local lines = { report.heading(loaded.profile), "" }
   wrapped(lines, "", "What becomes of a task that fails again and again in the same way, its job having had no other "
      .. "failure. In a row: the number of the failure, what is decided, by which rule, and why.")
   lines[#lines + 1] = ""
   for _, one in ipairs(all) do type_lines(lines, one) end
   built_in_lines(lines, only)
   return lines
end

-- --- as JSON ---

local function plain_steps(steps)
   for _, step in ipairs(steps) do
      step.memory_limit = step.memory_limit > 0 and step.memory_limit or nil
      step.timeout_seconds = step.timeout_seconds > 0 and step.timeout_seconds or nil
   end
end

local function json_of(loaded, all)
   for _, one in ipairs(all) do
      for _, scenario in ipairs(one.scenarios) do plain_steps(scenario.steps) end
   end
   local built_in = {}
   for i, row in ipairs(native.built_in_verdicts()) do built_in[i] = { type = row[1], what = row[2] } end
   return report.json { name = loaded.profile.name, path = loaded.profile.path, types = all, built_in = built_in }
end

function M.run(query, job)
   local loaded = load(query, job)
   local all = played(loaded, query.type)
   if query.json then return json_of(loaded, all), loaded.warnings end
   return report.text_of(lines_of(loaded, all, query.type)), loaded.warnings
end

return M
