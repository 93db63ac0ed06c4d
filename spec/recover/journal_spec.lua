-- The journal as a user reads it, with sqlite3, while the job runs.
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job {
   job_name = "reading",
   map = function(_, line, emit)
      while mr.task().id == "map_2" and not os.rename("go", "go") do mr.progress() end
      emit(line, 1)
   end,
   reduce = mr.sum, reducers = 2, split_size = 4,
}
]]

local function query(at, sql)
   local result = h.sh("sqlite3 -readonly $LMR_STATE_DIR/reading-1/journal.db " .. h.quote(sql),
      { env = { LMR_STATE_DIR = at .. "/state" } })
   return result.out, result
end

local function place()
   local at = h.tmpdir()
   h.write(at, "job.lua", JOB)
   h.write(at, "in.txt", "a b\nc d\ne f\ng h\n")
   return at
end

local function start(at)
   return h.background({ "run", "--workers", "2", "-o", "out", "job.lua", "in.txt" },
      { dir = at, env = { LMR_STATE_DIR = at .. "/state" } })
end

local RUNNING = "select task || '.' || attempt || ' ' || worker from running"

describe("the journal", function()
   it("tells a reader what runs and what is done, while the job runs", function()
      local at = place()
      local job = start(at)
      h.poll(20, function() return query(at, "select count(*) from task"):match("^3") end)
      local task, worker = query(at, RUNNING):match("^(%S+) (%d+)\n$")
      assert.equal("map_2.0", task)
      assert.truthy(h.exists("/proc/" .. worker))
      assert.equal("running\n", (query(at, "select value from job where key = 'state'")))
      assert.equal("map_0\nmap_1\nmap_3\n", (query(at, "select task from task order by task")))
      assert.equal("4|8\n", (query(at, "select first, last from split where task = 'map_1'")))
      assert.equal("run|1\n", (query(at, "select kind, records from file where task = 'map_3'")))
      h.write(at, "go", "")
      assert.equal(0, job:wait(30).code)
      assert.equal("", (query(at, RUNNING)))
      assert.equal("complete\n", (query(at, "select value from job where key = 'state'")))
   end)

   it("describes its tables where a reader looks for it", function()
      local at = place()
      h.write(at, "go", "")
      assert.equal(0, start(at):wait(30).code)
      local schema = query(at, ".schema")
      for _, table_name in ipairs { "job", "step", "split", "task", "attempt", "running", "file", "checkpoint",
         "garbage", "counter", "event" } do
         assert.matches("CREATE TABLE " .. table_name .. " %(", schema)
      end
      assert.matches("%-%- a row is the commit of a task", schema)
   end)

   it("is read by the queries of lmr help journal", function()
      local at = place()
      local job = start(at)
      h.poll(20, function() return query(at, "select count(*) from task"):match("^3") end)
      local queries = 0
      for sql in h.run({ "help", "journal" }).out:gmatch("(select .-;)\n") do
         local out, result = query(at, sql)
         assert.equal(0, result.code, result.err)
         assert.equal("", result.err)
         if sql:find("running") then assert.matches("^map_2|0|%d+|%d+\n$", out) end
         queries = queries + 1
      end
      assert.equal(3, queries)
      h.write(at, "go", "")
      assert.equal(0, job:wait(30).code)
   end)

   it("keeps the names of attempts that died with their driver", function()
      local at = place()
      local job = start(at)
      h.poll(20, function() return query(at, "select count(*) from task"):match("^3") end)
      job:kill("KILL")
      job:wait(20)
      assert.matches("^map_2%.0 ", (query(at, RUNNING)))
      h.write(at, "go", "")
      local resumed = h.run({ "resume" }, { dir = at, env = { LMR_STATE_DIR = at .. "/state" } })
      assert.equal(0, resumed.code, resumed.err)
      assert.equal("0|ended|the driver was killed while it ran\n1|committed|\n",
         (query(at, "select attempt, outcome, message from attempt where task = 'map_2' order by attempt")))
      assert.equal("", (query(at, RUNNING)))
   end)
end)
