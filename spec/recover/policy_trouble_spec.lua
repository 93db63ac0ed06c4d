-- A policy that fails delays nobody else; another profile for a running job; a backup for a slow task.
local h = require "spec.helper"
local real = require "spec.recover.real"

describe("a policy function", function()
   -- Eighteen maps of more than a tenth of a second; the first one fails at once, the first time.
   local COUNT = 18

   local function run(body, more)
      local p, files = real.place(), {}
      real.job(p, [[
         if line:find("^first") then
            if mr.task().id == "map_0" and first("failed") then error("no") end
            for _ = 1, 6 do mr.sleep(0.02) mr.progress() end
         end]])
      for i = 1, COUNT do
         files[i] = ("%02d.txt"):format(i)
         h.write(p.dir, files[i], "first\n" .. ("line " .. i .. "\n"):rep(110))
      end
      real.profile(p, ("on_error = { script_error = function(err, ctx) %s end },"):format(body))
      for _, word in ipairs { "--split-size", "1K", "--workers", "2", "--set", "limits.heartbeat_timeout_seconds=1",
         table.unpack(more or {}) } do files[#files + 1] = word end
      local result = real.run(p, files)
      assert.equal(COUNT, real.count(p, "select count(*) from split"))
      return p, result
   end

   -- The built-in verdict stood (the record is put aside), and the message says what went wrong, and where.
   local function stood(p, result, message)
      assert.equal(3, result.code, result.err)
      assert.matches("the policy failed: ", result.err, 1, true)
      assert.matches(message, result.err)
      assert.matches("my.lua:2", result.err, 1, true)
      assert.matches("the built-in verdict stands", result.err, 1, true)
      assert.equal(1, real.count(p, "select count(*) from event where text like '%the built-in verdict stands%'"))
      assert.same({ "map_0.0 committed" }, real.story(p, "where task = 'map_0'"))
      assert.equal(0, real.count(p, "select count(*) from attempt where outcome != 'committed'"))
      real.check_books(p)
   end

   -- Attempts that others committed while map_0 stood and waited for its verdict.
   local function meanwhile(p, seconds)
      local row = real.attempts(p, "where task = 'map_0'")[1]
      assert.is_true((row.ended - row.started) / 1e9 >= seconds)
      local others = real.count(p, ("select count(*) from attempt where task != 'map_0' and ended between %d and %d")
         :format(row.started, row.started + seconds * 1000000000))
      assert.is_true(others >= 2, "committed meanwhile: " .. others)
   end

   it("that errs", function()
      local p, result = run("return err.messag")
      stood(p, result, "err has no field 'messag'; is it 'message'")
   end)

   it("that answers nonsense", function()
      local p, result = run("return 'retyr'")
      stood(p, result, "is it \"retry\"")
   end)

   it("that loops", function()
      local p, result = run("while true do pcall(error) end")
      stood(p, result, "")
      meanwhile(p, 0.9)
   end)

   it("that hangs in a pattern", function()
      local p, result = run("return ('a'):rep(40):find(('a*'):rep(30) .. 'b')")
      stood(p, result, "")
      meanwhile(p, 1.8)
   end)

   it("that grows without bound", function()
      local p, result = run("local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end")
      stood(p, result, "memory")
   end)

   it("that hangs while a task waits, whose attempt has ended: others go on, and then it", function()
      local p = real.place(("line\n"):rep(4000))
      real.job(p, [[
         if mr.task().id == "map_0" and first("failed") then os.exit(1) end
         if mr.task().record == 0 then mr.sleep(0.1) end]])
      real.profile(p, [[
         on_error = { task_crash = function() return ('a'):rep(40):find(('a*'):rep(30) .. 'b') end },]])
      local result = real.run(p, { "--split-size", "1K", "--workers", "2" })
      assert.equal(0, result.code, result.err)
      local rows = real.attempts(p, "where task = 'map_0'")
      assert.same({ "map_0.0 task_crash retry", "map_0.1 committed" }, real.story(p, "where task = 'map_0'"))
      assert.equal("built-in: task_crash", rows[1].rule)
      assert.is_true((rows[1].ended - rows[1].started) / 1e9 < 1.5) -- not when its verdict came
      assert.is_true((rows[2].started - rows[1].ended) / 1e9 >= 1.8)
      assert.is_true(real.count(p, ("select count(*) from attempt where ended between %d and %d"):format(
         rows[1].ended + 1, rows[2].started)) >= 10)
      assert.equal("line\t4000\n", real.part(p))
   end)
end)

describe("lmr profile use", function()
   local function use(p, name)
      return h.run({ "profile", "use", "job", name }, { dir = p.dir, env = p.env })
   end

   -- map_0 fails for ever, and its policy tries again for ever.
   local function endless()
      local p = real.place("a\nb\nc\n")
      real.job(p, "if line == 'b' then mr.increment('n', 'tries') error('no') end")
      real.profile(p, [[
         on_error = { script_error = function(err, ctx)
            return { action = "retry", delay_seconds = 0.05, reason = "old" }
         end },
         limits = { max_attempts = 100000 }, retry_budget = { tokens = 100000 },]])
      local job = real.background(p)
      real.wait_for(p, "select count(*) >= 2 from attempt where verdict = 'retry'")
      return p, job
   end

   it("gives a running job other rules from the next decision on, and the journal says so", function()
      local p, job = endless()
      real.profile(p, "\n\n   on_error = { script_error = 'quarantine' },", "new.lua")
      local used = use(p, "new.lua")
      assert.equal(0, used.code, used.err)
      local result = job:wait(20)
      assert.equal(3, result.code, result.err)
      assert.equal("a\t1\nc\t1\n", real.part(p))
      assert.equal(1, real.count(p, "select count(*) from event where kind = 'profile'"))
      local rows = real.attempts(p, "where task = 'map_0' and outcome != 'committed'")
      for i = 1, #rows do assert.is_true(rows[i].rule == "my.lua:2" or i == #rows) end
      real.check_books(p)
   end)

   it("changes nothing when the profile is broken, and says so", function()
      local p, job = endless()
      for text, message in pairs {
         ["return { limits = { max_attempts = 'many' } }"] = "max_attempts",
         ["return { limits = { max_atempts = 3 } }"] = "max_attempts",
         ["return {"] = "bad.lua:1",
         ["error('no profile')"] = "no profile",
      } do
         h.write(p.dir, "bad.lua", text)
         local used = use(p, "bad.lua")
         assert.equal(2, used.code, text)
         assert.matches(message, used.err, 1, true)
      end
      local before = real.count(p, "select count(*) from attempt")
      real.wait_for(p, "select count(*) > " .. before + 1 .. " from attempt")
      assert.equal(0, real.count(p, "select count(*) from event where kind = 'profile'"))
      assert.equal(0, real.count(p, "select count(*) from attempt where rule not like 'my.lua:2'"))
      real.profile(p, "on_error = { script_error = 'abort' },", "end.lua")
      assert.equal(0, use(p, "end.lua").code)
      assert.equal(1, job:wait(20).code)
      local last = real.attempts(p, "where verdict != 'retry'")[1]
      assert.equal("abort", last.verdict)
      assert.matches("/end%.lua:2$", last.rule)
   end)
end)

describe("a backup of a truly slow task", function()
   -- Eight maps; the first attempt of the second one sleeps, at its first line, far longer than the spec lasts.
   local function slow(body, args, sign)
      local p = real.place()
      if sign then h.write(p.dir, sign, "") end
      real.job(p, [[
         if key == 0 and mr.task().id == "map_1" then
            if first("slow") then
               for _ = 1, 6000 do
                  mr.sleep(0.02)
                  mr.progress()
                  if there("wake") then mr.sleep(1) break end -- by then the backup is known to be dead
                  if there("crash") then os.exit(1) end
               end
            elseif there("backup crashes") then
               mark("wake")
               os.exit(1)
            elseif there("first crashes") then
               mark("crash")
               mr.sleep(0.5)
            end
         end
      ]] .. (body or ""))
      local files = {}
      for i = 1, 8 do
         files[i] = i .. ".txt"
         h.write(p.dir, files[i], ("line " .. i .. "\n"):rep(140))
      end
      for _, word in ipairs { "--split-size", "1K", "--workers", "2", "--set", "speculation.enabled=true",
         table.unpack(args or {}) } do files[#files + 1] = word end
      local result = real.run(p, files)
      return p, result
   end

   local function backup_won(p)
      assert.same({ "map_1.0 lost", "map_1.1s committed" }, (function(list)
         table.sort(list)
         return list
      end)(real.story(p, "where task = 'map_1'")))
      local rows = {}
      for _, row in ipairs(real.attempts(p, "where task = 'map_1'")) do rows[row.outcome] = row end
      assert.is_nil(h.read(("/proc/%d/status"):format(rows.lost.worker)))
      assert.is_nil(rows.lost.verdict)
      local waited = (rows.committed.started - rows.lost.started) / 1e9
      assert.is_true(waited > 0.9, waited)
      assert.same({ { attempt = 1, speculative = 1 } },
         real.sql(p, "select attempt, speculative from task where task = 'map_1'"))
      local s = real.check_books(p)
      assert.same({ 1, 1, 0 }, { s.speculative.started, s.speculative.won, s.speculative.lost })
      assert.same({ 0, 0, 0 }, { s.failures, s.retries, s.recovered_tasks })
   end

   it("wins, costs no retry, and the loser is killed", function()
      local p, result = slow()
      assert.equal(0, result.code, result.err)
      assert.is_true(result.seconds < 30)
      backup_won(p)
      assert.equal(h.sh([[cat ?.txt | LC_ALL=C awk '{n[$0]++} END {for (k in n) print k "\t" n[k]}' | LC_ALL=C sort]],
         { dir = p.dir }).out, real.part(p))
   end)

   it("puts the same records aside", function()
      local p, result = slow("if key == 7 * 10 and line:find('[25]') then error('no') end")
      assert.equal(3, result.code, result.err)
      backup_won(p)
      assert.equal(2, real.manifest(p).quarantined)
      assert.equal(h.sh([[cat ?.txt | LC_ALL=C awk '{n[$0]++} END {n["line 2"]--; n["line 5"]--
         for (k in n) print k "\t" n[k]}' | LC_ALL=C sort]], { dir = p.dir }).out, real.part(p))
   end)

   for sign, expected in pairs {
      ["backup crashes"] = { "map_1.1s task_crash", "map_1.0 committed" },
      ["first crashes"] = { "map_1.0 task_crash", "map_1.1s committed" },
   } do
      it("goes on alone, or leaves the first alone, when one of the two crashes: " .. sign, function()
         local p, result = slow(nil, nil, sign)
         assert.equal(0, result.code, result.err)
         assert.same(expected, real.story(p, "where task = 'map_1'"))
         local s = real.check_books(p)
         assert.same({ 1, 0, 1 }, { s.failures, s.retries, s.speculative.started })
         assert.equal(#h.lines(real.part(p)), 8)
      end)
   end

   it("is not begun when speculation is off", function()
      local p = slow(nil, { "--set", "speculation.enabled=false", "--set", "limits.task_timeout_seconds=2" })
      assert.equal(0, real.count(p, "select count(*) from attempt where speculative"))
      assert.equal("map_1.0 timeout retry", real.story(p, "where task = 'map_1'")[1])
   end)
end)
