-- Keys and values come out as they went in: their order, their types, what is one key. The oracle is plain Lua.
local assert = require "luassert"
local api = require "spec.script.support"

-- The text of a key or value that tells integers from floats. Used by the job and by the oracle.
local PRELUDE = [[
local show
local function show_order(k) return type(k) .. show(k) end
function show(v)
   if type(v) == "number" then return (math.type(v) == "integer" and "%d" or "%a"):format(v) end
   if type(v) == "string" then return ("%q"):format(v):gsub("\\?\n", "\\n") .. "" end
   if type(v) == "userdata" then return "null" end
   if type(v) ~= "table" then return tostring(v) end
   local names, list = {}, {}
   for k in pairs(v) do names[#names + 1] = k end
   table.sort(names, function(a, b) return show_order(a) < show_order(b) end)
   for i, k in ipairs(names) do list[i] = show_order(k) .. "=" .. show(v[k]) end
   return "{" .. table.concat(list, ",") .. "}"
end
]]
local show = assert(load(PRELUDE .. "return show"))()

local rank = { userdata = 0, boolean = 1, number = 2, string = 3, table = 4 }

-- The order of keys as the design tells it.
local function before(a, b)
   local x, y = rank[type(a)], rank[type(b)]
   if x ~= y then return x < y end
   if x == 0 then return false end
   if x == 1 then return not a and b end
   if x < 4 then return a < b end
   for i = 1, math.min(#a, #b) do
      if before(a[i], b[i]) then return true end
      if before(b[i], a[i]) then return false end
   end
   return #a < #b
end

-- 1.0 is 1, at any depth: what a key is delivered as.
local function delivered(key)
   if math.type(key) == "float" then return math.tointeger(key) or key end
   if type(key) ~= "table" then return key end
   local out = {}
   for i, v in ipairs(key) do out[i] = delivered(v) end
   return out
end

local numbers = { "0", "-0.0", "1", "1.0", "-1", "0.5", "-0.5", "1e15", "2^53", "2^53|0", "(2^53|0)+1", "2^63", "-2^63",
   "math.maxinteger", "math.mininteger", "math.maxinteger-1", "1/0", "-1/0", "5e-324", "-5e-324", "1e308", "0.1+0.2" }
local strings = { '""', '"a"', '"a\\0"', '"a\\0b"', '"\\0"', '"\\255"', '"A"', '"10"', '"9"', '"a\\1"', '"é"', '"1"' }

local function choose(list) return list[math.random(#list)] end

local function random_key(depth)
   local kind = math.random(depth > 2 and 9 or 12)
   if kind == 1 then return choose { "true", "false" } end
   if kind <= 5 then return choose(numbers) end
   if kind <= 9 then return choose(strings) end
   local items = {}
   for i = 1, math.random(0, 3) do items[i] = random_key(depth + 1) end
   return "{" .. table.concat(items, ",") .. "}"
end

describe("keys", function()
   it("are grouped and sorted by value, whatever they are made of", function()
      math.randomseed(20261124)
      local lines, keys, counts = {}, {}, {}
      for i = 1, 3000 do
         lines[i] = random_key(0)
         local key = delivered(assert(load("return " .. lines[i]))())
         local text = show(key)
         if not counts[text] then keys[#keys + 1] = key end
         counts[text] = (counts[text] or 0) + 1
      end
      table.sort(keys, before)
      local wanted = {}
      for i, key in ipairs(keys) do wanted[i] = show(key) .. " " .. counts[show(key)] end
      local out = api.output([[output = { format = "text", write = "value" },
         map = function(_, line, emit) emit(load("return " .. line)(), 1) end,
         reduce = function(key, values, emit)
            local n = 0
            for v in values do n = n + v end
            emit(key, show(key) .. " " .. n)
         end]], { before = PRELUDE, input = table.concat(lines, "\n"), args = { "--split-size", "4K" } })
      assert.are.equal(table.concat(wanted, "\n") .. "\n", out)
   end)

   it("of an array and its parts follow one another: the shorter one first", function()
      assert.are.equal("[]\n[1]\n[1,2]\n[[]]\n[[],1]\n", api.output(
         "map = function(_, _, emit) for _, k in ipairs { {1, 2}, {{}, 1}, {}, {1}, {{}} } do emit(k) end end",
         { input = "x\n" }))
   end)
end)

describe("values", function()
   local VALUES = { "true", "mr.null", "1", "1.0", "-0.0", "math.mininteger", "math.maxinteger", "2^53", "0.1", "1/0",
      '"a\\0b"', '""', "{}", "{1, 2.0, {3}}", '{a = 1, [1] = 2, [true] = 3, [1.5] = mr.null}', '{[3] = 1}', '{{}, {}}' }

   it("keep their types through a run, two steps and a round", function()
      local wanted = {}
      for i, text in ipairs(VALUES) do
         wanted[i] = i .. "\t" .. show(assert(load("local mr = { null = io.stdout } return " .. text))()) .. "\n"
      end
      local keep = "map = function(k, v, emit) emit(k, v) end, " ..
         "reduce = function(k, vs, emit) for v in vs do emit(k, v) end end"
      local lines = {}
      for i, text in ipairs(VALUES) do lines[i] = i .. " " .. text end
      local out = api.output(([[steps = {
         { map = function(_, line, emit) local n, code = line:match("^(%%d+) (.*)$")
              emit(tonumber(n), load("local mr = ... return " .. code)(mr)) end,
           reduce = mr.first, combine = mr.first },
         { %s }, mr.iterate { max_rounds = 2, %s },
         { map = function(k, v, emit) emit(k, show(v)) end } }]]):format(keep, keep),
         { before = PRELUDE, input = table.concat(lines, "\n") })
      assert.are.equal(table.concat(wanted), out)
   end)

   it("of tables are the same bytes when they hold the same", function()
      assert.are.equal("k\t1\n", api.output([[
         map = function(_, line, emit)
            local t = {}
            for w in (line == "1" and "a b c d e f" or "f e d c b a"):gmatch("%a") do t[w] = w end
            emit("k", mr.json_encode(t))
         end, reduce = function(k, vs, emit)
            local seen, n = {}, 0
            for v in vs do if not seen[v] then seen[v], n = true, n + 1 end end
            emit(k, n)
         end]], { input = "1\n2\n" }))
   end)

   it("of megabytes pass", function()
      local out = api.output([[map = function(_, v, emit) emit(("x"):rep(1000000) .. v, ("y"):rep(2000000)) end,
         reduce = function(k, vs, emit) for v in vs do emit(#k, #v) end end]], { input = "1\n2\n" })
      assert.are.equal("1000001\t2000000\n1000001\t2000000\n", out)
   end)
end)

describe("null", function()
   it("is a key before all others, a value, and cjson's", function()
      assert.are.equal("null\tnull\nfalse\tother\n", api.output([[
         map = function(_, _, emit) emit(false, 1) emit(mr.null, require "cjson".null) end,
         reduce = function(k, vs, emit) for v in vs do emit(k, v == mr.null and "null" or "other") end end]],
         { input = "1\n" }))
   end)
end)
