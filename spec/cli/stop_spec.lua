-- `lmr stop` and `lmr checkpoint`, which ask the driver of a running job, and the progress that it tells `lmr show`.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

-- Waits at line 1500 for the file "go"; with SLOW it is slow from there on instead, so that it can be asked.
local JOB = [[
local mr = require "mr"
return mr.job { job_name = "job",
   map = function(_, line, emit)
      if line == "1500" then
         io.open("there", "w"):close()
         while not io.open("go") do mr.sleep(0.01) end
      end
      emit(tonumber(line) % 100, 1)
   end, reduce = mr.sum }
]]

local SLOW = JOB:gsub('if line == "1500" then', 'if tonumber(line) >= 1500 and not io.open("go") then')
   :gsub('while not io.open%("go"%) do mr.sleep%(0.01%) end', "mr.sleep(0.05)")

local function place(job)
   local dir = h.tmpdir()
   local lines = {}
   for i = 1, 3000 do lines[i] = i .. "\n" end
   h.write(dir, "in.txt", table.concat(lines))
   h.write(dir, "job.lua", job or JOB)
   return { dir = dir, state = dir .. "/state", env = { LMR_STATE_DIR = dir .. "/state" } }
end

local function lmr(p, ...)
   return h.run({ ... }, { dir = p.dir, env = p.env })
end

local function start(p)
   local job = h.background({ "run", "--quiet", "job.lua", "in.txt", "-o", "out", "--workers", "1", "--split-size",
      "5K" }, { dir = p.dir, env = p.env })
   h.poll(20, h.exists, p.dir .. "/there")
   return job
end

-- Lines n with n % 100 == k, a plain loop.
local function expected()
   local list = {}
   for k = 0, 99 do list[#list + 1] = ("%d\t30\n"):format(k) end
   return table.concat(list)
end

describe("lmr stop", function()
   it("stops a running job, which resume ends with the same result", function()
      local p = place(SLOW)
      local job = start(p)
      local told = lmr(p, "stop", "job")
      assert.equal("", told.err)
      assert.equal(0, told.code)
      assert.equal("job-1 is stopped; lmr resume job-1 goes on\n", told.out)
      local ended = job:wait(20)
      assert.equal(75, ended.code)
      assert.equal("stopped", cjson.decode(lmr(p, "show", "--json").out).state)
      h.write(p.dir, "go", "")
      assert.equal(0, lmr(p, "resume", "--quiet").code)
      assert.equal(expected(), h.read(p.dir .. "/out/part-00000"))
   end)

   it("says of a job that does not run how it stands, and what to do", function()
      local p = place()
      h.write(p.dir, "go", "")
      assert.equal(0, lmr(p, "run", "--quiet", "job.lua", "in.txt", "-o", "done").code)
      for _, command in ipairs { "stop", "checkpoint" } do
         local told = lmr(p, command, "job-1")
         assert.equal(2, told.code)
         assert.equal("lmr: job-1 is not running: it is complete (lmr show job-1)\n", told.err)
      end
      os.remove(p.dir .. "/go")
      os.remove(p.dir .. "/there")
      local job = start(p)
      job:kill("KILL")
      job:wait(20)
      for _, command in ipairs { "stop", "checkpoint" } do
         local told = lmr(p, command, "job-2", "--state-dir", p.state)
         assert.equal(2, told.code)
         assert.matches("if it has gone, lmr resume job-2 --state-dir " .. p.state .. " goes on", told.err, 1, true)
      end
   end)

   it("wants one job that there is", function()
      local p = place()
      h.write(p.dir, "go", "")
      assert.equal(0, lmr(p, "run", "--quiet", "job.lua", "in.txt", "-o", "done").code)
      for _, command in ipairs { "stop", "checkpoint" } do
         local told = lmr(p, command)
         assert.equal(2, told.code)
         assert.equal(("lmr: which job? usage: lmr %s JOB; lmr jobs lists them\n"):format(command), told.err)
         assert.matches("is it 'job'?", lmr(p, command, "jop").err, 1, true)
         assert.matches("one job at a time; usage: lmr " .. command, lmr(p, command, "job-1", "job-1").err, 1, true)
      end
   end)
end)

describe("lmr show of a running job", function()
   it("tells of each attempt how many records and bytes it has taken", function()
      local p = place()
      local job = start(p)
      local told
      h.poll(20, function()
         told = cjson.decode(lmr(p, "show", "--json").out)
         return told.running[1] and told.running[1].records
      end)
      local attempt = told.running[1]
      assert.equal(1, #told.running)
      assert.equal("map_1.0", attempt.attempt)
      -- Lines that begin before the split are those of the one before.
      local from = tonumber(h.sh("sqlite3 -readonly state/job-1/journal.db "
         .. "\"SELECT first FROM split WHERE task = 'map_1'\"", { dir = p.dir }).out)
      local first = #h.lines(h.read(p.dir .. "/in.txt"):sub(1, from)) + 1
      assert.equal(1500 - first, attempt.records)
      assert.is_true(attempt.bytes > 0 and attempt.bytes <= 5 * attempt.records) -- told now and then
      local text = lmr(p, "show").out
      assert.matches("\n  running +for +records +bytes +of it\n  map_1%.0 ", text)
      h.write(p.dir, "go", "")
      assert.equal(0, job:wait(20).code)
      assert.is_nil(cjson.decode(lmr(p, "show", "--json").out).running)
   end)
end)
