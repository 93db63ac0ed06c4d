-- What the progress line says, under a clock of the spec's own.
local h = require "spec.helper"

local function probe(script)
   local result = h.run({}, { binary = h.tool("progress_probe"), stdin = script })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return h.lines(result.out)
end

local MB = 1024 * 1024

-- A snapshot of a map phase of 40 tasks and 1000 MB.
local function map(seconds, megabytes, records, status)
   return ("%g map 1 1 0 40 %d 2 %d %d %d %s\n"):format(
      seconds, megabytes * 40 // 1000, 1000 * MB, megabytes * MB, records, status or "-")
end

describe("the progress line", function()
   it("names the phase and counts tasks", function()
      assert.same({ "map| 0/40 tasks (2 running)  0 %" }, probe(map(0, 0, 0)))
   end)

   it("counts one task as one, and nothing where nothing is known", function()
      assert.same({ "reduce| 0/1 task (1 running)  0 %", "publish|" },
         probe("0 reduce 1 1 0 1 0 1 0 0 0 -\n1 publish 1 1 0 0 0 0 0 0 0 -\n"))
   end)

   it("tells step and round", function()
      assert.same({ "step 2/3 round 7 map| 1/1,234 tasks  50 %" }, probe("0 map 2 3 7 1234 1 0 10 5 0 -\n"))
   end)

   it("shows rates and the time left once they mean something", function()
      local script = {}
      for i = 0, 10 do
         script[#script + 1] = map(i, 10 * i, 5000 * i)
      end
      local lines = probe(table.concat(script))
      assert.equal("map| 0/40 tasks (2 running)  1 %  5,000 records/s  10 MB/s", lines[2])
      assert.equal("map| 4/40 tasks (2 running)  10 %  5,000 records/s  10 MB/s  ETA 1 m 30 s", lines[11])
   end)

   it("smooths: one slow second does not triple the time left", function()
      local script = {}
      for i = 0, 20 do
         script[#script + 1] = map(i, 10 * i, 100)
      end
      script[#script + 1] = map(21, 202, 100)
      local lines = probe(table.concat(script))
      local rate = tonumber(lines[22]:match("([%d.]+) MB/s"))
      assert.is_true(rate > 7 and rate < 10, lines[22])
   end)

   it("follows a lasting change", function()
      local script = {}
      for i = 0, 20 do
         script[#script + 1] = map(i, 10 * i, 100)
      end
      for i = 21, 40 do
         script[#script + 1] = map(i, 200 + 2 * (i - 20), 100)
      end
      local lines = probe(table.concat(script))
      local rate = tonumber(lines[#lines]:match("([%d.]+) MB/s"))
      assert.is_true(rate > 1.9 and rate < 2.1, lines[#lines])
   end)

   it("says nothing of the time left while nothing moves", function()
      local lines = probe(map(0, 100, 10) .. map(30, 100, 10) .. map(60, 100, 10))
      assert.equal("map| 4/40 tasks (2 running)  10 %", lines[3])
   end)

   it("takes what a failed attempt gives back for no negative speed", function()
      local lines = probe(map(0, 100, 1000) .. map(1, 120, 1200) .. map(2, 90, 800))
      assert.is_nil(lines[3]:find("-", 1, true))
   end)

   it("starts afresh in a new phase", function()
      local lines = probe(map(0, 0, 0) .. map(10, 1000, 100000) .. "11 reduce 1 1 0 2 0 2 100 0 0 -\n")
      assert.equal("reduce| 0/2 tasks (2 running)  0 %", lines[3])
   end)

   it("counts millions in short", function()
      local lines = probe(map(0, 0, 0) .. map(10, 0, 23456789))
      assert.is_truthy(lines[2]:find("  2.35 M records/s", 1, true), lines[2])
   end)

   it("shows the job's status, but nothing in it that steers the terminal", function()
      local lines = probe(map(0, 0, 0, "page 3 \27[2J\r\8 überall \194\155 x \226\128\174 \255"))
      assert.equal("map| 0/40 tasks (2 running)  0 %  page 3 ?[2J?? überall ?? x ??? ?", lines[1])
   end)
end)

describe("columns", function()
   it("are counted and cut by characters as they are seen", function()
      assert.same({ "abc|6", "äö|4", "日|4", "|2", "e\204\129|1" }, probe(
         "cut 3 abcdef\ncut 2 äöüß\ncut 3 日本\ncut 1 日\ncut 1 e\204\129\n"))
   end)

   it("count broken UTF-8 byte by byte", function()
      assert.same({ "\255\254|3", "\226\130|2" }, probe("cut 2 \255\254\253\ncut 2 \226\130\n"))
   end)
end)
