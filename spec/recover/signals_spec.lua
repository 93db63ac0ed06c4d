-- Stopped from outside: by a signal, by Ctrl-C in a terminal, by `stop` on the control socket. A stopped job is
-- checkpointed, says how it is gone on with, and comes to the result of one that nobody disturbed.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

-- Each map leaves a file as it begins; the first ones wait for `go`.
local slow = [[
local mr = require "mr"
return mr.job { job_name = "slow", split_size = "2K", reducers = 2,
   map = function(_, line, emit)
      local task = mr.task().id
      if mr.task().record == 1 then io.open("begun-" .. task, "w"):close() end
      for word in mr.words(line) do emit(word, 1) end
      if task ~= "map_0" and not io.open("go") then mr.sleep(0.02) end
   end,
   combine = mr.sum, reduce = mr.sum }
]]

local function input()
   local lines = {}
   for i = 1, 900 do lines[i] = ("w%d x%d y%d some words to fill it up"):format(i % 7, i % 11, i) end
   return table.concat(lines, "\n") .. "\n"
end

local function place()
   local at = m.place(slow, input())
   h.write(at.dir, "go", "")
   assert.equal(0, m.run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
   os.remove(at.dir .. "/go")
   for _, name in ipairs(h.ls(at.dir)) do
      if name:match("^begun") then os.remove(at.dir .. "/" .. name) end
   end
   return at
end

local function start(at)
   local job = h.background({ "run", "-o", "out", "--workers", "2", "job.lua", "in.txt" }, m.options(at))
   h.poll(20, function() return m.number(at, "slow-2", m.commits) >= 1 and h.exists(at.dir .. "/begun-map_2") end)
   return job
end

local function goes_on(at, command)
   h.write(at.dir, "go", "")
   local result = h.sh("lmr " .. command:gsub("^lmr ", "") .. " -q", m.options(at))
   assert.equal(0, result.code, result.err)
   assert.equal(m.result_of(at, "ref"), m.result_of(at, "out"))
   assert.same({}, m.done_twice(at, "slow-2"))
end

local reasons = "SELECT reason FROM checkpoint ORDER BY number DESC LIMIT 1"

describe("a job that is stopped", function()
   it("by a signal is checkpointed, and says how to go on", function()
      for signal, code in pairs { INT = 130, TERM = 143, HUP = 129 } do
         local at = place()
         local job = start(at)
         job:kill(signal)
         local result = job:wait(20)
         assert.equal(code, result.code, result.err)
         assert.equal("stopped", m.rows(at, "slow-2", m.states)[1])
         assert.equal("signal", m.rows(at, "slow-2", reasons)[1])
         local command = result.err:match("\nlmr: to go on: ([^\n]+)\n$")
         assert.equal("lmr resume slow-2", command)
         goes_on(at, command)
      end
   end)

   it("is told with the state directory that it was given", function()
      local at = place()
      local dir = at.dir .. "/it's here"
      local job = h.background({ "run", "-o", "out", "--state-dir", dir, "job.lua", "in.txt" }, m.options(at))
      h.poll(20, function() return h.exists(at.dir .. "/begun-map_1") end)
      job:kill("TERM")
      local result = job:wait(20)
      assert.equal(143, result.code, result.err)
      local command = result.err:match("\nlmr: to go on: ([^\n]+)\n$")
      assert.equal("lmr resume slow-1 --state-dir '" .. dir:gsub("'", "'\\''") .. "'", command)
      h.write(at.dir, "go", "")
      result = h.sh(command, m.options(at))
      assert.equal(0, result.code, result.err)
      assert.equal(m.result_of(at, "ref"), m.result_of(at, "out"))
   end)

   it("ends at once by a second signal, and can be gone on with", function()
      local at = place()
      local job = start(at)
      h.sh(("while kill -s TERM %d; do :; done 2>/dev/null"):format(job:pid()))
      local result = job:wait(20)
      assert.equal(143, result.code, result.err)
      assert.equal("stopped", m.rows(at, "slow-2", m.states)[1])
      goes_on(at, result.err:match("\nlmr: to go on: ([^\n]+)\n$"))
   end)

   it("by Ctrl-C in a terminal is hit in its driver alone", function()
      local at = place()
      local result = h.sh(("%s begun-map_2 $LMR run -o out --workers 2 job.lua in.txt"):format(h.tool("terminal")),
         m.options(at))
      assert.equal(130, result.code, result.out)
      assert.equal("0", m.rows(at, "slow-2", "SELECT count(*) FROM attempt WHERE signal = 2")[1])
      assert.equal("0", m.rows(at, "slow-2", "SELECT count(*) FROM attempt WHERE outcome = 'task_crash'")[1])
      assert.matches("to go on: lmr resume slow%-2\r?\n", result.out)
      goes_on(at, "lmr resume slow-2")
   end)

   it("by demand exits with 75", function()
      local at = place()
      local job = start(at)
      local asked = h.sh(h.tool("control_probe") .. " state/slow-2 stop", m.options(at))
      assert.equal(0, asked.code, asked.err)
      assert.matches('"ok":%s*true', asked.out)
      local result = job:wait(20)
      assert.equal(75, result.code, result.err)
      assert.matches("stopped by lmr stop", result.err, 1, true)
      assert.equal("stopped", m.rows(at, "slow-2", m.states)[1])
      assert.equal("demand", m.rows(at, "slow-2", reasons)[1])
      goes_on(at, result.err:match("\nlmr: to go on: ([^\n]+)\n$"))
   end)

   it("while it is described leaves nothing", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", 'io.open("here", "w"):close() while true do end\n')
      local job = h.background({ "run", "-o", "out", "job.lua", "in.txt" }, { dir = dir })
      h.poll(20, function() return h.exists(dir .. "/here") end)
      job:kill("INT")
      local result = job:wait(20)
      assert.equal(130, result.code, result.err)
      assert.is_false(h.exists(dir .. "/out"))
      assert.is_nil(result.err:match("to go on"))
   end)

   it("while it reads standard input is not resumable, and does not say so", function()
      local at = m.place(slow, input())
      local job = h.background({ "run", "-o", "out", "job.lua", "-" }, m.options(at, { stdin_file = "/dev/zero" }))
      h.poll(20, function() return h.exists(at.dir .. "/state/slow-1/control.sock") end)
      local asked = h.sh(h.tool("control_probe") .. " state/slow-1 stop", m.options(at))
      assert.equal(0, asked.code, asked.err)
      local result = job:wait(20)
      assert.equal(75, result.code, result.err)
      assert.is_nil(result.err:match("to go on"))
      result = m.resume(at)
      assert.equal(2, result.code)
      assert.matches("cannot be resumed; run the job again", result.err, 1, true)
   end)

   it("tells what runs", function()
      local at = place()
      local job = start(at)
      local asked = h.sh(h.tool("control_probe") .. " state/slow-2 progress", m.options(at))
      assert.equal(0, asked.code, asked.err)
      assert.matches('"phase":%s*"map"', asked.out)
      assert.matches('"running":%s*%[', asked.out)
      assert.matches('"task":%s*"map_%d+"', asked.out)
      local fraction = tonumber(asked.out:match('"fraction":%s*([%d.e-]+)'))
      assert.is_true(fraction and fraction >= 0 and fraction <= 1, asked.out)
      asked = h.sh(h.tool("control_probe") .. " state/slow-2 nonsense", m.options(at))
      assert.matches("does not know that command", asked.out, 1, true)
      job:kill("KILL")
      job:wait(20)
   end)
end)
