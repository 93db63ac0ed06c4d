-- What recovery makes of jobs that fail, in numbers: lua5.4 spec/soak/recovery.lua FIRST_SEED LAST_SEED
--
-- 1,000 tasks under a virtual clock (spec/tools/recovery_sim.c), with the rules of the real production profile, each
-- seed once for each share of attempts that fail. Prints what came of it: the share of the jobs that was done, and
-- least, mean and most of retries, seconds waited (added up over tasks), what was left of the retry budget when it was
-- lowest, and the attempts of the task that had most. Exits 1 when fewer than 99.9 % of the jobs were done where every
-- tenth attempt fails, or it took a minute for each thousand.
local tool = "build/" .. (os.getenv("LMR_BUILD") or "release") .. "/tools/recovery_sim"
local first, last = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2]))
if not first or not last then
   io.stderr:write("usage: lua5.4 spec/soak/recovery.lua FIRST_SEED LAST_SEED\n")
   os.exit(2)
end

local function now()
   local file <close> = assert(io.open("/proc/uptime"))
   return file:read("n")
end

local function add(sums, name, value)
   local sum = sums[name] or { n = 0, total = 0, least = math.huge, most = -math.huge }
   sums[name] = sum
   sum.n, sum.total = sum.n + 1, sum.total + value
   sum.least, sum.most = math.min(sum.least, value), math.max(sum.most, value)
end

local function simulate(options)
   local pipe = assert(io.popen(("%s %d %d %s"):format(tool, first, last - first + 1, options)))
   local begun = now()
   local found = { done = 0, runs = 0, ends = {}, sums = {} }
   for line in pipe:lines() do
      local seed, how, fields = line:match("^(%d+) (%a+) (tasks=.*)$")
      assert(seed, line)
      found.runs = found.runs + 1
      found.ends[how] = found.ends[how] or seed
      if how == "done" then found.done = found.done + 1 end
      for name, value in fields:gsub(" why=.*$", ""):gmatch("([%a_]+)=([%d.]+)") do
         if name ~= "log" then add(found.sums, name, tonumber(value)) end
      end
   end
   assert(pipe:close())
   found.seconds = now() - begun
   return found
end

local function report(what, options)
   local found = simulate(options)
   print(("%s: %.2f %% of %d jobs done, in %.1f s"):format(what, 100 * found.done / found.runs, found.runs,
      found.seconds))
   for _, name in ipairs { "committed", "attempts", "retries", "waited", "budget_least", "most_attempts" } do
      local sum = found.sums[name]
      print(("   %-14s %10.1f … %10.1f … %10.1f"):format(name, sum.least, sum.total / sum.n, sum.most))
   end
   for how, seed in pairs(found.ends) do
      if how ~= "done" then print(("   %s, as seed %s: %s %s 1 %s"):format(how, seed, tool, seed, options)) end
   end
   return found
end

local tenth = report("every tenth attempt fails", "percent=10")
local crashes = report("every tenth attempt crashes at once", "percent=10 kinds=crash scale=0.05")
local poison = report("every tenth attempt fails, and 20 records kill", "percent=10 poison=20")
report("a fifth of the attempts fails", "percent=20")
report("30 % of the attempts fail", "percent=30")
report("30 % of the attempts fail, with a budget of 1,000", "percent=30 set=retry_budget.tokens=1000")
report("every attempt fails", "percent=100")

local good = tenth.seconds < 60 * math.max(1, (last - first + 1) / 1000)
for _, found in ipairs { tenth, crashes, poison } do good = good and found.done >= 0.999 * found.runs end
print(good and "good enough" or "NOT good enough")
os.exit(good)
