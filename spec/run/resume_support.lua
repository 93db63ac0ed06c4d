-- What the specs of lmr resume share: jobs in a place of their own, killed when the journal has so many commits, and
-- what the journal and the result tell then.
local h = require "spec.helper"

local m = {}

-- A directory with a job and an input; `start` and `resume` run in it.
function m.place(job, input)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", job)
   h.write(dir, "in.txt", input)
   return { dir = dir, env = { LMR_STATE_DIR = dir .. "/state" } }
end

local gated = [[
local mr = require "mr"
return mr.job { job_name = "gated", split_size = "1K", reducers = 2,
   map = function(_, line, emit)
      while mr.task().id == "map_3" and not io.open("gate") do mr.sleep(0.01) mr.progress() end
      for word in mr.words(line) do emit(word, 1) end
   end,
   reduce = mr.sum }
]]

-- The same with a job "gated" of five maps, which waits in its last but one until there is a file "gate".
function m.place_gated()
   local list = {}
   for i = 1, 200 do list[i] = ("the word %d of line %d"):format(i * 7 % 13, i) end
   return m.place(gated, table.concat(list, "\n") .. "\n")
end

function m.options(at, more)
   local all = { dir = at.dir, env = {} }
   for name, value in pairs(at.env) do all.env[name] = value end
   for name, value in pairs(more and more.env or {}) do all.env[name] = value end
   all.stdin, all.stdin_file = more and more.stdin, more and more.stdin_file
   return all
end

function m.run(at, args, more)
   return h.run({ "run", table.unpack(args) }, m.options(at, more))
end

function m.resume(at, ...)
   return h.run({ "resume", ... }, m.options(at))
end

function m.rows(at, id, sql)
   local result = h.sh(("sqlite3 -readonly state/%s/journal.db %s"):format(id, h.quote(sql)), { dir = at.dir })
   return result.code == 0 and h.lines(result.out) or {}
end

function m.number(at, id, sql)
   return tonumber(m.rows(at, id, sql)[1]) or 0
end

m.commits = "SELECT count(*) FROM task"
m.states = "SELECT value FROM job WHERE key = 'state'"

-- Else it was killed before there was anything to go on with.
function m.has_begun(at, id)
   return #m.rows(at, id, m.states) > 0
end

-- Maps and reduces that have committed more than once.
function m.done_twice(at, id)
   return m.rows(at, id, [[SELECT task FROM attempt WHERE outcome = 'committed' AND (task LIKE '%map@_%' ESCAPE '@'
      OR task LIKE '%reduce@_%' ESCAPE '@') GROUP BY task HAVING count(*) > 1]])
end

-- Names, bytes and, of the manifest, what a run that was disturbed must have too.
function m.result_of(at, name)
   local all = {}
   for _, file in ipairs(h.ls(at.dir .. "/" .. name)) do
      local content = h.read(at.dir .. "/" .. name .. "/" .. file)
      if file == "_MANIFEST.json" then
         content = content:gsub('"job_id":[^,]*,', ""):gsub('"finished":[^,]*,', "")
            :gsub('"statistics": *(%b{}),?', "")
      end
      all[#all + 1] = file .. "\n" .. (content or "a directory")
   end
   return table.concat(all, "\n")
end

function m.kill_at(at, args, id, n, more)
   local job = h.background(args, m.options(at, more))
   h.poll(30, function() return not job:running() or m.number(at, id, m.commits) >= n end)
   job:kill("KILL")
   return job:wait(20)
end

-- Runs lmr with `args` once for every `step`th of its calls of a system call, and kills it as that call begins; then
-- calls after(k). `before(k)` comes first and gives the arguments. Ends with the run that has no such call.
function m.sweep(at, call, step, before, after)
   local k = 1
   while true do
      local words = {}
      for i, word in ipairs(before(k)) do words[i] = h.quote(word) end
      local result = h.sh(("strace -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%d $LMR %s"):format(
         call, call, k, table.concat(words, " ")), m.options(at, { env = {
            ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. ":detect_leaks=0" } }))
      if result.code == 0 then return k end
      after(k)
      k = k + step
   end
end

return m
