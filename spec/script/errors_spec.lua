-- What is said, word for word, when a job's own code fails: the message, the place in the input, the user's lines.
local assert = require "luassert"
local api = require "spec.script.support"

local MAP = "map = function(_, line, emit) emit(line, 1) end"

-- body = { exit code, text on standard error }; the body stands on line 4. INPUT is the input's path.
local function says(body, err, options, code)
   local result = api.run(body, options)
   local text = result.err:gsub("[^%s<]*/input%.txt", "INPUT"):gsub("[^%s<]*/job%.lua", "job.lua")
      :gsub("lmr: to go on: lmr resume [^\n]*\n", "") -- where something had committed
   assert.are.equal(err, text)
   assert.are.equal(code or 1, result.code)
end

local VALUE = "a value can be a boolean, number, string, mr.null or a table of these"
local KEY = "a key can be a boolean, number, string, mr.null or an array of these"

describe("emit refuses", function()
   for call, message in pairs {
      ["emit()"] = "emit takes a key and a value, got 0 arguments",
      ["emit(1, 2, 3)"] = "emit takes a key and a value, got 3 arguments",
      ["emit(nil, 1)"] = "emit: key is nil; " .. KEY,
      ["emit(nil)"] = "emit: key is nil; " .. KEY,
      ["emit(1, nil)"] = "emit: value is nil; " .. VALUE,
      ["emit(0/0, 1)"] = "emit: key is NaN, which has no place in an order; " .. KEY,
      ["emit({ 1, { 0/0 } }, 1)"] = "emit: key[2][1] is NaN, which has no place in an order; " .. KEY,
      ["emit(print, 1)"] = "emit: key is a function; " .. KEY,
      ["emit(io.stdout, 1)"] = "emit: key is a userdata; " .. KEY,
      ["emit({ a = 1 }, 1)"] = "emit: key is a table that is no array; " .. KEY,
      ["emit({ 1, nil, 3 }, 1)"] = "emit: key is a table that is no array; " .. KEY,
      ["emit(1, print)"] = "emit: value is a function; " .. VALUE,
      ["emit(1, { a = { 1, print } })"] = "emit: value.a[2] is a function; " .. VALUE,
      ["emit(1, { ['a b'] = { [7] = print } })"] = 'emit: value["a b"][7] is a function; ' .. VALUE,
      ["emit(1, coroutine.create(print))"] = "emit: value is a thread; " .. VALUE,
      ["emit(1, { a = { [{}] = 1 } })"] =
         "emit: value.a has a table as a key; keys of a table can be booleans, numbers and strings",
      ["local t = {} t.a = { t } emit(1, t)"] = "emit: value.a[1] is a cycle: it is value again",
      ["local t = {} for _ = 1, 200 do t = { t } end emit(1, t)"] =
         "emit: value[1][1][1][1][1][1]… is nested deeper than 100 tables",
      ["local t = {} for _ = 1, 200 do t = { t } end emit(t, 1)"] =
         "emit: key[1][1][1][1][1][1]… is nested deeper than 100 tables",
   } do
      it(call, function()
         says(("map = function(_, _, emit) %s end"):format(call), "lmr: map_0 failed (script_error): job.lua:4: " ..
            message .. "\n  at INPUT, byte 0, record 0\n    job.lua:4: in function <job.lua:4>\n")
      end)
   end

   it("a value in reduce too, and tells the key", function()
      says(MAP .. ", reduce = function(key, _, emit) emit(key, nil) end",
         "lmr: reduce_0 failed (script_error): job.lua:4: " ..
         "emit: value is nil; " .. VALUE .. "\n  at record 0, key k\n    job.lua:4: in function <job.lua:4>\n",
         { input = "k\n" })
   end)
end)

describe("an error", function()
   it("in map has its record and the user's lines only", function()
      says([[map = function(_, line)
   local function deeper(n)
      if n == 0 then error("no " .. line) end
      deeper(n - 1)
      return n
   end
   if line == "3" then deeper(1) end
end]], [[
lmr: map_0 failed (script_error): job.lua:6: no 3
  at INPUT, byte 4, record 2
    job.lua:6: in upvalue 'deeper'
    job.lua:7: in local 'deeper'
    job.lua:10: in function <job.lua:4>
]])
   end)

   for name, case in pairs {
      combine = { MAP .. ", reduce = mr.sum, combine = function() error('no') end", "map_0", "INPUT, key 1",
         " (in combine, where no record can be put aside)" },
      finish = { MAP .. ", finish = function() error('no') end", "map_0", "INPUT" },
      reduce = { MAP .. ", reduce = function() error('no') end", "reduce_0", "record 0, key 1" },
      ["the function of mr.top"] = { MAP .. ", reduce = mr.top(1, { by = function() error('no') end })", "reduce_0",
         "record 0, key 1" },
      ["a reader's next"] = { "map = print, input = { reader = { open = function() return 1 end, " ..
         "next = function() error('no') end } }", "map_0", "INPUT, byte 0, record 0" },
   } do
      it("in " .. name .. " is placed", function()
         says(case[1],
            ("lmr: %s failed (script_error): job.lua:4: no%s\n  at %s\n    job.lua:4: in function <job.lua:4>\n")
            :format(case[2], case[4] or "", case[3]))
      end)
   end

   it("in stop_when names its round", function()
      says("iterate = mr.iterate { map = function(k, v, emit) emit(k, v) end, stop_when = function() error('no') end }",
         "lmr: 1.1:stop failed (script_error): job.lua:4: no\n    job.lua:4: in function <job.lua:4>\n")
   end)

   it("may be any value", function()
      for raised, text in pairs {
         ["{ 1 }"] = "(error object is a table value)", ["nil"] = "(error object is a nil value)",
         ["'plain', 0"] = "plain", ["42"] = "42",
         ["setmetatable({}, { __tostring = function() return 'custom' end })"] = "custom",
         ["setmetatable({}, { __tostring = function() error('twice', 0) end })"] = "twice",
      } do
         local result = api.run(("map = function() error(%s) end"):format(raised))
         assert.matches("lmr: map_0 failed (script_error): " .. text .. "\n", result.err, 1, true)
      end
   end)

   it("of a type of the job's own, or a rejected record, keeps its type", function()
      says('error_types = { "slow" }, map = function(_, l) if l == "2" then mr.fail("slow", "too slow") end end',
         "lmr: map_0 failed (slow): too slow\n  at INPUT, byte 2, record 1\n    job.lua:4: in function <job.lua:4>\n",
         { args = { "--set", "retry.max_retries=0" } })
      says('map = function(_, l) if l == "2" then mr.reject("odd") end end',
         "lmr: map_0 failed (bad_record): odd\n  at INPUT, byte 2, record 1\n    job.lua:4: in function <job.lua:4>\n")
      local result = api.run('error_types = { "slow" }, map = function() mr.fail("slwo", "x") end')
      assert.matches("mr.fail: 'slwo' is not one of the job's error_types (is it 'slow'?)", result.err, 1, true)
   end)

   it("is the worker's end when the job ends it", function()
      for code in pairs { [0] = true, [3] = true } do
         says(("map = function() os.exit(%d) end"):format(code),
            ("lmr: map_0 failed again (task_crash): the worker ended with exit status %d " ..
            "in the middle of its work (it was in map; does the job call os.exit?)\n" ..
            "  at INPUT, byte 0, record 0\n"):format(code))
      end
   end)

   it("ends the job at once with recovery = false", function()
      local result = api.run([[recovery = false, map = function()
         local tries = io.open("tries", "a") tries:write("x") tries:close() os.exit(3) end]])
      assert.are.equal(1, result.code)
      assert.are.equal("x", require "spec.helper".read(result.dir .. "/tries"))
   end)
end)

describe("an emit that is kept", function()
   it("does nothing when the task is over", function()
      says([[map = function(_, line, emit)
            kept = setmetatable({}, { __gc = function() emit("late", 1) end })
            emit(line)
         end, reduce = function(key, values, emit)
            kept = setmetatable({}, { __gc = function() values() emit("late", 1) end })
            emit(key)
         end]], "", { input = "a\nb\n", args = { "-o", "out" } }, 0)
   end)
end)

describe("a limit", function()
   it("of memory tells how to raise it, whatever pcall hides", function()
      for _, code in ipairs { "local t = {} for i = 1, 1e9 do t[i] = i end",
         "pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end)" } do
         local result = api.run(("map = function() %s end"):format(code),
            { args = { "--set", "limits.memory_limit=8M", "--set", "retry.max_retries=0" } })
         assert.are.equal(1, result.code)
         assert.matches("lmr: map_0 failed (memory_error): the script needs more memory than its limit of 8 MB: " ..
            "keep less in tables, or raise it with --set limits.memory_limit=SIZE\n", result.err, 1, true)
      end
   end)

   it("of time ends a loop around pcall, and a sleep", function()
      for _, code in ipairs { "while true do pcall(function() while true do end end) end", "pcall(mr.sleep, 100)" } do
         local result = api.run(("map = function() %s end"):format(code),
            { args = { "--set", "limits.task_timeout_seconds=0.5" } })
         assert.are.equal(1, result.code)
         assert.matches("lmr: map_0 failed again (timeout): not done after 1.00 s (limits.task_timeout_seconds)\n",
            result.err, 1, true) -- for a retry has double the time
      end
   end)
end)

describe("an unknown key", function()
   for body, message in pairs {
      ["map = print, mpa = print"] = "the job has no 'mpa'; is it 'map'?",
      ["map = print, zzz = 1"] = "the job has no 'zzz'; it has: combine, ",
      ["steps = { { map = print, redcue = mr.sum } }"] = "step 1 has no 'redcue'; is it 'reduce'?",
      ["steps = { { map = print }, mr.iterate { map = print, max_round = 3 } }"] =
         "step 2 has no 'max_round'; is it 'max_rounds'?",
      ["map = print, side_files = { u = { path = 'x', inptu = 'csv' } }"] =
         "side file u has no 'inptu'; is it 'input'?",
      ["map = print, recovery = { retyr = {} }"] = "a profile has no 'retyr'; is it 'retry'?",
      ["map = print, recovery = { retry = { max_retires = 1 } }"] = "retry has no 'max_retires'; is it 'max_retries'?",
      ["map = print, input = { format = 'csv', heder = true }"] = 'input: unknown field "heder"; is it "header"?',
      ["map = print, output = { format = 'csv', colums = {} }"] =
         'output: unknown option "colums"; did you mean "columns"?',
      ["map = print, input_files = { { path = 'x', tga = 'y' } }"] =
         "an entry of input_files has no 'tga'; is it 'tag'?",
      ["map = print, input = { reader = { open = print, next = print, sav = print } }"] =
         "the reader has no 'sav'; is it 'save'?",
   } do
      it(body, function()
         local result = api.run(body)
         assert.are.equal(2, result.code)
         assert.matches("job.lua:4: " .. message, result.err, 1, true)
      end)
   end
end)
