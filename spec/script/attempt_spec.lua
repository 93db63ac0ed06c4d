-- One attempt: values, errors and their places, limits.
local h = require "spec.helper"
local probe = require "spec.script.probe"

local function map_error(body, fields, more)
   local result = probe.map(probe.job(body, more), "one\ntwo\nthree\n", fields)
   assert.is_table(result.error, "it succeeded")
   return result.error
end

describe("emit", function()
   local value_kinds = "; a value can be a boolean, number, string, mr.null or a table of these"
   local key_kinds = "; a key can be a boolean, number, string, mr.null or an array of these"

   it("says where in a value the fault is", function()
      local cases = {
         ["emit(1, nil)"] = "value is nil" .. value_kinds,
         ["emit(1, print)"] = "value is a function" .. value_kinds,
         ["emit(1, { items = { 1, 2, print } })"] = "value.items[3] is a function" .. value_kinds,
         ["emit(1, { ['a b'] = { [2.5] = { [true] = io.stdout } } })"] =
            "value[\"a b\"][2.5][true] is a userdata" .. value_kinds,
         ["emit(1, { x = { [{}] = 1 } })"] =
            "value.x has a table as a key; keys of a table can be booleans, numbers and strings",
         ["local t = { a = {} } t.a.b = t emit(1, t)"] = "value.a.b is a cycle: it is value again",
         ["local t = {} for _ = 1, 101 do t = { t } end emit(1, t)"] =
            "value[1][1][1][1][1][1]… is nested deeper than 100 tables",
         ["emit(nil)"] = "key is nil" .. key_kinds,
         ["emit(0/0, 1)"] = "key is NaN, which has no place in an order" .. key_kinds,
         ["emit({ 1, { 0/0 } }, 1)"] = "key[2][1] is NaN, which has no place in an order" .. key_kinds,
         ["emit({ a = 1 }, 1)"] = "key is a table that is no array" .. key_kinds,
         ["emit(function() end, 1)"] = "key is a function" .. key_kinds,
      }
      for body, message in pairs(cases) do
         local e = map_error(body)
         assert.same({ "script_error", "job.lua:3: emit: " .. message, 0, 0, "in.txt" },
            { e.type, e.message, e.offset, e.record, e.file })
      end
      assert.equal("job.lua:3: emit takes a key and a value, got 0 arguments", map_error("emit()").message)
      assert.equal("job.lua:3: emit takes a key and a value, got 3 arguments", map_error("emit(1, 2, 3)").message)
   end)

   it("leaves nothing of a pair it refused", function()
      local body = "pcall(emit, key, print) pcall(emit, { value, print }, 1) emit(value, { b = 1, a = { 1, 2 } })"
      local expect = 'one\t{"a":[1,2],"b":1}\ntwo\t{"a":[1,2],"b":1}\n'
      assert.equal(expect, probe.map(probe.job(body), "one\ntwo\n").text)
      local path = probe.map(probe.job(body, "reduce = mr.count,"), "one\ntwo\n", { partitions = 1, run = "run" })
      assert.equal(2, path.run.pairs)
   end)

   it("keeps types: null, empty tables and objects, integers, floats, deep values", function()
      local body = [[
         local t = "deep" for _ = 1, 100 do t = { t } end
         emit(1, mr.json_decode('{"a":{},"b":[],"c":null,"d":1.0,"e":9007199254740993}'))
         emit(2, { mr.null, 1, 1.0, -0.0, math.mininteger, "\0\xff" })
         emit(3, t)
         emit("alone")]]
      local out = probe.map(probe.job(body), "x\n").text
      assert.equal('1\t{"a":{},"b":[],"c":null,"d":1.0,"e":9007199254740993}\n' ..
         '2\t[null,1,1.0,-0.0,-9223372036854775808,"\\u0000\u{FFFD}"]\n3\t' ..
         ("["):rep(100) .. '"deep"' .. ("]"):rep(100) .. "\nalone\n", out)
   end)
end)

describe("an error", function()
   it("has the record's place and a traceback of the user's lines", function()
      local text = 'local mr = require "mr"\nlocal function inner(v)\n   error("no " .. v)\nend\n' ..
         'return mr.job { map = function(_, v)\n   if v == "two" then inner(v) end\n   return 1\nend }'
      local e = probe.map(text, "one\ntwo\n").error
      assert.same({ "script_error", "job.lua:3: no two", "in.txt", 4, 1 },
         { e.type, e.message, e.file, e.offset, e.record })
      assert.equal("  job.lua:3: in upvalue 'inner'\n  job.lua:6: in function <job.lua:5>", e.traceback)
   end)

   it("in a helper of the host is told at the user's line", function()
      local e = map_error("return mr.summ")
      assert.equal("job.lua:3: mr has no 'summ'; is it 'sum'?", e.message)
      assert.equal("job.lua:3: mr.sum is declared, not called: write reduce = mr.sum", map_error("mr.sum(1)").message)
      assert.equal("  job.lua:3: in function <job.lua:2>", map_error("mr.sum(1)").traceback:match("[^\n]*"))
   end)

   it("may be any value", function()
      assert.equal("(error object is a table value)", map_error("error({})").message)
      assert.equal("(error object is a nil value)", map_error("error(nil)").message)
      assert.equal("says so",
         map_error("error(setmetatable({}, { __tostring = function() return 'says so' end }))").message)
      local e = map_error("error(setmetatable({}, { __tostring = function() error('again') end }))")
      assert.same({ "script_error", "job.lua:3: again" }, { e.type, e.message })
   end)

   it("is cut when it is long, and keeps both ends of a deep stack", function()
      local e = map_error("error(('x'):rep(100000))")
      assert.is_true(#e.message < 2000)
      e = map_error("local function f(n) if n == 0 then error('deep') end return 1 + f(n - 1) end f(150)")
      assert.matches("… %d+ more\n", e.traceback)
      assert.matches("in function <job.lua:2>$", e.traceback)
      e = map_error("local function f() return 1 + f() end f()")
      assert.matches("stack overflow", e.message)
   end)

   it("has the type of mr.fail and mr.reject", function()
      local types = 'error_types = { "rate_limited" },'
      local e = map_error("mr.fail('rate_limited', 'slow down', { retry_after = 2.5 })", nil, types)
      assert.same({ "rate_limited", "declared", "slow down", 2.5 }, { e.type, e.status, e.message, e.retry_after })
      e = map_error("mr.reject('not mine')")
      assert.same({ "bad_record", "not mine", 0 }, { e.type, e.message, e.record })
      e = map_error("mr.fail('rate_limit', 'x')", nil, types)
      assert.equal("job.lua:3: mr.fail: 'rate_limit' is not one of the job's error_types (is it 'rate_limited'?)",
         e.message)
   end)
end)

describe("limits", function()
   it("cap the memory of Lua, whatever the script catches", function()
      local fields = { memory_limit = 8 << 20 }
      for _, body in ipairs {
         "local t = {} for i = 1, 1e8 do t[i] = i .. 'x' end", "return ('x'):rep(1 << 30)",
         "pcall(string.rep, 'x', 1 << 30)", "pcall(function() local t = {} for i = 1, 1e8 do t[i] = {} end end)",
      } do
         local e = map_error(body, fields)
         assert.equal("memory_error", e.type)
         assert.matches("limit of 8 MB", e.message, 1, true)
      end
      local churn = "local s = ('x'):rep(1 << 20) for _ = 1, 100 do s = 'y' .. s:sub(2) end"
      assert.is_nil(probe.map(probe.job(churn), "x\n", fields).error)
   end)

   it("may be met at any allocation", function()
      local dir, assignments, seen = h.tmpdir(), {}, {}
      h.write(dir, "in.txt", "a b\nc d\n")
      h.write(dir, "job.lua", probe.job([[mr.increment("words", "lines")
         for w in mr.words(value) do emit({ w, key }, { x = w, y = { 1, { z = w } } }) end]],
         [[init = function() return {} end, partition = function() return 0 end,
         combine = function(key, values, emit) for v in values do emit(key, v) end end,]]))
      for limit = 2048, 160000, 977 do
         assignments[#assignments + 1] = { kind = "map", task = "map_0", job = "job.lua", memory_limit = limit,
            partitions = 1, run = "run", parts = { { path = "in.txt", from = 0, to = 8, size = 8, input = 0 } } }
      end
      for _, result in ipairs(probe.run(assignments, dir)) do
         seen[result.error and result.error.type or "ok"] = true
      end
      assert.same({ memory_error = true, ok = true }, seen)
   end)

   -- A coroutine that was running before is out of the hook's reach: the driver's kill is for that.
   it("end an endless loop or a sleep at the deadline, caught or not", function()
      for _, body in ipairs {
         "while true do end", "while true do pcall(error) end", "mr.sleep(1000)",
         "while true do pcall(mr.sleep, 1000) end", "xpcall(function() while true do end end, type)",
      } do
         local e = map_error(body, { deadline = 0.2 })
         assert.equal("timeout", e.type)
         assert.equal("the attempt took longer than its deadline of 0.20 s", e.message)
         assert.equal("in.txt", e.file)
      end
   end)

   it("leave the next attempt of the process alone", function()
      local dir = h.tmpdir()
      h.write(dir, "slow.lua", probe.job("while true do end"))
      h.write(dir, "good.lua", probe.job("emit(value)"))
      h.write(dir, "in.txt", "x\n")
      local function assignment(job, deadline)
         return { kind = "map", task = "map_0", job = job, partitions = 0, part = "part", deadline = deadline,
                  parts = { { path = "in.txt", from = 0, to = 2, size = 2, input = 0 } } }
      end
      local results = probe.run({ assignment("slow.lua", 0.1), assignment("good.lua", 60), assignment("slow.lua", 0.1),
                                  assignment("good.lua") }, dir)
      assert.same({ "timeout", nil, "timeout", nil }, { results[1].error and results[1].error.type, results[2].error,
         results[3].error and results[3].error.type, results[4].error })
   end)
end)

describe("an attempt", function()
   it("has a state of its own", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua",
         probe.job("count = (count or 0) + 1 emit(count)", "init = function() assert(count == nil) end,"))
      h.write(dir, "in.txt", "x\ny\n")
      local assignment = { kind = "map", task = "map_0", job = "job.lua", partitions = 0, part = "part",
                           parts = { { path = "in.txt", from = 0, to = 4, size = 4, input = 0 } } }
      for _, result in ipairs(probe.run({ assignment, assignment }, dir)) do assert.is_nil(result.error) end
      assert.equal("1\n2\n", h.read(dir .. "/part"))
   end)

   it("draws the numbers of its task, not of its attempt", function()
      local body = "emit(math.random(1000000)) emit(math.random()) emit(math.random(0)) emit(math.random(-3, 3))"
      local first = probe.map(probe.job(body), "x\n", { attempt = 0 }).text
      assert.equal(first, probe.map(probe.job(body), "x\n", { attempt = 3 }).text)
      assert.not_equal(first, probe.map(probe.job(body), "x\n", { task = "map_1" }).text)
      assert.not_equal(first, probe.map(probe.job(body), "x\n", { seed = 2 }).text)
      assert.equal("job.lua:3: bad argument #1 to 'random' (interval is empty)", map_error("math.random(-1)").message)
      assert.equal("1\n1\n", probe.map(probe.job("math.randomseed(5) local a = math.random(1, 1 << 40) " ..
         "math.randomseed(5) emit(a == math.random(1, 1 << 40) and 1 or 0)"), "x\ny\n").text)
   end)

   it("is refused when it makes no sense", function()
      local results = probe.run { { kind = "dance" }, { kind = "map", one_liner = { map = "emit(1)" } },
         { kind = "reduce", one_liner = { map = "emit(1)" }, part = "/nonexistent/part", runs = {} } }
      assert.equal("an assignment of no known kind", results[1].error.message)
      assert.equal("a map task without a run to write", results[2].error.message)
      assert.is_table(results[3].error)
   end)
end)

describe("a sample", function()
   it("gives boundaries that cut evenly, the same each time", function()
      local dir, lines = h.tmpdir(), {}
      for i = 1, 20000 do lines[i] = ("%05d"):format((i * 7919) % 20000) end
      local text = table.concat(lines, "\n") .. "\n"
      h.write(dir, "in.txt", text)
      h.write(dir, "job.lua", probe.job("emit(value)"))
      local parts = { { path = "in.txt", from = 0, to = #text, size = #text, input = 0 } }
      local sample = { kind = "sample", task = "sample", job = "job.lua", parts = parts, partitions = 4,
                       sample_records = 2000 }
      local map = { kind = "map", task = "map_0", job = "job.lua", parts = parts, partitions = 4, run = "run",
                    boundaries_of_last = true }
      local results = probe.run({ sample, map, sample }, dir)
      assert.equal(3, #results[1].boundaries)
      assert.same(results[1], results[3])
      local cuts = {}
      for i, boundary in ipairs(results[1].boundaries) do cuts[i] = tonumber(boundary:sub(-5)) end
      for i, cut in ipairs(cuts) do assert.is_true(math.abs(cut - 5000 * i) < 1000, "cut " .. cut) end
      for p = 0, 3 do
         local reduce = { kind = "reduce", task = "reduce_" .. p, job = "job.lua", runs = { "run" }, partition = p,
                          part = "part" .. p, temporary = "tmp" }
         assert.is_nil(probe.run({ reduce }, dir)[1].error)
      end
      table.sort(lines)
      local whole = ""
      for p = 0, 3 do whole = whole .. h.read(dir .. "/part" .. p) end
      assert.equal(table.concat(lines, "\n") .. "\n", whole)
   end)

   it("of few distinct keys gives fewer", function()
      local dir = h.tmpdir()
      h.write(dir, "in.txt", ("a\nb\n"):rep(1000))
      local result = probe.run({ { kind = "sample", task = "sample", partitions = 8,
         one_liner = { map = "emit(value)" },
         parts = { { path = "in.txt", from = 0, to = 4000, size = 4000, input = 0 } } } }, dir)[1]
      assert.equal(1, #result.boundaries)
   end)
end)

describe("lmr lua", function()
   it("has mr, arg and the file's own modules, and tells errors", function()
      local dir = h.tmpdir()
      h.write(dir, "lib/helper.lua", "return { n = 41 }")
      h.write(dir, "lib/main.lua", '#!/usr/bin/env lmr\n' ..
         'local given = ...\nprint(arg[0], arg[1], given, mr == require "mr", require("helper").n)')
      local result = h.run({ "lua", dir .. "/lib/main.lua", "x" })
      assert.same({ 0, dir .. "/lib/main.lua\tx\tx\ttrue\t41\n" }, { result.code, result.out })
      h.write(dir, "bad.lua", "local function f() error('no') end\nf()\n")
      result = h.run({ "lua", "bad.lua" }, { dir = dir })
      assert.matches("bad.lua:1: no", result.err, 1, true)
      assert.equal(1, result.code)
   end)
end)
