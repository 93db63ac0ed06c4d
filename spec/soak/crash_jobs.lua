-- The jobs that spec/soak/crash.lua and spec/recover/crash_spec.lua kill: small, but each goes another way through the
-- host. A list of { name, files, args = of lmr run, stdin = name of a file, setup = shell commands, command = of lmr
-- instead of run, exit = code, classes = what only this job passes }.
local M = {}

local function numbered(n, line)
   local list = {}
   for i = 1, n do list[i] = line(i) end
   return table.concat(list, "\n") .. "\n"
end

local words = numbered(120, function(i)
   return ("the word %d of %d and %s"):format(i % 17, i % 5, ("x"):rep(i % 7))
end)
local sums = numbered(150, function(i) return ("key%d %d"):format(i % 6, i) end)
local broken_sums = sums:gsub("key3 15\n", "key3 1,5\n"):gsub("key4 100\n", "key4 ???\n")

local function job(body)
   return "local mr = require 'mr'\nreturn mr.job { job_name = 'j', split_size = '1K',\n" .. body .. "}\n"
end

local count = job [[
   map = function(_, line, emit) for w in mr.words(line) do emit(w, 1) end end, reduce = mr.sum, reducers = 2,
]]

M[1] = { name = "two steps", args = { "-o", "out", "job.lua", "in.txt" },
   files = { ["in.txt"] = words, ["job.lua"] = job [[
   steps = {
      { map = function(_, line, emit) for w in mr.words(line) do emit(w, 1) end end, reduce = mr.sum, reducers = 2 },
      { map = function(word, n, emit) emit({ -n, word }) end,
        reduce = function(key, _, emit) emit(key[2], -key[1]) end, reducers = 1 },
   },
]] } }

M[2] = { name = "map only", args = { "-o", "out", "job.lua", "in.txt" },
   files = { ["in.txt"] = words, ["job.lua"] = job [[
   map = function(offset, line, emit) emit(offset, #line) end, reducers = 0,
   output = { format = "csv", compress = "gz" },
]] } }

M[3] = { name = "from standard input", args = { "job.lua", "-" }, stdin = "in.txt",
   files = { ["in.txt"] = words, ["job.lua"] = count } }

M[4] = { name = "rounds", args = { "-o", "out", "job.lua", "in.txt" },
   files = { ["in.txt"] = sums, ["job.lua"] = job [[
   steps = {
      { map = function(_, line, emit)
           local k, n = line:match("^(%S+) (%d+)$")
           emit(k, tonumber(n))
        end, reduce = mr.sum },
      mr.iterate { map = function(key, n, emit) emit(key, n // 2) end, max_rounds = 9, reducers = 2,
         reduce = function(key, values, emit)
            local previous = mr.task().previous
            local seen = previous and previous.counters.rounds.most or 0
            for n in values do mr.increment("rounds", "most", n > 600 and 1 or 0) emit(key, n + seen) end
         end,
         stop_when = function(round, counters) return round == 3 or counters.rounds.most < 1 end },
   },
]] } }
M[5] = { name = "side outputs and records put aside", exit = 3, args = { "-o", "out", "job.lua", "in.txt" },
   files = { ["in.txt"] = broken_sums, ["users.csv"] = "id,name\nkey1,one\nkey2,two\n", ["job.lua"] = job [[
   side_files = { users = { path = "users.csv", input = "csv", key = "id" } }, reducers = 2,
   map = function(_, line, emit)
      local key, n = line:match("^(%S+) (%d+)$")
      if not n then mr.reject("no number") end
      local user = mr.lookup("users", key)
      if tonumber(n) % 50 == 7 then mr.output("seven", key, tonumber(n)) end
      emit(user and user.name or key, tonumber(n))
   end,
   reduce = function(key, values, emit)
      local sum = 0
      for v in values do sum = sum + v end
      if key == "key5" then error("a bad group") end
      mr.output("sums", key, sum)
      emit(key, sum)
   end,
]] } }

M[6] = { name = "total order, spilled",
   args = { "-o", "out", "--work-dir", "work", "--sort-buffer", "64K", "--compress-runs", "job.lua", "in.txt" },
   files = { ["in.txt"] = words, ["job.lua"] = job [[
   map = function(offset, line, emit)
      for w in mr.words(line) do emit(w .. (" "):rep(900) .. offset, mr.task().offset) end
   end,
   reduce = function(key, values, emit) for v in values do emit((key:gsub(" +", " ")), v) end end,
   total_order = true, reducers = 3,
]] } }

M[7] = { name = "over an earlier result", args = { "-o", "out", "--overwrite", "job.lua", "in.txt" },
   setup = { "run -q -o out --seed 9 job.lua job.lua" }, files = { ["in.txt"] = words, ["job.lua"] = count } }

local summing = [[
   reducers = 2,
   map = function(_, line, emit)
      local key, n = line:match("^(%%S+) (.*)$")
      %s
      if tonumber(n) == 7 then mr.output("seven", key) end
      emit(key, tonumber(n))
   end,
   reduce = mr.sum,
]]

M[8] = { name = "a mend of what was put aside", command = { "resume", "--quarantined" }, args = {},
   setup = { "run -q -o out job.lua in.txt", "!mv mended.lua job.lua" },
   files = { ["in.txt"] = broken_sums:gsub("key4 %?%?%?", "key4 100"),
      ["job.lua"] = job(summing:format('if n:find(",") then error("no number") end')),
      ["mended.lua"] = job(summing:format('n = n:gsub(",", "")')) } }

M[9] = { name = "rounds that read the input again", args = { "-o", "out", "job.lua", "in.txt" },
   files = { ["in.txt"] = sums, ["start.csv"] = "key,n\nkey0,1\n", ["job.lua"] = job [[
   side_files = {
      previous = { path = "start.csv", input = { format = "csv", types = { n = "integer" } }, key = "key" },
   },
   iterate = mr.iterate {
      map = function(_, line, emit)
         local key, n = line:match("^(%S+) (%d+)$")
         local before = mr.lookup("previous", key)
         mr.increment("rounds", "known", before and 1 or 0)
         emit(key, { n = tonumber(n) + (before and before.n or 0) % 1000 })
      end,
      reduce = function(key, values, emit)
         local sum = 0
         for v in values do sum = sum + v.n end
         emit(key, { n = sum })
      end,
      reread = true, max_rounds = 9, reducers = 2,
      stop_when = function(_, counters, previous)
         return previous and counters.rounds.known == previous.rounds.known
      end,
   },
]] } }

-- With an interval of 0 there is a checkpoint after each 256th record.
local many = numbered(1400, function(i) return i % 501 == 500 and "no" or ("k%d %d"):format(i % 7, i % 650) end)

M[10] = { name = "checkpoints of maps", exit = 3,
   args = { "-o", "out", "--set", "checkpoint.checkpoint_interval_seconds=0", "job.lua", "in.txt" },
   files = { ["in.txt"] = many, ["job.lua"] = job([[
   steps = {
      { combine = mr.sum, reduce = mr.sum, reducers = 2, map = function(_, line, emit)
           local key, n = line:match("^(%S+) (%d+)$")
           if not n then mr.reject("no number") end
           if tonumber(n) % 90 == 0 then mr.output("nineties", key, n) end
           emit(line, tonumber(n) / 3)
        end },
      { reducers = 0, map = function(key, n, emit)
           if n > 400 then mr.output("large", key, n) end
           emit(key, n)
        end },
   },
]]):gsub("'1K'", "'6K'") } }

return M
