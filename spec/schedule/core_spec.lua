-- The scheduler's core under a virtual clock: its whole transition table, exact logs of scripted
-- schedules, and thousands of random schedules against a model that shares nothing with it.
local h = require "spec.helper"

local core_sim, core_model = h.tool "core_sim", h.tool "core_model"

local function sim(script)
   local result = h.run({}, { binary = core_sim, stdin = script .. "\n" })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

-- A script and, under each line, what it must give: "> " an action, "= " a line of state.
local function check(log)
   local script, expected = {}, {}
   for line in log:gmatch("[^\n]+") do
      line = line:match("^ *(.-) *$")
      local mark, text = line:match("^([>=]) (.*)")
      expected[#expected + 1] = mark == ">" and "  " .. text or text or line ~= "" and line or nil
      if not mark and line ~= "" then script[#script + 1] = line end
   end
   assert.equal(table.concat(expected, "\n") .. "\n", sim(table.concat(script, "\n")))
end

describe("the transition table", function()
   local allowed = {
      BLOCKED = { UNBLOCK = "READY" },
      READY = { ASSIGN = "RUNNING" },
      RUNNING = { SUCCEED = "COMMITTED", ERR = "ASKING", EXPIRE = "ENDING" },
      ENDING = { SUCCEED = "COMMITTED", ERR = "ASKING" },
      ASKING = { RETRY = "BACKOFF", GIVE_UP = "FAILED", DROP = "DROPPED", HOLD = "HELD" },
      BACKOFF = { DUE = "READY" },
      HELD = { RELEASE = "READY" },
      COMMITTED = { REDO = "READY" },
      DROPPED = {},
      FAILED = {},
   }
   local moves = {
      "UNBLOCK", "ASSIGN", "SUCCEED", "ERR", "EXPIRE", "RETRY", "GIVE_UP", "DROP", "HOLD", "RELEASE", "REDO", "DUE",
   }

   it("holds exactly the moves that can happen", function()
      local seen = 0
      for state, move, to in sim("table"):gmatch("(%u+) ([%u_]+) (%S+)\n") do
         assert.equal(allowed[state][move] or "-", to, state .. " " .. move)
         seen = seen + 1
      end
      assert.equal(10 * #moves, seen)
   end)

   it("stops the program at a move it does not have", function()
      local result = h.run({}, { binary = core_sim, stdin = "open slots=1\nload 1\nbegin\nup 0\nretry 0 1\n" })
      assert.not_equal(0, result.code)
      assert.matches("this must hold and does not", result.err, 1, true)
   end)
end)

describe("a schedule", function()
   it("runs maps, then reduces, on as many workers as there is work for", function()
      check [[
         open slots=3
         load 2 1
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         ok 1
         > commit task 1.0 of 1
         ok 0
         > commit task 0.0 of 0
         > stage 0 done
         > assign 0 task 2.0 serial 3
         ok 0
         > commit task 2.0 of 0
         > stage 1 done
         > done
      ]]
   end)

   it("passes stages without tasks", function()
      check [[
         open slots=1
         load 0 1 0
         begin
         > stage 0 done
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         ok 0
         > commit task 0.0 of 0
         > stage 1 done
         > stage 2 done
         > done
         load 0
         begin
         > stage 0 done
         > done
      ]]
   end)

   it("keeps its workers for the next tasks", function()
      check [[
         open slots=2
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         ok 0
         > commit task 0.0 of 0
         > stage 0 done
         > done
         load 2
         begin
         > assign 0 task 0.0 serial 2
         > spawn 1
      ]]
   end)

   it("tries again after a delay, and counts the same failure", function()
      check [[
         open slots=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         retry 0 2
         due
         > 2.000
         at 1.999
         tick
         at 2
         tick
         > assign 0 task 0.1 serial 2
         err 0 7
         > ask task 0.1 retry 2 same 2
         retry 0 0
         > assign 0 task 0.2 serial 3
         err 0 8
         > ask task 0.2 retry 3 same 1
         retry 0 0
         > assign 0 task 0.3 serial 4
         err 0 0
         > ask task 0.3 retry 4 same 1
         retry 0 0
         > assign 0 task 0.4 serial 5
         err 0 0
         > ask task 0.4 retry 5 same 1
         retry 0 0
         > assign 0 task 0.5 serial 6
         err 0 7
         > ask task 0.5 retry 6 same 3
         state
         = tasks ASKING
         = slots IDLE
      ]]
   end)

   it("forgets a way to fail after four others", function()
      local script = { "open slots=1", "load 1", "begin", "> spawn 0", "up 0", "> assign 0 task 0.0 serial 1" }
      local attempt = 0
      local function fail(fingerprint, same)
         script[#script + 1] = ("err 0 %d"):format(fingerprint)
         script[#script + 1] = ("> ask task 0.%d retry %d same %d"):format(attempt, attempt + 1, same)
         script[#script + 1] = "retry 0 0"
         script[#script + 1] = ("> assign 0 task 0.%d serial %d"):format(attempt + 1, attempt + 2)
         attempt = attempt + 1
      end
      for _, fingerprint in ipairs { 7, 1, 2, 3 } do fail(fingerprint, 1) end
      fail(7, 2)
      fail(0, 1)
      for _, fingerprint in ipairs { 1, 2, 3 } do fail(fingerprint, 2) end
      fail(4, 1)
      fail(7, 1)
      fail(7, 2)
      check(table.concat(script, "\n"))
   end)

   it("replaces a worker that dies", function()
      check [[
         open slots=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         down 0 5
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 2
         ok 0
         > commit task 0.1 of 0
         > stage 0 done
         > done
      ]]
   end)

   it("lets running tasks finish when one has failed, and then fails", function()
      check [[
         open slots=2
         load 2 1
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         err 0 1
         > ask task 0.0 retry 1 same 1
         give_up 0
         state
         = tasks FAILED RUNNING BLOCKED
         = slots IDLE BUSY
         ok 1
         > commit task 1.0 of 1
         > fail task 0
      ]]
   end)

   it("interrupts without progress, and kills who does not listen", function()
      check [[
         open slots=1 progress=5 grace=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         at 4
         page 0 1 1
         at 8.9
         page 0 2 1
         tick
         at 9
         tick
         > interrupt 0 progress
         at 9.5
         tick
         at 10
         tick
         > kill 0 progress
         state
         = tasks ENDING
         = slots DYING
         down 0 3
         > ask task 0.0 retry 1 same 1
      ]]
   end)

   it("goes on with a worker that heard the interrupt", function()
      check [[
         open slots=1 task=5 grace=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         at 5
         page 0 1 1
         tick
         > interrupt 0 deadline
         at 5.1
         err 0 4
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > assign 0 task 0.1 serial 2
         at 9
         tick
         state
         = tasks RUNNING
         = slots BUSY
      ]]
   end)

   it("kills at once without a heartbeat, also a worker that never said hello", function()
      check [[
         open slots=1 heartbeat=30
         load 1
         begin
         > spawn 0
         at 30
         tick
         > kill 0 heartbeat
         down 0
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         at 59.9
         tick
         at 60
         tick
         > kill 0 heartbeat
      ]]
   end)

   it("takes a result that was on its way when the worker was killed", function()
      check [[
         open slots=1 heartbeat=30
         load 1 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         at 30
         tick
         > kill 0 heartbeat
         ok 0
         > commit task 0.0 of 0
         > stage 0 done
         down 0
         > spawn 0
         up 0
         > assign 0 task 1.0 serial 2
      ]]
   end)

   it("stops handing out work and kills every worker on a stop", function()
      check [[
         open slots=2
         load 3
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         stop
         > kill 0 stop
         > kill 1 stop
         down 0 1
         > ask task 0.0 retry 1 same 1
         down 1
         state
         = tasks ASKING READY READY
         = slots EMPTY EMPTY
      ]]
   end)

   it("goes on with the workers it has when another cannot be started, and tries again", function()
      check [[
         open slots=2
         load 3
         begin
         > spawn 0
         > spawn 1
         spawn_failed 1
         up 0
         > assign 0 task 0.0 serial 1
         at 1
         ok 0
         > commit task 0.0 of 0
         > assign 0 task 1.0 serial 2
         at 2.5
         tick
         > spawn 1
         spawn_failed 1
         down 0 7
         > ask task 1.0 retry 1 same 1
         > spawn 0
         spawn_failed 0
         retry 1 0
         > broken
      ]]
   end)

   it("gives up when a worker cannot be started", function()
      check [[
         open slots=2
         load 1
         begin
         > spawn 0
         spawn_failed 0
         > broken
      ]]
   end)

   it("takes new limits while it runs", function()
      check [[
         open slots=1 progress=600
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         at 20
         page 0 1 0
         tick
         limits progress=10
         at 20.2
         tick
         > interrupt 0 progress
      ]]
   end)
end)

describe("a job that goes on", function()
   it("begins with tasks that are done, and numbers attempts on", function()
      check [[
         open slots=2
         load 3 2
         restore 0 committed 1 0
         restore 1 blocked 3 1
         restore 2 dropped 2 0
         restore 3 committed 2 0
         begin
         > spawn 0
         up 0
         > assign 0 task 1.3 serial 1
         state
         = tasks COMMITTED RUNNING DROPPED COMMITTED BLOCKED
         = slots BUSY EMPTY
         ok 0
         > commit task 1.3 of 0
         > stage 0 done
         > assign 0 task 4.0 serial 2
         ok 0
         > commit task 4.0 of 0
         > stage 1 done
         > done
      ]]
   end)

   it("is done at once when all of it is", function()
      check [[
         open slots=1
         load 1 1
         restore 0 committed 1 0
         restore 1 committed 1 0
         begin
         > stage 0 done
         > stage 1 done
         > done
      ]]
   end)

   it("can have a task redone that was done before", function()
      check [[
         open slots=1
         load 1 1
         restore 0 committed 1 0
         begin
         > stage 0 done
         > spawn 0
         up 0
         > assign 0 task 1.0 serial 1
         err 0 0
         > ask task 1.0 retry 1 same 1
         redo 1 0
         > redo task 0
         > assign 0 task 0.1 serial 2
         ok 0
         > commit task 0.1 of 0
         > assign 0 task 1.1 serial 3
      ]]
   end)
end)

describe("a dropped task", function()
   it("lets its stage end without it", function()
      check [[
         open slots=1
         load 2 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         > assign 0 task 1.0 serial 2
         ok 0
         > commit task 1.0 of 0
         state
         = tasks ASKING COMMITTED BLOCKED
         = slots IDLE
         drop 0
         > stage 0 done
         > assign 0 task 2.0 serial 3
         ok 0
         > commit task 2.0 of 0
         > stage 1 done
         > done
         state
         = tasks DROPPED COMMITTED COMMITTED
         = slots IDLE
      ]]
   end)

   it("is all there is, and the job is done", function()
      check [[
         open slots=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         drop 0
         > stage 0 done
         > done
      ]]
   end)
end)

describe("a producer", function()
   -- Two maps have committed, two reduces run.
   local started = [[
         open slots=2
         load 2 2
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         ok 0
         > commit task 0.0 of 0
         ok 1
         > commit task 1.0 of 1
         > stage 0 done
         > assign 0 task 2.0 serial 3
         > assign 1 task 3.0 serial 4
   ]]

   it("is redone while other reduces run, and the one that waits runs again", function()
      check(started .. [[
         err 0 5
         > ask task 2.0 retry 1 same 1
         redo 2 1
         > redo task 1
         > assign 0 task 1.1 serial 5
         state
         = tasks COMMITTED RUNNING HELD RUNNING
         = slots BUSY BUSY
         ok 1
         > commit task 3.0 of 1
         ok 0
         > commit task 1.1 of 0
         > assign 0 task 2.1 serial 6
         counts
         =   0: attempts 1 backups 0 failures 0
         =   1: attempts 2 backups 0 failures 0
         =   2: attempts 2 backups 0 failures 1
         =   3: attempts 1 backups 0 failures 0
         ok 0
         > commit task 2.1 of 0
         > stage 1 done
         > done
      ]])
   end)

   it("is redone once for two that wait", function()
      check(started .. [[
         err 0 5
         > ask task 2.0 retry 1 same 1
         redo 2 0
         > redo task 0
         > assign 0 task 0.1 serial 5
         err 1 6
         > ask task 3.0 retry 1 same 1
         redo 3 0
         state
         = tasks RUNNING COMMITTED HELD HELD
         = slots BUSY IDLE
         ok 0
         > commit task 0.1 of 0
         > assign 0 task 2.1 serial 6
         > assign 1 task 3.1 serial 7
      ]])
   end)

   it("is not redone for an attempt that began before its newest commit", function()
      check(started .. [[
         err 0 5
         > ask task 2.0 retry 1 same 1
         redo 2 0
         > redo task 0
         > assign 0 task 0.1 serial 5
         ok 0
         > commit task 0.1 of 0
         > assign 0 task 2.1 serial 6
         err 1 6
         > ask task 3.0 retry 1 same 1
         redo 3 0
         > assign 1 task 3.1 serial 7
         err 1 6
         > ask task 3.1 retry 2 same 2
         redo 3 0
         > redo task 0
         > assign 1 task 0.2 serial 8
      ]])
   end)

   it("fails on its own account, and is tried again before all others", function()
      check [[
         open slots=1
         load 1 3
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         ok 0
         > commit task 0.0 of 0
         > stage 0 done
         > assign 0 task 1.0 serial 2
         err 0 5
         > ask task 1.0 retry 1 same 1
         > assign 0 task 2.0 serial 3
         redo 1 0
         > redo task 0
         err 0 5
         > ask task 2.0 retry 1 same 1
         > assign 0 task 0.1 serial 4
         err 0 9
         > ask task 0.1 retry 1 same 1
         > assign 0 task 3.0 serial 5
         retry 0 0
         retry 2 0
         ok 0
         > commit task 3.0 of 0
         > assign 0 task 0.2 serial 6
         ok 0
         > commit task 0.2 of 0
         > assign 0 task 2.1 serial 7
         ok 0
         > commit task 2.1 of 0
         > assign 0 task 1.1 serial 8
         ok 0
         > commit task 1.1 of 0
         > stage 1 done
         > done
      ]]
   end)

   it("fails for good, and the job with it", function()
      check(started .. [[
         err 0 5
         > ask task 2.0 retry 1 same 1
         redo 2 0
         > redo task 0
         > assign 0 task 0.1 serial 5
         err 0 9
         > ask task 0.1 retry 1 same 1
         give_up 0
         err 1 5
         > ask task 3.0 retry 1 same 1
         redo 3 0
         > fail task 0
         state
         = tasks FAILED COMMITTED HELD HELD
         = slots IDLE IDLE
      ]])
   end)

   it("is dropped, and those that wait go on without it", function()
      check(started .. [[
         err 0 5
         > ask task 2.0 retry 1 same 1
         redo 2 0
         > redo task 0
         > assign 0 task 0.1 serial 5
         err 0 9
         > ask task 0.1 retry 1 same 1
         drop 0
         > assign 0 task 2.1 serial 6
         err 0 5
         > ask task 2.1 retry 2 same 2
         redo 2 0
         > assign 0 task 2.2 serial 7
      ]])
   end)

   it("must be of an earlier stage", function()
      local script = started:gsub("[^\n]*[>=] [^\n]*\n", "") .. "err 0 5\nredo 2 3\n"
      local result = h.run({}, { binary = core_sim, stdin = script })
      assert.not_equal(0, result.code)
      assert.matches("this must hold and does not", result.err, 1, true)
   end)
end)

describe("a backup", function()
   -- Four tasks of two slots: three took 2 s each, the last one began at 4 s.
   local started = [[
         open slots=2 speculate=1 progress=30 grace=1
         load 4
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         at 2
         ok 0
         > commit task 0.0 of 0
         > assign 0 task 2.0 serial 3
         ok 1
         > commit task 1.0 of 1
         > assign 1 task 3.0 serial 4
         at 4
         ok 0
         > commit task 2.0 of 0
         at 5.9
         tick
   ]]
   local backed = started .. [[
         at 6
         tick
         > assign 0 task 3.1s serial 5
   ]]

   it("wins, and the other worker is killed", function()
      check(backed .. [[
         state
         = tasks COMMITTED COMMITTED COMMITTED RUNNING
         = slots BUSY BUSY
         ok 0
         > commit task 3.1s of 0
         > kill 1 lost
         > lost task 3.0 of 1
         > stage 0 done
         > done
         state
         = tasks COMMITTED COMMITTED COMMITTED COMMITTED
         = slots IDLE DYING
         down 1
      ]])
   end)

   it("loses", function()
      check(backed .. [[
         ok 1
         > commit task 3.0 of 1
         > kill 0 lost
         > lost task 3.1s of 0
         > stage 0 done
         > done
         down 0
         counts
         =   0: attempts 1 backups 0 failures 0
         =   1: attempts 1 backups 0 failures 0
         =   2: attempts 1 backups 0 failures 0
         =   3: attempts 1 backups 1 failures 0
      ]])
   end)

   it("fails, and the other goes on without another backup", function()
      check(backed .. [[
         err 0 7
         > backup_failed task 3.1s of 0 same 1
         at 20
         page 1 1 1
         tick
         err 1 7
         > ask task 3.0 retry 1 same 2
         retry 3 0
         > assign 0 task 3.1 serial 6
         at 24
         tick
         > assign 1 task 3.2s serial 7
      ]])
   end)

   it("goes on when the first attempt fails, and its failure is the task's first", function()
      check(backed .. [[
         down 1 7
         > backup_failed task 3.0 of 1 same 1
         at 20
         page 0 1 1
         tick
         state
         = tasks COMMITTED COMMITTED COMMITTED RUNNING
         = slots BUSY EMPTY
         err 0 8
         > ask task 3.1s retry 1 same 1
         retry 3 0
         > assign 0 task 3.1 serial 6
         counts
         =   0: attempts 1 backups 0 failures 0
         =   1: attempts 1 backups 0 failures 0
         =   2: attempts 1 backups 0 failures 0
         =   3: attempts 2 backups 1 failures 1
      ]])
   end)

   it("goes on when the first attempt times out", function()
      check(backed .. [[
         at 31.9
         page 0 1 1
         page 1 1 0
         at 32
         tick
         > interrupt 1 progress
         state
         = tasks COMMITTED COMMITTED COMMITTED RUNNING
         = slots BUSY BUSY
         at 33
         tick
         > kill 1 progress
         down 1 0
         > backup_failed task 3.0 of 1 same 1
         ok 0
         > commit task 3.1s of 0
         > stage 0 done
         > done
      ]])
   end)

   it("wins over one that is dying already", function()
      check(backed .. [[
         at 31.9
         page 0 1 1
         page 1 1 0
         at 32
         tick
         > interrupt 1 progress
         at 33
         tick
         > kill 1 progress
         ok 0
         > commit task 3.1s of 0
         > lost task 3.0 of 1
         > stage 0 done
         > done
         down 1
      ]])
   end)

   it("times out together with the first attempt", function()
      check(backed .. [[
         at 34
         page 0 1 0
         page 1 1 0
         at 40
         tick
         > interrupt 0 progress
         > interrupt 1 progress
         state
         = tasks COMMITTED COMMITTED COMMITTED ENDING
         = slots BUSY BUSY
         err 1 4
         > backup_failed task 3.0 of 1 same 1
         state
         = tasks COMMITTED COMMITTED COMMITTED ENDING
         = slots BUSY IDLE
         err 0 4
         > ask task 3.1s retry 1 same 2
      ]])
   end)

   it("is left alone with its end when the healthy one fails", function()
      check(backed .. [[
         at 31.9
         page 0 1 1
         page 1 1 0
         at 32
         tick
         > interrupt 1 progress
         err 0 4
         > backup_failed task 3.1s of 0 same 1
         state
         = tasks COMMITTED COMMITTED COMMITTED ENDING
         = slots IDLE BUSY
         ok 1
         > commit task 3.0 of 1
         > stage 0 done
         > done
      ]])
   end)

   it("stops with the job", function()
      check(backed .. [[
         stop
         > kill 0 stop
         > kill 1 stop
         down 0 1
         > backup_failed task 3.1s of 0 same 1
         down 1 1
         > ask task 3.0 retry 1 same 2
      ]])
   end)

   it("is not for an attempt that will soon be done", function()
      check(started .. [[
         at 8
         page 1 1 1 0.8
         tick
         at 12
         page 1 1 1 0.85
         tick
         at 13
         page 1 1 1 0.8
         tick
         > assign 0 task 3.1s serial 5
      ]])
   end)

   it("is not without the wish for it, which may come later", function()
      check((started:gsub("speculate=1", "")) .. [[
         at 100
         page 1 1 1
         tick
         limits speculate=1
         > assign 0 task 3.1s serial 5
      ]])
   end)

   it("is not while a task will be ready at once", function()
      check [[
         open slots=2 speculate=1
         load 4
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         at 1
         ok 0
         > commit task 0.0 of 0
         > assign 0 task 2.0 serial 3
         at 2
         ok 0
         > commit task 2.0 of 0
         > assign 0 task 3.0 serial 4
         at 2.5
         err 0 1
         > ask task 3.0 retry 1 same 1
         > assign 0 task 1.1s serial 5
         retry 3 1
         at 4
         err 0 0
         > backup_failed task 1.1s of 0 same 1
         tick
         > assign 0 task 3.1 serial 6
      ]]
   end)

   it("goes to the one with the most time left, one at a time", function()
      check [[
         open slots=4 speculate=1
         load 6
         begin
         > spawn 0
         > spawn 1
         > spawn 2
         > spawn 3
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         up 2
         > assign 2 task 2.0 serial 3
         up 3
         > assign 3 task 3.0 serial 4
         at 1
         ok 0
         > commit task 0.0 of 0
         > assign 0 task 4.0 serial 5
         page 1 1 1 0.4
         page 2 1 1 0.2
         page 3 1 1
         at 2
         ok 0
         > commit task 4.0 of 0
         > assign 0 task 5.0 serial 6
         at 3
         ok 0
         > commit task 5.0 of 0
         > assign 0 task 2.1s serial 7
         at 4
         ok 2
         > commit task 2.0 of 2
         > kill 0 lost
         > lost task 2.1s of 0
         > assign 2 task 1.1s serial 8
      ]]
   end)

   it("needs three tasks, half of them done, and a second", function()
      check [[
         open slots=2 speculate=1
         load 2
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         at 0.1
         ok 0
         > commit task 0.0 of 0
         at 20
         page 1 1 1
         tick
         ok 1
         > commit task 1.0 of 1
         > stage 0 done
         > done
         load 3
         begin
         > assign 0 task 0.0 serial 3
         > assign 1 task 1.0 serial 4
         at 20.1
         ok 0
         > commit task 0.0 of 0
         > assign 0 task 2.0 serial 5
         at 20.2
         ok 0
         > commit task 2.0 of 0
         at 20.9
         tick
         at 21
         tick
         > assign 0 task 1.1s serial 6
      ]]
   end)
end)

describe("a slot", function()
   it("rests when its workers die again and again, each time twice as long", function()
      check [[
         open slots=2 restarts=2 window=10
         load 1
         begin
         > spawn 0
         down 0
         > spawn 0
         down 0
         > spawn 0
         at 11
         down 0
         > spawn 0
         down 0
         > spawn 0
         at 12
         down 0
         > rest 0
         > spawn 1
         at 21
         down 1
         > spawn 1
         at 22
         tick
         down 1
         > spawn 0
         down 0
         > spawn 0
         down 0
         > spawn 0
         down 0
         > rest 0
         > spawn 1
         at 41
         down 1
         > spawn 1
         up 1
         > assign 1 task 0.0 serial 1
         err 1 0
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > assign 1 task 0.1 serial 2
         down 1 0
         > ask task 0.1 retry 2 same 1
         retry 0 0
         > spawn 1
         at 41.9
         down 1
         > rest 1
         > broken
      ]]
   end)

   it("rests for deaths that are just within the window", function()
      check [[
         open slots=2 restarts=1 window=10
         load 1
         begin
         > spawn 0
         down 0
         > spawn 0
         at 10.001
         down 0
         > spawn 0
         at 20.001
         down 0
         > rest 0
         > spawn 1
      ]]
   end)

   it("begins anew when an attempt has succeeded there", function()
      check [[
         open slots=2 restarts=0 window=10
         load 2
         begin
         > spawn 0
         > spawn 1
         up 1
         > assign 1 task 0.0 serial 1
         down 0
         > rest 0
         at 10
         tick
         > spawn 0
         up 0
         > assign 0 task 1.0 serial 2
         ok 0
         > commit task 1.0 of 0
         down 0
         > rest 0
         down 1 5
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > spawn 1
         down 1
         > rest 1
         > broken
      ]]
   end)

   it("forgets its deaths when an attempt has succeeded there", function()
      check [[
         open slots=1 restarts=1 window=10
         load 4
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         down 0 0
         > ask task 0.0 retry 1 same 1
         > spawn 0
         up 0
         > assign 0 task 1.0 serial 2
         ok 0
         > commit task 1.0 of 0
         > assign 0 task 2.0 serial 3
         down 0 0
         > ask task 2.0 retry 1 same 1
         > spawn 0
         up 0
         > assign 0 task 3.0 serial 4
         down 0 0
         > ask task 3.0 retry 1 same 1
         > rest 0
      ]]
   end)

   it("is not to blame for what a record did, or for what was killed", function()
      check [[
         open slots=1 restarts=0 window=10 heartbeat=30 task=5
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         down 0 77
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 2
         at 5
         page 0 1 1
         tick
         > interrupt 0 deadline
         down 0 0
         > ask task 0.1 retry 2 same 1
         retry 0 0
         > spawn 0
         at 35
         tick
         > kill 0 heartbeat
         down 0
         > spawn 0
      ]]
   end)

   it("rests for a death at work; the verdict comes before the end of the job", function()
      check [[
         open slots=1 restarts=1 window=10
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         down 0 0
         > ask task 0.0 retry 1 same 1
         retry 0 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 2
         down 0 0
         > ask task 0.1 retry 2 same 1
         > rest 0
         give_up 0
         > fail task 0
         load 1
         begin
         > broken
      ]]
   end)
end)

describe("a fresh worker", function()
   it("takes the place of one that is idle and used", function()
      check [[
         open slots=1
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         retry 0 0 fresh
         > kill 0 fresh
         state
         = tasks READY
         = slots DYING
         down 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 2
         err 0 7
         > ask task 0.1 retry 2 same 2
         retry 0 0
         > assign 0 task 0.2 serial 3
      ]]
   end)

   it("is started in an empty slot if there is one", function()
      check [[
         open slots=2
         load 1
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         retry 0 1 fresh
         at 1
         tick
         > spawn 1
         up 1
         > assign 1 task 0.1 serial 2
      ]]
   end)

   it("is kept for the task that wants it, which waits for its turn", function()
      check [[
         open slots=1
         load 3
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         > assign 0 task 1.0 serial 2
         retry 0 0 fresh
         ok 0
         > commit task 1.0 of 0
         > assign 0 task 2.0 serial 3
         err 0 8
         > ask task 2.0 retry 1 same 1
         > kill 0 fresh
         retry 2 0
         down 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 4
         ok 0
         > commit task 0.1 of 0
         > assign 0 task 2.1 serial 5
      ]]
   end)

   it("comes before what became ready later", function()
      check [[
         open slots=1
         load 3
         begin
         > spawn 0
         up 0
         > assign 0 task 0.0 serial 1
         err 0 7
         > ask task 0.0 retry 1 same 1
         > assign 0 task 1.0 serial 2
         retry 0 0 fresh
         err 0 8
         > ask task 1.0 retry 1 same 1
         > assign 0 task 2.0 serial 3
         retry 1 0
         ok 0
         > commit task 2.0 of 0
         > kill 0 fresh
         down 0
         > spawn 0
         up 0
         > assign 0 task 0.1 serial 4
         ok 0
         > commit task 0.1 of 0
         > assign 0 task 1.1 serial 5
      ]]
   end)

   it("comes while other workers go on with what is ready", function()
      check [[
         open slots=2
         load 5
         begin
         > spawn 0
         > spawn 1
         up 0
         > assign 0 task 0.0 serial 1
         up 1
         > assign 1 task 1.0 serial 2
         err 0 7
         > ask task 0.0 retry 1 same 1
         > assign 0 task 2.0 serial 3
         down 1 7
         > ask task 1.0 retry 1 same 1
         > spawn 1
         retry 0 0 fresh
         ok 0
         > commit task 2.0 of 0
         > assign 0 task 3.0 serial 4
         up 1
         > assign 1 task 0.1 serial 5
      ]]
   end)
end)

describe("random schedules", function()
   local runs = h.sanitized and 1000 or 5000

   it("keep every promise, and end", function()
      local result = h.run({ "1", tostring(runs) }, { binary = core_model })
      assert.equal("", result.err)
      assert.equal(0, result.code, result.out:match("[^\n]*violated[^\n]*"))
      local ends, seen = {}, {}
      for how, rest in result.out:gmatch("%d+ (%a+) %d+ %x+([^\n]*)\n") do
         ends[how] = (ends[how] or 0) + 1
         for what, n in rest:gmatch("([%a_]+)=(%d+)") do seen[what] = (seen[what] or 0) + tonumber(n) end
      end
      assert.equal(runs, (ends.done or 0) + (ends.failed or 0) + (ends.broken or 0) + (ends.stopped or 0))
      for _, how in ipairs { "done", "failed", "broken", "stopped" } do
         assert.is_true((ends[how] or 0) > 0, how .. " never happened")
      end
      for what, n in pairs(seen) do
         assert.is_true(n > runs / 500, what .. " happened " .. n .. " times")
      end
   end)

   it("give the same log for the same seed", function()
      local first = h.run({ "7", "50", "log" }, { binary = core_model })
      local second = h.run({ "7", "50", "log" }, { binary = core_model })
      assert.equal(first.out, second.out)
      assert.is_true(#first.out > 10000)
   end)
end)
