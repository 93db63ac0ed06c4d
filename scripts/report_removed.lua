-- report_removed.lua: `lmr rm` and `lmr clean`: what was removed, or would be, and how much that is.
local text = require "mr.report_text"

local function size(job)
   return (job.at_least and "over " or "") .. text.size(job.bytes)
end

local function write_json(argument)
   for _, job in ipairs(argument.removed) do
      text.json { id = job.id, state = job.state, ended = job.ended and text.timestamp(job.ended) or nil,
         removed = not (job.error or argument.dry_run or job.kept), dry_run = argument.dry_run, bytes = job.bytes,
         at_least = job.at_least, note = job.note, error = job.error, kept = job.kept }
   end
end

local function what_of(job)
   return job.kept and "what it kept" or "all of it"
end

local function rows_of(list)
   local rows, total, jobs = {}, 0, 0
   for _, job in ipairs(list) do
      if not job.error then
         rows[#rows + 1] = { text.safe(job.id), text.safe(job.state or "unreadable"),
            job.ended and text.date(job.ended) or "", what_of(job), size(job) }
         total, jobs = total + job.bytes, jobs + 1
      end
   end
   return rows, total, jobs
end

return function(argument)
   if argument.json then return write_json(argument) end
   local rows, total, jobs = rows_of(argument.removed)
   if #argument.removed == 0 then
      return text.line("nothing to remove in %s", argument.state_dir or "the state folder")
   end
   if jobs == 0 then return end
   text.table({ { argument.dry_run and "would go" or "removed" }, { "state" }, { "ended" }, { "what" },
      { "freed", right = true } }, rows)
   for _, job in ipairs(argument.removed) do
      if job.note and not job.error then text.pair("note", job.id .. ": " .. job.note) end
   end
   if jobs > 1 then text.line("%s in %s", text.size(total), text.count(jobs, "job")) end
end
