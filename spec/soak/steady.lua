-- Random jobs, disturbed: lua5.4 spec/soak/steady.lua FIRST_SEED LAST_SEED
--
-- Each seed makes a job by chance (declared reducers, grouped keys, steps, rounds, map only, side outputs, counters,
-- total order) and runs it twice into a directory: with one worker and in peace, and with some workers of which now
-- and then one is killed. Both must give the same files and the same counters. Prints the seeds that differ, with the
-- directory that holds both results, and exits 1 when there are any.
local function shell(command)
   local pipe = assert(io.popen(command .. "; echo $?"))
   local out = pipe:read("a")
   pipe:close()
   return out:match("^(.-)(%d+)\n$")
end

local lmr = os.getenv("LMR") or "build/" .. (os.getenv("LMR_BUILD") or "release") .. "/lmr"
local dir = shell("mktemp -d"):match("^[^\n]+")

local function write(name, content)
   local file = assert(io.open(dir .. "/" .. name, "wb"))
   assert(file:write(content))
   file:close()
   return dir .. "/" .. name
end

local function pick(list) return list[math.random(#list)] end

local numbers = { "mr.sum", "mr.mean", "mr.min", "mr.max", "mr.quantiles { 0.1, 0.5, 0.99 }",
   "mr.all { n = mr.count, total = mr.sum, some = mr.list }" }
local anything = { "mr.count", "mr.first", "mr.last", "mr.list", "mr.distinct", "mr.top(3)",
   "mr.top(2, { by = least })", "mr.approx_distinct { error = 0.05 }" }

local keys = {
   "n % 17", "('key' .. n % 301)", "n % 3 == 0 and n % 7 or tostring(n % 11)", "{ n % 5, n % 3 }",
   "{ 'a\\0' .. n % 4, n / 4, n % 2 == 0 }", "n / 8", "('long'):rep(n % 50)",
}

-- The fields of one step; `last` may format what it likes, others must keep values that the next can use.
local function make_step(first)
   local step = {}
   local key = pick(keys)
   local value = pick { "n % 1000", "n / 7", "n % 3 == 0 and n or n + 0.5" }
   local reducer = pick(math.random(2) == 1 and numbers or anything)
   local fields = reducer:find("^mr.all") ~= nil
   local shown = fields and "{ total = v, some = v }" or "v"
   local read = first and "local n = tonumber(line:match('%d+')) or 0"
      or "local n = #tostring(key) * 31 + #mr.json_encode(line)"
   step[#step + 1] = ([[map = function(key, line, emit, state)
      %s
      for i = 1, n %% %d do
         n = n * 7 + i
         local k, v = %s, %s
         emit(k, %s)
         mr.increment("soak", "emits")
         mr.increment("soak", "sum", v / 3)
         if n %% 50 == 0 then mr.output("side" .. n %% 2, k, math.random(1000)) end
      end
   end]]):format(read, pick { 2, 5, 12 }, key, value, shown)
   if math.random(5) > 1 then
      if math.random(3) == 1 then
         step[#step + 1] = [[reduce = function(key, values, emit)
            local n, last = 0, nil
            for v in values do n, last = n + 1, v end
            emit(key, { n, last, math.random(10) })
         end]]
      else
         step[#step + 1] = "reduce = " .. reducer
         if math.random(2) == 1 then step[#step + 1] = "combine = " .. reducer end
      end
      step[#step + 1] = "reducers = " .. pick { 1, 2, 5 }
      if key:find("^{") then step[#step + 1] = "group_by = " .. pick { 1, 2 } end
      if math.random(4) == 1 then step[#step + 1] = "total_order = true" end
   else
      step[#step + 1] = "reducers = 0"
   end
   return table.concat(step, ",\n   ")
end

local function make_case(seed)
   math.randomseed(seed)
   local case, lines = { seed = seed }, {}
   for i = 1, pick { 0, 1, 40, 2000, 6000 } do lines[i] = math.random(100000) .. (" "):rep(math.random(0, 40)) end
   write("in.txt", table.concat(lines, "\n") .. "\n")
   local body = make_step(true)
   if math.random(3) == 1 then body = ("steps = { { %s },\n { %s } }"):format(body, make_step(false)) end
   write("job.lua", ([[local mr = require "mr"
local function least(v) return -v end
return mr.job { job_name = "steady", output = %q,
   %s }
]]):format(pick { "text", "jsonl" }, body))
   case.options = ("--split-size %s --sort-buffer %s%s"):format(pick { "1K", "3K", "64K" },
      pick { "64K", "128K", "1M" }, pick { "", " --compress-runs" })
   case.profile = pick { "testing", "testing", "production" }
   return case
end

local function command(case, out, workers)
   return ("%s run %s/job.lua %s/in.txt --quiet --seed %d --profile %s --set retry.base_delay_seconds=0.05 " ..
      "--state-dir %s/state %s --workers %d -o %s/%s --overwrite"):format(lmr, dir, dir, case.seed, case.profile, dir,
      case.options, workers, dir, out)
end

-- Runs in the background; kills a worker (the newest) a few times.
local function run_disturbed(case)
   return shell(([[%s 2>&1 &
      driver=$!
      for pause in 0.0%d 0.%d 0.7; do
         sleep $pause
         worker=$(ps -o pid= --ppid $driver | sort -R | head -n 1)
         [ -n "$worker" ] && kill -9 $worker 2>/dev/null
      done
      wait $driver]]):format(command(case, "disturbed", math.random(2, 3)), math.random(2, 9), math.random(1, 3)))
end

local function counters(out)
   return (shell(("jq -S -c '[.counters, .records_in, .files]' %s/%s/_MANIFEST.json 2>&1"):format(dir, out)))
end

local function differs(case)
   local said, code = shell(command(case, "peace", 1) .. " 2>&1")
   if code ~= "0" then return ("in peace: exit code %s: %s"):format(code, said) end
   said, code = run_disturbed(case)
   if code ~= "0" then return ("disturbed: exit code %s: %s"):format(code, said) end
   said = shell(("diff -r -x _MANIFEST.json %s/peace %s/disturbed 2>&1 | head -c 400"):format(dir, dir))
   if said ~= "" then return said end
   local a, b = counters("peace"), counters("disturbed")
   return a ~= b and ("counters or files: %s\n   %s"):format(a, b) or nil
end

local first, last, bad = tonumber(arg[1]), tonumber(arg[2]), 0
for seed = first, last do
   local difference = differs(make_case(seed))
   if difference then
      bad = bad + 1
      local kept = ("%s/seed-%d"):format(dir, seed)
      shell(("mkdir -p %s && cp -r %s/in.txt %s/job.lua %s/peace %s/disturbed %s/ 2>/dev/null"):format(kept, dir, dir,
         dir, dir, kept))
      print(("seed %d: %s\n   kept in %s"):format(seed, difference:sub(1, 1000), kept))
   end
   shell(("rm -rf %s/peace %s/disturbed"):format(dir, dir))
end
if bad == 0 then shell("rm -rf " .. dir) end
print(("%d seeds, %d differ"):format(last - first + 1, bad))
os.exit(bad == 0)
