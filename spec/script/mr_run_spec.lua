-- mr.run in a test gives what lmr run writes; and what the functions of mr give.
local assert = require "luassert"
local h = require "spec.helper"
local api = require "spec.script.support"

local TEXT = "the cat\nand the dog\n\nand THE bird, 3 birds\nécole cat\n"

-- name -> body of a job over lines of text
local JOBS = {
   ["a declared reducer"] = [[map = function(_, line, emit) for w in mr.words(line) do emit(w, 1) end end,
      combine = mr.sum, reduce = mr.sum]],
   ["a whole map in C"] = "map = mr.word_mapper, combine = mr.sum, reduce = mr.sum",
   ["Lua functions"] = [[map = function(key, line, emit) emit(#line, key) end,
      reduce = function(key, values, emit) local n = 0 for v in values do n = n * 7 + v end emit(key, n) end]],
   ["a Lua combiner"] = [[map = function(_, line, emit) for w in mr.words(line) do emit(#w, w) end end,
      combine = function(key, values, emit) for v in values do emit(key, v .. ".") end end, reduce = mr.list]],
   ["groups"] = [[group_by = 1, map = function(_, line, emit) for w in mr.words(line) do emit({ #w, w }, w) end end,
      reduce = function(key, values, emit) for v, full in values do emit({ key, full[2] }, v) end end]],
   ["several at once"] = [[map = function(_, line, emit) emit(#line % 2, { n = #line, first = line:sub(1, 1) }) end,
      reduce = mr.all { n = mr.sum, rows = mr.count, first = mr.distinct }]],
   ["the top by a function"] = [[map = function(_, line, emit) for w in mr.words(line) do emit("all", w) end end,
      reduce = mr.top(3, { by = function(w) return #w end })]],
   ["the top by a field, combined"] = [[map = function(_, line, emit) emit("all", { l = line, n = #line }) end,
      combine = mr.top(2, { by = "n" }), reduce = mr.top(2, { by = "n" })]],
   ["maps alone"] = "reducers = 0, map = function(key, line, emit) emit(line, key) end",
   ["two steps"] = [[steps = {
      { map = mr.word_mapper, combine = mr.sum, reduce = mr.sum },
      { map = function(word, n, emit) emit({ -n, word }) end,
        reduce = function(key, _, emit) emit(key[2], -key[1]) end } }]],
   ["rounds"] = [[iterate = mr.iterate { max_rounds = 9, reread = true,
      map = function(_, line, emit) emit(#line, (mr.lookup("previous", #line) or 0) + 1) end, reduce = mr.max,
      stop_when = function(round, counters) return round == 4 end }]],
   ["init and finish"] = [[reducers = 0, init = function() return { n = 0 } end,
      map = function(_, _, _, s) s.n = s.n + 1 end, finish = function(emit, s) emit("lines", s.n) end]],
   ["random numbers"] = "map = function(_, line, emit) emit(line, math.random(1000)) end",
}

local TEST = [==[
local mr = require "mr"
local job = dofile(arg[1])
local lines = {}
for line in io.lines(arg[2]) do lines[#lines + 1] = line end
local result = mr.run(job, { inputs = lines })
local function text(v)
   if type(v) == "table" or v == mr.null then return mr.json_encode(v) end
   return tostring(v)
end
for _, pair in ipairs(result) do
   print(pair[2] == true and text(pair[1]) or text(pair[1]) .. "\t" .. text(pair[2]))
end
]==]

describe("mr.run", function()
   for name, body in pairs(JOBS) do
      it("gives what lmr run writes: " .. name, function()
         local path, dir = api.job(body)
         local input = h.write(dir, "input.txt", TEXT)
         local written = h.run { "run", "--quiet", path, input }
         assert.are.equal("", written.err)
         local tested = h.run { "lua", h.write(dir, "test.lua", TEST), path, input }
         assert.are.equal("", tested.err)
         assert.is_true(#written.out > 0)
         assert.are.equal(written.out, tested.out)
      end)
   end

   it("gives counters, takes keys with values, and says what it does not know", function()
      local dir = h.tmpdir()
      local result = h.run { "lua", h.write(dir, "test.lua", [[
         local mr = require "mr"
         local job = mr.job { map = function(k, v, emit) mr.increment("c", k, v) emit(k, v) end, reduce = mr.sum }
         local list, counters = mr.run(job, { inputs = { { "a", 1 }, { "b", 2 }, { "a", 3 } } })
         print(#list, list[1][1], list[1][2], list[2][1], list[2][2], counters.c.a, counters.c.b)
         print(select(2, pcall(mr.run, job, { input = {} })))
         print(select(2, pcall(mr.run, {})))
      ]]) }
      assert.are.equal("", result.err)
      local lines = h.lines(result.out)
      assert.are.equal("2\ta\t4\tb\t2\t4\t2", lines[1])
      assert.matches("unknown option 'input'; it has: args, inputs, seed", lines[2], 1, true)
      assert.matches("mr.run takes a job: mr.run(mr.job { … }, { inputs = … })", lines[3], 1, true)
   end)

   it("works inside a busted spec of the user's", function()
      local dir = h.tmpdir()
      local path = api.job("map = mr.word_mapper, reduce = mr.sum", "", dir)
      local spec = h.write(dir, "my_spec.lua", ([[
         require "busted.runner" ()
         local mr = require "mr"
         describe("my job", function()
            it("counts", function()
               local result = mr.run(dofile %q, { inputs = { "to be or not", "to be" } })
               assert.are.same({ "be", 2 }, result[1])
            end)
         end)
      ]]):format(path))
      local result = h.run({ "lua", spec }, { dir = dir })
      assert.matches("1 success", result.out, 1, true)
      assert.are.equal(0, result.code)
   end)
end)

-- A Lua script with mr at hand; what it prints.
local function printed(code)
   local result = h.run { "lua", h.write(h.tmpdir(), "test.lua", 'local mr = require "mr"\n' .. code) }
   assert.are.equal("", result.err)
   return result.out
end

describe("mr.words, fields, split", function()
   it("cut as they say", function()
      assert.are.equal("it|s|a_b|x1|été|\n", (printed([[
         local list = {}
         for w in mr.words("it's a_b, x1 été!") do list[#list + 1] = w end
         print(table.concat(list, "|"):gsub("a|b", "a_b") .. "|")]]):gsub("\t%d+", "")))
      assert.are.equal("3\ta\tb\tc\n0\n", printed([[
         local f = mr.fields("  a\t b\r\nc ") print(#f, table.unpack(f)) print(#mr.fields("  "))]]))
      assert.are.equal("4\ta\t\tb\t\n1\t\n2\ta\tb\n", printed([[
         local s = mr.split("a,,b,", ",") print(#s, table.unpack(s))
         print(#mr.split("", ","), mr.split("", ",")[1])
         local t = mr.split("a::b", "::") print(#t, table.unpack(t))]]))
   end)
end)

describe("JSON", function()
   it("is exact, and null is cjson's", function()
      assert.are.equal("9007199254740993\tinteger\n-9223372036854775808\n1.0\tfloat\ntrue\n", printed([[
         local v = mr.json_decode('{"a":9007199254740993,"b":-9223372036854775808,"c":1.0,"d":null}')
         print(v.a, math.type(v.a)) print(v.b) print(v.c, math.type(v.c))
         print(v.d == mr.null and mr.null == require "cjson".null)]]))
      assert.are.equal('{"a":[1,2.5,null,true],"b":{}}\t[]\t0.1\n', printed([[
         print(mr.json_encode { b = mr.json_decode "{}", a = { 1, 2.5, mr.null, true } },
            mr.json_encode {}, mr.json_encode(0.1))]]))
   end)

   it("refuses broken text, with its place", function()
      assert.matches("^nil\tnot valid JSON: .* %(column 3%)\n$", printed('print(mr.json_decode "[1,")'))
   end)
end)

describe("mr.parse_time", function()
   it("reads UTC", function()
      assert.are.equal("0\n951782400\n1709210096\n", printed([[
         print(mr.parse_time("%Y-%m-%d", "1970-01-01"))
         print(mr.parse_time("%d/%b/%Y:%H:%M:%S", "29/Feb/2000:00:00:00"))
         print(mr.parse_time("%Y-%m-%dT%H:%M:%SZ", "2024-02-29T12:34:56Z"))]]))
   end)

   it("gives nil and a message for what is no such time", function()
      assert.matches("^nil\t", printed([[print(mr.parse_time("%Y-%m-%d", "yesterday"))]]))
   end)
end)

describe("mr.sorted_pairs", function()
   it("goes through booleans, numbers, strings", function()
      assert.are.equal("false true -1 2 10.5 A a \n", printed([[
         for k in mr.sorted_pairs { a = 1, A = 1, [2] = 1, [10.5] = 1, [-1] = 1, [true] = 1, [false] = 1 } do
            io.write(tostring(k), " ")
         end print()]]))
   end)
end)

describe("declared reducers", function()
   local MAP = "map = function(_, line, emit) emit('k', load('local mr = ... return ' .. line)(mr)) end, "

   local function value(out) return (out:gsub("^k\t", ""):gsub("\n$", "")) end

   local function combined(reducer, lines)
      return value(api.output(MAP .. ("combine = %s, reduce = %s"):format(reducer, reducer),
         { input = lines, args = { "--split-size", "1K" } }))
   end

   -- The same with and without a combine.
   local function reduced(reducer, lines)
      local direct = value(api.output(MAP .. "reduce = " .. reducer, { input = lines }))
      assert.are.equal(direct, combined(reducer, lines))
      return direct
   end

   it("keep integers and floats apart", function()
      assert.are.equal("6", reduced("mr.sum", "1\n2\n3\n"))
      assert.are.equal("6.0", reduced("mr.sum", "1\n2.0\n3\n"))
      assert.are.equal("9007199254740993", reduced("mr.sum", "9007199254740992\n1\n"))
      assert.are.equal("1.8446744073709552e+19", reduced("mr.sum", "math.maxinteger\nmath.maxinteger\n2\n"))
      assert.are.equal("2.0", reduced("mr.mean", "1\n2\n3\n"))
      assert.are.equal("-5", reduced("mr.min", "3\n-5\n2.5\n"))
      assert.are.equal("b", reduced("mr.max", "3\n'a'\n'b'\n"))
   end)

   it("keep first, last, all and each", function()
      assert.are.equal("x", reduced("mr.first", "'x'\n2\n'z'\n"))
      assert.are.equal("z", reduced("mr.last", "'x'\n2\n'z'\n"))
      assert.are.equal('["b",1,"b"]', reduced("mr.list", "'b'\n1\n'b'\n"))
      assert.are.equal('[1,"b"]', reduced("mr.distinct", "'b'\n1\n1.0\n'b'\n"))
      assert.are.equal("3", reduced("mr.count", "'b'\nfalse\nmr.null\n"))
   end)

   it("estimate within what they promise", function()
      local lines = {}
      for i = 1, 20000 do lines[i] = (i * 7919) % 10007 end
      local input = table.concat(lines, "\n") .. "\n"
      local distinct = tonumber(reduced("mr.approx_distinct { error = 0.01 }", input))
      assert.is_true(math.abs(distinct - 10007) < 10007 * 0.03)
      local low, middle = combined("mr.quantiles { 0.1, 0.5 }", input):match("%[(%d+),(%d+)%]")
      assert.is_true(math.abs(low - 1000) < 110 and math.abs(middle - 5003) < 110)
   end)

   it("say what they cannot fold", function()
      local result = api.run("map = function(_, line, emit) emit(1, line) end, reduce = mr.sum")
      assert.are.equal(1, result.code)
      assert.matches("sum needs a number, got a string", result.err, 1, true)
      result = api.run("map = function(_, line, emit) emit(1, line) end, combine = mr.sum, reduce = mr.sum")
      assert.matches("sum needs a number, got a string", result.err, 1, true)
      assert.matches("input.txt, byte 0, record 0", result.err, 1, true)
   end)

   it("are declared, not called, and take what they know", function()
      for call, message in pairs {
         ["mr.sum()"] = "mr.sum is declared, not called: write reduce = mr.sum",
         ["mr.top(0)"] = "mr.top: n must be an integer from 1 on",
         ["mr.top(1, { bye = 1 })"] = "mr.top: unknown option 'bye'; it has: by",
         ["mr.quantiles { 2 }"] = "quantiles are from 0 to 1",
         ["mr.all { n = 3 }"] = "mr.all: n is a number; it must be a declared reducer such as mr.sum",
         ["mr.sumn"] = "mr has no 'sumn'; is it 'sum'?",
      } do
         local result = api.run(("map = function() end, reduce = %s"):format(call))
         assert.are.equal(2, result.code)
         assert.matches(message, result.err, 1, true)
      end
   end)
end)
