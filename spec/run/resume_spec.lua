-- lmr resume: whatever is killed whenever, the result is that of an undisturbed run, and nothing that has committed
-- is done twice. The oracle is a run that nobody disturbs; what ran is counted in the journal, with sqlite3.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

-- A job with what can go wrong on the way: several splits and reduces, float counters, mr.output files of maps and
-- reduces. It takes its time, so that it can be killed somewhere.
local counting = [[
local mr = require "mr"
return mr.job { job_name = "counting", split_size = "2K", reducers = 3,
   map = function(_, line, emit)
      for word in mr.words(line) do emit(word, 1) end
      mr.increment("seen", "weight", 0.1)
      if mr.task().record % 20 == 0 then mr.output("marks", mr.task().record, line) end
      mr.sleep(0.0005)
   end,
   reduce = function(word, values, emit)
      local n = 0
      for v in values do n = n + v end
      emit(word, n)
      mr.increment("seen", "share", 1 / n)
      if n % 2 == 0 then mr.output("even", word, n) end
      mr.sleep(0.002)
   end }
]]

local quick = counting:gsub("mr.sleep%b()", "")

local function words(seed, lines)
   local list = {}
   for i = 1, lines do
      local line = {}
      for k = 1, 8 do
         seed = (seed * 1103515245 + 12345) % 2147483648
         line[k] = "w" .. (seed >> 8) % (40 + i % 7)
      end
      list[i] = table.concat(line, " ")
   end
   return table.concat(list, "\n") .. "\n"
end

local commits, states = m.commits, m.states
local run, resume, rows, number = m.run, m.resume, m.rows, m.number
local has_begun, done_twice, result_of, kill_at, options = m.has_begun, m.done_twice, m.result_of, m.kill_at, m.options

local function place(job, input)
   return m.place(job or counting, input or words(7, 400))
end

describe("lmr resume", function()
   it("goes on wherever the driver was killed, and is killed itself", function()
      local at = place()
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      local all = number(at, "counting-1", commits)
      assert.is_true(all > 8)
      for i, n in ipairs { 0, 1, all // 3, all - 3, all - 1 } do
         local id, out = "counting-" .. i + 1, "out" .. i
         kill_at(at, { "run", "-q", "-o", out, "job.lua", "in.txt" }, id, n)
         if has_begun(at, id) then
            kill_at(at, { "resume", "-q", id }, id, number(at, id, commits) + 2)
            local result = resume(at, "-q", id)
            assert.equal(0, result.code, result.err)
            assert.equal(result_of(at, "ref"), result_of(at, out))
            assert.same({ "complete" }, rows(at, id, states))
            assert.same({}, done_twice(at, id))
            assert.equal(all, number(at, id, commits))
         end
      end
   end)

   -- Every commit, and every step of publishing, is between two of these calls.
   local function goes_on_after(at, args, name, calls)
      assert.equal(0, run(at, { "-q", "-o", "ref", table.unpack(args) }).code)
      local ref, kills, n = result_of(at, "ref"), 0, 1
      for call, step in pairs(calls) do
         m.sweep(at, call, step, function(k)
            n = n + 1
            h.sh("cp -r ref out-" .. call .. k, { dir = at.dir })
            return { "run", "-q", "--overwrite", "-o", "out-" .. call .. k, table.unpack(args) }
         end, function(k)
            local id = name .. "-" .. n
            if not has_begun(at, id) then return end
            local result = resume(at, "-q", id)
            assert.equal(0, result.code, result.err)
            assert.equal(ref, result_of(at, "out-" .. call .. k))
            assert.same({}, done_twice(at, id))
            kills = kills + 1
         end)
      end
      return kills
   end

   it("goes on from every commit, and finishes a publishing that was killed anywhere", function()
      local kills = goes_on_after(place(quick), { "job.lua", "in.txt" }, "counting",
         { rename = 1, unlink = 1, fdatasync = h.sanitized and 3 or 1 })
      assert.is_true(kills > 20)
   end)

   it("goes on between rounds that read the input again, whose last one only a test tells", function()
      local step = h.sanitized and 12 or 4
      local at = place()
      h.sh("cp -r " .. h.root .. "/examples .", { dir = at.dir })
      local kills = goes_on_after(at, { "examples/kmeans.lua" }, "kmeans",
         { unlink = step, fdatasync = step, fsync = step, rename = 1 })
      assert.is_true(kills > 8)
   end)

   it("goes on with steps, rounds and what they hand on", function()
      local at = place()
      local rank = { "-q", h.root .. "/examples/pagerank.lua", h.root .. "/examples/data/packages.list" }
      assert.equal(0, run(at, { "-o", "ref", table.unpack(rank) }).code)
      local all = number(at, "pagerank-1", commits)
      for i, n in ipairs { 2, 9, all // 2, all - 2 } do
         local id, out = "pagerank-" .. i + 1, "out" .. i
         kill_at(at, { "run", "-o", out, table.unpack(rank) }, id, n)
         local result = resume(at, "-q", id)
         assert.equal(0, result.code, result.err)
         assert.equal(result_of(at, "ref"), result_of(at, out))
         assert.same({}, done_twice(at, id))
      end
   end)

   it("goes on in the place where it began, wherever it is resumed", function()
      local at = place()
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      kill_at(at, { "run", "-q", "-o", "out", "job.lua", "in.txt" }, "counting-2", 4)
      local result = h.run({ "resume", "-q", "counting" }, { env = at.env })
      assert.equal(0, result.code, result.err)
      assert.equal(result_of(at, "ref"), result_of(at, "out"))
   end)

   it("prints a result for standard output, and reads what was spooled of standard input", function()
      local at = place((counting:gsub("if [^\n]* mr.output[^\n]* end\n", "\n")))
      local ref = run(at, { "-q", "job.lua", "-" }, { stdin_file = at.dir .. "/in.txt" })
      assert.equal(0, ref.code)
      kill_at(at, { "run", "-q", "job.lua", "-" }, "counting-2", 4, { stdin_file = at.dir .. "/in.txt" })
      local result = resume(at, "-q")
      assert.equal(0, result.code, result.err)
      assert.equal(ref.out, result.out)
      assert.same({}, done_twice(at, "counting-2"))
   end)

   it("refuses standard input that had not ended", function()
      local at = place()
      local job = h.sh([[
         mkfifo pipe; sleep 30 > pipe & keeper=$!
         lmr run -q -o out job.lua - < pipe & job=$!
         until ls state/counting-1/work/stdin out/.lmr-counting-1/stdin 2>/dev/null | grep -q .; do :; done
         kill -9 $job; kill $keeper; wait; lmr resume]], options(at))
      assert.equal(2, job.code)
      assert.matches("read standard input and ended before it had all of it", job.err)
   end)

   it("goes on with a job of maps alone, and one in total order", function()
      local at = place([[
local mr = require "mr"
return mr.job { job_name = "sorted", split_size = "2K", reducers = tonumber(os.getenv("REDUCERS")),
   total_order = os.getenv("REDUCERS") ~= "0",
   map = function(_, line, emit) emit(line, mr.task().offset) mr.sleep(0.0005) end,
   reduce = os.getenv("REDUCERS") ~= "0" and function(line, values, emit)
      for v in values do emit(line, v) end
      mr.sleep(0.0005)
   end or nil }
]])
      for i, reducers in ipairs { 0, 4 } do
         local more = { env = { REDUCERS = reducers } }
         local ref, out, id = "ref" .. reducers, "out" .. reducers, "sorted-" .. 2 * i
         assert.equal(0, run(at, { "-q", "-o", ref, "job.lua", "in.txt" }, more).code)
         kill_at(at, { "run", "-q", "-o", out, "job.lua", "in.txt" }, id, 5, more)
         local result = h.run({ "resume", "-q", id }, options(at, more))
         assert.equal(0, result.code, result.err)
         assert.equal(result_of(at, ref), result_of(at, out))
         assert.same({}, done_twice(at, id))
      end
   end)

   it("runs only what failed, once the script is mended", function()
      local at = place(quick)
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      h.write(at.dir, "job.lua", (quick:gsub("for word", 'if mr.task().id == "map_3" then error("broken") end %0')))
      local failed = run(at, { "-o", "out", "--set", "on_error.script_error=fail", "--workers", "1", "job.lua",
         "in.txt" })
      assert.equal(1, failed.code)
      assert.matches("to go on: lmr resume counting%-2\n", failed.err)
      assert.same({ "failed" }, rows(at, "counting-2", states))
      local before = number(at, "counting-2", commits)
      local again = resume(at)
      assert.equal(1, again.code) -- not mended yet
      assert.matches("[45] tasks reuse %([%d.]+ CPU%-s%); 1 run again: it had failed; [34] never ran", again.err)
      assert.is_true(number(at, "counting-2", commits) >= before)
      h.write(at.dir, "job.lua", quick)
      local result = resume(at, "--accept-change", "map") -- as what was done does not depend on the mend
      assert.equal(0, result.code, result.err)
      assert.equal(result_of(at, "ref"):gsub('"plan_hash.-,', ""):gsub('"profile_hash.-\n', ""),
         result_of(at, "out"):gsub('"plan_hash.-,', ""):gsub('"profile_hash.-\n', ""))
      assert.same({}, done_twice(at, "counting-2"))
      assert.same({ "2" }, rows(at, "counting-2", "SELECT count(*) FROM event WHERE kind = 'resume'"))
   end)

   it("goes on after a signal, from another directory, with another state folder", function()
      local at = place()
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      local state = at.dir .. "/other state"
      local job = h.background({ "run", "-o", "out", "--state-dir", "other state", "job.lua", "in.txt" }, options(at))
      h.poll(30, function()
         return h.sh("sqlite3 -readonly '" .. state .. "/counting-1/journal.db' 'SELECT * FROM task' | grep -q map",
            options(at)).code == 0
      end)
      job:kill("TERM")
      local stopped = job:wait(20)
      assert.equal(143, stopped.code)
      local command = stopped.err:match("to go on: (lmr resume [^\n]*)")
      assert.equal("lmr resume counting-1 --state-dir '" .. state .. "'", command)
      local result = h.sh(command, { env = at.env })
      assert.equal(0, result.code, result.err)
      assert.equal(result_of(at, "ref"), result_of(at, "out"))
   end)

   it("runs again what has lost its files", function()
      local at = place()
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      kill_at(at, { "run", "-q", "-o", "out", "job.lua", "in.txt" }, "counting-2", 3)
      local lost = rows(at, "counting-2", "SELECT path, task FROM file WHERE kind = 'run' LIMIT 1")[1]
      local path, task = lost:match("^(.*)|(.*)$")
      assert(os.remove(path))
      local result = resume(at)
      assert.equal(0, result.code, result.err)
      assert.matches("1 run again: files they wrote are gone", result.err)
      assert.equal(result_of(at, "ref"), result_of(at, "out"))
      assert.same({ task }, done_twice(at, "counting-2"))
   end)

   it("goes on without what was dropped, and passes over what killed attempts", function()
      local at = place((counting:gsub("for word", [[
      if mr.task().id == "map_2" and not os.getenv("WHOLE") then error("broken") end
      if mr.task().id == "map_3" and mr.task().record == 2 then os.exit(9) end
      for word]])))
      local args = { "-q", "--set", "on_error.script_error=drop_task", "--set", "retry.base_delay_seconds=0.01",
         "job.lua", "in.txt" }
      assert.equal(4, run(at, { "-o", "ref", table.unpack(args) }).code)
      local job = h.background({ "run", "-o", "out", table.unpack(args) }, options(at))
      h.poll(30, function()
         return number(at, "counting-2",
            "SELECT count(*) FROM attempt WHERE verdict IN ('drop_task', 'quarantine')") >= 2
      end)
      job:kill("KILL")
      job:wait(20)
      local result = h.run({ "resume", "-q", "counting-2" }, options(at, { env = { WHOLE = "1" } }))
      assert.equal(4, result.code, result.err)
      -- The attempt that died with the driver has used up its number.
      local function plain(text) return (text:gsub("counting%-1", "counting-2"):gsub("(map_3)%.%d+", "%1")) end
      assert.equal(plain(result_of(at, "ref")), plain(result_of(at, "out")))
      assert.equal(2, number(at, "counting-2", "SELECT count(*) FROM attempt WHERE outcome = 'task_crash'"))
      assert.same({ "partial" }, rows(at, "counting-2", states))
   end)

   it("goes on with a job that a policy stopped", function()
      local at = place((quick:gsub("for word", 'if mr.task().id == "map_3" then error("expired") end %0')))
      local stopped = run(at, { "-o", "out", "--set", "on_error.script_error=stop", "job.lua", "in.txt" })
      assert.equal(75, stopped.code, stopped.err)
      assert.matches("to go on: lmr resume counting%-1\n", stopped.err)
      assert.same({ "stopped" }, rows(at, "counting-1", states))
      h.write(at.dir, "job.lua", quick)
      local result = resume(at, "-q")
      assert.equal(0, result.code, result.err)
      assert.same({ "complete" }, rows(at, "counting-1", states))
   end)

   it("lets one driver alone have a job", function()
      local at = place()
      local job = h.background({ "run", "-q", "-o", "out", "job.lua", "in.txt" }, options(at))
      h.poll(30, function() return number(at, "counting-1", commits) >= 2 end)
      local result = resume(at)
      assert.equal(2, result.code)
      local host = h.sh("hostname").out:gsub("\n", ""):gsub("%W", "%%%0")
      assert.matches("counting%-1 is at work already: process " .. job:pid() .. " on " .. host, result.err)
      assert.equal(0, job:wait(30).code)
   end)

   it("says that a complete job is complete, and does nothing", function()
      local at = place()
      assert.equal(0, run(at, { "-q", "-o", "out", "job.lua", "in.txt" }).code)
      local result = resume(at)
      assert.equal(0, result.code)
      assert.matches("counting%-1 is complete already: its result is in .*/out; there is nothing left", result.err)
   end)
end)
