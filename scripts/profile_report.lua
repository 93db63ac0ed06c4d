-- profile_report.lua: what `lmr profile list|show|check|diff|explain` print: loads profiles and tells about them, as
-- lines for a reader or as one line of JSON.
local job_module = require "mr.job"
local layers = require "mr.profile_layers"
local mr = require "mr"
local profile = require "mr.profile"
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

-- --- values as text ---

local units = { { 1 << 40, "T" }, { 1 << 30, "G" }, { 1 << 20, "M" }, { 1 << 10, "K" } }
local sizes = { memory_limit = true, max_memory = true }

-- 536870912 → "512M", so that it may be given to --set as it is.
function M.size(bytes)
   for _, unit in ipairs(units) do
      if bytes > 0 and bytes % unit[1] == 0 then return ("%d%s"):format(bytes // unit[1], unit[2]) end
   end
   return tostring(bytes)
end

local function number(value)
   return math.tointeger(value) and tostring(math.tointeger(value)) or ("%.14g"):format(value)
end

-- A value as --set takes it; `key` is the last part of its name.
function M.value(key, value)
   if type(value) == "table" then
      if value["function"] then return "function" end
      return table.concat(value, ",")
   end
   if type(value) ~= "number" then return tostring(value) end
   return sizes[key] and M.size(value) or number(value)
end

-- --- tables of lines ---

-- Rows of texts as lines, each column as wide as its widest text (in characters).
function M.columns(rows)
   local widths, lines = {}, {}
   for _, row in ipairs(rows) do
      for i, text in ipairs(row) do widths[i] = math.max(widths[i] or 0, utf8.len(text) or #text) end
   end
   for _, row in ipairs(rows) do
      local line = {}
      for i, text in ipairs(row) do
         line[i] = text .. (" "):rep(widths[i] - (utf8.len(text) or #text))
      end
      lines[#lines + 1] = table.concat(line, "  "):gsub("%s+$", "")
   end
   return lines
end

local function text_of(lines)
   return #lines > 0 and table.concat(lines, "\n") .. "\n" or ""
end

local function json(value)
   return mr.json_encode(value) .. "\n"
end

-- --- loading ---

-- The effective profile of a name as the query's job and settings make it, and warnings.
local function load_named(query, job, name)
   return profile.load { name = name, recovery = job and job.recovery, set = query.set,
                         error_types = job and job.error_types }
end

-- Every value of an effective profile: { key, value (as data), text, source, kind }, in the order shown.
local function values_of(effective)
   local list = {}
   local function add(key, value)
      list[#list + 1] = { key = key, value = value, text = M.value(key:match("[^.]+$"), value),
                          source = effective.provenance[key] or "built-in", kind = schema.kind(key) }
   end
   for _, section in ipairs(schema.order) do
      for _, key in ipairs(validate.sorted_keys(effective[section])) do
         add(section .. "." .. key, effective[section][key])
      end
   end
   for _, name in ipairs(validate.sorted_keys(effective.on_error)) do
      local rule = effective.on_error[name]
      if type(rule) ~= "table" or rule["function"] then
         add("on_error." .. name, rule)
      else
         for _, key in ipairs(validate.sorted_keys(rule)) do add(("on_error.%s.%s"):format(name, key), rule[key]) end
      end
   end
   return list
end

local function heading(effective)
   return ("profile %s%s"):format(effective.name, effective.name ~= effective.path
      and (" (%s)"):format(effective.path) or "")
end

-- --- the commands ---

-- "-- production: the default." → "the default."
local function summary_of(text, name)
   local line = text:match("^%s*%-%-%s*([^\n]*)") or ""
   return (line:gsub("^" .. name:gsub("%p", "%%%0") .. ":%s*", ""))
end

local function list(query)
   local all, rows = {}, {}
   for i, name in ipairs(layers.names()) do
      local text = layers.read(name)
      all[i] = { name = name, summary = summary_of(text, name) }
      rows[i] = { name, all[i].summary }
   end
   return query.json and json(all) or text_of(M.columns(rows))
end

local function show(query, job)
   local effective, warnings = load_named(query, job, query.words[1])
   local values, rows = values_of(effective), {}
   if query.json then
      for _, one in ipairs(values) do one.text = nil end
      return json { name = effective.name, path = effective.path, values = values }, warnings
   end
   for i, one in ipairs(values) do rows[i] = { one.key, one.text, one.kind, one.source } end
   return text_of { heading(effective), "", table.unpack(M.columns(rows)) }, warnings
end

local function diff(query, job)
   local sides, keys, warnings = {}, {}, {}
   for i = 1, 2 do
      local effective, told = load_named(query, job, query.words[i])
      sides[i] = {}
      for _, one in ipairs(values_of(effective)) do
         if not keys[one.key] then keys[#keys + 1] = one.key end
         keys[one.key], sides[i][one.key] = true, one
      end
      table.move(told, 1, #told, #warnings + 1, warnings)
   end
   return keys, sides, warnings
end

-- Two functions are the same one where they stand at the same place.
local function differ(a, b)
   if a == nil or b == nil then return a ~= b end
   return a.text ~= b.text or a.text == "function" and a.source ~= b.source
end

local function side_text(one)
   if one == nil then return "-" end
   return one.text == "function" and "function " .. one.source or one.text
end

local function side_json(one)
   return one and { value = one.value, source = one.source } or mr.null
end

local function show_diff(query, job)
   local keys, sides, warnings = diff(query, job)
   local rows, all = { { "", query.words[1], query.words[2] } }, {}
   for _, key in ipairs(keys) do
      local a, b = sides[1][key], sides[2][key]
      if differ(a, b) then
         rows[#rows + 1] = { key, side_text(a), side_text(b) }
         all[#all + 1] = { key = key, a = side_json(a), b = side_json(b) }
      end
   end
   if query.json then return json { a = query.words[1], b = query.words[2], differences = all }, warnings end
   return #all > 0 and text_of(M.columns(rows)) or "no difference\n", warnings
end

-- --- check ---

local function count(n, what)
   return ("%d %s%s"):format(n, what, n == 1 and "" or "s")
end

local function is_none(max_quarantined)
   return max_quarantined == 0 or type(max_quarantined) == "string" and tonumber(max_quarantined:match("[%d.]+")) == 0
end

local function check_retry(rule, where, warn)
   if rule.base_delay_seconds > rule.max_delay_seconds and rule.strategy ~= "immediate" then
      warn(where .. "base_delay_seconds",
         "%sbase_delay_seconds = %s is more than max_delay_seconds = %s: every delay is %s s", where,
         number(rule.base_delay_seconds), number(rule.max_delay_seconds), number(rule.max_delay_seconds))
   end
end

-- What is allowed, but hardly meant.
local function suspicions(effective)
   local all = {}
   local function warn(key, format, ...)
      all[#all + 1] = ("%s: %s"):format(effective.provenance[key] or effective.path, format:format(...))
   end
   local limits = effective.limits
   check_retry(effective.retry, "retry.", warn)
   if effective.retry.max_retries >= limits.max_attempts then
      warn("retry.max_retries", "retry.max_retries = %d is never reached: limits.max_attempts = %d ends a task before",
         effective.retry.max_retries, limits.max_attempts)
   end
   if effective.retry_budget.tokens < 1 and effective.retry.max_retries > 0 then
      warn("retry_budget.tokens", "retry_budget.tokens = %s: not one retry may be made",
         number(effective.retry_budget.tokens))
   end
   for _, name in ipairs(validate.sorted_keys(effective.on_error)) do
      local rule = effective.on_error[name]
      local puts_aside = rule == "quarantine" or type(rule) == "table" and rule.on_exhausted == "quarantine"
      if puts_aside and is_none(limits.max_quarantined) then
         warn("on_error." .. name,
            "on_error.%s is quarantine, but limits.max_quarantined is 0: no record may be put aside", name)
      end
   end
   for _, name in ipairs(validate.sorted_keys(effective.rules)) do
      local last = effective.rules[name][#effective.rules[name]]
      if last and last.kind == "table" and last.max_retries >= limits.max_attempts and
         type(effective.on_error[name]) == "table" and effective.on_error[name].max_retries then
         warn(("on_error.%s.max_retries"):format(name), "on_error.%s.max_retries = %d is never reached: "
            .. "limits.max_attempts = %d ends a task before", name, last.max_retries, limits.max_attempts)
      end
   end
   return all
end

-- How many functions may be asked.
local function functions_in(effective)
   local known, n = {}, 0
   local function visit(number_of)
      if number_of and not known[number_of] then known[number_of], n = true, n + 1 end
   end
   for _, chain in pairs(effective.rules) do
      for _, rule in ipairs(chain) do
         visit(rule.ref)
         visit(type(rule.strategy) == "table" and rule.strategy["function"])
      end
   end
   visit(type(effective.retry.strategy) == "table" and effective.retry.strategy["function"])
   return n
end

local function check(query, job)
   local effective, warnings = load_named(query, job, query.words[1])
   local functions = functions_in(effective)
   for _, one in ipairs(suspicions(effective)) do warnings[#warnings + 1] = one end
   for _, one in ipairs(require "mr.profile_explain".problems(query, job)) do warnings[#warnings + 1] = one end
   if query.json then
      return json { name = effective.name, path = effective.path, warnings = warnings, functions = functions,
                    good = true }, {}
   end
   return ("%s: a good profile, with %s and %s\n"):format(query.words[1], count(functions, "function"),
      count(#warnings, "warning")), warnings
end

-- Loaded when it is asked for; it needs this module.
local function explain(query, job)
   return require "mr.profile_explain".run(query, job)
end

local commands = { list = list, show = show, diff = show_diff, check = check, explain = explain }

-- Answers a query (host/script/profile.h); `job` is what its job file returned, or nil.
function M.run(query, job)
   if query.type and query.command ~= "explain" then job_module.usage("--type is for lmr profile explain") end
   local text, warnings = commands[query.command](query, job)
   return { text = text, warnings = warnings or {} }
end

M.load_named, M.heading, M.text_of, M.json, M.number = load_named, heading, text_of, json, number

return M
