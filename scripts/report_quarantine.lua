-- report_quarantine.lua: `lmr quarantine`: the records (in reduce: the groups) that a job put aside, as they stand in
-- the files of its folder.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"

local SHOWN, BYTES_SHOWN = 200, 2000

--- Calls f(entry, file) for each; a file that cannot be read is told to `problem`.
local function each_entry(files, f, problem)
   for _, file in ipairs(files) do
      local at = 0
      while at do
         local entries, more = native.read_quarantine(file.path, at)
         if not entries then
            problem(more)
            break
         end
         for _, entry in ipairs(entries) do f(entry, file) end
         at = more
      end
   end
end

local function of_task(job, task)
   local files, kept, names = journal.quarantine_files(job), {}, {}
   for _, file in ipairs(files) do
      if not task or file.task == task then kept[#kept + 1] = file end
      names[#names + 1] = file.task
   end
   if task and #kept == 0 then
      local near = native.nearest(task, names)
      native.usage(("%s put nothing aside in task '%s'%s"):format(job.id, task,
         near and near ~= task and ("; is it '%s'?"):format(near)
         or #names > 0 and ("; it did in " .. table.concat(names, ", ", 1, math.min(6, #names))) or ""))
   end
   return kept
end

-- --- for a program ---

local function write_json(files)
   local bad = {}
   each_entry(files, function(entry, file)
      if entry.broken then
         bad[#bad + 1] = ("%s, byte %d: this line is no entry"):format(file.path, entry.offset)
      else
         text.json(entry)
      end
   end, function(message) bad[#bad + 1] = message end)
   return bad
end

-- --- for a reader ---

local function field(entry, name)
   local value = entry[name]
   return value ~= nil and value ~= native.mr.null and value or nil
end

local function where(entry)
   local words = {}
   if field(entry, "key") ~= nil then words[#words + 1] = "group " .. tostring(entry.key) end
   if field(entry, "file") then words[#words + 1] = tostring(entry.file) end
   return table.concat(words, ", ")
end

local function offset(entry)
   local at = field(entry, "offset")
   return at and tostring(at) or ""
end

local function first_line(message)
   return (tostring(message or ""):match("^[^\n]*"))
end

local function row_of(entry, file)
   if entry.broken then
      return { text.safe(file.task), "?", "", tostring(entry.offset), "", "a line that is no entry" }
   end
   return { text.safe(entry.task or file.task), text.safe(entry.unit or "record"), text.safe(where(entry)),
      offset(entry), text.safe(entry.type or "?"), text.safe(first_line(entry.message)) }
end

local COLUMNS = { { "task" }, { "unit" }, { "file or group", cut = "front" }, { "byte", right = true },
   { "type", cut = "end" }, { "message", cut = "end" } }

local function write_table(job, files, total)
   local rows, bad, n = {}, {}, 0
   each_entry(files, function(entry, file)
      n = n + 1
      if n <= SHOWN then rows[n] = row_of(entry, file) end
   end, function(message) bad[#bad + 1] = message end)
   if #rows > 0 then text.table(COLUMNS, rows) end
   if n > SHOWN then text.line("  … and %s more (--json has all)", text.count(n - SHOWN)) end
   text.line ""
   text.wrap("", ("%s put aside, in %s/quarantine/*.jsonl"):format(text.count(total), text.shell(text.safe(job.dir))))
   return bad
end

local function tell_bytes(entry)
   local bytes = field(entry, "bytes")
   if bytes then
      for i, line in ipairs(text.safe_lines(tostring(bytes):sub(1, BYTES_SHOWN))) do
         text.line("  %-10s %s", i == 1 and "bytes" or "", line)
      end
   elseif field(entry, "bytes_base64") then
      text.pair("bytes", "base64 " .. tostring(entry.bytes_base64):sub(1, BYTES_SHOWN))
   else
      return
   end
   local total = field(entry, "bytes_total")
   if math.type(total) == "integer" and (entry.truncated or #tostring(bytes or entry.bytes_base64) > BYTES_SHOWN) then
      text.pair("", ("(%s in all%s; --json has what is kept)"):format(text.size(total),
         entry.truncated and ", not all of it was kept" or ""))
   end
end

local function tell(entry, file)
   if entry.broken then
      text.line("%s: byte %d of %s is no entry", text.safe(file.task), entry.offset, text.safe(file.path))
      return text.line ""
   end
   text.line("%s.%s: %s", text.safe(entry.task or file.task), text.safe(field(entry, "attempt") or "?"),
      text.safe(entry.unit or "record"))
   for _, name in ipairs { "key", "file", "offset", "record", "type" } do
      if field(entry, name) ~= nil then text.pair(name, tostring(entry[name])) end
   end
   text.pair("message", first_line(entry.message))
   for _, line in ipairs(text.safe_lines(tostring(field(entry, "traceback") or ""))) do
      text.line("             %s", (line:gsub("^ +", "")))
   end
   local details = field(entry, "details")
   if type(details) == "table" then details = native.mr.json_encode(details) end
   if details then text.pair("details", tostring(details)) end
   tell_bytes(entry)
   text.line ""
end

local function write_full(files)
   local bad = {}
   each_entry(files, tell, function(message) bad[#bad + 1] = message end)
   return bad
end

local function tell_problems(bad)
   if #bad > 0 then native.fail(("%s%s"):format(bad[1], #bad > 1 and (" (and %d more)"):format(#bad - 1) or "")) end
end

return function(argument)
   local job = journal.need(argument)
   local files = of_task(job, argument.task)
   local total = 0
   for _, file in ipairs(files) do total = total + file.records end
   native.open() -- a reader that takes its time holds nothing of a job that runs
   if argument.json then return tell_problems(write_json(files)) end
   if #files == 0 then return text.line("%s has put nothing aside", job.id) end
   if argument.full or argument.task then return tell_problems(write_full(files)) end
   tell_problems(write_table(job, files, total))
end
