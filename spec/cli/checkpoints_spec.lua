-- `lmr checkpoints` and `lmr checkpoint`, and what `lmr verify` and `lmr rm` make of checkpoints. What is listed is
-- counted again from the files and by sqlite3.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

-- From line 2000 on it is slow until there is the file "go".
local JOB = [[
local mr = require "mr"
return mr.job { job_name = "job",
   map = function(_, line, emit)
      local n = tonumber(line)
      if n == 2000 then io.open("there", "w"):close() end
      if n >= 2000 and not io.open("go") then mr.sleep(0.05) end
      emit(n % 100, 1)
   end, reduce = mr.sum }
]]

local function place()
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, 3000 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   h.write(dir, "job.lua", JOB)
   return { dir = dir, state = dir .. "/state", env = { LMR_STATE_DIR = dir .. "/state" } }
end

local function lmr(p, ...)
   return h.run({ ... }, { dir = p.dir, env = p.env })
end

local function start(p, ...)
   local job = h.background({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--workers", "1", "--split-size",
      "5K", ... }, { dir = p.dir, env = p.env })
   h.poll(20, h.exists, p.dir .. "/there")
   return job
end

local function list(p)
   local result = lmr(p, "checkpoints", "--json")
   assert.equal("", result.err)
   return cjson.decode(result.out).checkpoints
end

-- Makes one on demand and gives what is listed of it.
local function make(p)
   local told = lmr(p, "checkpoint", "job")
   assert.equal("", told.err)
   assert.equal(0, told.code)
   local number, path = told.out:match("^checkpoint (%d+) of job%-1: (.*)\n$")
   local all = list(p)
   assert.equal(tonumber(number), all[#all].number)
   assert.equal(path, all[#all].path)
   return all[#all]
end

-- Stopped by lmr stop, with a checkpoint that was made before.
local function stopped(...)
   local p = place()
   local job = start(p, ...)
   local made = make(p)
   assert.equal(0, lmr(p, "stop", "job").code)
   assert.equal(75, job:wait(20).code)
   return p, made
end

describe("lmr checkpoints", function()
   it("lists what is kept, as the files are", function()
      local p, made = stopped()
      assert.equal("demand", made.reason)
      local all = list(p)
      assert.is_true(#all >= 2)
      for i, c in ipairs(all) do
         assert.is_true(c.there)
         assert.equal(#h.read(c.path), c.bytes)
         assert.is_true(i == 1 or c.number > all[i - 1].number)
         local done = h.sh("sqlite3 -readonly " .. c.path .. " 'select count(*) from task'").out
         assert.is_true(c.done <= tonumber(done))
      end
      local result = lmr(p, "checkpoints", "job-1")
      assert.equal("", result.err)
      assert.equal(0, result.code)
      assert.matches("^  number +made +done +stood in +why +size\n", result.out)
      assert.matches(" on demand ", result.out, 1, true)
      assert.matches(("\n  to go on   lmr resume job-1 --from %d\n"):format(all[#all].number), result.out, 1, true)
      assert.matches(", with %d checkpoints?, the newest number ", (lmr(p, "show").out:gsub("%s+", " ")))
   end)

   it("says when there are none", function()
      local p = place()
      h.write(p.dir, "go", "")
      assert.equal(0, lmr(p, "run", "--quiet", "job.lua", "in.txt", "-o", "out").code)
      assert.equal("job-1 keeps no checkpoints\n", lmr(p, "checkpoints").out)
      assert.same({}, list(p))
   end)
end)

describe("lmr verify", function()
   it("names a checkpoint that is damaged, cut or gone, and what it refers to that is gone", function()
      local p, made = stopped()
      assert.equal(0, lmr(p, "verify").code)
      local content = h.read(made.path)
      local function damaged(path)
         local result = lmr(p, "verify", "--json")
         assert.equal(1, result.code)
         for _, problem in ipairs(cjson.decode(result.out).problems) do
            if problem.file == path and problem.checkpoint == made.number then return problem end
         end
         error("not named: " .. path .. "\n" .. result.out)
      end
      local dir, name = made.path:match("^(.*)/([^/]*)$")
      for at = 4097, #content, 4096 do
         h.write(dir, name, content:sub(1, at - 1) .. string.char(content:byte(at) ~ 1) .. content:sub(at + 1))
         damaged(made.path)
      end
      h.write(dir, name, content:sub(1, -2))
      damaged(made.path)
      os.remove(made.path)
      assert.matches(("lmr resume --from %d cannot use it"):format(made.number), damaged(made.path).means, 1, true)
      assert.matches("is gone", lmr(p, "checkpoints").out, 1, true)
      h.write(dir, name, content)
      assert.equal(0, lmr(p, "verify").code)
      local run = h.sh("ls out/.lmr-job-1/map_0.*.run", { dir = p.dir }).out:match("%S+")
      os.rename(p.dir .. "/" .. run, p.dir .. "/away")
      assert.matches("runs map_0 again", damaged(p.dir .. "/" .. run).means, 1, true)
   end)
end)

describe("lmr rm", function()
   it("takes checkpoints away that are kept elsewhere, and nothing beside them", function()
      local base = h.tmpdir()
      h.write(base, "kept/mine", "mine")
      local p = stopped("--set", "checkpoint.checkpoint_dir=" .. base .. "/kept")
      assert.same({ "job-1", "mine" }, h.ls(base .. "/kept"))
      local bytes = 0
      for _, c in ipairs(list(p)) do
         assert.matches(base .. "/kept/job-1/", c.path, 1, true)
         bytes = bytes + c.bytes
      end
      assert.is_true(cjson.decode(lmr(p, "jobs", "--json").out).disk_bytes > bytes)
      local told = cjson.decode(lmr(p, "rm", "job", "--json").out)
      assert.is_true(told.removed)
      assert.is_true(told.bytes > bytes)
      assert.same({ "mine" }, h.ls(base .. "/kept"))
      assert.same({}, h.ls(p.state))
   end)
end)

describe("lmr clean", function()
   it("takes from young complete jobs what they kept to be gone back to, and nothing else", function()
      local p = place()
      h.write(p.dir, "go", "")
      assert.equal(0, lmr(p, "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--set",
         "checkpoint.auto_cleanup=false").code)
      local all = list(p)
      assert.is_true(#all > 0)
      assert.is_true(h.exists(p.dir .. "/out/.lmr-job-1"))
      local result = h.read(p.dir .. "/out/part-00000")
      local dry = cjson.decode(lmr(p, "clean", "--older-than", "7d", "--dry-run", "--json").out)
      assert.is_true(dry.kept)
      assert.same(all, list(p))
      local told = cjson.decode(lmr(p, "clean", "--older-than", "7d", "--json").out)
      assert.same({ "job-1", true, false }, { told.id, told.kept, told.removed })
      assert.equal(dry.bytes, told.bytes)
      assert.same({}, list(p))
      assert.is_false(h.exists(p.state .. "/job-1/checkpoints"))
      assert.is_false(h.exists(p.dir .. "/out/.lmr-job-1"))
      assert.equal(result, h.read(p.dir .. "/out/part-00000"))
      assert.equal(0, lmr(p, "verify").code)
      assert.matches("^nothing to remove in ", lmr(p, "clean", "--older-than", "7d").out)
   end)
end)
