-- args.lua: mr.args: the arguments after `--`. Defaults give names and types; the rest is positional.
local _, native = ...
local job = require "mr.job"

local function hyphens(name) return (name:gsub("_", "-")) end

local function sorted_names(defaults)
   local names = {}
   for name, value in pairs(defaults) do
      local kind = type(value)
      if type(name) ~= "string" or (kind ~= "number" and kind ~= "string" and kind ~= "boolean") then
         error("mr.args takes names with a default each: mr.args { top = 10, name = \"x\", verbose = false }", 4)
      end
      names[#names + 1] = name
   end
   table.sort(names)
   return names
end

local function help(defaults, names)
   local lines = { "arguments of this job, after --:" }
   for _, name in ipairs(names) do
      local default = defaults[name]
      local form = type(default) == "boolean" and "" or " " .. type(default):upper()
      lines[#lines + 1] = ("  --%-24s default: %s"):format(hyphens(name) .. form, tostring(default))
   end
   job.usage("%s", table.concat(lines, "\n"))
end

local function unknown(flag, names)
   local spelled = {}
   for i, name in ipairs(names) do spelled[i] = hyphens(name) end
   local near = native.nearest(flag, spelled)
   if near then job.usage("the job has no argument --%s; is it --%s?", flag, near) end
   if #names == 0 then job.usage("the job has no argument --%s; it takes none", flag) end
   job.usage("the job has no argument --%s; it has: --%s", flag, table.concat(spelled, ", --"))
end

local truth = { ["true"] = true, ["false"] = false, yes = true, no = false, on = true, off = false,
   ["1"] = true, ["0"] = false }

local function convert(flag, text, default)
   if type(default) == "string" then return text end
   if type(default) == "boolean" then
      if truth[text] == nil then job.usage("--%s=%s: it is true or false", flag, text) end
      return truth[text]
   end
   local number = tonumber(text)
   if not number then job.usage("--%s %s: it must be a number", flag, text) end
   if math.type(default) == "integer" then
      number = math.tointeger(number)
      if not number then job.usage("--%s %s: it must be a whole number", flag, text) end
   end
   return number
end

-- Reads the argument at i, a flag; returns the index of the last argument it took.
local function take_flag(result, defaults, names, list, i)
   local flag, text = list[i]:match("^%-%-([^=]+)=?(.*)$")
   local with_value = list[i]:find("=", 1, true) ~= nil
   if flag == "help" then help(defaults, names) end
   local name = flag:gsub("-", "_")
   local default = defaults[name]
   local negated = flag:sub(1, 3) == "no-" and type(defaults[name:sub(4)]) == "boolean"
   if negated and default == nil and defaults[flag] == nil then
      result[name:sub(4)] = false
      return i
   end
   if default == nil then unknown(flag, names) end
   if type(default) == "boolean" and not with_value then
      result[name] = true
      return i
   end
   if not with_value then
      i = i + 1
      text = list[i]
      if not text then job.usage("--%s needs a value", flag) end
   end
   result[name] = convert(flag, text, default)
   return i
end

-- Makes `result` what `list` says.
local function fill(result, defaults, list)
   local names, i, only_words = sorted_names(defaults), 1, false
   for key in pairs(result) do result[key] = nil end
   for _, name in ipairs(names) do result[name] = defaults[name] end
   while i <= #list do
      local word = list[i]
      if word == "--" and not only_words then
         only_words = true
      elseif word:match("^%-%-.") and not only_words then
         i = take_flag(result, defaults, names, list, i)
      else
         result[#result + 1] = word
      end
      i = i + 1
   end
end

return function(defaults)
   if defaults ~= nil and type(defaults) ~= "table" then error("mr.args takes a table of names and defaults", 3) end
   defaults = defaults or {}
   local result = {}
   -- The job keeps this table, so mr.run gives it other arguments by reading them into it.
   function native.read_arguments(list) fill(result, defaults, list) end
   native.read_arguments(native.args or {})
   native.effective_args = result
   return result
end
