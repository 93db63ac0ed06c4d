-- What specs of real failures share: jobs that the real binary runs, each in a folder and a state folder of its own,
-- and what its journal says of them, as sqlite3 reads it.
local cjson = require "cjson"
local h = require "spec.helper"
local luassert = require "luassert"

local M = {}

--- A folder with a state folder of its own and, unless nil, an input file.
function M.place(input)
   local dir = h.tmpdir()
   if input then h.write(dir, "in.txt", input) end
   return { dir = dir, env = { LMR_STATE_DIR = dir .. "/state", GATE = dir } }
end

-- What jobs may use besides mr: files in the job's folder as signs between attempts and the spec.
local PRELUDE = [[
local mr = require "mr"
local function there(name)
   local file <close> = io.open(os.getenv("GATE") .. "/" .. name)
   return file ~= nil
end
local function mark(name) assert(io.open(os.getenv("GATE") .. "/" .. name, "w")):close() end
local function first(name) if there(name) then return false end mark(name) return true end -- true once
local function wait(name) mark(name .. ".waits") while not there(name) do mr.sleep(0.02) mr.progress() end end
]]

--- Writes job.lua: `body` is done with each `line` before it is emitted; `more` are other keys of the job. The first
--- line of the body is line 10 of the file.
function M.job(p, body, more)
   h.write(p.dir, "job.lua", ("%sreturn mr.job { job_name = \"job\", map = function(key, line, emit)\n%s\n" ..
      "   emit(line, 1)\nend, %s }\n"):format(PRELUDE, body, more or "reduce = mr.sum"))
end

--- A profile in the folder: `text` is what its table holds.
function M.profile(p, text, name)
   return h.write(p.dir, name or "my.lua", "return {\n" .. text .. "\n}\n")
end

local function arguments(p, args)
   local words = { "run", "job.lua" }
   if h.exists(p.dir .. "/in.txt") then words[3] = "in.txt" end
   if h.exists(p.dir .. "/my.lua") then table.move({ "--profile", "my.lua" }, 1, 2, #words + 1, words) end
   table.move({ "-o", "out", "--set", "retry.base_delay_seconds=0.02" }, 1, 4, #words + 1, words)
   table.move(args or {}, 1, #(args or {}), #words + 1, words)
   return words, { dir = p.dir, env = p.env }
end

--- Runs job.lua on in.txt, if there is one, with my.lua as its profile, if there is one.
function M.run(p, args)
   local words, options = arguments(p, args)
   return h.run(words, options)
end

function M.background(p, args)
   local words, options = arguments(p, args)
   return h.background(words, options)
end

--- The folder of the place's one job.
function M.job_dir(p)
   local names = h.ls(p.dir .. "/state")
   assert(#names == 1, "jobs: " .. table.concat(names, " "))
   return p.dir .. "/state/" .. names[1]
end

--- Rows of a query, each a table by column; what is NULL is nil.
function M.sql(p, query)
   local result = h.sh(("sqlite3 -readonly -json %s/journal.db %s"):format(h.quote(M.job_dir(p)), h.quote(query)))
   assert(result.err == "", result.err)
   local rows = result.out == "" and {} or cjson.decode(result.out)
   for _, row in ipairs(rows) do
      for name, value in pairs(row) do
         if value == cjson.null then row[name] = nil end
      end
   end
   return rows
end

--- The one number a query gives.
function M.count(p, query)
   local row = M.sql(p, "select (" .. query .. ") as n")[1]
   return row.n
end

--- Waits until a query about a job that runs gives 1; the journal need not be there yet.
function M.wait_for(p, query)
   h.poll(20, function()
      local dir = p.dir .. "/state"
      if not h.exists(dir) then return false end
      local ok, n = pcall(M.count, p, query)
      return ok and n == 1
   end)
end

M.ATTEMPTS = "select step, round, task, attempt, speculative, worker, started, ended, outcome, message, traceback, "
   .. "file, \"offset\", record, \"key\", details, exit_status, signal, memory_peak, simulated, fingerprint, "
   .. "same_failures, verdict, rule, reason, delay from attempt "

--- Attempts as the journal has them, in the order they ended; `where` is the rest of the query.
function M.attempts(p, where)
   return M.sql(p, M.ATTEMPTS .. (where or "") .. " order by rowid")
end

--- Those attempts in short: "map_0.0 task_crash retry", a space between.
function M.story(p, where)
   local list = {}
   for i, row in ipairs(M.attempts(p, where)) do
      list[i] = ("%s.%d%s %s%s"):format(row.task, row.attempt, row.speculative == 1 and "s" or "", row.outcome,
         row.verdict and " " .. row.verdict or "")
   end
   return list
end

--- Lines "KEY<tab>COUNT" of the lines of a text, sorted, as awk and sort count them.
function M.counted(path)
   return h.sh(([[LC_ALL=C awk '{n[$0]++} END {for (k in n) print k "\t" n[k]}' %s | LC_ALL=C sort]]):format(
      h.quote(path))).out
end

--- The manifest of the output.
function M.manifest(p)
   return cjson.decode(assert(h.read(p.dir .. "/out/_MANIFEST.json")))
end

function M.part(p, n)
   return h.read(("%s/out/part-%05d"):format(p.dir, n or 0))
end

-- Counts of the job's statistics as sqlite3 makes them from the rows of the journal.
local BOOKS = [[
   with a as (select * from attempt where task glob '*map_*' or task glob '*reduce_*'),
        f as (select * from a where outcome not in ('committed', 'lost', 'ended'))
   select (select count(*) from a) as attempts,
      (select count(*) from a where outcome = 'committed') as committed,
      (select count(*) from f) as failures,
      (select count(*) from f where verdict in ('retry', 'quarantine')) as retries,
      (select count(distinct task) from f where verdict = 'drop_task') as dropped_tasks,
      (select count(*) from f where verdict in ('fail', 'abort')) as failed_tasks,
      (select count(distinct task) from f where exists (select 1 from task t where t.task = f.task)) as recovered_tasks,
      (select count(*) from a where speculative) as started,
      (select count(*) from a where speculative and outcome = 'committed') as won,
      (select count(*) from a where speculative and outcome = 'lost') as lost,
      (select coalesce(sum(records), 0) from file where kind = 'quarantine') as quarantined,
      (select coalesce(sum(delay), 0) from f where verdict in ('retry', 'quarantine')) as seconds_waited,
      (select coalesce(sum(cpu), 0) from a) as cpu_seconds,
      (select coalesce(sum(cpu), 0) from a where outcome != 'committed') as cpu_seconds_wasted
]]

--- Holds the statistics of `lmr show --json`, and of the manifest where there is one, against counts of sqlite3.
function M.check_books(p)
   local result = h.run({ "show", "--json" }, { dir = p.dir, env = p.env })
   assert(result.code == 0, result.err)
   local shown = cjson.decode(result.out).statistics
   local counted = M.sql(p, BOOKS)[1]
   for name, n in pairs(counted) do
      local said = shown[name] or shown.speculative[name]
         or name == "quarantined" and shown.quarantined_records + shown.quarantined_groups
      assert(math.abs(said - n) < 1e-6, ("%s: shown %s, counted %s"):format(name, said, n))
   end
   for _, row in ipairs(M.sql(p, "select outcome, verdict, count(*) as n from attempt where verdict is not null and "
      .. "(task glob '*map_*' or task glob '*reduce_*') group by 1, 2")) do
      local said = shown.by_type[row.outcome].by_verdict[row.verdict]
      assert(said == row.n, ("%s %s: shown %s, counted %s"):format(row.outcome, row.verdict, said, row.n))
   end
   if h.exists(p.dir .. "/out/_MANIFEST.json") then
      luassert.same(M.manifest(p).statistics, shown)
   end
   return shown
end

return M
