-- profile_change.lua: what becomes of a running job's profile when another one is taken (`lmr profile use`): policy
-- keys change, plan keys stay. Works on effective profiles as scripts/profile.lua gives them.
local schema = require "mr.profile_schema"
local validate = require "mr.validate"

local M = {}

local function place(effective, key)
   return effective.provenance and effective.provenance[key]
end

-- --- values as text ---

local function list_text(list)
   local texts = {}
   for i, one in ipairs(list) do texts[i] = tostring(one) end
   return table.concat(texts, ",")
end

local function function_text(where)
   return where and ("a function (%s)"):format(where) or "a function"
end

local function value_text(value, where)
   if value == nil then return "not set" end
   if type(value) == "number" then return tostring(math.tointeger(value) or value) end
   if type(value) ~= "table" then return tostring(value) end
   return value["function"] and function_text(where) or list_text(value)
end

-- A table of on_error by what it has beside profile.retry.
local function overlay_text(rule, retry)
   local texts = {}
   for _, key in ipairs(validate.sorted_keys(schema.rule)) do
      local value = rule[key]
      local text = value_text(value, rule.source)
      if value ~= nil and text ~= value_text(retry[key], rule.source) then
         texts[#texts + 1] = ("%s = %s"):format(key, text)
      end
   end
   return #texts == 0 and "as retry" or "{ " .. table.concat(texts, ", ") .. " }"
end

local function rule_text(rule, effective)
   if rule.kind == "verdict" then return rule.action end
   if rule.kind == "function" then return function_text(rule.source) end
   return overlay_text(rule, effective.retry or {})
end

local function chain_text(chain, effective)
   local texts = {}
   for i, rule in ipairs(chain or {}) do texts[i] = rule_text(rule, effective) end
   return #texts == 0 and "built-in" or table.concat(texts, ", then ")
end

-- Every value of a profile as text: { ["retry.max_retries"] = "5", ["on_error.timeout"] = "retry" }.
local function texts_of(effective)
   local texts = {}
   for name in pairs(schema.sections) do
      for key, value in pairs(effective[name] or {}) do
         local full = name .. "." .. key
         texts[full] = value_text(value, place(effective, full))
      end
   end
   for type_name, chain in pairs(effective.rules or {}) do
      texts["on_error." .. type_name] = chain_text(chain, effective)
   end
   return texts
end

-- --- the change ---

local function is_plan(key)
   return schema.kind(key) == "plan"
end

local function lines_of(before, after, plan)
   local keys, lines = {}, {}
   for _, texts in ipairs { before, after } do
      for key in pairs(texts) do keys[key] = true end
   end
   for _, key in ipairs(validate.sorted_keys(keys)) do
      local from, to = before[key] or "not set", after[key] or "not set"
      if from ~= to and is_plan(key) == plan then lines[#lines + 1] = ("  %s: %s -> %s"):format(key, from, to) end
   end
   return lines
end

local function report(previous, effective)
   local before, after = texts_of(previous), texts_of(effective)
   local lines = lines_of(before, after, false)
   if #lines == 0 then lines[1] = "  no value differs; policy functions were read anew" end
   local frozen = lines_of(before, after, true)
   if #frozen > 0 then
      lines[#lines + 1] = "ignored for this run, as it is fixed when a job starts:"
      table.move(frozen, 1, #frozen, #lines + 1, lines)
   end
   return table.concat(lines, "\n")
end

local function copy(value)
   if type(value) ~= "table" then return value end
   local out = {}
   for key, one in pairs(value) do out[key] = copy(one) end
   return out
end

-- The profile a job with `previous` goes on with when it is given `effective`, and the change in words: one line a key.
function M.adopt(previous, effective)
   local adopted = copy(effective)
   adopted.provenance = adopted.provenance or {}
   for _, key in ipairs(schema.plan_keys()) do
      local name, field = key:match("^(.-)%.(.*)$")
      adopted[name] = adopted[name] or {}
      adopted[name][field] = previous[name] and previous[name][field]
      adopted.provenance[key] = place(previous, key)
   end
   return adopted, report(previous, effective)
end

return M
