-- report_cause.lua: from failures to the probable cause, in one sentence, and to what may be typed next. Guesses, by
-- what is there: the first rule that fits speaks. A rule gets
--    job        scripts/report_job.lua
--    failures   of one task, in order: rows of `attempt`; may be empty
--    all        of the whole job: failures, tasks (that failed), done (map tasks), dropped, simulated, inputs (files
--               that are read), types = { type = n }, files = { { file, n, tasks } },
--               places = { { type, place, message, n, tasks, last_record (the greatest number) } },
--               deaths = { { signal, exit_status, n, tasks } }: the most frequent first, only the first two
-- and gives a kind and a sentence, or nothing.
local again = require "mr.report_again"
local journal = require "mr.report_job"
local text = require "mr.report_text"

local M = {}

local function each_is(failures, type)
   for _, f in ipairs(failures) do
      if f.outcome ~= type then return false end
   end
   return #failures > 0
end

--- Where a failure happened: "byte 138 of in.txt (record 49)", "group 'x'", or nil.
function M.place(f)
   if f.key then return ("the group '%s'"):format(f.key) end
   if f.record and f.file then
      return ("record %d of %s%s"):format(f.record, f.file, f.offset and (" (byte %d)"):format(f.offset) or "")
   end
end

--- "name\tvalue" lines → table
function M.details(f)
   local details = {}
   for line in (f.details or ""):gmatch("[^\n]+") do
      local tab = line:find("\t", 1, true)
      if tab then details[line:sub(1, tab - 1)] = tonumber(line:sub(tab + 1)) or line:sub(tab + 1) end
   end
   return details
end

local function same_place(failures)
   local place = M.place(failures[1])
   if not place then return nil end
   for _, f in ipairs(failures) do
      if M.place(f) ~= place then return nil end
   end
   return place
end

local function last(failures)
   return failures[#failures]
end

local function first_line(message)
   return (message:match("^[^\n]*"))
end

-- --- rules ---

local function simulated(_, _, all)
   if all.failures > 0 and all.simulated == all.failures then
      return "simulated", "All failures were simulated: the profile's failure_simulation is on."
   end
end

local function disk(_, failures, all)
   local f = last(failures)
   if f and f.outcome == "disk_full" then
      return "disk_full", ("A disk is full: %s."):format(first_line(f.message))
   end
   if not f and (all.types.disk_full or 0) > 0 then return "disk_full", "A disk was full." end
end

local SURE = { script_error = true, bad_record = true }

-- Nothing works, or not even a first record: so it is no record's fault.
local function code(_, _, all)
   local worst = all.places[1]
   if not worst or worst.type ~= "script_error" or worst.tasks <= all.done then return end
   if worst.last_record == 0 then
      return "code", ("The job fails at the first record it is given (%s): that looks like a mistake in the job, or "
         .. "like a first line that is none of the records, as a header. %s."):format(worst.place,
         first_line(worst.message))
   elseif worst.tasks > 1 then
      return "code", ("The job fails at one place (%s) in %s: that looks like a mistake in the job, not in a record. "
         .. "%s."):format(worst.place, text.count(worst.tasks, "task"), first_line(worst.message))
   end
end

local function records(_, failures, all)
   local worst, f = all.places[1], last(failures)
   if not f or not worst or not SURE[f.outcome] or worst.tasks < 3 or 2 * worst.tasks < all.tasks then return end
   return "records", ("Records in %s make the job fail at one place (%s); one is %s: %s."):format(
      text.count(worst.tasks, "task"), worst.place, M.place(f) or "in " .. f.task, first_line(f.message))
end

local function record(_, failures)
   local place = #failures > 0 and same_place(failures)
   if not place then return end
   local f = last(failures)
   if #failures > 1 then
      local aside = f.verdict == "quarantine" and "it was put aside" or "trying again does not help"
      return "record", ("All %d attempts that failed ended at %s, so that is the cause, or what the job does with it; "
         .. "%s. The error: %s."):format(#failures, place, aside, first_line(f.message))
   elseif SURE[f.outcome] then
      return "record", ("The job cannot handle %s: %s."):format(place, first_line(f.message))
   end
end

-- So many failures that no more is tried, whatever each of them was.
local function budget(_, failures, all)
   local f, most = last(failures), nil
   if not f or f.rule ~= "retry_budget" then return end
   for type, n in pairs(all.types) do
      if not most or n > all.types[most] or n == all.types[most] and type < most then most = type end
   end
   return "budget", ("The job's retry budget is used up, after %s in %s; most were of type %s. The last: %s."):format(
      text.count(all.failures, "failure"), text.count(all.tasks, "task"), most, first_line(f.message))
end

local function memory(_, failures)
   local f = last(failures)
   if not f or f.outcome ~= "memory_error" then return end
   local peak = f.memory_peak and (" (its Lua state had reached %s)"):format(text.size(f.memory_peak)) or ""
   return "memory", ("%s needs more memory than it may have%s: %s."):format(f.task, peak, first_line(f.message))
end

local function network(_, failures)
   local f = last(failures)
   if not f or f.outcome ~= "network_failure" then return end
   local d = M.details(f)
   local host = d.host or d.url and tostring(d.url):match("://([^/]+)") or f.file and f.file:match("://([^/]+)")
   local status = (tonumber(d.status) or 0) >= 400 and (" with status %s"):format(d.status) or ""
   return "network", ("%s did not give what was asked for%s: %s."):format(host or "A remote input", status,
      first_line(f.message))
end

local function corruption(_, failures)
   local f = last(failures)
   if not f or f.outcome ~= "data_corruption" then return end
   return "corruption", ("%s is damaged: %s."):format(f.file or "A file", first_line(f.message))
end

local function slow(_, failures)
   if not each_is(failures, "timeout") then return end
   local f = last(failures)
   local place = M.place(f)
   return "timeout", ("%s did not come to an end%s: %s."):format(f.task, place and ", at " .. place or "",
      first_line(f.message))
end

local function file(_, _, all)
   local f = all.files[1]
   if f and all.inputs > 1 and f.tasks > 1 and f.n == all.failures then
      return "file", ("All %s, in %s, were at one file: %s."):format(text.count(f.n, "failure"),
         text.count(f.tasks, "task"), f.file)
   end
end

-- "The worker of map_3", or of many tasks when all died alike.
local function who_died(f, all)
   local deaths = all.deaths
   if #deaths == 1 and deaths[1].tasks > 1 then return "The workers of " .. text.count(deaths[1].tasks, "task") end
   return "The worker of " .. f.task
end

local function crash(_, failures, all)
   local f = last(failures)
   if not f or f.outcome ~= "task_crash" then return end
   local who = who_died(f, all)
   if f.signal == 9 then
      return "killed", who .. " ended by signal 9, from outside: somebody killed it, or the kernel did because memory "
         .. "was out (dmesg tells)."
   elseif f.signal then
      return "crash", ("%s ended by signal %d: a crash in C code that the job calls, or a stack that overflowed.")
         :format(who, f.signal)
   elseif f.exit_status then
      return "exit", ("%s ended with exit status %d: the job, or a module of it, called os.exit."):format(who,
         f.exit_status)
   end
   return "crash", ("%s died: %s."):format(who, first_line(f.message))
end

local function one_type(_, failures)
   local f = last(failures)
   if f then return f.outcome, ("%s failed (%s): %s."):format(f.task, f.outcome, first_line(f.message)) end
end

-- Nothing failed in a task: the job itself says why.
local function by_state(job, all)
   if job.state == "gone" then
      return "gone", "The driver is gone without a word: it was killed, or the machine went down. Nothing says that "
         .. "the job was at fault."
   elseif job.state == "stopped" then
      local why = first_line(job.message or "stopped by a signal")
      return "stopped", why:find("^stopped by") and ("It was %s."):format(why) or ("It was stopped: %s."):format(why)
   elseif job.state == "partial" then
      return "partial", ("%s dropped: what %s would have given is not in the result."):format(
         all.dropped == 1 and "A task was" or text.count(all.dropped, "task") .. " were",
         all.dropped == 1 and "it" or "they")
   elseif job.state == "failed" then
      return "failed", ("It failed: %s."):format(first_line(job.message or "for a reason that was not kept"))
   end
   return "nothing", "Nothing has failed."
end

local RULES = { simulated, disk, code, records, budget, record, memory, network, corruption, slow, file, crash,
   one_type }

local function by_failures(job, failures, all)
   for _, rule in ipairs(RULES) do
      local kind, sentence = rule(job, failures, all)
      if kind then return kind, sentence end
   end
end

--- → kind, sentence. `is_guilty`: that the job did not end well is known to be the task's doing.
function M.probable(job, failures, all, is_guilty)
   local kind, sentence = by_state(job, all)
   local failure_kind, why
   if kind == "nothing" or is_guilty then failure_kind, why = by_failures(job, failures, all) end
   if failure_kind and job.state == "partial" then
      sentence = ("%s %s"):format(sentence, why)
   elseif failure_kind then
      sentence = why
   end
   kind = failure_kind or kind
   if kind ~= "nothing" and job.state == "complete" then
      sentence = ("It came to a good end after %s. %s"):format(text.count(all.failures, "failure"), sentence)
   end
   return kind, (sentence:gsub("([.?!])%.$", "%1"))
end

-- --- what may be typed next: { command, what for } ---

local SETTINGS = {
   memory = { "limits.memory_limit=2G", "with more memory for each task" },
   timeout = { "limits.progress_timeout_seconds=3600", "with more patience" },
}
local REPLAY = { record = true, records = true, code = true, exit = true, crash = true,
   script_error = true, bad_record = true }

local function going_on(job, kind, say)
   local setting = SETTINGS[kind]
   local can_resume = job.commands.resume and job.state ~= "partial"
   say(can_resume and journal.command(job, "resume"), kind == "gone" and "goes on after what is committed"
      or "goes on after what is committed, once the cause is mended")
   if setting then
      say(again.run(job, { setting[1] }), setting[2])
   elseif not can_resume then
      say(again.run(job), "all of it again, once the cause is mended")
   end
end

-- The bound on what is put aside was met, by the attempt or by the job.
local function is_full(job, failure)
   local words = (failure and failure.reason or "") .. (job.message or "")
   return words:find("limits.max_quarantined", 1, true) ~= nil
end

--- Next commands. `failure`: the last failed attempt of the task that is told of, or nil.
function M.next(job, kind, failure)
   local list = {}
   local function say(command, what)
      if command then list[#list + 1] = { command = command, what = what } end
   end
   if failure and REPLAY[kind] and failure.replayable == 1 then
      say(journal.command(job, "replay", journal.attempt_name(failure)), "that attempt again, in the foreground")
   end
   if job.state ~= "complete" and not job.is_running then
      if is_full(job, failure) then
         say(again.run(job, { "limits.max_quarantined=1000" }), "lets more records be put aside")
      elseif (kind == "record" or kind == "records") and SURE[failure.outcome] then
         say(again.run(job, { ("on_error.%s=quarantine"):format(failure.outcome) }),
            "puts such records aside and goes on")
      end
      going_on(job, kind, say)
   end
   if journal.quarantined() > 0 then
      say(journal.command(job, "quarantine"), "what was put aside")
      if job.state == "complete" and journal.can_try_again() then
         say(journal.command(job, "resume", "--quarantined"), "tries that again, once the job or its input is mended")
      elseif job.state == "complete" then
         say(again.run(job), "all of it again, once the job or its input is mended")
      end
   end
   return list
end

return M
