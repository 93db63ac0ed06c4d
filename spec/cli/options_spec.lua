-- Parsing: every option of `lmr run`, its good and its bad values, and the messages.
local h = require "spec.helper"
local cjson = require "cjson"

local dir = h.tmpdir()
h.write(dir, "in.txt", ("a b c\n"):rep(2000)) -- 12,000 bytes
h.write(dir, "job.lua", [[
local mr = require "mr"
local args = mr.args { top = 1, name = "x", loud = false }
return mr.job {
   job_name = "options",
   map = function(_, line, emit) emit(line .. args.top .. args.name, 1) end,
   combine = mr.sum, reduce = mr.sum,
}
]])

local function lmr(...)
   return h.run({ ... }, { dir = dir })
end

-- Wrong usage: exit code 2, this message and nothing else.
local function refused(message, ...)
   local result = lmr(...)
   assert.equal("lmr: " .. message .. "\n", result.err)
   assert.equal("", result.out)
   assert.equal(2, result.code)
end

-- The plan of a dry run with these options.
local function plan(...)
   local result = lmr("run", "--dry-run", "--json", "job.lua", "in.txt", ...)
   assert.equal("", result.err)
   assert.equal(0, result.code)
   return cjson.decode(result.out)
end

local reasons = {
   workers = "must be from 1 to 1,024 (each worker is a process with a Lua state and a sort buffer of its own); " ..
      "try --workers 2",
   reducers = "must be from 0 to 65,536 (each reducer writes a file and has an entry in the index of every run; " ..
      "0 writes what map emits); try --reducers 4",
   ["split-size"] = "must be from 1 KB to 1 TB (a split is what one map task reads, and what is done again when it " ..
      "fails); try --split-size 32M",
   ["sort-buffer"] = "must be from 64 KB to 1 TB (each worker holds one in memory, and writes a sorted segment " ..
      "whenever it is full); try --sort-buffer 64M",
   seed = "must be from 0 to 9,223,372,036,854,775,807 (it is a 63-bit number); try --seed 1",
}
local examples = {
   workers = "2", reducers = "4", ["split-size"] = "32M", ["sort-buffer"] = "64M", seed = "1",
}

describe("numbers", function()
   local outside = {
      workers = { "0", "1025", "-1", "-99999999999999999999", "18446744073709551617", "99999999999999999999999" },
      reducers = { "-1", "65537", "18446744073709551616" },
      ["split-size"] = { "0", "1", "1023", "-1", "-5M", "2T", "1025G", "99999999999999999999", "99999999999T" },
      ["sort-buffer"] = { "0", "63K", "-64M", "1.01T", "100000T" },
      seed = { "-1", "9223372036854775808", "99999999999999999999" },
   }
   for name, values in pairs(outside) do
      for _, value in ipairs(values) do
         it(("--%s %s is outside the limits"):format(name, value), function()
            refused(("--%s %s: %s"):format(name, value, reasons[name]), "run", "job.lua", "--" .. name, value)
         end)
      end
   end

   for _, name in ipairs { "workers", "reducers", "seed" } do
      for _, value in ipairs { "banana", "1.5", "1e3", "0x10", " 4", "4 ", "+4", "4K", "½", "--", "nan", "inf" } do
         if value ~= "--" then
            it(("--%s=%q is no whole number"):format(name, value), function()
               refused(("--%s %s: not a whole number; try --%s %s"):format(name, value, name, examples[name]),
                  "run", "job.lua", "--" .. name .. "=" .. value)
            end)
         end
      end
   end

   for _, name in ipairs { "split-size", "sort-buffer" } do
      for _, value in ipairs { "banana", "1.5", "5X", "M", "1.2.3M", "1 M", "32MM", "-", "1e6", "+1M", "1,000K" } do
         it(("--%s=%q is no size"):format(name, value), function()
            refused(("--%s %s: not a size, which is a number with nothing, K, M, G or T behind it; try --%s %s"):format(
               name, value, name, examples[name]), "run", "job.lua", "--" .. name .. "=" .. value)
         end)
      end
   end

   it("are taken up to their limits", function()
      assert.equal(1, plan("--workers", "1").workers)
      assert.equal(1024, plan("-w1024").workers)
      assert.equal(1, plan("--reducers=1").reduce_tasks)
      assert.equal(0, plan("--reducers", "0").reduce_tasks)
      assert.equal(300, plan("--reducers", "300").reduce_tasks)
      assert.equal(1024, plan("--split-size", "1K").split_size)
      assert.equal(1536, plan("--split-size", "1.5K").split_size)
      assert.equal(4096, plan("--split-size", "4096").split_size)
      assert.equal(1 << 30, plan("--split-size", "1GiB").split_size)
      assert.equal(64 << 10, plan("--sort-buffer", "64kb").sort_buffer)
      assert.equal(0, plan("--seed", "0").seed)
      assert.equal(12345, plan("--seed", "12345").seed)
      assert.is_truthy(lmr("run", "-n", "--json", "job.lua", "in.txt", "--seed", "9223372036854775807").out
         :find('"seed":9223372036854775807', 1, true))
   end)

   it("cut the input as told", function()
      local cut = plan("--split-size", "4K")
      assert.equal(3, cut.splits)
      assert.equal(3, cut.map_tasks)
      assert.equal(12000, cut.bytes)
      assert.same({ { path = "in.txt", size = 12000, splits = 3 } }, cut.inputs)
   end)
end)

describe("choices", function()
   it("name what there is, and the nearest", function()
      refused("--input cvs: no such FORMAT; did you mean csv? (there are text, jsonl, csv, tsv, whole)",
         "run", "job.lua", "--input", "cvs")
      refused("--input exotic: no such FORMAT; there are text, jsonl, csv, tsv, whole",
         "run", "job.lua", "--input=exotic")
      refused("--output-format jsonll: no such FORMAT; did you mean jsonl? (there are text, tsv, csv, jsonl, raw)",
         "run", "job.lua", "--output-format", "jsonll")
      refused("--completion zsh: no such SHELL; there are bash", "help", "--completion", "zsh")
   end)
end)

describe("settings", function()
   it("are KEY=VALUE", function()
      for _, value in ipairs { "foo", "=1", "limits.memory_limit" } do
         refused(("--set %s: not of the form KEY=VALUE; try --set limits.memory_limit=1G"):format(value),
            "run", "job.lua", "--set", value)
      end
   end)

   it("may be given many times", function()
      local result = lmr("run", "job.lua", "in.txt", "-q", "--set", "limits.memory_limit=256M",
         "-s", "retry.max_retries=1")
      assert.equal("", result.err)
      assert.equal("a b c1x\t2000\n", result.out)
   end)

   it("of unknown keys are refused, with the nearest", function()
      local result = lmr("run", "job.lua", "in.txt", "--set", "limits.memory_limt=1G")
      assert.equal(2, result.code)
      assert.matches("memory_limt", result.err, 1, true)
      assert.matches("memory_limit", result.err, 1, true)
      assert.equal("", result.out)
   end)
end)

describe("options", function()
   it("that are not known name the nearest one", function()
      refused("unknown option --wokers; did you mean --workers? (lmr help run lists all options)",
         "run", "job.lua", "--wokers", "2")
      refused("unknown option --splitsize=1M; did you mean --split-size? (lmr help run lists all options)",
         "run", "job.lua", "--splitsize=1M")
      refused("unknown option --tmplate; did you mean --template? (lmr help new lists all options)",
         "new", "x.lua", "--tmplate", "text")
   end)

   it("that are near nothing may be the job's", function()
      local message = "lmr help run lists all options, and what the job itself is to read goes after --"
      refused("unknown option --top; " .. message, "run", "job.lua", "--top", "3")
      refused("unknown option -z; " .. message, "run", "-z", "job.lua")
      refused("unknown option --top; lmr help new lists all options", "new", "--top", "x.lua")
   end)

   it("without their value say what it is", function()
      refused("-o needs a value: -o DIR; try -o out", "run", "job.lua", "-o")
      refused("--output needs a value: --output DIR; try --output out", "run", "--output", "--overwrite", "job.lua")
      refused("--workers needs a value: --workers N; try --workers 2", "run", "job.lua", "--workers", "--")
      for _, name in ipairs { "output", "profile", "state-dir", "work-dir", "map" } do
         local result = lmr("run", "job.lua", "--" .. name, "")
         assert.equal(2, result.code)
         assert.matches(("^lmr: %%-%%-%s: the value is empty; try %%-%%-"):format(name:gsub("%-", "%%-")), result.err)
      end
   end)

   it("that are flags take no value", function()
      refused("--quiet takes no value; write it without =1", "run", "job.lua", "--quiet=1")
   end)

   it("may stand anywhere, together, in both forms; the last value wins", function()
      local result = lmr("run", "-n", "job.lua", "--json", "--workers=7", "in.txt", "-w", "3", "-q")
      assert.equal(0, result.code)
      assert.equal(3, cjson.decode(result.out).workers)
      assert.equal(5, cjson.decode(lmr("run", "-nqw5", "--json", "job.lua", "in.txt").out).workers)
   end)

   it("end at --, and the job reads the rest", function()
      local result = lmr("run", "-q", "job.lua", "in.txt", "--", "--top", "20", "--name=-q")
      assert.equal("", result.err)
      assert.equal("a b c20-q\t2000\n", result.out)
   end)

   it("of the job are checked too", function()
      local result = lmr("run", "job.lua", "in.txt", "--", "--tpo", "20")
      assert.equal(2, result.code)
      assert.matches("top", result.err, 1, true)
   end)
end)

describe("places", function()
   it("are taken from options, else from the environment", function()
      local state, work = h.tmpdir(), h.tmpdir()
      local function shown(env, ...)
         local result = h.run({ "run", "-n", "--json", "job.lua", "in.txt", ... }, { dir = dir, env = env })
         assert.equal("", result.err)
         return cjson.decode(result.out)
      end
      local env = { LMR_STATE_DIR = state, LMR_WORK_DIR = work }
      assert.equal(state, shown(env).state_dir)
      assert.equal(work, shown(env).work_dir)
      assert.equal(work, shown(env, "--state-dir", work).state_dir)
      assert.equal(state, shown(env, "--work-dir", state).work_dir)
      local xdg = shown({ LMR_STATE_DIR = false, XDG_STATE_HOME = state }).state_dir
      assert.equal(state .. "/lmr", xdg)
      local home = shown({ LMR_STATE_DIR = false, XDG_STATE_HOME = false, HOME = state }).state_dir
      assert.equal(state .. "/.local/state/lmr", home)
   end)

   it("are used", function()
      local state, work = h.tmpdir(), h.tmpdir()
      local result = lmr("run", "-q", "job.lua", "in.txt", "--state-dir", state, "--work-dir", work)
      assert.equal("a b c1x\t2000\n", result.out)
      assert.same({ "options-1" }, h.ls(state))
      assert.same({}, h.ls(work)) -- runs are gone with the job
   end)

   it("that cannot be are refused", function()
      local result = lmr("run", "job.lua", "in.txt", "--state-dir", "in.txt/x")
      assert.matches("^lmr: cannot make directory [^\n]*in%.txt: Not a directory\n", result.err)
      assert.equal(2, result.code)
      assert.equal("", result.out)
   end)

   it("that nobody named and cannot be: says how to name one", function()
      local result = h.run({ "run", "job.lua", "in.txt" }, { dir = dir,
         env = { LMR_STATE_DIR = false, XDG_STATE_HOME = false, HOME = dir .. "/in.txt" } })
      assert.matches("in%.txt: Not a directory; %-%-state%-dir names another place for the job's state\n$", result.err)
      assert.equal(2, result.code)
   end)
end)

describe("a profile", function()
   it("is one of ours, or a file", function()
      h.write(dir, "mine.lua", 'return { extends = "testing", limits = { memory_limit = "64M" } }\n')
      for _, name in ipairs { "production", "testing", "development", "mine.lua" } do
         local result = lmr("run", "-q", "job.lua", "in.txt", "--profile", name)
         assert.equal("", result.err)
         assert.equal("a b c1x\t2000\n", result.out)
      end
   end)

   it("that is not known names the nearest", function()
      local result = lmr("run", "job.lua", "in.txt", "-p", "prodution")
      assert.equal(2, result.code)
      assert.matches("prodution", result.err, 1, true)
      assert.matches("production", result.err, 1, true)
      assert.equal("", result.out)
   end)
end)

describe("the result", function()
   it("is the same whatever the workers, the buffer and the compression", function()
      local lines = {}
      for i = 1, 20000 do
         lines[i] = ("%d\n"):format(i * 7919 % 5003)
      end
      h.write(dir, "many.txt", table.concat(lines))
      local function result(...)
         local run = lmr("run", "-q", "-m", "emit(value, 1)", "-r", "sum", "many.txt", "--split-size", "8K", ...)
         assert.equal("", run.err)
         assert.equal(0, run.code)
         return run.out
      end
      local expected = result("--workers", "1", "--reducers", "1")
      assert.equal(5003, #h.lines(expected))
      assert.equal(expected, result("--workers", "3", "--reducers", "1"))
      assert.equal(expected, result("--compress-runs", "--reducers", "1"))
      assert.equal(expected, result("--sort-buffer", "64K", "--reducers=1"))
   end)

   it("depends on the seed where the job asks for chance", function()
      local function result(...)
         return lmr("run", "-q", "-m", "emit(math.random(1 << 40))", "in.txt", ...).out
      end
      assert.equal(result("--seed", "1"), result("--seed", "1", "--workers", "1"))
      assert.are_not.equal(result("--seed", "1"), result("--seed", "2"))
   end)
end)

describe("a command", function()
   it("that is not known names the nearest one", function()
      refused("no command rnu; did you mean lmr run? (lmr help lists all commands)", "rnu")
      refused("no command xyzzy; lmr help lists all commands", "xyzzy")
      refused("no command job.lua; to run that job: lmr run job.lua", "job.lua")
   end)

   it("of a later version is not known yet", function()
      for _, name in ipairs { "repl", "demo" } do
         assert.equal(2, lmr(name).code)
      end
   end)

   it("that is hidden is not offered", function()
      refused("no help on worker; lmr help lists commands and topics", "help", "worker")
      refused("no command wroker; lmr help lists all commands", "wroker")
   end)

   it("must be there", function()
      local result = lmr()
      assert.equal(2, result.code)
      assert.equal("", result.out)
      assert.matches("^lmr runs MapReduce jobs", result.err)
   end)

   it("run needs a job", function()
      local message = "no job: give a file (lmr run JOB.lua), or code (lmr run -m CODE); " ..
         "lmr new FILE writes one to start from"
      refused(message, "run")
      refused(message, "run", "--", "job.lua")
      refused("--reduce without --map: a job without a file needs both, as in lmr run -m CODE -r sum; " ..
         "a job in a file has its own reduce", "run", "-r", "sum", "in.txt")
      refused("--overwrite without --output: there is nothing to overwrite; add -o DIR",
         "run", "job.lua", "--overwrite")
   end)

   it("version takes no words", function()
      refused("version takes no words; usage: lmr version", "version", "x")
      assert.matches("^lmr %d+%.%d+%.%d+\n$", lmr("version").out)
      assert.equal(lmr("version").out, lmr("--version").out)
   end)
end)
