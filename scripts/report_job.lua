-- report_job.lua: what the journal says of a job, in the words of reports.
local _, native = ...
local text = require "mr.report_text"

local M = {}

--- In SQL: the attempts that failed, and the kind of a task ("map" of "2.7:map_3").
M.FAILED = "outcome NOT IN ('committed', 'lost', 'ended')"
M.KIND = "rtrim(substr(task, instr(task, ':') + 1), '_0123456789')"
local COUNTED = M.KIND .. " IN ('map', 'reduce')" -- what the driver's statistics count

local UNFINISHED = { running = true, publishing = true }
local NUMBERS = { "created", "finished", "pid", "seed" }
local ENCODED = { "options" }

local function value_of(sql, ...)
   local row = native.query(sql, ...)[1]
   return row and row.value
end
M.value_of = value_of

-- The last thing that is known to have happened.
local function last_trace()
   return value_of [[SELECT max(t) AS value FROM (SELECT max(ended) AS t FROM attempt UNION ALL
      SELECT max(time) AS t FROM event)]]
end

-- A process of another machine that shares the state folder is not looked for.
local function is_elsewhere(job)
   local file <close> = io.open("/proc/sys/kernel/hostname")
   return job.host and file and file:read("l") ~= job.host
end

-- What is shown as the state: "gone" when it is said to run, and nobody runs it.
local function look_for_driver(job, path)
   if not UNFINISHED[job.state] then return end
   job.driver = job.pid and not is_elsewhere(job) and native.driver(path, job.pid) or "unknown"
   if job.driver == "gone" then job.state = "gone" end
end

--- Opens a journal → job; or nil, message. still: nobody writes it, and no trace is to be left.
function M.open(path, still)
   local ok, message = native.open(path, still)
   if not ok then return nil, message end
   local job = {}
   local sql = "SELECT key, value FROM job WHERE key NOT IN ('description', 'profile', 'statistics')"
   for _, row in ipairs(native.query(sql)) do job[row.key] = row.value end
   for _, key in ipairs(NUMBERS) do job[key] = math.tointeger(job[key]) end
   for _, key in ipairs(ENCODED) do job[key] = type(job[key]) == "string" and native.decode(job[key]) or nil end
   if not job.created or not job.state then return nil, ("the journal %s holds no job"):format(path) end
   job.written_state = job.state
   look_for_driver(job, path)
   job.is_running = UNFINISHED[job.state] or false
   job.ended = job.finished or (job.is_running and os.time() * 1000000000) or last_trace() or job.created
   job.took = math.max(0, text.seconds(job.created, job.ended))
   return job
end

--- It has a result; nothing is left to do but to try again what was put aside.
function M.is_over(job)
   return job.written_state == "complete" or job.written_state == "partial"
end

-- Where the job's folder was when its journal was written: named there, or known by the folder in it.
local function old_dir(job)
   return job.job_dir or (job.work_dir or ""):match("^(.*/" .. job.id:gsub("%p", "%%%0") .. ")/work$")
end

--- A path that the journal names, as it is now if the job's folder was moved; a relative one lies in that.
function M.place(job, path)
   if path:sub(1, 1) ~= "/" then return job.dir .. "/" .. path end
   local was = old_dir(job)
   if not was or was == job.dir or path:sub(1, #was + 1) ~= was .. "/" then return path end
   return job.dir .. path:sub(#was + 1)
end

--- "process 4711 on alpha", or nil: it does not run.
function M.driver_words(job)
   if not job.is_running or job.state == "gone" or not job.pid then return nil end
   return ("process %d on %s"):format(job.pid, job.host or "a host that is not known")
end

--- Kept checkpoints: rows of the table, their paths as they can be opened here (a job's folder may have moved).
function M.checkpoints(job)
   local list = native.query "SELECT * FROM checkpoint ORDER BY number"
   for _, c in ipairs(list) do c.path = M.place(job, c.path) end
   return list
end

--- The same as open for a command that needs it.
function M.need(argument)
   local job, message = M.open(argument.journal)
   if not job then native.usage(message) end
   job.id, job.dir = argument.id, argument.job_dir
   job.commands, job.state_dir_option = argument.commands, argument.state_dir_option
   return job
end

--- "lmr why word_count-3 …": a command to type, or nil when this lmr has none of that name.
function M.command(job, name, ...)
   if not job.commands[name] then return nil end
   local words = { "lmr", name, text.shell(job.id) }
   for _, word in ipairs { ... } do words[#words + 1] = text.shell(word) end
   if job.state_dir_option then words[#words + 1] = "--state-dir " .. text.shell(job.state_dir_option) end
   return table.concat(words, " ")
end

--- "map_3.0", a backup "map_3.1s".
function M.attempt_name(row)
   return ("%s.%d%s"):format(row.task, row.attempt, row.speculative == 1 and "s" or "")
end

--- Tasks by kind, in the order of the work: { kind =, planned = (nil: not known before), done =, failed =, dropped = }.
function M.tasks(job)
   local plan = native.query("SELECT coalesce(sum(maps), 0) AS map, coalesce(sum(reduces), 0) AS reduce FROM step")[1]
   local by_kind, kinds = {}, {}
   local function of(kind)
      if not by_kind[kind] then
         by_kind[kind] = { kind = kind, planned = plan[kind], done = 0, failed = 0, dropped = 0 }
         kinds[#kinds + 1] = by_kind[kind]
      end
      return by_kind[kind]
   end
   if plan.map > 0 then of "map" end
   if plan.reduce > 0 then of "reduce" end
   local sql = "SELECT " .. M.KIND .. " AS kind, count(*) AS n FROM task GROUP BY kind ORDER BY kind"
   for _, row in ipairs(native.query(sql)) do of(row.kind).done = row.n end
   for _, row in ipairs(M.lost_tasks(job)) do
      local kind = of(row.kind)
      kind[row.fate] = kind[row.fate] + 1
   end
   return kinds
end

--- Tasks that were given up or left out: { task =, kind =, fate = "failed" | "dropped", ended = }.
function M.lost_tasks()
   return native.query("SELECT task, " .. M.KIND .. [[ AS kind, max(ended) AS ended,
      CASE verdict WHEN 'drop_task' THEN 'dropped' ELSE 'failed' END AS fate FROM attempt
      WHERE verdict IN ('fail', 'abort', 'drop_task') AND task NOT IN (SELECT task FROM task)
      GROUP BY task ORDER BY ended, task]])
end

--- Failures: list of { type =, verdict =, n = }, the most frequent type first.
function M.failures()
   return native.query("SELECT outcome AS type, coalesce(verdict, 'none') AS verdict, count(*) AS n FROM attempt WHERE "
      .. M.FAILED .. " GROUP BY 1, 2 ORDER BY sum(count(*)) OVER (PARTITION BY outcome) DESC, 1, 2")
end

local function by_type()
   local types, verdicts = {}, {}
   for _, row in ipairs(native.query("SELECT outcome AS type, verdict, count(*) AS n, "
         .. "coalesce(sum(verdict IN ('retry', 'quarantine')), 0) AS retries, "
         .. "coalesce(sum(simulated), 0) AS simulated FROM attempt WHERE " .. M.FAILED .. " AND " .. COUNTED
         .. " GROUP BY 1, 2")) do
      local t = types[row.type] or { failures = 0, retries = 0, simulated = 0, by_verdict = text.object {} }
      types[row.type] = t
      t.failures, t.retries, t.simulated = t.failures + row.n, t.retries + row.retries, t.simulated + row.simulated
      if row.verdict then
         t.by_verdict[row.verdict] = row.n
         verdicts[row.verdict] = (verdicts[row.verdict] or 0) + row.n
      end
   end
   return text.object(types), text.object(verdicts)
end

local function sums()
   return native.query("SELECT count(*) AS attempts, coalesce(sum(outcome = 'committed'), 0) AS committed, "
      .. "coalesce(sum(" .. M.FAILED .. [[), 0) AS failures,
      coalesce(sum(verdict IN ('retry', 'quarantine')), 0) AS retries, coalesce(sum(simulated), 0) AS simulated,
      coalesce(sum(outcome = 'committed' AND NOT EXISTS (SELECT 1 FROM task t WHERE t.step = a.step AND
         t.round = a.round AND t.task = a.task AND t.attempt = a.attempt AND t.speculative = a.speculative)), 0)
         AS recomputed_tasks,
      coalesce(sum(CASE WHEN verdict IN ('retry', 'quarantine') THEN delay END), 0.0) AS seconds_waited,
      coalesce(sum(cpu), 0.0) AS cpu_seconds,
      coalesce(sum(CASE WHEN outcome = 'committed' THEN 0 ELSE cpu END), 0.0) AS cpu_seconds_wasted,
      coalesce(sum(speculative), 0) AS started,
      coalesce(sum(speculative AND outcome = 'committed'), 0) AS won,
      coalesce(sum(speculative AND outcome = 'lost'), 0) AS lost FROM attempt a WHERE ]] .. COUNTED)[1]
end

--- What failures cost, as far as attempts have ended: the fields of recover/statistics.h, counted from the attempts.
-- (The driver's own count is for a resume, and of the moment of its last failure.)
function M.statistics()
   local s = sums()
   s.speculative = { started = s.started, won = s.won, lost = s.lost }
   s.started, s.won, s.lost = nil, nil, nil
   s.recovered_tasks = value_of("SELECT count(DISTINCT task) AS value FROM attempt WHERE " .. M.FAILED .. " AND "
      .. COUNTED .. " AND task IN (SELECT task FROM task)")
   s.failed_tasks, s.dropped_tasks = 0, 0
   for _, task in ipairs(M.lost_tasks()) do
      local counts = task.kind == "map" or task.kind == "reduce"
      s[task.fate .. "_tasks"] = s[task.fate .. "_tasks"] + (counts and 1 or 0)
   end
   local ended = s.recovered_tasks + s.failed_tasks + s.dropped_tasks
   s.recovery_rate = ended > 0 and s.recovered_tasks / ended or native.mr.null
   for _, row in ipairs(native.query("SELECT " .. M.KIND .. [[ = 'reduce' AS groups, sum(records) AS n FROM file
         WHERE kind = 'quarantine' GROUP BY 1]])) do
      s[row.groups == 1 and "quarantined_groups" or "quarantined_records"] = row.n
   end
   s.quarantined_groups, s.quarantined_records = s.quarantined_groups or 0, s.quarantined_records or 0
   s.by_type, s.by_verdict = by_type()
   return s
end

-- --- what was put aside ---

--- Files of committed attempts: { task =, path =, records = }. They are in the job's folder, wherever that was moved.
function M.quarantine_files(job)
   local files = native.query [[SELECT task, path, records FROM file WHERE kind = 'quarantine'
      ORDER BY step, round, length(task), task]]
   for _, file in ipairs(files) do
      file.path = ("%s/quarantine/%s"):format(job.dir, file.path:match("^.*/(.*)$") or file.path)
   end
   return files
end

--- Whether a new version of a published result is in work, or was when the job failed.
function M.is_mended()
   return value_of "SELECT EXISTS (SELECT 1 FROM job WHERE key = 'mend' AND value IS NOT NULL) AS value" == 1
end

--- Whether lmr resume --quarantined can try it all again: what was put aside before the last step or round is in it.
function M.can_try_again()
   return value_of [[SELECT NOT EXISTS (SELECT 1 FROM file WHERE kind = 'quarantine' AND (step, round) <>
      (SELECT step, round FROM step ORDER BY step DESC, round DESC LIMIT 1)) AS value]] == 1
end

function M.quarantined()
   return value_of "SELECT coalesce(sum(records), 0) AS value FROM file WHERE kind = 'quarantine'"
end

-- --- counters ---

-- Integers stay exact; beyond their range floats go on.
local function add(a, b)
   if math.type(a) ~= "integer" or math.type(b) ~= "integer" then return a + b end
   local sum = a + b
   return (a ~ sum) & (b ~ sum) < 0 and a + 0.0 + b or sum
end

--- Sums over steps and rounds: group → name → number, and the list of { group, name, value } in order.
function M.counters()
   local groups, list = {}, {}
   for _, row in ipairs(native.query 'SELECT "group", name, value FROM counter ORDER BY 1, 2, step, round') do
      groups[row.group] = groups[row.group] or {}
      local group = groups[row.group]
      if not group[row.name] then list[#list + 1] = { row.group, row.name } end
      group[row.name] = group[row.name] and add(group[row.name], row.value) or row.value
   end
   for _, counter in ipairs(list) do counter[3] = groups[counter[1]][counter[2]] end
   return groups, list
end

return M
