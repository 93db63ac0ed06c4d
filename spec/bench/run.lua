-- The runner: see run.sh for how it is called and rows.lua for what it measures.
local WORK = "build/bench/run/" -- results and reports of the commands; emptied all the time
local RUNS, MIB = 5, 1024       -- the greatest resident size comes in KiB

local groups = dofile("spec/bench/rows.lua")
local options = { runs = RUNS, lmr = "build/release/lmr", check = true, only = nil, list = false }

local function quote(text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function shell(command)
   local ok, _, code = os.execute(command)
   if not ok then error(("this failed with exit code %s: %s"):format(code, command), 0) end
end

local function capture(command)
   local pipe <close> = assert(io.popen(command))
   return (pipe:read("a"):gsub("%s+$", ""))
end

local function read(path)
   local file <close> = assert(io.open(path, "rb"))
   return file:read("a")
end

local function tell(format, ...)
   io.stderr:write(format:format(...), "\n")
end

local function sorted_names(t)
   local names = {}
   for name in pairs(t) do names[#names + 1] = name end
   table.sort(names)
   return names
end

-- ---------------------------------------------------------------- options

local function usage(message)
   tell("run.sh: %s", message)
   tell("usage: spec/bench/run.sh [--only GROUP,…] [--runs N] [--lmr PATH] [--no-check] [--list]")
   os.exit(2)
end

local takes_value = {
   ["--only"] = function(value)
      options.only = {}
      for name in value:gmatch("[^,]+") do options.only[name] = true end
   end,
   ["--runs"] = function(value)
      options.runs = math.tointeger(tonumber(value))
      if not options.runs or options.runs < 0 then usage("--runs needs a number; 0: only compare results") end
   end,
   ["--lmr"] = function(value) options.lmr = value end,
}

local function parse_options(arguments)
   local i = 1
   while arguments[i] do
      local argument = arguments[i]
      if takes_value[argument] then
         takes_value[argument](arguments[i + 1] or usage(argument .. " needs a value"))
         i = i + 2
      elseif argument == "--no-check" then
         options.check = false
         i = i + 1
      elseif argument == "--list" then
         options.list = true
         i = i + 1
      else
         usage("no such option: " .. argument)
      end
   end
end

local function choose_groups()
   local chosen, known = {}, {}
   for _, group in ipairs(groups) do
      known[group.name] = true
      if not options.only or options.only[group.name] then chosen[#chosen + 1] = group end
   end
   for name in pairs(options.only or {}) do
      if not known[name] then usage("no group is called " .. name .. "; --list shows them") end
   end
   return chosen
end

-- ---------------------------------------------------------------- running a command

local cores = math.tointeger(tonumber(capture("nproc")))
-- What is measured are two cores, also where there are more.
local pinned = cores > 2 and { "taskset", "-c", "0,1" } or {}

local function result_files(group, name)
   local base = WORK .. group.name .. "." .. name
   return { out = base .. ".out", err = base .. ".err", report = base .. ".report", dir = base }
end

local function command_line(group, name, files)
   local words = table.move(pinned, 1, #pinned, 1, {})
   for _, argument in ipairs(group.commands[name]) do
      argument = argument == "LMR" and options.lmr or argument
      argument = argument == "@" and (group.inputs and group.inputs[name] or group.input) or argument
      words[#words + 1] = argument:gsub("^OUT", files.dir)
   end
   for i, word in ipairs(words) do words[i] = quote(word) end
   return table.concat(words, " ")
end

-- Runs one command of a group once; what it took is returned.
local function measure(group, name)
   local files = result_files(group, name)
   shell(("rm -rf %s && mkdir -p %s build/bench/state && sync"):format(files.dir, files.dir))
   shell(("build/bench/tools/measure %s %s %s %s"):format(files.report, files.out, files.err,
      command_line(group, name, files)))
   local wall, user, system, size, code = read(files.report):match("(%S+) (%S+) (%S+) (%S+) (%S+)")
   if code ~= (group.codes and group.codes[name] or "0") then
      error(("%s of group %s ended with exit code %s:\n%s"):format(name, group.name, code, read(files.err)), 0)
   end
   local taken = { wall = tonumber(wall), cpu = tonumber(user) + tonumber(system), size = tonumber(size) / MIB }
   tell("   %-8s %7.2f s, CPU %7.2f s, %5.0f MiB", name, taken.wall, taken.cpu, taken.size)
   return taken
end

-- ---------------------------------------------------------------- checking results

-- A shell command that prints the result of a group's command.
local function print_result(group, name)
   local files = result_files(group, name)
   local in_dir = table.concat(group.commands[name], " "):find("OUT", 1, true)
   return in_dir and ("cat %s/[!_]*"):format(files.dir) or ("cat %s"):format(files.out)
end

local function digest(group, name)
   local result = print_result(group, name)
   if group.check == "lines" then result = result .. " | LC_ALL=C sort -S1G" end
   return capture(result .. " | sha256sum")
end

local function check_results(group)
   local names = sorted_names(group.commands)
   for _, name in ipairs(names) do measure(group, name) end
   if group.check == "none" then return end
   if math.type(group.check) == "integer" then
      local lines = tonumber(capture(print_result(group, names[1]) .. " | wc -l"))
      if lines ~= group.check then
         error(("group %s: %d lines, not %d"):format(group.name, lines, group.check), 0)
      end
      return
   end
   local first = digest(group, names[1])
   for i = 2, #names do
      if digest(group, names[i]) ~= first then
         error(("group %s: %s and %s give different results (see %s)"):format(group.name, names[1], names[i],
            WORK), 0)
      end
   end
end

-- ---------------------------------------------------------------- numbers

local function summarize(samples, field)
   local values = {}
   for i, sample in ipairs(samples) do values[i] = sample[field] end
   table.sort(values)
   local middle = #values // 2
   local median = #values % 2 == 1 and values[middle + 1] or (values[middle] + values[middle + 1]) / 2
   return { median = median, min = values[1], max = values[#values] }
end

-- The ratio of two commands in each run, so that what both suffered from falls out.
local function ratios(ours, theirs, field)
   local list = {}
   for i in ipairs(ours) do list[i] = { ratio = ours[i][field] / theirs[i][field] } end
   return summarize(list, "ratio")
end

local function seconds(t)
   local format = t.median < 1 and "%.3f (%.3f-%.3f)" or "%.2f (%.2f-%.2f)"
   return format:format(t.median, t.min, t.max)
end

-- ---------------------------------------------------------------- tables

local function length(text)
   return utf8.len(text) or #text
end

local function print_table(rows)
   local widths = {}
   for _, row in ipairs(rows) do
      for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, length(cell)) end
   end
   for n, row in ipairs(rows) do
      local cells = {}
      for i, cell in ipairs(row) do cells[i] = cell .. (" "):rep(widths[i] - length(cell)) end
      print("| " .. table.concat(cells, " | ") .. " |")
      if n == 1 then
         for i, width in ipairs(widths) do cells[i] = ("-"):rep(width) end
         print("| " .. table.concat(cells, " | ") .. " |")
      end
   end
end

local function verdict(value, target, aim)
   if not target then return "" end
   if value > target then return "MISSED" end
   return aim and value <= aim and "aim reached" or "holds"
end

local function limit_text(sign, value, unit)
   return value and ("%s %g%s"):format(sign, value, unit) or ""
end

-- A row of the table: work, ours, against, theirs, what counts, target, aim, verdict.
local function table_row(row, samples)
   local ours, field = samples[row.ours], row.by or "wall"
   local wall = summarize(ours, field)
   if row.limit_mib then
      local size = summarize(ours, "size")
      return { row.work, seconds(wall), "", "", ("%.0f MiB (%.0f-%.0f)"):format(size.median, size.min, size.max),
         limit_text("≤", row.limit_mib, " MiB"), "", verdict(size.max, row.limit_mib) }
   end
   local theirs = summarize(samples[row.theirs], field)
   local cells = { row.work, seconds(wall), row.other, seconds(theirs) }
   if row.extra_seconds then
      local extra = wall.median - theirs.median
      return table.move({ ("%+.1f ms"):format(extra * 1000), limit_text("≤", row.extra_seconds * 1000, " ms"), "",
         verdict(extra, row.extra_seconds) }, 1, 4, 5, cells)
   end
   local ratio, spread = wall.median / theirs.median, ratios(ours, samples[row.theirs], field)
   return table.move({ ("%.3f × (%.3f-%.3f)"):format(ratio, spread.min, spread.max),
      limit_text("≤", row.target, " ×"), limit_text("", row.aim, " ×"), verdict(ratio, row.target, row.aim) },
      1, 4, 5, cells)
end

local function print_results(measured)
   local rows = { { "work", "lmr, s", "against", "other, s", "lmr : other", "target", "aim", "" } }
   local details = { { "group", "command", "runs", "wall, s", "CPU, s", "greatest process, MiB" } }
   for _, entry in ipairs(measured) do
      for _, row in ipairs(entry.group.rows) do rows[#rows + 1] = table_row(row, entry.samples) end
      for _, name in ipairs(sorted_names(entry.samples)) do
         local samples = entry.samples[name]
         details[#details + 1] = { entry.group.name, name, tostring(#samples), seconds(summarize(samples, "wall")),
            seconds(summarize(samples, "cpu")), ("%.0f"):format(summarize(samples, "size").max) }
      end
   end
   print("Medians of the runs, in brackets the least and the greatest; ratios in brackets are those of single runs.\n")
   print_table(rows)
   print()
   print_table(details)
end

-- ---------------------------------------------------------------- main

local function run_group(group)
   local names, samples = sorted_names(group.commands), {}
   for _, name in ipairs(names) do samples[name] = {} end
   if options.check then
      tell("%s: one run of each command, results compared", group.name)
      check_results(group)
   end
   local runs = options.runs * (group.runs_factor or 1)
   for run = 1, runs do
      tell("%s: run %d of %d", group.name, run, runs)
      for i = 1, #names do -- each run starts with another command
         local name = names[(i + run) % #names + 1]
         table.insert(samples[name], measure(group, name))
      end
   end
   shell("rm -rf " .. WORK .. "* build/bench/state")
   return { group = group, samples = samples }
end

local function exists(path)
   return os.rename(path, path) ~= nil
end

local function need_input(path, make)
   if not exists(path) and make then
      tell("making %s", path)
      shell(("%s >%s.new && mv %s.new %s"):format(make, path, path, path))
   end
   if not exists(path) then error(path .. " is missing; spec/bench/corpus.sh makes it", 0) end
end

local function need_inputs(chosen)
   for _, group in ipairs(chosen) do
      need_input(group.input, group.make)
      for _, input in pairs(group.inputs or {}) do need_input(input) end
   end
end

local function main()
   parse_options(arg)
   local chosen = choose_groups()
   if options.list then
      for _, group in ipairs(groups) do print(group.name, table.concat(sorted_names(group.commands), ", ")) end
      return
   end
   need_inputs(chosen)
   shell("mkdir -p " .. WORK)
   print(("%d cores%s, load %s, %s"):format(cores, cores > 2 and " (two used)" or "",
      read("/proc/loadavg"):match("%S+"), capture(quote(options.lmr) .. " version 2>&1")))
   local measured, failures = {}, 0
   for _, group in ipairs(chosen) do
      local ok, result = pcall(run_group, group)
      if ok and options.runs > 0 then
         measured[#measured + 1] = result
      elseif not ok then
         failures = failures + 1
         tell("run.sh: group %s could not be measured: %s", group.name, result)
      end
   end
   if measured[1] then
      print_results(measured)
   elseif failures == 0 then
      print("the results of each group are equal")
   end
   return failures
end

local ok, result = pcall(main)
if not ok then tell("run.sh: %s", result) end
os.exit(ok and (result or 0) == 0)
