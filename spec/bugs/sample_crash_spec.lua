-- A record that killed its worker ended a job in total order, whatever its profile said: the sample tried it until no
-- attempt was left.
local h = require "spec.helper"

describe("a record that kills the worker that samples it", function()
   local function run(dir, how)
      local job = h.write(dir, "job.lua", ([[
         local mr = require "mr"
         return mr.job { reducers = 3, total_order = true, map = function(_, line, emit)
            if line == "5" or line == "17" then %s end
            emit(tonumber(line), 1)
         end, reduce = mr.sum }
      ]]):format(how))
      local lines = {}
      for i = 1, 300 do lines[i] = tostring(i) end
      h.write(dir, "in", table.concat(lines, "\n") .. "\n")
      return h.run({ "run", "--workers", "2", "--set", "retry.base_delay_seconds=0", "--set",
         "retry_budget.tokens=1000", "--set", "limits.progress_timeout_seconds=1", "-o", dir .. "/out", job,
         dir .. "/in" }, { timeout = 60, env = { LMR_STATE_DIR = dir .. "/state" } })
   end

   local function check(dir, result)
      assert.equal(3, result.code, result.err)
      local keys = h.sh("cut -f 1 " .. dir .. "/out/part-*").out
      local expected = {}
      for i = 1, 300 do
         if i ~= 5 and i ~= 17 then expected[#expected + 1] = tostring(i) end
      end
      assert.equal(table.concat(expected, "\n") .. "\n", keys)
      assert.truthy(h.exists(dir .. "/out/part-00002"))
   end

   it("is passed over by the sample, and put aside by the map", function()
      local dir = h.tmpdir()
      check(dir, run(dir, "os.exit(9)"))
   end)

   it("is passed over when it hangs", function()
      local dir = h.tmpdir()
      check(dir, run(dir, "while true do end"))
   end)
end)
