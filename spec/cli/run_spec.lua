-- What is seen of a run: results, progress, summary, plan, JSON; on a terminal, in a pipe, in a file.
local h = require "spec.helper"
local cjson = require "cjson"

local dir = h.tmpdir()
local COUNT = "for w in mr.words(value) do emit(w, 1) end"
h.write(dir, "in.txt", "b a\na\nc a b\n")
h.write(dir, "count.lua", [[
local mr = require "mr"
return mr.job {
   job_name = "count",
   map = function(_, line, emit)
      for word in mr.words(line) do
         emit(word, 1)
         mr.increment("seen", "words", 1)
      end
      mr.increment("lines", "all", 1)
   end,
   combine = mr.sum, reduce = mr.sum,
}
]])
-- One record after the other, each taking its time, with a status.
h.write(dir, "slow.lua", [[
local mr = require "mr"
return mr.job {
   job_name = "slow",
   map = function(_, line, emit)
      mr.status("at " .. line)
      mr.sleep(0.2)
      emit(line, 1)
   end,
   reduce = mr.sum,
}
]])
h.write(dir, "fail.lua", [[
local mr = require "mr"
return mr.job {
   job_name = "fail",
   map = function(_, line, emit)
      if line == "a" then error("boom") end
      emit(line, 1)
   end,
}
]])

local function lmr(args, options)
   options = options or {}
   options.dir = dir
   return h.run(args, options)
end

local function out_dir()
   return h.tmpdir() .. "/out"
end

describe("results", function()
   it("go to standard output, in key order", function()
      local result = lmr { "run", "-q", "count.lua", "in.txt" }
      assert.equal("", result.err)
      assert.equal("a\t3\nb\t2\nc\t1\n", result.out)
      assert.equal(0, result.code)
   end)

   it("go into a directory with -o", function()
      local out = out_dir()
      local result = lmr { "run", "-q", "count.lua", "in.txt", "-o", out, "--reducers", "1" }
      assert.equal("", result.out .. result.err)
      assert.equal(0, result.code)
      assert.equal("a\t3\nb\t2\nc\t1\n", h.read(out .. "/part-00000"))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(out))
   end)

   it("of a one-liner need no file", function()
      assert.equal("a\t3\nb\t2\nc\t1\n", lmr({ "run", "-q", "-m", COUNT, "-r", "sum", "in.txt" }).out)
      assert.equal("a\t3\nb\t2\nc\t1\n", lmr({ "run", "-q", "-m", COUNT, "-r",
         "local n = 0 for v in values do n = n + v end emit(key, n)", "in.txt" }).out)
      assert.equal("a\nb a\nc a b\n", lmr({ "run", "-q", "-m", "emit(value)", "in.txt" }).out)
   end)

   it("of a one-liner that is wrong say where", function()
      for _, case in ipairs {
         { "emit(", "sum", "^lmr: %-m:1: [^\n]+\n$" },
         { "emit(value)", "summ", "^lmr: no reducer 'summ'; is it 'sum'%?\n$" },
         { "emit(value)", "xyzzy", "^lmr: no reducer 'xyzzy'; there are sum, count, [^\n]+\n$" },
         { "emit(value)", "emit(", "^lmr: %-r:1: [^\n]+\n$" },
      } do
         local result = lmr { "run", "-m", case[1], "-r", case[2], "in.txt" }
         assert.matches(case[3], result.err)
         assert.equal("", result.out)
         assert.equal(2, result.code)
      end
   end)

   it("are written in another format when told", function()
      assert.equal('{"key":"a","value":3}\n{"key":"b","value":2}\n{"key":"c","value":1}\n',
         lmr({ "run", "-q", "count.lua", "in.txt", "--output-format", "jsonl" }).out)
      assert.equal("a,3\nb,2\nc,1\n", lmr({ "run", "-q", "count.lua", "in.txt", "--output-format=csv" }).out)
   end)

   it("come from other formats when told", function()
      h.write(dir, "in.jsonl", '{"n":1}\n{"n":2}\n')
      assert.equal("n\t3\n", lmr({ "run", "-q", "-m", "emit('n', value.n)", "-r", "sum", "--input", "jsonl",
         "in.jsonl" }).out)
      h.write(dir, "in.csv", "name,n\nx,1\ny,2\n")
      assert.equal("x\t1\ny\t2\n", lmr({ "run", "-q", "-m", "emit(value.name, value.n)", "--input=csv", "in.csv" }).out)
   end)

   it("come from standard input", function()
      local options = { stdin = "x y\nx\n" }
      assert.equal("x\t2\ny\t1\n", lmr({ "run", "-q", "count.lua", "-" }, options).out)
      assert.equal("x\t2\ny\t1\n", lmr({ "run", "-q", "count.lua" }, options).out)
      assert.equal("x\t2\ny\t1\n", lmr({ "run", "-q", "-m", COUNT, "-r", "sum" }, options).out)
      assert.equal("a\t3\nb\t2\nc\t1\nx\t2\ny\t1\n", lmr({ "run", "-q", "count.lua", "in.txt", "-" },
         { stdin = "x y\nx\n" }).out)
   end)

   it("are cut short by their reader in silence", function()
      local lines = {}
      for i = 1, 200000 do
         lines[i] = ("%07d\n"):format(i)
      end
      h.write(dir, "long.txt", table.concat(lines))
      local result = h.sh("{ lmr run -m 'emit(value)' long.txt; echo code $? >&2; } | head -1", { dir = dir })
      assert.equal("0000001\n", result.out)
      assert.is_nil(result.err:lower():find("pipe", 1, true), result.err)
      assert.matches("code 0\n$", result.err)
      result = h.sh("{ lmr run -q -m 'emit(value)' long.txt; echo code $? >&2; } | true", { dir = dir })
      assert.equal("code 0\n", result.err)
   end)

   it("that cannot be written are a failure", function()
      local result = h.sh("lmr run -q count.lua in.txt >/dev/full", { dir = dir })
      assert.equal(1, result.code)
      assert.matches("No space left on device", result.err, 1, true)
   end)
end)

describe("the summary", function()
   it("tells what was done", function()
      local out = out_dir()
      local result = lmr { "run", "count.lua", "in.txt", "-o", out, "--workers", "1", "--reducers", "2" }
      assert.equal(0, result.code)
      assert.equal("", result.out)
      local lines = h.lines(result.err)
      assert.matches("^lmr: count%-%d+: complete$", lines[1])
      assert.equal("  input      3 records, 12 B", lines[2])
      assert.matches("^  shuffle    %d pairs, [%d.]+ K?B, %d spills?$", lines[3])
      assert.equal("  output     3 records, 12 B", lines[4])
      assert.equal("  tasks      1 map, 2 reduce, 3 attempts, 1 worker", lines[5])
      assert.matches("^  time       [%d.]+ s, CPU [%d.]+ s$", lines[6])
      assert.matches("^  memory     [%d.]+ MB at most in one process$", lines[7])
      assert.equal("  counter    lines.all = 3", lines[8])
      assert.equal("  counter    seen.words = 6", lines[9])
      assert.equal("  result     " .. out, lines[10])
      assert.equal(10, #lines)
   end)

   it("says that the result is on standard output", function()
      local result = lmr { "run", "count.lua", "in.txt" }
      assert.equal("a\t3\nb\t2\nc\t1\n", result.out)
      assert.matches("\n  result     on standard output\n$", result.err)
   end)

   it("of a failed job stands before the error", function()
      local result = lmr { "run", "fail.lua", "in.txt", "--set", "limits.max_quarantined=0" }
      assert.equal(1, result.code)
      assert.equal("", result.out)
      assert.matches("lmr: fail%-%d+: failed\n", result.err)
      local summary, message = result.err:find(": failed", 1, true), result.err:find("fail.lua:5: boom", 1, true)
      assert.is_truthy(summary and message and summary < message, result.err)
   end)

   it("is left out with --quiet, errors are not", function()
      assert.equal("", lmr({ "run", "--quiet", "count.lua", "in.txt" }).err)
      local result = lmr { "run", "-q", "fail.lua", "in.txt", "--profile", "development" }
      assert.equal(1, result.code)
      assert.matches("^lmr: [^\n]*fail%.lua:5: boom", result.err)
      assert.is_nil(result.err:find("failed\n", 1, true))
   end)
end)

describe("JSON", function()
   it("is on standard output with -o", function()
      local out = out_dir()
      local result = lmr { "run", "--json", "count.lua", "in.txt", "-o", out, "--workers", "2", "--reducers", "1" }
      assert.equal("", result.err)
      assert.equal(1, #h.lines(result.out))
      local summary = cjson.decode(result.out)
      assert.matches("^count%-%d+$", summary.job)
      assert.equal(out, summary.output)
      assert.equal("complete", summary.outcome)
      assert.equal(0, summary.exit_code)
      assert.equal(3, summary.records_in)
      assert.equal(12, summary.bytes_in)
      assert.equal(3, summary.records_out)
      assert.equal(12, summary.bytes_out)
      assert.equal(2, summary.attempts)
      assert.equal(0, summary.failures)
      assert.same({ 1, 1 }, { summary.map_tasks, summary.reduce_tasks })
      assert.is_true(summary.workers == 1 or summary.workers == 2) -- there is work for one
      assert.same({ lines = { all = 3 }, seen = { words = 6 } }, summary.counters)
      assert.is_true(summary.wall_seconds > 0 and summary.wall_seconds < 60)
      assert.is_true(summary.cpu_seconds > 0)
      assert.is_true(summary.peak_memory > 1 << 20)
      assert.is_nil(summary.error)
   end)

   it("has the fields that help lists, and no others", function()
      local text = h.run({ "help", "json" }).out
      local run, plan = text:match("\nA run:\n(.*)\nA plan:\n(.*)$")
      local function check(object, listed)
         for name in pairs(object) do
            assert.is_truthy(listed:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
         end
      end
      check(cjson.decode(lmr({ "run", "--json", "count.lua", "in.txt", "-o", out_dir() }).out), run)
      check(cjson.decode(lmr({ "run", "--json", "-n", "count.lua", "in.txt", "-o", out_dir() }).out), plan)
   end)

   it("is the last line on standard error without", function()
      local result = lmr { "run", "--json", "count.lua", "in.txt" }
      assert.equal("a\t3\nb\t2\nc\t1\n", result.out)
      local lines = h.lines(result.err)
      local summary = cjson.decode(lines[#lines])
      assert.equal(cjson.null, summary.output)
      assert.equal(3, summary.records_out)
   end)

   it("is what jq reads too", function()
      local result = h.sh([[
         lmr run --json count.lua in.txt 2>&1 >/dev/null | tail -1 | jq -c '[.outcome, .counters.seen]'
      ]], { dir = dir })
      assert.equal('["complete",{"words":6}]\n', result.out)
   end)

   it("tells of a failure", function()
      local result = lmr { "run", "--json", "fail.lua", "in.txt", "-o", out_dir(), "--profile", "development" }
      assert.equal(1, result.code)
      local summary = cjson.decode(result.out)
      assert.equal("failed", summary.outcome)
      assert.equal(1, summary.exit_code)
      assert.equal("script_error", summary.error.type)
      assert.matches("fail.lua:5: boom", summary.error.message, 1, true)
      assert.equal("in.txt", summary.error.file)
      assert.equal(4, summary.error.offset)
   end)

   it("tells of a job that was not started", function()
      local result = lmr { "run", "--json", "none.lua", "in.txt", "-o", out_dir() }
      assert.equal(2, result.code)
      local summary = cjson.decode(result.out)
      assert.equal("not started", summary.outcome)
      assert.equal("usage", summary.error.type)
   end)

   it("comes with --quiet too", function()
      local result = lmr { "run", "--json", "-q", "count.lua", "in.txt", "-o", out_dir() }
      assert.equal("complete", cjson.decode(result.out).outcome)
      assert.equal("", result.err)
   end)
end)

describe("a dry run", function()
   it("prints the plan and starts nothing", function()
      local out, state = out_dir(), h.tmpdir() .. "/state"
      local result = lmr { "run", "--dry-run", "count.lua", "in.txt", "-o", out, "--workers", "3", "--reducers", "2",
         "--seed", "7", "--state-dir", state }
      assert.equal("", result.err)
      assert.equal(0, result.code)
      for _, pattern in ipairs {
         "^job           count\n", "\ninputs        1 file, 12 B\n", "\n       12 B  in%.txt\n", "\nsplits        1\n",
         "\nmap tasks     1\n", "\nreduce tasks  2\n", "\nworkers       3\n", "\nsplit size    32 MB\n",
         "\nsort buffer   64 MB\n", "\nseed          7\n", "\nprofile       production\n",
         "\nruns          up to [%d.]+ [KMG]?B needed, [%d.]+ [KMGT]B free in ",
         "\noutput        up to [%d.]+ [KMG]?B needed, [%d.]+ [KMGT]B free in ",
         "Dry run: nothing was started%.",
      } do
         assert.matches(pattern, result.out)
      end
      assert.is_false(h.exists(out))
      assert.is_false(h.exists(state) and #h.ls(state) > 0)
   end)

   it("cuts a long list of inputs", function()
      local many = h.tmpdir()
      for i = 1, 1034 do
         h.write(many, ("f%04d"):format(i), "x\n")
      end
      local result = lmr { "run", "-n", "count.lua", many }
      assert.equal(0, result.code)
      assert.matches("\ninputs        1,034 files, 2.02 KB\n", result.out, 1, true)
      assert.matches("f0020\n             … and 1,014 more\nsplits        1\n", result.out, 1, true)
      assert.is_nil(result.out:find("f0021", 1, true))
      assert.equal(1034, #cjson.decode(lmr({ "run", "-n", "--json", "count.lua", many }).out).inputs)
   end)

   it("goes into a closed pipe in silence", function()
      local result = h.sh("{ lmr run -n count.lua in.txt; echo code $? >&2; } | true", { dir = dir })
      assert.equal("code 0\n", result.err)
   end)
end)

-- Runs a command on a pseudo-terminal and gives all that was sent to it.
local function terminal(columns, command, env)
   local words = {}
   for name, value in pairs(env or {}) do
      words[#words + 1] = name .. "=" .. value
   end
   h.write(dir, "terminal.sh", ("stty cols %d rows 24\n%s\n"):format(columns, command))
   local result = h.sh(("TERM=xterm %s script -qec 'sh terminal.sh' /dev/null"):format(table.concat(words, " ")),
      { dir = dir })
   return (result.out:gsub("\r\n", "\n")), result
end

-- The lines that stand there at the end: carriage returns and clearing done.
local function screen(text)
   local lines, line, at = {}, "", 1
   text = text:gsub("\27%[[%d;]*m", "")
   while at <= #text do
      local rest = text:match("^\27%[J", at)
      local char = text:sub(at, at)
      if rest then
         at = at + #rest
      else
         if char == "\r" then
            line = ""
            assert.equal("\27[J", text:sub(at + 1, at + 3))
         elseif char == "\n" then
            lines[#lines + 1] = line
            line = ""
         else
            line = line .. char
         end
         at = at + 1
      end
   end
   return lines, line
end

describe("progress on a terminal", function()
   local slow = "lmr run slow.lua in.txt --workers 1 >/dev/null"

   it("is one line, rewritten in place, and gone at the end", function()
      local text = terminal(100, slow)
      assert.matches("\27%[1;36mmap\27%[0m 0/1 task %(1 running%)  %d+ %%[^\r\n]*  at [abc ]+\r\27%[J", text)
      local lines, rest = screen(text)
      assert.equal("", rest)
      assert.matches("^lmr: slow%-%d+: complete$", lines[1])
      assert.matches("^  result ", lines[#lines])
   end)

   it("is cut to the width", function()
      local text = terminal(30, slow)
      local drawn = 0
      for line in text:gmatch("\27%[1;36m([^\r\n]*)\r") do
         line = line:gsub("\27%[[%d;]*m", "")
         assert.is_true(utf8.len(line) <= 29, line)
         drawn = drawn + 1
      end
      assert.is_true(drawn >= 2)
      assert.matches("…", text, 1, true)
   end)

   it("clears what a narrower window has broken into rows", function()
      local text = terminal(120, "(sleep 0.35; stty cols 25 </dev/tty) & " .. slow)
      assert.matches("\r\27%[%dA\27%[J", text)
      local lines = h.lines(text)
      assert.matches("^  result ", lines[#lines])
   end)

   it("has no colour with NO_COLOR", function()
      local text = terminal(100, slow, { NO_COLOR = "1" })
      assert.is_nil(text:find("\27[1;36m", 1, true))
      assert.matches("\r\27[J", text, 1, true)
   end)

   it("is plain on a dumb terminal", function()
      local text = terminal(100, slow, { TERM = "dumb" })
      assert.is_nil(text:find("\27", 1, true))
      assert.matches("^lmr: slow%-%d+: complete\n", text)
   end)

   it("is not there with --quiet", function()
      assert.equal("", terminal(100, "lmr run -q slow.lua in.txt >/dev/null"))
   end)

   it("stands below messages", function()
      local text = terminal(100, "lmr run slow.lua in.txt missing.txt >/dev/null; lmr run fail.lua in.txt >/dev/null")
      local lines, rest = screen(text)
      assert.equal("", rest)
      for _, line in ipairs(lines) do
         assert.is_nil(line:find("running", 1, true), line)
      end
   end)

   it("is gone when the job is interrupted", function()
      local text = terminal(100, "timeout -s INT 0.4 lmr run slow.lua in.txt >/dev/null; echo code $?")
      local lines, rest = screen(text)
      assert.equal("", rest)
      for _, line in ipairs(lines) do
         assert.is_nil(line:find("running)", 1, true), line)
      end
      assert.matches("interrupted", text, 1, true)
   end)

   it("leaves results on the same terminal alone", function()
      local text = terminal(100, "lmr run -m 'mr.sleep(0.3) emit(value)' in.txt")
      local lines = screen(text)
      assert.same({ "a", "b a", "c a b" }, { lines[1], lines[2], lines[3] })
   end)
end)

describe("progress in a file", function()
   it("is nothing for a short job", function()
      local result = lmr { "run", "slow.lua", "in.txt" }
      assert.is_nil(result.err:find("\27", 1, true))
      assert.matches("^lmr: slow%-%d+: complete\n", result.err)
   end)

   it("is a plain line after five seconds", function()
      local lines = {}
      for i = 1, 30 do
         lines[i] = "x\n"
      end
      local result = lmr({ "run", "slow.lua", "-", "--workers", "1" }, { stdin = table.concat(lines) })
      assert.equal(0, result.code)
      local first = h.lines(result.err)[1]
      assert.matches("^lmr: map 0/1 task %(1 running%)  %d+ %%.*  at x$", first)
      assert.matches("^lmr: slow%-%d+: complete$", h.lines(result.err)[2])
   end)
end)
