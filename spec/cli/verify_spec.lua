-- `lmr verify`: single bytes are flipped in each kind of file that a job keeps, files are cut and removed, and the real
-- binary has to name each. What is whole must be told as whole, and nothing may be changed by looking.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job { job_name = "job", %s
   map = function(_, line, emit)
      if line == "7" then mr.reject("seven") end
      mr.output("log", line, 1)
      emit(tonumber(line) %% 100, line)
   end,
   reduce = function(key, values, emit)
      local held = io.open("block")
      if held and key == 50 then held:close() error("blocked") end
      for v in values do emit(key, v) end
   end, reducers = 2,
   recovery = { on_error = { script_error = "fail" } } }
]]

local STEPS = [[
local mr = require "mr"
return mr.job { job_name = "job", side_files = { users = { path = "users.csv", input = "csv", key = "id" } },
   steps = { { map = function(_, line, emit) emit(tonumber(line) % 10, line) end,
         reduce = function(key, values, emit) for v in values do emit(key, v) end end, reducers = 2 },
      { map = function(key, value, emit)
            if io.open("block") then error("blocked") end
            emit(value, key)
         end, reduce = mr.count, reducers = 2 } },
   recovery = { on_error = { script_error = "fail" } } }
]]

-- Runs a job on 1 … 3000 and gives its place. `blocked`: it fails where it finds the file.
local function place(job, blocked, ...)
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, 3000 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   h.write(dir, "users.csv", "id,name\n1,one\n2,two\n")
   h.write(dir, "job.lua", job)
   if blocked then h.write(dir, "block", "") end
   local p = { dir = dir, state = dir .. "/state", out = dir .. "/out", env = { LMR_STATE_DIR = dir .. "/state" } }
   p.work = p.out .. "/.lmr-job-1"
   p.result = h.run({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--split-size", "4K", "--workers", "2",
      ... }, { dir = dir, env = p.env })
   return p
end

local function verify(p, ...)
   return h.run({ "verify", ... }, { dir = p.dir, env = p.env })
end

local function whole(p)
   local result = verify(p)
   assert.equal("", result.err)
   assert.equal(0, result.code)
   assert.matches("^job%-1 is whole: ", result.out)
end

-- The problems that are told; the file must be among them.
local function damaged(p, path)
   local result = verify(p, "--json")
   assert.equal(1, result.code)
   assert.matches("^lmr: job%-1: %d+ problems? found\n$", result.err)
   local told = cjson.decode(result.out)
   assert.is_false(told.whole)
   for _, problem in ipairs(told.problems) do
      assert.is_true(#problem.message > 0 and #problem.means > 0)
      if problem.file == path then
         assert.matches(path, problem.message, 1, true)
         return problem, told.problems
      end
   end
   error("not named: " .. path .. "\n" .. result.out)
end

local function with_file(path, content, f)
   local before = assert(h.read(path))
   if content then h.write(path:match("^(.*)/"), path:match("[^/]*$"), content) else assert(os.remove(path)) end
   local ok, message = pcall(f)
   h.write(path:match("^(.*)/"), path:match("[^/]*$"), before)
   if not ok then error(message, 0) end
end

-- Flips one bit of a byte (from 1) at a time and wants each named.
local function flip(p, path, positions)
   local before = assert(h.read(path))
   for i, at in ipairs(positions) do
      local byte = string.char(before:byte(at) ~ (1 << (i % 8)))
      with_file(path, before:sub(1, at - 1) .. byte .. before:sub(at + 1), function()
         damaged(p, path)
      end)
   end
end

-- So many positions, first and last among them.
local function spread(path, n)
   local size, list = #assert(h.read(path)), {}
   for i = 0, n - 1 do list[#list + 1] = 1 + i * (size - 1) // (n - 1) end
   return list
end

local function cut_and_remove(p, path)
   local content = assert(h.read(path))
   with_file(path, content:sub(1, -2), function() damaged(p, path) end)
   with_file(path, content:sub(1, #content // 2), function() damaged(p, path) end)
   with_file(path, "", function() damaged(p, path) end)
   with_file(path, nil, function() damaged(p, path) end)
end

local function one(dir, pattern)
   for _, name in ipairs(h.ls(dir)) do
      if name:find(pattern) then return dir .. "/" .. name end
   end
   error("nothing like " .. pattern .. " in " .. dir)
end

-- Names, sizes, contents and times of all there is.
local function snapshot(p)
   return h.sh([[find . -printf '%p %s %T@ %C@ %i\n' | sort; find . -type f -exec md5sum {} + | sort]],
      { dir = p.dir }).out
end

local N = h.sanitized and 5 or 12

describe("lmr verify of a complete job", function()
   local p
   lazy_setup(function()
      p = place(JOB:format(""))
      assert.equal(3, p.result.code)
   end)

   it("tells that it is whole, and changes nothing", function()
      local before = snapshot(p)
      whole(p)
      assert.equal(before, snapshot(p))
      local told = cjson.decode(verify(p, "job", "--json").out)
      assert.is_true(told.whole)
      assert.same({}, told.problems)
      assert.equal("", verify(p, "--quiet").out)
   end)

   it("names a part and a file of mr.output with one flipped bit, cut or gone", function()
      for _, name in ipairs { "part-00000", "log-00000" } do
         local path = p.out .. "/" .. name
         flip(p, path, spread(path, N))
         cut_and_remove(p, path)
      end
      with_file(p.out .. "/part-00001", nil, function()
         assert.matches("^run the job again: lmr run job.lua … %-o .*/out %-%-overwrite$",
            damaged(p, p.out .. "/part-00001").next)
      end)
   end)

   it("names a manifest that is no JSON, is cut, or says something else of the files", function()
      local path = p.out .. "/_MANIFEST.json"
      cut_and_remove(p, path)
      local content = h.read(path)
      for _, field in ipairs { '"bytes": ()%d', '"checksum": "()%x', '"records": ()%d', '"name": "()part%-00001',
         '"quarantined": ()%d', '()"files"' } do
         local at = content:match('"files".-' .. field) or content:match(field)
         local digit = content:sub(at, at)
         local other = digit:find("%d") and tostring((tonumber(digit) + 1) % 10) or "x"
         with_file(path, content:sub(1, at - 1) .. other .. content:sub(at + 1), function()
            local result = verify(p, "--json")
            assert.equal(1, result.code, field)
         end)
      end
   end)

   it("misses _SUCCESS", function()
      with_file(p.out .. "/_SUCCESS", nil, function()
         assert.equal("touch " .. p.out .. "/_SUCCESS", damaged(p, p.out .. "/_SUCCESS").next)
      end)
   end)

   it("names what was put aside", function()
      local path = one(p.state .. "/job-1/quarantine", "%.jsonl$")
      flip(p, path, spread(path, N))
      cut_and_remove(p, path)
      with_file(path, nil, function()
         assert.matches("lost for lmr quarantine", damaged(p, path).means, 1, true)
      end)
   end)

   it("names runs that are kept to try records again, and says that the result is not touched", function()
      local path = one(p.work, "^map_0.*%.run$")
      flip(p, path, spread(path, N))
      with_file(path, nil, function()
         assert.matches("the result is not touched", damaged(p, path).means, 1, true)
      end)
   end)

   it("names the journal", function()
      local path = p.state .. "/job-1/journal.db"
      local content = h.read(path)
      for _, n in ipairs { #content - 1, #content // 2, 4096, 0 } do
         with_file(path, content:sub(1, n), function() damaged(p, path) end)
      end
      with_file(path, nil, function()
         local result = verify(p, "job-1")
         assert.equal(1, result.code)
         assert.matches(path .. " is gone: ", result.err, 1, true)
      end)
      flip(p, path, { 1, 17, 21 }) -- its magic, and the size of its pages
      local size = tonumber(h.sh("sqlite3 -readonly " .. path .. " 'PRAGMA page_size'").out)
      local pages = #h.read(path) // size
      local list = {}
      for page = 1, pages - 1 do list[#list + 1] = page * size + 1 end -- what a page is
      flip(p, path, list)
   end)

   it("says when another job's result stands there", function()
      local other = h.run({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--overwrite" },
         { dir = p.dir, env = p.env })
      assert.equal(3, other.code)
      local result = verify(p, "job-1")
      assert.equal(0, result.code)
      assert.matches("is that of job-2 by now, and was not checked", (result.out:gsub("%s+", " ")), 1, true)
      assert.equal(0, verify(p, "job-2").code)
   end)
end)

describe("lmr verify of a job that failed", function()
   it("names each run with one flipped bit in its header, blocks, index or end", function()
      local p = place(JOB:format(""), true)
      assert.equal(1, p.result.code)
      whole(p)
      for _, name in ipairs { "^map_0.*%.run$", "^map_2.*%.run$" } do
         local path = one(p.work, name)
         local positions = spread(path, 2 * N)
         for i = 1, 24, 5 do positions[#positions + 1] = i end
         flip(p, path, positions)
         cut_and_remove(p, path)
         with_file(path, nil, function()
            local problem = damaged(p, path)
            assert.equal(path:match("(map_%d+)") .. " is run again", problem.means)
            assert.equal("lmr resume job-1", problem.next)
         end)
      end
   end)

   it("names compressed runs too", function()
      local p = place(JOB:format(""), true)
      h.run({ "rm", "job" }, { dir = p.dir, env = p.env })
      h.run({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--compress-runs" }, { dir = p.dir, env = p.env })
      local path = one(p.work, "^map_0.*%.run$")
      whole(p)
      flip(p, path, spread(path, N))
   end)

   it("names a committed part, which has to be removed to be made again; and what is done then holds", function()
      local p = place(JOB:format(""), true)
      local path = one(p.work, "^reduce_%d.*%.part$")
      local positions = spread(path, N)
      flip(p, path, positions)
      cut_and_remove(p, path)
      local content = h.read(path)
      h.write(p.work, path:match("[^/]*$"), "x" .. content:sub(2))
      local problem = damaged(p, path)
      assert.equal(("rm %s; lmr resume job-1"):format(path), problem.next)
      assert.is_true(os.remove(p.dir .. "/block"))
      local result = h.sh(problem.next, { dir = p.dir, env = p.env })
      assert.equal(3, result.code)
      whole(p)
      local q = place(JOB:format(""))
      for _, name in ipairs { "part-00000", "part-00001" } do
         assert.equal(h.read(q.out .. "/" .. name), h.read(p.out .. "/" .. name))
      end
   end)

   it("does not miss runs that nobody needs any more", function()
      local p = place(STEPS, true, "--set", "checkpoint.enabled=false") -- which would need them
      assert.equal(1, p.result.code)
      whole(p)
      for _, name in ipairs(h.ls(p.work)) do assert.is_nil(name:find("^map_.*%.run$")) end
   end)

   it("names pairs between two steps, which cannot be made again, and indexes, which can", function()
      local p = place(STEPS, true)
      local path = one(p.work, "^reduce_0.*%.part$")
      flip(p, path, spread(path, 2 * N))
      cut_and_remove(p, path)
      with_file(path, nil, function()
         assert.matches("cannot be made again", damaged(p, path).means, 1, true)
      end)
      path = one(p.work, "%.index$")
      flip(p, path, spread(path, 2 * N))
      with_file(path, "", function()
         assert.equal("it is made again", damaged(p, path).means)
      end)
   end)
end)

describe("lmr verify of a job without a driver", function()
   local GATED = [[
   local mr = require "mr"
   return mr.job { job_name = "job", map = function(_, line, emit)
      if line:find("50$") then mr.sleep(0.01) end
      if line == "3000" then
         io.open("there", "w"):close()
         while true do mr.sleep(0.01) end
      end
      emit(line, 1) end, reduce = mr.sum }
   ]]

   -- Killed while its last map runs, with what it has done in the WAL.
   local function killed()
      local dir = h.tmpdir()
      local lines = {}
      for i = 1, 3000 do lines[i] = i .. "\n" end
      h.write(dir, "in.txt", table.concat(lines))
      h.write(dir, "job.lua", GATED)
      local p = { dir = dir, state = dir .. "/state", out = dir .. "/out", env = { LMR_STATE_DIR = dir .. "/state" } }
      p.work = p.out .. "/.lmr-job-1"
      local job = h.background({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--split-size", "4K", "--workers",
         "2", "--set", "checkpoint.checkpoint_interval_seconds=0.02" }, { dir = dir, env = p.env })
      h.poll(20, function()
         return h.exists(dir .. "/there") and #h.ls(p.work) > 0 and
            h.sh("sqlite3 -readonly state/job-1/journal.db 'select count(*) from task'", { dir = dir }).out == "3\n"
      end)
      return p, job
   end

   it("looks while it runs, reads its WAL when it is killed, and leaves no trace", function()
      local p, job = killed()
      whole(p)
      job:kill("KILL")
      job:wait(20)
      assert.is_true(#h.read(p.state .. "/job-1/journal.db-wal") > 0)
      local before = snapshot(p)
      whole(p)
      assert.equal(before, snapshot(p))
      local path = one(p.work, "^map_1.*%.run$")
      flip(p, path, spread(path, N))
   end)

   it("names a damaged checkpoint of a map", function()
      local p, job = killed()
      job:kill("KILL")
      job:wait(20)
      local path = one(p.work, "^map_3.*%.ckpt$")
      flip(p, path, spread(path, N))
      with_file(path, "", function()
         assert.equal("map_3 begins anew, and does not go on from there", damaged(p, path).means)
      end)
   end)

   it("works in folders that nobody may write", function()
      local words = h.own_mounts()
      if not words then return pending "mounts are not allowed here" end
      local p, job = killed()
      job:kill("KILL")
      job:wait(20)
      for _ = 1, 2 do
         local result = h.sh(([[%s sh -c 'mount --bind %s %s && mount -o remount,ro,bind %s && lmr verify && lmr show &&
            lmr jobs && ! touch %s/x 2>/dev/null']]):format(words, p.dir, p.dir, p.dir, p.dir),
            { env = { LMR_STATE_DIR = p.state } })
         assert.equal("", result.err)
         assert.equal(0, result.code)
         assert.matches("job-1 is whole: ", result.out, 1, true)
         h.sh("rm -f " .. p.state .. "/job-1/journal.db-shm")
      end
   end)
end)

describe("lmr verify", function()
   it("wants a job, and one at most", function()
      local dir = h.tmpdir()
      local result = h.run({ "verify", "--state-dir", dir })
      assert.equal(2, result.code)
      assert.matches("no jobs in", result.err)
      result = h.run({ "verify", "a", "b", "--state-dir", dir })
      assert.equal(2, result.code)
      assert.equal("lmr: too many words; usage: lmr verify [JOB]\n", result.err)
   end)
end)
