-- report_jobs.lua: `lmr jobs`: a line for each job of the state folder, the newest last.
local text = require "mr.report_text"
local journal = require "mr.report_job"
local disk = require "mr.report_disk"

-- Maps and reduces that have committed, of those that are planned so far.
local function tasks_of(job)
   local done, planned = 0, 0
   for _, kind in ipairs(journal.tasks(job)) do
      if kind.planned then done, planned = done + kind.done, planned + kind.planned end
   end
   return done, planned
end

local function look_at(id, dir)
   local job, message = journal.open(dir .. "/journal.db")
   if not job then error(message, 0) end
   job.id, job.dir = id, dir
   job.disk = disk.of(job)
   job.done, job.planned = tasks_of(job)
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

local function object_of(job)
   return { id = job.id, state = job.state, name = job.name, message = job.message, output = job.output_dir,
      started = text.timestamp(job.created), seconds = job.took, failures = job.failures,
      quarantined = job.quarantined, tasks_done = job.done, tasks = job.planned, disk_bytes = job.disk.bytes,
      disk_at_least = job.disk.at_least or nil, host = job.host, pid = job.pid, driver = job.driver }
end

-- Where the result is, or who is at work on it.
local function where(job)
   local driver = journal.driver_words(job)
   if not driver then return text.safe(job.output_dir or "-") end
   return ("on %s, %d"):format(text.safe(job.host or "?"), job.pid)
end

local function row_of(job)
   return { text.safe(job.id), text.safe(job.state), text.count(job.done) .. "/" .. text.count(job.planned),
      text.date(job.created), text.duration(job.took), text.count(job.failures), text.count(job.quarantined),
      disk.words(job.disk), text.safe(where(job)) }
end

-- A line for each job: { id =, created =, row =, object = }. A journal that cannot be read, or holds what no lmr
-- writes, is a line too: it hides no other.
local function line_of(id, dir)
   local ok, line = pcall(function()
      local job = look_at(id, dir)
      return { id = id, created = job.created, row = row_of(job), object = object_of(job), job = job }
   end)
   if ok then return line end
   local message = tostring(line)
   return { id = id, created = 0, row = { text.safe(id), "unreadable", "", "", "", "", "", "", text.safe(message) },
      object = { id = id, state = "unreadable", message = message } }
end

local COLUMNS = { { "job" }, { "state" }, { "tasks", right = true }, { "started" }, { "took", right = true },
   { "failed", right = true }, { "aside", right = true }, { "disk", right = true }, { "output", cut = "front" } }

-- Failures and records put aside are shown where there are any.
local function shown(lines)
   local failures, aside = false, false
   for _, line in ipairs(lines) do
      failures = failures or (line.job and line.job.failures > 0)
      aside = aside or (line.job and line.job.quarantined > 0)
   end
   local hidden = { failed = not failures, aside = not aside }
   local columns, rows = {}, {}
   for n = 0, #lines do
      local cells = {}
      for i, column in ipairs(COLUMNS) do
         if not hidden[column[1]] then cells[#cells + 1] = n == 0 and column or lines[n].row[i] end
      end
      if n == 0 then columns = cells else rows[n] = cells end
   end
   return columns, rows
end

return function(argument)
   local lines = {}
   for i, id in ipairs(argument.ids) do lines[i] = line_of(id, ("%s/%s"):format(argument.state_dir, id)) end
   table.sort(lines, is_older)
   if argument.json then
      for _, line in ipairs(lines) do text.json(line.object) end
   elseif #lines > 0 then
      text.table(shown(lines))
   else
      text.line("no jobs in %s; lmr run starts one", argument.state_dir)
   end
end
