-- The crash sweep, bounded: of each kind of failpoint there is, one kill, in the first job that comes to it; some
-- kills of the resume too; workers likewise. All of them: lua5.4 spec/soak/crash.lua.
local h = require "spec.helper"
local jobs = require "spec.soak.crash_jobs"
local sweep = require "spec.soak.crash_sweep"

local stride = h.sanitized and 97 or 37

describe("a job whose driver is killed", function()
   local sweeps = {}
   lazy_setup(function()
      for n, job in ipairs(jobs) do
         sweeps[n] = sweep.new(h.tmpdir(), h.binary, job)
      end
   end)

   it("is the same after a kill at each kind of failpoint", function()
      local seen = {}
      for n, s in ipairs(sweeps) do
         for i, site in ipairs(s.sites) do
            if not seen[site] or n == 1 and i % stride == 0 then
               seen[site] = true
               s:kill_driver(i)
            end
         end
      end
   end)

   it("is the same when its resume is killed too", function()
      for n, s in ipairs(sweeps) do
         local i, j = #s.sites * n // (#sweeps + 1), 3 + n * stride // #sweeps
         while n % 2 == 1 and s:kill_driver(i, j) ~= "not reached" do j = j + 3 * stride end
      end
   end)

   it("is the same when a worker is killed at each kind of failpoint", function()
      local seen = {}
      for _, s in ipairs(sweeps) do
         for j, site in ipairs(s.worker_sites) do
            if not seen[site] then
               seen[site] = true
               assert.truthy(s:kill_worker(j), site)
            end
         end
      end
   end)

   it("passes each failpoint that is listed, and no other", function()
      local passed = {}
      for _, s in ipairs(sweeps) do s:classes(passed) end
      assert.same(sweep.listed(h.root), passed)
   end)
end)
