-- Verdicts about more than the attempt that failed: another task runs again, the job goes on without the task, or ends.
local h = require "spec.helper"
local real = require "spec.recover.real"

-- Lines of three keys, under the least size of a split.
local function lines(keys)
   return (keys:gsub("%a", "%0\n")):rep(150)
end

-- Two maps, of a.txt and b.txt; the second waits at its first line until there is a file "go".
local function two_maps(body, more)
   local p = real.place()
   real.job(p, 'if line == "gate" then wait("go") else\n' .. body .. "\nend", more)
   h.write(p.dir, "a.txt", lines "abc")
   h.write(p.dir, "b.txt", "gate\n" .. lines "cde")
   p.inputs = { "a.txt", "b.txt", "--split-size", "1K" }
   return p
end

local function start(p, ...)
   local args = { table.unpack(p.inputs) }
   for _, word in ipairs { ... } do args[#args + 1] = word end
   local job = real.background(p, args)
   h.poll(20, h.exists, p.dir .. "/go.waits")
   return job
end

local function go(p, job)
   h.write(p.dir, "go", "")
   return job:wait(30)
end

local function wait_for(p, where)
   real.wait_for(p, "select count(*) > 0 from attempt where " .. where)
end

local function run_of_map_0(p)
   wait_for(p, "task = 'map_0' and outcome = 'committed'")
   return real.sql(p, "select path from file where kind = 'run' and task = 'map_0'")[1].path
end

local function flip(path, at)
   local bytes = h.read(path)
   h.write(path:match("^(.*)/"), path:match("[^/]*$"),
      bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1))
end

-- Counts of all the lines, from all parts.
local function counted(p, files)
   return h.sh("cat " .. files .. [[ | LC_ALL=C awk '{n[$0]++} END {for (k in n) print k "\t" n[k]}' | LC_ALL=C sort]],
      { dir = p.dir }).out
end

local function parts(p)
   return h.sh("cat out/part-* | LC_ALL=C sort", { dir = p.dir }).out
end

describe("recompute", function()
   it("has the producer of a corrupt run write it again, once for all that read it", function()
      local p = two_maps("")
      local job = start(p, "--workers", "2", "--reducers", "2")
      flip(run_of_map_0(p), 1)
      local result = go(p, job)
      assert.equal(0, result.code, result.err)
      assert.equal(2, real.count(p, "select count(*) from attempt where task = 'map_0' and outcome = 'committed'"))
      assert.equal(3, real.count(p, "select count(*) from attempt where task like 'map%'"))
      local failed = real.attempts(p, "where task like 'reduce%' and outcome != 'committed'")
      assert.is_true(#failed == 1 or #failed == 2, table.concat(real.story(p), ', '))
      for _, row in ipairs(failed) do
         assert.same({ "data_corruption", "recompute", "built-in: data_corruption" },
            { row.outcome, row.verdict, row.rule })
      end
      assert.equal(1, real.check_books(p).recomputed_tasks)
      assert.equal(counted(p, "a.txt b.txt"), parts(p))
      local clean = real.place()
      h.sh("cp ../" .. p.dir:match("[^/]*$") .. "/{job.lua,a.txt,b.txt,go} . || cp " .. p.dir .. "/*.* "
         .. p.dir .. "/go .", { dir = clean.dir })
      clean.inputs = p.inputs
      assert.equal(0, real.run(clean, { "--reducers", "2", table.unpack(p.inputs) }).code)
      for i = 0, 1 do assert.equal(real.part(clean, i), real.part(p, i)) end
   end)

   it("by a policy's word; a policy that only tries again reads the same corrupt run until it may no more", function()
      local p = two_maps("")
      real.profile(p, [[
         on_error = { data_corruption = function(err, ctx)
            return ctx.failures < 2 and { action = "retry", delay_seconds = 0 } or "recompute"
         end },]])
      local job = start(p, "--workers", "1")
      flip(run_of_map_0(p), 1)
      assert.equal(0, go(p, job).code)
      assert.same({ "reduce_0.0 data_corruption retry", "reduce_0.1 data_corruption retry",
         "reduce_0.2 data_corruption recompute", "reduce_0.3 committed" }, real.story(p, "where task = 'reduce_0'"))
      assert.same({ "map_0.0 committed", "map_0.1 committed" }, real.story(p, "where task = 'map_0'"))
      assert.equal(counted(p, "a.txt b.txt"), parts(p))
   end)

   it("of an input file is one more reading, then failure", function()
      local p = real.place()
      real.job(p, "")
      h.sh("seq 1 20000 | gzip -n >in.gz && truncate -s -100 in.gz", { dir = p.dir })
      real.profile(p, "on_error = { data_corruption = 'recompute' },")
      local result = real.run(p, { "in.gz" })
      assert.equal(1, result.code)
      assert.same({ "map_0.0 data_corruption retry", "map_0.1 data_corruption fail" }, real.story(p))
   end)
end)

describe("recompute of what an earlier step wrote", function()
   it("is one more reading, then failure, and it says what to do", function()
      local p = real.place(lines "abc")
      h.write(p.dir, "job.lua", [[
         local mr = require "mr"
         local function wait()
            local dir = os.getenv("GATE")
            if mr.task().step ~= 2 then return end
            assert(io.open(dir .. "/go.waits", "w")):close()
            while not io.open(dir .. "/go") do mr.sleep(0.02) end
         end
         local function map(_, line, emit) emit(line, 1) end
         return mr.job { job_name = "job", steps = { { map = map, reduce = mr.sum },
            { init = wait, map = function(k, v, emit) emit(k, v) end, reduce = mr.sum } } }]])
      p.inputs = { "--workers", "1" }
      local job = start(p)
      local pairs_of_step_1 = real.sql(p, "select path from file where kind = 'part' and task = 'reduce_0'")[1].path
      flip(pairs_of_step_1, 5)
      local result = go(p, job)
      assert.equal(1, result.code, result.err)
      assert.same({ "2:map_0.0 data_corruption retry", "2:map_0.1 data_corruption fail" },
         real.story(p, "where task = '2:map_0'"))
      local row = real.attempts(p, "where verdict = 'fail'")[1]
      assert.equal(pairs_of_step_1, row.file)
      assert.matches("of a step that is over: run the job again", row.reason, 1, true)
   end)
end)

describe("drop_task", function()
   it("goes on without a map: the job is partial and says so", function()
      local p = two_maps("if line == 'a' then error('no') end")
      h.write(p.dir, "go", "")
      real.profile(p, "on_error = { script_error = 'drop_task' },")
      local result = real.run(p, p.inputs)
      assert.equal(4, result.code, result.err)
      assert.is_false(h.exists(p.dir .. "/out/_SUCCESS"))
      assert.equal(counted(p, "b.txt"), parts(p))
      local said = real.manifest(p)
      assert.equal(1, said.statistics.dropped_tasks)
      assert.equal(1, said.dropped_tasks)
      assert.same({ "map_0" }, said.dropped)
      assert.equal(1, real.check_books(p).dropped_tasks)
      assert.matches("map_0", result.err, 1, true)
   end)

   -- The keys lie in two parts; either may be the one that is missing, and the other keeps its name.
   it("goes on without a reduce", function()
      local whole = two_maps("", "reducers = 2, reduce = mr.sum")
      h.write(whole.dir, "go", "")
      assert.equal(0, real.run(whole, whole.inputs).code)
      for lost = 0, 1 do
         local p = two_maps("", ([[
            reducers = 2, reduce = function(k, values, emit)
               if k == %q then error("no") end
               local n = 0
               for v in values do n = n + v end
               emit(k, n)
            end]]):format(real.part(whole, lost):match("^%a+")))
         h.write(p.dir, "go", "")
         real.profile(p, "on_error = { script_error = 'drop_task' },")
         local result = real.run(p, p.inputs)
         assert.equal(4, result.code, result.err)
         assert.same({ "_MANIFEST.json", ("part-%05d"):format(1 - lost) }, h.ls(p.dir .. "/out"))
         assert.equal(real.part(whole, 1 - lost), real.part(p, 1 - lost))
         assert.same({ "reduce_" .. lost }, real.manifest(p).dropped)
         real.check_books(p)
      end
   end)

   it("is refused for a map whose step has reduced some of it already", function()
      local p = two_maps("if there('bad') then error('no') end", "reducers = 2, reduce = mr.sum")
      real.profile(p, "on_error = { script_error = 'drop_task' },")
      local job = start(p, "--workers", "1")
      local run = run_of_map_0(p)
      -- The partition of the second reduce is the last one in the run.
      local bytes, at = h.read(run)
      for _, key in ipairs { "a", "b", "c" } do
         local place = bytes:find(key .. "[^%w]") or 0
         at = math.max(at or 0, place)
      end
      h.write(p.dir, "bad", "")
      flip(run, at)
      local result = go(p, job)
      assert.equal(1, result.code, result.err)
      assert.same({ "reduce_0.0 committed", "reduce_1.0 data_corruption recompute", "map_0.1 script_error fail" },
         { table.unpack(real.story(p), 3) })
      assert.matches("the job cannot go on without this task", real.attempts(p, "where verdict = 'fail'")[1].reason)
      assert.is_false(h.exists(p.dir .. "/out/_SUCCESS"))
   end)
end)

describe("a verdict that ends the job", function()
   -- map_0 fails while map_1 waits at its gate.
   local function ends(verdict)
      local p = two_maps([[
         if mr.task().id == "map_0" then
            while not there("bad") do mr.sleep(0.02) mr.progress() end
            error("no")
         end]])
      real.profile(p, ("on_error = { script_error = function() return { action = '%s', reason = 'enough' } end },")
         :format(verdict))
      local job = start(p, "--workers", "2")
      h.write(p.dir, "bad", "")
      return p, job
   end

   it("fail: running tasks finish first, and what they committed is kept", function()
      local p, job = ends "fail"
      wait_for(p, "verdict = 'fail'")
      assert.is_true(job:running())
      local result = go(p, job)
      assert.equal(1, result.code, result.err)
      assert.same({ "map_0.0 script_error fail", "map_1.0 committed" }, real.story(p))
      assert.equal("failed", real.sql(p, "select value from job where key = 'state'")[1].value)
      assert.equal(1, real.count(p, "select count(*) from task"))
      for _, row in ipairs(real.sql(p, "select path from file")) do assert.is_true(h.exists(row.path)) end
      assert.matches("lmr resume", result.err, 1, true)
      real.check_books(p)
   end)

   for verdict, expected in pairs { stop = { 75, "stopped" }, abort = { 1, "failed" } } do
      it(verdict .. ": at once, others are killed", function()
         local p, job = ends(verdict)
         local result = job:wait(10)
         assert.equal(expected[1], result.code, result.err)
         assert.same({ "map_0.0 script_error " .. verdict, "map_1.0 ended" }, real.story(p))
         assert.equal(expected[2], real.sql(p, "select value from job where key = 'state'")[1].value)
         assert.is_false(h.exists(p.dir .. "/out/_SUCCESS"))
         assert.matches("enough", result.err, 1, true)
         if verdict == "stop" then assert.matches("lmr resume", result.err, 1, true) end
         real.check_books(p)
      end)
   end
end)
