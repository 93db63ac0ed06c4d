-- What a job file tells the driver, and what it is told when it is wrong.
local h = require "spec.helper"
local probe = require "spec.script.probe"

local function refused(text, message, options)
   local result = probe.describe(text, options)
   assert.is_table(result.error, "it was taken")
   assert.equal("usage", result.error.type)
   assert.equal(message, result.error.message)
end

local function job(fields)
   return 'local mr = require "mr"\nreturn mr.job {\n   map = print,\n   ' .. fields .. "\n}\n"
end

describe("a description", function()
   it("has names, inputs and steps as plain data", function()
      local d = probe.describe([[
         local mr = require "mr"
         return mr.job {
            job_name = "full", map = print, combine = mr.top(3, { by = "n" }), group_by = 2, reducers = 4,
            input_files = { "a.txt", { path = "b.csv", input = "csv", map = print, tag = "b" } },
            input = "jsonl", output = { format = "csv", columns = { "x" } }, split_size = "64K", sort_buffer = 1048576,
            seed = 7, error_types = { "rate_limited" },
            side_files = { users = { path = "u.csv", input = "csv", key = "id" } },
            partition = function() return 0 end,
         }]])
      assert.equal("the job: combine = mr.top needs reduce = mr.top, the same one", d.error.message:gsub("^[^ ]* ", ""))
      d = probe.describe([[
         local mr = require "mr"
         local top = mr.top(3, { by = "n" })
         return mr.job {
            job_name = "full", map = print, combine = top, reduce = top, group_by = 2, reducers = 4,
            input_files = { "a.txt", { path = "b.csv", input = "csv", map = print, tag = "b" } },
            input = "jsonl", output = { format = "csv", columns = { "x" } }, split_size = "64K", sort_buffer = 1048576,
            seed = 7, error_types = { "rate_limited" },
            side_files = { users = { path = "u.csv", input = "csv", key = "id" } },
            partition = function() return 0 end,
         }]])
      assert.same({ { path = "a.txt", has_map = false }, { path = "b.csv", input = "csv", tag = "b", has_map = true } },
         d.inputs)
      local declaration = { agg = "top", n = 3, by = true }
      assert.same({ { has_map = true, combine = declaration, reduce = declaration, group_by = 2, reducers = 4,
                      has_partition = true, total_order = false } }, d.steps)
      assert.same({ { name = "users", path = "u.csv", input = "csv", key = "id" } }, d.side_files)
      assert.same({ "full", "jsonl", 65536, 1048576, 7, "." },
         { d.job_name, d.default_input, d.split_size, d.sort_buffer, d.seed, d.job_dir })
      assert.same({ format = "csv", columns = { "x" } }, d.output)
      assert.same({ "rate_limited" }, d.error_types)
   end)

   it("is named after the file, and tells Lua functions, iterations, readers and arguments", function()
      local d = probe.describe([[
         local mr = require "mr"
         local args = mr.args { top = 10, deep = false }
         assert(args.top == 3 and args[1] == "word" and ... == "--top=3")
         return mr.job {
            input = { reader = { open = print, next = print, save = print, restore = print } },
            steps = { { map = print, combine = print, reduce = print },
                      mr.iterate { map = print, stop_when = print, reread = true } },
         }]], { args = { "--top=3", "word" } })
      assert.equal("job", d.job_name)
      assert.same({ format = "lua", resumable = true }, d.default_input)
      assert.same({ "lua", "lua" }, { d.steps[1].combine, d.steps[1].reduce })
      assert.same({ max_rounds = 1000, has_stop_when = true, reread = true }, d.steps[2].iterate)
      assert.same({ top = 3, deep = false, ["1"] = "word" }, d.args)
   end)
end)

describe("a wrong job", function()
   it("is told with its line and the nearest name", function()
      refused(job "redcue = mr.sum,", "job.lua:4: the job has no 'redcue'; is it 'reduce'?")
      refused(job "quux = 1,", "job.lua:4: the job has no 'quux'; it has: combine, error_types, finish, group_by, " ..
         "init, input, input_files, iterate, job_name, map, output, partition, recovery, reduce, reducers, seed, " ..
         "side_files, sort_buffer, split_size, steps, total_order")
      refused(job "reducers = -1,", "job.lua:4: the job: reducers must be an integer from 0 to 65536, not -1")
      refused(job "reducers = 2.5,", "job.lua:4: the job: reducers must be an integer from 0 to 65536, not 2.5")
      refused(job "split_size = 'big',", "job.lua:4: the job: split_size must be a size such as \"64M\", not \"big\"")
      refused(job "reduce = 'sum',", "job.lua:4: the job: reduce must be a function(key, values, emit), or a " ..
         "declared reducer such as mr.sum, not \"sum\"")
      refused(job "job_name = 'a/b',", "job.lua:4: the job: job_name must be a name of letters, digits, '_', '-' " ..
         "and '.', at most 64 of them, not \"a/b\"")
      refused(job "reducers = 0, reduce = mr.sum,",
         "job.lua:4: the job: reducers = 0 is map only; leave out combine and reduce")
      refused(job "total_order = true, partition = print,",
         "job.lua:4: the job: total_order chooses partitions itself; leave out partition")
      refused(job "error_types = { 'timeout' },", "job.lua:4: error_types: 'timeout' is a type lmr has itself")
      refused(job "error_types = { 'timeuot' },",
         "job.lua:4: error_types: 'timeuot' is too near to lmr's own 'timeout'; choose another name")
      refused(job "side_files = { u = {} },", "job.lua:4: side file u has no path")
      refused(job "steps = { { map = print } },", "job.lua:3: the job has steps; move map into one of them")
      refused(job "iterate = {},", "job.lua:4: iterate must be what mr.iterate { … } returns")
      refused(job "iterate = mr.iterate {},", "job.lua:4: the job: mr.iterate needs max_rounds or stop_when")
      refused('local mr = require "mr"\nreturn mr.job { reduce = mr.sum }',
         "job.lua:2: the job has no map: add map = function(key, value, emit) … end")
   end)

   it("may be no job at all", function()
      local ending = "; a job file ends with: return mr.job { map = …, reduce = … }"
      refused("return { map = print }", "job.lua returned a plain table" .. ending)
      refused("", "job.lua returned nothing" .. ending)
      refused("return 1", "job.lua returned a number" .. ending)
      refused("return {", "job.lua:1: unexpected symbol near <eof>")
      refused("local x = y.z", "job.lua:1: attempt to index a nil value (global 'y')")
      refused(string.dump(load "return 1"),
         "job.lua is Lua bytecode; lmr runs source text only: name the .lua file it was compiled from")
      local missing = probe.run { { kind = "describe", task = "describe", job = "/nonexistent/job.lua" } }
      assert.equal("cannot open /nonexistent/job.lua: No such file or directory", missing[1].error.message)
   end)

   it("cannot load bytecode by the back door", function()
      local d = probe.describe([[
         local mr = require "mr"
         local code = string.dump(function() end)
         assert(not pcall(load, code, "x", "b"))
         assert(load(code) == nil and load("return 1")() == 1 and load("return 1", "x", "t")() == 1)
         assert(load("return x", "x", "t", { x = 2 })() == 2)
         return mr.job { map = print }]])
      assert.is_nil(d.error)
   end)
end)

describe("a profile", function()
   local function profile(options)
      local d = probe.describe(job(options.fields or ""), options)
      return d.error and d.error.message or d.profile
   end

   it("is layered: production, the job's recovery, --profile, --set", function()
      local fields = 'recovery = { retry = { max_retries = 7, base_delay_seconds = "500ms" } },'
      local plain = profile {}
      assert.same({ 7, 1, 512 << 20, 600, false, true }, { plain.retry.max_retries, plain.retry.base_delay_seconds,
         plain.limits.memory_limit, plain.limits.progress_timeout_seconds, plain.limits.task_timeout_seconds,
         plain.checkpoint.durable })
      local own = profile { fields = fields }
      assert.same({ 7, 0.5, 60 }, { own.retry.max_retries, own.retry.base_delay_seconds, own.retry.max_delay_seconds })
      local testing = profile { fields = fields, profile = "testing" }
      assert.same({ 3, 0.5, false }, { testing.retry.max_retries, testing.retry.base_delay_seconds,
         testing.checkpoint.durable })
      local set = profile { fields = fields, profile = "testing", set = { "retry.max_retries=9",
         "limits.memory_limit=1G", "limits.progress_timeout_seconds=10m",
         "failure_simulation.failure_types=timeout,task_crash",
         "on_error.bad_record=quarantine" } }
      assert.same({ 9, 1 << 30, 600, "quarantine" }, { set.retry.max_retries, set.limits.memory_limit,
         set.limits.progress_timeout_seconds, set.on_error.bad_record })
      assert.same({ "timeout", "task_crash" }, set.failure_simulation.failure_types)
      assert.equal(0, profile({ fields = "recovery = false," }).retry.max_retries)
   end)

   it("gives a built-in value back where a key is false", function()
      local p = profile { set = { "retry.max_retries=false", "limits.task_timeout_seconds=false" } }
      assert.same({ 3, false }, { p.retry.max_retries, p.limits.task_timeout_seconds })
   end)

   it("may be a file, extend another, and keep functions", function()
      local dir = h.tmpdir()
      h.write(dir, "base.lua", 'return { extends = "testing", retry = { max_retries = 4 } }')
      h.write(dir, "mine.lua", [[return { extends = "base.lua", retry = { strategy = function() return 1 end },
         on_error = { timeout = { max_retries = 1, decide = function() end }, ["*"] = function() end } }]])
      local p = profile { dir = dir, profile = "./mine.lua" }
      assert.same({ 4, { ["function"] = 3 }, "none" }, { p.retry.max_retries, p.retry.strategy, p.retry.jitter })
      assert.same({ timeout = { max_retries = 1, decide = { ["function"] = 2 } }, ["*"] = { ["function"] = 1 },
         network_failure = { ["function"] = 4 } }, p.on_error) -- the last one is production's
   end)

   it("sees no io, os, debug, require or load", function()
      local dir = h.tmpdir()
      h.write(dir, "mine.lua", [[
         for _, name in ipairs { "io", "os", "debug", "require", "load", "dofile", "package", "mr", "getmetatable" } do
            assert(_G[name] == nil, name)
         end
         math.huge = 1
         return {}]])
      assert.is_table(profile { dir = dir, profile = "./mine.lua", fields = "reducers = math.huge > 1 and 1 or -1," })
   end)

   it("is refused with its file, line and the nearest name", function()
      local dir = h.tmpdir()
      local function file(text)
         h.write(dir, "mine.lua", text)
         return profile { dir = dir, profile = "./mine.lua" }
      end
      assert.equal("./mine.lua:2: retry has no 'max_retrys'; is it 'max_retries'?",
         file "return { retry = {\n   max_retrys = 1 } }")
      assert.equal("./mine.lua:2: on_error has no error type 'bad_recrd'; is it 'bad_record'?",
         file 'return { on_error = {\n   bad_recrd = "retry" } }')
      assert.equal("./mine.lua:1: unexpected symbol near <eof>", file "return {")
      assert.equal("./mine.lua:1: attempt to index a nil value (global 'os')", file "os.exit(1)")
      assert.equal("./mine.lua: a profile returns a table: return { retry = { … } }", file "return 1")
      assert.equal("profile mine.lua extends itself", file 'return { extends = "mine.lua" }')
      assert.equal("no profile 'prodction'; is it 'production'? (a file is named by a path such as ./prodction.lua)",
         profile { profile = "prodction" })
      assert.equal("job.lua:4: limits has no 'memory_limt'; is it 'memory_limit'?",
         profile { fields = "recovery = { limits = { memory_limt = 1 } }," })
      assert.equal("--set .=1: '.' is no key; try --set limits.memory_limit=1G", profile { set = { ".=1" } })
      assert.equal("--set limits=5: limits is a table; set one of its keys, such as limits.heartbeat_timeout_seconds",
         profile { set = { "limits=5" } })
      assert.matches("^%-%-set extends=testing: a profile has no 'extends'", profile { set = { "extends=testing" } })
      assert.equal("--set limits.memory_limit=x: limits: memory_limit must be a size of at least 1048576 bytes, " ..
         "such as \"64M\", or false, not \"x\"", profile { set = { "limits.memory_limit=x" } })
   end)
end)
