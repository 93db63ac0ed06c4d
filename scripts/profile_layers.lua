-- profile_layers.lua: the layers of a profile, each a table that was checked and knows where its keys stand:
-- { data = normalised table, source = function(key) → "my.lua:12" }.
local _, native = ...
local job = require "mr.job"
local places = require "mr.profile_places"
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

-- --- where keys stand ---

-- A context for validate.check, which fails with the line of the key, and a layer's source(key). `prefix` is where the
-- table stands in the text ("recovery." in a job).
local function context_of(path, text, prefix)
   local lines = text and places.lines(text) or {}
   local context = { warnings = {}, section = "" }
   local function place(key)
      local line = places.find(lines, prefix .. key)
      return line and ("%s:%d"):format(path, line)
   end
   function context.source(key)
      return place(key) or path
   end
   function context.place(key)
      local at = key and place(context.section .. key)
      return at and at .. ": " or validate.place(path, text, key)
   end
   function context.fail(key, format, ...)
      job.usage("%s%s", context.place(key), format:format(...))
   end
   return context
end

local function set_context(text, key)
   local context = { warnings = {} }
   function context.source() return "--set " .. key end
   function context.fail(_, format, ...) job.usage("--set %s: %s", text, format:format(...)) end
   return context
end

-- --- validation of one layer ---

-- A key's validator that also takes false: the built-in value again.
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

local function check_rule(context, name, value)
   if type(value) == "function" or value == false then return value end
   if type(value) == "table" then
      context.section = "on_error." .. name .. "."
      local kept = validate.check(context, value, resettable(schema.rule), "on_error." .. name)
      context.section = "on_error."
      return kept
   end
   if not validate.one_of(schema.verdicts)(value) then
      local near = type(value) == "string" and native.nearest(value, schema.verdicts)
      context.fail(name, "on_error.%s must be one of \"%s\", a function or a table, not %s%s", name,
         table.concat(schema.verdicts, "\", \""), validate.show(value), near and ("; is it \"%s\"?"):format(near) or "")
   end
   return value
end

local function known_types(declared)
   local names, known = { "*" }, {}
   for _, name in ipairs(schema.error_types) do names[#names + 1] = name end
   for _, name in ipairs(declared or {}) do names[#names + 1] = name end
   for _, name in ipairs(names) do known[name] = true end
   return names, known
end

-- A type that nobody knows: near a known one it is a slip; else a profile that many jobs use may name what only
-- some of them declare.
local function unknown_type(context, name, names, options)
   local near = native.nearest(name, names)
   if near or not options.is_file or not name:match("^[%a_][%w_]*$") then
      context.fail(name, "on_error has no error type '%s'%s", name, near and ("; is it '%s'?"):format(near)
         or "; a job declares its own with error_types = { … }")
   end
   context.warnings[#context.warnings + 1] = ("%son_error.%s: %s"):format(context.place(name), name,
      options.declared and ("the job declares no such error type; it would with error_types = { \"%s\" }"):format(name)
      or ("no type of lmr's own; it stands for jobs with error_types = { \"%s\" }"):format(name))
end

local function check_on_error(context, on_error, options)
   local names, known = known_types(options.declared)
   local kept = {}
   if type(on_error) ~= "table" then context.fail("on_error", "on_error must be a table") end
   context.section = "on_error."
   for _, name in ipairs(validate.sorted_keys(on_error)) do
      if not known[name] then unknown_type(context, name, names, options) end
      kept[name] = check_rule(context, name, on_error[name])
   end
   context.section = ""
   return kept
end

-- Checks a table (of a profile, of `recovery`, of --set); returns it normalised. Only files extend another.
-- options: declared (a job's error_types, or nil when no job is known), is_file.
local function check(context, t, options)
   local top = { extends = options.is_file and validate.string or nil, on_error = function(value) return value end }
   for name in pairs(schema.sections) do top[name] = validate.or_false(validate.table) end
   local kept = validate.check(context, t, top, "a profile")
   for _, name in ipairs(schema.order) do
      if kept[name] then
         context.section = name .. "."
         kept[name] = validate.check(context, kept[name], resettable(schema.sections[name]), name)
         context.section = ""
      end
   end
   if kept.on_error then kept.on_error = check_on_error(context, kept.on_error, options) end
   return kept
end

local function layer_of(context, t, options)
   local layer = { source = context.source, warnings = context.warnings }
   layer.data = check(context, t, options)
   return layer
end

-- --- files ---

-- What a profile's code sees: no io, os, debug, no modules.
local function environment()
   local env = { assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall,
                 select = select, tonumber = tonumber, tostring = tostring, type = type }
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

-- Names of the profiles that are compiled in, sorted.
function M.names()
   local names = {}
   for i, file in ipairs(native.embedded_names("profiles/")) do names[i] = file:match("([^/]+)%.lua$") end
   return names
end

-- Text of a profile, the name it goes by in messages, and whether it is one that is compiled in.
function M.read(name, directory)
   if is_path(name) then
      local path = name:sub(1, 1) ~= "/" and directory and directory .. "/" .. name or name
      local text, message = native.read(path)
      if not text then job.usage("profile %s: %s", name, message) end
      return text, path, false
   end
   local path = "profiles/" .. name .. ".lua"
   local text = native.embedded(path)
   if text then return text, path, true end
   local near = native.nearest(name, M.names())
   job.usage("no profile '%s'; %s (a file is named by a path such as ./%s.lua)", name,
      near and ("is it '%s'?"):format(near) or "there are: " .. table.concat(M.names(), ", "), name)
end

local function run(text, path)
   if text:sub(1, 1) == "\27" then job.usage("%s is Lua bytecode; lmr runs source text only", path) end
   local chunk, message = load(text, "@" .. path, "t", environment())
   if not chunk then job.usage("%s", message) end
   local ok, result = native.call_profile(chunk)
   if not ok then
      local said = type(result) == "string" and result or ("it raised an error that is %s and no message"):format(
         validate.show(result))
      job.usage("%s", said:find(path, 1, true) == 1 and said or path .. ": " .. said)
   end
   if type(result) ~= "table" then job.usage("%s: a profile returns a table: return { retry = { … } }", path) end
   return result
end

-- Adds the layers of a profile to the list `layers`, what it extends first.
local function add_chain(layers, name, declared, directory, depth)
   if depth > 16 then job.usage("profile %s extends itself", name) end
   local text, path, compiled_in = M.read(name, directory)
   local layer = layer_of(context_of(path, text, ""), run(text, path), { declared = declared, is_file = true })
   layer.path, layer.is_production = path, compiled_in and name == "production"
   local below = layer.data.extends
   if below then
      local beside = not compiled_in and (path:match("^(.*)/[^/]*$") or ".") or nil
      add_chain(layers, below, declared, beside, depth + 1)
   end
   layers[#layers + 1] = layer
   return layers
end

-- --- --set KEY=VALUE ---

local function set_value(text, validator)
   if validator == validate.strings then
      local list = {}
      for item in text:gmatch("[^,]+") do list[#list + 1] = item end
      return list
   end
   if validator == validate.string then return text end
   if text == "true" then return true end
   if text == "false" then return false end
   return tonumber(text) or text
end

local function validator_of(parts)
   if parts[1] == "on_error" and parts[3] then return schema.rule[parts[3]] end
   return schema.sections[parts[1]] and schema.sections[parts[1]][parts[2]]
end

local function split_key(text, key)
   local parts = {}
   for part in key:gmatch("[^.]+") do parts[#parts + 1] = part end
   if #parts == 0 then job.usage("--set %s: '%s' is no key; try --set limits.memory_limit=1G", text, key) end
   return parts
end

local function set_layer(text, declared)
   local key, value = text:match("^%s*([^=]-)%s*=(.*)$")
   if not key or key == "" then
      job.usage("--set %s: it takes KEY=VALUE, such as --set limits.memory_limit=1G", text)
   end
   local parts, context = split_key(text, key), set_context(text, key)
   local section = schema.sections[parts[1]]
   if #parts == 1 and section and value ~= "false" then
      context.fail(nil, "%s is a table; set one of its keys, such as %s.%s", key, key, validate.sorted_keys(section)[1])
   end
   local t = {}
   local at = t
   for i = 1, #parts - 1 do
      at[parts[i]] = {}
      at = at[parts[i]]
   end
   at[parts[#parts]] = set_value(value, validator_of(parts))
   return layer_of(context, t, { declared = declared })
end

-- --- the whole stack ---

local function recovery_layer(options)
   local path = job.path or "the job"
   local context = context_of(path, options.text, "recovery.")
   if options.recovery == false then
      local line = places.find(places.lines(options.text or ""), "recovery")
      local source = line and ("%s:%d"):format(path, line) or path
      return { data = schema.no_machinery, warnings = {}, source = function() return source end }
   end
   return layer_of(context, options.recovery, { declared = options.error_types or {} })
end

-- What the profile asked for adds. Production is there anyway, under the job's recovery, and stands above it only when
-- it is asked for itself.
local function add_asked(layers, production, options)
   if options.name == "production" then
      layers[#layers + 1] = production
   elseif options.name then
      for _, layer in ipairs(add_chain({}, options.name, options.error_types, nil, 1)) do
         if not layer.is_production then layers[#layers + 1] = layer end
      end
   end
end

-- The layers of a load, weakest first: production, the job's recovery, the profile asked for, --set.
function M.stack(options)
   local layers = add_chain({}, "production", options.error_types, nil, 1)
   local production = layers[1]
   if options.recovery ~= nil then layers[#layers + 1] = recovery_layer(options) end
   add_asked(layers, production, options)
   for _, text in ipairs(options.set or {}) do layers[#layers + 1] = set_layer(text, options.error_types) end
   return layers
end

return M
