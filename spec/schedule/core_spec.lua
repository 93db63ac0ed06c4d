-- The scheduler's core under a virtual clock: its whole transition table, exact logs of scripted
-- schedules, and thousands of random schedules against a model that shares nothing with it.
local h = require "spec.helper"

local core_sim = h.tool "core_sim"

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
      ASKING = { RETRY = "BACKOFF", GIVE_UP = "FAILED" },
      BACKOFF = { DUE = "READY" },
      COMMITTED = {},
      FAILED = {},
   }
   local moves = { "UNBLOCK", "ASSIGN", "SUCCEED", "ERR", "EXPIRE", "RETRY", "GIVE_UP", "DUE" }

   it("holds exactly the moves that can happen", function()
      local seen = 0
      for state, move, to in sim("table"):gmatch("(%u+) ([%u_]+) (%S+)\n") do
         assert.equal(allowed[state][move] or "-", to, state .. " " .. move)
         seen = seen + 1
      end
      assert.equal(8 * #moves, seen)
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
         state
         = tasks ASKING
         = slots IDLE
      ]]
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

   it("gives up when workers die at once again and again", function()
      check [[
         open slots=1 window=10
         load 1
         begin
         > spawn 0
         down 0
         > spawn 0
         at 1
         down 0
         > spawn 0
         at 2
         down 0
         > spawn 0
         at 3
         down 0
         > spawn 0
         at 11
         down 0
         > spawn 0
         at 11.5
         down 0
         > spawn 0
         at 11.6
         down 0
         > broken
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
end)

describe("random schedules", function()
   local runs = h.sanitized and 1000 or 5000

   it("keep every promise, and end", function()
      local result = h.run({ "random", "1", tostring(runs) }, { binary = core_sim })
      assert.equal("", result.err)
      assert.equal(0, result.code, result.out:match("[^\n]*violated[^\n]*"))
      local ends = {}
      for how in result.out:gmatch("%d+ (%a+) %d+ %x+\n") do ends[how] = (ends[how] or 0) + 1 end
      assert.equal(runs, (ends.done or 0) + (ends.failed or 0) + (ends.broken or 0) + (ends.stopped or 0))
      for _, how in ipairs { "done", "failed", "broken", "stopped" } do
         assert.is_true((ends[how] or 0) > 0, how .. " never happened")
      end
   end)

   it("give the same log for the same seed", function()
      local first = h.run({ "random", "7", "50", "log" }, { binary = core_sim })
      local second = h.run({ "random", "7", "50", "log" }, { binary = core_sim })
      assert.equal(first.out, second.out)
      assert.is_true(#first.out > 10000)
   end)
end)
