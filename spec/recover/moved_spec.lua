-- A job whose folder was moved or copied goes on where it is now. The oracle is the result of a run that nobody
-- disturbs; that nothing ran twice is counted in the journal; what must not be touched is compared by checksums.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

-- Rejects records, reads a side file, and waits before its last map until there is a file "gate".
local counting = [[
local mr = require "mr"
return mr.job { job_name = "counting", split_size = "1K", reducers = 2,
   side_files = { names = { path = "names.csv", input = "csv", key = "id" } },
   map = function(_, line, emit)
      while mr.task().id == "map_3" and not io.open("gate") do mr.sleep(0.01) mr.progress() end
      if line:find("line 7%d") then mr.reject("seven") end
      for word in mr.words(line) do
         local row = mr.lookup("names", word)
         emit(row and row.name or word, 1)
      end
   end,
   reduce = mr.sum }
]]

local function place(job)
   local list = {}
   for i = 1, 200 do list[i] = ("the word %d of line %d"):format(i * 7 % 13, i) end
   local at = m.place(job or counting, table.concat(list, "\n") .. "\n")
   h.write(at.dir, "names.csv", "id,name\nthe,THE\n3,three\n")
   h.sh("touch -d @1000000000 in.txt names.csv", { dir = at.dir }) -- the plan's hash tells of it
   return at
end

local function args(...) return { "run", "--workers", "2", ... } end

local function sh(at, script)
   local result = h.sh(script, m.options(at))
   assert.equal(0, result.code, result.err)
   return result.out
end

-- Killed while its last map waits; all others have committed.
local function killed(at, words, more)
   local job = h.background(words, m.options(at, more))
   h.poll(30, function()
      return m.number(at, "counting-1", "SELECT count(*) = (SELECT maps - 1 FROM step) FROM task " ..
         "WHERE task LIKE 'map%'") == 1
   end)
   job:kill("KILL")
   job:wait(20)
   h.write(at.dir, "gate", "")
end

-- What a run in an undisturbed place gives.
local function reference(words, more)
   local at = place()
   h.write(at.dir, "gate", "")
   local result = h.run(words, m.options(at, more))
   assert.equal(3, result.code, result.err)
   return at, result
end

local function digest(at, dirs)
   return sh(at, ("find %s -type f ! -name '*-shm' -print0 | sort -z | xargs -0 sha256sum; find %s | sort"):format(
      dirs, dirs))
end

-- In a state folder of another name, wherever the rows tell of.
local function rows(at, state, sql)
   return h.lines(sh(at, ("sqlite3 -readonly -cmd '.timeout 10000' %s/counting-1/journal.db %s"):format(state,
      h.quote(sql))))
end

local function resumed(at, code, ...)
   local result = m.resume(at, ...)
   assert.equal(code, result.code, result.err)
   return result
end

local function nothing_again(at, state, result)
   assert.not_matches("gone", result.err)
   assert.same({ "0" }, rows(at, state, [[SELECT count(*) FROM (SELECT task FROM attempt WHERE outcome = 'committed'
      AND (task LIKE 'map@_%' ESCAPE '@' OR task LIKE 'reduce@_%' ESCAPE '@') GROUP BY task HAVING count(*) > 1)]]))
end

-- The result, but what tells the place of what was put aside.
local function output_of(at, name)
   return (m.result_of(at, name):gsub('"path": *"[^"]*"', ""))
end

describe("a job that was moved", function()
   it("with all it has goes on from its new place: runs, indexes and spooled input", function()
      local _, ref = reference(args("job.lua", "-"), { stdin_file = place().dir .. "/in.txt" })
      local at = place()
      killed(at, args("job.lua", "-"), { stdin_file = at.dir .. "/in.txt" })
      sh(at, "mkdir far && mv state 'far/the state'")
      local result = resumed(at, 3, "--state-dir", "far/the state")
      assert.equal(ref.out, result.out)
      nothing_again(at, "'far/the state'", result)
      local old = at.dir .. "/state/"
      for _, column in ipairs { "path FROM file", "path FROM split", "value FROM job WHERE key LIKE '%_dir'" } do
         for _, path in ipairs(rows(at, "'far/the state'", "SELECT " .. column)) do
            assert.is_nil(path:find(old, 1, true), path)
         end
      end
      assert.is_false(h.exists(at.dir .. "/state"))
      assert.matches("line 70", h.run({ "quarantine", "--full", "--state-dir", "far/the state" }, m.options(at)).out)
   end)

   it("leaves its output where it was told to write it", function()
      local ref = reference(args("-o", "out", "job.lua", "in.txt"))
      local at = place()
      killed(at, args("-o", "out", "job.lua", "in.txt"))
      sh(at, "mv state other")
      local result = resumed(at, 3, "--state-dir", "other")
      assert.equal(output_of(ref, "out"), output_of(at, "out"))
      nothing_again(at, "other", result)
   end)

   it("is told where its output directory is, when that was moved too", function()
      local ref = reference(args("-o", "out", "job.lua", "in.txt"))
      local at = place()
      killed(at, args("-o", "out", "job.lua", "in.txt"))
      sh(at, "mkdir far && mv state far/state && mv out far/result")
      local before = digest(at, "far")
      local refused = resumed(at, 2, "--state-dir", "far/state")
      assert.matches("counting%-1 was moved here from .*/state/counting%-1, and .*/out/%.lmr%-counting%-1, where it " ..
         "kept its work, is gone: .* %-o NEWDIR", refused.err)
      assert.equal(before:gsub("[^\n]*/lock\n", ""), digest(at, "far"):gsub("[^\n]*/lock\n", ""))
      local result = h.run({ "resume", "--state-dir", "state", "-o", "result" },
         { dir = at.dir .. "/far", env = at.env }) -- a relative name is one of where the user is
      assert.equal(3, result.code, result.err)
      assert.equal(output_of(ref, "out"), output_of(at, "far/result"))
      nothing_again(at, "far/state", result)
      assert.is_false(h.exists(at.dir .. "/out"))
   end)

   it("remembers its new place, and begins anew in a directory when its work is lost", function()
      local ref = reference(args("-o", "out", "job.lua", "in.txt"))
      local at = place()
      killed(at, args("-o", "out", "job.lua", "in.txt"))
      sh(at, "mv state other && rm -r out gate")
      local job = h.background({ "resume", "--state-dir", "other", "-o", "new" }, m.options(at))
      h.poll(30, function()
         return rows(at, "other", "SELECT count(*) > 2 FROM attempt WHERE outcome = 'committed' " ..
            "AND attempt > 0")[1] == "1"
      end)
      job:kill("KILL")
      assert.matches("%d run again: files they wrote are gone", job:wait(20).err)
      h.write(at.dir, "gate", "")
      resumed(at, 3, "--state-dir", "other")
      assert.equal(output_of(ref, "out"), output_of(at, "new"))
      assert.is_false(h.exists(at.dir .. "/out"))
   end)

   it("is told where its work directory is", function()
      local ref = reference(args("-o", "out", "--work-dir", "runs", "job.lua", "in.txt"))
      local at = place()
      killed(at, args("-o", "out", "--work-dir", "runs", "job.lua", "in.txt"))
      sh(at, "mv state other && mv runs far")
      local refused = resumed(at, 2, "--state-dir", "other")
      assert.matches("name the directory it is in with %-%-work%-dir NEWDIR", refused.err)
      local result = resumed(at, 3, "--state-dir", "other", "--work-dir", "far")
      assert.equal(output_of(ref, "out"), output_of(at, "out"))
      nothing_again(at, "other", result)
   end)

   it("finds what an earlier step or round wrote for a later one", function()
      local rank = { "-q", h.root .. "/examples/pagerank.lua", h.root .. "/examples/data/packages.list" }
      local at = place()
      local ref = m.run(at, rank)
      assert.equal(0, ref.code, ref.err)
      m.kill_at(at, { "run", table.unpack(rank) }, "pagerank-2", m.number(at, "pagerank-1", m.commits) // 2)
      sh(at, "mv state other")
      local result = m.resume(at, "-q", "--state-dir", "other")
      assert.equal(0, result.code, result.err)
      assert.equal(ref.out, result.out)
      at.env.LMR_STATE_DIR = at.dir .. "/other"
      sh(at, "mv other state")
      assert.same({}, m.done_twice(at, "pagerank-2"))
   end)
end)

describe("a job that was copied", function()
   it("goes on without its original, and leaves that alone", function()
      local _, ref = reference(args("job.lua", "in.txt"))
      local at = place()
      killed(at, args("job.lua", "in.txt"))
      sh(at, "cp -a state other")
      local before = digest(at, "state")
      local copy = resumed(at, 3, "--state-dir", "other")
      assert.equal(ref.out, copy.out)
      nothing_again(at, "other", copy)
      assert.equal(before, digest(at, "state"))
      local original = resumed(at, 3)
      assert.equal(ref.out, original.out)
      nothing_again(at, "state", original)
   end)

   it("must be given an output directory of its own", function()
      local ref = reference(args("-o", "out", "job.lua", "in.txt"))
      local at = place()
      killed(at, args("-o", "out", "job.lua", "in.txt"))
      sh(at, "cp -a state other")
      local before = digest(at, "state out")
      local refused = resumed(at, 2, "--state-dir", "other")
      assert.matches("counting%-1 is a copy of the job in .*/state/counting%-1, which works in " ..
         ".*/out/%.lmr%-counting%-1: give the copy a directory of its own with %-o NEWDIR " ..
         "%(cp %-a .*/out/%.lmr%-counting%-1 NEWDIR/ first", refused.err)
      refused = resumed(at, 2, "--state-dir", "other", "-o", "mine")
      assert.matches("copy %(cp %-a%) it there first", refused.err)
      sh(at, "mkdir mine && cp -a out/.lmr-counting-1 mine/")
      local copy = resumed(at, 3, "--state-dir", "other", "-o", "mine")
      nothing_again(at, "other", copy)
      assert.equal(output_of(ref, "out"), output_of(at, "mine"))
      assert.equal(before, digest(at, "state out"))
      local original = resumed(at, 3)
      nothing_again(at, "state", original)
      assert.equal(output_of(ref, "out"), output_of(at, "out"))
   end)

   it("does not wait for a driver of the original, which may be at work", function()
      local _, ref = reference(args("job.lua", "in.txt"))
      local at = place()
      killed(at, args("job.lua", "in.txt"))
      sh(at, "rm gate")
      local original = h.background({ "resume" }, m.options(at))
      h.poll(30, function()
         return rows(at, "state", "SELECT count(*) FROM event WHERE kind = 'resume'")[1] == "1"
      end)
      sh(at, "kill -STOP " .. original:pid() .. " && cp -a state other; kill -CONT " .. original:pid())
      h.write(at.dir, "gate", "")
      assert.equal(ref.out, resumed(at, 3, "--state-dir", "other").out)
      local result = original:wait(30)
      assert.equal(3, result.code, result.err)
      assert.equal(ref.out, result.out)
   end)
end)
