-- Records and groups that are put aside inside a living attempt.
local cjson = require "cjson"
local h = require "spec.helper"
local probe = require "spec.script.probe"

local ALL = { bad_record = "quarantine", script_error = "quarantine", rate_limited = "quarantine" }
local TYPES = 'error_types = { "rate_limited" },'

local function entries(path)
   local list = {}
   for i, line in ipairs(h.lines(h.exists(path) and h.read(path) or "")) do list[i] = cjson.decode(line) end
   return list
end

-- One map attempt; result.text is the part, result.aside the entries, result.dir where all lies.
local function map(job, input, fields)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", job)
   h.write(dir, "in.txt", input)
   local assignment = { kind = "map", task = "map_0", job = "job.lua", partitions = 0, part = "part", output = "text",
                        seed = 1, inputs = { { entry = 0, input = fields and fields.input } }, side_prefix = "side-",
                        parts = { { path = "in.txt", from = 0, to = #input, size = #input, input = 0 } },
                        put_aside = ALL, quarantine = "aside" }
   for key, value in pairs(fields or {}) do assignment[key] = value end
   local result = probe.run({ assignment }, dir)[1]
   result.text = h.exists(dir .. "/part") and h.read(dir .. "/part") or nil
   result.aside, result.dir = entries(dir .. "/aside"), dir
   return result
end

-- A map of `body` and a reduce of `reduce` over lines "key value".
local function reduce(more, input, fields)
   local dir = h.tmpdir()
   h.write(dir, "in.txt", input)
   h.write(dir, "job.lua", probe.job("local k, v = value:match('(%S+) (%S+)') emit(k, tonumber(v) or v)", more))
   local parts = { { path = "in.txt", from = 0, to = #input, size = #input, input = 0 } }
   local first = { kind = "map", task = "map_0", job = "job.lua", partitions = 1, run = "run", parts = parts }
   local second = { kind = "reduce", task = "reduce_0", job = "job.lua", runs = { "run" }, part = "part",
                    output = "text", temporary = "tmp", side_prefix = "side-", put_aside = ALL, quarantine = "aside" }
   for key, value in pairs(fields or {}) do second[key] = value end
   local results = probe.run({ first, second }, dir)
   assert.is_nil(results[1].error)
   local result = results[2]
   result.text = h.exists(dir .. "/part") and h.read(dir .. "/part") or nil
   result.aside, result.dir = entries(dir .. "/aside"), dir
   return result
end

local function numbers(n)
   local list = {}
   for i = 1, n do list[i] = i .. "\n" end
   return table.concat(list)
end

-- What an independent loop leaves of 1 … n.
local function lines_but(n, is_bad)
   local list = {}
   for i = 1, n do if not is_bad(i) then list[#list + 1] = i .. "\n" end end
   return table.concat(list)
end

local function is_seventh(i) return i % 7 == 0 end

describe("a record put aside", function()
   local raised = {
      bad_record = "mr.reject('no ' .. value)", script_error = "error('no ' .. value)",
      rate_limited = "mr.fail('rate_limited', 'no ' .. value, " ..
         "{ retry_after = 3, status = 429, host = 'a\tb', ok = false })",
   }

   for error_type, statement in pairs(raised) do
      it("by " .. error_type .. " leaves no trace, and the attempt goes on", function()
         local body = "emit(value) if tonumber(value) % 7 == 0 then " .. statement .. " end"
         local r = map(probe.job(body, TYPES), numbers(1000))
         assert.is_nil(r.error)
         assert.equal(lines_but(1000, is_seventh), r.text)
         assert.same({ 1000, 858 }, { r.records_in, r.pairs_out })
         assert.equal(142, r.quarantine.records)
         assert.same({ [error_type] = 142 }, r.quarantine.types)
         assert.equal(#h.read(r.dir .. "/aside"), r.quarantine.bytes)
         for i, entry in ipairs(r.aside) do
            local n = i * 7
            local expect = { "map_0", 0, "record", "in.txt", n - 1, #numbers(n - 1), tostring(n), #tostring(n),
                             error_type }
            assert.same(expect,
               { entry.task, entry.attempt, entry.unit, entry.file, entry.record, entry.offset, entry.bytes,
                 entry.bytes_total, entry.type })
            assert.equal((error_type == "script_error" and "job.lua:3: no " or "no ") .. n, entry.message)
            assert.equal("  job.lua:3: in function <job.lua:2>", entry.traceback)
            assert.is_nil(entry.truncated)
         end
         assert.same(error_type == "rate_limited" and { status = 429, host = "a b", ok = "false" } or nil,
            r.aside[1].details)
      end)
   end

   it("does not decode", function()
      local r = map('local mr = require "mr"\nreturn mr.job { map = function(_, v, emit) emit(v.a) end }',
         '{"a":1}\n{"a":2\n\nnil\n{"a":3}\n', { input = "jsonl" })
      assert.same({ "1\n3\n", 4 }, { r.text, r.records_in })
      assert.same({ { 1, 8, '{"a":2' }, { 2, 16, "nil" } },
         { { r.aside[1].record, r.aside[1].offset, r.aside[1].bytes },
           { r.aside[2].record, r.aside[2].offset, r.aside[2].bytes } })
      assert.matches("not valid JSON", r.aside[1].message, 1, true)
      r = map('local mr = require "mr"\nreturn mr.job { map = function(_, v, emit) emit(v.a, v.n) end }',
         'a,n\nx,1\ny\nz,two\nw,3\n', { input = { format = "csv", types = { n = "number" } } })
      assert.same({ "x\t1\nw\t3\n", 4, { bad_record = 2 } }, { r.text, r.records_in, r.quarantine.types })
      assert.same({ "y", "z,two" }, { r.aside[1].bytes, r.aside[2].bytes })
   end)

   it("takes back counters, side outputs and random numbers, in coroutines too", function()
      local body = [[
         local n = tonumber(value)
         local function work()
            mr.increment("good", "lines") mr.increment("sum", "n", n) mr.increment("half", "n", n / 2)
            if n % 7 == 0 then mr.increment("bad", "lines") mr.increment("good", "bad") end
            mr.output("seen", value, math.random(1000000))
            if n % 7 == 0 then mr.output("bad", value) end
            emit(value, math.random(1000000))
         end
         local co = coroutine.wrap(function() work() coroutine.yield() work() end)
         co()
         if n % 7 == 0 then error("no") end
         co()]]
      local good = {}
      for i = 1, 100 do if i % 7 ~= 0 then good[#good + 1] = i .. "\n" end end
      local mixed, clean = map(probe.job(body), numbers(100)), map(probe.job(body), table.concat(good))
      assert.equal(clean.text, mixed.text)
      assert.same(clean.counters, mixed.counters)
      assert.same({ lines = 172 }, mixed.counters.good)
      assert.equal(h.read(clean.dir .. "/side-seen"), h.read(mixed.dir .. "/side-seen"))
      assert.same({ 1, false }, { #mixed.side_outputs, h.exists(mixed.dir .. "/side-bad") })
      assert.equal(14, mixed.quarantine.records)
   end)

   it("leaves nothing in a combined run", function()
      local text = {}
      for i = 1, 5000 do text[i] = ("k%d %d"):format(i % 10, i) end
      local function sum(body)
         local dir = h.tmpdir()
         h.write(dir, "in.txt", table.concat(text, "\n") .. "\n")
         h.write(dir, "job.lua", probe.job(body, "combine = mr.sum, reduce = mr.sum,"))
         local size = #h.read(dir .. "/in.txt")
         local fields = { kind = "map", task = "map_0", job = "job.lua", partitions = 1, run = "run", put_aside = ALL,
                          quarantine = "aside", sort_buffer = 4096,
                          parts = { { path = "in.txt", from = 0, to = size, size = size, input = 0 } } }
         local results = probe.run({ fields, { kind = "reduce", task = "reduce_0", job = "job.lua", runs = { "run" },
            part = "part", output = "text", temporary = "tmp" } }, dir)
         assert.is_nil(results[1].error)
         return h.read(dir .. "/part"), results[1]
      end
      local out, result = sum("local k, n = value:match('(%S+) (%d+)') emit(k, tonumber(n)) emit('all', 1) " ..
         "if n % 3 == 0 then error('three') end")
      local sums, count = {}, 0
      for i = 1, 5000 do
         if i % 3 ~= 0 then sums[i % 10], count = (sums[i % 10] or 0) + i, count + 1 end
      end
      local expect = { "all\t" .. count }
      for i = 0, 9 do expect[#expect + 1] = ("k%d\t%d"):format(i, sums[i]) end
      assert.equal(table.concat(expect, "\n") .. "\n", out)
      assert.same({ 5000, 5000 - count, 2 * count }, { result.records_in, result.quarantine.records, result.pairs_out })
   end)

   it("may be the first, the last, or all there are", function()
      local job = probe.job("error('no')")
      for _, n in ipairs { 1, 3 } do
         local r = map(job, numbers(n))
         assert.same({ "", n, n }, { r.text, r.records_in, r.quarantine.records })
      end
      assert.is_nil(map(job, "").quarantine)
      assert.is_false(h.exists(map(probe.job("emit(value)"), "x\n").dir .. "/aside"))
   end)

   it("costs no memory of the state, however many", function()
      local n = h.sanitized and 5000 or 50000
      local r = map(probe.job("local t <close> = setmetatable({ value }, { __close = function() end }) " ..
         "if tonumber(value) % 2 == 0 then error({ value }) end emit(value)"), numbers(n), { memory_limit = 1 << 20 })
      assert.is_nil(r.error)
      assert.same({ n, n // 2 }, { r.records_in, r.quarantine.records })
      assert.equal("(error object is a table value)", r.aside[n // 2].message)
   end)

   it("may overflow a stack", function()
      local body = "local function f() return 1 + f() end if value == '2' then f() end emit(value)"
      local r = map(probe.job(body), numbers(3))
      assert.equal("1\n3\n", r.text)
      assert.matches("stack overflow", r.aside[1].message)
   end)

   it("has its number in the attempt, over parts", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", probe.job("if value == 'bad' then mr.reject('bad') end emit(mr.task().record)"))
      h.write(dir, "a", "bad\nx\n")
      h.write(dir, "b", "y\nbad\nz\n")
      local r = probe.run({ { kind = "map", task = "map_0", job = "job.lua", partitions = 0, part = "part",
         put_aside = ALL, quarantine = "aside", parts = { { path = "a", from = 0, to = 6, size = 6, input = 0 },
         { path = "b", from = 0, to = 8, size = 8, input = 0 } } } }, dir)[1]
      assert.equal(5, r.records_in)
      assert.equal("1\n2\n4\n", h.read(dir .. "/part"))
      local list = entries(dir .. "/aside")
      assert.same({ "a", 0, 0, "b", 3, 2 },
         { list[1].file, list[1].record, list[1].offset, list[2].file, list[2].record, list[2].offset })
   end)

   it("is the fault of a value that the output refuses", function()
      local r = map(probe.job("emit('k', value == '2' and {} or value .. '\\n')"), numbers(3), { output = "raw" })
      assert.equal("1\n3\n", r.text)
      assert.matches("raw output needs strings", r.aside[1].message)
      -- something of it is written already: the next attempt skips it
      r = map(probe.job("emit('k', value) emit('k', value == '2' and {} or value)"), numbers(3), { output = "raw" })
      assert.same({ "script_error", 1 }, { r.error.type, r.error.record })
   end)

   it("is the fault of a value that the combiner refuses, from the second attempt on", function()
      local sum = probe.job("emit('k', tonumber(value) or value)", "combine = mr.sum, reduce = mr.sum,")
      local first = map(sum, "1\nx\n2\ny\n", { partitions = 1, run = "run" }).error
      assert.same({ "script_error", 1, 2 }, { first.type, first.record, first.offset })
      local second = map(sum, "1\nx\n2\ny\n", { partitions = 1, run = "run", attempt = 1,
         skip = { { record = 1, error = { type = first.type, message = first.message } } } })
      assert.same({ 4, 2 }, { second.records_in, second.quarantine.records })
      local top = "mr.top(2, { by = 'n' })"
      local cases = {
         { "mr.sum", "1.5", "'x'", "job.lua:3: emit: sum needs a number, got a string" }, { "mr.sum", "1", "{}" },
         { "mr.mean", "1", "true" }, { "mr.max", "'x'", "{ a = 1 }" }, { "mr.distinct", "{ 1 }", "{ a = 1 }" },
         { "mr.all { n = mr.count, s = mr.sum }", "{ s = 1 }", "7" }, { top, "{ n = 1 }", "{ n = { a = 1 } }" },
         { "mr.quantiles { 0.5 }", "2", "'x'" },
      }
      for _, case in ipairs(cases) do
         local declared, good, bad, message = table.unpack(case)
         local r = map(probe.job(("emit('k', %s) if tonumber(value) %% 4 == 0 then emit('k', %s) end emit('j', %s)")
            :format(good, bad, good), ("combine = %s, reduce = %s,"):format(declared, declared)), numbers(100),
            { partitions = 1, run = "run", attempt = 1 })
         assert.is_nil(r.error and r.error.message, declared)
         assert.same({ 100, 25, 150, 25 }, { r.records_in, r.quarantine.records, r.pairs_out, #r.aside })
         if message then assert.equal(message, r.aside[1].message) end
         assert.same({ 3, "4" }, { r.aside[1].record, r.aside[1].bytes })
      end
   end)

   it("writes the same bytes in every attempt, but for its number", function()
      local job = probe.job("if tonumber(value) % 3 == 0 then error('no') end emit(value, math.random(100))")
      local first, second = map(job, numbers(50)), map(job, numbers(50), { attempt = 1 })
      assert.equal(first.text, second.text)
      assert.not_equal(h.read(first.dir .. "/aside"), h.read(second.dir .. "/aside"))
      assert.equal((h.read(first.dir .. "/aside"):gsub('"attempt":0', '"attempt":1')), h.read(second.dir .. "/aside"))
      assert.equal(first.quarantine.checksum, map(job, numbers(50), { durable = true }).quarantine.checksum)
   end)
end)

describe("the bytes of an entry", function()
   local job = probe.job("mr.reject('no')")

   local function bytes(text)
      local r = map(job, text .. "\n").aside[1]
      return { r.bytes, r.bytes_base64, r.bytes_total, r.truncated }
   end

   it("are text, or base64", function()
      assert.same({ "häß \" \\ \t\u{1F600}", nil, 15, nil }, bytes("häß \" \\ \t\u{1F600}"))
      assert.same({ "", nil, 0, nil }, bytes(""))
      for _, text in ipairs { "a\0b", "\xff", "\xc3", "ab\xed\xa0\x80", "\xf4\x90\x80\x80x" } do
         local encoded = h.sh("base64 -w0", { stdin = text }).out
         assert.same({ nil, encoded, #text, nil }, { nil, bytes(text)[2], #text, nil })
         assert.is_nil(bytes(text)[1])
      end
   end)

   it("are cut, between characters", function()
      local max = 64 * 1024
      assert.same({ ("x"):rep(max), nil, max, nil }, bytes(("x"):rep(max)))
      assert.same({ ("x"):rep(max), nil, max + 1, true }, bytes(("x"):rep(max + 1)))
      assert.same({ ("x"):rep(max - 1), nil, max + 5, true }, bytes(("x"):rep(max - 1) .. "ß" .. "1234"))
      assert.same({ nil, h.sh("base64 -w0", { stdin = ("\xff"):rep(max) }).out, max + 9, true },
         bytes(("\xff"):rep(max + 9)))
   end)

   it("of a pair of the step before are its value as JSON", function()
      local dir = h.tmpdir()
      h.write(dir, "first.lua", probe.job("emit({ value, 1 }, { n = tonumber(value), ok = true })"))
      h.write(dir, "second.lua", probe.job("if value.n == 2 then mr.reject('two') end emit(key)"))
      h.write(dir, "in.txt", numbers(3))
      local results = probe.run({
         { kind = "map", task = "1:map_0", job = "first.lua", partitions = 0, part = "pairs", output = "pairs",
           parts = { { path = "in.txt", from = 0, to = 6, size = 6, input = 0 } } } }, dir)
      local size = results[1].part.bytes
      local r = probe.run({ { kind = "map", task = "2:map_0", job = "second.lua", partitions = 0, part = "part",
         pairs = true, put_aside = ALL, quarantine = "aside",
         parts = { { path = "pairs", from = 0, to = size, size = size, input = 0 } } } }, dir)[1]
      assert.is_nil(r.error)
      local entry = entries(dir .. "/aside")[1]
      assert.same({ '["2",1]', '{"n":2,"ok":true}', 1 }, { entry.key, entry.bytes, entry.record })
   end)
end)

describe("a reader in Lua", function()
   local LUA = { input = { format = "lua" } }

   local function job(body, next_body)
      return ([[local mr = require "mr"
return mr.job { error_types = { "rate_limited" }, input = { format = "lua", reader = {
   open = function(path) return { n = 0, path = path } end,
   next = function(h)
      h.n = h.n + 1
      %s
      if h.n <= 5 then return h.n, h.n %% 2 == 0 and "even " .. h.n or { n = h.n } end
   end } },
   map = function(key, value, emit) %s end }]]):format(next_body or "", body)
   end

   it("goes on where it stands", function()
      local r = map(job("if key == 2 or key == 3 then mr.reject('no') end emit(key)"), "x\n", LUA)
      assert.is_nil(r.error)
      assert.same({ "1\n4\n5\n", 5 }, { r.text, r.records_in })
      assert.same({ "even 2", 1, '{"n":3}', 2 },
         { r.aside[1].bytes, r.aside[1].record, r.aside[2].bytes, r.aside[2].record })
   end)

   it("may reject a record itself", function()
      local r = map(job("emit(key)", "if h.n == 2 then mr.reject('cannot read') end"), "x\n", LUA)
      assert.same({ "1\n3\n4\n5\n", 5, "cannot read" }, { r.text, r.records_in, r.aside[1].message })
      r = map(job("emit(key)", "if h.n == 2 then error('broken') end"), "x\n", LUA)
      assert.equal("script_error", r.error.type)
   end)

   it("skips", function()
      local r = map(job("emit(key)"), "x\n", { input = { format = "lua" },
         skip = { { record = 2, error = { type = "timeout", message = "hung" } } } })
      assert.same({ "1\n2\n4\n5\n", '{"n":3}', "timeout" }, { r.text, r.aside[1].bytes, r.aside[1].type })
   end)
end)

describe("an error", function()
   local job = probe.job("emit(value) " ..
      "if value == '2' then mr.reject('two') elseif value == '3' then error('three') end")

   it("of a type that is not named fails the attempt", function()
      local r = map(job, numbers(4), { put_aside = { bad_record = "quarantine" } })
      assert.same({ "script_error", 2, "job.lua:3: three" }, { r.error.type, r.error.record, r.error.message })
      assert.is_true(r.error.elapsed_seconds >= 0 and r.error.memory_peak > 10000)
      r = map('local mr = require "mr"\nreturn mr.job { map = function() end }', "{}\n{\n", { input = "jsonl",
         put_aside = { script_error = "quarantine" } })
      assert.same({ "bad_record", 1, 3 }, { r.error.type, r.error.record, r.error.offset })
      r = map(job, numbers(4), { quarantine = false })
      assert.equal("bad_record", r.error.type)
   end)

   it("is asked about where the assignment says so", function()
      local ask = { bad_record = "ask", script_error = "ask" }
      local r = map(job, numbers(4), { put_aside = ask, answer = true })
      assert.same({ "1\n4\n", 2, 2 }, { r.text, #r.asked, #r.aside })
      local e = r.asked[2].error
      assert.same({ "script_error", "job.lua:3: three", "in.txt", 4, 2 },
         { e.type, e.message, e.file, e.offset, e.record })
      assert.is_true(e.elapsed_seconds >= 0 and e.memory_peak > 10000)
      r = map(job, numbers(4), { put_aside = ask, answer = false })
      assert.same({ "bad_record", 1 }, { r.error.type, #r.asked })
      assert.equal("bad_record", map(job, numbers(4), { put_aside = ask }).error.type)
      r = map('local mr = require "mr"\nreturn mr.job { map = function() end }', "{\n",
         { input = "jsonl", put_aside = ask, answer = true })
      assert.same({ 1, "in.txt" }, { #r.asked, r.asked[1].error.file })
   end)

   it("that is not the record's fails the attempt", function()
      local always = { memory_error = "quarantine", timeout = "quarantine", script_error = "quarantine" }
      local r = map(probe.job("local t = {} for i = 1, 1e8 do t[i] = i .. 'x' end"), "x\n",
         { memory_limit = 8 << 20, put_aside = always })
      assert.same({ "memory_error", 0 }, { r.error and r.error.type, #r.aside })
      r = map(probe.job("while true do end"), "x\n", { deadline = 0.2, put_aside = always })
      assert.same({ "timeout", 0 }, { r.error and r.error.type, #r.aside })
      r = map(probe.job("emit(value)", "finish = function() error('no') end,"), "x\n")
      assert.same({ "script_error", -1 }, { r.error.type, r.error.record })
      r = map(probe.job("emit(value)", "init = function() error('no') end,"), "x\n")
      assert.same({ "script_error", -1 }, { r.error.type, r.error.record })
   end)

   it("in combine fails it, and no record is blamed", function()
      local r = map(probe.job("emit(value, 1)", "combine = function(k, vs, emit) " ..
         "if k == '2' then mr.reject('no') end emit(k, 1) end, reduce = mr.sum,"), numbers(3),
         { partitions = 1, run = "run" })
      assert.same({ "bad_record", "no (in combine, where no record can be put aside)", "2", -1, -1 },
         { r.error.type, r.error.message, r.error.key, r.error.record, r.error.offset })
   end)

   it("caught by the job itself is no error", function()
      local r = map(probe.job("emit(value) pcall(mr.reject, 'no') pcall(error, 'no')"), numbers(3))
      assert.same({ numbers(3), nil }, { r.text, r.quarantine })
   end)

   it("by mr.run is raised as ever", function()
      local dir = h.tmpdir()
      h.write(dir, "t.lua", 'local mr = require "mr"\n' ..
         'print(pcall(mr.run, mr.job { map = function() mr.reject("no") end }, { inputs = { "x" } }))')
      assert.matches("^false\tno", h.run({ "lua", "t.lua" }, { dir = dir }).out)
   end)
end)

describe("the limit", function()
   it("lets so many through and no more, and says how to raise it", function()
      local job = probe.job("if tonumber(value) % 2 == 0 then mr.reject('even') end emit(value)")
      local r = map(job, numbers(6), { put_aside_max = 3 })
      assert.same({ "1\n3\n5\n", 3 }, { r.text, r.quarantine.records })
      r = map(job, numbers(6), { put_aside_max = 2 })
      assert.same({ "bad_record", 5 }, { r.error.type, r.error.record })
      assert.equal("even; this record is not put aside, for the limit of limits.max_quarantined is reached " ..
         "(2 in this task): mend the job or its input, or raise it with --set limits.max_quarantined=N",
         r.error.message)
      r = map(job, numbers(6), { put_aside_max = 0, put_aside = { bad_record = "ask" }, answer = true })
      assert.same({ "bad_record", nil }, { r.error.type, r.asked })
   end)
end)

describe("only", function()
   local job = probe.job("if n == 4 then error('four') end emit(value)", "finish = function(emit) emit('end') end,")
   job = job:gsub("emit%(value%)", "mr.increment('map', 'calls') emit(value)"):gsub("if n ==", "if tonumber(value) ==")

   it("calls map on nothing but these records, in any part, and never finish", function()
      for _, list in ipairs { { 0 }, { 2 }, { 0, 1, 2 }, { 1, 4, 5 }, { 999 }, { 0, 500, 999 }, { 1000 }, { 3 } } do
         local r = map(job, numbers(1000), { only = list, put_aside = false, quarantine = false })
         if list[1] == 3 then
            assert.same({ 3, "job.lua:3: four" }, { r.error.record, r.error.message })
         else
            local want = {}
            for i, record in ipairs(list) do want[i] = record < 1000 and record + 1 .. "\n" or "" end
            assert.equal(table.concat(want), r.text)
            assert.same({ table.unpack(h.lines(r.text), 1, 20) }, r.shown)
         end
      end
   end)

   it("puts them aside by \"*\", and passes by what does not decode", function()
      local decode = 'local mr = require "mr"\nreturn mr.job { map = function(_, v, emit) emit(v.a.b) end }'
      local r = map(decode, 'no\n{"a":{"b":1}}\nno\n{"a":2}\n{"a":{"b":3}}\n',
         { input = "jsonl", only = { 1, 2, 3 }, put_aside = { ["*"] = "quarantine" } })
      assert.same({ "1\n", 2, { bad_record = 1, script_error = 1 } }, { r.text, #r.aside, r.quarantine.types })
      assert.same({ 2, 3 }, { r.aside[1].record, r.aside[2].record })
   end)

   it("is of groups in reduce", function()
      local r = reduce('reduce = function(k, vs, emit) if k == "c" then error(k) end emit(k) end,',
         "a 1\nb 1\nc 1\nd 1\n", { only = { 1, 3 }, put_aside = false, quarantine = false })
      assert.same({ "b\nd\n", { "b", "d" } }, { r.text, r.shown })
      r = reduce('reduce = function(k, vs, emit) if k == "c" then error(k) end emit(k) end,',
         "a 1\nb 1\nc 1\nd 1\n", { only = { 2 } })
      assert.same({ "", 2 }, { r.text, r.aside[1].record })
   end)
end)

describe("the skip list", function()
   it("goes on after a record of it that a reader in Lua rejects by itself", function()
      local text = [[local mr = require "mr" return mr.job { input = { format = "lua", reader = {
         open = function(path) return assert(io.open(path)) end,
         next = function(f) local l = f:read() if l == "2" then mr.reject("two") end if l then return l, l end end } },
         map = function(_, v, emit) emit(v) end }]]
      local function died(record) return { record = record, error = { type = "task_crash", message = "killed" } } end
      local r = map(text, numbers(5), { input = { format = "lua" }, skip = { died(1), died(3) } })
      assert.is_nil(r.error and r.error.message)
      assert.equal("1\n3\n5\n", r.text)
      assert.same({ 1, 3 }, { r.aside[1].record, r.aside[2].record })
   end)

   local job = probe.job("if value == '3' or value == '5' then os.exit(7) end emit(value, math.random(1000))")
   local function skip(record, error_type)
      return { record = record, error = { type = error_type, message = "killed by " .. record, traceback = "t",
               details = "signal\t9\n" } }
   end

   it("keeps records from map", function()
      local r = map(job, numbers(6), { skip = { skip(2, "task_crash"), skip(4, "timeout") } })
      assert.is_nil(r.error)
      assert.same({ 6, { task_crash = 1, timeout = 1 } }, { r.records_in, r.quarantine.types })
      assert.same({ "task_crash", "killed by 2", "t", { signal = 9 }, 2, 4, "3" },
         { r.aside[1].type, r.aside[1].message, r.aside[1].traceback, r.aside[1].details, r.aside[1].record,
           r.aside[1].offset, r.aside[1].bytes })
      assert.equal(map(probe.job("if value == '3' or value == '5' then math.random() error('x') end " ..
         "emit(value, math.random(1000))"), numbers(6)).text, r.text)
   end)

   it("holds for what does not decode, and without a type to put aside", function()
      local r = map('local mr = require "mr"\nreturn mr.job { map = function(_, v, emit) emit(v) end }', "1\n{\n3\n",
         { input = "jsonl", skip = { skip(1, "timeout") }, put_aside = false })
      assert.same({ "1\n3\n", "timeout", "{" }, { r.text, r.aside[1].type, r.aside[1].bytes })
      r = map(probe.job("emit(value)"), numbers(3),
         { skip = { skip(1, "timeout"), skip(2, "timeout") }, put_aside_max = 1 })
      assert.same({ "timeout", 2 }, { r.error.type, r.error.record })
      assert.matches("limits.max_quarantined", r.error.message, 1, true)
   end)
end)

describe("a group put aside", function()
   local input = "a 1\nb 2\na 3\nc 4\nb 5\nc 6\nd 7\n"
   local failing = "reduce = function(k, vs, emit) for v in vs do emit(k, v) mr.increment('g', 'v') " ..
      "mr.output('seen', k, v) if k == 'b' or k == 'd' then error('no ' .. k) end end end,"

   it("leaves no trace, and the attempt goes on", function()
      local r = reduce(failing, input)
      assert.is_nil(r.error)
      assert.equal("a\t1\na\t3\nc\t4\nc\t6\n", r.text)
      assert.equal(r.text, h.read(r.dir .. "/side-seen"))
      assert.same({ 4, 7, 4, 4 }, { r.groups, r.records_in, r.pairs_out, r.counters.g.v })
      assert.same({ "reduce_0", "group", "b", 1, "script_error", "job.lua:2: no b" },
         { r.aside[1].task, r.aside[1].unit, r.aside[1].key, r.aside[1].record, r.aside[1].type, r.aside[1].message })
      assert.same({ "d", 3, nil, nil, nil },
         { r.aside[2].key, r.aside[2].record, r.aside[2].bytes, r.aside[2].offset, r.aside[2].file })
      assert.equal(2, r.quarantine.records)
   end)

   it("is asked about with its key", function()
      local r = reduce(failing, input, { put_aside = { script_error = "ask" }, answer = true })
      assert.same({ 2, "b", 1 }, { #r.asked, r.asked[1].error.key, r.asked[1].error.record })
      r = reduce(failing, input, { put_aside = { script_error = "ask" }, answer = false })
      assert.same({ "script_error", "b", 1 }, { r.error.type, r.error.key, r.error.record })
      r = reduce(failing, input, { put_aside_max = 1 })
      assert.same({ "d", 3 }, { r.error.key, r.error.record })
      assert.matches("this group is not put aside", r.error.message, 1, true)
   end)

   it("is skipped", function()
      local r = reduce("reduce = function(k, vs, emit) " ..
         "if k == 'b' then os.exit(1) end for v in vs do emit(k, v) end end,", input,
         { skip = { { record = 1, error = { type = "task_crash", message = "killed" } } } })
      assert.same({ "a\t1\na\t3\nc\t4\nc\t6\nd\t7\n", "b", "task_crash" }, { r.text, r.aside[1].key, r.aside[1].type })
      for _, declared in ipairs { "reduce = mr.sum,", "" } do
         r = reduce(declared, input, { skip = { { record = 1, error = { type = "task_crash", message = "killed" } } } })
         assert.equal(declared == "" and "a\t1\na\t3\nc\t4\nc\t6\nd\t7\n" or "a\t4\nc\t10\nd\t7\n", r.text)
      end
   end)

   it("may hold values that a declared reducer refuses", function()
      local r = reduce("reduce = mr.sum,", "a 1\nb x\nb 1\nc 2\n")
      assert.same({ "a\t1\nc\t2\n", "b" }, { r.text, r.aside[1].key })
      r = reduce("reduce = mr.top(1, { by = function(v) if v == 2 then error('no') end return v end }),",
         "a 1\nb 1\nb 2\nc 3\n")
      assert.same({ "a\t[1]\nc\t[3]\n", "b", "job.lua:2: no" }, { r.text, r.aside[1].key, r.aside[1].message })
   end)

   it("fails the attempt when too much of it is written", function()
      local body = "reduce = function(k, vs, emit) for v in vs do for _ = 1, %d do emit(k, ('x'):rep(1 << 20)) end " ..
         "if k == 'b' then error('late') end end end,"
      local r = reduce(body:format(15), "a 1\nb 1\n")
      assert.same({ 1, "b" }, { #r.aside, r.aside[1].key })
      r = reduce(body:format(17), "a 1\nb 1\nc 1\n")
      assert.same({ "script_error", "b", 1 }, { r.error.type, r.error.key, r.error.record })
      r = reduce(body:format(17), "a 1\nb 1\nc 1\n", { skip = { { record = 1, error = { type = "script_error" } } } })
      assert.same({ nil, 34, 34 * ((1 << 20) + 3) }, { r.error, r.part.records, r.part.bytes })
   end)

   it("does not hide an error of finish", function()
      local r = reduce("reduce = function() end, " ..
         "finish = function() if mr.task().id == 'reduce_0' then error('no') end end,", input)
      assert.same({ "script_error", -1, "" }, { r.error.type, r.error.record, r.error.key })
   end)
end)

describe("a worker", function()
   local function ask(replies)
      local dir, lines, asked, results = h.tmpdir(), {}, {}, {}
      h.write(dir, "job.lua", probe.job("if value == '2' then error('two') end emit(value)"))
      h.write(dir, "in.txt", numbers(3))
      for i, reply in ipairs(replies) do
         lines[i] = cjson.encode { kind = "map", task = "map_0", job = "job.lua", serial = i, partitions = 0,
            part = "part", put_aside = { script_error = "ask" }, quarantine = "aside", reply = reply,
            parts = { { path = "in.txt", from = 0, to = 6, size = 6, input = 0 } } } .. "\n"
      end
      local run = h.run({ h.binary }, { binary = h.tool("worker_probe"), stdin = table.concat(lines), dir = dir })
      assert.same({ 0, "" }, { run.code, run.err })
      for _, line in ipairs(h.lines(run.out)) do
         local message = cjson.decode(line)
         if message.type == 5 then asked[#asked + 1] = message.payload end
         if message.type == 3 then results[#results + 1] = message.payload end
      end
      return results, asked
   end

   it("asks its driver, and waits", function()
      local results, asked = ask { true, false, "stale", true }
      assert.same({ 4, 4 }, { #results, #asked })
      for i, expect in ipairs { true, false, false, true } do
         local e = asked[i].error
         assert.same({ i, "script_error", "job.lua:3: two", 1 }, { asked[i].serial, e.type, e.message, e.record })
         assert.is_true(e.elapsed_seconds >= 0 and e.memory_peak > 0)
         local result = results[i]
         if expect then
            assert.same({ 1, 2 }, { result.result.quarantine.records, result.result.part.records })
         else
            assert.same({ "script_error", 1 }, { result.error.type, result.error.record })
            assert.is_true(result.error.elapsed_seconds >= 0 and result.error.memory_peak > 0)
         end
      end
   end)

   it("that is interrupted meanwhile waits no more", function()
      local results = ask { "interrupt", true }
      assert.same({ "timeout", 1 }, { results[1].error.type, results[1].error.record })
      assert.equal(1, results[2].result.quarantine.records)
   end)

   it("ends with its driver meanwhile", function()
      assert.same({}, (ask { "die" }))
   end)
end)

describe("a sample", function()
   it("passes over what fails", function()
      local lines = {}
      for i = 1, 3000 do lines[i] = i % 3 == 0 and "{" or ("%d"):format(10000 + i) end
      local text = table.concat(lines, "\n") .. "\n"
      local r = map(probe.job("if value % 2 == 0 then mr.reject('even') end emit(value)"), text,
         { kind = "sample", input = "jsonl", partitions = 4, sample_records = 1000 })
      assert.is_nil(r.error)
      assert.equal(3, #r.boundaries)
      r = map(probe.job("while true do end"), "1\n", { kind = "sample", partitions = 2, deadline = 0.1 })
      assert.equal("timeout", r.error.type)
   end)
end)

describe("mr.fail", function()
   local function message(arguments)
      return map(probe.job("mr.fail(" .. arguments .. ")", TYPES), "x\n", { put_aside = {} }).error
   end

   it("passes details on", function()
      local e = message("'rate_limited', 'slow', { retry_after = 2.5, zeta = 1, status = 503, alpha = 'x' }")
      assert.same({ "rate_limited", "slow", 2.5, "alpha\tx\nstatus\t503\nzeta\t1\n" },
         { e.type, e.message, e.retry_after, e.details })
   end)

   it("refuses what is none", function()
      local cases = {
         ["'rate_limited', 'x', 3"] =
            "mr.fail: its third argument is a table, such as { retry_after = 30 }, got a number",
         ["'rate_limited', 'x', { retry_after = 'soon' }"] = "mr.fail: retry_after is a number of seconds, from 0 on",
         ["'rate_limited', 'x', { t = {} }"] = "mr.fail: t is a table; a detail can be a string, number or boolean",
         ["'rate_limited', 'x', { ['a b'] = 1 }"] = "mr.fail: a b is no name for a detail; use letters, digits and '_'",
      }
      for arguments, text in pairs(cases) do assert.equal("job.lua:3: " .. text, message(arguments).message) end
   end)
end)
