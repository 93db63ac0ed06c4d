-- Checkpoints of a whole job: when they are made, how many stay and what stays for them, and that going back to any
-- of them gives the result of a run that nobody disturbed. The oracle is such a run; what is kept is read with sqlite3.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

-- Ten maps or so and three reduces, with side outputs and float counters. While there is a file `slow` it does not
-- end.
local counting = [[
local mr = require "mr"
return mr.job { job_name = "counting", split_size = "2K", reducers = 3,
   map = function(_, line, emit)
      while mr.task().id == "map_8" and io.open("slow") do mr.sleep(0.01) end
      for word in mr.words(line) do emit(word, 1) end
      mr.increment("seen", "weight", 0.1)
      if mr.task().record % 20 == 0 then mr.output("marks", mr.task().record, line) end
      if io.open("slow") then mr.sleep(0.001) end
   end,
   reduce = function(word, values, emit)
      local n = 0
      for v in values do n = n + v end
      emit(word, n)
      mr.increment("seen", "share", 1 / n)
      if word == "stop" and io.open("wrong") then error("no") end
   end }
]]

-- Two steps, the first of them an iteration: typed pairs go from round to round.
local rounds = [[
local mr = require "mr"
local function count(key, value, emit)
   while mr.task().round == 6 and io.open("slow") do mr.sleep(0.01) end
   emit(key % 13, value + 1)
end
local function sum(key, values, emit)
   local n = 0
   for v in values do n = n + v end
   emit(key, n)
   for i = 1, 40 do emit(key + 13 * i, i) end
end
return mr.job { job_name = "rounds", split_size = "2K",
   steps = {
      { map = function(key, line, emit) emit(key, #line) end, reduce = sum, reducers = 2 },
      mr.iterate { map = count, reduce = sum, reducers = 2, max_rounds = 8 },
      { map = function(key, value, emit) emit(key % 3, value) end, reduce = mr.sum, reducers = 2 },
   } }
]]

local function input(lines)
   local list = {}
   for i = 1, lines do list[i] = ("w%d x%d stop some words to fill it up %d"):format(i % 7, i % 11, i) end
   return table.concat(list, "\n") .. "\n"
end

local function place(job, lines)
   local at = m.place(job, input(lines or 500))
   assert.equal(0, m.run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
   return at
end

local function set(...)
   local words = { "run", "-q", "-o", "out", "--workers", "2" }
   for _, setting in ipairs { ... } do
      words[#words + 1] = "--set"
      words[#words + 1] = "checkpoint." .. setting
   end
   words[#words + 1] = "job.lua"
   words[#words + 1] = "in.txt"
   return words
end

-- The result; the profile is another one in each of these runs.
local function result(at, name)
   return (m.result_of(at, name):gsub('"p[rl][%w_]*":[^\n]*\n', ""))
end

local numbers = "SELECT number FROM checkpoint ORDER BY number"
local reasons = "SELECT reason FROM checkpoint ORDER BY number"

local function files(at, id)
   local names = {}
   for _, name in ipairs(h.ls(at.dir .. "/state/" .. id .. "/checkpoints")) do
      if name:match("%.db$") then names[#names + 1] = tostring(tonumber(name:match("^(%d+)%.db$"))) end
   end
   return names
end

local function save(at, id)
   h.sh(("rm -rf saved; mkdir saved; cp -a state/%s saved/job; cp -a out saved/out"):format(id), { dir = at.dir })
end

local function bring_back(at, id)
   h.sh(("rm -rf out state/%s; cp -a saved/job state/%s; cp -a saved/out out"):format(id, id), { dir = at.dir })
end

local maps_done = "SELECT count(*) >= 7 FROM task"
local round_six = "SELECT count(*) FROM step WHERE round = 6"

-- A job that was killed with some checkpoints kept.
local function killed(at, id, ...)
   h.write(at.dir, "slow", "")
   local job = h.background(set("checkpoint_interval_seconds=0.01", ...), m.options(at))
   h.poll(30, function() return m.number(at, id, id:match("^rounds") and round_six or maps_done) == 1 end)
   job:kill("KILL")
   job:wait(20)
   os.remove(at.dir .. "/slow")
end

describe("checkpoints of a job", function()
   it("are made where phases end, numbered, and gone when it is complete", function()
      local at = place(counting)
      assert.equal(0, m.run(at, { table.unpack(set("auto_cleanup=false"), 2) }).code)
      assert.same({ "maps done" }, m.rows(at, "counting-2", reasons))
      assert.same({ "1" }, m.rows(at, "counting-2", numbers))
      assert.same({ "1" }, files(at, "counting-2"))
      local said = m.resume(at, "counting-2", "--from", "1")
      assert.equal(2, said.code)
      assert.matches("counting-2 is complete, so there is no way back", said.err, 1, true)
      assert.is_false(h.exists(at.dir .. "/state/counting-1/checkpoints"))
      assert.same({}, m.rows(at, "counting-1", numbers))
      at = place(rounds)
      assert.equal(0, m.run(at, { table.unpack(set("auto_cleanup=false", "max_checkpoints_to_keep=100"), 2) }).code)
      local all = table.concat(m.rows(at, "rounds-2", reasons), ", ")
      assert.matches("maps done", all)
      assert.matches("step 1 done", all)
   end)

   it("are not made when they are turned off", function()
      local at = place(counting)
      killed(at, "counting-2", "enabled=false")
      assert.same({}, m.rows(at, "counting-2", numbers))
      assert.is_false(h.exists(at.dir .. "/state/counting-2/checkpoints"))
      assert.equal(0, m.resume(at, "-q").code)
      assert.is_true(result(at, "ref") == result(at, "out"))
   end)

   it("are made by the clock while something commits, and the newest are kept", function()
      local at = place(counting)
      killed(at, "counting-2", "max_checkpoints_to_keep=2")
      local kept = m.rows(at, "counting-2", numbers)
      assert.is_true(#kept <= 2 and tonumber(kept[#kept]) > 2, table.concat(kept, " "))
      assert.same({ "interval" }, m.rows(at, "counting-2", "SELECT DISTINCT reason FROM checkpoint"))
      for _, number in ipairs(kept) do
         assert.is_true(h.exists(("%s/state/counting-2/checkpoints/%06d.db"):format(at.dir, number)))
      end
      local file = ("%s/state/counting-2/checkpoints/%06d.db"):format(at.dir, kept[1])
      local done = m.rows(at, "counting-2", "SELECT done FROM checkpoint ORDER BY number")[1]
      local said = h.sh(("sqlite3 -readonly %s 'PRAGMA integrity_check; SELECT count(*) FROM task'"):format(file))
      assert.equal("ok\n" .. done .. "\n", said.out)
   end)

   it("wait where nothing commits", function()
      local at = place(counting)
      h.write(at.dir, "one.lua", [[local mr = require "mr"
         return mr.job { job_name = "one", reducers = 1, reduce = mr.sum,
            map = function(_, _, emit) emit(1, 1) mr.sleep(0.002) end }]])
      local said = m.run(at, { "-q", "-o", "o", "--set", "checkpoint.checkpoint_interval_seconds=0.001", "--set",
         "checkpoint.auto_cleanup=false", "one.lua", "in.txt" })
      assert.equal(0, said.code, said.err)
      assert.same({ "maps done" }, m.rows(at, "one-1", reasons))
   end)

   it("are made on demand", function()
      local at = place(counting)
      h.write(at.dir, "slow", "")
      local job = h.background(set("checkpoint_interval_seconds=1000"), m.options(at))
      h.poll(20, function() return m.number(at, "counting-2", m.commits) >= 2 end)
      local asked = h.sh(h.tool("control_probe") .. " state/counting-2 checkpoint", m.options(at))
      assert.equal(0, asked.code, asked.err)
      local path = asked.out:match('"path":%s*"([^"]+)"')
      assert.equal("1", asked.out:match('"number":%s*(%d+)'))
      assert.is_true(h.exists(path), path)
      assert.same({ "demand" }, m.rows(at, "counting-2", reasons))
      job:kill("KILL")
      job:wait(20)
   end)

   it("are made when the job fails", function()
      local at = place(counting)
      h.write(at.dir, "wrong", "")
      assert.equal(1, m.run(at, { "--profile", "development", table.unpack(set(), 2) }).code)
      local all = m.rows(at, "counting-2", reasons)
      assert.equal("failed", all[#all])
      os.remove(at.dir .. "/wrong")
      assert.equal(0, m.resume(at, "-q").code)
      assert.is_true(result(at, "ref") == result(at, "out"))
   end)

   it("may be kept elsewhere, in a folder that is made", function()
      local at = place(counting)
      killed(at, "counting-2", "checkpoint_dir=else where/deep")
      local dir = at.dir .. "/else where/deep/counting-2"
      local kept = m.rows(at, "counting-2", numbers)
      assert.is_true(#kept > 0)
      assert.is_true(#h.ls(dir) >= #kept) -- and one that the kill has left
      assert.equal(dir .. "\n", h.sh("readlink state/counting-2/checkpoints", { dir = at.dir }).out)
      assert.equal(("%s/%06d.db"):format(dir, kept[1]),
         m.rows(at, "counting-2", "SELECT path FROM checkpoint ORDER BY number")[1])
      local said = m.resume(at, "-q", "--from", kept[1])
      assert.equal(0, said.code, said.err)
      assert.is_true(result(at, "ref") == result(at, "out"))
   end)

   it("must have a folder that can be written", function()
      local at = place(counting)
      h.write(at.dir, "file", "")
      local said = m.run(at, { table.unpack(set("checkpoint_dir=file/x"), 2) })
      assert.equal(2, said.code)
      assert.matches("^lmr: checkpoint%.checkpoint_dir: .*file", said.err)
      assert.is_false(h.exists(at.dir .. "/out"))
      assert.is_false(h.exists(at.dir .. "/state/counting-2"))
   end)

   it("are a warning and no more where the disk is full", function()
      if not h.own_mounts() then
         return pending("nothing can be mounted here")
      end
      local at = place(counting)
      local said = h.sh(([[%s sh -c 'mkdir small && mount -t tmpfs -o size=16k tmpfs small &&
         $LMR run -o out --set checkpoint.checkpoint_dir=small job.lua in.txt; code=$?; ls -R small; exit $code'
      ]]):format(h.own_mounts()), m.options(at))
      assert.equal(0, said.code, said.err)
      assert.matches("warning: checkpoint 1 was not made: [^\n]*; the job goes on without it", said.err)
      assert.is_nil(said.out:match("%.db"))
      assert.is_true(result(at, "ref") == result(at, "out"))
   end)
end)

describe("runs of rounds that are over", function()
   local function stored(at) return tonumber(h.sh("du -sk out | cut -f 1", { dir = at.dir }).out) end

   it("stay while a kept checkpoint needs them, so that disk use is bounded", function()
      local at = place(rounds)
      local job = h.background(set("checkpoint_interval_seconds=0.01", "max_checkpoints_to_keep=2"), m.options(at))
      local most = 0
      while job:running() do
         most = math.max(most, #m.rows(at, "rounds-2", "SELECT path FROM garbage"))
      end
      assert.equal(0, job:wait(30).code)
      assert.is_true(result(at, "ref") == result(at, "out"))
      local all = #m.rows(at, "rounds-2", "SELECT path FROM file WHERE kind IN ('run', 'part')")
      assert.is_true(most < all / 2, most .. " of " .. all)
      assert.same({}, m.rows(at, "rounds-2", "SELECT path FROM garbage"))
      assert.is_false(h.exists(at.dir .. "/out/.lmr-rounds-2"))
   end)

   it("stay until lmr rm without auto_cleanup", function()
      local at = place(rounds)
      local said = m.run(at, { "-o", "out", table.unpack(set("auto_cleanup=false"), 5) })
      assert.equal(0, said.code, said.err)
      assert.matches("nothing is removed (checkpoint.auto_cleanup = false); lmr rm rounds-2", said.err, 1, true)
      for _, path in ipairs(m.rows(at, "rounds-2", "SELECT path FROM garbage")) do
         assert.is_true(h.exists(path), path)
      end
      assert.is_true(#m.rows(at, "rounds-2", "SELECT path FROM garbage") > 20)
      assert.is_true(stored(at) > 100)
   end)
end)

describe("lmr resume --from", function()
   it("gives the same result from each checkpoint that is kept", function()
      for job, source in pairs { counting = counting, rounds = rounds } do
         local at = place(source)
         local id = job .. "-2"
         killed(at, id, "max_checkpoints_to_keep=6")
         local kept = m.rows(at, id, numbers)
         assert.is_true(#kept > 2)
         save(at, id)
         for _, number in ipairs(kept) do
            bring_back(at, id)
            local before = m.number(at, id, m.commits)
            local said = m.resume(at, id, "--from", number)
            assert.equal(0, said.code, number .. ": " .. said.err)
            assert.matches("lmr: back to checkpoint " .. number, said.err, 1, true)
            assert.is_true(result(at, "ref") == result(at, "out"), number)
            local aside = h.sh(("sqlite3 -readonly state/%s/aside-1/journal.db %s"):format(id, h.quote(m.commits)),
               { dir = at.dir })
            assert.equal(before .. "\n", aside.out)
         end
      end
   end)

   it("sets later checkpoints aside, and never uses a number twice", function()
      local at = place(counting)
      killed(at, "counting-2")
      local kept = m.rows(at, "counting-2", numbers)
      h.write(at.dir, "slow", "")
      local job = h.background({ "resume", "counting-2", "--from", kept[1] }, m.options(at))
      h.poll(20, function() return m.number(at, "counting-2",
         "SELECT count(*) FROM checkpoint WHERE number > " .. kept[#kept]) > 0 end)
      job:kill("TERM")
      job:wait(20)
      local aside = h.ls(at.dir .. "/state/counting-2/checkpoints/aside-1")
      assert.is_true(#aside >= #kept - 1) -- and one that the kill has left
      assert.same(m.rows(at, "counting-2", numbers), files(at, "counting-2"))
      assert.same({}, m.rows(at, "counting-2",
         ("SELECT number FROM checkpoint WHERE number > %s AND number <= %s"):format(kept[1], kept[#kept])))
   end)

   it("refuses what is not there, and what is damaged, and changes nothing", function()
      local at = place(counting)
      killed(at, "counting-2")
      local kept = m.rows(at, "counting-2", numbers)
      local tree = h.sh("cd state/counting-2 && find . -name '*.db' | sort; ls", { dir = at.dir }).out
      local said = m.resume(at, "counting-2", "--from", "99")
      assert.equal(2, said.code)
      assert.matches("counting-2 has no checkpoint 99; those it has: " .. table.concat(kept, ", "), said.err, 1, true)
      local path = ("%s/state/counting-2/checkpoints/%06d.db"):format(at.dir, kept[1])
      h.write(at.dir, "damaged", h.read(path):sub(1, 5000) .. ("x"):rep(9000))
      os.rename(at.dir .. "/damaged", path)
      said = m.resume(at, "counting-2", "--from", kept[1])
      assert.is_true(said.code ~= 0)
      assert.matches("checkpoint " .. kept[1] .. " is damaged", said.err, 1, true)
      assert.equal(tree, h.sh("cd state/counting-2 && find . -name '*.db' | sort; ls", { dir = at.dir }).out)
      said = m.resume(at, "-q", "counting-2", "--from", kept[2])
      assert.equal(0, said.code, said.err)
      assert.is_true(result(at, "ref") == result(at, "out"))
      said = m.resume(at, "-q", "counting-2", "--from", kept[2])
      assert.equal(2, said.code)
      assert.matches("counting-2 has no checkpoint to go back to", said.err, 1, true)
   end)

   it("may be killed at each of its steps", function()
      local at = place(counting)
      killed(at, "counting-2", "max_checkpoints_to_keep=3")
      local from = m.rows(at, "counting-2", numbers)[1]
      save(at, "counting-2")
      local args = { "resume", "-q", "counting-2", "--from", from }
      assert.equal(0, h.run(args, m.options(at, { env = { LMR_FAILPOINT_LOG = at.dir .. "/log" } })).code)
      local last, n = 0, 0
      for line in io.lines(at.dir .. "/log") do
         if line:match("^driver ") then
            n = n + 1
            if line:match(" back%.") then last = n end
         end
      end
      assert.is_true(last > 15, tostring(last))
      for k = 1, last, h.sanitized and 7 or 3 do
         bring_back(at, "counting-2")
         local said = h.run(args, m.options(at, { env = { LMR_FAILPOINT = "driver:" .. k } }))
         assert.equal(9, said.signal, k .. ": " .. said.err)
         -- Whatever it had begun is finished, asked for or not.
         said = k % 2 == 0 and m.resume(at, "-q", "counting-2") or h.run(args, m.options(at))
         assert.equal(0, said.code, k .. ": " .. said.err)
         assert.is_true(result(at, "ref") == result(at, "out"), k)
         assert.is_false(h.exists(at.dir .. "/state/counting-2/going-back"))
      end
   end)
end)
