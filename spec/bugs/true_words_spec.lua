-- Things that lmr said of failures and that were not so, or that did not work when typed.
local h = require "spec.helper"

local job = [[
local mr = require "mr"
return mr.job { job_name = "job", error_types = { "busy" },
   map = function(_, line, emit)
      if line == "7" then mr.fail("busy", "come later") end
      emit(line, 1)
   end,
   reduce = mr.sum }
]]
local mended = job:gsub('"7"', '"none"')

local function place(profile, text)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", text or job)
   h.write(dir, "my.lua", profile or "return {}")
   h.write(dir, "in.txt", table.concat({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, "\n") .. "\n")
   local options = { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
   local function lmr(...) return h.run({ ... }, options) end
   return lmr, dir, options
end

local function start(lmr)
   return lmr("run", "job.lua", "in.txt", "-o", "out", "--profile", "my.lua")
end

-- The first command under "next" of lmr why, typed.
local function type_next(lmr, options, pattern)
   local why = lmr("why").out
   local command = why:match("(lmr " .. pattern .. "[^\n]*)")
   assert.is_truthy(command, why)
   return h.sh(command, options), command
end

describe("what lmr says of failures", function()
   it("is a command that takes the place of a partial result", function()
      local lmr, dir, options = place "return { on_error = { busy = 'drop_task' } }"
      assert.equal(4, start(lmr).code)
      h.write(dir, "job.lua", mended)
      local result, command = type_next(lmr, options, "run")
      assert.equal(0, result.code, command .. "\n" .. result.err)
   end)

   it("offers no resume --quarantined for records of an earlier step", function()
      local steps = job:gsub("map = ", "steps = { { map = "):gsub("reduce = mr.sum }",
         "reduce = mr.sum }, { map = function(k, v, emit) emit(k, v) end, reduce = mr.sum } } }")
      local lmr, dir, options = place("return { on_error = { busy = 'quarantine' } }", steps)
      local result = start(lmr)
      assert.equal(3, result.code, result.err)
      assert.not_matches("%-%-quarantined", lmr("why").out)
      h.write(dir, "job.lua", (steps:gsub('"7"', '"none"')))
      local again, command = type_next(lmr, options, "run")
      assert.equal(0, again.code, command .. "\n" .. again.err)
   end)

   it("counts a task that failed before a resume as recovered", function()
      local lmr, dir = place "return { on_error = { busy = 'fail' } }"
      local result = start(lmr)
      assert.equal(1, result.code, result.err)
      assert.matches("recovery +0 of 1 task that failed,", result.err)
      h.write(dir, "job.lua", mended)
      result = lmr("resume")
      assert.equal(0, result.code, result.err)
      assert.matches("recovery +1 of 1 task that failed,", result.err)
      assert.matches("1 of 1 task that failed", lmr("show").out)
   end)

   it("counts a task once that failed, committed, and failed again in a resume --quarantined", function()
      local lmr = place [[return { on_error = { busy = { max_retries = 1, strategy = "immediate",
         on_exhausted = "quarantine" } } }]]
      assert.equal(3, start(lmr).code)
      local result = lmr("resume", "--quarantined")
      assert.equal(3, result.code, result.err)
      assert.matches("recovery +1 of 1 task that failed,", result.err)
      assert.matches("1 of 1 task that failed", lmr("show").out)
   end)

   it("says that the result of before stands when a resume --quarantined failed", function()
      local lmr, dir = place "return { on_error = { busy = 'quarantine' } }"
      assert.equal(3, start(lmr).code)
      h.write(dir, "my.lua", "return { on_error = { busy = 'fail' } }")
      local result = lmr("resume", "--quarantined")
      assert.equal(1, result.code, result.err)
      assert.is_true(h.exists(dir .. "/out/_SUCCESS"))
      assert.matches("the result of before", lmr("show").out)
   end)

   it("names one retry, one record, one reduce", function()
      local lmr = place "return { on_error = { busy = { max_retries = 1, on_exhausted = 'quarantine' } } }"
      local result = start(lmr)
      assert.equal(3, result.code, result.err)
      assert.matches("its 1 retry is used up", lmr("why").out)
      assert.matches("0 of 1 record holds now, 1 still fails", lmr("replay", "--quarantined").out)
      assert.matches("0 of 1 reduce runs again", lmr("resume", "--quarantined").err)
   end)

   it("names the profile and what it raised, be it no message", function()
      for raised, said in pairs { ["{}"] = "a table", [""] = "nil" } do
         local lmr = place("error(" .. raised .. ")")
         local result = lmr("profile", "check", "my.lua")
         assert.equal(2, result.code)
         assert.equal(("lmr: my.lua: it raised an error that is %s and no message\n"):format(said), result.err)
      end
   end)

   it("says of which strategy it is that fails", function()
      local lmr = place "return { retry = { strategy = function() error('no idea') end } }"
      local result = lmr("profile", "check", "my.lua")
      assert.matches("the strategy of my.lua:1 failed: .*no idea", result.err)
   end)
end)
