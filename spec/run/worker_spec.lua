-- Workers and drivers that die while a job reduces, Ctrl-C, and what the journal says to others, meanwhile and after.
local assert = require "luassert"
local h = require "spec.helper"

-- A job that waits at a gate in map or in reduce until there is a file "go" in its directory.
local GATED = [[
local mr = require "mr"
local function gate()
   if io.open("go") then return end
   assert(io.open("here", "w")):close()
   while not io.open("go") do mr.sleep(0.02) end
end
return mr.job {
   job_name = "gated", reducers = 2,
   map = function(offset, line, emit)
      if offset == 12 and mr.args { wait = "reduce" }.wait == "map" then gate() end
      emit(line, 1)
   end,
   reduce = function(key, values, emit)
      local n = 0
      for v in values do n = n + v end
      if mr.args { wait = "reduce" }.wait == "reduce" and key == "7" then gate() end
      emit(key, n)
   end,
}
]]

local function start(wait, ...)
   local dir = h.tmpdir()
   local list = {}
   for i = 1, 3000 do list[i] = tostring(i % 100) end
   h.write(dir, "in.txt", table.concat(list, "\n") .. "\n")
   h.write(dir, "job.lua", GATED)
   local args = { "run", "job.lua", "in.txt", "-o", "out", "--split-size", "1K", "--workers", "2",
      "--state-dir", "state", "--set", "retry.base_delay_seconds=0.05", "--set", "retry.jitter=false", ... }
   table.insert(args, "--")
   table.insert(args, "--wait=" .. wait)
   local run = h.background(args, { dir = dir })
   h.poll(20, h.exists, dir .. "/here")
   return { dir = dir, run = run, args = args }
end

local function check_result(dir, out)
   local result = h.sh("LC_ALL=C sort " .. out .. "/part-0000[01]", { dir = dir }).out
   local expected = {}
   for i = 0, 99 do expected[i + 1] = i .. "\t30" end
   table.sort(expected)
   assert.are.equal(table.concat(expected, "\n") .. "\n", result)
   assert.are.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001" }, h.ls(dir .. "/" .. out))
end

local function workers(job)
   local list = {}
   for pid in h.sh("pgrep -P " .. job.run:pid()).out:gmatch("%d+") do list[#list + 1] = pid end
   return list
end

local function query(job, id, sql)
   local result = h.sh(("sqlite3 -readonly state/%s/journal.db %s"):format(id, h.quote(sql)), { dir = job.dir })
   assert.are.equal("", result.err)
   return result.out
end

describe("a worker that dies in reduce", function()
   for signal, words in pairs { KILL = "killed by signal 9 (Killed", SEGV = "killed by signal 11 (Segmentation" } do
      it("costs its attempt, and the group is named: SIG" .. signal, function()
         if h.sanitized and signal == "SEGV" then return end -- the sanitizer takes that for a fault of its own
         local job = start("reduce")
         for _, pid in ipairs(workers(job)) do h.sh("kill -s " .. signal .. " " .. pid) end
         h.write(job.dir, "go", "")
         local result = job.run:wait(30)
         assert.are.equal(0, result.code, result.err)
         assert.matches("reduce_%d%.0 failed %(task_crash: the worker was " .. words:gsub("%p", "%%%0"), result.err)
         assert.matches("it was in reduce) at key 7); trying again in 0.05 s", result.err, 1, true)
         check_result(job.dir, "out")
         assert.are.equal("task_crash|retry\ncommitted|\n", query(job, "gated-1",
            "select outcome, verdict from attempt where task = " ..
            "(select task from attempt where outcome = 'task_crash') order by attempt"))
      end)
   end
end)

describe("a driver that is killed", function()
   it("leaves nothing that runs or looks like a result, and the command may be given again", function()
      local job = start("reduce")
      local pids = workers(job)
      assert.are.equal(2, #pids)
      job.run:kill("KILL")
      job.run:wait(10)
      h.poll(5, function()
         return h.sh("ps -o stat= -p " .. table.concat(pids, ",") .. " | grep -v Z").out == ""
      end)
      for _, name in ipairs(h.ls(job.dir .. "/out")) do assert.matches("^%.lmr%-gated%-1$", name) end
      h.write(job.dir, "go", "")
      assert.are.equal(0, h.run(job.args, { dir = job.dir }).code)
      assert.are.equal("", h.sh("cat out/_SUCCESS", { dir = job.dir }).out)
      for i, word in ipairs(job.args) do
         if word == "-o" then job.args[i + 1] = "other" end
      end
      assert.are.equal(0, h.run(job.args, { dir = job.dir }).code)
      check_result(job.dir, "other")
   end)
end)

describe("Ctrl-C", function()
   it("once or twice reaches the driver alone, which stops workers in the middle of a pattern", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "one\n")
      local command = [[exec lmr run -m 'return ("a"):rep(40):find((".-"):rep(20) .. "b")' in.txt -o out]]
      for _, keys in ipairs { "printf '\\003'", "printf '\\003'; sleep 0.02; printf '\\003'" } do
         local result = h.sh(("(sleep 0.5; %s; sleep 1) | TERM=xterm script -qec %s /dev/null"):format(
            keys, h.quote(command)), { dir = dir })
         assert.are.equal(130, result.code)
         assert.matches("lmr: stopped by an interrupt (SIGINT)", result.out, 1, true)
         assert.is_nil(result.out:find("task_crash", 1, true))
         assert.is_false(h.exists(dir .. "/out"))
      end
   end)
end)

describe("the journal", function()
   it("can be read by anybody while the job runs, and says what has been committed", function()
      local job = start("map")
      local here = h.sh("ls out/.lmr-gated-1/*.run | wc -l", { dir = job.dir }).out
      local maps = tonumber(query(job, "gated-1", "select maps from step"))
      assert.are.equal(tostring(maps), query(job, "gated-1", "select count(*) from split"):match("%d+"))
      assert.is_true(maps > 5)
      local committed = h.poll(10, function() -- all maps that do not wait
         local n = tonumber(query(job, "gated-1", "select count(*) from task"))
         return n > 1 and n
      end)
      assert.is_true(committed < maps and tonumber(here) >= 0)
      assert.are.equal("", query(job, "gated-1", "select task from task where task like 'reduce%'"))
      assert.are.equal("running\n", query(job, "gated-1", "select value from job where key = 'state'"))
      h.write(job.dir, "go", "")
      assert.are.equal(0, job.run:wait(30).code)
      assert.are.equal("ok\n", query(job, "gated-1", "pragma integrity_check"))
      assert.are.equal("complete\n", query(job, "gated-1", "select value from job where key = 'state'"))
      -- One winner a task, each with an attempt that committed; the files of winners and of nobody else.
      assert.are.equal(maps + 2 .. "\n", query(job, "gated-1", "select count(distinct task) from task"))
      assert.are.equal("0\n", query(job, "gated-1",
         "select count(*) from task t where not exists " ..
         "(select 1 from attempt a where a.task = t.task and a.attempt = t.attempt and a.outcome = 'committed')"))
      assert.are.equal(("%d\n"):format(maps + 2), query(job, "gated-1", "select count(*) from file"))
      local bytes = query(job, "gated-1", "select sum(bytes), sum(records) from file where kind = 'part'")
      assert.are.equal(h.sh("cat out/part-0000? | wc -c", { dir = job.dir }).out:match("%d+") .. "|100\n", bytes)
      -- What was read is the whole input, without gaps.
      local first, last, size = query(job, "gated-1", "select min(first), max(last), max(size) from split"):match(
         "(%d+)|(%d+)|(%d+)")
      assert.are.equal("0", first)
      assert.are.equal(size, last)
      assert.are.equal(size, query(job, "gated-1", "select sum(last - first) from split"):match("%d+"))
   end)
end)
