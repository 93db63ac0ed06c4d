-- What happens when processes die, hang or are told to stop: the real binary, real signals.
local h = require "spec.helper"

-- Waits at the line "gate" until there is a file "go": by then a spec has done its mischief.
local gated = [[
local mr = require "mr"
local dir = os.getenv("GATE")

local function there(name)
   local file <close> = io.open(dir .. "/" .. name)
   return file ~= nil
end

return mr.job {
   job_name = "gated",
   map = function(_, line, emit)
      if line == "gate" and not there("go") then
         assert(io.open(dir .. "/here", "w")):close()
         while not there("go") do mr.sleep(0.02) end
      end
      emit(line, 1)
   end,
   combine = mr.sum, reduce = mr.sum,
}
]]

local function job_of(map)
   return ([[
      local mr = require "mr"
      return mr.job { job_name = "misbehaving", map = function(_, line, emit) %s emit(line, 1) end, reduce = mr.sum }
   ]]):format(map)
end

local function lines_of_text(count)
   local lines = {}
   for i = 1, count do lines[i] = "line " .. i % 97 end
   lines[count // 2] = "gate"
   return table.concat(lines, "\n") .. "\n"
end

local function write_input(dir)
   return h.write(dir, "input.txt", lines_of_text(20000))
end

-- What the job must give, by awk and sort.
local function expected(input)
   return h.sh(([[LC_ALL=C awk '{n[$0]++} END {for (k in n) print k "\t" n[k]}' %s | LC_ALL=C sort]]):format(
      h.quote(input))).out
end

local function workers_of(pid)
   local list = {}
   for child in (h.read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch("%d+") do
      list[#list + 1] = tonumber(child)
   end
   return list
end

local function is_alive(pid)
   local status = h.read("/proc/" .. pid .. "/status")
   return status ~= nil and not status:match("State:%s+[ZX]")
end

local function kill(pid, signal)
   assert(os.execute(("kill -s %s %d"):format(signal, pid)))
end

-- Starts the gated job and waits until a worker stands at its gate.
local function start_gated(options)
   local dir = h.tmpdir()
   local input = write_input(dir)
   local args = { "run", h.write(dir, "gated.lua", gated), input, "-o", dir .. "/out", "--split-size", "64K",
      "--workers", "2", "--set", "retry.base_delay_seconds=0.05" }
   table.move(options or {}, 1, #(options or {}), #args + 1, args)
   local run = h.background(args, { env = { GATE = dir } })
   h.poll(20, h.exists, dir .. "/here")
   return { dir = dir, input = input, out = dir .. "/out", run = run, open = function() h.write(dir, "go", "") end }
end

local function state_of(job_id)
   local root = h.sh("echo $LMR_STATE_DIR").out:gsub("\n", "")
   return root .. "/" .. job_id
end

local function query(job_id, sql)
   local result = h.sh(("sqlite3 -readonly %s/journal.db %s"):format(h.quote(state_of(job_id)), h.quote(sql)))
   assert.equal("", result.err)
   return result.out
end

local function all_ended(pids)
   for _, pid in ipairs(pids) do
      if is_alive(pid) then return false end
   end
   return true
end

describe("a worker that is killed in the middle", function()
   it("costs its attempt, and the job gives what it must", function()
      local job = start_gated()
      for _, worker in ipairs(workers_of(job.run:pid())) do kill(worker, "KILL") end
      job.open()
      local result = job.run:wait(30)
      assert.equal(0, result.code, result.err)
      assert.matches("map_%d%.0 failed %(task_crash: the worker was killed by signal 9 %(Killed", result.err)
      assert.matches("at " .. job.input:gsub("%p", "%%%0") .. ", byte %d+, record %d+%); trying again in", result.err)
      assert.equal(expected(job.input), h.read(job.out .. "/part-00000"))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(job.out))
      local id = result.err:match("(gated%-%d+)")
      local failed = query(id,
         "select outcome, verdict, rule != '' from attempt where outcome != 'committed' limit 1")
      assert.equal("task_crash|retry|1\n", failed)
      -- Each task has one winner, and no other attempt left a row among the files.
      assert.equal("0\n", query(id,
         "select count(*) from (select task from task group by task having count(*) > 1)"))
      assert.equal("0\n", query(id,
         "select count(*) from file f where not exists (select 1 from task t where t.task = f.task)"))
   end)

   -- A job that ends at the record "b", each time.
   local function poisoned(more)
      local dir = h.tmpdir()
      local args = { "run", h.write(dir, "job.lua", job_of("if line == 'b' then os.exit(7) end")),
         h.write(dir, "in.txt", "a\nb\nc\n"), "-o", dir .. "/out", "--set", "retry.base_delay_seconds=0.05" }
      table.move(more or {}, 1, #(more or {}), #args + 1, args)
      return h.run(args), dir .. "/out"
   end

   it("has its record put aside when it dies there again", function()
      local result, out = poisoned()
      assert.equal(3, result.code, result.err)
      local death = "failed (task_crash: the worker ended with exit status 7 in the middle of its work (it was in " ..
         "map; does the job call os.exit?) at "
      assert.matches("map_0.0 " .. death, result.err, 1, true)
      assert.matches("map_0.1 " .. death, result.err, 1, true)
      assert.is_nil(result.err:find("map_0.2 failed", 1, true))
      assert.matches("in%.txt, byte 2, record 1%); this record is put aside, and the task tried again", result.err)
      assert.equal("a\t1\nc\t1\n", h.read(out .. "/part-00000"))
      -- What lmr resume --quarantined needs is kept.
      assert.same({ ".lmr-misbehaving-1", "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(out))
   end)

   it("fails the job when it dies there again and nothing may be put aside", function()
      local result, out = poisoned { "--set", "limits.max_quarantined=0" }
      assert.equal(1, result.code)
      assert.matches("map_0 failed again (task_crash): the worker ended with exit status 7 in the middle of its " ..
         "work (it was in map; does the job call os.exit?)", result.err, 1, true)
      assert.matches("in%.txt, byte 2, record 1", result.err)
      assert.is_false(h.exists(out))
   end)
end)

-- As a user who may have `limit` processes. (A sanitizer needs one of its own.)
describe("workers that cannot live", function()
   local function run_limited(limit)
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "a\n")
      return h.sh(([[
         chmod 755 . .. && cp "$LMR" lmr && mkdir -m 777 st
         if [ "$(id -u)" = 0 ]; then as="setpriv --reuid=61234 --clear-groups"; else as=; fi
         exec $as prlimit --nproc=%d env LMR_STATE_DIR="$PWD/st" ./lmr run -m 'emit(value, 1)' in.txt
      ]]):format(limit), { dir = dir })
   end
   local test = h.sanitized and pending or it

   test("fail the job at once when none can be started", function()
      local result = run_limited(1)
      assert.equal(1, result.code)
      assert.equal("lmr: worker processes cannot be started or die at once: cannot start a worker process: " ..
         "resource temporarily unavailable\n", result.err)
   end)

   test("fail the job when they die at once again and again", function()
      if h.sh("id -u").out ~= "0\n" then return end -- only root can be a user without other processes
      local result = run_limited(2)
      assert.equal(1, result.code)
      assert.matches("worker processes cannot be started or die at once: the worker ended with exit status 1\n$",
         result.err)
      assert.is_true(result.seconds < 10)
   end)
end)

describe("an attempt that does not win", function()
   it("leaves nothing in the output, the counters or the folders", function()
      local dir = h.tmpdir()
      local job = h.write(dir, "job.lua", ([[
         local mr = require "mr"
         local marker = %q
         return mr.job { job_name = "twice", map = function(_, line, emit)
            mr.output("seen", line, 1)
            mr.increment("n", "lines", 1)
            emit(line, 1)
            if line == "d" then
               local file = io.open(marker)
               if not file then
                  assert(io.open(marker, "w")):close()
                  os.exit(1)
               end
               file:close()
            end
         end, reduce = mr.sum }
      ]]):format(dir .. "/marker"))
      local result = h.run({ "run", job, h.write(dir, "in.txt", "a\nb\nc\nd\n"), "-o", dir .. "/out",
         "--set", "retry.base_delay_seconds=0.05" })
      assert.equal(0, result.code, result.err)
      assert.matches("map_0.0 failed (task_crash", result.err, 1, true)
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "seen-00000" }, h.ls(dir .. "/out"))
      assert.equal("a\t1\nb\t1\nc\t1\nd\t1\n", h.read(dir .. "/out/part-00000"))
      assert.equal("a\t1\nb\t1\nc\t1\nd\t1\n", h.read(dir .. "/out/seen-00000"))
      assert.matches('"lines": 4', h.read(dir .. "/out/_MANIFEST.json"), 1, true)
   end)
end)

describe("a worker that hangs", function()
   -- A retry has double the time: 1 s, then 2 s.
   local function run_hanging(map, most, code)
      local dir = h.tmpdir()
      local result = h.run({ "run", h.write(dir, "job.lua", job_of(map)), h.write(dir, "in.txt", "a\nb\nc\n"), "-o",
         dir .. "/out", "--set", "limits.progress_timeout_seconds=1", "--set", "retry.base_delay_seconds=0.05",
         "--set", "limits.max_quarantined=" .. most })
      assert.equal(code, result.code, result.err)
      assert.matches("map_0.0 failed (timeout: no progress for 1", result.err, 1, true)
      assert.matches("(limits.progress_timeout_seconds)", result.err, 1, true)
      assert.is_nil(result.err:find("map_0.2 failed", 1, true))
      assert.is_true(result.seconds < (h.sanitized and 40 or 15), "took " .. result.seconds .. " s")
      return result, dir .. "/out"
   end

   local function hang(map)
      local result, out = run_hanging(map, 0, 1)
      assert.matches("map_0 failed again (timeout): no progress for 2", result.err, 1, true)
      assert.matches("at %S*in%.txt, byte 2, record 1", result.err)
      assert.is_false(h.exists(out))
      return result
   end

   local PATTERN = "if line == 'b' then string.find(('a'):rep(3000), ('.-'):rep(30) .. 'b') end"

   it("again at the same record has it put aside", function()
      local result, out = run_hanging(PATTERN, 1, 3)
      assert.matches("map_0%.1 failed %(timeout: no progress for 2[^\n]* at %S*in%.txt, byte 2, record 1%); " ..
         "this record is put aside", result.err)
      assert.equal("a\t1\nc\t1\n", h.read(out .. "/part-00000"))
   end)

   it("in a loop of Lua is interrupted, and the line is named", function()
      local result = hang("if line == 'b' then while true do end end")
      assert.matches("job%.lua:2: in ", result.err)
   end)

   it("in a loop that catches errors is interrupted too", function()
      hang("if line == 'b' then while true do pcall(function() while true do end end) end end")
   end)

   it("in a pattern is killed", function()
      hang(PATTERN)
   end)

   it("is not one that reports progress", function()
      local dir = h.tmpdir()
      local result = h.run({ "run", h.write(dir, "job.lua",
         job_of("if line == 'b' then for _ = 1, 15 do mr.sleep(0.1) mr.progress() end end")),
         h.write(dir, "in.txt", "a\nb\nc\n"), "--set", "limits.progress_timeout_seconds=1" })
      assert.equal(0, result.code, result.err)
      assert.equal("a\t1\nb\t1\nc\t1\n", result.out)
   end)

   it("is stopped by the task's own deadline", function()
      local dir = h.tmpdir()
      local result = h.run({ "run", h.write(dir, "job.lua",
         job_of("if line == 'b' then while true do mr.progress() end end")),
         h.write(dir, "in.txt", "a\nb\nc\n"), "--set", "limits.task_timeout_seconds=1",
         "--set", "retry.base_delay_seconds=0.05", "--set", "limits.max_quarantined=0" })
      assert.equal(1, result.code)
      assert.matches("map_0.0 failed (timeout: not done after 1", result.err, 1, true)
      assert.matches("map_0 failed again (timeout): not done after 2", result.err, 1, true)
      assert.matches("(limits.task_timeout_seconds)", result.err, 1, true)
   end)

   it("as a stopped process is replaced", function()
      local job = start_gated { "--set", "limits.heartbeat_timeout_seconds=2" }
      for _, worker in ipairs(workers_of(job.run:pid())) do kill(worker, "STOP") end
      job.open()
      local result = job.run:wait(40)
      assert.equal(0, result.code, result.err)
      assert.matches("no sign of life from the worker for 2", result.err, 1, true)
      assert.equal(expected(job.input), h.read(job.out .. "/part-00000"))
   end)
end)

describe("a driver", function()
   it("that is killed takes its workers along and publishes nothing", function()
      local job = start_gated()
      local workers = workers_of(job.run:pid())
      assert.is_true(#workers > 0)
      job.run:kill("KILL")
      h.poll(5, all_ended, workers)
      assert.is_false(h.exists(job.out .. "/_SUCCESS"))
      assert.is_false(h.exists(job.out .. "/part-00000"))
   end)

   for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
      it(("that gets SIG%s stops with exit code %d"):format(signal, code), function()
         local job = start_gated()
         local workers = workers_of(job.run:pid())
         job.run:kill(signal)
         local result = job.run:wait(10)
         assert.equal(code, result.code)
         assert.matches("stopped by ", result.err, 1, true)
         assert.is_true(all_ended(workers))
         assert.is_false(h.exists(job.out .. "/_SUCCESS"))
         assert.equal("stopped\n", query(result.err:match("(gated%-%d+)"), "select value from job where key = 'state'"))
      end)
   end

   it("keeps committed work of a stopped job, says where, and removes the rest", function()
      local job = start_gated()
      local function runs() return #h.ls(job.out .. "/" .. h.ls(job.out)[1]) end
      h.poll(20, function() return runs() >= 3 end) -- the other maps go on beside the one at the gate
      job.run:kill("TERM")
      local result = job.run:wait(10)
      local place = assert(result.err:match("committed work is kept in (%S+);"), result.err)
      local id = result.err:match("(gated%-%d+)")
      local committed = {}
      for path in query(id, "select path from file where kind = 'run' order by path"):gmatch("[^\n]+") do
         committed[#committed + 1] = path:match("([^/]+)$")
      end
      assert.is_true(#committed > 0)
      assert.same(committed, h.ls(place))
   end)

   it("stops while it reads standard input that does not end", function()
      local dir = h.tmpdir()
      local fifo = dir .. "/fifo"
      assert(os.execute("mkfifo " .. h.quote(fifo)))
      assert(os.execute("sleep 30 1<>" .. h.quote(fifo) .. " &")) -- which waits for no reader
      local run = h.background({ "run", "-m", "emit(value, 1)", "-o", dir .. "/out" }, { stdin_file = fifo })
      h.poll(10, function() return #h.ls(dir) > 1 and #h.ls(dir .. "/out") > 0 end)
      run:kill("TERM")
      assert.equal(143, run:wait(5).code)
      assert.is_false(h.exists(dir .. "/out"))
   end)
end)
