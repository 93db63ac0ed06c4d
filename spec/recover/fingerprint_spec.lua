--- Fingerprints of stages: two job files that differ in one thing are told apart by that thing, and harmless edits are
--- none. The oracle is the edit itself.
local attempts = require "spec.script.probe"
local h = require "spec.helper"

local probe = h.tool("fingerprint_probe")

local function run(dir, ...)
   local result = h.run({ ... }, { binary = probe, dir = dir })
   assert(result.code == 0, result.err)
   return result.out
end

-- Writes the files { name = text }; the job is job.lua. Returns the directory.
local function write(files, dir)
   dir = dir or h.tmpdir()
   for name, text in pairs(files) do h.write(dir, name, text) end
   return dir
end

local function describe_job(dir, out, ...)
   run(dir, "describe", "job.lua", out, ...)
   return dir .. "/" .. out
end

-- What differs between two fingerprints: "map: TEXT; reduce: TEXT", in order, of step 1 unless it says so.
local function compare(a, b)
   local list = {}
   for _, line in ipairs(h.lines(run(nil, "compare", a, b))) do
      local step, stage, text = line:match("^(%d+) (%a+): (.*)$")
      if step then list[#list + 1] = (step == "1" and "" or step .. ":") .. stage .. ": " .. text end
   end
   return table.concat(list, "; ")
end

local base = [[
local mr = require "mr"
local util = require "util"
local args = mr.args { top = 10, name = "x" }
local limit, weights = 3, { a = 1, b = { c = 2.5 } }
local Point = {}
Point.__index = Point
function Point.norm(p) return p.x * p.x end
local origin = setmetatable({ x = 0 }, Point)
local function clean(s)
   return s:lower()
end
function shared(s) return #s end
return mr.job {
   job_name = "spec",
   map = function(key, value, emit)
      if #value > limit then emit(clean(value), weights.a + origin:norm()) end
      emit(util.stem(value), shared(value))
   end,
   reduce = function(key, values, emit)
      local sum = 0
      for v in values do sum = sum + v end
      if sum > args.top then emit(key, sum) end
   end,
   partition = function(key, n) return 0 end,
}
]]

local util = [[
local util = {}
local suffixes = { "ing", "ed" }
local function cut(s, n) return s:sub(1, -1 - n) end
function util.stem(s)
   for _, suffix in ipairs(suffixes) do
      if s:sub(-#suffix) == suffix then return cut(s, #suffix) end
   end
   return s
end
return util
]]

-- Replaces the one occurrence of `from`.
local function edit(text, from, to)
   local at, last = text:find(from, 1, true)
   assert(at and not text:find(from, last, true), from)
   return text:sub(1, at - 1) .. to .. text:sub(last + 1)
end

local function difference(then_files, now_files, then_args, now_args)
   local dir = h.tmpdir()
   write(then_files, dir)
   local a = describe_job(dir, "then", table.unpack(then_args or {}))
   write(now_files, dir)
   return compare(a, describe_job(dir, "now", table.unpack(now_args or {})))
end

-- An edit of job.lua (and util.lua).
local function edited(from, to, in_util)
   local then_files = { ["job.lua"] = base, ["util.lua"] = util }
   local name = in_util and "util.lua" or "job.lua"
   return difference(then_files, { [name] = edit(then_files[name], from, to) })
end

local function job(body, before)
   return ('local mr = require "mr"\n%s\nreturn mr.job { job_name = "spec",\n%s }\n'):format(before or "", body)
end

-- Two bodies of a job.
local function bodies(a, b, before_a, before_b, files)
   local then_files, now_files = { ["job.lua"] = job(a, before_a) }, { ["job.lua"] = job(b, before_b or before_a) }
   for name, text in pairs(files or {}) do then_files[name] = text end
   return difference(then_files, now_files)
end

local map = "map = function(key, value, emit) emit(value, 1) end,\n"

describe("fingerprints of the same job", function()
   it("are the same in every process", function()
      local before = 'local t = {}\nfor i = 1, 50 do t["k" .. i] = { i, n = { [i] = function() return i end } } end\n'
         .. 't.k1.loop, t.k2.other = t, t.k3\nlocal set = { [true] = 1, [2.5] = 2, [-3] = t.k9 }'
      local body = "map = function(k, v, e) e(t, set) end, reduce = mr.sum, combine = mr.sum"
      local dir = write { ["job.lua"] = job(body, before) }
      local first = h.read(describe_job(dir, "first"))
      for _ = 1, 20 do
         local again = dir .. "/again"
         describe_job(dir, "again")
         assert.equal("", compare(dir .. "/first", again))
      end
      assert.is_true(#first > 100)
   end)

   it("are the same after harmless edits", function()
      assert.equal("", edited("local limit", "-- a comment\n\n\nlocal limit"))
      assert.equal("", edited("return s:lower()", "return -- here\n   s:lower( )"))
      assert.equal("", edited("local suffixes", "-- moved\n\nlocal suffixes", true))
      assert.equal("", edited("local Point = {}", "local unused, Point = 17, {}"))
      assert.equal("", edited('job_name = "spec"', 'job_name = "other"'))
      for _, more in ipairs { "recovery = { retry = { max_retries = 9 } }", 'input_files = { "job.lua" }',
         'error_types = { "rate_limited" }', "reducers = 3, split_size = 1000" } do
         assert.equal("", edited('job_name = "spec",', 'job_name = "spec", ' .. more .. ","))
      end
      assert.equal("", edited("a = 1, b = { c = 2.5 }", "b = { c = 2.5 }, a = 1"))
   end)

   it("are the same after locals are renamed", function()
      local renamed = base:gsub("clean", "tidy"):gsub("limit", "least"):gsub("weights", "factors")
      assert.equal("", difference({ ["job.lua"] = base, ["util.lua"] = util }, { ["job.lua"] = renamed }))
   end)

   it("are the same from another directory", function()
      local here = write { ["job.lua"] = base, ["util.lua"] = util }
      local there = write { ["sub/job.lua"] = base, ["sub/util.lua"] = util }
      local a = describe_job(here, "then")
      run(there, "describe", "sub/job.lua", "now")
      assert.equal("", compare(a, there .. "/now"))
   end)

   it("count reducers, arguments and one-liners that are written in another way as the same", function()
      local dir = h.tmpdir()
      run(dir, "describe", "-m", "emit(value, 1)", "-r", "sum", "a")
      run(dir, "describe", "-m", "emit(value,1)  -- yes", "-r", "sum", "b")
      run(dir, "describe", "-m", "emit(value, 2)", "-r", "count", "c")
      assert.equal("", compare(dir .. "/a", dir .. "/b"))
      assert.equal("map: map changed, -m; map: combine changed; reduce: reduce changed",
         compare(dir .. "/a", dir .. "/c"))
      assert.equal("", difference({ ["job.lua"] = base, ["util.lua"] = util }, {}, { "--top", "10" }, { "--top=10" }))
   end)
end)

describe("fingerprints tell", function()
   it("a changed function of the job", function()
      assert.equal("map: map changed, job.lua:15", edited("#value > limit", "#value >= limit"))
      assert.equal("reduce: reduce changed, job.lua:19", edited("local sum = 0", "local sum = 1"))
      assert.equal("map: partition changed, job.lua:24", edited("return 0 end", "return n - 1 end"))
      assert.equal("reduce: reduce changed, job.lua:19", edited("local sum = 0", "local sum = 0.0"))
   end)

   it("a changed helper, by its place now", function()
      assert.equal("map: function clean changed, job.lua:9", edited("s:lower()", "s:upper()"))
      assert.equal("map: function clean changed, job.lua:11",
         edited("local function clean(s)\n   return s:lower()", "\n\nlocal function clean(s)\n   return s:upper()"))
      assert.equal("map: function shared changed, job.lua:12", edited("return #s end", "return #s + 1 end"))
      assert.equal("map: function origin.norm changed, job.lua:7", edited("p.x * p.x", "p.x + p.x"))
   end)

   it("a changed helper in a module, and what that keeps", function()
      assert.equal("map: function cut changed, util.lua:3", edited("-1 - n", "-2 - n", true))
      assert.equal("map: function util.stem changed, util.lua:4", edited("   return s\n", "   return s .. s\n", true))
      assert.equal("map: upvalue 'suffixes' of util.stem changed", edited('"ed"', '"es"', true))
      assert.equal("map: module util changed, util.lua; map: function util.more is new, util.lua:10",
         edited("return util\n", "function util.more() end\nreturn util\n", true))
   end)

   it("a changed variable, however deep", function()
      assert.equal("map: upvalue 'limit' of map changed", edited("3, {", "4, {"))
      assert.equal("map: upvalue 'limit' of map changed", edited("3, {", "3.0, {"))
      assert.equal("map: upvalue 'weights' of map changed", edited("c = 2.5", "c = 2.25"))
      assert.equal("map: upvalue 'weights' of map changed", edited("c = 2.5", "d = 2.5"))
      assert.equal("map: upvalue 'origin' of map changed", edited("x = 0 }", "x = 0, y = 0 }"))
   end)

   it("a changed argument", function()
      local files = { ["job.lua"] = base, ["util.lua"] = util }
      assert.equal("reduce: argument top changed", difference(files, {}, {}, { "--top", "11" }))
      assert.equal("reduce: argument name changed", difference(files, {}, {}, { "--name", "y" }))
      assert.equal("reduce: argument 1 is new", difference(files, {}, {}, { "word" }))
      local plain = job("map = function(k, v, emit) emit(top, v) end", "local top = mr.args { top = 1 }.top")
      assert.equal("map: upvalue 'top' of map changed", difference({ ["job.lua"] = plain }, {}, {}, { "--top", "2" }))
   end)

   it("a changed option", function()
      assert.equal("map: option group_by changed; reduce: option group_by changed",
         bodies(map .. "group_by = 1", map .. "group_by = 2"))
      assert.equal("map: option group_by is new; reduce: option group_by is new", bodies(map, map .. "group_by = 1"))
      assert.equal("map: option total_order is new; reduce: option total_order is new",
         bodies(map, map .. "total_order = true"))
      assert.equal("reduce: option output changed", bodies(map .. 'output = "text"', map .. 'output = "tsv"'))
      assert.equal("map: option input changed", bodies(map .. 'input = "text"', map .. 'input = "jsonl"'))
      assert.equal("map: option input changed",
         bodies(map .. 'input = { format = "csv", header = true }',
            map .. 'input = { format = "csv", header = false }'))
      assert.equal("map: tag of job.lua changed", bodies(map .. 'input_files = { { path = "job.lua", tag = "a" } }',
         map .. 'input_files = { { path = "job.lua", tag = "b" } }'))
      assert.equal("map: map of job.lua changed, job.lua:4",
         bodies('input_files = { { path = "job.lua", map = function(k, v, emit) emit(1) end } }',
            'input_files = { { path = "job.lua", map = function(k, v, emit) emit(2) end } }'))
   end)

   it("another reducer", function()
      assert.equal("map: combine changed; reduce: reduce changed",
         bodies(map .. "combine = mr.sum, reduce = mr.sum", map .. "combine = mr.max, reduce = mr.max"))
      assert.equal("map: combine is gone", bodies(map .. "combine = mr.sum, reduce = mr.sum", map .. "reduce = mr.sum"))
      assert.equal("reduce: reduce changed", bodies(map .. "reduce = mr.top(3)", map .. "reduce = mr.top(4)"))
      assert.equal("reduce: function reduce.by changed, job.lua:5",
         bodies(map .. "reduce = mr.top(3, { by = function(v) return v end })",
         map .. "reduce = mr.top(3, { by = function(v) return -v end })"))
      assert.equal("reduce: reduce changed", bodies(map .. "reduce = mr.all { n = mr.count, s = mr.sum }",
         map .. "reduce = mr.all { n = mr.count, s = mr.max }"))
      assert.equal("map: map changed, job.lua:4",
         bodies("map = mr.word_mapper,\nreduce = mr.sum", map .. "reduce = mr.sum"))
   end)

   it("a reader in Lua", function()
      local reader = "input = { reader = { open = function(p) return io.open(p) end, "
         .. "next = function(f) return %s end } }, " .. map
      assert.equal("map: reader.next changed, job.lua:4",
         bodies(reader:format("f:read()"), reader:format("f:read('n')")))
   end)

   it("a changed side file, only where it is looked up", function()
      local body = 'side_files = { users = { path = "users.csv", input = "csv", key = "id" } },\n'
         .. "map = function(k, v, emit) emit(%s) end, reduce = mr.sum"
      local with = { ["job.lua"] = job(body:format('mr.lookup("users", v)')), ["users.csv"] = "id,name\n1,a\n" }
      assert.equal("map: side file users changed", difference(with, { ["users.csv"] = "id,name\n1,bb\n" }))
      local without = { ["job.lua"] = job(body:format("v")), ["users.csv"] = "id,name\n1,a\n" }
      assert.equal("", difference(without, { ["users.csv"] = "id,name\n1,bb\n" }))
      local dir = write(with)
      local a = describe_job(dir, "then")
      assert(h.sh("touch -d '2001-02-03' users.csv", { dir = dir }).code == 0)
      assert.equal("map: side file users changed", compare(a, describe_job(dir, "now")))
   end)

   it("a global that is used, and no other", function()
      local body = "map = function(k, v, emit) emit(v, factor) end"
      assert.equal("map: global 'factor' changed", bodies(body, body, "factor = 1\nother = 1", "factor = 2\nother = 1"))
      assert.equal("", bodies(body, body, "factor = 1\nother = 1", "factor = 1\nother = 2"))
      assert.equal("map: global 'factor' is new", bodies(body, body, "other = 1", "factor = 1\nother = 1"))
      local all = "map = function(k, v, emit) emit(v, _G[v]) end"
      assert.equal("map: global 'other' changed", bodies(all, all, "factor = 1\nother = 1", "factor = 1\nother = 2"))
      local set = "map = function(k, v, emit) seen = v emit(v) end"
      assert.equal("map: global 'seen' is new", bodies(set, set, "", "seen = 1"))
   end)

   it("a standard function that was replaced", function()
      local body = "map = function(k, v, emit) emit(v:trim()) end"
      assert.equal("map: function string.trim changed, job.lua:2",
         bodies(body, body, "function string.trim(s) return s end",
         "function string.trim(s) return s .. s end"))
      local other = "map = function(k, v, emit) emit(tostring(v)) end"
      assert.equal("map: function tostring is new, job.lua:2",
         bodies(other, other, "", "function tostring(v) return v end"))
   end)

   it("a module that only a running function will require", function()
      local body = "map = function(k, v, emit) local late = require \"late\" emit(late(v)) end"
      local files = { ["job.lua"] = job(body), ["late.lua"] = "local n = 1\nreturn function(v) return v .. n end\n" }
      assert.equal("map: module late changed, late.lua",
         difference(files, { ["late.lua"] = "return function(v) return v .. 2 end\n" }))
      assert.equal("",
         difference(files, { ["late.lua"] = "-- hello\nlocal n = 1\n\nreturn function(v) return v .. n end\n" }))
   end)

   it("a swap", function()
      local body = "map = function(k, v, emit) emit(ops.add(v), ops.sub(v)) end"
      local one, two = "local ops = { add = function(v) return v + 1 end, sub = function(v) return v - 1 end }",
         "local ops = { sub = function(v) return v + 1 end, add = function(v) return v - 1 end }"
      assert.equal("map: function ops.add changed, job.lua:2; map: function ops.sub changed, job.lua:2",
         bodies(body, body, one, two))
      local shared = "map = function(k, v, emit) emit(a.x.n, b.n, c.n) end"
      assert.equal("map: map changed: its functions refer to each other in another way", bodies(shared, shared,
         "local b, c = { n = 1 }, { n = 2 }\nlocal a = { x = b, y = c }",
         "local b, c = { n = 1 }, { n = 2 }\nlocal a = { x = c, y = b }"))
   end)

   it("what cannot be compared, and the way on", function()
      local body = "map = function(k, v, emit) emit(v, f and 1) end"
      assert.equal("map: cannot be compared: upvalue 'f' of map: a userdata (lmr resume --accept-change map)",
         bodies(body, body, 'local f = io.open("job.lua")'))
      assert.equal("map: cannot be compared: upvalue 'f' of map: a function in C (lmr resume --accept-change map)",
         bodies(body, body, 'local f = coroutine.wrap(function() end)'))
      assert.equal("map: cannot be compared: upvalue 'f' of map: a coroutine (lmr resume --accept-change map)",
         bodies(body, body, 'local f = coroutine.create(function() end)'))
      assert.equal("map: cannot be compared: upvalue 'f' of map: a table whose keys are tables or functions "
         .. "(lmr resume --accept-change map)", bodies(body, body, "local f = { [{}] = 1 }"))
      local computed = "map = function(k, v, emit) emit(require(\"m\" .. v)) end"
      assert.equal("map: cannot be compared: map: it requires a module whose name only it knows "
         .. "(lmr resume --accept-change map)",
         bodies(computed, computed))
      assert.equal("", bodies(body, body, 'local f = require("cjson").decode'))
      assert.equal("", bodies(body, body, "local f = mr.null"))
   end)

   it("no library elsewhere for what it may require by a name of its own", function()
      local dir = write { ["lib/tool.lua"] = "return { load = function(name) return require(name) end }" }
      local body = "map = function(k, v, emit) emit(tool.load(v)) end"
      local text = job(body, 'package.path = ARG .. "/lib/?.lua;" .. package.path\nlocal tool = require "tool"')
      write({ ["jobs/job.lua"] = (text:gsub("ARG", h.quote(dir))) }, dir)
      for _, name in ipairs { "then", "now" } do run(dir .. "/jobs", "describe", "job.lua", name) end
      assert.equal("", compare(dir .. "/jobs/then", dir .. "/jobs/now"))
   end)

   it("the stages of steps and iterations apart", function()
      local steps = "steps = { { " .. map .. " reduce = mr.sum }, mr.iterate { "
         .. "map = function(k, v, emit) emit(k, v + %s) end, reduce = mr.sum, "
         .. "max_rounds = 3, stop_when = function(round) return round > %s end } }"
      assert.equal("2:map: map changed, job.lua:5", bodies(steps:format(1, 2), steps:format(2, 2)))
      assert.equal("2:stop: stop_when changed, job.lua:5", bodies(steps:format(1, 2), steps:format(1, 3)))
   end)

   it("nothing where the journal of an older lmr has none, and what is damaged", function()
      local dir = write { ["job.lua"] = job(map) }
      local now = describe_job(dir, "now")
      assert.equal("map: what map was is not known: the journal is of an older lmr (lmr resume --accept-change map); "
         .. "reduce: what reduce was is not known: the journal is of an older lmr (lmr resume --accept-change reduce)",
            compare("none", now))
      local bytes = h.read(now)
      for at = 1, #bytes, 7 do
         local cut = h.write(dir, "cut", bytes:sub(1, at - 1))
         assert.is_truthy(compare(cut, now):find("is not known", 1, true))
         local flipped = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 0x15) .. bytes:sub(at + 1)
         run(nil, "compare", h.write(dir, "flipped", flipped), now) -- whatever it says, it ends well
         run(nil, "compare", now, dir .. "/flipped")
      end
   end)

   it("a key for task checkpoints", function()
      local dir = write { ["job.lua"] = base, ["util.lua"] = util }
      local a = describe_job(dir, "a")
      local key = run(dir, "key", a, "1", "map")
      assert.is_truthy(key:match("^[1-9]%d*\n$"))
      h.write(dir, "job.lua", edit(base, "local sum = 0", "local sum = 1"))
      local b = describe_job(dir, "b")
      assert.equal(key, run(dir, "key", b, "1", "map"))
      assert.not_equal(run(dir, "key", a, "1", "reduce"), run(dir, "key", b, "1", "reduce"))
      assert.equal("0\n", run(dir, "key", a, "2", "map"))
      assert.equal("0\n", run(dir, "key", a, "1", "stop"))
   end)

   it("of large, deep and tangled values in good time", function()
      local before = 'local list, big, classes = nil, {}, {}\n'
         .. 'for i = 1, 20000 do list = { list, i } big[i] = { n = i } end\n'
         .. 'for i = 1, 40 do classes[i] = { all = classes } classes[i].__index = classes[i]\n'
         .. 'classes[i].f = function() return classes, big end end'
      local body = "map = function(k, v, emit) emit(list, classes, big) end"
      assert.equal("map: upvalue 'list' of map changed",
         bodies(body, body, before, (before:gsub("list, i }", "list, i ~= 7 and i or 8 }"))))
   end)
end)

describe("the journal", function()
   it("keeps the fingerprints that a job began with", function()
      local dir = write { ["job.lua"] = base, ["util.lua"] = util, ["in.txt"] = "a\nb\n" }
      local result = h.run({ "run", "job.lua", "in.txt", "--state-dir", dir .. "/state" }, { dir = dir })
      assert.equal(0, result.code, result.err)
      local a = describe_job(dir, "then")
      local query = "SELECT writefile('kept', value) FROM job WHERE key = 'fingerprints'"
      assert.equal(0, h.sh("sqlite3 state/spec-1/journal.db " .. h.quote(query), { dir = dir }).code)
      assert.equal("", compare(a, dir .. "/kept"))
   end)
end)

describe("what a map function reaches while it runs", function()
   local text = [[
local mr = require "mr"
local cjson = require "cjson"
local cache, n, list = {}, 0, { deep = { 1, 2 } }
local function helper(v)
   if v == "cache" then cache[v] = true end
   if v == "n" then n = n + 1 end
   if v == "deep" then list.deep[1] = 5 end
   if v == "global" then count = (count or 0) + 1 end
   if v == "string" then string.trim = function() end end
   if v == "require" then require "late" end
   if v == "gmatch" then for _ in v:gmatch("%a+") do n = n + 0 end end
   if v == "json" then cjson.encode({ 1 }) mr.json_encode({ 1 }) end
   if v == "undone" then cache[1] = 1 cache[1] = nil end
   if v == "alias" then helper2 = helper end
   if v == "file" then count = io.open("/dev/null") end
end
return mr.job { map = function(k, v, emit) helper(v) end }
]]
   local dir = h.tmpdir()
   h.write(dir, "job.lua", text)
   h.write(dir, "late.lua", "return {}")

   local function reach(...) return (run(dir, "reach", "job.lua", ...):gsub("\n$", "")) end

   it("is the same as long as nothing is changed", function()
      for _, value in ipairs { "x", "gmatch", "json", "undone" } do assert.equal("same", reach(value, value)) end
   end)

   it("is told by the first difference", function()
      assert.equal("its function changed the upvalue 'cache' of helper (job.lua:4)", reach("cache"))
      assert.equal("its function changed the upvalue 'n' of helper (job.lua:4)", reach("x", "n"))
      assert.equal("its function changed the upvalue 'list' of helper (job.lua:4)", reach("deep"))
      assert.equal("its function set the global 'count'", reach("global"))
      assert.equal("its function changed the global 'string'", reach("string"))
      assert.equal("its function loaded a module while it ran", reach("require"))
      assert.equal("its function set the global 'helper2'", reach("alias"))
      assert.equal("the global 'count' is a userdata, which cannot be compared", reach("file"))
   end)

   it("has nothing to say against the examples", function()
      for _, name in ipairs { "word_count", "join", "kmeans", "pagerank", "top_n", "sessionize", "histogram" } do
         assert.equal("same\n", run(nil, "reach", "examples/" .. name .. ".lua"))
      end
   end)
end)

describe("the memory that a walk needs", function()
   it("is not taken from the job's", function()
      local dir = h.tmpdir()
      h.write(dir, "job.lua", 'local mr = require "mr"\nlocal big = {}\nfor i = 1, 20000 do big[i] = { i } end\n'
         .. "return mr.job { map = function(key, value, emit) emit(#big, 1) end, reduce = mr.sum }")
      -- What loading alone takes; a job has no stop_when, so the attempt ends there.
      local stop = { kind = "stop", task = "stop", job = "job.lua", step = 1 }
      local loaded = attempts.run({ stop }, dir)[1].error.memory_peak
      local limit = math.floor(loaded * 1.1) + 500000
      local describe_it = { kind = "describe", task = "describe", job = "job.lua", memory_limit = limit }
      local described = attempts.run({ describe_it }, dir)[1]
      assert.is_nil(described.error)
      assert.equal("map", described.fingerprints[1].map.components[1].name)
   end)
end)
