-- Random jobs against a plain loop: lua5.4 spec/soak/differential.lua FIRST_SEED LAST_SEED
--
-- Each seed makes an input, a job and options by chance, runs the real lmr, and compares what it wrote with what
-- a single-process Lua loop of a few lines gives: sorts with a comparison of its own, groups, reduces. Prints the
-- seeds that differ, with the command that repeats them, and exits 1 when there are any.
package.path = "./?.lua;" .. package.path

local function shell(command)
   local pipe = assert(io.popen(command .. "; echo $?"))
   local out = pipe:read("a")
   pipe:close()
   return out
end

local function quote(text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local lmr = os.getenv("LMR") or "build/" .. (os.getenv("LMR_BUILD") or "release") .. "/lmr"
local dir = shell("mktemp -d"):match("^[^\n]+")

-- What both sides share: how a line becomes pairs, and how keys and values are written.
local shared = [==[
local shared = {}

-- A key out of a number: every kind there is, with many that are equal and some that are prefixes of others.
function shared.key(n, kind)
   local small = n % 7
   if kind == "mixed" then kind = ({ "string", "integer", "float", "boolean", "array" })[n % 5 + 1] end
   if kind == "string" then return ("\0ab\255a"):rep(small % 3):sub(1, n % 11) .. (n % 3 == 0 and "" or "x") end
   if kind == "integer" then
      return ({ 0, -1, 1, 2 ^ 53 | 0, (2 ^ 53 | 0) + 1, math.mininteger, math.maxinteger })[small + 1]
   end
   if kind == "float" then return ({ 0.5, -0.0, 1.0, -1e300, 2.0 ^ 53, 1 / 0, 1e-300 })[small + 1] end
   if kind == "boolean" then return n % 2 == 0 end
   if kind == "pair" then return { shared.key(n // 7, "mixed_scalar"), n % 5 } end
   if kind == "triple" then return { ("ab\0"):rep(small % 4), n % 3, (n // 3) % 4 / 2 } end
   if kind == "mixed_scalar" then
      return shared.key(n, ({ "string", "integer", "float", "boolean" })[n % 4 + 1])
   end
   local list = {}
   for i = 1, n % 4 do list[i] = shared.key(n // 5 + i, "mixed_scalar") end
   return list
end

-- -> list of { key, value }
function shared.pairs_of(line, kind, emits)
   local list, n = {}, tonumber(line:match("%d+"))
   for i = 1, n and n % (emits + 1) or 0 do
      list[i] = { shared.key(n // 3 + i * 31, kind), (n * i) % 1000 - 300 }
   end
   return list
end

-- 1 and 1.0 are one key: both are written as an integer.
function shared.show(v)
   if type(v) == "number" then
      local i = math.tointeger(v)
      return i and ("%d"):format(i) or ("%.17g"):format(v)
   end
   if type(v) == "string" then return (("%q"):format(v):gsub("\n", "n")) end
   if type(v) ~= "table" then return tostring(v) end
   local list = {}
   for i, element in ipairs(v) do list[i] = shared.show(element) end
   return "{" .. table.concat(list, ",") .. "}"
end

return shared
]==]

local function write(name, content)
   local file = assert(io.open(dir .. "/" .. name, "wb"))
   assert(file:write(content))
   file:close()
   return dir .. "/" .. name
end
write("shared.lua", shared)
local common = assert(load(shared))()

-- How a reduce shows a group: what depends on the order of the values, or does not once combined.
local reduces = {
   list = [[local list = {}
      for v, full in values do list[#list + 1] = v .. (full and with_key and shared.show(full) or "") end
      emit(shared.show(key) .. "=" .. table.concat(list, " "))]],
   sum = [[local sum = 0 for v in values do sum = sum + v end emit(shared.show(key) .. "=" .. sum)]],
}

local job_text = [==[
local mr = require "mr"
local shared = require "shared"
local with_key = %s
return mr.job {
   job_name = "differential",
   map = function(_, line, emit)
      for _, pair in ipairs(shared.pairs_of(line, %q, %d)) do emit(pair[1], pair[2]) end
   end,
   combine = %s,
   reduce = function(key, values, emit) %s end,
   group_by = %d, total_order = %s, reducers = %d,
}
]==]

local combines = {
   none = "nil",
   lua = "function(key, values, emit) local sum = 0 for v in values do sum = sum + v end emit(key, sum) end",
}

local function pick(list) return list[math.random(#list)] end

local function make_case(seed)
   math.randomseed(seed)
   local case = { seed = seed, lines = {} }
   for i = 1, pick { 0, 1, 5, 300, 4000 } do
      case.lines[i] = math.random(1000000) .. (" "):rep(math.random(0, 60)) .. pick { "", "x", "\r" }
   end
   case.grouped = pick { 0, 0, 1, 2 }
   case.kind = case.grouped > 0 and pick { "pair", "triple" }
      or pick { "string", "integer", "mixed", "array", "triple", "float" }
   case.emits = pick { 1, 3, 9 }
   case.combine = pick { "none", "none", "lua" }
   case.reduce = case.combine == "none" and pick { "list", "sum" } or "sum"
   case.total_order = math.random(3) == 1
   case.reducers = pick { 1, 1, 2, 5 }
   case.options = ("--workers %d --split-size %s --sort-buffer %s%s"):format(math.random(3),
      pick { "1K", "3K", "64K" }, pick { "64K", "80K", "1M" }, pick { "", " --compress-runs" })
   return case
end

-- --- the plain loop ---

local ranks = { boolean = 1, number = 2, string = 3, table = 4 }

-- −1, 0, 1, as the keys are said to be ordered.
local function compare(a, b)
   local ranked = ranks[type(a)] - ranks[type(b)]
   if ranked ~= 0 then return ranked end
   if type(a) == "boolean" then return (a and 1 or 0) - (b and 1 or 0) end
   if type(a) ~= "table" then return a < b and -1 or a > b and 1 or 0 end
   for i = 1, math.min(#a, #b) do
      local order = compare(a[i], b[i])
      if order ~= 0 then return order end
   end
   return #a - #b
end

local function group_of(key, n)
   if n == 0 then return key end
   if n == 1 then return key[1] end
   return table.move(key, 1, n, 1, {})
end

local function expected_lines(case)
   local pairs_list = {}
   for _, line in ipairs(case.lines) do
      for _, pair in ipairs(common.pairs_of(line, case.kind, case.emits)) do
         pairs_list[#pairs_list + 1] = { key = pair[1], value = pair[2], at = #pairs_list }
      end
   end
   table.sort(pairs_list, function(a, b)
      local order = compare(a.key, b.key)
      return order < 0 or order == 0 and a.at < b.at
   end)
   local lines, i = {}, 1
   while i <= #pairs_list do
      local group, sum, shown = group_of(pairs_list[i].key, case.grouped), 0, {}
      while i <= #pairs_list and compare(group_of(pairs_list[i].key, case.grouped), group) == 0 do
         local pair = pairs_list[i]
         sum = sum + pair.value
         shown[#shown + 1] = pair.value .. (case.grouped > 0 and common.show(pair.key) or "")
         i = i + 1
      end
      lines[#lines + 1] = common.show(group) .. "=" .. (case.reduce == "sum" and sum or table.concat(shown, " "))
   end
   return lines
end

-- --- one seed ---

local function run(case)
   local job = write("job.lua", job_text:format(case.grouped > 0, case.kind, case.emits,
      combines[case.combine], reduces[case.reduce], case.grouped, case.total_order, case.reducers))
   local ending = case.seed % 2 == 0 and #case.lines > 0 and "\n" or ""
   local input = write("input.txt", table.concat(case.lines, "\n") .. ending)
   case.command = ("%s run %s %s --quiet --profile testing --state-dir %s %s"):format(quote(lmr), quote(job),
      quote(input), quote(dir .. "/state"), case.options)
   local out = shell(case.command .. " 2>&1")
   local text, code = out:match("^(.-)(%d+)\n$")
   local lines = {}
   for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
   return lines, tonumber(code)
end

local function differs(case)
   local expected = expected_lines(case)
   local found, code = run(case)
   if code ~= 0 then return ("exit code %d: %s"):format(code, table.concat(found, " / ")) end
   if case.reducers > 1 and not case.total_order then
      table.sort(expected)
      table.sort(found)
   end
   for i = 1, math.max(#expected, #found) do
      if expected[i] ~= found[i] then
         return ("line %d: expected %s, found %s"):format(i, expected[i], found[i])
      end
   end
   return nil
end

local first, last, bad = tonumber(arg[1]), tonumber(arg[2]), 0
for seed = first, last do
   local case = make_case(seed)
   local difference = differs(case)
   if difference then
      bad = bad + 1
      print(("seed %d: %s\n   lua5.4 spec/soak/differential.lua %d %d\n   %s"):format(seed,
         difference:sub(1, 500), seed, seed, case.command))
   end
end
os.execute("rm -rf " .. quote(dir))
print(("%d seeds, %d differ"):format(last - first + 1, bad))
os.exit(bad == 0)
