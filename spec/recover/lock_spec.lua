-- One driver a job: who has its lock, who takes it over, and who stops. All with real processes. Another host is the
-- same machine under another host name (a UTS namespace); a filesystem whose flock means nothing between hosts, or that
-- has none, is one where strace answers flock(2). The oracle is the result of a run that nobody disturbs.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

local args = { "run", "--workers", "2", "--set", "speculation.enabled=false", "-o", "out", "job.lua", "in.txt" }
local says_watching = "watching for 20 s whether the driver on alpha still beats"

local function place()
   local at = m.place_gated()
   at.env.ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. ":detect_leaks=0" -- for strace
   return at
end

local function open_gate(at) h.write(at.dir, "gate", "") end

local function lock_of(at) return h.read(at.dir .. "/state/gated-1/lock") or "" end

-- The result of a run that nobody disturbs.
local reference
local function expect_result(at)
   if not reference then
      local other = place()
      open_gate(other)
      assert.equal(0, h.run(args, m.options(other)).code)
      reference = m.result_of(other, "out")
   end
   assert.equal(reference, m.result_of(at, "out"))
   assert.same({ "complete" }, m.rows(at, "gated-1", m.states))
   assert.same({}, m.done_twice(at, "gated-1"))
end

-- lmr with `words` in the background: on another host, or with a flock that strace answers.
local namespace
local function start(at, words, how)
   how = how or {}
   local list = {}
   if how.host then
      namespace = namespace or (h.sh("unshare -u hostname x").code == 0 and "-u" or "-ru")
      list = { "unshare", namespace, "sh", "-c", 'hostname "$1" && shift && exec "$@"', "-", how.host }
   end
   if how.flock then
      for _, word in ipairs { "strace", "-D", "-o", "/dev/null", "-e", "trace=flock", "-e",
         "inject=flock:" .. how.flock } do
         list[#list + 1] = word
      end
   end
   list[#list + 1] = h.binary
   for _, word in ipairs(words) do list[#list + 1] = word end
   local options = m.options(at)
   options.binary = table.remove(list, 1)
   return h.background(list, options)
end

-- Started, and at work on the map that waits: all others have committed.
local function at_work(at, how)
   local job = start(at, args, how)
   h.poll(30, function()
      return m.number(at, "gated-1", "SELECT (SELECT count(*) FROM task) = maps - 1 AND " ..
         "(SELECT count(*) FROM running) = 1 FROM step") == 1
   end)
   return job
end

local function kill(job)
   job:kill("KILL")
   job:wait(20)
end

local function finished(at, job)
   local result = job:wait(90)
   assert.equal(0, result.code, result.err)
   expect_result(at)
   return result
end

local function digest(at)
   return h.sh([[cd state && find . -name 'journal.db-shm' -prune -o -type f ! -path '*/lock' -print0 | sort -z |
      xargs -0 sha256sum; find . | sort]], m.options(at)).out
end

local function field(at, name) return lock_of(at):match("\n" .. name .. " ([^\n]*)") end

local function edit_lock(at, name, value)
   local text, n = lock_of(at):gsub("(\n" .. name .. " )[^\n]*", "%1" .. value)
   assert.equal(1, n)
   local file = assert(io.open(at.dir .. "/state/gated-1/lock", "r+"))
   assert(file:write(text))
   assert(file:close())
end

describe("a job's lock", function()
   it("names its driver, and beats as long as that lives", function()
      local at = place()
      local job = at_work(at)
      assert.equal(tostring(job:pid()), field(at, "pid"))
      assert.equal(h.sh("hostname").out, field(at, "host") .. "\n")
      assert.equal(h.read("/proc/sys/kernel/random/boot_id"), field(at, "boot") .. "\n")
      local stat = {} -- from field 3 on
      local line = h.read("/proc/" .. job:pid() .. "/stat"):match("^.*%)(.*)$")
      for word in line:gmatch("%S+") do stat[#stat + 1] = word end
      assert.equal(stat[20], field(at, "start"))
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", field(at, "since"))
      local first = lock_of(at)
      h.poll(20, function() return lock_of(at):match("^beat %d+") ~= first:match("^beat %d+") end)
      assert.equal(first:match("\n.*"), lock_of(at):match("\n.*"))
      open_gate(at)
      finished(at, job)
      assert.matches("^free ", lock_of(at))
   end)

   it("is not had by two: the second is refused, told who has it, and changes nothing", function()
      local at = place()
      local job = at_work(at)
      local before = digest(at)
      local second = m.resume(at, "gated-1")
      assert.equal(2, second.code)
      local message = ("gated-1 is at work already: process %d on %s, at work since %s ("):format(job:pid(),
         field(at, "host"), field(at, "since"))
      assert.is_truthy(second.err:find(message, 1, true), second.err)
      assert.matches("%); wait for its end, or stop it with lmr stop gated%-1, then resume", second.err)
      assert.equal(before, digest(at))
      open_gate(at)
      finished(at, job)
   end)

   it("of a killed driver is taken over at once, and that of an ended one on any host", function()
      local at = place()
      kill(at_work(at))
      assert.matches("^beat ", lock_of(at))
      local again = start(at, { "resume" })
      h.poll(30, function()
         return m.number(at, "gated-1", "SELECT count(*) FROM event WHERE kind = 'resume'") == 1
      end)
      assert.equal(tostring(again:pid()), field(at, "pid"))
      again:kill("TERM")
      local result = again:wait(30)
      assert.equal(143, result.code)
      assert.not_matches("watching", result.err)
      assert.matches("^free ", lock_of(at))
      open_gate(at)
      assert.not_matches("watching", finished(at, start(at, { "resume" }, { host = "beta" })).err)
   end)

   it("is taken over at once after a restart of the machine", function()
      local at = place()
      kill(at_work(at))
      edit_lock(at, "boot", "00000000-0000-0000-0000-000000000000")
      open_gate(at)
      assert.not_matches("watching", finished(at, start(at, { "resume" })).err)
   end)

   it("decides between two that resume at once, thirty times", function()
      local at = place()
      kill(at_work(at))
      for i = 1, h.sanitized and 10 or 30 do
         local one, two = start(at, { "resume", "gated-1" }), start(at, { "resume", "gated-1" })
         h.poll(30, function() return not (one:running() and two:running()) end)
         local loser, winner = one, two
         if one:running() then loser, winner = two, one end
         local lost = loser:wait(1)
         assert.equal(2, lost.code, lost.err)
         assert.matches("gated%-1 is at work already: process " .. winner:pid() .. " on ", lost.err)
         h.poll(30, function()
            return m.number(at, "gated-1", "SELECT count(*) FROM event WHERE kind = 'resume'") == i
         end)
         assert.is_true(winner:running())
         kill(winner)
      end
      open_gate(at)
      finished(at, start(at, { "resume" }))
   end)

   it("is told by the process where the filesystem has no flock", function()
      local at, how = place(), { flock = "error=EOPNOTSUPP" }
      local job = at_work(at, how)
      local second = start(at, { "resume" }, how):wait(30)
      assert.equal(2, second.code)
      assert.matches("is at work already: process " .. job:pid() .. " on ", second.err)
      kill(job)
      edit_lock(at, "pid", tostring(h.sh("echo $PPID").out):match("%d+")) -- the number has another process now
      open_gate(at)
      assert.not_matches("watching", finished(at, start(at, { "resume" }, how)).err)
   end)

   it("on a network filesystem is warned of, when a job begins and when it goes on", function()
      local at = place()
      open_gate(at)
      -- statfs(2) says NFS
      local words = { "-D", "-o", "/dev/null", "-e", "trace=statfs", "-e",
         "inject=statfs:poke_exit=@arg2=6969000000000000", h.binary }
      local function on_nfs(more)
         local options = m.options(at)
         options.binary = "strace"
         local all = table.move(words, 1, #words, 1, {})
         return h.background(table.move(more, 1, #more, #all + 1, all), options)
      end
      local warning = "the job's journal is on a network filesystem %(.*/state/gated%-1%)"
      assert.matches(warning, finished(at, on_nfs(args)).err)
      local moved = place()
      kill(at_work(moved))
      open_gate(moved)
      at = moved
      assert.matches(warning, finished(at, on_nfs { "resume" }).err)
   end)

   it("of another host is left alone while that beats, whatever flock says", function()
      local at = place()
      local job = at_work(at, { host = "alpha", flock = "retval=0" })
      local before = digest(at)
      local second = start(at, { "resume" }, { host = "beta", flock = "retval=0" }):wait(30)
      assert.equal(2, second.code)
      assert.matches(says_watching, second.err)
      assert.matches("is at work already: process " .. job:pid() .. " on alpha, ", second.err)
      assert.matches("lmr stop gated%-1 on alpha, then resume", second.err)
      assert.equal(before, digest(at))
      open_gate(at)
      finished(at, job)
   end)

   it("may be waited for, and the wait be given up", function()
      local at = place()
      kill(at_work(at, { host = "alpha" }))
      local before = lock_of(at)
      local job = start(at, { "resume" }, { host = "beta" })
      h.poll(30, function() return job:err():find(says_watching, 1, true) end)
      job:kill("INT")
      assert.equal(130, job:wait(5).code)
      assert.equal(before, lock_of(at))
   end)

   -- These wait for 20 s each, so they do it together.
   it("of another host is taken over once it stands still, by one alone; who wakes up then is fenced", function()
      local dead, stopped, racing = place(), place(), place()
      local flock = "retval=0"
      kill(at_work(dead, { host = "alpha" }))
      kill(at_work(racing, { host = "alpha", flock = flock }))
      local sleeper = at_work(stopped, { host = "alpha", flock = flock })
      sleeper:kill("STOP")
      open_gate(dead)

      local heir = start(dead, { "resume" }, { host = "beta" })
      local other = start(stopped, { "resume" }, { host = "beta", flock = flock })
      local one = start(racing, { "resume" }, { host = "beta", flock = flock })
      local two = start(racing, { "resume" }, { host = "gamma", flock = flock })

      local result = finished(dead, heir)
      assert.matches(says_watching, result.err)

      h.poll(60, function()
         return m.number(stopped, "gated-1", "SELECT count(*) FROM event WHERE kind = 'resume'") == 1
      end)
      sleeper:kill("CONT")
      local fenced = sleeper:wait(30)
      assert.equal(75, fenced.code, fenced.err)
      assert.matches("gated%-1 was taken over by process " .. other:pid() .. " on beta", fenced.err)
      assert.not_matches("to go on", fenced.err)
      open_gate(stopped)
      assert.matches(says_watching, finished(stopped, other).err)

      h.poll(60, function() return not (one:running() and two:running()) end)
      local loser, winner = one, two
      if one:running() then loser, winner = two, one end
      local lost = loser:wait(1)
      assert.is_true(lost.code == 2 or lost.code == 75, lost.err)
      open_gate(racing)
      finished(racing, winner)
   end)
end)
