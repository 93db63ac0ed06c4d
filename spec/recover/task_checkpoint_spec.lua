-- A map attempt that is killed goes on from its newest checkpoint, with the bytes of a job that nobody disturbed, and
-- does not map again what stands before it; where that cannot be promised it starts anew, and says why. The real
-- binary, workers and drivers really killed. With an interval of 0 a checkpoint is taken after every 256th record.
local assert = require "luassert"
local h = require "spec.helper"
local real = require "spec.recover.real"
local resume = require "spec.run.resume_support"

local EVERY = 256
local AT_ONCE = { "--set", "checkpoint.checkpoint_interval_seconds=0", "--set", "checkpoint.durable=false" }

-- The job's records tell a log of themselves; `KILLS` names records that take their worker with them, once each:
-- " map_0.300 map_0.700 ".
local PRELUDE = [[
local mr = require "mr"
local dir = os.getenv("PLACE")
local function there(name)
   local file <close> = io.open(dir .. "/" .. name)
   return file ~= nil
end
local function mark(name) assert(io.open(dir .. "/" .. name, "w")):close() end
local function first(name)
   if there(name) then return false end
   mark(name)
   return true
end
local function kill()
   local stat <close> = io.open("/proc/self/stat")
   os.execute("kill -9 " .. stat:read("n"))
end
local function log()
   local task = mr.task()
   local file <close> = io.open(dir .. "/log", "a")
   local name = task.id .. "." .. task.record
   file:write(name, "\n")
   return name
end
local function at_record()
   local name = log()
   if not os.getenv("KILLS"):find(" " .. name .. " ", 1, true) or not first("died." .. name) then return end
   if os.getenv("HOW") == "kill" then kill() end
   os.exit(7)
end
]]

local function place(job, files)
   local p = real.place()
   p.env.PLACE, p.env.KILLS = p.dir, ""
   h.write(p.dir, "job.lua", PRELUDE .. job)
   for name, content in pairs(files or {}) do h.write(p.dir, name, content) end
   return p
end

local function arguments(p, args)
   local words = { "run", "job.lua" }
   table.move(p.inputs or { "in.txt" }, 1, #(p.inputs or { "in.txt" }), 3, words)
   for _, list in ipairs { { "-o", "out", "--workers", "1", "--set", "retry.base_delay_seconds=0.01" }, AT_ONCE,
      p.args or {}, args or {} } do
      table.move(list, 1, #list, #words + 1, words)
   end
   return words
end

local function run(p, args)
   return h.run(arguments(p, args), { dir = p.dir, env = p.env })
end

-- Names and bytes, but for what tells one job in one place from another.
local function result_of(p)
   return (resume.result_of(p, "out"):gsub('"plan_hash":[^,]*,', ""):gsub('"profile_hash":[^,}]*', "")
      :gsub('"[^"]*/quarantine/map_0%.%d+', '"map_0'))
end

-- The same job without kills, in a place of its own, without checkpoints.
local function undisturbed(p, job, files)
   local q = place(job, files)
   q.inputs, q.args = p.inputs, p.args
   local result = run(q, { "--set", "checkpoint.enabled=false" })
   assert.are.equal(p.code or 0, result.code, result.err)
   return result_of(q), h.lines(h.read(q.dir .. "/log"))
end

local function went_on(p, where)
   local list = {}
   for i, row in ipairs(real.sql(p, "select went_on_at from attempt where task like 'map%' " .. (where or "") ..
      " order by rowid")) do
      list[i] = row.went_on_at or 0
   end
   return list
end

local function times(list)
   local counts = {}
   for _, name in ipairs(list) do counts[name] = (counts[name] or 0) + 1 end
   return counts
end

-- The results may be long: only where they part is shown.
local function check_same(expected, got)
   if expected == got then return end
   local at = 1
   while expected:byte(at) == got:byte(at) do at = at + 1 end
   local from = math.max(1, at - 60)
   error(("results differ at byte %d:\n%q\n%q"):format(at, expected:sub(from, at + 60), got:sub(from, at + 60)), 2)
end

-- Runs `job` with kills at `kills` and holds it against a run without: same bytes, and nothing before a checkpoint
-- mapped again. Returns the place.
local function check(job, files, options)
   local p = place(job, files)
   options = options or {}
   p.inputs, p.args, p.code = options.inputs, options.args, options.code
   local expected, all = undisturbed(p, job, files)
   p.env.KILLS, p.env.HOW = " " .. table.concat(options.kills, " ") .. " ", options.how
   local result = run(p)
   assert.are.equal(p.code or 0, result.code, result.err)
   check_same(expected, result_of(p))
   local mapped = times(h.lines(h.read(p.dir .. "/log")))
   local again = {}
   for _, name in ipairs(all) do again[name] = 1 end
   for _, kill in ipairs(options.kills) do
      local task, at = kill:match("^(.*)%.(%d+)$")
      at = math.tointeger(at)
      for n = at // EVERY * EVERY, at do
         local name = task .. "." .. n
         again[name] = again[name] and again[name] + 1
      end
   end
   for name, n in pairs(mapped) do
      if n ~= again[name] then error(("%s was mapped %d times, not %s"):format(name, n, again[name])) end
   end
   return p, result
end

local function text(n)
   local lines = {}
   for i = 1, n do lines[i] = ("%d w%d w%d %s"):format(i, i * 7 % 113, i * i % 1009, ("x"):rep(i * 13 % 40)) end
   return table.concat(lines, "\n") .. "\n"
end

local KILLS = { "map_0.300", "map_0.301", "map_0.1100", "map_0.1999" }
local WENT_ON = { 0, 256, 256, 1024, 1792 }

describe("a killed map", function()
   it("goes on with its combine table, counters, random numbers and side files", function()
      local p = check([[
         return mr.job { job_name = "job", reducers = 3, combine = mr.sum, reduce = mr.sum,
            map = function(_, line, emit)
               at_record()
               for word in mr.words(line) do emit(word, math.random()) end
               mr.increment("lines", "all")
               mr.increment("lines", "length", #line / 7)
               mr.output("side" .. math.random(3), #line, line)
            end }]], { ["in.txt"] = text(2000) }, { kills = KILLS })
      assert.are.same(WENT_ON, went_on(p))
      assert.are.same({ "map_0.0 task_crash retry", "map_0.1 task_crash retry", "map_0.2 task_crash retry",
         "map_0.3 task_crash retry", "map_0.4 committed" }, real.story(p, "where task = 'map_0'"))
   end)

   it("goes on with spilled pairs, when it is killed with SIGKILL", function()
      check([[
         return mr.job { job_name = "job", reducers = 2,
            map = function(_, line, emit)
               at_record()
               for word in mr.words(line) do emit(word, { line, #line }) end
            end,
            reduce = function(key, values, emit)
               for value in values do emit(key, value[1]) end
            end }]], { ["in.txt"] = text(3000) },
         { kills = { "map_0.700", "map_0.2900" }, how = "kill", args = { "--sort-buffer", "64K", "--compress-runs" } })
   end)

   it("goes on with each declared combine", function()
      for _, reducer in ipairs { "mr.mean", "mr.quantiles { 0.5, 0.95 }", "mr.top(5)", "mr.approx_distinct()",
         "mr.list", "mr.distinct", "mr.all { n = mr.count, most = mr.max }" } do
         local value = reducer:find("all") and "{ n = 1, most = math.random() }" or "math.random() * #line"
         check(([[
            return mr.job { job_name = "job", combine = %s, reduce = %s,
               map = function(_, line, emit)
                  at_record()
                  emit(#line %% 5, %s)
               end }]]):format(reducer, reducer, value), { ["in.txt"] = text(800) }, { kills = { "map_0.600" } })
      end
   end)

   it("goes on with a combine in Lua, the state of init and what finish emits", function()
      check([[
         return mr.job { job_name = "job",
            init = function(task)
               return { lines = 0, seen = {}, task = task.id, [1.5] = -0.0, deep = { { { "x" } } } }
            end,
            map = function(_, line, emit, state)
               at_record()
               state.lines = state.lines + 1
               state.seen[#line] = (state.seen[#line] or 0) + 0.1
               emit(#line, 1)
            end,
            finish = function(emit, state)
               emit(-1, state.lines)
               for k, v in mr.sorted_pairs(state.seen) do emit(-k - 1, v) end
            end,
            combine = function(key, values, emit)
               local sum = 0
               for v in values do sum = sum + v end
               mr.increment("combine", "groups")
               emit(key, sum)
            end,
            reduce = mr.sum }]], { ["in.txt"] = text(3000) },
         { kills = { "map_0.1000", "map_0.2100" }, args = { "--sort-buffer", "64K" } })
   end)

   it("goes on with its part, in a job without reduces", function()
      for _, format in ipairs { "text", "jsonl", "csv" } do
         check([[
            return mr.job { job_name = "job", reducers = 0,
               map = function(key, line, emit) at_record() emit(key, line) mr.output("other", line, key) end }]],
            { ["in.txt"] = text(1500) },
            { kills = { "map_0.400", "map_0.1400" }, args = { "--output-format", format } })
      end
   end)

   it("goes on where it stood in several files of several formats", function()
      local csv, json, lines = { "id,name" }, {}, {}
      for i = 1, 400 do
         csv[#csv + 1] = ('%d,"na""me\n%d"'):format(i, i)
         json[i] = ('{"id": %d, "list": [1, 2.5, "%d"]}'):format(i, i)
         lines[i] = ("line %d"):format(i)
      end
      local files = { ["a.csv"] = table.concat(csv, "\n") .. "\n", ["b.jsonl"] = table.concat(json, "\n"),
         ["c.txt"] = table.concat(lines, "\n") .. "\n" }
      local p = place("", files)
      h.sh("gzip -k c.txt; zstd -q c.txt", { dir = p.dir })
      files["c.txt.gz"], files["c.txt.zst"] = h.read(p.dir .. "/c.txt.gz"), h.read(p.dir .. "/c.txt.zst")
      check([[
         local function map(key, value, emit)
            at_record()
            emit({ mr.task().file:match("[^/]*$"), tostring(key) }, value)
            mr.increment("tag", mr.task().tag)
         end
         return mr.job { job_name = "job", map = map, reducers = 1,
            input_files = { { path = "a.csv", input = { format = "csv", multiline = true }, tag = "a" },
               { path = "b.jsonl", input = "jsonl", tag = "b" }, { path = "c.txt", tag = "c" },
               { path = "c.txt.gz", tag = "gz" }, { path = "c.txt.zst", tag = "zst" } } }]], files,
         { inputs = {}, kills = { "map_0.260", "map_0.380", "map_0.700", "map_0.1100", "map_0.1300", "map_0.1700",
            "map_0.1999" } })
   end)

   it("goes on in a later step, which reads pairs, and by a total order", function()
      check([[
         local function map(key, value, emit)
            at_record()
            emit({ value, key }, math.random())
         end
         return mr.job { job_name = "job", steps = {
            { map = map, group_by = 1, reducers = 1, reduce = function(key, values, emit)
               for value, whole in values do emit(whole, value) end
            end },
            { map = map, total_order = true, reducers = 3, combine = mr.sum, reduce = mr.sum } } }]],
         { ["in.txt"] = text(1000) }, { kills = { "map_0.300", "2:map_0.300", "2:map_0.999" } })
   end)

   it("goes on with a reader in Lua that can save and restore", function()
      check([[
         local reader = {
            open = function(path) return { file = assert(io.open(path)), n = 0 } end,
            next = function(r)
               local line = r.file:read("L")
               r.n = r.n + 1
               if line then return r.n, line end
            end,
            save = function(r) return { at = r.file:seek(), n = r.n } end,
            restore = function(r, saved) r.file:seek("set", saved.at) r.n = saved.n end,
         }
         return mr.job { job_name = "job", input = { reader = reader }, reducers = 2,
            map = function(n, line, emit) at_record() emit(n, line) end }]], { ["in.txt"] = text(1500) },
         { kills = { "map_0.300", "map_0.1300" } })
   end)

   it("goes on behind records that were put aside", function()
      local p, result = check([[
         return mr.job { job_name = "job", reducers = 1,
            map = function(key, line, emit)
               at_record()
               mr.increment("seen", "lines")
               emit(key, math.random())
               mr.output("side", key, line)
               if key % 7 == 0 then mr.reject("seven") end
               if key % 11 == 0 then error("eleven") end
            end }]], { ["in.txt"] = text(1500) },
         { code = 3, kills = { "map_0.300", "map_0.1300" }, args = { "--set", "on_error.bad_record=quarantine",
            "--set", "on_error.script_error=quarantine", "--set", "limits.max_quarantined=100000" } })
      local name = h.ls(real.job_dir(p) .. "/quarantine")[1]
      local records, last = {}, -1
      for _, line in ipairs(h.lines(h.read(real.job_dir(p) .. "/quarantine/" .. name))) do
         local record = tonumber(line:match('"record":(%d+)'))
         assert.is_true(record > last, result.err)
         last = record
         records[#records + 1] = record
      end
      assert.are.equal(real.count(p, "select records from file where kind = 'quarantine'"), #records)
   end)

   it("passes over a record that kills it again and again, from the checkpoint before it", function()
      local p = place([[
         return mr.job { job_name = "job", reduce = mr.sum,
            map = function(key, line, emit)
               log()
               if mr.task().record == 1000 or mr.task().record == 1001 then os.exit(9) end
               emit(#line, 1)
            end }]], { ["in.txt"] = text(1500) })
      local result = run(p, { "--set", "on_error.task_crash=quarantine" })
      assert.are.equal(3, result.code, result.err)
      local mapped = times(h.lines(h.read(p.dir .. "/log")))
      assert.are.equal(1, mapped["map_0.767"])
      assert.are.equal(1, mapped["map_0.1002"])
      for _, at in ipairs(went_on(p, "and attempt > 0")) do assert.are.equal(768, at) end
      local expected = h.sh([[awk 'NR != 1001 && NR != 1002 {n[length($0)]++}
         END {for (k in n) print k "\t" n[k]}' in.txt | sort -n]], { dir = p.dir }).out
      check_same(expected, real.part(p))
   end)

   it("is the same wherever its worker is killed while it writes, or while it goes on", function()
      local job = [[
         return mr.job { job_name = "job", reducers = 2, combine = mr.sum, reduce = mr.sum,
            map = function(_, line, emit)
               at_record()
               for word in mr.words(line) do emit(word, math.random()) end
               mr.output("side", #line, line)
            end }]]
      local files = { ["in.txt"] = text(1100) }
      local expected = undisturbed({ args = { "--sort-buffer", "64K" } }, job, files)
      local n, killed = 1, 0
      repeat
         local p = place(job, files)
         p.args = { "--sort-buffer", "64K", "--set", "checkpoint.durable=true" }
         p.env.LMR_FAILPOINT = ("worker:%d:%s/killed"):format(n, p.dir)
         p.env.KILLS = n % 2 == 0 and " map_0.300 " or ""
         local result = run(p)
         assert.are.equal(0, result.code, result.err)
         check_same(expected, result_of(p))
         local was_killed = h.exists(p.dir .. "/killed")
         killed = killed + (was_killed and 1 or 0)
         n = n + (h.sanitized and 17 or 5)
      until not was_killed
      assert.is_true(killed > (h.sanitized and 1 or 5))
   end)

   it("goes on counting words in C", function()
      local job = [[return mr.job { job_name = "job", map = mr.word_mapper, combine = mr.sum, reduce = mr.sum }]]
      local files = { ["in.txt"] = text(20000), log = "" }
      local expected = undisturbed({}, job, files)
      local p = place(job, files)
      p.env.LMR_FAILPOINT = ("worker:%d:%s/killed"):format(100, p.dir)
      local result = run(p)
      assert.are.equal(0, result.code, result.err)
      check_same(expected, result_of(p))
      assert.is_true(h.exists(p.dir .. "/killed"))
      assert.is_true(went_on(p)[2] > 2560)
   end)

   it("gives its checkpoint to a backup while it runs", function()
      local job = [[
         return mr.job { job_name = "job", reducers = 1, combine = mr.sum, reduce = mr.sum,
            map = function(_, line, emit)
               local name = log()
               if name == "map_3.600" and not there("calm") and first("waits") then
                  while true do mr.sleep(0.02) mr.progress() end
               end
               emit(#line, math.random())
               mr.output("side", #line, line)
            end }]]
      local size = #text(3600) // 4 + 1
      local files = { ["in.txt"] = text(3600) }
      local args = { "--workers", "2", "--split-size", tostring(size), "--set", "speculation.enabled=true" }
      local expected = undisturbed({ args = args }, job, { ["in.txt"] = text(3600), calm = "" })
      local p = place(job, files)
      p.args = args
      local result = run(p)
      assert.are.equal(0, result.code, result.err)
      check_same(expected, result_of(p))
      assert.are.same({ { went_on_at = 512, outcome = "committed", speculative = 1 },
         { outcome = "lost", speculative = 0 } }, real.sql(p, "select went_on_at, outcome, speculative from attempt "
         .. "where task = 'map_3' order by outcome"))
      local mapped = times(h.lines(h.read(p.dir .. "/log")))
      assert.are.equal(1, mapped["map_3.511"])
      assert.are.equal(2, mapped["map_3.512"])
   end)

   it("leaves nothing of its checkpoints when it has committed", function()
      local p = place([[
         return mr.job { job_name = "job",
            map = function(_, line, emit) at_record() emit(#line, 1) mr.output("side", line, 1) end,
            reduce = function(key, values, emit)
               local all <close> = assert(io.popen("ls -A out/.lmr-job-1"))
               local list <close> = assert(io.open(dir .. "/list", "w"))
               list:write(all:read("a"))
               emit(key, 1)
            end }]], { ["in.txt"] = text(1000) })
      p.env.KILLS = " map_0.300 map_0.900 "
      assert.are.equal(0, run(p).code)
      local left = {}
      for _, name in ipairs(h.lines(h.read(p.dir .. "/list"))) do
         if name:find("^map_0") then left[#left + 1] = name end
      end
      assert.are.same({ "map_0.2-side", "map_0.2.run" }, left)
   end)

   it("does without a checkpoint that cannot be written, and says so", function()
      local p = place([[
         return mr.job { job_name = "job", reduce = mr.sum,
            map = function(_, line, emit)
               if first("made") then os.execute("mkdir out/.lmr-job-1/map_0.0.ckpt") end
               emit(#line, 1)
            end }]], { ["in.txt"] = text(1000) })
      local result = run(p)
      assert.are.equal(0, result.code, result.err)
      assert.is_truthy(result.err:find("map_0 is not checkpointed: cannot rename", 1, true), result.err)
      local expected = h.sh([[awk '{n[length($0)]++} END {for (k in n) print k "\t" n[k]}' in.txt | sort -n]],
         { dir = p.dir }).out
      check_same(expected, real.part(p))
   end)
end)

-- --- where nothing is promised ---

local function check_anew(job, files, why, options)
   local p = place(job, files)
   p.args = options and options.args
   local expected = undisturbed(p, job, files)
   p.env.KILLS = " map_0.300 map_0.700 "
   local result = run(p)
   assert.are.equal(0, result.code, result.err)
   check_same(expected, result_of(p))
   assert.are.same({ 0, 0, 0 }, went_on(p))
   local _, told = result.err:gsub("map_0 is not checkpointed: ", "")
   assert.are.equal(1, told, result.err)
   assert.is_truthy(result.err:find(why, 1, true), result.err)
   assert.are.equal(1, real.count(p, "select count(*) from event where kind = 'warning' and text like "
      .. "'map_0 is not checkpointed%'"))
   local story = h.run({ "why", "job", "map_0" }, { dir = p.dir, env = p.env })
   assert.is_truthy(story.out:gsub("%s+", " "):find("map_0 is not checkpointed: ", 1, true), story.out)
end

describe("a map starts anew", function()
   local files = { ["in.txt"] = text(1000) }

   it("when its functions changed an upvalue or a global", function()
      check_anew([[
         local lines = 0
         return mr.job { job_name = "job", reduce = mr.max,
            map = function(_, line, emit) at_record() lines = lines + 1 emit(#line, lines) end }]], files, "'lines'")
      check_anew([[
         seen = {}
         return mr.job { job_name = "job", reduce = mr.max,
            map = function(_, line, emit) at_record() seen[line] = true emit(#line, 1) end }]], files, "seen")
   end)

   it("when the state of init is no plain data, or not the attempt's alone", function()
      local states = {
         { "{ f = print }", "no plain data" },
         { "setmetatable({}, { __index = table })", "a metatable" },
         { "(function() local t = {} return { t, t } end)()", "a table twice" },
         { "{ shared }", "in another way" },
      }
      for _, state in ipairs(states) do
         check_anew(([[
            local shared = {}
            return mr.job { job_name = "job", reduce = mr.sum, init = function() return %s end,
               map = function(_, line, emit, state) at_record() emit(#line, #shared) end }]]):format(state[1]),
            files, state[2])
      end
   end)

   it("when its reader in Lua cannot save", function()
      check_anew([[
         local reader = { open = function(path) return io.open(path) end,
            next = function(f)
               local line = f:read()
               return line and 1, line
            end }
         return mr.job { job_name = "job", reduce = mr.sum, input = { reader = reader },
            map = function(_, line, emit) at_record() emit(#line, 1) end }]], files, "no save and restore")
   end)

   it("when its reader in Lua keeps where it is for itself, or its save fails", function()
      for _, save in ipairs { "n", "error('not now')" } do
         check_anew(([[
            local n = 0
            local reader = {
               open = function(path) return io.open(path) end,
               next = function(f)
                  local line = f:read()
                  %s
                  return line and 1, line
               end,
               save = function(f) return %s end,
               restore = function() end,
            }
            return mr.job { job_name = "job", reduce = mr.sum, input = { reader = reader },
               map = function(_, line, emit) at_record() emit(#line, 1) end }]]):format(
            save == "n" and "n = n + 1" or "", save), files, save == "n" and "'n'" or "not now")
      end
   end)

   it("when its reader in Lua cannot restore what it saved", function()
      local p = place([[
         local reader = { open = function(path) return io.open(path) end,
            next = function(f)
               local line = f:read()
               return line and 1, line
            end,
            save = function(f) return f:seek() end,
            restore = function() error("never") end }
         return mr.job { job_name = "job", reduce = mr.sum, input = { reader = reader },
            map = function(_, line, emit) at_record() emit(#line, 1) end }]], files)
      p.env.KILLS = " map_0.700 "
      local result = run(p, { "--set", "on_error.script_error=retry" })
      assert.are.equal(0, result.code, result.err)
      assert.are.same({ "map_0.0 task_crash retry", "map_0.1 script_error retry", "map_0.2 committed" },
         real.story(p, "where task = 'map_0'"))
      assert.are.same({ 0, 512, 0 }, went_on(p))
   end)

   it("when what it writes is compressed", function()
      check_anew([[
         return mr.job { job_name = "job", reducers = 0, output = { format = "text", compress = "gz" },
            map = function(key, line, emit) at_record() emit(key, line) end }]], files, "a compressed part")
   end)

   it("without a word, when checkpoints are off, or the time for one has not come", function()
      for _, setting in ipairs { "checkpoint.enabled=false", "checkpoint.checkpoint_interval_seconds=1000" } do
         local p = place([[
            return mr.job { job_name = "job", reduce = mr.sum,
               map = function(_, line, emit) at_record() emit(#line, 1) end }]], files)
         p.env.KILLS = " map_0.700 "
         local result = run(p, { "--set", setting })
         assert.are.equal(0, result.code)
         assert.is_nil(result.err:find("checkpoint", 1, true))
         assert.are.same({ 0, 0 }, went_on(p))
         assert.are.equal(701 + 1000, #h.lines(h.read(p.dir .. "/log")))
      end
   end)
end)

-- --- a killed driver ---

local GATED = [[
   return mr.job { job_name = "job", combine = mr.sum, reduce = mr.sum,
      map = function(_, line, emit)
         log()
         if mr.task().record == 1000 and not there("go") then
            mark("waits")
            while not there("go") do mr.sleep(0.02) mr.progress() end
         end
         emit(#line, math.random())
         mr.output("side", #line, line)
      end }]]

-- A job whose driver was killed while its map waited behind a checkpoint.
local function killed_driver()
   local p = place(GATED, { ["in.txt"] = text(1500) })
   local job = h.background(arguments(p), { dir = p.dir, env = p.env })
   h.poll(30, function() return h.exists(p.dir .. "/waits") end)
   job:kill("KILL")
   job:wait(20)
   h.write(p.dir, "go", "")
   return p
end

local function expected_of(p)
   local q = place(GATED, { ["in.txt"] = h.read(p.dir .. "/in.txt"), go = "" })
   assert.are.equal(0, run(q).code)
   return result_of(q)
end

local function go_on(p, ...)
   return h.run({ "resume", ... }, { dir = p.dir, env = p.env })
end

local function work_file(p, ending)
   for _, name in ipairs(h.ls(p.dir .. "/out")) do
      if name:find("^%.lmr%-") then return ("%s/out/%s/map_0.0%s"):format(p.dir, name, ending) end
   end
end

describe("a resumed job", function()
   it("goes on in the middle of the map that ran", function()
      local p = killed_driver()
      local result = go_on(p)
      assert.are.equal(0, result.code, result.err)
      check_same(expected_of(p), result_of(p))
      local note = "map_0.1 goes on from record 768, by the checkpoint of map_0.0"
      assert.is_truthy(result.err:find(note, 1, true), result.err)
      assert.are.same({ 0, 768 }, went_on(p))
      local story = h.run({ "why", "job", "map_0" }, { dir = p.dir, env = p.env }).out
      assert.is_truthy(story:find("went on +from record 768, by a task checkpoint"), story)
      local mapped = times(h.lines(h.read(p.dir .. "/log")))
      assert.are.equal(1, mapped["map_0.767"])
      assert.are.equal(2, mapped["map_0.768"])
      assert.are.equal(1, mapped["map_0.1001"])
   end)

   it("goes on where a signal has stopped it, however far the next checkpoint was", function()
      local p = place([[
         return mr.job { job_name = "job", combine = mr.sum, reduce = mr.sum,
            map = function(_, line, emit)
               log()
               if mr.task().record >= 300 and not there("go") then
                  if mr.task().record == 400 then mark("waits") end
                  mr.sleep(0.005)
               end
               emit(#line, math.random())
               mr.output("side", #line, line)
            end }]], { ["in.txt"] = text(1500) })
      p.args = { "--set", "checkpoint.checkpoint_interval_seconds=1000" }
      local job = h.background(arguments(p), { dir = p.dir, env = p.env })
      h.poll(30, function() return h.exists(p.dir .. "/waits") end)
      job:kill("INT")
      local result = job:wait(30)
      assert.are.equal(130, result.code, result.err)
      h.write(p.dir, "go", "")
      result = go_on(p)
      assert.are.equal(0, result.code, result.err)
      check_same(expected_of(p), result_of(p))
      local at = math.tointeger(went_on(p)[2])
      assert.is_true(at > 400, result.err)
      local mapped = times(h.lines(h.read(p.dir .. "/log")))
      assert.are.equal(1, mapped["map_0." .. at - 1])
      assert.is_true(mapped["map_0." .. at] <= 2)
   end)

   it("starts the map anew when its checkpoint is damaged or its files are gone, and says so", function()
      local harms = {
         function(p)
            h.sh(("printf X | dd of=%s bs=1 seek=200 conv=notrunc 2>&1"):format(h.quote(work_file(p, ".ckpt"))))
         end,
         function(p) h.sh("truncate -s -1 " .. h.quote(work_file(p, ".ckpt"))) end,
         function(p) os.remove(work_file(p, ".run")) end,
         function(p) os.remove(work_file(p, "-side")) end,
         function(p) h.sh("truncate -s 10 " .. h.quote(work_file(p, "-side"))) end,
         function(p) h.sh("touch -d 2001-01-01 in.txt", { dir = p.dir }) end,
      }
      for i, harm in ipairs(harms) do
         local p = killed_driver()
         harm(p)
         local result = go_on(p)
         assert.are.equal(0, result.code, i .. result.err)
         local note = "map_0.1 starts anew, not from the checkpoint of map_0.0: "
         assert.is_truthy(result.err:find(note, 1, true), i .. result.err)
         check_same(expected_of(p), result_of(p))
         assert.are.same({ 0, 0 }, went_on(p))
      end
   end)

   it("starts the map anew when its function was changed", function()
      local p = killed_driver()
      h.write(p.dir, "job.lua", (PRELUDE .. GATED):gsub("emit%(#line", "emit(1 + #line"))
      local result = go_on(p)
      assert.are.equal(0, result.code, result.err)
      assert.is_truthy(result.err:find("map_0.1 starts anew", 1, true), result.err)
      assert.are.same({ 0, 0 }, went_on(p))
   end)

   it("leaves no checkpoint behind", function()
      local p = killed_driver()
      assert.is_truthy(h.exists(work_file(p, ".ckpt")))
      assert.are.equal(0, go_on(p).code)
      assert.are.same({}, h.lines(h.sh("find out state -name '*.ckpt*'", { dir = p.dir }).out))
   end)
end)
