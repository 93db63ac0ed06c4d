-- The reports on what recovery really did: records put aside, tasks dropped, budgets used up, backups. What they
-- count is counted again by sqlite3 from the journal, and by grep from the input.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

-- Lines 1 … n in a folder of their own, and a job that does `body` with each.
local function run(n, body, options, extra)
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, n do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   h.write(dir, "job.lua", ('local mr = require "mr"\nreturn mr.job { job_name = "job", map = function(_, line, emit)\n'
      .. '%s\nemit(line, 1) end, reduce = mr.sum, %s }\n'):format(body, extra or ""))
   local args = { "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--set", "retry.base_delay_seconds=0.02" }
   table.move(options or {}, 1, #(options or {}), #args + 1, args)
   local p = { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
   p.code = h.run(args, { dir = dir, env = p.env }).code
   return p
end

local function out(p, ...)
   local result = h.run({ ... }, { dir = p.dir, env = p.env })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

local function json(p, ...)
   return cjson.decode(out(p, ..., "--json"))
end

local function sql(p, query)
   return (h.sh(("sqlite3 -readonly %s/state/job-1/journal.db %s"):format(p.dir, h.quote(query))).out:gsub("\n$", ""))
end

local function has(text, part)
   assert.matches(part, text, 1, true)
end

local function entries_of(p, ...)
   local list = {}
   for line in out(p, "quarantine", "--json", ...):gmatch("[^\n]+") do list[#list + 1] = cjson.decode(line) end
   return list
end

-- The reports count from the journal, the driver as things happen: the manifest has its sums.
local function check_manifest(p)
   local told, counted = json(p, "show").statistics, cjson.decode(h.read(p.dir .. "/out/_MANIFEST.json")).statistics
   for _, name in ipairs { "seconds_waited", "cpu_seconds", "cpu_seconds_wasted" } do
      assert.near(counted[name], told[name], 1e-6)
      counted[name], told[name] = nil, nil
   end
   assert.same(counted, told)
end

describe("records that were put aside", function()
   it("are all in lmr quarantine, with what they hold and where", function()
      local p = run(3000, 'if line:find("77$") then error("unlucky " .. line) end', { "--split-size", "2K" })
      assert.equal(3, p.code)
      local expected = {}
      local found = h.sh("grep -b '77$' in.txt", { dir = p.dir }).out
      for line in found:gmatch("[^\n]+") do expected[#expected + 1] = line end
      local got = {}
      for i, entry in ipairs(entries_of(p)) do
         got[i] = ("%d:%s"):format(entry.offset, entry.bytes)
         assert.equal("script_error", entry.type)
         has(entry.message, "unlucky " .. entry.bytes)
      end
      table.sort(got, function(a, b) return tonumber(a:match("^%d+")) < tonumber(b:match("^%d+")) end)
      assert.same(expected, got)
      assert.equal(#expected, json(p, "show").quarantined)
      assert.equal(#expected, json(p, "show").statistics.quarantined_records)
      assert.equal(#expected, json(p, "jobs").quarantined)
      local rows = 0
      for line in out(p, "quarantine"):gmatch("[^\n]+") do rows = rows + (line:find("unlucky", 1, true) and 1 or 0) end
      assert.equal(#expected, rows)
      local task = sql(p, "SELECT task FROM file WHERE kind = 'quarantine' ORDER BY records DESC LIMIT 1")
      local records = sql(p, ("SELECT records FROM file WHERE kind = 'quarantine' AND task = '%s'"):format(task))
      assert.equal(tonumber(records), #entries_of(p, "--task", task))
      has(out(p, "why"), "lmr quarantine job-1\n")
      check_manifest(p)
   end)

   it("are told of when they killed workers", function()
      local p = run(100, 'if line == "50" then os.exit(3) end')
      assert.equal(3, p.code)
      local told = json(p, "why")
      assert.equal("record", told.cause)
      has(told.sentence, "record 49 of in.txt")
      has(told.sentence, "it was put aside")
      has(told.sentence, "It came to a good end after 2 failures.")
      local shown = json(p, "show")
      assert.same({ task_crash = { retry = 1, quarantine = 1 } }, shown.failures)
      assert.equal(1, shown.statistics.recovery_rate)
      assert.equal(2, shown.statistics.by_type.task_crash.retries)
      assert.equal("task_crash", entries_of(p)[1].type)
      check_manifest(p)
   end)

   it("may be groups", function()
      local p = run(100, "", {}, 'reduce = function(key, values, emit) if key == "7" then error("no sevens") end '
         .. "for v in values do emit(key, v) end end")
      assert.equal(3, p.code)
      local entry = entries_of(p)[1]
      assert.equal("group", entry.unit)
      has(out(p, "quarantine"), "  group ")
      assert.equal(1, json(p, "show").statistics.quarantined_groups)
      has(out(p, "quarantine", "--full"), "  key        7\n")
      check_manifest(p)
   end)

   it("are too many: the limit is told, and how to raise it", function()
      local p = run(100, 'if line:find("5") then error("no fives") end', { "--set", "limits.max_quarantined=3" })
      assert.equal(1, p.code)
      has(out(p, "why"), "limits.max_quarantined")
      has(out(p, "why"), "--set limits.max_quarantined=1000\n")
   end)
end)

describe("what lmr why says to type next", function()
   -- The first of them that begins so is typed as it stands.
   local function type_next(p, beginning)
      local command
      for _, entry in ipairs(json(p, "why").next) do
         if not command and entry.command:find(beginning, 1, true) == 1 then command = entry.command end
      end
      return command, h.sh(command, { dir = p.dir, env = p.env })
   end

   it("puts bad records aside, or goes on", function()
      local p = run(3000, 'if line == "1500" and not io.open("mended") then error("half way") end', { "--split-size",
         "2K", "--set", "on_error.script_error=fail", "--workers", "2" })
      assert.equal(1, p.code)
      local command, result = type_next(p, "lmr resume")
      assert.equal("lmr resume job-1", command)
      assert.equal(1, result.code)
      h.write(p.dir, "mended", "")
      assert.equal(0, h.sh(command, { dir = p.dir, env = p.env }).code)
      has(out(p, "show", "job-1"), "job-1: complete\n")
      os.execute("rm -rf " .. p.dir .. "/out " .. p.dir .. "/mended")
      assert.equal(1, h.run({ "run", "-q", "job.lua", "in.txt", "-o", "out", "--set", "on_error.script_error=fail" },
         { dir = p.dir, env = p.env }).code)
      command, result = type_next(p, "lmr run")
      assert.equal("lmr run job.lua in.txt -o out --set on_error.script_error=quarantine", command)
      assert.equal(3, result.code)
      assert.equal(2999, #h.lines(h.read(p.dir .. "/out/part-00000")))
      assert.matches("^lmr resume job%-%d %-%-quarantined$", json(p, "why").next[2].command)
   end)
end)

describe("tasks that were dropped", function()
   it("are told of, with why", function()
      local p = run(3000, 'if line == "1500" then error("half way") end', { "--split-size", "2K", "--set",
         "on_error.script_error=drop_task" })
      assert.equal(4, p.code)
      local shown = json(p, "show")
      assert.equal("partial", shown.state)
      assert.equal(1, shown.tasks.map.dropped)
      assert.equal(1, shown.statistics.dropped_tasks)
      assert.equal(0, shown.statistics.recovery_rate)
      has(out(p, "show"), "out (with holes: ")
      local text = out(p, "why")
      has(text, "A task was dropped")
      has(text, "half way")
      has(text, "; it was dropped\n")
      has(text, "by --set on_error.script_error")
      check_manifest(p)
   end)
end)

describe("a job that stops trying", function()
   it("says that its budget is used up", function()
      local p = run(3000, 'if mr.task().attempt == 0 then os.exit(7) end', { "--split-size", "1K", "--set",
         "retry_budget.tokens=3", "--set", "retry_budget.refill_per_success=0", "--set",
         "restart_intensity.restarts=1000" })
      assert.equal(1, p.code)
      local told = json(p, "why")
      assert.equal("budget", told.cause)
      has(told.sentence, "most were of type task_crash")
      assert.equal("retry_budget", told.attempts[#told.attempts].rule)
      assert.equal(told.task, sql(p, "SELECT value FROM job WHERE key = 'message'"):match("^(%S+) failed"))
   end)
end)

describe("a backup of a slow task", function()
   it("is told of, and which attempt was faster", function()
      local p = run(4000, [[if line == "1500" and not io.open("here") then
         io.open("here", "w"):close()
         for _ = 1, 600 do mr.sleep(0.05) end
      end]], { "--split-size", "2K", "--workers", "2" })
      assert.equal(0, p.code)
      assert.equal("1", sql(p, "SELECT count(*) FROM attempt WHERE speculative = 1 AND outcome = 'committed'"))
      assert.same({ started = 1, won = 1, lost = 0 }, json(p, "show").statistics.speculative)
      has(out(p, "show"), "  backups    1 attempt of slow tasks, 1 faster\n")
      local task = sql(p, "SELECT task FROM attempt WHERE outcome = 'lost'")
      local text = out(p, "why", "job-1", task)
      has(text, ("%s: 2 attempts, 0 failed; %s.1s is committed\n"):format(task, task))
      has(text, "  result     another attempt of the task was faster\n")
      check_manifest(p)
   end)
end)
