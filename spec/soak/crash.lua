-- Kills lmr at every failpoint of every job of spec/soak/crash_jobs.lua, resumes, and compares:
--
--    lua5.4 spec/soak/crash.lua [stride=N] [resume=I,J] [worker=N] [JOB…]
--
--    stride   each Nth failpoint of the driver (1)
--    resume   after a kill at each Ith failpoint of the driver, each Jth of the resume that follows (13,41)
--    worker   each Nth failpoint of the workers (1)
--    JOB      numbers of jobs (all)
--
-- Prints a line for each job; one line for each kill that did not come out well, and exits 1 then. Whole sweeps also
-- check that every site that host/base/README.md lists was passed, and no other.
package.path = "./?.lua;" .. package.path
local jobs = require "spec.soak.crash_jobs"
local sweep = require "spec.soak.crash_sweep"

local root = io.popen("pwd -P"):read("l")
local lmr = os.getenv("LMR") or root .. "/build/" .. (os.getenv("LMR_BUILD") or "release") .. "/lmr"
local dir = io.popen("mktemp -d"):read("l")
local set = { stride = "1", resume = "13,41", worker = "1" }
local FAILURES_MAX = 20
local chosen, failures = {}, 0

for _, word in ipairs(arg) do
   local name, value = word:match("^(%a+)=([%d,]+)$")
   if name and set[name] then set[name] = value
   else chosen[#chosen + 1] = assert(jobs[tonumber(word)], "no such job or option: " .. word) end
end
local whole = #chosen == 0
if whole then chosen = jobs end
local stride, worker_stride = tonumber(set.stride), tonumber(set.worker)
local first_stride, second_stride = set.resume:match("^(%d+),(%d+)$")
first_stride, second_stride = math.tointeger(first_stride), math.tointeger(second_stride)

local counts
local function try(f, ...)
   local ok, how = pcall(f, ...)
   if not ok then
      failures = failures + 1
      print("DIFFERS " .. tostring(how))
      os.execute(("cp -a %s %s-%d"):format(dir, dir, failures))
      print(("   copy: %s-%d"):format(dir, failures))
      assert(failures < FAILURES_MAX, "too many")
      how = "differs"
   end
   counts[how] = (counts[how] or 0) + 1
   return how
end

-- Where a thread passes failpoints beside the driver, one may have slipped between two runs.
local function fill(s, job)
   for round = 0, 99 do
      local i, name = s:missing()
      if not i then return end
      if round == 99 then
         failures = failures + 1
         print(("SKIPPED %s: %s"):format(job.name, name))
      end
      try(s.kill_driver, s, math.max(1, math.min(#s.sites, i + round % 17 - 8)))
   end
end

local function run(n, job)
   local s = sweep.new(dir .. "/" .. n, lmr, job)
   counts = {}
   for i = 1, #s.sites, stride do try(s.kill_driver, s, i) end
   if stride == 1 then fill(s, job) end
   local driver = counts
   counts = {}
   local phase = 0
   for i = 1, #s.sites, first_stride do
      local j = 1 + phase % second_stride -- not the same of each
      phase = phase + 5
      while try(s.kill_driver, s, i, j) ~= "not reached" do j = j + second_stride end
   end
   local resumes = counts
   counts = {}
   local j = 1
   while try(s.kill_worker, s, j) == true do j = j + worker_stride end
   local function sum(of, ...)
      local total = 0
      for _, how in ipairs { ... } do total = total + (of[how] or 0) end
      return total
   end
   print(("%d %s: %d failpoints of the driver; %d kills, %d identical (%d resumed, %d run again, %d were complete); "
      .. "%d kills of it and of its resume, %d identical; %d failpoints of a worker, %d kills, %d identical"):format(
      n, job.name, #s.sites,
      sum(driver, "resumed", "run again", "complete", "differs"),
      sum(driver, "resumed", "run again", "complete"), driver.resumed or 0, driver["run again"] or 0,
      driver.complete or 0, sum(resumes, "resumed", "run again", "complete", "differs"),
      sum(resumes, "resumed", "run again", "complete"),
      #s.worker_sites, sum(counts, true, "differs"), counts[true] or 0))
   return s
end

local passed = {}
for n, job in ipairs(jobs) do
   for _, one in ipairs(chosen) do
      if one == job then run(n, job):classes(passed) end
   end
end
if whole then
   local names = sweep.listed(".")
   for name in pairs(names) do
      if not passed[name] then failures = failures + 1 print("NOT PASSED " .. name) end
   end
   for name in pairs(passed) do
      if not names[name] then failures = failures + 1 print("NOT LISTED " .. name) end
   end
end
if failures == 0 then os.execute("rm -rf " .. dir) end
print(failures == 0 and "nothing lost" or failures .. " FAILED")
os.exit(failures == 0)
