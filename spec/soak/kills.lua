-- One job and many kill -9: lua5.4 spec/soak/kills.lua [SEED [KILLS]]     (1, 100)
--
-- A job of two steps and 500 tasks runs once in peace; then once more while its driver and its workers are killed at
-- random moments (the seed says which and when), with lmr resume after each death of the driver. It must end with the
-- same files, each task committed once and no record put aside. Prints what was killed; exits 1 when it is not so.
local seed, kills = tonumber(arg[1] or 1), tonumber(arg[2] or 100)

local function capture(command)
   local pipe <close> = assert(io.popen(command))
   return (pipe:read("a"):gsub("\n$", ""))
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local root = capture("pwd -P")
local lmr = os.getenv("LMR") or root .. "/build/" .. (os.getenv("LMR_BUILD") or "release") .. "/lmr"
local dir = capture("mktemp -d")

local function read(name)
   local file <close> = io.open(dir .. "/" .. name, "rb")
   return file and file:read("a")
end

local function write(name, content)
   local file <close> = assert(io.open(dir .. "/" .. name, "wb"))
   assert(file:write(content))
end

local function fail(text, ...)
   print(text:format(...))
   print("kept: " .. dir)
   os.exit(false)
end

-- The waiting is in init: a worker that dies there has no record to blame, so that two kills are never taken for
-- a record that kills.
write("job.lua", [[
local mr = require "mr"
local function rest() mr.sleep(0.04) return {} end
return mr.job { job_name = "kills", split_size = "2K",
   recovery = {
      retry = { max_retries = 200, base_delay_seconds = 0.01, max_delay_seconds = 0.05 },
      on_error = { task_crash = { max_retries = 200 } },
      limits = { max_attempts = 500 }, restart_intensity = { restarts = 10000, within_seconds = 1 },
      retry_budget = { tokens = 10000 },
   },
   steps = {
      { init = rest, reducers = 50, combine = mr.sum, reduce = mr.sum,
        map = function(_, line, emit) for w in mr.words(line) do emit(w, #w / 7) end end },
      { init = rest, reducers = 2, map = function(word, n, emit) emit(math.floor(n), word) end,
        reduce = function(n, words, emit)
           local list = {}
           for w in words do list[#list + 1] = w end
           mr.increment("words", "seen", #list)
           emit(n, table.concat(list, " ", 1, math.min(5, #list)))
        end },
   },
}]])

local lines = {}
math.randomseed(7)
for i = 1, 30000 do lines[i] = ("w%d and word %d of %d"):format(math.random(5000), math.random(900), i) end
write("in.txt", table.concat(lines, "\n") .. "\n")

-- Starts lmr; its process id. The file "end" holds its exit code once it is over.
local function start(words)
   os.remove(dir .. "/end")
   os.remove(dir .. "/pid")
   write("start.sh", ("cd %s\nexport LMR_STATE_DIR=%s/state\nunset LMR_WORK_DIR LMR_PROFILE\n"
      .. "sh -c 'echo $$ >pid.new; mv pid.new pid; exec %s %s </dev/null >>out.log 2>&1'\n"
      .. "echo $? >end.new\nmv end.new end\n"):format(quote(dir), quote(dir), lmr, words))
   os.execute(("sh %s/start.sh >/dev/null 2>&1 &"):format(quote(dir)))
   for _ = 1, 1000 do
      local pid = read("pid")
      if pid then return tonumber(pid) end
      os.execute("sleep 0.01")
   end
   fail("lmr does not start")
end

local function ended() return tonumber(read("end")) end

local function wait(seconds)
   for _ = 1, seconds * 20 do
      if ended() then return ended() end
      os.execute("sleep 0.05")
   end
   fail("not done after %d seconds", seconds)
end

local function workers(driver)
   local list = {}
   for pid in capture(("pgrep -P %d"):format(driver)):gmatch("%d+") do list[#list + 1] = pid end
   return list
end

local function result(name)
   local text = capture(("cd %s/%s && LC_ALL=C ls -A && cat part-*"):format(quote(dir), name))
   local counters = read(name .. "/_MANIFEST.json"):match('"counters": *(%b{})')
   return text .. counters .. tostring(read(name .. "/_MANIFEST.json"):match('"files": *(%b[])'))
end

start("run -o peace --workers 2 --seed 3 job.lua in.txt")
if wait(300) ~= 0 then fail("the job fails in peace: %s", read("out.log")) end

math.randomseed(seed)
local count = { driver = 0, worker = 0, late = 0 }
local run = "run -o killed --workers 2 --seed 3 job.lua in.txt"
local driver = start(run)
while count.driver + count.worker < kills do
   os.execute(("sleep %.3f"):format(0.02 + 0.12 * math.random()))
   local code = ended()
   if code then
      fail("ended with %d after %d kills: %s", code, count.driver + count.worker, read("out.log"):sub(-2000))
   end
   local pids = workers(driver)
   if math.random(3) == 1 or #pids == 0 then
      os.execute("kill -9 " .. driver)
      count.driver = count.driver + 1
      if wait(60) ~= 137 then fail("the driver ends with %d", ended()) end
      local begun = capture(("sqlite3 -readonly %s/state/kills-2/journal.db \"select 1 from job where key = 'state'\" "
         .. "2>/dev/null"):format(quote(dir)))
      if begun ~= "1" then fail("killed before it began; take another seed") end
      driver = start("resume")
   elseif os.execute(("kill -9 %s 2>/dev/null"):format(pids[math.random(#pids)])) then
      count.worker = count.worker + 1
   else
      count.late = count.late + 1
   end
end
if wait(300) ~= 0 then fail("it ends with %d: %s", ended(), read("out.log"):sub(-2000)) end

local function number(query)
   return tonumber(capture(("sqlite3 -readonly %s/state/kills-2/journal.db %s"):format(quote(dir), quote(query))))
end
local twice = number("select count(*) from (select 1 from attempt where outcome = 'committed' and (task glob "
   .. "'*map_*' or task glob '*reduce_*') group by step, round, task having count(*) > 1)")
print(("%d kills of the driver and %d of workers in a job of %d tasks; %d attempts have crashed, %d tasks committed "
   .. "more than once"):format(count.driver, count.worker, number("select count(*) from task"),
   number("select count(*) from attempt where outcome = 'task_crash'"), twice))
if twice > 0 then fail("done twice") end
if result("peace") ~= result("killed") then fail("the results differ") end
os.execute("rm -rf " .. quote(dir))
print("identical")
