-- profile.lua: the effective profile: the layers of profile_layers.lua laid over each other, weakest first, as plain
-- data that the driver reads and the policy host works by.
--
--   name, path      of the profile asked for
--   retry, checkpoint, limits, …   the sections, complete; a function is { ["function"] = N }
--   memory          { multiplier, max_memory } of the built-in verdict on memory_error
--   on_error        what was written, for a reader: the strongest layer's, tables laid over each other
--   rules           { TYPE = chain of rules, the strongest first } for each error type: what decides
--   provenance      { ["retry.max_retries"] = "profiles/production.lua:4" | "--set retry.max_retries" | "built-in" }
--   plan_keys       the keys that a running job does not take anew; all others are policy
--
-- A rule is { kind = "verdict", action, source }, { kind = "function", ref = N, source } or { kind = "table", source,
-- the keys of retry complete, memory_multiplier, max_memory, on_exhausted or nil }. A chain ends at its first verdict
-- or table; where it ends without one, the built-in verdict of the type stands.
local _, native = ...
local job = require "mr.job"
local layers_module = require "mr.profile_layers"
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

-- --- sections ---

local function accepts_false(name, key)
   local kept, must = schema.sections[name][key](false)
   return kept == false and not must
end

local function reset_section(effective, name)
   effective[name] = {}
   for key in pairs(schema.sections[name]) do
      local value = schema.built_in[name][key]
      effective[name][key] = value
      effective.provenance[name .. "." .. key] = value ~= nil and "built-in" or nil
   end
end

local function overlay_section(effective, name, section, layer)
   for key, value in pairs(section) do
      local path, source = name .. "." .. key, layer.source(name .. "." .. key)
      if value == false and not accepts_false(name, key) then
         value = schema.built_in[name][key]
         source = value ~= nil and "built-in" or nil
      end
      effective[name][key] = value
      effective.provenance[path] = source
   end
end

local function overlay(effective, layer)
   for _, name in ipairs(schema.order) do
      local section = layer.data[name]
      if section == false then
         reset_section(effective, name)
      elseif section then
         overlay_section(effective, name, section, layer)
      end
   end
end

-- --- functions ---

-- Numbers all functions of all layers, the strongest layer first and keys in order, so that each process that loads
-- the same profile gives the same numbers: functions (number → function) and numbers (function → number).
local function number_functions(layers)
   local functions, numbers = {}, {}
   local function visit(value)
      if type(value) == "function" and not numbers[value] then
         functions[#functions + 1] = value
         numbers[value] = #functions
      elseif type(value) == "table" then
         for _, key in ipairs(validate.sorted_keys(value)) do visit(value[key]) end
      end
   end
   for i = #layers, 1, -1 do visit(layers[i].data) end
   return functions, numbers
end

-- A copy without functions.
local function plain(value, numbers)
   if type(value) == "function" then return { ["function"] = numbers[value] } end
   if type(value) ~= "table" then return value end
   local out = {}
   for key, one in pairs(value) do out[key] = plain(one, numbers) end
   return out
end

-- "my.lua:14", where a function stands; `otherwise` for one of the library.
local function place_of(f, otherwise)
   local info = debug.getinfo(f, "S")
   if info.what == "C" then return otherwise end
   return ("%s:%d"):format(info.source:gsub("^[@=]", ""), info.linedefined)
end

-- --- rules ---

local function written(layer, name)
   local rules = layer.data.on_error
   if rules == nil then return nil end
   return rules[name]
end

-- What is written for a type in layer i, laid over the weaker layers' down to one that resets it or names a verdict.
-- A function alone counts as { decide = it }. A key that is false takes the weaker one's away.
local function merged_table(layers, i, name)
   local merged = {}
   for j = i, 1, -1 do
      local value = written(layers[j], name)
      if value == false or type(value) == "string" then break end
      if type(value) == "function" then value = { decide = value } end
      for key, one in pairs(value or {}) do
         if merged[key] == nil then merged[key] = one end
      end
   end
   for key, value in pairs(merged) do
      if value == false then merged[key] = nil end
   end
   return merged
end

local function sets_numbers(value)
   for key in pairs(value) do
      if key ~= "decide" then return true end
   end
   return false
end

local function table_rule(merged, effective, source)
   local rule = { kind = "table", source = source }
   for _, defaults in ipairs { schema.memory, effective.retry, merged } do
      for key, value in pairs(defaults) do rule[key] = value end
   end
   rule.decide = nil
   return rule
end

-- Adds what layer i says of `name` to the chain; true when that decides in any case.
local function add_rules(chain, layers, i, name, effective)
   local value, source = written(layers[i], name), layers[i].source("on_error." .. name)
   if type(value) == "string" then
      chain[#chain + 1] = { kind = "verdict", action = value, source = source }
      return true
   end
   local merged = type(value) == "table" and merged_table(layers, i, name) or { decide = value }
   if merged.decide then
      chain[#chain + 1] = { kind = "function", ref = merged.decide, source = place_of(merged.decide, source) }
   end
   if type(value) ~= "table" or not sets_numbers(value) then return false end
   chain[#chain + 1] = table_rule(merged, effective, source)
   return true
end

-- The chain of a type: from the strongest layer on, its own rule and then the one for "*". A type that is false in a
-- layer is left to the built-in verdict; "*" that is false takes the weaker layers' "*" away.
local function chain_of(layers, name, effective)
   local chain, any = {}, true
   for i = #layers, 1, -1 do
      local own, common = written(layers[i], name), written(layers[i], "*")
      if own == false then break end
      if own ~= nil and add_rules(chain, layers, i, name, effective) then break end
      if any and common and add_rules(chain, layers, i, "*", effective) then break end
      any = any and common ~= false
   end
   return chain
end

local function number_rules(chain, numbers)
   for _, rule in ipairs(chain) do
      if rule.kind == "function" then rule.ref = numbers[rule.ref] end
      if type(rule.strategy) == "function" then rule.strategy = plain(rule.strategy, numbers) end
   end
   return chain
end

-- The error types there are: lmr's own, then the job's; without a job, also those that the profile speaks of.
local function types_of(layers, declared)
   local names, known = {}, { ["*"] = true }
   local function add(name)
      if not known[name] then names[#names + 1] = name end
      known[name] = true
   end
   for _, name in ipairs(schema.error_types) do add(name) end
   for _, name in ipairs(declared or {}) do add(name) end
   for i = #layers, declared and #layers + 1 or 1, -1 do
      for _, name in ipairs(validate.sorted_keys(layers[i].data.on_error or {})) do add(name) end
   end
   return names
end

-- --- on_error as it is shown ---

local function show_rule(effective, layers, i, name)
   local value, path = written(layers[i], name), "on_error." .. name
   effective.provenance[path] = layers[i].source(path)
   if type(value) ~= "table" then return value end
   for key in pairs(value) do effective.provenance[path .. "." .. key] = layers[i].source(path .. "." .. key) end
   return merged_table(layers, i, name)
end

local function show_on_error(effective, layers)
   effective.on_error = {}
   for i = 1, #layers do
      for name, value in pairs(layers[i].data.on_error or {}) do
         effective.on_error[name] = value and show_rule(effective, layers, i, name) or nil
      end
   end
end

-- --- the whole ---

local function load_layers(options, declared)
   local text = options.recovery ~= nil and job.path ~= "-m" and native.read(job.path) or nil
   return layers_module.stack { name = options.name, recovery = options.recovery, set = options.set,
                                error_types = declared, text = text }
end

local function effective_of(layers, options)
   local effective = { name = options.name or "production", provenance = {}, rules = {} }
   effective.plan_keys = schema.plan_keys()
   for _, name in ipairs(schema.order) do reset_section(effective, name) end
   for _, layer in ipairs(layers) do
      overlay(effective, layer)
      effective.path = layer.path or effective.path
   end
   show_on_error(effective, layers)
   local memory = type(effective.on_error.memory_error) == "table" and effective.on_error.memory_error or {}
   effective.memory = { multiplier = memory.memory_multiplier or schema.memory.memory_multiplier,
                        max_memory = memory.max_memory or schema.memory.max_memory }
   return effective
end

-- options: name (or nil: production), recovery (a table, false or nil), set (list of texts), error_types (the job's, or
-- nil). Returns the effective profile, warnings (texts), and the functions by their numbers.
function M.load(options)
   local declared = options.error_types or job.path and {} or nil -- nil: no job is known
   local layers = load_layers(options, declared)
   local effective = effective_of(layers, options)
   local functions, numbers = number_functions(layers)
   for _, name in ipairs(types_of(layers, declared)) do
      effective.rules[name] = number_rules(chain_of(layers, name, effective), numbers)
   end
   local warnings = {}
   for _, layer in ipairs(layers) do
      for _, warning in ipairs(layer.warnings) do warnings[#warnings + 1] = warning end
   end
   return plain(effective, numbers), warnings, functions
end

return M
