-- What `lmr show`, `why`, `quarantine` and `jobs` tell of jobs that the real binary ran and that really failed. What
-- they count is counted again by sqlite3.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

-- A job folder of its own for each test, with an input of the numbers from 1 to n, one a line.
local function place(n)
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, n or 100 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   return { dir = dir, state = dir .. "/state", env = { LMR_STATE_DIR = dir .. "/state" } }
end

-- What these jobs ask for: an error fails them, other failures are tried again once and then fail them.
local RECOVERY = [[recovery = { on_error = { script_error = "fail", bad_record = "fail",
   ["*"] = { max_retries = 1, on_exhausted = "fail" } } }]]

-- Runs a job whose map does `body` with each line before it emits it.
local function run(p, name, body, options)
   local job = ('local mr = require "mr"\nreturn mr.job { job_name = "%s", map = function(_, line, emit)\n%s\n'
      .. 'mr.increment("lines", "seen", 1)\nemit(line, 1) end, reduce = mr.sum, %s }\n'):format(name, body, RECOVERY)
   h.write(p.dir, name .. ".lua", job)
   local args = { "run", "--quiet", name .. ".lua", "in.txt", "--set", "retry.base_delay_seconds=0.02" }
   for _, word in ipairs(options or {}) do args[#args + 1] = word end
   return h.run(args, { dir = p.dir, env = p.env })
end

local function lmr(p, ...)
   return h.run({ ... }, { dir = p.dir, env = p.env })
end

-- What a report prints: nothing of it may steer a terminal, and lines end at 80 columns where words allow it.
local function out(p, ...)
   local result = lmr(p, ...)
   assert.equal("", result.err)
   assert.equal(0, result.code)
   assert.is_nil(result.out:find("[%z\1-\9\11-\31\127]"))
   return result.out
end

local function json(p, ...)
   return cjson.decode(out(p, ..., "--json"))
end

local function sql(p, job, query)
   local result = h.sh(("sqlite3 -readonly %s/%s/journal.db %s"):format(h.quote(p.state), job, h.quote(query)))
   assert.equal("", result.err)
   return (result.out:gsub("\n$", ""))
end

local function change(p, job, statement)
   assert.equal("", h.sh(("sqlite3 %s/%s/journal.db %s"):format(h.quote(p.state), job, h.quote(statement))).err)
end

local function has(text, part)
   assert.matches(part, text, 1, true)
end

local function columns(line)
   return utf8.len(line) or #line
end

-- Paths and commands are never cut.
local function fits(text)
   for _, line in ipairs(h.lines(text)) do
      if not line:find("/", 1, true) and not line:find("lmr run ", 1, true) then
         assert.is_true(columns(line) <= 80, line)
      end
   end
end

local FAILED = "outcome NOT IN ('committed', 'lost', 'ended')"

-- The counts of `lmr show --json` against sqlite3.
local function check_counts(p, job, shown)
   assert.equal(tonumber(sql(p, job, "SELECT count(*) FROM attempt")), shown.attempts)
   assert.equal(tonumber(sql(p, job, "SELECT count(*) FROM attempt WHERE " .. FAILED)), shown.failed_attempts)
   assert.equal(sql(p, job, "SELECT value FROM job WHERE key = 'state'"), shown.state)
   local done = 0
   for _, kind in pairs(shown.tasks) do done = done + kind.done end
   assert.equal(tonumber(sql(p, job, "SELECT count(*) FROM task")), done)
   local rows = {}
   for type, verdicts in pairs(shown.failures) do
      for verdict, n in pairs(verdicts) do rows[#rows + 1] = ("%s|%s|%d"):format(type, verdict, n) end
   end
   table.sort(rows)
   assert.equal(sql(p, job, "SELECT outcome, coalesce(verdict, 'none') AS v, count(*) FROM attempt WHERE " .. FAILED
      .. " GROUP BY 1, 2 ORDER BY 1, 2"), table.concat(rows, "\n"))
   local s = shown.statistics
   local function count(query) return tonumber(sql(p, job, query)) end
   assert.equal(shown.attempts, s.attempts)
   assert.equal(shown.failed_attempts, s.failures)
   assert.equal(count "SELECT count(*) FROM attempt WHERE verdict IN ('retry', 'quarantine')", s.retries)
   assert.equal(count("SELECT count(*) FROM (SELECT task FROM attempt WHERE " .. FAILED
      .. " INTERSECT SELECT task FROM task)"), s.recovered_tasks)
   assert.near(count "SELECT total(delay) FROM attempt", s.seconds_waited, 1e-9)
   assert.near(count "SELECT total(cpu) FROM attempt WHERE outcome <> 'committed'", s.cpu_seconds_wasted, 1e-9)
end

-- Dies once, by its own hand: the file says that it has done so.
local function once(p, what)
   return ('if line == "50" and not io.open("%s/done") then io.open("%s/done", "w"):close() %s end'):format(
      p.dir, p.dir, what)
end

describe("lmr show", function()
   it("tells of a job that went well", function()
      local p = place()
      assert.equal(0, run(p, "good", "", { "-o", "out" }).code)
      local text = out(p, "show")
      fits(text)
      has(text, "good-1: complete\n")
      has(text, "  failures   none in 2 attempts\n")
      has(text, "  lines.seen  100\n")
      assert.is_nil(text:find("lmr why", 1, true))
      local shown = json(p, "show")
      check_counts(p, "good-1", shown)
      assert.equal(p.dir .. "/out", shown.output)
      assert.same({ lines = { seen = 100 } }, shown.counters)
      assert.same({ planned = 1, done = 1, failed = 0, dropped = 0 }, shown.tasks.map)
   end)

   it("tells what failed, and what became of it", function()
      local p = place()
      assert.equal(0, run(p, "killed", once(p, 'os.execute("kill -9 $PPID")'), { "-o", "out" }).code)
      local text = out(p, "show", "killed-1")
      fits(text)
      has(text, "\n  recovered  1 of 1 task that failed (100.0 %)\n")
      has(text, "\nwhy: lmr why killed-1\n")
      assert.matches("\n  failures    retry\n  task_crash      1\n", text)
      local shown = json(p, "show", "killed")
      check_counts(p, "killed-1", shown)
      assert.equal(1, shown.statistics.recovery_rate)
      assert.equal(1, shown.statistics.retries)
      assert.equal(1, shown.failures.task_crash.retry)
   end)

   it("tells of a job that failed", function()
      local p = place()
      assert.equal(1, run(p, "bad", 'if line == "50" then error("no \27[31m number") end', { "-o", "out" }).code)
      local text = out(p, "show", "bad")
      fits(text)
      has(text, "bad-1: failed\n")
      has(text, "out (nothing there yet)\n")
      has(text, "no ?[31m number")
      local shown = json(p, "show", "bad")
      check_counts(p, "bad-1", shown)
      assert.same({ planned = 1, done = 0, failed = 1, dropped = 0 }, shown.tasks.map)
      assert.equal(0, shown.statistics.recovery_rate)
      assert.matches("no \27[31m number", shown.message, 1, true)
   end)

   it("adds counters up over steps, exactly", function()
      local p = place()
      h.write(p.dir, "two.lua", [[
         local mr = require "mr"
         local function map(_, value, emit)
            mr.increment("big", "count", 3000000000000000)
            emit(value, 1)
         end
         local function again(key, value, emit)
            mr.increment("big", "count", 1)
            emit(key, value)
         end
         return mr.job { job_name = "two", steps = {
            { map = map, reduce = mr.sum }, { map = again, reduce = mr.sum } } }
      ]])
      assert.equal(0, h.run({ "run", "-q", "two.lua", "in.txt" }, { dir = p.dir, env = p.env }).code)
      has(out(p, "show"), "  big.count  300,000,000,000,000,100\n")
      has(lmr(p, "show", "--json").out, '"counters":{"big":{"count":300000000000000100}}')
      assert.equal(2, json(p, "show").tasks.map.done)
   end)
end)

-- Waits at line 50 until there is a file "go".
local function start_gated(p)
   h.write(p.dir, "gated.lua", ([[
      local mr = require "mr"
      return mr.job { job_name = "gated", map = function(_, line, emit)
         if line == "50" then
            io.open("%s/here", "w"):close()
            while not io.open("%s/go") do mr.sleep(0.02) end
         end
         emit(line, 1)
      end, reduce = mr.sum }
   ]]):format(p.dir, p.dir))
   local job = h.background({ "run", "--quiet", "gated.lua", "in.txt", "-o", "out" }, { dir = p.dir, env = p.env })
   h.poll(20, h.exists, p.dir .. "/here")
   return job
end

describe("a job that runs", function()
   it("is shown as it stands, and nothing of it is disturbed", function()
      local p = place()
      local job = start_gated(p)
      local text = out(p, "show")
      has(text, "gated-1: running\n")
      assert.equal("alive", json(p, "show").driver)
      has(text, "running for")
      has(out(p, "jobs"), "running")
      has(out(p, "why"), "Nothing has failed.")
      assert.is_nil(json(p, "show").ended)
      h.write(p.dir, "go", "")
      assert.equal(0, job:wait(20).code)
      has(out(p, "show"), "gated-1: complete\n")
   end)

   it("whose driver was killed is said to have none", function()
      local p = place()
      local job = start_gated(p)
      job:kill("KILL")
      job:wait(20)
      local wal = h.read(p.state .. "/gated-1/journal.db-wal")
      assert.is_true(#wal > 0)
      for _, name in ipairs { "show", "why", "jobs", "quarantine" } do out(p, name) end
      assert.equal(wal, h.read(p.state .. "/gated-1/journal.db-wal"))
      has(out(p, "show"), "gated-1: its driver is gone\n")
      assert.equal("gone", json(p, "jobs").state)
      local text = out(p, "why")
      has(text, "The driver is gone without a word")
      has(text, "0 of 1 map task, 0 of 1 reduce task committed")
      assert.equal("gone", json(p, "why").cause)
   end)

   it("is not taken for alive because another process has the number", function()
      local p = place()
      local job = start_gated(p)
      job:kill("KILL")
      job:wait(20)
      local sleeper = h.background({ "30" }, { binary = "/bin/sleep" })
      change(p, "gated-1", ("INSERT OR REPLACE INTO job VALUES ('pid', %d)"):format(sleeper:pid()))
      has(out(p, "show"), "gated-1: its driver is gone\n")
      sleeper:kill("KILL")
   end)
end)

describe("lmr why", function()
   it("says first that a record is at fault, and where", function()
      local p = place()
      run(p, "bad", 'if line == "50" then error("cannot read the number " .. line) end')
      local text = out(p, "why", "bad")
      fits(text)
      local place_ = h.sh("grep -b -o '^50$' " .. p.dir .. "/in.txt").out:match("^%d+")
      has(text, ("\nThe job cannot handle record 49 of in.txt (byte %s): bad.lua:3:"):format(place_))
      assert.is_true(text:find("The job cannot handle", 1, true) < text:find("map_0.0", 1, true))
      has(text, "  at         in.txt, byte " .. place_ .. ", record 49\n")
      has(text, "bad.lua:3: in function <bad.lua:2>\n")
      has(text, "  verdict    fail")
      assert.matches("lmr run bad.lua .*%-%-set on_error.script_error=quarantine\n", text)
      local told = json(p, "why", "bad")
      assert.equal("record", told.cause)
      assert.equal("map_0", told.task)
      assert.equal(tonumber(place_), told.attempts[1].offset)
      assert.equal("map_0.0", told.attempts[1].name)
   end)

   it("knows a record that kills every attempt", function()
      local p = place()
      assert.equal(1, run(p, "exits", 'if line == "50" then os.exit(3) end').code)
      local told = json(p, "why")
      local n = tonumber(sql(p, "exits-1", "SELECT count(*) FROM attempt WHERE task = 'map_0'"))
      assert.is_true(n > 1)
      assert.equal(n, #told.attempts)
      assert.equal("record", told.cause)
      has(told.sentence, ("All %d attempts that failed ended at record 49 of in.txt"):format(n))
      local text = out(p, "why", "exits", "map_0.1")
      fits(text)
      for i = 0, n - 1 do has(text, ("\nmap_0.%d  "):format(i)) end
      local verdicts = sql(p, "exits-1", "SELECT verdict FROM attempt WHERE task = 'map_0' ORDER BY attempt")
      local i = 0
      for verdict in verdicts:gmatch("[^\n]+") do
         i = i + 1
         assert.equal(verdict, told.attempts[i].verdict)
      end
   end)

   it("tells a mistake in the job from bad records", function()
      local p = place(2000)
      assert.equal(1, run(p, "wrong", "local n = undefined + 1", { "--split-size", "1K", "-w", "2" }).code)
      local told = json(p, "why")
      assert.equal("code", told.cause)
      has(told.sentence, "the first record it is given (wrong.lua:3)")
      local failed = sql(p, "wrong-1", "SELECT count(DISTINCT task) FROM attempt WHERE " .. FAILED)
      assert.equal(tonumber(failed), #told.tasks)
      local text = out(p, "why")
      fits(text)
      assert.is_true((text:find("lmr run wrong.lua ", 1, true) or text:find("lmr resume wrong-1", 1, true)) ~= nil)
      assert.is_nil(text:find("quarantine", 1, true))
   end)

   it("takes the name of a task that has not run", function()
      local p = place(2000)
      run(p, "wrong", "local n = undefined + 1", { "--split-size", "1K", "--reducers", "3" })
      has(out(p, "why", "wrong", "map_8"), "map_8: no attempt of it has ended\n")
      has(out(p, "why", "wrong", "reduce_2.0"), "reduce_2: no attempt of it has ended\n")
      assert.equal(2, lmr(p, "why", "wrong", "reduce_3").code)
   end)

   it("tells of a worker that was killed, and that all is well", function()
      local p = place()
      assert.equal(0, run(p, "killed", once(p, 'os.execute("kill -9 $PPID")')).code)
      local text = out(p, "why")
      fits(text)
      has(text, "killed-1: complete after ")
      has(text, "It came to a good end after 1 failure.")
      has(text, "map_0: 2 attempts, 1 failed; map_0.1 is committed\n")
      has(text, "  verdict    retry after 0.0")
      assert.is_nil(text:find("kept", 1, true))
   end)

   it("tells of tasks that do not end", function()
      local p = place()
      local limit = { "--set", "limits.progress_timeout_seconds=0.3" }
      assert.equal(1, run(p, "loops", 'while line == "50" do end', limit).code)
      local told = json(p, "why")
      for _, attempt in ipairs(told.attempts) do assert.equal("timeout", attempt.outcome) end
      has(told.sentence, "record 49 of in.txt")
      fits(out(p, "why"))
   end)

   it("tells of memory", function()
      local p = place()
      assert.equal(1, run(p, "grows", 'local s = ("x"):rep(1 << 28)', { "--set", "limits.memory_limit=16M" }).code)
      assert.equal("memory_error", json(p, "why").attempts[1].outcome)
      fits(out(p, "why"))
   end)

   it("does not blame a task for what the job itself met", function()
      local p = place()
      h.write(p.dir, "stranger", "")
      local what = ('os.execute("mkdir -p out; cp %s/stranger out/; kill -9 $PPID")'):format(p.dir)
      assert.equal(1, run(p, "blocked", once(p, what), { "-o", "out" }).code)
      local told = json(p, "why")
      assert.equal("failed", told.cause)
      has(told.sentence, "is not as it was when the job started")
      assert.equal(2, told.committed)
      assert.equal("task_crash", json(p, "why", "blocked", "map_0").attempts[1].outcome)
   end)

   it("has nothing to tell of a job without failures", function()
      local p = place()
      run(p, "good", "")
      has(out(p, "why"), "Nothing has failed.\n")
      has(out(p, "why", "good", "map_0"), "map_0: 1 attempt, 0 failed; map_0.0 is committed\n")
      assert.equal("nothing", json(p, "why").cause)
   end)

   it("names the nearest task and job", function()
      local p = place()
      run(p, "good", "")
      for _, case in ipairs {
         { { "good", "mpa_0" }, "lmr: good-1 has no task 'mpa_0'; is it 'map_0'?\n" },
         { { "good", "xyzzy" }, "lmr: good-1 has no task 'xyzzy'; it has map_0, reduce_0\n" },
         { { "god" }, ("lmr: no job 'god' in %s; is it 'good'?\n"):format(p.state) },
         { { "good", "map_0", "x" }, "lmr: too many words; usage: lmr why [JOB [TASK]]\n" },
      } do
         local result = lmr(p, "why", table.unpack(case[1]))
         assert.equal(case[2], result.err)
         assert.equal(2, result.code)
      end
   end)
end)

describe("lmr jobs", function()
   it("lists jobs, the newest last", function()
      local p = place()
      run(p, "zeta", "")
      run(p, "alpha", 'if line == "50" then error("no") end')
      run(p, "zeta", "", { "-o", "out" })
      local ids = {}
      local text = lmr(p, "jobs", "--json").out
      for line in text:gmatch("[^\n]+") do
         local job = cjson.decode(line)
         ids[#ids + 1] = job.id
         assert.equal(sql(p, job.id, "SELECT value FROM job WHERE key = 'state'"), job.state)
         assert.equal(tonumber(sql(p, job.id, "SELECT count(*) FROM attempt WHERE " .. FAILED)), job.failures)
      end
      assert.same({ "zeta-1", "alpha-1", "zeta-2" }, ids)
      fits(out(p, "jobs"))
   end)

   it("says so when there are none", function()
      local p = place()
      has(out(p, "jobs"), "no jobs in " .. p.state .. "; lmr run starts one\n")
      assert.equal("", out(p, "jobs", "--json"))
      assert.equal(("lmr: no jobs in %s; lmr run starts one (--state-dir names another folder)\n"):format(p.state),
         lmr(p, "show").err)
   end)

   it("takes --state-dir, and passes it on to what may be typed next", function()
      local p = place()
      run(p, "bad", 'error("no")')
      local result = h.run({ "show", "--state-dir", p.state })
      has(result.out, "\nwhy: lmr why bad-1 --state-dir " .. p.state .. "\n")
   end)
end)

describe("a journal", function()
   it("of another version is refused with the version that wrote it", function()
      local p = place()
      run(p, "good", "")
      for _, version in ipairs { 1, 99 } do
         change(p, "good-1", "PRAGMA user_version = " .. version)
         local result = lmr(p, "show")
         assert.equal(2, result.code)
         has(result.err, ("was written by lmr %s with tables of version %d, and this lmr ("):format(
            sql(p, "good-1", "SELECT value FROM job WHERE key = 'lmr_version'"), version))
         has(out(p, "jobs"), "unreadable")
      end
   end)

   it("that is damaged, empty or none is told of, and hides no other", function()
      local p = place()
      run(p, "good", "")
      for _, content in ipairs { "", ("this is no database at all\n"):rep(40) } do
         h.write(p.state, "odd-1/journal.db", content)
         local result = lmr(p, "show", "odd")
         assert.is_true(result.code > 0)
         has(result.err, "odd-1/journal.db")
         local text = out(p, "jobs")
         has(text, "good-1")
         has(text, "unreadable")
      end
   end)

   it("that holds what no lmr writes stops no other report, and no reader", function()
      local p = place()
      run(p, "good", "")
      run(p, "killed", once(p, 'os.execute("kill -9 $PPID")'))
      local odd = { "NULL", "'abc'", "x'00ff1b5b41'", "-9223372036854775808", "9e999", "zeroblob(100000)" }
      for i, column in ipairs { "task", "attempt", "started", "ended", "outcome", "message", "details", "offset",
         "delay", "result" } do
         local copy = ("killed-%d"):format(i + 1)
         h.sh(("cp -r %s/killed-1 %s/%s"):format(p.state, p.state, copy))
         change(p, copy, ('UPDATE attempt SET "%s" = %s'):format(column, odd[i % #odd + 1]))
         for _, name in ipairs { "show", "why", "quarantine" } do
            local result = h.run({ name, copy }, { dir = p.dir, env = p.env, timeout = 20 })
            assert.is_true(result.code == 0 or result.err:find("journal", 1, true) ~= nil, result.err)
            assert.is_nil(result.out:find("[%z\1-\9\11-\31\127]"))
         end
      end
      local text = out(p, "jobs")
      has(text, "good-1")
      has(text, "killed-11")
   end)

   it("is left as it is by those who read it", function()
      local p = place()
      run(p, "good", "")
      local before = h.read(p.state .. "/good-1/journal.db")
      for _, name in ipairs { "show", "why", "jobs", "quarantine" } do out(p, name) end
      assert.equal(before, h.read(p.state .. "/good-1/journal.db"))
      assert.equal("", h.read(p.state .. "/good-1/journal.db-wal") or "")
   end)

   it("goes into a closed pipe, and says when standard output is full", function()
      local p = place()
      run(p, "good", "")
      for _, name in ipairs { "show", "why", "jobs", "quarantine" } do
         assert.equal("code 0\n", h.sh(("{ lmr %s; echo \"code $?\" >&2; } | true"):format(name), { env = p.env }).err)
         local full = h.sh(("lmr %s >/dev/full"):format(name), { env = p.env })
         assert.equal(1, full.code)
         has(full.err, "No space left on device")
      end
   end)
end)

-- Entries as attempts write them (script/quarantine.h), beside a job that ran.
local function put_aside(p, job, task, entries)
   local lines = {}
   for i, entry in ipairs(entries) do lines[i] = (type(entry) == "string" and entry or cjson.encode(entry)) .. "\n" end
   h.write(p.state, ("%s/quarantine/%s.0.jsonl"):format(job, task), table.concat(lines))
   change(p, job, ("INSERT INTO file VALUES (1, 0, '%s', 'quarantine', '/elsewhere/%s.0.jsonl', '', %d, 1, '')"):format(
      task, task, #entries))
end

local function record(n, extra)
   local entry = { task = "map_0", attempt = 0, unit = "record", record = n, file = "in.txt", offset = 2 * n,
      type = "bad_record", message = "no number: " .. n .. "\nand more",
      traceback = "  bad.lua:3: in a\n  bad.lua:9: in b", bytes = "line " .. n, bytes_total = 6 }
   for key, value in pairs(extra or {}) do entry[key] = value end
   return entry
end

describe("lmr quarantine", function()
   it("lists what was put aside", function()
      local p = place()
      run(p, "good", "")
      put_aside(p, "good-1", "map_0", { record(3), record(7, { file = ("deep/"):rep(30) .. "in.txt" }) })
      put_aside(p, "good-1", "reduce_0", { { task = "reduce_0", attempt = 0, unit = "group", record = 1,
         key = "a\27[2Jb", type = "script_error", message = "no group" } })
      local text = out(p, "quarantine")
      for _, line in ipairs(h.lines(text)) do
         if not line:find("put aside", 1, true) then assert.is_true(columns(line) <= 80, line) end
      end
      assert.matches("\n  map_0     record  in.txt +6  bad_record +no number: 3\n", text)
      assert.matches("\n  map_0     record  …[%w/]+in.txt +14  bad_record +no number: 7\n", text)
      assert.matches("\n  reduce_0  group   group a%?%[2Jb +script_error +no group\n", text)
      has(text, "\n3 put aside, in")
      has(text, p.state .. "/good-1/quarantine/*.jsonl\n")
      has(out(p, "show"), ("\n  put aside  3: lmr quarantine good-1\n             in %s/good-1/"):format(p.state))
      assert.equal(3, json(p, "show").quarantined)
      assert.equal(3, json(p, "jobs").quarantined)
      has(out(p, "why"), "lmr quarantine good-1\n")
   end)

   it("gives whole entries of a task, and all as JSON", function()
      local p = place()
      run(p, "good", "")
      local entries = { record(3), record(7, { bytes = "x\27]0;y\7\nz", truncated = true, bytes_total = 90000,
         details = { host = "h" } }) }
      put_aside(p, "good-1", "map_0", entries)
      put_aside(p, "good-1", "map_1", { record(1) })
      local text = out(p, "quarantine", "--task", "map_0")
      has(text, "map_0.0: record\n  file       in.txt\n  offset     6\n  record     3\n")
      has(text, "  bytes      x?]0;y?\n             z\n")
      has(text, "(87.9 KB in all, not all of it was kept; --json has what is kept)\n")
      has(text, '  details    {"host":"h"}\n')
      assert.is_nil(text:find("line 1", 1, true))
      has(out(p, "quarantine", "--full"), "line 1")
      local given = {}
      for line in lmr(p, "quarantine", "--json", "--task", "map_0").out:gmatch("[^\n]+") do
         given[#given + 1] = cjson.decode(line)
      end
      assert.same(entries, given)
   end)

   it("reads files of any size, and tells of lines that are no entries", function()
      local p = place()
      run(p, "good", "")
      local entries = {}
      for n = 1, 3000 do entries[n] = record(n, { bytes = ("y"):rep(1000) }) end
      entries[4] = record(4, { bytes = ("z"):rep(3000000) })
      put_aside(p, "good-1", "map_0", entries)
      local result = lmr(p, "quarantine", "--json")
      assert.equal("", result.err)
      local n = 0
      for line in result.out:gmatch("[^\n]+") do
         n = n + 1
         assert.equal(#entries[n].bytes, #cjson.decode(line).bytes)
      end
      assert.equal(3000, n)
      has(out(p, "quarantine"), "  … and 2,800 more (--json has all)\n")

      put_aside(p, "good-1", "map_1", { record(1), '{"task": "map_1", "attempt', record(2) })
      has(out(p, "quarantine", "--task", "map_1"), "map_1: byte ")
      local broken = lmr(p, "quarantine", "--json", "--task", "map_1")
      assert.equal(1, broken.code)
      has(broken.err, "good-1/quarantine/map_1.0.jsonl, byte ")
      assert.equal(2, #h.lines(broken.out))
   end)

   it("says when nothing was, and names the nearest task", function()
      local p = place()
      run(p, "good", "")
      has(out(p, "quarantine"), "good-1 has put nothing aside\n")
      assert.equal("", out(p, "quarantine", "--json"))
      put_aside(p, "good-1", "map_0", { record(1) })
      local result = lmr(p, "quarantine", "--task", "mpa_0")
      assert.equal("lmr: good-1 put nothing aside in task 'mpa_0'; is it 'map_0'?\n", result.err)
      assert.equal(2, result.code)
      os.remove(p.state .. "/good-1/quarantine/map_0.0.jsonl")
      result = lmr(p, "quarantine")
      assert.equal(1, result.code)
      has(result.err, "map_0.0.jsonl: No such file or directory")
   end)
end)
