-- report_checkpoints.lua: `lmr checkpoints`: the copies of its journal from which a job can go on.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"

local REASONS = { interval = "by its interval", signal = "by a signal", stop = "by a verdict", demand = "on demand",
   failed = "when it failed" }

local function stage_words(job, row)
   if row.round > 0 then return ("step %d, round %d"):format(row.step, row.round) end
   return (job.steps or 1) > 1 and ("step %d"):format(row.step) or ""
end

local function rows_of(job, list)
   local rows = {}
   for i, c in ipairs(list) do
      rows[i] = { tostring(c.number), text.date(c.time), text.count(c.done) .. "/" .. text.count(c.tasks),
         stage_words(job, c), text.safe(REASONS[c.reason] or c.reason), c.there and text.size(c.bytes) or "is gone" }
   end
   return rows
end

local function write(job, list)
   if #list == 0 then
      text.line("%s keeps no checkpoints", job.id)
      if not job.is_running then return end
      local command = journal.command(job, "checkpoint")
      return command and text.line("to make one now: %s", command)
   end
   local total = 0
   for _, c in ipairs(list) do total = total + (c.there and c.bytes or 0) end
   text.table({ { "number", right = true }, { "made" }, { "done", right = true }, { "stood in" }, { "why" },
      { "size", right = true } }, rows_of(job, list))
   text.line ""
   text.exact("in", list[#list].path:match("^(.*)/[^/]*$") or "")
   text.pair("size", text.size(total) .. " in all")
   if job.written_state ~= "complete" and job.written_state ~= "partial" then
      text.exact("to go on", journal.command(job, "resume", "--from", tostring(list[#list].number)))
   end
end

local function write_json(job, list)
   local objects = {}
   for i, c in ipairs(list) do
      objects[i] = { number = c.number, time = text.timestamp(c.time), reason = c.reason, path = c.path,
         bytes = c.bytes, step = c.step, round = c.round, done = c.done, tasks = c.tasks, there = c.there }
   end
   text.json { id = job.id, state = job.state, checkpoints = objects }
end

return function(argument)
   local job = journal.need(argument)
   local list = journal.checkpoints(job)
   job.steps = journal.value_of "SELECT max(step) AS value FROM step"
   for _, c in ipairs(list) do c.there = native.size(c.path) ~= nil end
   if argument.json then write_json(job, list) else write(job, list) end
end
