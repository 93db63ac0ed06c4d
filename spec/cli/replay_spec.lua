-- `lmr replay`: attempts that really failed, and records that were really put aside, are run again from the journal.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

-- A job folder with an input of the numbers from 1 to n, one a line.
local function place(n)
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, n or 100 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   h.write(dir, "tmp/keep", "")
   return { dir = dir, env = { LMR_STATE_DIR = dir .. "/state", TMPDIR = dir .. "/tmp" } }
end

-- A job whose map does `body` with the number n of each line before it emits, with `more` keys.
local function job(p, name, body, more)
   h.write(p.dir, name .. ".lua", ('local mr = require "mr"\nreturn mr.job { job_name = "%s", '
      .. 'map = function(_, line, emit)\nlocal n = tonumber(line)\n%s\nemit(n %% 5, n) end, %s }\n')
      :format(name, body, more or 'reduce = mr.sum'))
end

local FAIL = 'reduce = mr.sum, recovery = { on_error = { ["*"] = "fail" } }'
local ASIDE = 'reduce = mr.sum, recovery = { on_error = { ["*"] = "quarantine" } }'

local function lmr(p, ...)
   return h.run({ ... }, { dir = p.dir, env = p.env })
end

local function run(p, name, ...)
   return lmr(p, "run", "--quiet", name .. ".lua", "in.txt", ...)
end

-- A replay leaves nothing behind, whatever becomes of it.
local function replay(p, ...)
   local result = lmr(p, "replay", ...)
   assert.same({ "keep" }, h.ls(p.dir .. "/tmp"))
   return result
end

local function json(p, ...)
   local words = { ... }
   words[#words + 1] = "--json"
   return cjson.decode(replay(p, table.unpack(words)).out)
end

local function has(text, part)
   assert.matches(part, text, 1, true)
end

local function change(p, name, from, to)
   local path = name .. ".lua"
   local text, n = h.read(p.dir .. "/" .. path):gsub(from, to)
   assert.equal(1, n)
   h.write(p.dir, path, text)
end

describe("lmr replay of an attempt", function()
   it("shows the failure as lmr run does, and what the job prints", function()
      local p = place()
      job(p, "bad", 'print("at", n) if n == 30 then error("no 30") end', FAIL)
      local ran = run(p, "bad")
      assert.equal(1, ran.code)
      local again = replay(p, "bad", "map_0.0")
      assert.equal(1, again.code)
      assert.equal("lmr: map_0.0 again; it failed (script_error: bad.lua:4: no 30)\nlmr: bad.lua:4: no 30\n"
         .. "  at in.txt, byte 80, record 29\n    bad.lua:4: in function <bad.lua:2>\n",
         (again.err:gsub("byte %d+", "byte 80")))
      has(ran.err, again.err:match("  at [^\n]*"))
      local seen = {}
      for i = 1, 30 do seen[i] = "at\t" .. i .. "\n" end
      assert.equal(table.concat(seen), again.out)
   end)

   it("tells that it holds after a mend, of the job's own file or of another", function()
      local p = place()
      job(p, "bad", 'if n == 30 then error("no 30") end', FAIL)
      assert.equal(1, run(p, "bad").code)
      job(p, "mended", '', FAIL)
      local other = replay(p, "bad", "map_0.0", "--job", "mended.lua")
      assert.same({ 0, "it holds now: 100 records, 100 pairs\n" }, { other.code, other.out })
      assert.equal(1, replay(p, "bad", "map_0.0").code)
      change(p, "bad", "error%b()", "")
      assert.equal(other.out, replay(p, "bad", "map_0.0").out)
      assert.same({ "holds", 100, 100, cjson.null, 0 }, (function(r)
         return { r.outcome, r.records_in, r.pairs_out, r.error, r.exit_code }
      end)(json(p, "bad-1", "map_0")))
   end)

   it("is done where the job was started", function()
      local p = place()
      job(p, "bad", 'if n == 30 then error("no 30") end', FAIL)
      assert.equal(1, run(p, "bad").code)
      h.write(p.dir, "else/mended.lua", h.read(p.dir .. "/bad.lua"):gsub("error%b()", ""))
      local result = h.run({ "replay", "bad", "map_0.0", "--job", "mended.lua" },
         { dir = p.dir .. "/else", env = p.env })
      assert.equal("it holds now: 100 records, 100 pairs\n", result.out)
   end)

   it("tells a crash and its place, and the job goes on living", function()
      local p = place()
      job(p, "dies", 'if n == 30 then io.stdout:write("last words\\n") '
         .. 'local f = io.open("/proc/self/stat") local pid = f:read("n") os.execute("kill -KILL " .. pid) end', FAIL)
      assert.equal(1, run(p, "dies").code)
      local again = replay(p, "dies", "map_0.0")
      assert.same({ 1, "last words\n" }, { again.code, again.out })
      has(again.err, "the process was killed by signal 9 (Killed) (it was in map)\n"
         .. "  at in.txt, byte 78, record 29\n")
      local error = json(p, "dies", "map_0.0").error
      assert.same({ "task_crash", 9, 29 }, { error.type, error.signal, error.record })
      change(p, "dies", "os.execute%b()", "os.exit(7)")
      has(replay(p, "dies", "map_0.0").err,
         "the process ended with exit status 7 in the middle of its work (it was in map; ")
   end)

   it("stops at Ctrl-C and says where it hung", function()
      local p = place()
      job(p, "hangs", 'if n == 30 then while true do end end', FAIL .. ' ')
      assert.equal(1, run(p, "hangs", "--set", "limits.progress_timeout_seconds=1").code)
      change(p, "hangs", "while true", 'print("hanging") while true')
      local child = h.background({ "replay", "hangs", "map_0.0" }, { dir = p.dir, env = p.env })
      h.poll(20, function() return child:out():find("hanging", 1, true) end)
      child:kill("INT")
      local result = child:wait(20)
      assert.equal(130, result.code)
      has(result.err, "lmr: stopped at record 29 (in.txt, byte 78)\n")
      assert.same({ "keep" }, h.ls(p.dir .. "/tmp"))
   end)

   it("has the attempt's memory limit, and no deadline", function()
      local p = place()
      job(p, "grows", 'if n == 30 then local t = {} for i = 1, 1e7 do t[i] = { i } end end', FAIL)
      assert.equal(1, run(p, "grows", "--set", "limits.memory_limit=32M").code)
      local error = json(p, "grows", "map_0.0").error
      assert.same({ "memory_error", 29 }, { error.type, error.record })
   end)

   it("passes over what the attempt had put aside, when asked", function()
      local p = place()
      job(p, "both", 'if n % 10 == 0 and n < 30 then error("no " .. n) end if n == 55 then os.exit(3) end',
         'reduce = mr.sum, recovery = { on_error = { script_error = "quarantine", task_crash = "fail" } }')
      assert.equal(1, run(p, "both").code)
      has(replay(p, "both", "map_0.0").err, "no 10\n")
      has(replay(p, "both", "map_0.0", "--put-aside").err, "exit status 3")
      change(p, "both", "os.exit%b()", "")
      assert.equal("it holds now: 100 records, 98 pairs, 2 put aside\n",
         replay(p, "both", "map_0.0", "--put-aside").out)
   end)

   it("of a reduce reads the runs that a failed job keeps", function()
      local p = place()
      job(p, "red", "", 'reduce = function(k, values, emit) local s = 0 for v in values do s = s + v end '
         .. 'if k == 3 then error("no three") end emit(k, s) end, reducers = 1, '
         .. 'recovery = { on_error = { script_error = "fail" } }')
      assert.equal(1, run(p, "red").code)
      local again = replay(p, "red", "reduce_0.0")
      assert.equal(1, again.code)
      has(again.err, "red.lua:5: no three\n  at record 3, key 3\n")
      local one = replay(p, "red", "reduce_0.0", "--record", "2")
      assert.equal("it holds now: group 2, 1 pair:\n  2\t990\n", one.out)
      change(p, "red", "error%b()", "")
      assert.equal("it holds now: 5 groups, 5 pairs\n", replay(p, "red", "reduce_0").out)
   end)

   it("of a job that is complete tells that the runs are gone", function()
      local p = place()
      job(p, "once", "", 'reduce = function(k, values, emit) if mr.task().attempt == 0 then error("not yet") end '
         .. 'emit(k) end, reducers = 1, recovery = { on_error = { script_error = { max_retries = 1, '
         .. 'base_delay_seconds = 0 } } }')
      assert.equal(0, run(p, "once").code)
      local again = replay(p, "once", "reduce_0.0")
      assert.equal(2, again.code)
      has(again.err, "map_0.0.run is gone (what a map task wrote)")
      has(again.err, "run the job again so that it fails there")
   end)

   it("makes indexes of side files again when the job kept nothing", function()
      local p = place()
      h.write(p.dir, "names.csv", "id,name\n41,ann\n42,bob\n")
      job(p, "side",
         'local u = mr.lookup("names", line) if n == 30 then error("no 30") end emit(u and u.name or "none", n)',
         FAIL .. ', side_files = { names = { path = "names.csv", input = "csv", key = "id" } }')
      change(p, "side", "emit%(n %% 5, n%)", "")
      assert.equal(1, run(p, "side", "-o", "out").code)
      assert.is_false(h.exists(p.dir .. "/out"))
      has(replay(p, "side", "map_0").err, "no 30\n  at in.txt, byte 78, record 29\n")
      assert.equal("it holds now: record 41, 1 pair:\n  bob\t42\n", replay(p, "side", "map_0", "--record", "41").out)
      h.write(p.dir, "names.csv", "key\n41\n")
      local broken = replay(p, "side", "map_0")
      assert.equal(1, broken.code)
      has(broken.err, "names.csv")
   end)

   it("of a one-liner, and of a second step, works too", function()
      local p = place()
      assert.equal(1, lmr(p, "run", "--quiet", "-m", "if value == '30' then error('no') end emit(value)", "-r", "count",
         "in.txt", "--set", "on_error.script_error=fail").code)
      assert.equal(1, replay(p, "one_liner", "map_0.0").code)
      h.write(p.dir, "steps.lua", [[local mr = require "mr"
         return mr.job { job_name = "steps", steps = {
            { map = function(_, v, emit) emit(v % 5, tonumber(v)) end, reduce = mr.sum },
            { map = function(k, v, emit) if k == 3 then error("no " .. v) end emit(k, v) end, reduce = mr.sum } },
            recovery = { on_error = { script_error = "fail" } } }]])
      assert.equal(1, run(p, "steps").code)
      local again = replay(p, "steps", "2:map_0.0")
      assert.equal(1, again.code)
      has(again.err, "steps.lua:4: no 1010")
   end)
end)

describe("lmr replay of one record", function()
   it("prints what it emits, or how it fails; others are passed by", function()
      local p = place()
      job(p, "rec", 'if n % 30 == 0 then error("no " .. n) end print("ran", n) '
         .. 'emit("x", 2) emit("x", 4) emit("alone") mr.output("seen", n)',
         'combine = mr.mean, reduce = mr.mean, recovery = { on_error = { script_error = "fail" } }, '
         .. 'finish = function() error("finish") end')
      change(p, "rec", 'emit%("alone"%) ', "")
      assert.equal(1, run(p, "rec", "-o", "out").code)
      local good = replay(p, "rec", "map_0.0", "--record", "41")
      assert.equal(0, good.code)
      assert.equal("ran\t42\nit holds now: record 41, 3 pairs, 1 record to seen:\n  2\t42.0\n  x\t3.0\n", good.out)
      local bad = replay(p, "rec", "map_0.0", "--record", "89")
      assert.same({ 1, "" }, { bad.code, bad.out })
      assert.equal("lmr: rec.lua:4: no 90\n  at in.txt, byte 258, record 89\n    rec.lua:4: in function <rec.lua:2>\n",
         bad.err)
      local shown = json(p, "rec", "map_0.0", "--record", "41")
      assert.same({ "holds", "record", 41, { "2\t42.0", "x\t3.0" } },
         { shown.outcome, shown.unit, shown.record, shown.shown })
      assert.equal(89, json(p, "rec", "map_0.0", "--record", "89").error.record)
      local missing = replay(p, "rec", "map_0.0", "--record", "100")
      assert.equal(2, missing.code)
      has(missing.err, "has no record 100: they are numbered from 0, and it reads 100")
   end)

   it("reads past records that do not decode, of each format", function()
      local p = place()
      h.write(p.dir, "in.txt", '{"a":1}\nbroken\n{"a":3}\nbroken too\n')
      h.write(p.dir, "j.lua", 'local mr = require "mr"\nreturn mr.job { job_name = "j", input = "jsonl", reducers = 0, '
         .. 'map = function(_, v, emit) emit(v.a, { a = v.a }) end, output = { format = "jsonl", compress = "gz" }, '
         .. 'recovery = { on_error = { bad_record = "quarantine" } } }')
      assert.equal(3, run(p, "j").code)
      assert.equal('it holds now: record 2, 1 pair:\n  {"key":3,"value":{"a":3}}\n',
         replay(p, "j", "map_0", "--record", "2").out)
      has(replay(p, "j", "map_0", "--record", "3").err, "not valid JSON")
   end)

   it("with a reader in Lua too", function()
      local p = place()
      h.write(p.dir, "lr.lua", [[local mr = require "mr"
         return mr.job { job_name = "lr", reducers = 0, input = { reader = {
               open = function(path) return assert(io.open(path)) end,
               next = function(f) local l = f:read() if l == "7" then mr.reject("seven") end
                  if l then return l, l end end } },
            map = function(k, v, emit) if v == "9" then error("nine") end emit(v) end,
            recovery = { on_error = { ["*"] = "quarantine" } } }]])
      assert.equal(3, run(p, "lr").code)
      assert.equal("it holds now: record 9, 1 pair:\n  10\n", replay(p, "lr", "map_0", "--record", "9").out)
      has(replay(p, "lr", "map_0", "--record", "8").err, "nine")
      has(replay(p, "lr", "map_0", "--record", "6").err, "seven")
   end)
end)

describe("lmr replay --quarantined", function()
   local BODY = 'if n % 30 == 0 then error("no " .. n) end if n == 50 then os.exit(3) end'
   local REDUCE = 'reducers = 2, reduce = function(k, values, emit) local s = 0 for v in values do s = s + v end '
      .. 'if k == 3 then mr.reject("three") end emit(k, s) end, recovery = { on_error = { ["*"] = "quarantine" } }'

   it("tells what still fails and what holds after a mend", function()
      local p = place()
      job(p, "q", BODY, REDUCE)
      assert.equal(3, run(p, "q").code)
      local before = replay(p, "q", "--quarantined")
      assert.equal(1, before.code)
      local lines = h.lines(before.out)
      assert.equal("map_0, record 29 (in.txt, byte 78): still fails: script_error: q.lua:4: no 30", lines[1])
      has(lines[2],
         "map_0, record 49 (in.txt, byte 138): still fails: task_crash: the process ended with exit status 3")
      has(lines[5], "(key 3): still fails: bad_record: three")
      assert.equal("0 of 5 records hold now, 5 still fail", lines[6])
      change(p, "q", "os.exit%b()", "")
      change(p, "q", "n %% 30 == 0", "n == 60")
      local some = json(p, "q", "--quarantined")
      local told = {}
      for i, r in ipairs(some.records) do told[i] = ("%s %s %d %s"):format(r.task, r.unit, r.record, r.outcome) end
      assert.same({ "map_0 record 29 holds", "map_0 record 49 holds", "map_0 record 59 fails",
                    "map_0 record 89 holds" },
         { table.unpack(told, 1, 4) })
      assert.matches("^reduce_%d group %d fails$", told[5])
      assert.same({ 3, 2, 0, 1 }, { some.held, some.failed, some.untried, some.exit_code })
      assert.same({ "task_crash", "script_error" }, { some.records[2].was.type, some.records[3].error.type })
      change(p, "q", "error%b()", "")
      assert.equal(0, replay(p, "q", "map_0", "--quarantined").code)
      change(p, "q", 'mr.reject%b()', "")
      local all = replay(p, "q", "--quarantined")
      assert.equal(0, all.code)
      has(all.out,
         "all that was put aside holds now (5 records); lmr resume q-1 --quarantined puts it into the result\n")
      local resumed = lmr(p, "resume", "q-1", "--quarantined")
      assert.equal(0, resumed.code)
      assert.same({ "0\t1050", "1\t970", "2\t990", "3\t1010", "4\t1030" }, (function(list)
         table.sort(list)
         return list
      end)(h.lines(resumed.out)))
   end)

   it("finds what hangs by the signal that stops it", function()
      local p = place()
      job(p, "s", 'if n == 20 then error("no") end', ASIDE)
      assert.equal(3, run(p, "s").code)
      change(p, "s", "error%b()", 'print("hanging") while true do end')
      local child = h.background({ "replay", "s", "--quarantined" }, { dir = p.dir, env = p.env })
      h.poll(20, function() return child:out():find("hanging", 1, true) end)
      child:kill("TERM")
      local result = child:wait(20)
      assert.equal(143, result.code)
      has(result.out, "map_0, record 19 (in.txt, byte 48): was not tried\n")
      has(result.err, "stopped at record 19")
   end)

   it("tries a great many at once", function()
      local p = place(30000)
      job(p, "many", 'if n % 3 == 0 then error("no " .. n) end', ASIDE)
      assert.equal(3, run(p, "many", "--set", "limits.max_quarantined=20000").code)
      change(p, "many", "n %% 3", "n %% 6")
      local told = json(p, "many", "--quarantined")
      assert.same({ 5000, 5000, 0 }, { told.held, told.failed, told.untried })
      for _, r in ipairs(told.records) do
         assert.equal((r.record + 1) % 6 == 0 and "fails" or "holds", r.outcome)
      end
   end)
end)

describe("lmr replay", function()
   it("says what can be replayed", function()
      local p = place()
      job(p, "bad", 'if n == 30 then error("no 30") end', FAIL)
      job(p, "good", '')
      local function refused(message, ...)
         local result = replay(p, ...)
         assert.same({ 2, "" }, { result.code, result.out })
         has(result.err, message)
      end
      refused("no jobs in", "bad", "map_0.0")
      assert.equal(1, run(p, "bad").code)
      assert.equal(0, run(p, "good").code)
      refused("which attempt? Of bad-1 can be replayed: map_0.0 (script_error)", "bad")
      refused("no attempt of good-1 failed, and nothing was put aside", "good")
      refused("bad-1 has no attempt map_0.3; it has map_0.0 (script_error)", "bad", "map_0.3")
      refused("no attempt of a task mop_0 has ended in bad-1; is it map_0?", "bad", "mop_0.0")
      refused("map_0.0 committed and put nothing aside", "good", "map_0.0")
      refused("good-1 put nothing aside", "good", "--quarantined")
      refused("cannot read the job nowhere.lua", "bad", "map_0.0", "--job", "nowhere.lua")
      refused("it goes without --record", "bad", "--quarantined", "--record", "1")
      refused("too many words", "bad", "map_0.0", "map_0.1")
      refused("did you mean --record?", "bad", "map_0.0", "--recrd", "1")
      h.write(p.dir, "bad.lua", "return 1")
      local broken = replay(p, "bad", "map_0.0")
      assert.equal(2, broken.code)
      has(broken.err, "bad.lua")
   end)

   it("is named by lmr why", function()
      local p = place()
      job(p, "bad", 'if n == 30 then error("no 30") end', FAIL)
      assert.equal(1, run(p, "bad").code)
      has(lmr(p, "why", "bad").out, "lmr replay bad-1 map_0.0")
   end)
end)
