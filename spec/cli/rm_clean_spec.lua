-- `lmr rm` and `lmr clean`: what they take off the disk, and above all what they leave. What is freed is counted again
-- by du.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job { job_name = "%s",
   map = function(_, line, emit)
      %s
      emit(tonumber(line) %% 100, line)
   end,
   reduce = function(key, values, emit)
      if io.open("block") then error("blocked") end
      for v in values do emit(key, v) end
   end, reducers = 2,
   recovery = { on_error = { script_error = "fail" } } }
]]

local GATE = [[if line == "1" then
         io.open("there", "w"):close()
         while not io.open("go") do mr.sleep(0.01) end
      end]]

local function place()
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, 3000 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   return { dir = dir, state = dir .. "/state", env = { LMR_STATE_DIR = dir .. "/state" } }
end

local function lmr(p, ...)
   return h.run({ ... }, { dir = p.dir, env = p.env })
end

local function sh(p, script)
   local result = h.sh(script, { dir = p.dir, env = p.env })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return result.out
end

local function job_args(p, name, options, body)
   h.write(p.dir, name .. ".lua", JOB:format(name, body or ""))
   local args = { "run", "--quiet", name .. ".lua", "in.txt", "--split-size", "4K" }
   table.move(options or { "-o", name .. "-out" }, 1, #(options or { 1, 2 }), #args + 1, args)
   return args
end

local function run(p, name, options)
   return h.run(job_args(p, name, options), { dir = p.dir, env = p.env }).code
end

local function fail(p, name, options)
   h.write(p.dir, "block", "")
   assert.equal(1, run(p, name, options))
   os.remove(p.dir .. "/block")
end

-- A job whose first map waits for the file "go".
local function gated(p, name)
   local job = h.background(job_args(p, name, nil, GATE), { dir = p.dir, env = p.env })
   h.poll(20, h.exists, p.dir .. "/there")
   return job
end

local function ids(p)
   local list = {}
   for line in lmr(p, "jobs", "--json").out:gmatch("[^\n]+") do list[#list + 1] = cjson.decode(line).id end
   table.sort(list)
   return list
end

local function sums(p, dir)
   return sh(p, "find " .. dir .. " -type f -exec md5sum {} + | sort")
end

local function disk(p, ...)
   return tonumber(sh(p, ("du -s -c --block-size=1 %s | tail -n 1 | cut -f 1"):format(table.concat({ ... }, " "))))
end

local function json(result)
   local list = {}
   for line in result.out:gmatch("[^\n]+") do list[#list + 1] = cjson.decode(line) end
   return list
end

-- Makes a job as old as that.
local function age(p, id, seconds)
   local sql = ([[UPDATE attempt SET started = started - T, ended = ended - T; UPDATE event SET time = time - T;
      UPDATE job SET value = CAST(value - T AS TEXT) WHERE key = 'created']])
      :gsub("%f[%w]T%f[%W]", seconds .. "000000000")
   sh(p, ("sqlite3 state/%s/journal.db %s"):format(id, h.quote(sql)))
end

describe("lmr rm", function()
   it("takes a complete job away and leaves its result, and other jobs", function()
      local p = place()
      assert.equal(0, run(p, "one"))
      assert.equal(0, run(p, "other"))
      local result, size = sums(p, "one-out"), disk(p, "state/one-1")
      local told = lmr(p, "rm", "one-1")
      assert.equal("", told.err)
      assert.equal(0, told.code)
      assert.matches("^  removed +state +ended +what +freed\n  one%-1 +complete ", told.out)
      assert.same({ "other-1" }, ids(p))
      assert.same({ "other-1" }, h.ls(p.state))
      assert.equal(result, sums(p, "one-out"))
      assert.is_true(size > 0)
   end)

   it("takes runs and unpublished parts away, wherever they are, and says how much that frees", function()
      for _, where in ipairs { { "out/.lmr-one-1", "-o", "out" },
         { "out/.lmr-one-1 work/one-1", "-o", "out", "--work-dir", "work" }, { "" },
         { "work/one-1", "--work-dir", "work" } } do
         local p = place()
         h.write(p.dir, "out/.keep", "") -- hidden: not a result
         h.write(p.dir, "work/other-1/mine", "mine")
         os.remove(p.dir .. "/out/.keep")
         fail(p, "one", { table.unpack(where, 2) })
         lmr(p, "show", "one") -- what SQLite makes for readers is there from now on
         local size = disk(p, "state/one-1", where[1])
         local dry = json(lmr(p, "rm", "--dry-run", "one", "--json"))[1]
         assert.equal(size, dry.bytes)
         assert.is_true(dry.dry_run)
         assert.is_false(dry.removed)
         assert.equal(size, disk(p, "state/one-1", where[1]))
         local told = json(lmr(p, "rm", "one", "--json"))[1]
         assert.same({ "one-1", "failed", size, true, false },
            { told.id, told.state, told.bytes, told.removed, told.dry_run })
         assert.same({}, h.ls(p.state))
         assert.same({}, h.ls(p.dir .. "/out"))
         assert.same({ "other-1" }, h.ls(p.dir .. "/work"))
         assert.equal("mine", h.read(p.dir .. "/work/other-1/mine"))
      end
   end)

   it("refuses a running job, names who runs it and how to stop it, and removes the others", function()
      local p = place()
      fail(p, "failed")
      local job = gated(p, "gated")
      for _, option in ipairs { "--dry-run", "--json" } do
         local told = lmr(p, "rm", "gated", option)
         assert.equal(1, told.code)
         assert.matches(("^lmr: gated%%-1 is running %%(process %d on [^ ]+%%), and is left alone; lmr stop gated%%-1 "
            .. "stops it\n$"):format(job:pid()), told.err)
      end
      local told = lmr(p, "rm", "gated", "failed")
      assert.equal(1, told.code)
      assert.matches("failed-1", told.out, 1, true)
      assert.same({ "gated-1" }, ids(p))
      h.write(p.dir, "go", "")
      assert.equal(0, job:wait(20).code)
      assert.equal(0, lmr(p, "rm", "gated").code)
      assert.same({}, ids(p))
   end)

   it("takes a job away whose driver was killed", function()
      local p = place()
      local job = gated(p, "gated")
      job:kill("KILL")
      job:wait(20)
      assert.equal(0, lmr(p, "rm", "gated-1").code)
      assert.same({}, h.ls(p.state))
      assert.same({}, h.ls(p.dir .. "/gated-out"))
   end)

   it("wants a beginning that only one job has, and removes nothing when one of the words is wrong", function()
      local p = place()
      assert.equal(0, run(p, "same", { "-o", "a" }))
      assert.equal(0, run(p, "same", { "-o", "b" }))
      assert.equal(0, run(p, "other"))
      local told = lmr(p, "rm", "other", "same")
      assert.equal(2, told.code)
      assert.matches("^lmr: 'same' may be any of 2 jobs: same%-%d, same%-%d; write the whole id\n$", told.err)
      told = lmr(p, "rm", "other", "nothing")
      assert.equal(2, told.code)
      assert.matches("no job 'nothing'", told.err)
      assert.equal(2, lmr(p, "rm").code)
      assert.same({ "other-1", "same-1", "same-2" }, ids(p))
      assert.equal(0, lmr(p, "rm", "same-1", "ot").code)
      assert.same({ "same-2" }, ids(p))
   end)

   it("removes no folder whose name does not say that it is the job's, whatever the journal says", function()
      local p = place()
      h.write(p.dir, "precious/data", "data")
      fail(p, "one", { "-o", "out", "--work-dir", "work" })
      sh(p, ("sqlite3 state/one-1/journal.db \"UPDATE job SET value = '%s/precious' WHERE key = 'work_dir'\""):format(
         p.dir))
      local told = lmr(p, "rm", "one")
      assert.equal(0, told.code)
      assert.matches("precious is left: its name does not say that it is this job's", (told.out:gsub("%s+", " ")), 1,
         true)
      assert.equal("data", h.read(p.dir .. "/precious/data"))
      -- Nor what is reached by a link.
      fail(p, "two", { "-o", "out", "--work-dir", "work" })
      sh(p, "rm -r work/two-1 && ln -s ../precious work/two-1")
      assert.equal(0, lmr(p, "rm", "two").code)
      assert.equal("data", h.read(p.dir .. "/precious/data"))
   end)

   it("leaves to a job what its copy names too", function()
      local p = place()
      fail(p, "one", { "-o", "out" })
      sh(p, ("mkdir copy && cp -a state/one-1 copy/ && sqlite3 copy/one-1/journal.db "
         .. "\"INSERT OR REPLACE INTO job VALUES ('job_dir', '%s/state/one-1')\""):format(p.dir))
      local before = sums(p, "out")
      local told = lmr(p, "rm", "one", "--state-dir", "copy")
      assert.equal(0, told.code)
      assert.matches("it is a copy of the job in", told.out, 1, true)
      assert.same({}, h.ls(p.dir .. "/copy"))
      assert.equal(before, sums(p, "out"))
      assert.equal(0, lmr(p, "resume", "one").code)
   end)

   it("refuses a job that was killed while its result was moved into place", function()
      local p = place()
      fail(p, "one", { "-o", "out" })
      sh(p, "sqlite3 state/one-1/journal.db \"UPDATE job SET value = 'publishing' WHERE key = 'state'\"")
      local before = sums(p, "out")
      local told = lmr(p, "rm", "one")
      assert.equal(1, told.code)
      assert.matches("lmr resume one-1 ends that, and then it can be removed", told.err, 1, true)
      assert.equal(before, sums(p, "out"))
      assert.same({ "one-1" }, ids(p))
   end)

   it("takes a job away whose journal cannot be read, and says what is not known", function()
      local p = place()
      h.write(p.dir, "state/odd-1/journal.db", ("no database\n"):rep(400))
      local told = lmr(p, "rm", "odd-1")
      assert.equal(0, told.code)
      assert.matches("what it may keep elsewhere is not known", (told.out:gsub("%s+", " ")), 1, true)
      assert.same({}, h.ls(p.state))
   end)

   it("is not seen half-way: what a killed one left is no job", function()
      local p = place()
      assert.equal(0, run(p, "one"))
      sh(p, "mv state/one-1 state/.removed-one-1")
      assert.same({}, ids(p))
      assert.matches("no jobs in", lmr(p, "show").err)
      assert.equal(0, run(p, "one", { "-o", "again" }))
      assert.equal(0, lmr(p, "rm", "one").code)
      assert.same({}, h.ls(p.state))
   end)
end)

describe("lmr clean", function()
   it("takes away what is over and old enough, and nothing else", function()
      local p = place()
      for _, name in ipairs { "old", "young" } do assert.equal(0, run(p, name)) end
      fail(p, "failed")
      local job = gated(p, "gated")
      for _, name in ipairs { "old", "failed", "gated" } do age(p, name .. "-1", 8 * 86400) end
      local result = sums(p, "old-out young-out")
      local dry = lmr(p, "clean", "--older-than", "7d", "--dry-run")
      assert.equal(0, dry.code)
      assert.matches("^  would go .*\n  old%-1 +complete .*all of it +%d", dry.out)
      assert.same({ "failed-1", "gated-1", "old-1", "young-1" }, ids(p))
      local told = json(lmr(p, "clean", "--older-than", "7d", "--json"))
      assert.same({ 1, "old-1", true }, { #told, told[1].id, told[1].removed })
      assert.same({ "failed-1", "gated-1", "young-1" }, ids(p))
      assert.matches("^nothing to remove in ", lmr(p, "clean", "--older-than", "7d").out)
      told = json(lmr(p, "clean", "--older-than", "7d", "--all", "--json"))
      assert.same({ 1, "failed-1", "failed" }, { #told, told[1].id, told[1].state })
      assert.same({}, h.ls(p.dir .. "/failed-out"))
      assert.same({ "gated-1", "young-1" }, ids(p))
      h.write(p.dir, "go", "")
      assert.equal(0, job:wait(20).code)
      assert.equal(0, lmr(p, "clean", "--older-than", "0s").code)
      assert.same({}, ids(p))
      assert.equal(result, sums(p, "old-out young-out"))
   end)

   it("leaves what it cannot read", function()
      local p = place()
      h.write(p.dir, "state/odd-1/journal.db", ("no database\n"):rep(400))
      assert.equal(0, lmr(p, "clean", "--older-than", "0s", "--all").code)
      assert.same({ "odd-1" }, ids(p))
   end)

   it("says what is wrong with what it is told", function()
      local p = place()
      for args, message in pairs { [""] = "--older-than is missing", ["--older-than x"] = "--older-than x: not a time",
         ["--older-than -1d"] = "--older-than -1d: not a time", ["--older-than 7d job"] = "lmr clean takes no jobs",
         ["--oldest-than 7d"] = "--older-than" } do
         local told = h.sh("lmr clean " .. args, { env = p.env })
         assert.equal(2, told.code)
         assert.matches(message, told.err, 1, true)
      end
   end)
end)

describe("lmr jobs and lmr show", function()
   it("tell what a job takes on disk, as du does, and how many of its tasks are done", function()
      local p = place()
      assert.equal(0, run(p, "one"))
      fail(p, "two", { "-o", "out", "--work-dir", "work" })
      local list = json(lmr(p, "jobs", "--json"))
      local shown = cjson.decode(lmr(p, "show", "two", "--json").out)
      assert.near(disk(p, "state/one-1"), list[1].disk_bytes, 40000)
      local size = disk(p, "state/two-1", "out/.lmr-two-1", "work/two-1")
      assert.near(size, list[2].disk_bytes, 40000) -- readers leave SQLite's shared memory
      assert.near(size, shown.disk_bytes, 40000)
      assert.equal(list[1].tasks, list[1].tasks_done)
      assert.equal(2, list[2].tasks - list[2].tasks_done)
      local text = lmr(p, "jobs").out
      assert.matches("two%-1 +failed +4/6 ", text)
      assert.matches("one%-1 +complete +6/6 ", text)
   end)

   it("say who runs a job", function()
      local p = place()
      local job = gated(p, "gated")
      local host = sh(p, "hostname"):match("%S+")
      local pattern = ("gated%%-1 +running .* on %s, %d\n"):format(host:gsub("%p", "%%%0"), job:pid())
      assert.matches(pattern, lmr(p, "jobs").out)
      assert.matches(("\n  driver     process %d on %s\n"):format(job:pid(), host), lmr(p, "show").out, 1, true)
      h.write(p.dir, "go", "")
      assert.equal(0, job:wait(20).code)
   end)

   it("look at folders of many files in no time", function()
      local p = place()
      fail(p, "one", { "-o", "out" })
      sh(p, "cd out/.lmr-one-1 && seq 1 20000 | xargs touch")
      assert.is_true(lmr(p, "jobs").seconds < (h.sanitized and 8 or 2))
   end)
end)
