-- validate.lua: tables of option → validator. A validator takes a value and a name; it returns the value as it is
-- kept, or nil and what it must be. Problems are usage errors with the place of the key in its file.
local _, native = ...
local job = require "mr.job"

local M = {}

-- "job.lua:12: " for the first line that sets `key`, else "job.lua: ".
function M.place(path, text, key)
   if not path then return "" end
   if text and key then
      local line = 1
      for source in (text .. "\n"):gmatch("(.-)\n") do
         local literal = key:gsub("%p", "%%%0")
         if source:find("%f[%w_]" .. literal .. "%s*=[^=]") or source:find("%f[%w_]" .. literal .. "%s*[{(]") or
            source:find("%[%s*[\"']" .. literal .. "[\"']%s*%]%s*=") then
            return ("%s:%d: "):format(path, line)
         end
         line = line + 1
      end
   end
   return path .. ": "
end

-- A context knows the file a table came from: fail(key, format, …) raises with its line.
function M.context(path, text)
   local context = {}
   function context.fail(key, format, ...)
      job.usage("%s%s", M.place(path, text, key), format:format(...))
   end
   return context
end

function M.sorted_keys(t)
   local keys = {}
   for key in pairs(t) do keys[#keys + 1] = tostring(key) end
   table.sort(keys)
   return keys
end

local function unknown(context, key, validators, what)
   local names = M.sorted_keys(validators)
   local near = type(key) == "string" and native.nearest(key, names)
   if near then context.fail(tostring(key), "%s has no '%s'; is it '%s'?", what, tostring(key), near) end
   context.fail(tostring(key), "%s has no '%s'; it has: %s", what, tostring(key), table.concat(names, ", "))
end

-- Checks every key of t; returns a table of the values as they are kept.
function M.check(context, t, validators, what)
   local kept = {}
   for _, name in ipairs(M.sorted_keys(t)) do
      local key = t[name] ~= nil and name or math.tointeger(name)
      if key == nil or not validators[key] then unknown(context, key or name, validators, what) end
      local value, must = validators[key](t[key], context, what)
      if must then context.fail(key, "%s: %s must be %s, not %s", what, key, must, M.show(t[key])) end
      kept[key] = value
   end
   return kept
end

-- A value in a message.
function M.show(value)
   if type(value) == "string" then return #value <= 60 and ("\"%s\""):format(value) or "a long string" end
   if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
   return value == nil and "nil" or "a " .. type(value)
end

-- Wraps what follows: a value kept, or what it must be.
local function kind(name, must)
   return function(value)
      if type(value) ~= name then return nil, must end
      return value
   end
end

M.string = kind("string", "a string")
M.boolean = kind("boolean", "true or false")
M.func = kind("function", "a function")
M.table = kind("table", "a table")

function M.integer(low, high)
   local must = high and ("an integer from %d to %d"):format(low, high) or ("an integer from %d on"):format(low)
   return function(value)
      local number = type(value) == "number" and math.tointeger(value)
      if not number or number < low or (high and number > high) then return nil, must end
      return number
   end
end

function M.number(low, high)
   local must = high and ("a number from %g to %g"):format(low, high) or ("a number from %g on"):format(low)
   return function(value)
      if type(value) ~= "number" or value ~= value or value < low or (high and value > high) then
         return nil, must
      end
      return value
   end
end

-- Bytes: an integer, or a text such as "64M". Kept as an integer.
function M.size(low)
   return function(value)
      local bytes = type(value) == "number" and math.tointeger(value) or type(value) == "string" and native.size(value)
      if not bytes or bytes < low then
         return nil, low > 1 and ('a size of at least %d bytes, such as "64M"'):format(low)
            or 'a size such as "64M"'
      end
      return bytes
   end
end

-- Seconds: a number, or a text such as "1.5s" or "10m". Kept as a number.
function M.seconds(value)
   local seconds = type(value) == "string" and native.duration(value) or value
   if type(seconds) ~= "number" or not (seconds >= 0 and seconds <= 1e9) then
      return nil, "a number of seconds, or a time such as \"1.5s\" or \"10m\""
   end
   return seconds
end

function M.one_of(names)
   local known = {}
   for _, name in ipairs(names) do known[name] = true end
   return function(value)
      if not known[value] then return nil, "one of \"" .. table.concat(names, "\", \"") .. "\"" end
      return value
   end
end

-- Or false.
function M.or_false(validator, must)
   return function(value, ...)
      if value == false then return false end
      local kept, needed = validator(value, ...)
      return kept, needed and (must or needed .. ", or false")
   end
end

function M.strings(value)
   if type(value) ~= "table" then return nil, "a list of strings" end
   for key, text in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #value or type(text) ~= "string" then
         return nil, "a list of strings"
      end
   end
   return value
end

return M
