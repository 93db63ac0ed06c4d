-- report_jobs.lua: `lmr jobs`: a line for each job of the state folder, the newest last.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"

-- A journal that cannot be read is a job too: the table says so, and standard error says why.
local function look_at(id, path)
   local job, message = journal.open(path)
   if not job then return { id = id, state = "unreadable", message = message, created = 0 } end
   job.id = id
   job.failures = journal.value_of("SELECT count(*) AS value FROM attempt WHERE " .. journal.FAILED)
   job.quarantined = journal.quarantined()
   return job
end

local function number_of(id)
   return tonumber(id:match("%-(%d+)$")) or 0
end

local function is_older(a, b)
   if a.created ~= b.created then return a.created < b.created end
   if number_of(a.id) ~= number_of(b.id) then return number_of(a.id) < number_of(b.id) end
   return a.id < b.id
end

local function write_json(job)
   local readable = job.state ~= "unreadable"
   text.json { id = job.id, state = job.state, name = job.name, message = job.message, output = job.output_dir,
      started = readable and text.timestamp(job.created) or nil, seconds = job.took,
      failures = job.failures, quarantined = job.quarantined }
end

local function row_of(job)
   if job.state == "unreadable" then return { text.safe(job.id), job.state, "", "", "", "", text.safe(job.message) } end
   return { text.safe(job.id), job.state, text.date(job.created), text.duration(job.took), text.count(job.failures),
      text.count(job.quarantined), text.safe(job.output_dir or "-") }
end

local COLUMNS = { { "job" }, { "state" }, { "started" }, { "took", right = true }, { "failed", right = true },
   { "aside", right = true }, { "output", cut = "front" } }

return function(argument)
   local jobs = {}
   for i, id in ipairs(argument.ids) do jobs[i] = look_at(id, ("%s/%s/journal.db"):format(argument.state_dir, id)) end
   table.sort(jobs, is_older)
   if argument.json then
      for _, job in ipairs(jobs) do write_json(job) end
   elseif #jobs == 0 then
      native.write(("no jobs in %s; lmr run starts one\n"):format(text.safe(argument.state_dir)))
   else
      local rows = {}
      for i, job in ipairs(jobs) do rows[i] = row_of(job) end
      text.table(COLUMNS, rows)
   end
end
