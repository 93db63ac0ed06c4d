-- What is measured: data only; run.lua does the work.
--
-- A group's commands are run in turn, again and again, and must give the same result. Rows compare two
-- commands of their group (`ours`, `theirs`), or hold one of them against a limit.
--
-- command:  { argument… }, with @ for the group's input file and OUT for a fresh output directory. A command
--           without OUT gives its result on standard output.
-- check:    "lines"  the same lines in any order;  "bytes"  the same bytes;  a number: so many lines
-- codes:    exit codes of commands that are not to end with 0
-- make:     a shell command that prints the input, when corpus.sh does not make it
-- row:      target, aim: greatest ratio of ours to theirs
--           extra_seconds: how much longer ours may take than theirs
--           by: "cpu": the ratio is of CPU seconds
--           limit_mib: greatest resident size of any process of ours
local BENCH = "spec/bench/"
local DATA = "build/bench/"

-- A run of lmr; `options` is a string.
local function lmr(job, options, arguments)
   local command = { "LMR", "run", job, "@" }
   for option in (options or ""):gmatch("%S+") do command[#command + 1] = option end
   for _, argument in ipairs { "-o", "OUT", "--quiet" } do command[#command + 1] = argument end
   if arguments then
      command[#command + 1] = "--"
      for _, argument in ipairs(arguments) do command[#command + 1] = argument end
   end
   return command
end

local JOBS = BENCH .. "jobs/"
local PATTERN = "[Ww]isdom%s"
local SORT_BUFFER_MIB, ROOM_MIB, DISTINCT = 64, 64, 30000000

return {
   {
      name = "gmatch", input = DATA .. "corpus.txt", check = "lines",
      commands = {
         lmr2 = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2"),
         lmr1 = lmr(JOBS .. "word_count_gmatch.lua", "--workers 1"),
         naive = { "lua5.4", BENCH .. "naive.lua", "@" },
         mawk = { BENCH .. "parallel_mawk.sh", BENCH .. "count.awk", "@" },
         mawk_rs = { BENCH .. "parallel_mawk.sh", BENCH .. "count_rs.awk", "@" },
      },
      rows = {
         { work = "word count, gmatch + emit, 2 workers", ours = "lmr2", theirs = "naive",
           other = "naive Lua", target = 0.28, aim = 0.22 },
         { work = "the same", ours = "lmr2", theirs = "mawk",
           other = "parallel + mawk, fields", target = 0.45, aim = 0.35 },
         { work = "the same", ours = "lmr2", theirs = "mawk_rs", other = "parallel + mawk, RS" },
         { work = "the same, 1 worker", ours = "lmr1", theirs = "naive", other = "naive Lua", target = 0.50 },
      },
   },
   {
      name = "common", input = DATA .. "common.txt", check = "lines",
      commands = {
         lmr2 = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2"),
         naive = { "lua5.4", BENCH .. "naive.lua", "@" },
      },
      rows = {
         { work = "word count, 60 MB, 5,000 distinct words", ours = "lmr2", theirs = "naive",
           other = "naive Lua", target = 0.70, aim = 0.55 },
      },
   },
   {
      name = "words", input = DATA .. "corpus.txt", check = "lines",
      commands = {
         words = lmr(JOBS .. "word_count_words.lua", "--workers 2"),
         mapper = lmr(JOBS .. "word_count_mapper.lua", "--workers 2"),
         c = { DATA .. "tools/word_count", "@" },
      },
      rows = {
         { work = "word count, mr.words, 2 workers", ours = "words", theirs = "c",
           other = "C, two threads", target = 2.8, aim = 2.2 },
         { work = "word count, mr.word_mapper, 2 workers", ours = "mapper", theirs = "c",
           other = "C, two threads", target = 1.5, aim = 1.2 },
      },
   },
   {
      name = "sort", input = DATA .. "sort_records.txt", check = "bytes",
      commands = {
         lmr = lmr(JOBS .. "sort.lua", "--workers 2"),
         sort = { "sort", "--parallel=2", "-S1G", "@", "-o", "OUT/sorted" },
      },
      rows = {
         { work = "sort, 260 MB of 100-byte records", ours = "lmr", theirs = "sort",
           other = "GNU sort", target = 0.7, aim = 0.5 },
      },
   },
   {
      name = "grep", input = DATA .. "grep.txt", check = "bytes",
      commands = {
         lmr = lmr(JOBS .. "grep.lua", "--workers 2", { PATTERN }),
         lua = { "lua5.4", BENCH .. "grep.lua", PATTERN, "@" },
      },
      rows = {
         { work = "grep, string.find, 512 MB", ours = "lmr", theirs = "lua",
           other = "plain Lua", target = 0.55 },
      },
   },
   {
      name = "memory", input = DATA .. "distinct_keys.txt", check = DISTINCT,
      make = ("lua5.4 %sdistinct_keys.lua %d"):format(BENCH, DISTINCT),
      commands = {
         lmr = lmr(JOBS .. "count_lines.lua", "--workers 2 --sort-buffer " .. SORT_BUFFER_MIB .. "M"),
      },
      rows = {
         { work = "peak memory, 690 MB, 30 M distinct keys", ours = "lmr", limit_mib = SORT_BUFFER_MIB + ROOM_MIB },
      },
   },
   {
      name = "recovery", input = DATA .. "numbered.txt", check = "none", runs_factor = 2,
      make = ("lua5.4 %snumbered.lua 1000000"):format(BENCH),
      codes = { reject = "3", error = "3", crash = "3", hang = "3", many = "3" },
      commands = {
         good = lmr(JOBS .. "recovery.lua", "--workers 2", { "--case", "good" }),
         off = lmr(JOBS .. "recovery.lua", "--workers 2", { "--case", "off" }),
         reject = lmr(JOBS .. "recovery.lua", "--workers 2", { "--case", "reject" }),
         error = lmr(JOBS .. "recovery.lua", "--workers 2", { "--case", "error" }),
         many = lmr(JOBS .. "recovery.lua", "--workers 2 --set limits.max_quarantined=1%", { "--case", "many" }),
         crash = lmr(JOBS .. "recovery.lua", "--workers 2 --set retry.strategy=immediate", { "--case", "crash" }),
         hang = lmr(JOBS .. "recovery.lua",
            "--workers 2 --set retry.strategy=immediate --set limits.progress_timeout_seconds=2", { "--case", "hang" }),
      },
      rows = {
         { work = "no failure, CPU", ours = "good", theirs = "off", other = "recovery = false", target = 1.01,
           by = "cpu" },
         { work = "one record of 1,000,000 rejected", ours = "reject", theirs = "good", other = "none bad",
           target = 1.2 },
         { work = "one record raises an error", ours = "error", theirs = "good", other = "none bad", target = 1.2 },
         { work = "0.1 % rejected", ours = "many", theirs = "good", other = "none bad" },
         { work = "one record kills its worker", ours = "crash", theirs = "good", other = "none bad" },
         { work = "one record hangs (2 s, then 4 s)", ours = "hang", theirs = "good", other = "none bad" },
      },
   },
   {
      name = "checkpoint", input = DATA .. "common.txt", check = "lines", runs_factor = 2,
      commands = {
         on = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2"),
         off = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2 --set checkpoint.enabled=false"),
      },
      rows = {
         { work = "60 MB with checkpoints", ours = "on", theirs = "off", other = "without", target = 1.02 },
         { work = "the same, CPU", ours = "on", theirs = "off", other = "without", target = 1.02, by = "cpu" },
      },
   },
   {
      name = "checkpoint_large", input = DATA .. "large.txt", check = "lines",
      make = "cat build/bench/corpus.txt build/bench/grep.txt build/bench/corpus.txt",
      commands = {
         on = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2"),
         off = lmr(JOBS .. "word_count_gmatch.lua", "--workers 2 --set checkpoint.enabled=false"),
         often = lmr(JOBS .. "word_count_gmatch.lua",
            "--workers 2 --set checkpoint.checkpoint_interval_seconds=1"),
      },
      rows = {
         { work = "1 GB with checkpoints", ours = "on", theirs = "off", other = "without", target = 1.01 },
         { work = "the same, CPU", ours = "on", theirs = "off", other = "without", target = 1.01, by = "cpu" },
         { work = "the same, every second", ours = "often", theirs = "off", other = "without" },
      },
   },
   {
      name = "resume", input = DATA .. "large.txt", check = "lines",
      make = "cat build/bench/corpus.txt build/bench/grep.txt build/bench/corpus.txt",
      commands = {
         killed = { BENCH .. "killed_half_way.sh", "LMR", "@", "OUT" },
         whole = lmr(JOBS .. "killed_half_way.lua", "--workers 2"),
      },
      rows = {
         { work = "1 GB, driver killed half-way, resumed: CPU", ours = "killed", theirs = "whole",
           other = "undisturbed", target = 1.05, by = "cpu" },
      },
   },
   {
      name = "start", input = DATA .. "one_line.txt", check = "none", runs_factor = 4,
      make = "echo 'one line of input'",
      commands = {
         lmr = lmr("examples/word_count.lua", "--workers 2"),
         lua = { "lua5.4", "-e", "" },
      },
      rows = {
         { work = "one-line input, start to finish", ours = "lmr", theirs = "lua",
           other = 'lua5.4 -e ""', extra_seconds = 0.040 },
      },
   },
   {
      name = "small", input = DATA .. "small.txt", check = "lines",
      commands = {
         many = lmr("examples/word_count.lua", "--workers 2"),
         one = lmr("examples/word_count.lua", "--workers 2"),
      },
      inputs = { many = DATA .. "small" },
      rows = {
         { work = "10,000 small files", ours = "many", theirs = "one", other = "the same in one file", target = 1.5 },
      },
   },
}
