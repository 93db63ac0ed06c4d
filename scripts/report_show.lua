-- report_show.lua: `lmr show`: what a job is, where it stands, what failed and what became of it.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"
local disk = require "mr.report_disk"

local SLOWEST, COUNTERS, WARNINGS = 5, 20, 5

-- --- facts ---

local function slowest()
   local rows = native.query("SELECT " .. journal.KIND .. [[ AS kind, task, attempt, speculative,
      (ended - started) / 1e9 AS seconds, cpu, result FROM attempt WHERE outcome = 'committed'
      ORDER BY seconds DESC, task LIMIT ?]], SLOWEST)
   for _, row in ipairs(rows) do
      local result = row.result and native.decode(row.result) or {}
      row.records, row.bytes, row.groups, row.result = result.records_in, result.bytes_in, result.groups, nil
   end
   return rows
end

-- Seconds of the attempt in the middle, by kind of task.
local function medians()
   local rows = native.query("WITH a AS (SELECT " .. journal.KIND .. [[ AS kind, (ended - started) / 1e9 AS seconds
         FROM attempt WHERE outcome = 'committed'),
      b AS (SELECT *, row_number() OVER w AS i, count(*) OVER (PARTITION BY kind) AS n FROM a
         WINDOW w AS (PARTITION BY kind ORDER BY seconds))
      SELECT kind, seconds FROM b WHERE i = n / 2 + 1]])
   local by_kind = {}
   for _, row in ipairs(rows) do by_kind[row.kind] = row.seconds end
   return by_kind
end

-- What attempts have done so far, as the driver tells: the newest, and with it the tasks. nil: it does not answer.
local function progress_of(argument)
   local reply = argument.progress
   return type(reply) == "table" and reply.ok and reply or nil
end

-- Attempts that run: as the driver tells, with how far each has come; else those of the journal.
local function running(argument)
   local progress = progress_of(argument)
   local list = {}
   for i, a in ipairs(progress and progress.running or native.query "SELECT * FROM running ORDER BY started, task") do
      a.speculative = (a.speculative == true or a.speculative == 1) and 1 or 0
      list[i] = { attempt = journal.attempt_name(a), worker = a.worker, started = a.started, records = a.records,
         bytes = a.bytes, pairs = a.pairs, fraction = a.fraction }
   end
   return list
end

local function gather(job, argument)
   local facts = { job = job, tasks = journal.tasks(job), failures = journal.failures(),
      statistics = journal.statistics(), attempts = journal.value_of "SELECT count(*) AS value FROM attempt",
      quarantined = journal.quarantined(), files = journal.quarantine_files(job), slowest = slowest(),
      medians = medians(),
      warnings = native.query "SELECT time, text FROM event WHERE kind = 'warning' ORDER BY time, rowid" }
   facts.counters, facts.counter_list = journal.counters()
   facts.disk, facts.checkpoints = disk.of(job), journal.checkpoints(job)
   facts.running = running(argument)
   facts.failed = 0
   for _, f in ipairs(facts.failures) do facts.failed = facts.failed + f.n end
   return facts
end

-- --- for a reader ---

local function state_words(job)
   if job.state == "gone" then return "its driver is gone" end
   if job.driver ~= "unknown" then return job.state end
   return job.state .. " (whether its driver still lives is not known)"
end

local function output_words(job)
   if not job.output_dir then return "standard output" end
   if job.state == "complete" then return job.output_dir end
   if job.state == "partial" then return job.output_dir .. " (with holes: tasks were dropped, no _SUCCESS)" end
   if journal.is_mended() then return job.output_dir .. " (the result of before; its new version is not there yet)" end
   return job.output_dir .. " (nothing there yet)"
end

local function disk_words(facts)
   local words = disk.words(facts.disk)
   if facts.disk.elsewhere > 0 then words = ("%s (%s of it state)"):format(words, text.size(facts.disk.state)) end
   if #facts.checkpoints == 0 then return words end
   local newest = facts.checkpoints[#facts.checkpoints]
   return ("%s, with %s, the newest number %d of %s"):format(words, text.count(#facts.checkpoints, "checkpoint"),
      newest.number, text.date(newest.time))
end

local function head(facts)
   local job = facts.job
   text.line("%s: %s", job.id, state_words(job))
   text.pair("job", (job.name or "?") .. (job.job_file and ", " .. job.job_file or ", without a file"))
   if job.is_running and job.state ~= "gone" then text.pair("driver", journal.driver_words(job) or "?") end
   text.pair("started", ("%s, %s %s"):format(text.time(job.created), job.is_running and "running for" or "took",
      text.duration(job.took)))
   text.pair("in", job.directory or "?")
   text.pair("output", output_words(job))
   if job.profile_name then text.pair("profile", job.profile_name) end
   text.pair("disk", disk_words(facts))
   if job.message and job.message ~= "" then text.pair("message", job.message) end
end

local function tasks_table(tasks)
   local rows = {}
   for _, t in ipairs(tasks) do
      rows[#rows + 1] = { t.kind, t.planned and text.count(t.planned) or "", text.count(t.done), text.count(t.failed),
         text.count(t.dropped) }
   end
   if #rows == 0 then return end
   text.line ""
   text.table({ { "tasks" }, { "planned", right = true }, { "done", right = true }, { "failed", right = true },
      { "dropped", right = true } }, rows)
end

local MOST_RUNNING = 20

-- How far those have come that a worker has.
local function running_table(list)
   if #list == 0 then return end
   local rows, now = {}, os.time() * 1000000000
   for i = 1, math.min(#list, MOST_RUNNING) do
      local a = list[i]
      rows[i] = { text.safe(a.attempt), text.duration(text.seconds(a.started, now)),
         a.records and text.count(a.records) or "", a.bytes and text.size(a.bytes) or "",
         a.fraction and ("%d %%"):format(math.floor(100 * a.fraction)) or "" }
   end
   text.line ""
   text.table({ { "running" }, { "for", right = true }, { "records", right = true }, { "bytes", right = true },
      { "of it", right = true } }, rows)
   if #list > MOST_RUNNING then text.line("  … and %d more (--json has them all)", #list - MOST_RUNNING) end
end

local ORDER = { "retry", "quarantine", "recompute", "drop_task", "fail", "stop", "abort", "none" }

-- Types down, verdicts across: only those that there are.
local function failures_table(failures)
   local counts, types, seen, columns = {}, {}, {}, { { "failures" } }
   for _, f in ipairs(failures) do
      if not counts[f.type] then
         counts[f.type] = {}
         types[#types + 1] = f.type
      end
      counts[f.type][f.verdict], seen[f.verdict] = f.n, true
   end
   local rows = {}
   for _, type in ipairs(types) do rows[#rows + 1] = { text.safe(type) } end
   for _, verdict in ipairs(ORDER) do
      if seen[verdict] then
         columns[#columns + 1] = { verdict, right = true }
         for i, type in ipairs(types) do table.insert(rows[i], text.count(counts[type][verdict] or 0)) end
      end
   end
   text.line ""
   text.table(columns, rows)
end

local function recovery_lines(facts)
   local s, job = facts.statistics, facts.job
   text.line ""
   if facts.failed == 0 then
      text.pair("failures", "none in " .. text.count(facts.attempts, "attempt"))
   elseif type(s.recovery_rate) == "number" then
      text.pair("recovered", ("%s of %s that failed (%.1f %%)"):format(text.count(s.recovered_tasks),
         text.count(s.recovered_tasks + s.failed_tasks + s.dropped_tasks, "task"), 100 * s.recovery_rate))
   end
   if s.simulated > 0 then text.pair("simulated", text.count(s.simulated, "failure")) end
   if s.retries > 0 then text.pair("retries", text.count(s.retries)) end
   if s.seconds_waited > 0 then text.pair("waited", text.duration(s.seconds_waited) .. " before retries") end
   if s.cpu_seconds_wasted >= 0.005 then
      text.pair("wasted", ("%s of %s of CPU, in attempts that did not count"):format(
         text.duration(s.cpu_seconds_wasted), text.duration(s.cpu_seconds)))
   end
   if s.speculative.started > 0 then
      text.pair("backups", ("%s of slow tasks, %s faster"):format(text.count(s.speculative.started, "attempt"),
         text.count(s.speculative.won)))
   end
   if facts.quarantined > 0 then
      text.exact("put aside", ("%s: %s"):format(text.count(facts.quarantined), journal.command(job, "quarantine")))
      text.exact("", ("in %s/quarantine"):format(job.dir))
   end
end

local function slowest_table(facts)
   if #facts.slowest < 2 then return end
   local rows = {}
   for _, row in ipairs(facts.slowest) do
      local median = facts.medians[row.kind]
      local times = median > 0 and ("%.1f"):format(row.seconds / median) or ""
      rows[#rows + 1] = { journal.attempt_name(row), text.duration(row.seconds), times, text.duration(row.cpu or 0),
         row.records and text.count(row.records) or "", row.bytes and text.size(row.bytes) or "" }
   end
   text.line ""
   text.table({ { "slowest" }, { "took", right = true }, { "× median", right = true }, { "CPU", right = true },
      { "records", right = true }, { "input", right = true } }, rows)
end

local function number(n)
   return math.type(n) == "integer" and (n < 0 and "-" .. text.count(-n) or text.count(n)) or ("%.14g"):format(n)
end

local function counters_table(list)
   if #list == 0 then return end
   local rows = {}
   for i = 1, math.min(#list, COUNTERS) do
      rows[i] = { text.safe(list[i][1] .. "." .. list[i][2]), number(list[i][3]) }
   end
   text.line ""
   text.table({ { "counters", cut = "end" }, { "", right = true } }, rows)
   if #list > COUNTERS then text.line("  … and %d more (--json has them all)", #list - COUNTERS) end
end

local function warnings(list)
   if #list == 0 then return end
   text.line ""
   for i = math.max(1, #list - WARNINGS + 1), #list do text.pair("warning", list[i].text) end
end

local function write(facts)
   local job = facts.job
   head(facts)
   tasks_table(facts.tasks)
   if job.is_running and job.state ~= "gone" then running_table(facts.running) end
   if #facts.failures > 0 then failures_table(facts.failures) end
   recovery_lines(facts)
   slowest_table(facts)
   counters_table(facts.counter_list)
   warnings(facts.warnings)
   if facts.failed > 0 or not (job.is_running or job.state == "complete") then
      text.line ""
      text.line("why: %s", journal.command(job, "why"))
   end
end

-- --- for a program ---

local function by_type(failures)
   local types = {}
   for _, f in ipairs(failures) do
      types[f.type] = types[f.type] or {}
      types[f.type][f.verdict] = f.n
   end
   return text.object(types)
end

local function by_kind(tasks)
   local kinds = {}
   for _, t in ipairs(tasks) do
      kinds[t.kind] = { planned = t.planned, done = t.done, failed = t.failed, dropped = t.dropped }
   end
   return text.object(kinds)
end

local function texts(warning_rows)
   local list = {}
   for i, row in ipairs(warning_rows) do list[i] = row.text end
   return list
end

local function running_objects(facts)
   if not facts.job.is_running or facts.job.state == "gone" then return nil end
   local list = {}
   for i, a in ipairs(facts.running) do
      list[i] = { attempt = a.attempt, worker = a.worker, started = text.timestamp(a.started), records = a.records,
         bytes = a.bytes, pairs = a.pairs, fraction = a.fraction }
   end
   return list
end

local function write_json(facts)
   local job = facts.job
   local files, slow = {}, {}
   for i, file in ipairs(facts.files) do files[i] = { task = file.task, path = file.path, records = file.records } end
   for i, row in ipairs(facts.slowest) do
      slow[i] = { attempt = journal.attempt_name(row), seconds = row.seconds, cpu_seconds = row.cpu,
         records = row.records, bytes = row.bytes }
   end
   text.json { id = job.id, name = job.name, state = job.state, message = job.message, job_file = job.job_file,
      directory = job.directory, output = job.output_dir, profile = job.profile_name, seed = job.seed,
      lmr_version = job.lmr_version, started = text.timestamp(job.created), seconds = job.took,
      ended = not job.is_running and text.timestamp(job.ended) or nil, driver = job.driver,
      tasks = by_kind(facts.tasks), failures = by_type(facts.failures), attempts = facts.attempts,
      failed_attempts = facts.failed, quarantined = facts.quarantined, statistics = facts.statistics,
      quarantine_files = files, slowest = slow, counters = text.object(facts.counters),
      warnings = texts(facts.warnings), disk_bytes = facts.disk.bytes, disk_at_least = facts.disk.at_least,
      checkpoints = #facts.checkpoints, host = job.host, pid = job.pid, running = running_objects(facts) }
end

return function(argument)
   local facts = gather(journal.need(argument), argument)
   if argument.json then write_json(facts) else write(facts) end
end
