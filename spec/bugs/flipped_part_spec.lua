-- A part that had committed and lost a byte before the job went on was published as it was: its size was right.
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job {
   job_name = "flipped",
   map = function(_, line, emit) emit(line, 1) end,
   reduce = function(key, values, emit)
      if mr.task().id == "reduce_1" and not os.rename("mended", "mended") then error("not yet") end
      emit(key, 1)
      mr.output("side", key, 1)
   end,
   reducers = 2,
}
]]

local function stopped()
   local at = h.tmpdir()
   h.write(at, "job.lua", JOB)
   h.write(at, "in.txt", "a\nb\nc\nd\ne\nf\ng\nh\n")
   local options = { dir = at, env = { LMR_STATE_DIR = at .. "/state" } }
   local result = h.run({ "run", "-o", "out", "--workers", "1", "--set", "on_error.script_error=fail", "job.lua",
      "in.txt" }, options)
   assert.equal(1, result.code, result.err)
   h.write(at, "mended", "")
   return at, options
end

local function result_of(at)
   return h.sh("cat out/part-* out/side-*", { dir = at }).out
end

local function resumed(damage)
   local at, options = stopped()
   if damage then
      local path = h.sh("ls out/.lmr-flipped-1/" .. damage, { dir = at }).out:match("[^\n]+")
      local content = h.read(at .. "/" .. path)
      h.write(at, path, string.char(content:byte(1) ~ 1) .. content:sub(2))
   end
   local result = h.run({ "resume" }, options)
   assert.equal(0, result.code, result.err)
   local tasks = h.sh("sqlite3 -readonly state/flipped-1/journal.db "
      .. "\"select task from attempt where outcome = 'committed' group by task having count(*) > 1\"", { dir = at })
   return result_of(at), tasks.out
end

describe("lmr resume", function()
   it("runs a reduce again whose part or side output is not as it was written", function()
      local whole, none = resumed()
      assert.equal("", none)
      assert.equal(16, #h.lines(whole))
      for _, damage in ipairs { "reduce_0.*part", "reduce_0.*side*" } do
         local result, again = resumed(damage)
         assert.equal(whole, result)
         assert.equal("reduce_0\n", again)
      end
   end)
end)
