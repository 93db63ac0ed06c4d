-- profile.lua: profiles: loading, validation, layers. Weakest first: built-in, production, the job's `recovery`, the
-- profile asked for, --set. What comes out is plain data; policy functions appear as the string "function".
local _, native = ...
local job = require "mr.job"
local validate = require "mr.validate"

local M = {}

-- --- what a profile may hold ---

local error_type_names = {
   "task_crash", "network_failure", "disk_full", "memory_error", "timeout", "data_corruption",
   "script_error", "bad_record",
}
local verdicts = { "retry", "quarantine", "recompute", "drop_task", "fail", "stop", "abort" }
local strategies = { "immediate", "fixed_delay", "linear_backoff", "exponential_backoff" }
local jitters = { "full", "equal", "decorrelated" }

local function or_function(validator)
   return function(value, ...)
      if type(value) == "function" then return value end
      local kept, must = validator(value, ...)
      return kept, must and must .. ", or a function"
   end
end

local function jitter(value)
   if type(value) == "boolean" then return value end
   local kept = validate.one_of(jitters)(value)
   if not kept then return nil, "true, false, \"full\", \"equal\" or \"decorrelated\"" end
   return kept
end

local function count_or_share(value)
   if type(value) == "string" and value:match("^%d+%.?%d*%%$") then return value end
   local kept = validate.integer(0)(value)
   if not kept then return nil, "a count such as 100, or a share such as \"0.5%\"" end
   return kept
end

local retry = {
   max_retries = validate.integer(0, 1000000), strategy = or_function(validate.one_of(strategies)),
   base_delay_seconds = validate.seconds, max_delay_seconds = validate.seconds,
   backoff_multiplier = validate.number(1, 1000), jitter = jitter,
}

local rule = {
   memory_multiplier = validate.number(1, 1000), max_memory = validate.size(1),
   on_exhausted = validate.one_of(verdicts),
   decide = validate.func,
}
for key, validator in pairs(retry) do rule[key] = validator end

local sections = {
   retry = retry,
   checkpoint = {
      enabled = validate.boolean, checkpoint_dir = validate.string, checkpoint_interval_seconds = validate.seconds,
      max_checkpoints_to_keep = validate.integer(1), auto_cleanup = validate.boolean, durable = validate.boolean,
   },
   failure_simulation = {
      enabled = validate.boolean, failure_rate = validate.number(0, 1), failure_types = validate.strings,
      target_tasks = validate.strings, seed = validate.integer(math.mininteger),
   },
   limits = {
      progress_timeout_seconds = validate.or_false(validate.seconds),
      heartbeat_timeout_seconds = validate.or_false(validate.seconds),
      task_timeout_seconds = validate.or_false(validate.seconds),
      memory_limit = validate.or_false(validate.size(1 << 20)),
      max_attempts = validate.integer(1), max_quarantined = count_or_share,
   },
   retry_budget = { tokens = validate.number(0), refill_per_success = validate.number(0) },
   restart_intensity = { restarts = validate.integer(1), within_seconds = validate.seconds },
   speculation = { enabled = validate.boolean },
   log = { level = validate.one_of { "error", "warning", "info", "debug" } },
}

local built_in = {
   retry = { max_retries = 3, strategy = "exponential_backoff", base_delay_seconds = 1.0, max_delay_seconds = 60.0,
             backoff_multiplier = 2.0, jitter = true },
   on_error = {},
   checkpoint = { enabled = true, checkpoint_interval_seconds = 30.0, max_checkpoints_to_keep = 5, auto_cleanup = true,
                  durable = true },
   failure_simulation = { enabled = false },
   limits = { progress_timeout_seconds = 600.0, heartbeat_timeout_seconds = 30.0, task_timeout_seconds = false,
              memory_limit = 512 << 20, max_attempts = 20, max_quarantined = 0 },
   retry_budget = { tokens = 100, refill_per_success = 0.2 },
   restart_intensity = { restarts = 5, within_seconds = 10.0 },
   speculation = { enabled = false },
   log = { level = "info" },
}

-- --- validation of one layer ---

-- A key's validator that also takes false: the built-in value again (nil here, marked by the caller).
local function resettable(validators)
   local all = {}
   for key, validator in pairs(validators) do
      all[key] = function(value, ...)
         local kept, must = validator(value, ...)
         if must and value == false then return false end
         return kept, must
      end
   end
   return all
end

local function known_types(declared)
   local names = { "*" }
   for _, name in ipairs(error_type_names) do names[#names + 1] = name end
   for _, name in ipairs(declared or {}) do names[#names + 1] = name end
   return names
end

local function check_rule(context, name, value)
   if type(value) == "function" or value == false then return value end
   if type(value) == "table" then return validate.check(context, value, resettable(rule), "on_error." .. name) end
   if not validate.one_of(verdicts)(value) then
      context.fail(name, "on_error.%s must be one of \"%s\", a function or a table, not %s", name,
         table.concat(verdicts, "\", \""), validate.show(value))
   end
   return value
end

local function check_on_error(context, on_error, declared)
   local names, kept, known = known_types(declared), {}, {}
   if type(on_error) ~= "table" then context.fail("on_error", "on_error must be a table") end
   for _, name in ipairs(names) do known[name] = true end
   for _, name in ipairs(validate.sorted_keys(on_error)) do
      if not known[name] then
         local near = native.nearest(name, names)
         context.fail(name, "on_error has no error type '%s'%s", name, near and ("; is it '%s'?"):format(near)
            or "; a job declares its own with error_types = { … }")
      end
      kept[name] = check_rule(context, name, on_error[name])
   end
   return kept
end

-- Checks a layer (the table of a profile, of `recovery`, of --set); returns it normalised. Only files extend another.
local function check_layer(context, layer, declared, is_file)
   local top = { extends = is_file and validate.string or nil, on_error = function(value) return value end }
   for name in pairs(sections) do top[name] = validate.or_false(validate.table) end
   local kept = validate.check(context, layer, top, "a profile")
   for name, validators in pairs(sections) do
      if kept[name] then kept[name] = validate.check(context, kept[name], resettable(validators), name) end
   end
   if kept.on_error then kept.on_error = check_on_error(context, kept.on_error, declared) end
   return kept
end

-- --- layers ---

local function accepts_false(name, key)
   local kept, must = sections[name][key](false)
   return kept == false and not must
end

local function overlay_section(effective, name, section)
   if section == false then
      effective[name] = {}
      section = built_in[name]
   end
   for key, value in pairs(section) do
      if value == false and not accepts_false(name, key) then value = built_in[name][key] end
      effective[name][key] = value
   end
end

local function overlay_rules(effective, rules)
   for name, value in pairs(rules) do
      local below = effective.on_error[name]
      if value == false then
         effective.on_error[name] = nil
      elseif type(value) == "table" then
         local merged = {}
         for key, old in pairs(type(below) == "table" and below or {}) do merged[key] = old end
         for key, new in pairs(value) do
            if new == false and key ~= "jitter" then new = nil end
            merged[key] = new
         end
         effective.on_error[name] = merged
      else
         effective.on_error[name] = value
      end
   end
end

local function overlay(effective, layer)
   for name in pairs(sections) do
      if layer[name] ~= nil then overlay_section(effective, name, layer[name]) end
   end
   if layer.on_error then overlay_rules(effective, layer.on_error) end
end

local function copy(value)
   if type(value) == "function" then return "function" end
   if type(value) ~= "table" then return value end
   local out = {}
   for key, one in pairs(value) do out[key] = copy(one) end
   return out
end

-- --- files ---

-- What a profile's code sees: no io, os, debug, no modules.
local function environment()
   local env = { assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall,
      select = select,
                 tonumber = tonumber, tostring = tostring, type = type }
   for _, name in ipairs { "math", "string", "table", "utf8" } do
      env[name] = {}
      for key, value in pairs(_G[name]) do env[name][key] = value end
   end
   env._G = env
   return env
end

local function is_path(name)
   return name:find("/", 1, true) ~= nil or name:match("%.lua$") ~= nil
end

local function profile_names()
   local names = {}
   for i, file in ipairs(native.embedded_names("profiles/")) do names[i] = file:match("([^/]+)%.lua$") end
   return names
end

-- Text of a profile and the name it goes by in messages.
local function read(name, directory)
   if is_path(name) then
      local path = name:sub(1, 1) ~= "/" and directory and directory .. "/" .. name or name
      local text, message = native.read(path)
      if not text then job.usage("profile %s: %s", name, message) end
      return text, path
   end
   local path = "profiles/" .. name .. ".lua"
   local text = native.embedded(path)
   if text then return text, path end
   local near = native.nearest(name, profile_names())
   job.usage("no profile '%s'; %s (a file is named by a path such as ./%s.lua)", name,
      near and ("is it '%s'?"):format(near) or "there are: " .. table.concat(profile_names(), ", "), name)
end

local function run(text, path)
   if text:sub(1, 1) == "\27" then job.usage("%s is Lua bytecode; lmr runs source text only", path) end
   local chunk, message = load(text, "@" .. path, "t", environment())
   if not chunk then job.usage("%s", message) end
   local ok, result = native.call_profile(chunk)
   if not ok then
      local said = tostring(result)
      job.usage("%s", said:find(path, 1, true) == 1 and said or path .. ": " .. said)
   end
   if type(result) ~= "table" then job.usage("%s: a profile returns a table: return { retry = { … } }", path) end
   return result
end

-- The layers of a profile, what it extends first.
local function chain(name, declared, directory, depth, layers)
   if depth > 16 then job.usage("profile %s extends itself", name) end
   local text, path = read(name, directory)
   local layer = check_layer(validate.context(path, text), run(text, path), declared, true)
   if layer.extends then
      local below = is_path(path) and not path:match("^profiles/[^/]+$") and (path:match("^(.*)/[^/]*$") or ".") or nil
      chain(layer.extends, declared, below, depth + 1, layers)
   end
   layer.path = path
   layers[#layers + 1] = layer
   return layers
end

-- --- --set KEY=VALUE ---

local function set_value(text)
   if text == "true" then return true end
   if text == "false" then return false end
   return tonumber(text) or text
end

local function validator_of(parts)
   if parts[1] == "on_error" and parts[3] then return rule[parts[3]] end
   return sections[parts[1]] and sections[parts[1]][parts[2]]
end

local function set_layer(text)
   local key, value = text:match("^%s*([^=]-)%s*=(.*)$")
   local context = validate.context("--set " .. text)
   if not key or key == "" then
      job.usage("--set %s: it takes KEY=VALUE, such as --set limits.memory_limit=1G", text)
   end
   local parts = {}
   for part in key:gmatch("[^.]+") do parts[#parts + 1] = part end
   local layer, deepest = {}, #parts
   if deepest == 0 then job.usage("--set %s: '%s' is no key; try --set limits.memory_limit=1G", text, key) end
   if deepest < 2 and not (sections[parts[1]] and value == "false") and parts[1] ~= nil then
      if sections[parts[1]] then context.fail(nil, "%s is a table; set one of its keys, such as %s.%s", key, key,
         validate.sorted_keys(sections[parts[1]])[1]) end
   end
   local at = layer
   for i = 1, deepest - 1 do
      at[parts[i]] = {}
      at = at[parts[i]]
   end
   local validator = validator_of(parts)
   at[parts[deepest]] = set_value(value)
   if validator == validate.strings then
      local list = {}
      for item in value:gmatch("[^,]+") do list[#list + 1] = item end
      at[parts[deepest]] = list
   elseif validator == validate.string then
      at[parts[deepest]] = value
   end
   return layer, context
end

-- --- the effective profile ---

local no_machinery = {
   retry = { max_retries = 0 }, checkpoint = { enabled = false }, speculation = { enabled = false },
}

-- options: name (or nil), recovery (a table, false or nil), set (list of texts), error_types, context (the job's).
-- Returns the effective profile as plain data, and warnings.
function M.load(options)
   local effective, declared = copy(built_in), options.error_types
   local applied = {}
   for _, layer in ipairs(chain("production", declared, nil, 1, {})) do
      applied[layer.path] = true
      overlay(effective, layer)
   end
   if options.recovery == false then
      overlay(effective, no_machinery)
   elseif options.recovery then
      overlay(effective, check_layer(options.context, options.recovery, declared))
   end
   for _, layer in ipairs(options.name and chain(options.name, declared, nil, 1, {}) or {}) do
      if not applied[layer.path] or options.name == "production" then overlay(effective, layer) end
   end
   for _, text in ipairs(options.set or {}) do
      local layer, context = set_layer(text)
      overlay(effective, check_layer(context, layer, declared))
   end
   effective.name = options.name or "production"
   return copy(effective), {}
end

return M
