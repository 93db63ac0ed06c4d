-- A map that ran again, because a reduce had found its run corrupt, could be dropped (drop_task) while another reduce
-- had read the run before: its pairs were in one part of the result and missing in another. And it counted twice among
-- the tasks that are done (ctx.job.done).
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
local function path(name) return os.getenv("GATE") .. "/" .. name end
local function there(name) local file <close> = io.open(path(name)) return file ~= nil end
local function mark(name) assert(io.open(path(name), "w")):close() end
local function wait(name) mark(name .. ".waits") while not there(name) do mr.sleep(0.01) mr.progress() end end
return mr.job { reducers = 2,
   map = function(_, line, emit)
      local task = mr.task()
      if line == "1999" then wait("damaged") end
      if task.id == "map_0" and task.attempt > 0 and os.getenv("REJECT") then
         if not there("map_0") then wait("map_0") end
         mr.reject("not any more")
      end
      emit(line, 1)
   end,
   reduce = function(key, values, emit)
      if mr.task().id == "reduce_1" and not there("reduce_1") then wait("reduce_1") end
      if mr.task().id == "reduce_0" and not os.getenv("REJECT") then error("look") end
      emit(key, (values()))
   end,
}
]]

-- Begins the job and damages map_0's run before a reduce reads it.
local function begin(dir, policy, env)
   local job, lines = h.write(dir, "job.lua", JOB), {}
   for i = 1, 2000 do lines[i] = tostring(i) end
   h.write(dir, "in", table.concat(lines, "\n") .. "\n")
   h.write(dir, "my.lua", "return { retry = { strategy = \"immediate\" }, on_error = { " .. policy .. " } }")
   env.GATE = dir
   local running = h.background({ "run", "--workers", "2", "--split-size", "5K", "--profile", dir .. "/my.lua", "-o",
      dir .. "/out", job, dir .. "/in" }, { env = env })
   h.poll(20, function()
      return h.sh("sqlite3 -readonly " .. dir .. "/state/*/journal.db 'select * from task'").out:find("map_0")
   end)
   local run = h.sh("ls " .. dir .. "/out/.lmr-*/map_0.0.run").out:gsub("\n", "")
   local file <close> = assert(io.open(run, "r+b"))
   assert(file:seek("set", 100))
   local byte = file:read(1):byte()
   assert(file:seek("set", 100))
   assert(file:write(string.char(byte ~ 1)))
   file:close()
   h.write(dir, "damaged", "")
   return running
end

describe("a map that runs again for its run was corrupt", function()
   it("is not dropped when another reduce uses what it wrote first", function()
      local dir = h.tmpdir()
      local running = begin(dir, "bad_record = \"drop_task\"", { REJECT = "1", LMR_STATE_DIR = dir .. "/state" })
      h.poll(20, h.exists, dir .. "/reduce_1.waits")
      h.poll(20, h.exists, dir .. "/map_0.waits")
      h.write(dir, "map_0", "")
      h.poll(20, function()
         return h.sh(("sqlite3 -readonly %s/state/*/journal.db \"select * from attempt where outcome = 'bad_record'\"")
            :format(dir)).out ~= ""
      end)
      h.write(dir, "reduce_1", "")
      local result = running:wait(20)
      assert.equal(1, result.code, result.err)
      assert.truthy(result.err:find("cannot go on without this task", 1, true), result.err)
      assert.falsy(h.exists(dir .. "/out/part-00001"))
   end)

   it("counts once among the tasks that are done", function()
      local dir = h.tmpdir()
      local running = begin(dir, [[script_error = function(_, ctx)
         return { action = "fail", reason = ("%d of %d are done"):format(ctx.job.done, ctx.job.tasks) }
      end]], { LMR_STATE_DIR = dir .. "/state" })
      h.poll(20, h.exists, dir .. "/reduce_1.waits")
      local function reason()
         return h.sh(("sqlite3 -readonly %s/state/*/journal.db 'select reason from attempt where reason is not null'")
            :format(dir)).out
      end
      h.poll(20, function() return reason():find("are done") end)
      h.write(dir, "reduce_1", "")
      local result = running:wait(20)
      assert.equal(1, result.code, result.err)
      assert.truthy(reason():find("2 of 4 are done", 1, true), reason())
   end)
end)
