-- reducers.lua: the declared reducers. Each is a marked table that stands for a fold in C; `declaration` is what C
-- is told. Usable as `combine` and `reduce`.
local _, native = ...

local Reducer = { __name = "mr.reducer" }
native.Reducer = Reducer

function Reducer.__tostring(self) return "mr." .. self.name end

function Reducer.__call(self)
   error(("mr.%s is declared, not called: write reduce = mr.%s"):format(self.name, self.name), 2)
end

local function reducer(name, declaration, by)
   return setmetatable({ name = name, declaration = declaration, by = by }, Reducer)
end

local M = {}

for _, name in ipairs { "sum", "count", "min", "max", "mean", "first", "last", "list", "distinct" } do
   M[name] = reducer(name, name)
end

-- The n values of greatest rank: the value itself, or what `by` (a function of the value, or a field's name) says.
function M.top(n, options)
   if math.type(n) ~= "integer" or n < 1 then error("mr.top: n must be an integer from 1 on", 2) end
   if options ~= nil and type(options) ~= "table" then error("mr.top takes n and { by = … }", 2) end
   for key in pairs(options or {}) do
      if key ~= "by" then error(("mr.top: unknown option '%s'; it has: by"):format(tostring(key)), 2) end
   end
   local by = options and options.by
   if by ~= nil and type(by) ~= "function" and type(by) ~= "string" then
      error("mr.top: by must be a function of the value, or the name of a field", 2)
   end
   return reducer("top", { agg = "top", n = n, by = by and true or nil }, by)
end

local function options_of(name, options, key, default)
   if options == nil then return default end
   if type(options) ~= "table" then error(("mr.%s takes a table"):format(name), 3) end
   for option in pairs(options) do
      if option ~= key then error(("mr.%s: unknown option '%s'; it has: %s"):format(name, tostring(option), key), 3) end
   end
   local value = options[key]
   if value == nil then return default end
   return value
end

-- How many distinct values, to a relative error.
function M.approx_distinct(options)
   local wanted = options_of("approx_distinct", options, "error", 0.01)
   if type(wanted) ~= "number" then error("mr.approx_distinct: error must be a number such as 0.01", 2) end
   return reducer("approx_distinct", { agg = "approx_distinct", error = wanted })
end

function M.quantiles(at)
   if type(at) ~= "table" or #at == 0 then
      error("mr.quantiles takes a list of numbers: mr.quantiles { 0.5, 0.95 }", 2)
   end
   for i, q in ipairs(at) do
      if type(q) ~= "number" or not (q >= 0 and q <= 1) then
         error(("mr.quantiles: number %d is %s; quantiles are from 0 to 1"):format(i, tostring(q)), 2)
      end
   end
   return reducer("quantiles", { agg = "quantiles", at = { table.unpack(at) } })
end

-- Several at once over the fields of a table: mr.all { n = mr.count, bytes = mr.sum }.
function M.all(of)
   if type(of) ~= "table" or next(of) == nil then
      error("mr.all takes a table: mr.all { n = mr.count, bytes = mr.sum }", 2)
   end
   local declarations = {}
   for field, one in pairs(of) do
      if type(field) ~= "string" then error("mr.all: its keys are names of fields", 2) end
      if getmetatable(one) ~= Reducer then
         error(("mr.all: %s is a %s; it must be a declared reducer such as mr.sum"):format(field, type(one)), 2)
      end
      if one.by then error(("mr.all: %s: mr.top with `by` cannot stand inside mr.all"):format(field), 2) end
      declarations[field] = one.declaration
   end
   return reducer("all", { agg = "all", of = declarations })
end

return M
