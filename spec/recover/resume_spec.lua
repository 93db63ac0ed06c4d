-- lmr resume by fingerprint: what has changed since a job began runs again, and what depends on it, and nothing else;
-- and it is said before. The oracle is a fresh run of the job as it is then on the data as they are then; which tasks
-- ran is counted in the journal, with sqlite3.
local assert = require "luassert"
local h = require "spec.helper"
local m = require "spec.run.resume_support"

local run, resume, rows, place = m.run, m.resume, m.rows, m.place

-- Its last reduce fails while FAIL is set: then all else has committed.
local words = [[
local mr = require "mr"
local helper = require "helper"
local least = 2
local function clean(word) return word:lower() end
return mr.job { job_name = "words", split_size = "2K", reducers = 3, seed = 1,
   side_files = { users = { path = "users.csv", input = "csv", key = "id" } },
   map = function(_, line, emit)
      local args = mr.args { top = 10 }
      for word in mr.words(line) do
         if #word >= least then emit(helper.cut(clean(word)), mr.lookup("users", "1").name .. args.top) end
      end
   end,
   reduce = function(word, values, emit)
      if os.getenv("FAIL") and mr.task().id == "reduce_2" then error("broken") end
      local n = 0
      for _ in values do n = n + 1 end
      emit(word, n)
   end }
]]

local lines = {}
do
   local seed = 7
   for i = 1, 300 do
      local line = {}
      for k = 1, 8 do
         seed = (seed * 1103515245 + 12345) % 2147483648
         line[k] = "W" .. (seed >> 8) % (40 + i % 7)
      end
      lines[i] = table.concat(line, " ")
   end
end
local text = table.concat(lines, "\n") .. "\n"

local function stopped(job, more)
   local at = place(job or words, text)
   h.write(at.dir, "helper.lua", "return { cut = function(word) return word:sub(1, 2) end }\n")
   h.write(at.dir, "users.csv", "id,name\n1,ann\n")
   for name, content in pairs(more or {}) do h.write(at.dir, name, content) end
   local result = run(at, { "-q", "-o", "out", "--workers", "1", "--set", "on_error.script_error=fail", "job.lua",
      "in.txt" }, { env = { FAIL = "1" } })
   assert.equal(1, result.code, result.err)
   return at
end

-- What a result holds but for what tells of its making.
local function content_of(at, name)
   local all = {}
   for _, file in ipairs(h.ls(at.dir .. "/" .. name)) do
      if not file:find("^_MANIFEST") then
         all[#all + 1] = file .. "\n" .. h.read(("%s/%s/%s"):format(at.dir, name, file))
      end
   end
   return table.concat(all, "\n")
end

local newest = "SELECT coalesce(max(rowid), 0) FROM attempt"

-- Tasks that ran after attempt row `since`.
local function ran(at, id, since)
   return rows(at, id, ([[SELECT DISTINCT task FROM attempt WHERE rowid > %s AND (task LIKE '%%map@_%%' ESCAPE '@'
      OR task LIKE '%%reduce@_%%' ESCAPE '@' OR task LIKE '%%format%%' OR task LIKE '%%stop%%')
      ORDER BY task]]):format(since))
end

-- All that a folder holds, with sizes and times.
local function state_of(at)
   return h.sh("find state out* -printf '%p %s %T@ %C@\\n' | LC_ALL=C sort; "
      .. "sha256sum $(find state out* -type f | sort)", { dir = at.dir }).out
end

-- A dry run, which changes nothing.
local function looks(at, id, ...)
   local before = state_of(at)
   local dry = h.run({ "resume", id, "--dry-run", ... }, m.options(at))
   assert.equal(0, dry.code, dry.err)
   assert.equal(before, state_of(at))
   return dry
end

-- Resumes, and holds the result against that of a fresh run. Returns what ran, and what was said.
local function goes_on(at, id, ...)
   local dry = looks(at, id, ...)
   local since = rows(at, id, newest)[1]
   local result = resume(at, id, ...)
   assert.equal(0, result.code, result.err)
   local said = dry.out:match("^" .. id:gsub("%p", "%%%0") .. ": (.-)\nDry run:")
   local told = result.err:match("going on with " .. id:gsub("%p", "%%%0") .. ": (.-)\nlmr: " .. id:gsub("%p", "%%%0"))
   assert.equal(said, (told:gsub("\nlmr: ", "\n")))
   h.sh("rm -rf ref", { dir = at.dir })
   local ref = run(at, { "-q", "-o", "ref", "job.lua", "in.txt" })
   assert.equal(0, ref.code, ref.err)
   assert.equal(content_of(at, "ref"), content_of(at, "out"))
   return ran(at, id, since), said
end

local function edit(at, from, to, name)
   local path = at.dir .. "/" .. (name or "job.lua")
   local content = h.read(path)
   local first, last = content:find(from, 1, true)
   assert(first, from)
   h.write(at.dir, name or "job.lua", content:sub(1, first - 1) .. to .. content:sub(last + 1))
end

local function names(kind, count, prefix)
   local list = {}
   for i = 0, count - 1 do list[i + 1] = (prefix or "") .. kind .. "_" .. i end
   table.sort(list)
   return list
end

local function both(a, b)
   local list = table.move(b, 1, #b, #a + 1, { table.unpack(a) })
   table.sort(list)
   return list
end

local maps = #text // 2048 + 1

describe("lmr resume by fingerprint", function()
   it("runs nothing again for comments, lines that moved and another profile", function()
      local at = stopped()
      edit(at, "local least", "-- a comment\n\n\nlocal least")
      edit(at, "map = function(_, line, emit)", "map = function(_, line, emit) -- another")
      local list, said = goes_on(at, "words-1")
      assert.same({ "reduce_2" }, list)
      assert.matches("^" .. maps + 2 .. " tasks reuse %([%d.]+ CPU%-s%); 1 run again: it had failed$", said)
   end)

   it("runs only reduces again when reduce has changed", function()
      local at = stopped()
      edit(at, "n = n + 1", "n = n + 2")
      local list, said = goes_on(at, "words-1")
      assert.same(names("reduce", 3), list)
      assert.matches("^" .. maps .. " tasks reuse %([%d.]+ CPU%-s%); 3 run again", said)
      assert.matches("2 run again: reduce changed, job.lua:13", said)
      assert.same({ "reduce: reduce changed, job.lua:13" }, rows(at, "words-1",
         "SELECT text FROM event WHERE kind = 'change'"))
   end)

   local changes = {
      { "a function", function(at) edit(at, "#word >= least", "#word > least") end, "map changed, job.lua:7" },
      { "an upvalue", function(at) edit(at, "least = 2", "least = 3") end, "upvalue 'least' of map changed" },
      { "a helper", function(at) edit(at, "word:lower()", "word:upper()") end, "clean changed, job.lua:4" },
      { "a module", function(at) edit(at, "1, 2", "1, 3", "helper.lua") end, "cut.-changed" },
      { "an argument's default", function(at) edit(at, "top = 10", "top = 11") end, "map changed" },
      { "a side file", function(at) h.write(at.dir, "users.csv", "id,name\n1,bob\n") end, "side file users" },
   }
   for _, change in ipairs(changes) do
      it("runs maps and reduces again when " .. change[1] .. " of map has changed", function()
         local at = stopped()
         change[2](at)
         local list, said = goes_on(at, "words-1")
         assert.same(both(names("map", maps), names("reduce", 3)), list)
         assert.matches(maps .. " run again: [^\n]*" .. change[3], said)
         assert.matches("2 run again: what they read is made anew", said)
      end)
   end


   local two = words:gsub('split_size = "2K"', 'input_files = { "a.txt", "b.txt" }, split_size = "8K"')

   -- Two inputs, each a split or two. Resumed while it still fails, so that it can be resumed again.
   local function of_two_files()
      local at = place(two, text)
      h.write(at.dir, "helper.lua", "return { cut = function(word) return word:sub(1, 2) end }\n")
      h.write(at.dir, "users.csv", "id,name\n1,ann\n")
      h.write(at.dir, "a.txt", text:sub(1, 7000))
      h.write(at.dir, "b.txt", text:sub(1, 6000))
      local first = run(at, { "-q", "-o", "out", "--workers", "1", "--set", "on_error.script_error=fail", "job.lua" },
         { env = { FAIL = "1" } })
      assert.equal(1, first.code, first.err)
      return at
   end

   local function fails_after(at, expected, said, ...)
      local dry = resume(at, "--dry-run", ...)
      assert.equal(0, dry.code, dry.err)
      assert.matches(said, dry.out)
      local since = rows(at, "words-1", newest)[1]
      local result = h.run({ "resume", "-q", ... }, m.options(at, { env = { FAIL = "1" } }))
      assert.equal(1, result.code, result.err)
      assert.same(expected, ran(at, "words-1", since))
   end

   local function is_as_fresh(at, ...)
      local result = resume(at, "-q", ...)
      assert.equal(0, result.code, result.err)
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua" }).code)
      assert.equal(content_of(at, "ref"), content_of(at, "out"))
   end

   it("runs the map again whose file was written to, and what reads it", function()
      local at = of_two_files()
      h.sh("touch -d 2001-01-01 b.txt", { dir = at.dir })
      fails_after(at, { "reduce_2" }, "taken as it is %(%-%-accept%-change map%): inputs were written to since",
         "--accept-change", "map")
      fails_after(at, { "reduce_2" }, "^words%-1: 4 tasks reuse %([%d.]+ CPU%-s%); 1 run again: it had failed\n")
      h.write(at.dir, "b.txt", (text:sub(1, 6000):gsub("W1", "W2")))
      fails_after(at, { "map_1", "reduce_0", "reduce_1", "reduce_2" },
         "1 run again: input b.txt changed %(written to since, same size%)")
      is_as_fresh(at)
   end)

   it("runs maps again that read other parts, when files have grown, come and gone", function()
      local at = of_two_files()
      h.write(at.dir, "b.txt", text:sub(1, 9000))
      fails_after(at, { "map_1", "map_2", "reduce_0", "reduce_1", "reduce_2" },
         "1 run again: input b.txt changed %(it had 6000 bytes, and has 9000%).*")
      assert.same({ "3" }, rows(at, "words-1", "SELECT maps FROM step"))
      assert.same({ "a.txt", "b.txt", "b.txt" }, rows(at, "words-1", "SELECT path FROM split"))
      assert.matches("planned anew: 3 maps", rows(at, "words-1", "SELECT text FROM event WHERE kind = 'plan'")[1])
      edit(at, '"a.txt", "b.txt"', '"a.txt"')
      fails_after(at, { "reduce_0", "reduce_1", "reduce_2" }, "1 tasks? reuse")
      assert.same({ "map_0" }, rows(at, "words-1", "SELECT task FROM task WHERE task LIKE 'map%'"))
      edit(at, '"a.txt"', '"a.txt", "in.txt"')
      is_as_fresh(at)
   end)

   it("runs all again with another seed, sort buffer, number of reduces or split size, and says so", function()
      local list = {
         { "seed = 1", "seed = 2", "the seed was 1 and is 2 now" },
         { "seed = 1", 'seed = 1, sort_buffer = "1M"', "the sort buffer was 67108864 and is 1048576 now" },
         { "reducers = 3", "reducers = 4", "the number of reduces was 3 and is 4 now" },
      }
      for _, case in ipairs(list) do
         local at = stopped()
         edit(at, case[1], case[2])
         local tasks, said = goes_on(at, "words-1")
         assert.same(both(names("map", maps), names("reduce", case[2]:find("4") and 4 or 3)), tasks)
         assert.matches("^0 tasks reuse; ", said)
         assert.matches(case[3], said)
      end
      local at = stopped()
      edit(at, "2K", "3K")
      local tasks, said = goes_on(at, "words-1")
      assert.same(both(names("map", #text // 3072 + 1), names("reduce", 3)), tasks)
      assert.matches("the input is split in another way", said)
   end)

   it("runs only reduces again when the output is written in another format", function()
      local at = stopped()
      edit(at, "seed = 1", 'seed = 1, output = "jsonl"')
      local tasks = goes_on(at, "words-1")
      assert.same(names("reduce", 3), tasks)
   end)

   it("takes what a stage has done as it is when told so", function()
      local at = stopped()
      edit(at, "least = 2", "least = 1")
      edit(at, "n = n + 1", "n = n + 2")
      local dry = resume(at, "-n", "--accept-change", "reduce")
      assert.matches("taken as it is %(%-%-accept%-change reduce%): reduce changed, job.lua:13", dry.out)
      local since = rows(at, "words-1", newest)[1]
      assert.equal(0, resume(at, "-q", "--accept-change", "map", "--accept-change", "reduce").code)
      assert.same({ "reduce_2" }, ran(at, "words-1", since))
      assert.same({ "map: upvalue 'least' of map changed", "reduce: reduce changed, job.lua:13" }, rows(at, "words-1",
         "SELECT text FROM event WHERE kind = 'accept-change'"))
   end)

   it("names the nearest stage, step or job", function()
      local at = stopped()
      local function refused(pattern, ...)
         local result = resume(at, "words-1", ...)
         assert.equal(2, result.code, result.err)
         assert.matches(pattern, result.err)
      end
      local before = state_of(at)
      refused("%-%-accept%-change mpa: no such STAGE; did you mean map%?", "--accept-change", "mpa")
      refused("%-%-accept%-change 2:redcue: no such STAGE; did you mean 2:reduce%?", "--accept-change", "2:redcue")
      refused("%-%-accept%-change 0:map: no stage", "--accept-change", "0:map")
      refused("%-%-accept%-change needs a value: %-%-accept%-change STAGE", "--accept-change")
      refused("unknown option %-%-dryrun; did you mean %-%-dry%-run%?", "--dryrun")
      refused("%-%-accept%-change with %-%-quarantined", "--accept-change", "map", "--quarantined")
      assert.equal(before, state_of(at))
      refused("%-%-accept%-change 2:map: the job has 1 step", "--accept-change", "2:map", "-n")
      refused("%-%-accept%-change stop: step 1 has no stop", "--accept-change", "stop", "-n")
      assert.equal(before, state_of(at))
   end)

   it("lists each task, and tells it as JSON", function()
      local at = stopped()
      edit(at, "n = n + 1", "n = n + 2")
      local list = h.lines(resume(at, "-n", "--tasks").out)
      local of = {}
      for _, line in ipairs(list) do
         local task, rest = line:match("^(%l+_%d+) +(.*)$")
         if task then of[task] = rest end
      end
      assert.matches("^reuse +[%d.]+ CPU%-s$", of.map_0)
      assert.matches("^run again +[%d.]+ CPU%-s  reduce changed, job.lua:13$", of.reduce_0)
      assert.matches("^run again +%-  it had failed$", of.reduce_2)
      local json = resume(at, "-n", "--json", "--tasks").out
      assert.equal(1, #h.lines(json))
      assert.matches('"job":"words%-1","reuse":' .. maps .. ',.*"run_again":3,.*"never_ran":0', json)
      assert.matches('"reason":"reduce changed, job.lua:13","tasks":2', json)
      assert.matches('{"task":"reduce_2","state":"run again","reason":"it had failed","cpu_seconds":0', json)
      local told = resume(at, "--tasks")
      assert.equal(0, told.code, told.err)
      assert.matches("\nreduce_0 +run again", told.err)
   end)

   it("goes on with the latest job that is not complete", function()
      local at = stopped()
      assert.equal(0, run(at, { "-q", "-o", "other", "job.lua", "in.txt" }).code)
      local result = resume(at)
      assert.equal(0, result.code, result.err)
      assert.matches("going on with words%-1", result.err)
      assert.matches("is complete already", resume(at).err)
      assert.equal(0, resume(at, "--dry-run").code)
   end)

   it("starts counting retries and skipped records anew when what failed has changed", function()
      local job = words:gsub("local args", 'if line:find("W41") and not os.getenv("MILD") then os.exit(9) end\n%0')
      local at = place(job, text)
      h.write(at.dir, "helper.lua", "return { cut = function(word) return word:sub(1, 2) end }\n")
      h.write(at.dir, "users.csv", "id,name\n1,ann\n")
      local first = run(at, { "-q", "-o", "out", "--set", "retry.base_delay_seconds=0.01", "--set",
         "limits.max_quarantined=1", "--workers", "1", "job.lua", "in.txt" })
      assert.equal(1, first.code, first.err)
      assert.is_true(m.number(at, "words-1", "SELECT count(*) FROM attempt WHERE verdict = 'quarantine'") > 0)
      h.write(at.dir, "job.lua", words)
      goes_on(at, "words-1")
      assert.same({}, rows(at, "words-1", "SELECT path FROM file WHERE kind = 'quarantine'"))
   end)
end)

-- Two steps and an iteration, which fail where FAIL says.
local steps = [[
local mr = require "mr"
local function fails(name) if os.getenv("FAIL") == name then error("broken") end end
return mr.job { job_name = "steps", steps = {
   { split_size = "2K", reducers = 2,
     map = function(_, line, emit) for word in mr.words(line) do emit(word, 1) end end,
     reduce = function(word, values, emit) local n = 0 for _ in values do n = n + 1 end emit(word, n) end },
   { reducers = 2,
     map = function(word, n, emit) fails("map") emit(n, word) end,
     reduce = function(n, words, emit)
        local count = 0
        for _ in words do count = count + 1 end
        if mr.task().id == "2:reduce_1" then fails("reduce") end
        emit(n, count)
     end },
   { reducers = 1,
     map = function(n, count, emit) fails("third") emit(n % 3, count) end,
     reduce = function(n, counts, emit) local all = 0 for c in counts do all = all + c end emit(n, all) end },
} }
]]

-- With kept: what earlier steps wrote stays for their checkpoints.
local function stopped_steps(where, job, name, kept)
   local at = place((job or steps):gsub("split_size = \"2K\", ", ""), text)
   local result = run(at, { "-q", "-o", "out", "--workers", "1", "--split-size", "2K", "--set",
      "on_error.script_error=fail", "--set", "checkpoint.enabled=" .. tostring(kept or false), "job.lua", "in.txt" },
      { env = { FAIL = where } })
   assert.equal(1, result.code, result.err)
   assert.same({ "failed" }, rows(at, name or "steps-1", m.states))
   return at
end

local function fresh(at)
   local result = run(at, { "-q", "-o", "ref", "--split-size", "2K", "job.lua", "in.txt" })
   assert.equal(0, result.code, result.err)
   return content_of(at, "ref")
end

local function resumes(at, id, ...)
   local dry = looks(at, id, ...)
   local since = rows(at, id, newest)[1]
   local result = resume(at, "-q", id, ...)
   assert.equal(0, result.code, result.err)
   assert.equal(fresh(at), content_of(at, "out"))
   return ran(at, id, since), dry.out
end

local first_maps, first_reduces = names("map", maps), names("reduce", 2)

describe("lmr resume", function()
   it("takes no arguments of the job", function()
      local at = h.tmpdir()
      for _, given in ipairs { { "--", "--top", "4" }, { "--", "--dry-run" } } do
         local result = h.run({ "resume", table.unpack(given) }, { dir = at })
         assert.equal(2, result.code)
         assert.matches(given[2] .. ": a job goes on with the arguments it was started with", result.err, 1, true)
      end
   end)
end)

describe("lmr resume of a job with steps", function()
   it("goes back to an earlier step that has changed, whose runs are gone", function()
      local at = stopped_steps("reduce")
      edit(at, "n = n + 1", "n = n + 2")
      local tasks, said = resumes(at, "steps-1")
      assert.same(both(both(first_maps, first_reduces), { "2:map_0", "2:reduce_0", "2:reduce_1", "3:map_0",
         "3:reduce_0" }), tasks)
      assert.matches("the job stood in step 2 and goes back to step 1", said)
      assert.matches("2 run again: step 1: reduce changed, job.lua:6", said)
      assert.matches(maps .. " run again: what they wrote was removed when it was of no more use", said)
      assert.matches("step 2 and what came after it",
         rows(at, "steps-1", "SELECT text FROM event WHERE kind = 'undo'")[1])
      assert.same({ "1", "2", "3" }, rows(at, "steps-1", "SELECT step FROM step"))
   end)

   it("reuses maps of an earlier step whose runs a checkpoint has kept", function()
      local at = stopped_steps("reduce", nil, nil, true)
      edit(at, "n = n + 1", "n = n + 2")
      assert.same(both(first_reduces, { "2:map_0", "2:reduce_0", "2:reduce_1", "3:map_0", "3:reduce_0" }),
         (resumes(at, "steps-1")))
      at = stopped_steps("third", nil, nil, true)
      edit(at, "emit(n, word)", "emit(n + 1, word)")
      assert.same({ "2:map_0", "2:reduce_0", "2:reduce_1", "3:map_0", "3:reduce_0" }, (resumes(at, "steps-1")))
   end)

   it("reuses earlier steps when the one it stands in has changed", function()
      local at = stopped_steps("reduce")
      edit(at, "count = count + 1", "count = count + 2")
      local tasks, said = resumes(at, "steps-1")
      assert.same({ "2:reduce_0", "2:reduce_1", "3:map_0", "3:reduce_0" }, tasks)
      assert.matches("^steps%-1: " .. maps + 3 .. " tasks reuse", said)
      at = stopped_steps("reduce")
      edit(at, "emit(n, word)", "emit(n + 1, word)")
      assert.same({ "2:map_0", "2:reduce_0", "2:reduce_1", "3:map_0", "3:reduce_0" }, (resumes(at, "steps-1")))
   end)

   it("goes as far back as what is needed is gone", function()
      local at = stopped_steps("third")
      edit(at, "emit(n, word)", "emit(n + 1, word)")
      local tasks, said = resumes(at, "steps-1")
      assert.same(both(both(first_maps, first_reduces), { "2:map_0", "2:reduce_0", "2:reduce_1", "3:map_0",
         "3:reduce_0" }), tasks)
      assert.matches("goes back to step 1", said)
   end)

   it("goes on when steps are added or taken away", function()
      local last = steps:match("\n   { reducers = 1,.-end },\n")
      local at = stopped_steps("reduce")
      edit(at, last, "\n")
      local tasks, said = resumes(at, "steps-1")
      assert.same({ "2:reduce_0", "2:reduce_1" }, tasks)
      assert.matches("the job has 2 steps now, and had 3", said)
      at = stopped_steps("third")
      edit(at, last, "\n")
      said = select(2, resumes(at, "steps-1"))
      assert.matches("the job stood in step 3 and goes back to step", said)
      at = stopped_steps("reduce", (steps:gsub(last:gsub("%p", "%%%0"), "\n")))
      edit(at, "\n} }", last .. "} }")
      tasks, said = resumes(at, "steps-1")
      assert.same({ "2:reduce_0", "2:reduce_1", "3:map_0", "3:reduce_0" }, tasks)
      assert.matches("the job has 3 steps now, and had 2", said)
   end)
end)

local rounds = [[
local mr = require "mr"
return mr.job { job_name = "rounds", reducers = 2, iterate = mr.iterate { max_rounds = 6,
   map = function(key, value, emit)
      if os.getenv("FAIL") and mr.task().round == 3 then error("broken") end
      local n = type(key) == "number" and mr.task().round == 1 and #value or key
      emit(n // 2, 1)
   end,
   reduce = function(n, values, emit) for _ in values do emit(n, 1) end mr.increment("seen", "groups") end,
   stop_when = function(round) return round >= 4 end } }
]]

describe("lmr resume of an iteration", function()
   it("begins with round 1 when map or the test has changed", function()
      for _, change in ipairs { { "n // 2", "n // 3" }, { "round >= 4", "round >= 5" } } do
         local at = stopped_steps("1", rounds, "rounds-1")
         edit(at, change[1], change[2])
         local tasks, said = resumes(at, "rounds-1")
         assert.equal("1.1:map_0", tasks[1])
         assert.matches("the job stood in round 3 of step 1 and goes back to round 1 of step 1", said)
      end
   end)

   it("reuses rounds that are over", function()
      local at = stopped_steps("1", rounds, "rounds-1")
      edit(at, "local n =", "-- a comment\n      local n =")
      local tasks = resumes(at, "rounds-1")
      assert.equal("1.3:map_0", tasks[1])
   end)

   it("ends earlier, or later, when that is what has changed", function()
      for _, most in ipairs { 2, 3, 5 } do
         local at = stopped_steps("1", (rounds:gsub("max_rounds = 6", "max_rounds = 4")), "rounds-1")
         edit(at, "max_rounds = 4", "max_rounds = " .. most)
         resumes(at, "rounds-1")
      end
   end)
end)
