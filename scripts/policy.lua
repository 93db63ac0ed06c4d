-- policy.lua: what the policy host runs: loads a job's `recovery` and the profile as the driver's description had them,
-- gives a policy function its err and ctx, and brings what it returns into one form.
local _, native = ...
local job_module = require "mr.job"
local profile = require "mr.profile"
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

local REASON_MAX = 500

local functions = {} -- number → function, as scripts/profile.lua counts them
local known_types    -- error types of this job

-- --- loading ---

-- "my.lua:14" of a function.
local function place_of(f)
   local info = debug.getinfo(f, "S")
   if info.what == "C" then return "a function of Lua itself" end
   return ("%s:%d"):format(info.source:gsub("^[@=]", ""), info.linedefined)
end

local function keep_types(declared)
   known_types = {}
   for _, list in ipairs { schema.error_types, declared or {} } do
      for _, name in ipairs(list) do known_types[#known_types + 1] = name end
   end
end

-- What C takes: { profile, places, warnings }, and with the profile the job has now: adopted, report.
function M.open(job, config, previous)
   local context = validate.context(job_module.path, config.job and native.read(config.job))
   local effective, warnings, list = profile.load {
      name = config.profile, recovery = job.recovery, set = config.set, error_types = job.error_types,
      context = context,
   }
   functions = list
   keep_types(job.error_types)
   local places = {}
   for i, f in ipairs(list) do places[i] = place_of(f) end
   local loaded = { profile = effective, places = places, warnings = warnings }
   if previous then
      local change = require "mr.profile_change"
      loaded.adopted, loaded.report = change.adopt(previous, effective)
   end
   return loaded
end

-- --- what a function is given ---

local err_fields = {
   "type", "message", "traceback", "details", "task", "attempt", "worker", "exit_status", "signal", "file", "offset",
   "record", "key", "elapsed_seconds", "memory_peak", "fingerprint", "simulated",
}
local ctx_fields = {
   "attempt", "retry", "failures", "same_failures", "elapsed_seconds", "budget_left", "limits", "now", "job",
}
local job_fields = { "tasks", "done", "failures" }

-- Fields of `names` only. Reading another one is a mistyped name, and an error, not nil.
local function view(values, names, what)
   local kept, known = {}, {}
   for _, name in ipairs(names) do
      kept[name], known[name] = values[name], true
   end
   return setmetatable(kept, { __index = function(_, name)
      if known[name] then return nil end
      local near = type(name) == "string" and native.nearest(name, names)
      error(("%s has no field '%s'; %s"):format(what, tostring(name), near and ("is it '%s'?"):format(near)
         or "it has: " .. table.concat(names, ", ")), 2)
   end })
end

-- Lines "NAME<tab>VALUE" as a table.
local function details_of(text)
   local details = {}
   for name, value in (text or ""):gmatch("([^\t\n]+)\t([^\n]*)\n") do
      details[name] = value:find("^%-?%d") and tonumber(value) or value
   end
   return details
end

-- How often each error type occurred: 0 where it did not.
local function counts(failures)
   return setmetatable(failures or {}, { __index = function(_, name)
      for _, known in ipairs(known_types) do
         if known == name then return 0 end
      end
      local near = type(name) == "string" and native.nearest(name, known_types)
      error(("ctx.job.failures: no error type '%s'%s"):format(tostring(name), near and ("; is it '%s'?"):format(near)
         or ""), 2)
   end })
end

local function err_of(values)
   values.details = details_of(values.details)
   return view(values, err_fields, "err")
end

local function ctx_of(values)
   local job = values.job or {}
   job.failures = counts(job.failures)
   values.job = view(job, job_fields, "ctx.job")
   return view(values, ctx_fields, "ctx")
end

-- --- what it may return ---

local function refuse(_, format, ...)
   error(format:format(...), 0)
end

local function no_verdict(name)
   local near = native.nearest(name, schema.verdicts)
   refuse(nil, "returned \"%s\", which is no verdict; %s", name:sub(1, 60), near and ("is it \"%s\"?"):format(near)
      or "there are " .. table.concat(schema.verdicts, ", "))
end

local function action(value)
   if type(value) ~= "string" then return nil, "a verdict's name, such as \"retry\"" end
   if not validate.one_of(schema.verdicts)(value) then no_verdict(value) end
   return value
end

local function some_seconds(value)
   local seconds, must = validate.seconds(value)
   if must or seconds == 0 then return nil, must or "more than 0" end
   return seconds
end

local verdict_keys = {
   action = action, delay_seconds = validate.seconds, memory_limit = validate.size(1 << 20),
   timeout_seconds = some_seconds, fresh_worker = validate.boolean, reason = validate.string,
}

-- nil, a name, or a table with sizes in bytes and times in seconds.
local function verdict(value)
   if value == nil then return nil end
   if type(value) == "string" then return action(value) end
   if type(value) ~= "table" then
      refuse(nil, "returned %s; a policy function returns nil, a verdict's name, or a table such as "
         .. "{ action = \"retry\", delay_seconds = 3 }", validate.show(value))
   end
   local kept = validate.check({ fail = refuse }, value, verdict_keys, "the verdict it returned")
   if not kept.action then
      refuse(nil, "the verdict it returned has no action; it begins with action = \"retry\" or another verdict")
   end
   if kept.reason then kept.reason = kept.reason:sub(1, REASON_MAX) end
   return kept
end

local function delay(value)
   local seconds, must = validate.seconds(value)
   if must then refuse(nil, "returned %s; a strategy returns %s", validate.show(value), must) end
   return seconds
end

-- Calls function number n. Errors are the caller's to report.
function M.call(n, for_delay, err, ctx)
   local given = ctx_of(ctx)
   if for_delay then return delay((functions[n](given.retry, given))) end
   return verdict((functions[n](err_of(err), given)))
end

return M
