-- The job API: what a job declares and what its functions get.
local assert = require "luassert"
local h = require "spec.helper"
local api = require "spec.script.support"

local NUMBERS = "map = function(_, line, emit) local n = math.tointeger(line) emit(n % 3, n) end"

describe("map and reduce", function()
   it("get offset and line, and all values of a key in the order of the input", function()
      local pass = "map = function(key, value, emit) emit(key, value) end"
      assert.are.equal("0\ta\n2\tbb\n5\t\n6\tc\n", api.output(pass, { input = "a\nbb\n\nc" }))
      local lists = "0\t[3,6,9,12,15,18]\n1\t[1,4,7,10,13,16,19]\n2\t[2,5,8,11,14,17,20]\n"
      assert.are.equal(lists, api.output(NUMBERS .. [[,
         reduce = function(key, values, emit)
            local list = {}
            for v in values do list[#list + 1] = v end
            emit(key, list)
         end]]))
   end)

   it("may leave values unread, or read them in two loops", function()
      assert.are.equal("0\t[3,3]\n1\t[3,4]\n2\t[3,4]\n", api.output(NUMBERS .. [[,
         reduce = function(key, values, emit)
            local first, second = 0, 0
            for _ in values do first = first + 1 if first == 3 then break end end
            for _ in values do second = second + 1 end
            emit(key, { first, second })
         end]]))
      assert.are.equal("0\n1\n2\n", api.output(NUMBERS .. ", reduce = function(key, _, emit) emit(key) end"))
   end)

   it("refuse a group's values when the group is over", function()
      local result = api.run(NUMBERS .. [[,
         reduce = function(_, values) kept = kept or values if kept ~= values then kept() end end]])
      assert.matches("values of a group that is over", result.err, 1, true)
      assert.are.equal(1, result.code)
   end)

   it("may emit from a coroutine, but not after the task", function()
      assert.are.equal("x\t20\n", api.output([[combine = mr.count, reduce = mr.count,
         map = function(_, _, emit) coroutine.wrap(function() emit("x", 1) end)() end]]))
   end)

   it("without a reduce gives sorted pairs, and with reducers = 0 the maps' own", function()
      assert.are.equal("a\nb\nb\n", api.output("map = function(_, line, emit) emit(line) end", { input = "b\na\nb\n" }))
      assert.are.equal("b\na\nb\n", api.output("reducers = 0, map = function(_, line, emit) emit(line) end",
         { input = "b\na\nb\n" }))
   end)

   it("keeps an order where reduce emits other keys: the one in which it emits", function()
      assert.are.equal("0\n-1\n-2\n", api.output(NUMBERS .. ", reduce = function(key, _, emit) emit(-key) end"))
   end)

   it("reads five million values of one key in bounded memory", function()
      local dir = h.tmpdir()
      local path = api.job([[map = function(_, line, emit) for i = 1, 5000 do emit("k", i) end end,
         reduce = function(key, values, emit) local n = 0 for v in values do n = n + v end emit(key, n) end]], "", dir)
      local input = h.write(dir, "input.txt", api.numbers(h.sanitized and 40 or 1000))
      local result = h.run { "run", "--json", path, input, "--set", "limits.memory_limit=8M", "-o", dir .. "/out" }
      assert.are.equal(0, result.code)
      local sum = (h.sanitized and 40 or 1000) * 5000 * 5001 // 2
      assert.are.equal(("k\t%d\n"):format(sum), h.read(dir .. "/out/part-00000"))
   end)
end)

describe("a Lua combiner", function()
   it("sees batches, and may give several values", function()
      local out = api.output(NUMBERS .. [[,
         combine = function(key, values, emit)
            local sum, n = 0, 0
            for v in values do sum, n = sum + v, n + 1 end
            emit(key, sum) emit(key, -n)
         end,
         reduce = function(key, values, emit)
            local list = {}
            for v in values do list[#list + 1] = v end
            emit(key, list)
         end]])
      assert.are.equal("0\t[63,-6]\n1\t[70,-7]\n2\t[77,-7]\n", out)
   end)

   it("may not change keys", function()
      local result = api.run(NUMBERS .. ", combine = function(key, _, emit) emit(key + 1, 1) end, reduce = mr.sum")
      assert.are.equal(1, result.code)
      assert.matches("job.lua:%d+: combine may not change keys: emit the key it was given", result.err)
   end)

   it("sees the full key of a group", function()
      assert.are.equal("1\t2\n2\t1\n", api.output([[group_by = 1,
         map = function(_, line, emit) emit({ tonumber(line:sub(1, 1)), line:sub(2) }, 1) end,
         combine = function(key, values, emit) assert(#key == 2) for v in values do emit(key, v) end end,
         reduce = mr.sum]], { input = "1a\n1b\n2a\n" }))
   end)
end)

describe("group_by", function()
   local PAIRS = [[map = function(_, line, emit)
      local n = math.tointeger(line)
      emit({ n % 2, "x", -n }, n)
   end, reduce = function(key, values, emit)
      local list = {}
      for v, full in values do list[#list + 1] = v .. ":" .. full[3] end
      emit(key, table.concat(list, " "))
   end]]

   it("gives the element itself for 1, an array for more, sorted by the whole key", function()
      local input = api.numbers(5)
      assert.are.equal("0\t4:-4 2:-2\n1\t5:-5 3:-3 1:-1\n", api.output("group_by = 1, " .. PAIRS, { input = input }))
      assert.are.equal('[0,"x"]\t4:-4 2:-2\n[1,"x"]\t5:-5 3:-3 1:-1\n',
         api.output("group_by = 2, " .. PAIRS, { input = input }))
   end)

   it("keeps a group in one partition, whatever follows in its keys", function()
      local result = api.run("group_by = 1, reducers = 4, " .. PAIRS, { args = { "-o", "out" } })
      assert.are.equal(0, result.code)
      local seen = {}
      for i = 0, 3 do
         for _, line in ipairs(h.lines(h.read(("%s/out/part-%05d"):format(result.dir, i)))) do
            local key = line:match("^(%d)\t")
            assert.is_nil(seen[key])
            seen[key] = true
         end
      end
      assert.are.same({ ["0"] = true, ["1"] = true }, seen)
   end)
end)

describe("partition and total order", function()
   it("send a key where the function says", function()
      local result = api.run([[reducers = 3, map = function(_, line, emit) emit(math.tointeger(line)) end,
         partition = function(key, n) assert(n == 3) return key % n end]],
         { args = { "-o", "out" }, input = api.numbers(7) })
      assert.are.equal(0, result.code)
      assert.are.equal("3\n6\n", h.read(result.dir .. "/out/part-00000"))
      assert.are.equal("1\n4\n7\n", h.read(result.dir .. "/out/part-00001"))
      assert.are.equal("2\n5\n", h.read(result.dir .. "/out/part-00002"))
   end)

   for returned, message in pairs {
      ["n"] = "partition returned 3; it must return an integer from 0 to 2",
      ["-1"] = "partition returned -1; it must return",
      ["1.5"] = "partition returned a number; it must return an integer",
      ["'a'"] = "partition returned a string; it must return an integer",
      ["nil"] = "partition returned a nil; it must return an integer",
   } do
      it("refuse " .. returned, function()
         local result = api.run(("reducers = 3, map = function(_, line, emit) emit(line) end, " ..
            "partition = function(key, n) return %s end"):format(returned))
         assert.are.equal(1, result.code)
         assert.matches(message, result.err, 1, true)
      end)
   end

   it("make the parts, one after the other, one sorted whole", function()
      local lines = {}
      for i = 1, 5000 do lines[i] = ("%08x"):format((i * 2654435761) % (1 << 32)) end
      local result = api.run("total_order = true, reducers = 4, map = function(_, line, emit) emit(line) end",
         { args = { "-o", "out", "--split-size", "8K" }, input = table.concat(lines, "\n") .. "\n" })
      assert.are.equal(0, result.code)
      table.sort(lines)
      local whole = {}
      for i = 0, 3 do
         local part = h.read(("%s/out/part-%05d"):format(result.dir, i))
         assert.is_true(#part > 5000 * 9 / 20, "part " .. i .. " is far smaller than its share")
         whole[#whole + 1] = part
      end
      assert.is_true(table.concat(whole) == table.concat(lines, "\n") .. "\n")
   end)

   it("go together with no partition function", function()
      local result = api.run("total_order = true, partition = function() return 0 end, map = function() end")
      assert.are.equal(2, result.code)
      assert.matches("total_order chooses partitions itself; leave out partition", result.err, 1, true)
   end)
end)

describe("init and finish", function()
   it("share a state with map and reduce in each task", function()
      assert.are.equal("map_0\t20\n", api.output([[reducers = 0,
         init = function(task) return { n = 0, id = task.id } end,
         map = function(_, _, _, state) state.n = state.n + 1 end,
         finish = function(emit, state) emit(state.id, state.n) end]]))
      assert.are.equal("0\t6\n1\t7\n2\t7\ngroups\t3\n", api.output(NUMBERS .. [[,
         init = function() return { groups = 0 } end,
         reduce = function(key, values, emit, state)
            state.groups = state.groups + 1
            local n = 0
            for _ in values do n = n + 1 end
            emit(key, n)
         end,
         finish = function(emit, state) if mr.task().id:find("reduce") then emit("groups", state.groups) end end]]))
   end)

   it("tell where they failed", function()
      local result = api.run('init = function() error("no luck") end, map = function() end')
      assert.are.equal(1, result.code)
      assert.matches("map_0 failed (script_error): ", result.err, 1, true)
      assert.matches("job.lua:%d+: no luck\n", result.err)
   end)
end)

describe("mr.task, counters, status", function()
   it("tell about task and record, and know no other field", function()
      assert.are.equal('["map_0",0,1,0,"input.txt",4,2,true,true]\n', (api.output([[reducers = 0,
         map = function(_, line, emit)
            local t = mr.task()
            if line == "3" then
               emit { t.id, t.attempt, t.step, t.round, t.file:match("[^/]*$"), t.offset, t.record, t.tag == nil,
                  t.previous == nil }
            end
         end]])))
      local result = api.run("map = function() return mr.task().offfset end")
      assert.matches("mr.task() has no field 'offfset'; it has id, attempt,", result.err, 1, true)
   end)

   it("add up over all tasks, integers and floats, into the manifest", function()
      local result = api.run([[map = function(_, line, emit)
            mr.increment("lines", "all")
            mr.increment("lines", "long", #line > 1 and 1 or 0)
            mr.increment("sum", "half", 0.5)
            mr.status("at " .. line)
            mr.progress()
            mr.sleep(0)
         end]], { args = { "-o", "out", "--split-size", "1K" } })
      assert.are.equal(0, result.code)
      local manifest = h.read(result.dir .. "/out/_MANIFEST.json")
      assert.matches('"all": 20', manifest, 1, true)
      assert.matches('"long": 11', manifest, 1, true)
      assert.matches('"half": 10.0', manifest, 1, true)
   end)

   it("need a group, a name and a number", function()
      local result = api.run('map = function() mr.increment("n", 3) end')
      assert.matches('mr.increment takes a group, a name and a number: mr.increment("words", "long", 1)',
         result.err, 1, true)
   end)
end)

describe("steps", function()
   it("hand typed pairs on", function()
      assert.are.equal("true\t1\tinteger\n", (api.output([[output = "tsv", steps = {
         { map = function(_, line, emit) emit({ line == "3", 2 ^ 53 }, { n = 1, f = 1.0 }) end,
           reduce = function(key, values, emit) for v in values do emit(key, v) end end, reducers = 2 },
         { map = function(key, value, emit)
              assert(math.type(key[2]) == "integer" and math.type(value.f) == "float")
              if key[1] then emit(key[1], { value.n, math.type(value.n) }) end
           end },
      }]])))
   end)

   it("work when a step gives nothing", function()
      assert.are.equal("", api.output(
         "steps = { { map = function() end }, { map = function(k, v, emit) emit(k, v) end } }"))
   end)
end)

describe("iteration", function()
   local DOUBLE = [[steps = {
      { map = function(_, line, emit) emit(line, 1) end, reduce = mr.sum },
      mr.iterate { max_rounds = %s,
         map = function(key, value, emit) emit(key, value * 2) mr.increment("r", "max", value) end, reduce = mr.sum,
         stop_when = %s },
   }]]

   it("goes on until the test is true, which sees the counters of two rounds", function()
      assert.are.equal("a\t16\n", api.output(DOUBLE:format("50",
         "function(round, counters, previous) return round > 1 and counters.r.max == 8 and previous.r.max == 4 end"),
         { input = "a\n" }))
   end)

   it("stops at max_rounds", function()
      assert.are.equal("a\t8\n", api.output(DOUBLE:format("3", "nil"), { input = "a\n" }))
   end)

   it("hands counters to the next round, and names its tasks by step and round", function()
      assert.are.equal('a\t["2.3:map_0",2,2]\n', api.output([[steps = {
         { map = function(_, line, emit) emit(line, 1) end },
         mr.iterate { max_rounds = 3, map = function(key, _, emit)
            mr.increment("r", "n", 2)
            local t = mr.task()
            emit(key, { t.id, t.previous and t.previous.round, t.previous and t.previous.counters.r.n })
         end } }]], { input = "a\n" }))
   end)

   it("may read the input again, with the round before as a side table", function()
      assert.are.equal("a\t5\nb\t5\n", api.output([[iterate = mr.iterate { reread = true, max_rounds = 5,
         map = function(_, line, emit) emit(line, (mr.lookup("previous", line) or 0) + 1) end, reduce = mr.max }]],
         { input = "a\nb\n" }))
   end)
end)

describe("side files", function()
   local USERS = { files = { ["users.csv"] = "id,name\n1,ann\n2,bob\n2,bea\n" }, input = "1\n2\n3\n" }

   it("are looked up by a column's values; the last of a key wins", function()
      assert.are.equal("1\tann\n2\tbea\n3\tnone\n", api.output([[
         side_files = { users = { path = "users.csv", input = "csv", key = "id" } },
         map = function(_, id, emit) local u = mr.lookup("users", id) emit(id, u and u.name or "none") end]], USERS))
   end)

   it("are walked in key order", function()
      assert.are.equal('1\tann\n2\tbea\n', api.output([[reducers = 0,
         side_files = { users = { path = "users.csv", input = "csv", key = "id" } },
         map = function() end,
         finish = function(emit) for id, user in mr.side_pairs("users") do emit(id, user.name) end end]], USERS))
   end)

   it("must be declared, be there and hold the key", function()
      local result = api.run('map = function() mr.lookup("users", 1) end')
      assert.matches("no side file 'users': declare it in the job as side_files", result.err, 1, true)
      result = api.run('side_files = { users = { path = "none.csv" } }, map = function() end')
      assert.are.equal(2, result.code)
      assert.matches("none.csv", result.err, 1, true)
      result = api.run([[side_files = { users = { path = "users.csv", input = "csv", key = "uid" } },
         map = function() end]], USERS)
      assert.is_true(result.code ~= 0)
      assert.matches("uid", result.err, 1, true)
   end)
end)

describe("mr.output", function()
   it("writes files beside the parts, in the manifest too", function()
      local result = api.run(NUMBERS .. [[, reducers = 2,
         reduce = function(key, values, emit)
            for v in values do
               if v > 15 then mr.output("big", v, key) end
               emit(key, v)
            end
         end]], { args = { "-o", "out" } })
      assert.are.equal(0, result.code)
      local big = (h.read(result.dir .. "/out/big-00000") or "") .. (h.read(result.dir .. "/out/big-00001") or "")
      local lines = h.lines(big)
      table.sort(lines)
      assert.are.same({ "16\t1", "17\t2", "18\t0", "19\t1", "20\t2" }, lines)
      assert.matches('"name": "big-00000"', h.read(result.dir .. "/out/_MANIFEST.json"), 1, true)
   end)

   it("refuses names that leave the directory, and pairs that are none", function()
      for _, name in ipairs { "../x", "a/b", "", "_x", ".x" } do
         local result = api.run(("map = function() mr.output(%q, 1, 1) end"):format(name), { args = { "-o", "out" } })
         assert.are.equal(1, result.code)
         assert.matches("mr.output", result.err, 1, true)
      end
      local result = api.run('map = function() mr.output("x", nil, 1) end', { args = { "-o", "out" } })
      assert.matches("key is nil", result.err, 1, true)
   end)
end)

describe("arguments", function()
   local ARGS = [[map = function(_, line, emit) emit(line, { args.top, args.name, args.deep, args[1] or mr.null }) end]]
   local BEFORE = 'local args = mr.args { top = 10, name = "x", deep = false }'

   it("have types and defaults", function()
      local function out(...)
         return api.output(ARGS, { before = BEFORE, input = "l\n", args = { "--", ... } })
      end
      assert.are.equal('l\t[10,"x",false,null]\n', out())
      assert.are.equal('l\t[20,"y z",true,"word"]\n', out("--top", "20", "--name=y z", "--deep", "word"))
   end)

   it("are refused with the nearest name, or the type", function()
      local function err(...)
         local result = api.run(ARGS, { before = BEFORE, args = { "--", ... } })
         assert.are.equal(2, result.code)
         return result.err
      end
      assert.matches("the job has no argument --tpo; is it --top?", err("--tpo", "3"), 1, true)
      assert.matches("--top many: it must be a number", err("--top", "many"), 1, true)
      assert.matches("--top 1.5: it must be a whole number", err("--top", "1.5"), 1, true)
      assert.matches("--top needs a value", err("--top"), 1, true)
      assert.matches("--top NUMBER", err("--help"), 1, true)
   end)
end)

describe("modules", function()
   it("beside the job file, and cjson, are found from any directory", function()
      local dir = h.tmpdir()
      h.write(dir, "lib/words.lua", "return { shout = string.upper }")
      h.write(dir, "helper.lua", 'return require "lib.words"')
      local path = api.job([[map = function(_, line, emit) emit(cjson.encode { helper.shout(line) }) end]],
         'local helper, cjson = require "helper", require "cjson"', dir)
      local result = h.run({ "run", "--quiet", path, h.write(dir, "in.txt", "a\n") }, { dir = "/" })
      assert.are.equal("", result.err)
      assert.are.equal('["A"]\n', result.out)
   end)

   it("that are broken are told with their own file and line", function()
      local result = api.run("map = function() end",
         { before = 'require "broken"', files = { ["broken.lua"] = "\nlocal = 1" } })
      assert.are.equal(2, result.code)
      assert.matches("broken.lua:2: <name> expected near '='", result.err, 1, true)
   end)
end)

describe("what a job prints", function()
   it("goes to standard error, and leaves the result alone", function()
      local result = api.run('map = function(_, line, emit) print("seen") io.write("more\\n") emit(line) end',
         { input = "a\n" })
      assert.are.equal("a\n", result.out)
      assert.matches("seen", result.err, 1, true)
   end)
end)

describe("math.random", function()
   local RANDOM = "map = function(_, line, emit) emit(line, { math.random(1000000), math.random() < 1 }) end"

   it("gives the same in every run and by any number of workers, another by another seed", function()
      local function out(...)
         return api.output(RANDOM, { args = { "--split-size", "1K", ... }, input = api.numbers(2000) })
      end
      local one = out("--workers", "1")
      assert.is_true(one == out("--workers", "3"))
      assert.is_true(one == out("--seed", "0"))
      assert.is_true(one ~= out("--seed", "7"))
   end)
end)

describe("a reader in Lua", function()
   local READER = [[input = { reader = {
      open = function(path, from, to) return { file = assert(io.open(path)), n = 0, from = from, to = to } end,
      next = function(r)
         local line = r.file:read("l")
         if not line then return nil end
         r.n = r.n + 1
         return r.n, line
      end } }, map = function(key, line, emit) emit(key, line) end]]

   it("gives keys and values, a file a split", function()
      assert.are.equal("1\ta\n2\tb\n", api.output(READER, { input = "a\nb\n" }))
   end)

   it("that fails is told with its line", function()
      local result = api.run([[map = function() end,
         input = { reader = { open = function() error("no such format") end, next = function() end } }]])
      assert.are.equal(1, result.code)
      assert.matches("job.lua:%d+: no such format", result.err)
   end)

   it("must have open and next", function()
      local result = api.run("input = { reader = { opne = print } }, map = function() end")
      assert.are.equal(2, result.code)
      assert.matches("opne", result.err, 1, true)
   end)
end)
