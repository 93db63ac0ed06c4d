-- The shuffle of whole jobs where it is hard: more distinct keys than memory, thousands of tasks, one key with nearly
-- all pairs; and that nothing but input and options reaches the result.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local SUM = "local n = 0 for v in values do n = n + v end emit(key, n)"

-- Runs a job in `dir`; returns what --json says and the joined parts.
local function lmr(dir, ...)
   local out = h.tmpdir() .. "/out"
   local result = h.run({ "run", "--quiet", "--json", "--profile", "testing", "-o", out, ... },
      { dir = dir, timeout = 120 })
   assert.are.equal(0, result.code, result.err)
   assert.are.equal("", result.err)
   local parts = {}
   for _, name in ipairs(h.ls(out)) do
      if name:find("^part") then parts[#parts + 1] = h.read(out .. "/" .. name) end
   end
   return cjson.decode(result.out), table.concat(parts), #parts
end

local function awk(dir, name, program)
   assert.are.equal(0, h.sh(("LC_ALL=C awk 'BEGIN { %s }' >%s"):format(program, name), { dir = dir }).code)
end

-- What counts of lines must be, in the order of one part.
local function counted(dir, name)
   return h.sh(([[export LC_ALL=C; sort %s | uniq -c | awk '{ print $2 "\t" $1 }']]):format(name), { dir = dir }).out
end

local function sorted(text)
   local lines = h.lines(text)
   table.sort(lines)
   return table.concat(lines, "\n") .. "\n"
end

describe("more distinct keys than memory", function()
   it("are sorted on disk, within the sort buffer and 64 MiB a process", function()
      local dir, count = h.tmpdir(), h.sanitized and 300000 or 3000000
      awk(dir, "in.txt", ("for (i = 0; i < %d; i++) print (i * 7919) %% 3000017"):format(count))
      local small, text, parts = lmr(dir, "-m", "emit(value, 1)", "-r", "sum", "in.txt", "--sort-buffer", "1M",
         "--reducers", "2")
      assert.are.equal(2, parts)
      assert.are.equal(count, small.records_out)
      assert.is_true(small.spills > 20, "spills " .. small.spills)
      if not h.sanitized then
         assert.is_true(small.peak_memory < 65 << 20, "peak memory " .. small.peak_memory)
      end
      local large, same = lmr(dir, "-m", "emit(value, 1)", "-r", "sum", "in.txt", "--sort-buffer", "1G",
         "--reducers", "2")
      assert.are.equal(1, large.spills)
      assert.is_true(text == same)
      assert.is_true(select(2, text:gsub("\t1\n", "")) == count)
   end)
end)

describe("thousands of tasks with a skewed key", function()
   it("come to one result", function()
      local dir = h.tmpdir()
      awk(dir, "in.txt", ('for (i = 0; i < %d; i++) print (i %% 10 ? "hot" : "cold" i)'):format(
         h.sanitized and 60000 or 1150000))
      local done, text, parts = lmr(dir, "-m", "emit(value, 1)", "-r", SUM, "in.txt", "--split-size", "1K",
         "--sort-buffer", "64K", "--reducers", "4")
      assert.are.equal(4, parts)
      assert.is_true(h.sanitized or done.map_tasks >= 5000, "tasks " .. done.map_tasks)
      assert.are.equal(done.map_tasks + 4, done.attempts)
      assert.is_true(counted(dir, "in.txt") == sorted(text))
   end)
end)

describe("the result", function()
   local MAP = "for i = 1, 1 + key % 3 do emit(#value % 7, key + i) end emit(value, math.random(1000))"
   -- Each value counts by its place: another order gives another number.
   local FOLD = "local n = 7 for v in values do n = n * 31 + v end emit(key, n)"

   it("is the same for any number of workers, compressed runs or not, and in every run", function()
      local dir = h.tmpdir()
      awk(dir, "in.txt", 'for (i = 0; i < 40000; i++) printf "%d %*s\\n", i * 7919 % 9973, i % 40, "x"')
      local first
      for _, options in ipairs { { "--workers", "1" }, { "--workers", "2" }, { "--workers", "5" },
         { "--compress-runs" }, { "--workers", "5", "--compress-runs", "--profile", "production" } } do
         local _, text = lmr(dir, "-m", MAP, "-r", FOLD, "in.txt", "--split-size", "40K", "--sort-buffer", "128K",
            "--reducers", "3", table.unpack(options))
         first = first or text
         assert.is_true(#text > 0 and text == first, table.concat(options, " "))
      end
   end)

   it("is the same for any sort buffer, order of values included", function()
      local dir = h.tmpdir()
      awk(dir, "in.txt", "for (i = 0; i < 40000; i++) print i * 7919 % 9973")
      local first
      for _, buffer in ipairs { "64K", "200K", "1M", "1G" } do
         local _, text = lmr(dir, "-m", MAP, "-r", FOLD, "in.txt", "--split-size", "64K",
            "--sort-buffer", buffer)
         first = first or text
         assert.is_true(text == first, buffer)
      end
   end)

   it("of a sum of integers is the same for any split", function()
      local dir = h.tmpdir()
      awk(dir, "in.txt", "for (i = 0; i < 20000; i++) print i * 7919 % 997")
      local expected = counted(dir, "in.txt")
      for _, split in ipairs { "1K", "7777", "32M" } do
         local _, text = lmr(dir, "-m", "emit(value, 1)", "-r", "sum", "in.txt", "--split-size", split)
         assert.is_true(text == expected, split)
      end
   end)
end)
