-- report_why.lua: `lmr why`: the probable cause first, then what is kept and what to type next, then the story of a
-- task.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"
local cause = require "mr.report_cause"

local TASKS, ATTEMPTS_HEAD, ATTEMPTS_TAIL, TRACE_LINES, NAMES, EVENTS = 10, 4, 8, 8, 500, 6

local COLUMNS = [[task, attempt, coalesce(speculative, 0) AS speculative, worker, started, ended, cpu, outcome, message,
   traceback, file, "offset", record, "key", details, exit_status, signal, memory_peak, simulated, fingerprint,
   same_failures, verdict, rule, reason, delay, went_on_at, assignment IS NOT NULL AS replayable]]

-- --- facts ---

local function gather_all()
   local all = native.query("SELECT count(*) AS failures, count(DISTINCT task) AS tasks, "
      .. "coalesce(sum(simulated), 0) AS simulated FROM attempt WHERE " .. journal.FAILED)[1]
   all.types = {}
   for _, row in ipairs(journal.failures()) do all.types[row.type] = (all.types[row.type] or 0) + row.n end
   all.files = native.query("SELECT file, count(*) AS n, count(DISTINCT task) AS tasks FROM attempt WHERE "
      .. journal.FAILED .. " AND file IS NOT NULL GROUP BY file ORDER BY n DESC LIMIT 2")
   all.dropped = 0
   for _, task in ipairs(journal.lost_tasks()) do all.dropped = all.dropped + (task.fate == "dropped" and 1 or 0) end
   all.done = journal.value_of("SELECT count(*) AS value FROM task WHERE " .. journal.KIND .. " = 'map'")
   all.inputs = journal.value_of "SELECT count(DISTINCT path) AS value FROM split"
   all.deaths = native.query [[SELECT signal, exit_status, count(*) AS n, count(DISTINCT task) AS tasks FROM attempt
      WHERE outcome = 'task_crash' GROUP BY 1, 2 ORDER BY n DESC LIMIT 2]]
   all.places = native.query("SELECT outcome AS type, max(message) AS message, count(*) AS n, count(DISTINCT task) "
      .. "AS tasks, max(record) AS last_record, "
      .. "trim(substr(traceback, 1, instr(traceback || ': ', ': ') - 1)) AS place FROM attempt WHERE "
      .. journal.FAILED .. " AND traceback IS NOT NULL GROUP BY 1, place ORDER BY tasks DESC, n DESC LIMIT 2")
   return all
end

local function attempts_of(task)
   return native.query("SELECT " .. COLUMNS .. " FROM attempt WHERE task = ? ORDER BY started, ended, rowid", task)
end

local function failures_of(attempts)
   local list = {}
   for _, a in ipairs(attempts) do
      if a.outcome ~= "committed" and a.outcome ~= "lost" and a.outcome ~= "ended" then list[#list + 1] = a end
   end
   return list
end

-- Tasks with failures: those that did not commit first, then by the number of failures.
local function failing_tasks()
   return native.query("SELECT task, count(*) AS failures, task IN (SELECT task FROM task) AS committed, "
      .. "group_concat(DISTINCT outcome) AS types, max(ended) AS ended FROM attempt WHERE " .. journal.FAILED
      .. " GROUP BY task ORDER BY committed, failures DESC, length(task), task LIMIT ?", TASKS + 1)
end

-- The task that failed the job, if one did: the one that its message names, else the last that was given up.
local function culprit(job)
   local named = (job.message or ""):match("^(%S+) failed")
   if named and #native.query("SELECT 1 FROM attempt WHERE task = ? AND verdict IS NOT NULL LIMIT 1", named) > 0 then
      return named
   end
   local row = native.query("SELECT task FROM attempt WHERE verdict IN ('fail', 'abort', 'stop') AND task NOT IN "
      .. "(SELECT task FROM task) ORDER BY ended DESC LIMIT 1")[1]
   return row and row.task
end

-- --- which task ---

local function exists(task)
   local sql = "SELECT 1 FROM attempt WHERE task = ?1 UNION ALL SELECT 1 FROM task WHERE task = ?1 LIMIT 1"
   return #native.query(sql, task) > 0
end

local function known_names()
   local names = {}
   local sql = "SELECT DISTINCT task FROM attempt ORDER BY outcome = 'committed' LIMIT ?"
   for i, row in ipairs(native.query(sql, NAMES)) do names[i] = row.task end
   return names
end

-- Planned, and no attempt of it has ended.
local function is_planned(task)
   if #native.query("SELECT 1 FROM split WHERE task = ? LIMIT 1", task) > 0 then return true end
   local place, number = task:match("^([%d.]*):?reduce_(%d+)$")
   if not place then return false end
   local step, round = place:match("^(%d+)%.?(%d*)$")
   local reduces = journal.value_of("SELECT reduces AS value FROM step WHERE step = ? AND round = ?",
      tonumber(step) or 1, tonumber(round) or 0)
   return reduces ~= nil and tonumber(number) < reduces
end

local function find_task(job, word)
   local bare = word:gsub("%.%d+s?$", "")
   for _, name in ipairs { word, bare } do
      if exists(name) then return name end
   end
   if is_planned(bare) then return bare end
   local names = known_names()
   local near = native.nearest(bare, names)
   if near then native.usage(("%s has no task '%s'; is it '%s'?"):format(job.id, word, near)) end
   if #names == 0 then native.usage(("%s has no task '%s': no attempt has ended yet"):format(job.id, word)) end
   native.usage(("%s has no task '%s'; it has %s%s"):format(job.id, word, table.concat(names, ", ", 1,
      math.min(6, #names)), #names > 6 and " and more" or ""))
end

-- --- what is kept ---

local function kept(job)
   local parts, done = {}, 0
   for _, t in ipairs(journal.tasks(job)) do
      done = done + t.done
      if t.planned then
         parts[#parts + 1] = ("%s of %s"):format(text.count(t.done), text.count(t.planned, t.kind .. " task"))
      end
   end
   if #parts == 0 then return "nothing: no task had begun", done end
   return table.concat(parts, ", ") .. " committed", done
end

-- --- the story ---

local function place_words(a)
   local words = {}
   if a.key then words[#words + 1] = ("group '%s'"):format(a.key) end
   if a.file then words[#words + 1] = a.file end
   if a.offset then words[#words + 1] = ("byte %d"):format(a.offset) end
   if a.record then words[#words + 1] = ("%s %d"):format(a.key and "number" or "record", a.record) end
   return #words > 0 and table.concat(words, ", ") or nil
end

local function tell_trace(a)
   local lines = text.safe_lines(a.traceback or "")
   for i = 1, math.min(#lines, TRACE_LINES) do text.line("             %s", (lines[i]:gsub("^ +", ""))) end
   if #lines > TRACE_LINES then text.line("             … %d more (--json has all)", #lines - TRACE_LINES) end
end

local function tell_details(a)
   local list, details = {}, cause.details(a)
   for name in pairs(details) do list[#list + 1] = name end
   table.sort(list)
   for i, name in ipairs(list) do list[i] = ("%s = %s"):format(name, details[name]) end
   if a.exit_status then list[#list + 1] = ("exit status %d"):format(a.exit_status) end
   if a.signal then list[#list + 1] = ("signal %d"):format(a.signal) end
   if a.memory_peak then list[#list + 1] = "Lua memory " .. text.size(a.memory_peak) end
   if a.same_failures and a.same_failures > 1 then
      list[#list + 1] = ("the same failure %d times"):format(a.same_failures)
   end
   if a.simulated == 1 then list[#list + 1] = "simulated" end
   if #list > 0 then text.pair("", table.concat(list, ", ")) end
end

local function tell_verdict(a)
   if not a.verdict then return end
   local words = a.verdict
   if a.verdict == "retry" then words = words .. " after " .. text.duration(a.delay or 0) end
   if a.rule then words = ("%s, by %s"):format(words, a.rule) end
   if a.reason then words = ("%s: %s"):format(words, a.reason) end
   text.pair("verdict", words)
end

local OUTCOMES = { committed = "committed", lost = "another attempt of the task was faster",
   ended = "ended with the job" }

-- What makes two failures the same to a reader.
local function look_of(a)
   return ("%s %s %s %s %s %s"):format(a.outcome, a.message, a.file, a.offset, a.record, a.key)
end

local function tell_again(a, before)
   text.pair("failed", "in the same way")
   if a.verdict ~= before.verdict then
      tell_verdict(a)
   elseif a.verdict then
      local delay = a.verdict == "retry" and " after " .. text.duration(a.delay or 0) or ""
      text.pair("verdict", a.verdict .. delay .. (a.rule and ", by " .. a.rule or ""))
   end
end

local function tell_attempt(a, before)
   text.line ""
   text.line("%s  %s, %s%s, worker %d", text.safe(journal.attempt_name(a)), text.clock(a.started),
      text.duration(text.seconds(a.started, a.ended)),
      a.cpu and a.cpu > 0 and (" (CPU %s)"):format(text.duration(a.cpu)) or "", a.worker or 0)
   if a.went_on_at then text.pair("went on", ("from record %d, by a task checkpoint"):format(a.went_on_at)) end
   if OUTCOMES[a.outcome] then return text.pair("result", OUTCOMES[a.outcome]) end
   if before and look_of(a) == look_of(before) and a.rule == before.rule then return tell_again(a, before) end
   text.pair("failed", ("%s: %s"):format(a.outcome, (a.message or ""):gsub("\n.*", "")))
   local place = place_words(a)
   if place then text.pair("at", place) end
   tell_trace(a)
   tell_details(a)
   tell_verdict(a)
end

local function tell_attempts(attempts)
   local n = #attempts
   for i, a in ipairs(attempts) do
      local left_out = n - ATTEMPTS_HEAD - ATTEMPTS_TAIL
      if left_out <= 1 or i <= ATTEMPTS_HEAD or i > n - ATTEMPTS_TAIL then
         tell_attempt(a, attempts[i - 1])
      elseif i == ATTEMPTS_HEAD + 1 then
         text.line ""
         text.line("… %d more attempts (--json has all)", left_out)
      end
   end
end

local function task_words(attempts, failures)
   local last = attempts[#attempts]
   local committed
   for _, a in ipairs(attempts) do committed = a.outcome == "committed" and a or committed end
   local words = ("%s, %s failed"):format(text.count(#attempts, "attempt"), text.count(#failures))
   if committed then return ("%s; %s is committed"):format(words, journal.attempt_name(committed)) end
   if not last then return "no attempt of it has ended" end
   if last.verdict == "drop_task" then return words .. "; it was dropped" end
   return words .. "; it is not committed"
end

local function tasks_table(tasks)
   local rows = {}
   for i = 1, math.min(#tasks, TASKS) do
      local t = tasks[i]
      rows[i] = { text.safe(t.task), text.count(t.failures), t.committed == 1 and "committed" or "not committed",
         text.safe((t.types:gsub(",", ", "))) }
   end
   text.line ""
   text.table({ { "task" }, { "failures", right = true }, { "now" }, { "types", cut = "end" } }, rows)
   if #tasks > TASKS then text.line("  … and more: lmr why JOB TASK tells of one") end
end

-- --- the whole ---

local function head_words(job)
   if job.state == "gone" then return ("its driver is gone, after %s"):format(text.duration(job.took)) end
   if job.is_running then return ("%s for %s"):format(job.state, text.duration(job.took)) end
   return ("%s after %s"):format(job.state, text.duration(job.took))
end

local function ending(job)
   text.line ""
   if job.is_running then
      text.wrap("", "The job is still at work.")
   elseif job.state == "gone" then
      text.wrap("", ("The last that is known of it: %s."):format(text.time(job.ended)))
   elseif job.state == "complete" then
      text.wrap("", job.output_dir and "The result is in " .. text.safe(job.output_dir)
         or "The result went to standard output")
   elseif job.state == "partial" then
      text.wrap("", ("The job ended with holes at %s; what there is, is in %s"):format(text.clock(job.ended),
         text.safe(job.output_dir or "standard output")))
   else
      text.wrap("", ("The job %s at %s: %s"):format(job.state == "stopped" and "was stopped" or "failed",
         text.clock(job.ended), text.safe(job.message or "no message was kept")))
   end
end

-- The last warnings, profile changes, stops: the newest comes first from the journal.
-- What a profile changed is a list, a line a key.
local function one_line(message)
   return (message:gsub(":\n%s*", ": "):gsub("%s*\n%s*", "; "))
end

local function tell_events(events)
   if #events > 0 then text.line "" end
   for i = #events, 1, -1 do
      local event = events[i]
      text.wrap(("%s  %s: "):format(text.clock(event.time), text.safe(event.kind)), text.safe(one_line(event.text)))
   end
end

local function write(r)
   local job = r.job
   text.line("%s: %s", job.id, head_words(job))
   text.line ""
   text.wrap("", text.safe(r.sentence))
   if job.state ~= "complete" or #r.next > 0 then text.line "" end
   if job.state ~= "complete" then text.pair("kept", r.kept) end
   for i, n in ipairs(r.next) do
      text.exact(i == 1 and "next" or "", n.command)
      text.pair("", "  " .. n.what)
   end
   if not r.asked and #r.tasks > 1 then tasks_table(r.tasks) end
   if r.task then
      text.line ""
      text.line("%s: %s", text.safe(r.task), task_words(r.attempts, r.failures))
      tell_attempts(r.attempts)
      if r.restarts then
         text.line ""
         text.wrap("", text.safe(r.restarts.text))
      end
   end
   tell_events(r.events)
   ending(job)
end

local function write_json(r)
   local job = r.job
   for _, a in ipairs(r.attempts) do
      a.name, a.replayable, a.speculative = journal.attempt_name(a), a.replayable == 1, a.speculative == 1
      a.seconds = text.seconds(a.started, a.ended)
      a.started, a.ended, a.details = text.timestamp(a.started), text.timestamp(a.ended), text.object(cause.details(a))
      a.simulated = a.simulated == 1
   end
   for _, t in ipairs(r.tasks) do t.committed, t.ended = t.committed == 1, nil end
   for _, event in ipairs(r.events) do event.time = text.timestamp(event.time) end
   text.json { id = job.id, state = job.state, message = job.message, seconds = job.took, cause = r.kind,
      sentence = r.sentence, kept = r.kept, committed = r.committed, next = r.next, task = r.task,
      attempts = r.attempts, tasks = r.tasks, events = r.events, not_checkpointed = r.restarts and r.restarts.text }
end

return function(argument)
   local job = journal.need(argument)
   local r = { job = job, asked = argument.word ~= nil, tasks = failing_tasks(), attempts = {} }
   local guilty = not (job.is_running or job.state == "complete") and culprit(job) or nil
   r.task = argument.word and find_task(job, argument.word) or guilty or r.tasks[1] and r.tasks[1].task
   if r.task then r.attempts = attempts_of(r.task) end
   r.failures = failures_of(r.attempts)
   local is_guilty = r.task and (r.asked or r.task == guilty or job.state == "partial")
   r.kind, r.sentence = cause.probable(job, r.failures, gather_all(), is_guilty)
   local restarts = (r.task or "no task") .. " is not checkpointed: %" -- told with the task, however long ago it was
   r.restarts = native.query("SELECT text FROM event WHERE kind = 'warning' AND text LIKE ? LIMIT 1", restarts)[1]
   r.events = native.query("SELECT time, kind, text FROM event WHERE kind NOT IN ('note', 'drop', 'anew') "
      .. "AND text NOT LIKE ? ORDER BY time DESC, rowid DESC LIMIT ?", restarts, EVENTS)
   r.kept, r.committed = kept(job)
   r.next = cause.next(job, r.kind, r.failures[#r.failures])
   if argument.json then write_json(r) else write(r) end
end
