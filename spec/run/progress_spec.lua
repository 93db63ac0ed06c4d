-- The live line of a real job on a terminal: what stands in it over four seconds, and that nothing of it is left.
local assert = require "luassert"
local h = require "spec.helper"

describe("the live line", function()
   it("tells phase, tasks, share done, records and bytes a second, and the time left, and goes", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", ("0123456789abcde\n"):rep(80))
      h.write(dir, "go.sh", "stty cols 120\nexec lmr run -m 'mr.sleep(0.05) mr.status(\"at \" .. key) " ..
         "emit(value, 1)' -r sum in.txt --workers 1 --split-size 1K -o out\n")
      local result = h.sh("TERM=xterm NO_COLOR=1 script -qec 'sh go.sh' /dev/null", { dir = dir })
      assert.are.equal(0, result.code)
      local phases, seen, with_rates = {}, 0, 0
      for line in result.out:gmatch("\r\27%[J([^\r\n\27]+)") do
         seen = seen + 1
         local phase, done, tasks, percent = line:match("^(%a+) (%d+)/(%d+) tasks? %(1 running%)  (%d+) %%")
         if phase then
            phases[phase] = true
            assert.is_true(tonumber(done) < tonumber(tasks) and tonumber(percent) <= 100, line)
         end
         if line:find("^map 1/2 tasks %(1 running%)  %d+ %%  %d+ records/s  %d+ B/s  ETA %d+ s  at %d+$") then
            with_rates = with_rates + 1
         end
      end
      assert.is_true(phases.map)
      -- A task of few and slow records tells how far it is before it ends.
      assert.is_true(result.out:find("map 0/2 tasks %(1 running%)  [2-4]%d %%") ~= nil, result.out)
      assert.is_true(seen > 10 and with_rates > 0, result.out)
      -- After the last line of progress and its clearing stands the summary, without a sign that steers the terminal.
      local rest = result.out:match(".*\r\27%[J(.*)$")
      assert.matches("^lmr: one_liner%-%d+: complete\r\n", rest)
      assert.is_nil(rest:find("running", 1, true))
   end)
end)
