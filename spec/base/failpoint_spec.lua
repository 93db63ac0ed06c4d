-- LMR_FAILPOINT kills a process at a certain place, LMR_FAILPOINT_LOG says which there are.
local h = require "spec.helper"

local function place()
   local dir = h.tmpdir()
   h.write(dir, "job.lua", [[local mr = require "mr"
      return mr.job { reducers = 0, map = function(_, line, emit) emit(line) end }]])
   h.write(dir, "in", "one\ntwo\n")
   return dir
end

local function run(dir, env)
   env.LMR_STATE_DIR = dir .. "/state"
   return h.run({ "run", "--workers", "1", "--set", "retry.base_delay_seconds=0.01", "-o", "out", "job.lua", "in" },
      { dir = dir, env = env })
end

local function logged(dir, process)
   local list = {}
   for _, line in ipairs(h.lines(h.read(dir .. "/log") or "")) do
      if line:find(process .. " ", 1, true) == 1 then list[#list + 1] = line end
   end
   return list
end

local function killed(result)
   return result.code == 137 or result.signal == 9
end

describe("a failpoint", function()
   it("is logged, and not passed any more once it has killed the process", function()
      local dir = place()
      assert.equal(0, run(dir, { LMR_FAILPOINT_LOG = dir .. "/log" }).code)
      local all = logged(dir, "driver")
      assert.matches("^driver 1 [%w._-]+:before$", all[1])
      assert.equal(("driver %d journal.close:after"):format(#all), all[#all])
      h.sh("rm -rf log out state", { dir = dir })
      assert.truthy(killed(run(dir, { LMR_FAILPOINT = "driver:20", LMR_FAILPOINT_LOG = dir .. "/log" })))
      assert.same(table.move(all, 1, 20, 1, {}), logged(dir, "driver"))
   end)

   it("kills the process it names and no other", function()
      local dir = place()
      assert.equal(0, run(dir, { LMR_FAILPOINT = "policy:1" }).code)
   end)

   it("beyond the last kills nobody", function()
      assert.equal(0, run(place(), { LMR_FAILPOINT = "driver:100000" }).code)
   end)

   it("with a mark kills one process only", function()
      local dir = place()
      local result = run(dir, { LMR_FAILPOINT = "worker:2:" .. dir .. "/mark", LMR_FAILPOINT_LOG = dir .. "/log" })
      assert.equal(0, result.code, result.err)
      assert.matches("killed by signal 9", result.err)
      assert.truthy(h.exists(dir .. "/mark"))
      local second = 0
      for _, line in ipairs(logged(dir, "worker")) do second = second + (line:find("^worker 2 ") and 1 or 0) end
      assert.equal(2, second)
   end)

   it("that cannot be one is refused", function()
      for _, text in ipairs { "driver", "driver:", "driver:0", "driver:x", "driver:1:", ":1", "driver:1x",
            "driver:99999999999999999999", "driver:-1" } do
         local dir = place()
         local result = run(dir, { LMR_FAILPOINT = text })
         assert.equal(2, result.code, text)
         assert.equal('lmr: LMR_FAILPOINT is PROCESS:N or PROCESS:N:MARK, such as driver:12 (the 12th failpoint), and '
            .. 'not "' .. text .. '"\n', result.err)
         assert.falsy(h.exists(dir .. "/state"))
      end
   end)

   it("log that cannot be written is said", function()
      local result = run(place(), { LMR_FAILPOINT_LOG = "/no/such/folder" })
      assert.equal(2, result.code)
      assert.matches("open the log of failpoints.*/no/such/folder", result.err)
   end)
end)
