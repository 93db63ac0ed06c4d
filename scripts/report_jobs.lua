-- report_jobs.lua: `lmr jobs`: a line for each job of the state folder, the newest last.
local text = require "mr.report_text"
local journal = require "mr.report_job"

local function look_at(id, path)
   local job, message = journal.open(path)
   if not job then error(message, 0) end
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

local function object_of(job)
   return { id = job.id, state = job.state, name = job.name, message = job.message, output = job.output_dir,
      started = text.timestamp(job.created), seconds = job.took, failures = job.failures,
      quarantined = job.quarantined }
end

local function row_of(job)
   return { text.safe(job.id), text.safe(job.state), text.date(job.created), text.duration(job.took),
      text.count(job.failures), text.count(job.quarantined), text.safe(job.output_dir or "-") }
end

-- A line for each job: { id =, created =, row =, object = }. A journal that cannot be read, or holds what no lmr
-- writes, is a line too: it hides no other.
local function line_of(id, path)
   local ok, line = pcall(function()
      local job = look_at(id, path)
      return { id = id, created = job.created, row = row_of(job), object = object_of(job) }
   end)
   if ok then return line end
   local message = tostring(line)
   return { id = id, created = 0, row = { text.safe(id), "unreadable", "", "", "", "", text.safe(message) },
      object = { id = id, state = "unreadable", message = message } }
end

local COLUMNS = { { "job" }, { "state" }, { "started" }, { "took", right = true }, { "failed", right = true },
   { "aside", right = true }, { "output", cut = "front" } }

return function(argument)
   local lines, rows = {}, {}
   for i, id in ipairs(argument.ids) do lines[i] = line_of(id, ("%s/%s/journal.db"):format(argument.state_dir, id)) end
   table.sort(lines, is_older)
   for i, line in ipairs(lines) do
      rows[i] = line.row
      if argument.json then text.json(line.object) end
   end
   if argument.json then return end
   if #rows > 0 then return text.table(COLUMNS, rows) end
   text.line("no jobs in %s; lmr run starts one", argument.state_dir)
end
