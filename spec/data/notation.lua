--- Values as the probes read and print them (spec/tools/notation.h), and their order as keys in plain Lua.
-- Lua's own numbers, strings and booleans stand for themselves; n.null is null; a sequence is an array (an
-- empty one too); n.map { { key, value }, … } is a map, in that order.

local h = require "spec.helper"

local n = { null = setmetatable({}, { __name = "null" }) }

local map_mark = {}

function n.map(pairs_of_it)
   return setmetatable(pairs_of_it, map_mark)
end

function n.hex(s)
   return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function n.unhex(s)
   return (s:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function float(v)
   if v ~= v then
      return "dnan"
   elseif v == math.huge or v == -math.huge then
      return v > 0 and "dinf" or "d-inf"
   end
   return "d" .. ("%a"):format(v)
end

--- The notation of a value.
function n.show(v)
   if v == n.null then
      return "n"
   elseif v == true then
      return "t"
   elseif v == false then
      return "f"
   elseif math.type(v) == "integer" then
      return "i" .. v
   elseif math.type(v) == "float" then
      return float(v)
   elseif type(v) == "string" then
      return "s" .. n.hex(v)
   end
   local words = {}
   local is_map = getmetatable(v) == map_mark
   for _, item in ipairs(v) do
      words[#words + 1] = is_map and n.show(item[1]) .. " " .. n.show(item[2]) or n.show(item)
   end
   local open, close = "[", "]"
   if is_map then
      open, close = "{", "}"
   end
   return open .. " " .. table.concat(words, " ") .. (#words > 0 and " " or "") .. close
end

local function rank(v)
   if v == n.null then
      return 1
   elseif v == false then
      return 2
   elseif v == true then
      return 3
   end
   return ({ number = 4, string = 5, table = 6 })[type(v)]
end

local function order_bytes(a, b)
   for i = 1, math.min(#a, #b) do
      local x, y = a:byte(i), b:byte(i)
      if x ~= y then
         return x < y and -1 or 1
      end
   end
   return #a == #b and 0 or #a < #b and -1 or 1
end

--- −1, 0 or 1: the order of two values as keys. Lua compares integers and floats exactly.
function n.order(a, b)
   local ra, rb = rank(a), rank(b)
   if ra ~= rb then
      return ra < rb and -1 or 1
   elseif ra <= 3 then
      return 0
   elseif ra == 4 then
      return a == b and 0 or a < b and -1 or 1
   elseif ra == 5 then
      return order_bytes(a, b)
   end
   for i = 1, math.min(#a, #b) do
      local order = n.order(a[i], b[i])
      if order ~= 0 then
         return order
      end
   end
   return #a == #b and 0 or #a < #b and -1 or 1
end

--- A value as it comes back from a key: floats that are integers have become integers.
function n.as_key(v)
   if math.type(v) == "float" then
      return math.tointeger(v) or v
   elseif type(v) == "table" and v ~= n.null then
      local copy = {}
      for i, item in ipairs(v) do
         copy[i] = n.as_key(item)
      end
      return copy
   end
   return v
end

--- Runs a probe over commands (a list of lines); returns the lines it printed.
function n.probe(tool, commands, options)
   options = options or {}
   options.stdin = table.concat(commands, "\n") .. "\n"
   local result = h.sh(h.quote(h.tool(tool)), options)
   assert(result.code == 0, ("%s ended with %s %s\n%s"):format(tool, result.code, result.signal, result.err))
   return h.lines(result.out)
end

return n
