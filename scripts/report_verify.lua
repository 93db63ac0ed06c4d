-- report_verify.lua: `lmr verify`: whether all that is kept of a job is whole, and what it means where it is not.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"
local stand = require "mr.report_stand"

local STATES = { running = true, publishing = true, complete = true, partial = true, failed = true, stopped = true }

-- --- what is found ---

-- { job =, problems = { { file =, kind =, task =, message =, means =, next =, checkpoint = } }, files =, bytes = }
local function add(found, problem)
   if found.checkpoint then problem.checkpoint = found.checkpoint end
   found.problems[#found.problems + 1] = problem
end

local function resume(found)
   return journal.command(found.job, "resume")
end

local function run_again(found)
   local job = found.job
   return ("run the job again: lmr run %s%s"):format(job.job_file and text.shell(job.job_file) or "…",
      job.output_dir and (" … -o %s --overwrite"):format(text.shell(job.output_dir)) or " …")
end

-- What a damaged or missing file means while the job can still go on, by what it is.
local MEANS
MEANS = {
   run = function(found, file)
      return { means = file.task .. " is run again", next = resume(found) }
   end,
   part = function(found, file)
      if file.present then -- sizes are looked at when a job goes on, and what is in them when it is read
         return { means = file.task .. " has to run again, and does once the file is gone",
            next = ("rm %s; %s"):format(text.shell(file.path), resume(found)) }
      end
      return { means = file.task .. " is run again", next = resume(found) }
   end,
   pairs = function(found)
      return { means = "an earlier step wrote it and a later one is to read it: it cannot be made again",
         next = run_again(found) }
   end,
   quarantine = function(found, file)
      return MEANS.part(found, file)
   end,
   side = function(found, file)
      return MEANS.part(found, file)
   end,
   index = function(found)
      return { means = "it is made again", next = resume(found) }
   end,
   ["task checkpoint"] = function(found, file)
      return { means = ("%s begins anew, and does not go on from there"):format(file.task), next = resume(found) }
   end,
}

-- The same for a job that is over.
local function means_when_over(found, file)
   if file.kind == "quarantine" then
      return { means = "these records are lost for lmr quarantine; they still are in the input",
         next = run_again(found) }
   end
   return { means = "it is made again by lmr resume --quarantined; the result is not touched",
      next = "nothing, unless the records that were put aside are to be tried again" }
end

local function add_file(found, file, message)
   local meaning
   if found.checkpoint then
      local lost = file.role == "pairs"
      meaning = { means = ("lmr resume --from %d %s"):format(found.checkpoint,
         lost and "cannot go on without it" or "runs " .. file.task .. " again"),
         next = "nothing, as long as the job goes on from where it stands" }
   elseif journal.is_over(found.job) then
      meaning = means_when_over(found, file)
   else
      meaning = MEANS[file.role](found, file)
   end
   add(found, { file = file.path, kind = file.kind, task = file.task, message = message, means = meaning.means,
      next = meaning.next })
end

-- --- files that commits name ---

local function begins_as_run(path)
   local file <close> = io.open(path, "rb")
   return file and file:read(8) == "lmrRUN1\n"
end

-- What was written is read: nil, or why it does not hold.
local function check_content(found, file)
   local as_run = file.kind == "run" or (file.kind == "part" and file.pairs)
   local result, message = native.check(as_run and "run" or "bytes", file.path)
   if not result then return message end
   found.bytes = found.bytes + result.bytes
   if file.checksum and file.checksum ~= "" and result.checksum ~= file.checksum then
      return ("%s is not the file that was committed: its checksum is %s, not %s"):format(file.path, result.checksum,
         file.checksum)
   end
end

local function check_file(found, file, with_content)
   local size = native.size(file.path)
   file.present = size ~= nil
   if not size then
      return file.needed and ("%s is gone"):format(file.path) or nil
   end
   found.files = found.files + 1
   if size ~= file.bytes then
      return ("%s has %s, not the %s that were committed"):format(file.path, text.count(size, "byte"),
         text.count(file.bytes))
   end
   return with_content and check_content(found, file) or nil
end

local function check_files(found, with_content)
   for _, file in ipairs(stand.files(found.job)) do
      if file.kind == "part" and file.pairs == nil then file.pairs = begins_as_run(file.path) end
      local message = check_file(found, file, with_content)
      if message then add_file(found, file, message) end
   end
end

-- Files that no commit names, and that are made again where they do not hold.
local function check_others(found, kind, paths, ending)
   for _, path in ipairs(paths) do
      local result, message = native.check(kind, path)
      found.files = found.files + 1
      if result then
         found.bytes = found.bytes + result.bytes
      elseif native.size(path) then -- else the job that runs has removed it meanwhile
         local task = path:match("([^/]*)$"):match("^(.*)%.%d+s?" .. ending) or path:match("([^/]*)" .. ending)
         add_file(found, { path = path, kind = kind, role = kind, task = task }, message)
      end
   end
end

-- --- the journal ---

-- What a journal must hold together, each with the words for what it lacks.
local RULES = {
   { [[SELECT task FROM task AS t WHERE NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.step = t.step AND
         a.round = t.round AND a.task = t.task AND a.attempt = t.attempt AND a.speculative = t.speculative AND
         a.outcome = 'committed')]], "it names a winner of %s, but has no such attempt" },
   { [[SELECT DISTINCT task FROM file AS f WHERE NOT EXISTS (SELECT 1 FROM task AS t WHERE t.step = f.step AND
         t.round = f.round AND t.task = f.task)]], "it has files of %s, which never committed" },
   { [[SELECT t.task FROM task AS t JOIN step AS s ON s.step = t.step AND s.round = t.round WHERE
         rtrim(substr(t.task, instr(t.task, ':') + 1), '_0123456789') = 'reduce' AND
         CAST(substr(t.task, instr(t.task, 'reduce_') + 7) AS INTEGER) >= s.reduces]],
      "%s has committed, which its plan does not have" },
   { [[SELECT t.task FROM task AS t JOIN step AS s ON s.step = t.step AND s.round = t.round WHERE
         rtrim(substr(t.task, instr(t.task, ':') + 1), '_0123456789') = 'map' AND
         CAST(substr(t.task, instr(t.task, 'map_') + 4) AS INTEGER) >= s.maps]],
      "%s has committed, which its plan does not have" },
}

-- As `lmr resume` advises: the newest checkpoint that can be read, unless the job is known to be over.
local function instead(found)
   local number = math.tointeger(found.whole_checkpoint) or 0
   if number == 0 or (found.job.written_state and journal.is_over(found.job)) then return "run the job again" end
   return journal.command(found.job, "resume", "--from", tostring(number))
end

local function journal_problem(found, message)
   add(found, { file = found.journal, kind = found.checkpoint and "checkpoint" or "journal", message = message,
      means = found.checkpoint and ("lmr resume --from %d cannot use it"):format(found.checkpoint)
         or "what the job has done cannot be trusted any more: it cannot go on from here",
      next = found.checkpoint and "nothing, as long as the job goes on from where it stands" or instead(found) })
end

-- The result of each commit decodes, and tells of the same files as the table of files.
local function check_results(found)
   local rows = native.query [[SELECT t.task, a.result FROM task AS t JOIN attempt AS a ON a.step = t.step AND
      a.round = t.round AND a.task = t.task AND a.attempt = t.attempt AND a.speculative = t.speculative AND
      a.outcome = 'committed']]
   local sums = {}
   for _, row in ipairs(native.query "SELECT task, kind, checksum, bytes FROM file WHERE kind IN ('run', 'part')") do
      sums[row.task .. " " .. row.kind] = row
   end
   for _, row in ipairs(rows) do
      local result = row.result and native.decode(row.result)
      if row.result and type(result) ~= "table" then
         journal_problem(found, ("%s: the result of %s does not decode"):format(found.journal, row.task))
      end
      for _, kind in ipairs { "run", "part" } do
         local file, said = sums[row.task .. " " .. kind], type(result) == "table" and result[kind]
         if file and type(said) == "table" and (said.checksum ~= file.checksum or said.bytes ~= file.bytes) then
            journal_problem(found, ("%s: the commit of %s and its row of files do not agree"):format(found.journal,
               row.task))
         end
      end
   end
end

-- SQLite reads zeros where a file ends too early. What stands in a WAL need not be in the file yet.
local function check_length(found)
   local size, page = native.size(found.journal), native.query("PRAGMA page_size")[1].page_size
   local pages = native.query("PRAGMA page_count")[1].page_count
   local waits = (native.size(found.journal .. "-wal") or 0) > 0
   if size % page ~= 0 or (size < pages * page and not waits) then
      journal_problem(found, ("%s is cut: it has %s, not %s"):format(found.journal, text.count(size, "byte"),
         text.count(pages * page)))
   end
end

local function check_rows(found)
   local problems = #found.problems
   check_length(found)
   for _, row in ipairs(native.query "PRAGMA integrity_check(20)") do
      local what = row.integrity_check
      if what ~= "ok" then journal_problem(found, ("%s is damaged: %s"):format(found.journal, what)) end
   end
   if #found.problems > problems then return false end
   for _, rule in ipairs(RULES) do
      for _, row in ipairs(native.query(rule[1])) do
         journal_problem(found, ("%s: %s"):format(found.journal, rule[2]:format(row.task)))
      end
   end
   check_results(found)
   return #found.problems == problems
end

-- A query of a damaged database fails where the damage is.
local function check_journal(found)
   local ok, result = pcall(check_rows, found)
   if not ok then journal_problem(found, tostring(result)) end
   return ok and result
end

-- --- checkpoints ---

local function read_checkpoint(found, part, c)
   local size = native.size(c.path)
   if not size then return journal_problem(part, ("%s is gone"):format(c.path)) end
   if size ~= c.bytes then
      return journal_problem(part, ("%s has %s, not the %s that were written"):format(c.path, text.count(size, "byte"),
         text.count(c.bytes)))
   end
   local job, message = journal.open(c.path, true)
   if not job then return journal_problem(part, message) end
   found.bytes = found.bytes + size
   job.id, job.dir, job.commands = found.job.id, found.job.dir, found.job.commands
   if not check_journal(part) then return end
   part.job = job
   if not journal.is_over(found.job) then check_files(part, false) end
end

local function check_checkpoint(found, c)
   local part = { job = found.job, journal = c.path, checkpoint = c.number, problems = found.problems, files = 0,
      bytes = 0 }
   found.files = found.files + 1
   local ok, message = pcall(read_checkpoint, found, part, c)
   if not ok then journal_problem(part, ("%s is damaged: %s"):format(c.path, tostring(message))) end
end

-- --- the result ---

local function result_problem(found, path, message, means)
   add(found, { file = path, kind = "result", message = message, means = means, next = run_again(found) })
end

local function read_manifest(found, path)
   local file <close> = io.open(path, "rb")
   local content = file and file:read("a")
   if not content then
      return result_problem(found, path, path .. " is gone",
         "the result was moved or removed, or something else stands there")
   end
   local ok, manifest = pcall(native.mr.json_decode, content)
   if not ok or type(manifest) ~= "table" or type(manifest.files) ~= "table" or content:sub(-1) ~= "\n" then
      return result_problem(found, path, path .. " is damaged: it is no manifest of lmr",
         "nobody can tell whether the parts are whole")
   end
   found.files, found.bytes = found.files + 1, found.bytes + #content
   return manifest
end

-- The manifest says what the journal says.
local function compare(found, path, manifest)
   local rows, named = {}, {}
   for _, row in ipairs(stand.published(found.job)) do rows[row.checksum .. " " .. row.bytes] = row end
   for _, file in ipairs(manifest.files) do
      local key = ("%s %s"):format(file.checksum, file.bytes)
      local row = rows[key]
      named[key] = true
      if not row or (row.records ~= 0 and row.records ~= file.records) then
         result_problem(found, path, ("%s is damaged: what it says of %s is not what was committed"):format(path,
            tostring(file.name)), "programs that read it are told something wrong")
      end
   end
   for key, row in pairs(rows) do
      if not named[key] then
         result_problem(found, path, ("%s is damaged: it does not name what %s wrote"):format(path, row.task),
            "programs that read it are told something wrong")
      end
   end
   local aside = found.job.quarantined and math.tointeger(tonumber(found.job.quarantined)) or 0
   if manifest.quarantined ~= aside then
      result_problem(found, path, ("%s is damaged: it says that %s records were put aside, not %d"):format(path,
         tostring(manifest.quarantined), aside), "programs that read it are told something wrong")
   end
end

local function check_part(found, dir, file)
   local path = ("%s/%s"):format(dir, tostring(file.name))
   local size = native.size(path)
   if not size then return result_problem(found, path, path .. " is gone", "a part of the result is lost") end
   found.files = found.files + 1
   if size ~= file.bytes then
      return result_problem(found, path, ("%s has %s, not the %s of the manifest"):format(path,
         text.count(size, "byte"), tostring(file.bytes)), "this part of the result is damaged, or was changed")
   end
   local result, message = native.check("bytes", path)
   if not result then return result_problem(found, path, message, "this part of the result cannot be read") end
   found.bytes = found.bytes + result.bytes
   if result.checksum ~= file.checksum then
      result_problem(found, path, ("%s is damaged: its checksum is %s, not the %s of the manifest"):format(path,
         result.checksum, tostring(file.checksum)), "this part of the result is damaged, or was changed")
   end
end

-- Of another job by now: nothing of it is looked at.
local function is_replaced(found, manifest)
   if manifest.job_id == found.job.id or type(manifest.job_id) ~= "string" then return false end
   found.note = ("the result in %s is that of %s by now, and was not checked"):format(found.job.output_dir,
      manifest.job_id)
   return true
end

local function check_result(found)
   local job, dir = found.job, found.job.output_dir
   if not dir or not journal.is_over(job) then return end
   local path = dir .. "/_MANIFEST.json"
   local manifest = read_manifest(found, path)
   if not manifest or is_replaced(found, manifest) then return end
   compare(found, path, manifest)
   for _, file in ipairs(manifest.files) do check_part(found, dir, file) end
   if job.state == "complete" and not native.size(dir .. "/_SUCCESS") then
      add(found, { file = dir .. "/_SUCCESS", kind = "result", message = dir .. "/_SUCCESS is gone",
         means = "programs that wait for it take the result for unfinished",
         next = ("touch %s/_SUCCESS"):format(text.shell(dir)) })
   end
end

-- --- all of it ---

local function total_bytes(job)
   local sum = 0
   for _, file in ipairs(stand.files(job)) do sum = sum + (native.size(file.path) and file.bytes or 0) end
   if journal.is_over(job) then
      for _, row in ipairs(stand.published(job)) do sum = sum + row.bytes end
   end
   return math.max(1, sum)
end

local function open(found, argument)
   local job, message = journal.open(found.journal, true)
   if job and job.driver == "alive" then job, message = journal.open(found.journal) end
   if not job then return nil, message end
   job.id, job.dir = argument.id, argument.job_dir
   job.commands, job.state_dir_option = argument.commands, argument.state_dir_option
   return job
end

-- What a running job has removed or replaced while we read is no damage.
local function is_still_there(found, argument)
   if found.job.driver ~= "alive" or #found.problems == 0 then return end
   local problems = found.problems
   found.job = open(found, argument) or found.job
   found.problems = {}
   if journal.is_over(found.job) then return check_result(found) end
   local now = { job = found.job, journal = found.journal, problems = {}, files = 0, bytes = 0 }
   check_files(now, true)
   local still = {}
   for _, p in ipairs(now.problems) do still[p.file] = true end
   for _, p in ipairs(problems) do
      if still[p.file] or not p.task then found.problems[#found.problems + 1] = p end
   end
end

local function verify(found, argument)
   local ok, job, message = pcall(open, found, argument)
   if not ok or not job then
      return journal_problem(found, tostring(ok and message or job))
   end
   found.job = job
   if not STATES[job.written_state] then
      journal_problem(found, ("%s says that the job is %s, which no job is"):format(found.journal,
         tostring(job.written_state)))
   end
   found.files, found.bytes = 1, native.size(found.journal) or 0
   if not check_journal(found) then return end
   native.progress(total_bytes(job))
   check_files(found, true)
   check_others(found, "index", stand.indexes(job), "%.index$")
   if not journal.is_over(job) then
      check_others(found, "task checkpoint", stand.task_checkpoints(job), "%.ckpt$")
   end
   check_result(found)
   is_still_there(found, argument)
   local list = journal.checkpoints(job)
   for _, c in ipairs(list) do check_checkpoint(found, c) end
   found.checkpoints = #list
   native.progress()
end

-- --- what is told ---

local function write(found, argument)
   local id = argument.id
   if found.note then text.pair("note", found.note) end
   if #found.problems == 0 then
      if not argument.quiet then
         local kept = found.checkpoints or 0
         text.line("%s is whole: %s, %s%s", id, text.count(found.files, "file"), text.size(found.bytes),
            kept > 0 and ", " .. text.count(kept, "checkpoint") .. " among them" or "")
      end
      return
   end
   for _, p in ipairs(found.problems) do
      text.line("%s", p.message)
      text.pair("means", p.means)
      if p.next then text.exact("next", p.next) end
   end
end

local function write_json(found, argument)
   local list = {}
   for i, p in ipairs(found.problems) do
      list[i] = { file = p.file, kind = p.kind, task = p.task, checkpoint = p.checkpoint, message = p.message,
         means = p.means, next = p.next }
   end
   text.json { id = argument.id, state = found.job.state, whole = #list == 0, files = found.files,
      bytes = found.bytes, checkpoints = found.checkpoints, note = found.note, problems = list }
end

return function(argument)
   local found = { job = { id = argument.id, commands = argument.commands,
      state_dir_option = argument.state_dir_option }, journal = argument.journal,
      problems = {}, files = 0, bytes = 0, whole_checkpoint = argument.whole_checkpoint }
   verify(found, argument)
   if argument.json then write_json(found, argument) else write(found, argument) end
   if #found.problems > 0 then
      native.fail(("%s: %s found"):format(argument.id, text.count(#found.problems, "problem")))
   end
end
