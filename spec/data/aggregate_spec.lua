local h = require "spec.helper"
local n = require "spec.data.notation"

local function probe(commands)
   return n.probe("aggregate_probe", commands)
end

local function declare(name, options)
   if not options then
      return n.show(name)
   end
   local fields = { { "agg", name } }
   for key, value in pairs(options) do
      fields[#fields + 1] = { key, value }
   end
   table.sort(fields, function(a, b) return a[1] < b[1] end)
   return n.show(n.map(fields))
end

-- Commands that fold values, cut into tasks after every `every` of them (nil: one task; then nothing is merged).
local function fold(declaration, values, every, cut)
   local commands = { "agg " .. declaration }
   for i, v in ipairs(values) do
      commands[#commands + 1] = "add " .. n.show(v)
      if every and i % every == 0 then
         commands[#commands + 1] = cut or "cut"
      end
   end
   commands[#commands + 1] = "finish"
   return commands
end

-- The result, which must be the same however the values are cut into tasks.
local function result(declaration, values)
   local commands, cases = fold(declaration, values), { "in one" }
   local function add_case(every, cut)
      cases[#cases + 1] = ("%s every %d"):format(cut, every)
      local more = fold(declaration, values, every, cut)
      table.move(more, 1, #more, #commands + 1, commands)
   end
   for _, every in ipairs { 1, 2, 7, math.max(1, #values // 2), math.max(1, #values - 1) } do
      add_case(every, "cut")
      add_case(every, "chain")
   end
   local lines = probe(commands)
   for i, case in ipairs(cases) do
      assert.are.equal(lines[1], lines[i], case)
   end
   assert.are.equal(#cases, #lines)
   return lines[1]
end

local function randoms(count, make)
   local list = {}
   for i = 1, count do
      list[i] = make(i)
   end
   return list
end

local function mixed(i)
   local kind = math.random(5)
   return kind == 1 and math.random(-50, 50) or kind == 2 and math.random(-200, 200) / 4 or kind == 3 and
      "s" .. math.random(30) or kind == 4 and { math.random(3), "x" .. i % 5 } or math.random(2) == 1
end

local function fails(declaration, value)
   return probe { "agg " .. declaration, "add " .. n.show(value) }[1]
end

describe("sum", function()
   it("keeps integers, and becomes a float with the first float or when 64 bits are too few", function()
      assert.are.equal("i0", result(declare "sum", {}))
      assert.are.equal("i55", result(declare "sum", { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }))
      assert.are.equal("i-1", result(declare "sum", { math.maxinteger, math.mininteger }))
      assert.are.equal(n.show(3.5), result(declare "sum", { 1, 2, 0.5 }))
      assert.are.equal(n.show(3.0), result(declare "sum", { 1, 2.0 }))
      assert.are.equal(n.show(0x1p63), result(declare "sum", { math.maxinteger, 1 }))
      assert.are.equal(n.show(-0x1p63), result(declare "sum", { math.mininteger, -1 }))
   end)

   it("adds in the order of the values", function()
      math.randomseed(1)
      local values = randoms(500, function() return math.random() * 10 ^ math.random(-8, 8) end)
      local expected = 0.0
      for _, v in ipairs(values) do
         expected = expected + v
      end
      assert.are.same({ n.show(expected) }, probe(fold(declare "sum", values)))
   end)

   it("refuses what is no number, and goes on as if it had not been there", function()
      assert.are.equal("script_error: sum needs a number, got a string", fails(declare "sum", "7"))
      assert.are.equal("script_error: sum needs a number, got a table", fails(declare "sum", {}))
      assert.are.equal("script_error: sum needs a number, got a boolean", fails(declare "sum", true))
      assert.are.equal("script_error: sum needs a number, got null", fails(declare "sum", n.null))
      assert.are.equal("i3", probe { "agg " .. declare "sum", "add i1", "add s61", "add i2", "finish" }[2])
   end)
end)

describe("count and mean", function()
   it("are what they say", function()
      math.randomseed(2)
      assert.are.equal("i300", result(declare "count", randoms(300, mixed)))
      local values = randoms(300, function() return math.random(-1000, 1000) end)
      local sum = 0
      for _, v in ipairs(values) do
         sum = sum + v
      end
      assert.are.equal(n.show(sum / 300), result(declare "mean", values))
      assert.are.equal(n.show(2.0), result(declare "mean", { 2 }))
      assert.are.equal("n", result(declare "mean", {}))
      assert.are.equal("i0", result(declare "count", {}))
      assert.are.equal("script_error: mean needs a number, got a string", fails(declare "mean", "x"))
   end)
end)

describe("min and max", function()
   it("order values as keys; of equal ones the first stays", function()
      math.randomseed(3)
      for round = 1, 8 do
         local values = randoms(120, round % 2 == 0 and mixed or function() return math.random(-9, 9) / 2 end)
         local least, greatest = values[1], values[1]
         for _, v in ipairs(values) do
            if n.order(v, least) < 0 then
               least = v
            end
            if n.order(v, greatest) > 0 then
               greatest = v
            end
         end
         assert.are.equal(n.show(least), result(declare "min", values))
         assert.are.equal(n.show(greatest), result(declare "max", values))
      end
      assert.are.equal("i1", result(declare "max", { 1, 1.0 }))
      assert.are.equal(n.show(1.0), result(declare "min", { 1.0, 1 }))
      assert.are.equal(n.show(9007199254740993), result(declare "max", { 9007199254740992.0, 9007199254740993 }))
      assert.are.equal("n", result(declare "min", {}))
   end)

   it("refuse what has no order", function()
      assert.are.equal("script_error: min needs values that have an order, got nan (not a number)",
         fails(declare "min", 0 / 0))
      assert.matches("^script_error: max needs values that have an order", fails(declare "max", n.map { { "a", 1 } }))
      assert.are.equal("i2", probe { "agg " .. declare "max", "add i2", "add dnan", "add { s61 i1 }", "finish" }[3])
   end)
end)

describe("first, last, list and distinct", function()
   it("keep values as they came", function()
      math.randomseed(4)
      local values = randoms(150, mixed)
      values[20] = n.map { { "a", { 1 } } }
      values[30] = n.null
      assert.are.equal(n.show(values[1]), result(declare "first", values))
      assert.are.equal(n.show(values[150]), result(declare "last", values))
      assert.are.equal(n.show(values), result(declare "list", values))
      assert.are.equal("[ ]", result(declare "list", {}))
      assert.are.equal("n", result(declare "first", {}))
      assert.are.equal(n.show { "b" }, result(declare "last", { 1, { "b" } }))
      assert.are.equal("i7", result(declare "last", { { "b" }, 7 }))
   end)

   it("distinct gives each once, in key order", function()
      math.randomseed(5)
      for _, count in ipairs { 0, 1, 7, 8, 9, 40, 700 } do
         local values = randoms(count, mixed)
         local sorted, expected = {}, {}
         for i, v in ipairs(values) do
            sorted[i] = n.as_key(v)
         end
         table.sort(sorted, function(a, b) return n.order(a, b) < 0 end)
         for i, v in ipairs(sorted) do
            if i == 1 or n.order(v, sorted[i - 1]) ~= 0 then
               expected[#expected + 1] = v
            end
         end
         assert.are.equal(n.show(expected), result(declare "distinct", values))
      end
   end)

   it("distinct weighs no more for a value it has", function()
      local lines = probe { "agg " .. declare "distinct", "add s6161", "weight", "add s6161", "weight",
         "add i3", "weight" }
      assert.are.equal(lines[1], lines[2])
      assert.is_true(tonumber(lines[3]) > tonumber(lines[2]))
   end)
end)

describe("top", function()
   local function expected_top(values, count, rank_of, value_of)
      local sorted = {}
      for i, v in ipairs(values) do
         sorted[i] = { rank_of(v), i, value_of(v) }
      end
      table.sort(sorted, function(a, b)
         local order = n.order(a[1], b[1])
         return order > 0 or order == 0 and a[2] < b[2]
      end)
      local out = {}
      for i = 1, math.min(count, #sorted) do
         out[i] = sorted[i][3]
      end
      return n.show(out)
   end
   local function same(v) return v end

   it("gives the greatest values, of equal ones the earlier first", function()
      math.randomseed(6)
      for _, count in ipairs { 1, 3, 10, 1000 } do
         local values = randoms(300, mixed)
         assert.are.equal(expected_top(values, count, same, same), result(declare("top", { n = count }), values))
      end
      assert.are.equal("[ ]", result(declare("top", { n = 3 }), {}))
   end)

   it("orders by a rank given with each value", function()
      math.randomseed(7)
      local values = randoms(300, function(i) return { math.random(20), n.map { { "id", i } } } end)
      local function first(v) return v[1] end
      local function second(v) return v[2] end
      assert.are.equal(expected_top(values, 15, first, second), result(declare("top", { n = 15, by = true }), values))
   end)

   it("says what it needs", function()
      assert.are.equal("usage: top needs n, an integer from 1 to 1000000", probe { "agg " .. declare "top" }[1])
      assert.are.equal("usage: top needs n, an integer from 1 to 1000000",
         probe { "agg " .. declare("top", { n = 0 }) }[1])
      assert.are.equal("script_error: top needs { rank, value }, got a number",
         fails(declare("top", { n = 2, by = true }), 3))
      assert.matches("top needs values that have an order, got nan",
         fails(declare("top", { n = 2, by = true }), { 0 / 0, 1 }))
   end)
end)

describe("approx_distinct", function()
   it("is within three standard errors of the truth, whatever the order and the tasks", function()
      local full = h.sanitized and 20000 or 100000
      for _, case in ipairs { { 0.01, full, 0.0081 }, { 0.05, 20000, 0.046 }, { 0.01, 1000, 0.0081 } } do
         local error_given, count, sigma = table.unpack(case)
         local values = {}
         for i = 1, count do
            values[i] = i % 2 == 0 and i or "user-" .. i
         end
         for i = 1, 500 do
            values[count + i] = values[i]
         end
         local declaration = declare("approx_distinct", { error = error_given })
         local whole = probe(fold(declaration, values))[1]
         local got = tonumber(whole:match("^i(%d+)$"))
         assert(math.abs(got - count) <= 3 * sigma * count, ("%d for %d"):format(got, count))
         assert.are.equal(whole, probe(fold(declaration, values, 3001))[1])
      end
   end)

   it("is as good as exact for few values, and takes 1 and 1.0 for one", function()
      for count = 0, 20, 5 do
         local values = {}
         for i = 1, count do
            values[2 * i - 1], values[2 * i] = i, i + 0.0
         end
         assert.are.equal("i" .. count, result(declare("approx_distinct", { error = 0.002 }), values))
      end
   end)

   it("checks its error", function()
      for _, wrong in ipairs { 0, 0.001, 0.5, -1, 0 / 0, "0.01" } do
         assert.are.equal("usage: approx_distinct needs an error from 0.002 to 0.3",
            probe { "agg " .. declare("approx_distinct", { error = wrong }) }[1])
      end
   end)
end)

describe("quantiles", function()
   local at = { 0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1 }

   local function nearest(sorted, q)
      return sorted[math.max(1, math.ceil(q * #sorted))]
   end

   it("are exact while there are few values, and integers while all are", function()
      math.randomseed(8)
      for _, count in ipairs { 1, 2, 3, 10, 101, 2000 } do
         for _, divisor in ipairs { 1, 4 } do
            local values = randoms(count, function()
               local v = math.random(-500, 500)
               return divisor == 1 and v or v / divisor
            end)
            local sorted, expected = table.move(values, 1, count, 1, {}), {}
            table.sort(sorted)
            for i, q in ipairs(at) do
               expected[i] = nearest(sorted, q)
            end
            assert.are.equal(n.show(expected), result(declare("quantiles", { at = at }), values))
         end
      end
      assert.are.equal(n.show { 2.0 }, result(declare("quantiles", { at = { 0.5 } }), { 1, 2.5, 2 }))
      assert.are.equal("[ n n ]", result(declare("quantiles", { at = { 0.5, 1 } }), {}))
   end)

   -- The greatest distance, as a share of the count, between the rank asked for and the ranks the answer has.
   local function rank_error(answer, sorted)
      local worst, i = 0, 0
      for word in answer:gmatch("[id][^ ]+") do
         i = i + 1
         local v = tonumber(word:sub(2))
         local low, high = 0, 0
         for rank, x in ipairs(sorted) do
            low = x < v and rank or low
            high = x <= v and rank or high
         end
         local wanted = at[i] * #sorted
         local off = wanted < low and low - wanted or wanted > high and wanted - high or 0
         worst = math.max(worst, off / #sorted)
      end
      assert.are.equal(#at, i)
      return worst
   end

   local count = h.sanitized and 10000 or 40000
   local shapes = {
      random = function() return math.random(0) end,
      ascending = function(i) return i end,
      descending = function(i) return -i end,
      floats = function() return math.random() ^ 8 end,
      sawtooth = function(i) return i % 1000 end,
      zigzag = function(i) return i % 2 == 0 and i or -i end,
   }
   for name, shape in pairs(shapes) do
      it("are off by less than 1 % of the ranks: " .. name, function()
         math.randomseed(9)
         local values = randoms(count, shape)
         local declaration = declare("quantiles", { at = at })
         local sorted = table.move(values, 1, #values, 1, {})
         table.sort(sorted)
         local whole = rank_error(probe(fold(declaration, values))[1], sorted)
         local tasks = rank_error(probe(fold(declaration, values, 2497))[1], sorted)
         local chained = rank_error(probe(fold(declaration, values, 997, "chain"))[1], sorted)
         assert(whole < 0.01 and tasks < 0.01 and chained < 0.01, ("%g %g %g"):format(whole, tasks, chained))
         if os.getenv("LMR_SPEC_SHOW") then
            print(("   %-10s rank error %.5f in one, %.5f in tasks, %.5f chained"):format(name, whole, tasks, chained))
         end
      end)
   end

   it("check what they are asked for", function()
      assert.matches("^usage: quantiles needs a list", probe { "agg " .. declare "quantiles" }[1])
      assert.matches("^usage: quantiles needs numbers from 0 to 1, got 2",
         probe { "agg " .. declare("quantiles", { at = { 2 } }) }[1])
      assert.are.equal("script_error: quantiles needs values that have an order, got nan (not a number)",
         fails(declare("quantiles", { at = { 0.5 } }), 0 / 0))
      assert.are.equal("script_error: quantiles needs a number, got a string",
         fails(declare("quantiles", { at = { 0.5 } }), "a"))
   end)
end)

describe("all", function()
   local declaration = declare("all", { of = n.map { { "bytes", "sum" }, { "n", "count" }, { "peak", "max" },
      { "users", n.map { { "agg", "top" }, { "n", 2 } } } } })

   it("folds each field by its own reducer, and skips absent ones", function()
      math.randomseed(10)
      local values, bytes, peak, users = {}, 0, nil, {}
      for i = 1, 200 do
         local fields = {}
         if i % 3 ~= 0 then
            local b = math.random(1000)
            bytes = bytes + b
            fields[#fields + 1] = { "bytes", b }
         end
         if i % 5 ~= 0 then
            local p = math.random() * 100
            peak = math.max(peak or p, p)
            fields[#fields + 1] = { "peak", p }
         end
         fields[#fields + 1] = { "users", "u" .. i }
         users[i] = "u" .. i
         fields[#fields + 1] = { "zzz", n.null }
         values[i] = n.map(fields)
      end
      table.sort(users)
      assert.are.equal(n.show(n.map { { "bytes", bytes }, { "n", 200 }, { "peak", peak },
         { "users", { users[200], users[199] } } }), result(declaration, values))
   end)

   it("takes fields in any order, and the like of their names for others", function()
      local of = n.map { { "a", "sum" }, { "ab", "sum" }, { "c", "sum" } }
      local lines = probe { "agg " .. declare("all", { of = of }),
         "add { s6162 i1 s61 i2 s63 i3 s6161 i100 }", "add { s63 i10 s616263 i100 s61 i20 i5 i6 }", "add { s6162 i5 }",
         "add { s i7 s7a i8 }", "finish" }
      assert.are.same({ n.show(n.map { { "a", 22 }, { "ab", 6 }, { "c", 13 } }) }, lines)
   end)

   it("folds nothing of a value it refuses a field of", function()
      local lines = probe { "agg " .. declaration, "add { s6279746573 i1 }", "add { s6279746573 i5 s7065616b dnan }",
         "add i3", "add [ ]", "finish" }
      assert.are.same({
         'script_error: field "peak": max needs values that have an order, got nan (not a number)',
         "script_error: all needs a table of fields, got a number",
         n.show(n.map { { "bytes", 1 }, { "n", 2 }, { "peak", n.null }, { "users", {} } }),
      }, lines)
   end)

   it("checks its declaration", function()
      assert.matches("^usage: all needs a table", probe { "agg " .. declare "all" }[1])
      assert.matches('unknown reducer "sun"; did you mean "sum"',
         probe { "agg " .. declare("all", { of = n.map { { "a", "sun" } } }) }[1])
      assert.matches("all cannot stand inside all", probe { "agg " .. declare("all",
         { of = n.map { { "a", n.map { { "agg", "all" }, { "of", n.map { { "b", "sum" } } } } } } }) }[1])
   end)
end)

describe("declarations and partials", function()
   it("that are wrong are said to be", function()
      assert.are.equal('usage: unknown reducer "summ"; did you mean "sum"?', probe { "agg " .. declare "summ" }[1])
      assert.are.equal('usage: unknown option of a reducer "nn"; did you mean "n"?',
         probe { "agg " .. declare("top", { nn = 3 }) }[1])
      assert.are.equal('usage: unknown reducer "histogram"; there are sum, count, min, max, mean, first, last, ' ..
         "list, distinct, top, approx_distinct, quantiles, all", probe { "agg " .. declare "histogram" }[1])
      assert.are.equal("usage: a reducer is a name or a table with agg, got a number", probe { "agg i3" }[1])
   end)

   it("broken in any byte are corrupt or some other partial, and leave nothing leaking", function()
      math.randomseed(11)
      for _, declaration in ipairs { declare "sum", declare "count", declare "mean", declare "min", declare "first",
         declare "list", declare "distinct", declare("top", { n = 3 }), declare("approx_distinct", { error = 0.1 }),
         declare("quantiles", { at = { 0.5 } }), declare("all", { of = n.map { { "a", "sum" } } }) } do
         local commands = { "agg " .. declaration }
         for i = 1, 20 do
            local of_fields = declaration:find("s616c6c", 1, true)
            commands[#commands + 1] = of_fields and ("add { s61 i%d }"):format(i) or "add i" .. i
         end
         commands[#commands + 1] = "partial"
         local lines = probe(commands)
         local partial = lines[#lines]
         commands = { "agg " .. declaration, "merge " .. partial, "merge" }
         for at = 0, #partial - 2, 2 do
            commands[#commands + 1] = "agg " .. declaration
            commands[#commands + 1] = "merge " .. partial:sub(1, at)
            commands[#commands + 1] = "agg " .. declaration
            commands[#commands + 1] = ("merge %s%02x%s"):format(partial:sub(1, at), math.random(0, 255),
               partial:sub(at + 3))
         end
         lines = probe(commands)
         assert.are.equal("ok", lines[1])
         assert.are.equal("data_corruption", lines[2])
         for i = 3, #lines, 2 do
            assert.are.equal("data_corruption", lines[i])
            assert.matches("^[od][ka]", lines[i + 1])
         end
      end
   end)
end)
