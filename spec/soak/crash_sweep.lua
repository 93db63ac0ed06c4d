-- Kills lmr at its failpoints, resumes it, and holds what comes out against an undisturbed run. What
-- spec/soak/crash.lua and spec/recover/crash_spec.lua share.
--
-- sweep.new(dir, lmr, job) → self      job is one of spec/soak/crash_jobs.lua; runs it undisturbed; self.sites is the
--                                      list of the driver's failpoints in order, self.worker_sites the workers'
-- self:kill_driver(i [, j]) → how      kills the driver at failpoint i; with j, the resume at its failpoint j; then
--                                      goes on to the end. how: "resumed", "run again" (there was nothing to go on
--                                      with yet), "complete" (nothing was left to do); with j also "not reached"
-- self:kill_worker(j) → true           false: no worker came to its failpoint j
-- self:missing() → index, name         of a failpoint of the driver at which it was not killed yet
-- self:classes(into) → into            the names of its failpoints, as keys
-- sweep.listed(root) → names, as keys   the failpoints that the README of host/base tells of
-- Each raises an error that says what differs and keeps the folder.
local M = {}

local sweep = {}
sweep.__index = sweep

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read(path)
   local file <close> = io.open(path, "rb")
   return file and file:read("a")
end

local function write(path, content)
   local file <close> = assert(io.open(path, "wb"))
   assert(file:write(content))
end

local function lines_of(command)
   local pipe <close> = assert(io.popen(command))
   local list = {}
   for line in pipe:lines() do list[#list + 1] = line end
   return list
end

function sweep:fail(text, ...)
   error(("%s: %s\n   kept: %s"):format(self.job.name, text:format(...), self.dir), 0)
end

-- Runs lmr in the live folder; how it ended: its code, or "killed".
function sweep:lmr(words, env)
   local list = {}
   for i, word in ipairs(words) do list[i] = quote(word) end
   local set = { "-u LMR_PROFILE", "-u LMR_WORK_DIR", "LMR_STATE_DIR=" .. quote(self.live .. "/state") }
   for name, value in pairs(env or {}) do set[#set + 1] = name .. "=" .. quote(value) end
   local _, how, code = os.execute(("cd %s && exec timeout -k 2 60 env %s %s %s <%s >%s 2>%s"):format(
      quote(self.live), table.concat(set, " "), quote(self.binary), table.concat(list, " "),
      env and env.STDIN or "/dev/null", quote(self.dir .. "/stdout"),
      quote(self.dir .. "/stderr")))
   if code == 124 then self:fail("hangs: %s", table.concat(words, " ")) end
   return how == "signal" and code == 9 and "killed" or code == 137 and "killed" or code
end

function sweep:said() return (read(self.dir .. "/stderr") or ""):sub(-2000) end

-- The folder as it is before the run that is killed.
function sweep:reset()
   os.execute(("rm -rf %s %s && cp -a %s %s"):format(quote(self.live), quote(self.dir .. "/log"),
      quote(self.base), quote(self.live)))
end

function sweep:command(env)
   env = env or {}
   env.STDIN = self.job.stdin
   local words = self.job.command or { "run" }
   local all = { table.unpack(words) }
   if not self.job.command then
      for _, word in ipairs { "--workers", "1", "--seed", "5", "--set", "retry.base_delay_seconds=0.01" } do
         all[#all + 1] = word
      end
      table.move(self.job.args, 1, #self.job.args, #all + 1, all)
   end
   return self:lmr(all, env)
end

-- A killed run may have left an older number to the job, or a later attempt's name to a file.
local function plain(text)
   return (text:gsub("j%-%d+", "j"):gsub("(%a+_%d+)%.%d+s?%.", "%1."):gsub('"attempt":%d+,', ""))
end

local unlike = { '"finished":[^,]*,', '"statistics": *%b{},?' }

local function files_of(folder)
   return lines_of(("cd %s 2>/dev/null && LC_ALL=C find . -type f | LC_ALL=C sort"):format(quote(folder)))
end

-- What the job made: names and bytes; of the manifest, what a disturbed run must have too.
function sweep:result(stdout)
   local all, id = { stdout }, self:newest()
   for _, name in ipairs(files_of(self.live .. "/out")) do
      local content = read(self.live .. "/out/" .. name)
      if name == "./_MANIFEST.json" then
         for _, pattern in ipairs(unlike) do content = content:gsub(pattern, "") end
         content = plain(content)
      end
      -- of what is kept for a mend, only that it is there; what a job left that never began is no part of it
      local folder = name:match("^%./%.lmr%-([^/]+)/")
      if folder then name, content = plain(name), "" end
      if not folder or folder == id then all[#all + 1] = name .. "\n" .. content end
   end
   for _, name in ipairs(files_of(("%s/state/%s"):format(self.live, id))) do
      local content = name:find("^%./quarantine/") and read(("%s/state/%s/%s"):format(self.live, id, name)) or ""
      -- what is removed after the end may be left by a kill there
      if not name:find("^%./journal.db%-") and not name:find("^%./work/") then
         all[#all + 1] = plain(name) .. "\n" .. plain(content)
      end
   end
   return table.concat(all, "\n")
end

-- Maps and reduces that have committed, each with its attempt and when that began.
local STORY = [[
   SELECT 'state ' || value FROM job WHERE key = 'state';
   SELECT 'spooled' FROM job WHERE key = 'stdin_bytes';
   SELECT step || '|' || round || '|' || task || '|' || attempt || '|' || speculative || '|' || started FROM attempt
   WHERE outcome = 'committed' AND (task GLOB '*map_*' OR task GLOB '*reduce_*');]]

-- What a job's journal tells: { state, spooled = standard input is kept, tried = rows, most = of one task }. A copy is
-- read: in place SQLite would mend it a little.
function sweep:story(id)
   local story = { tried = {}, most = 0 }
   local times = {}
   local copied = ("cd %s && rm -rf copy && mkdir copy && cp live/state/%s/journal.db* copy"):format(
      quote(self.dir), id)
   local asked = ("sqlite3 copy/journal.db %s"):format(quote(STORY))
   for _, line in ipairs(id and lines_of(("(%s && %s) 2>/dev/null"):format(copied, asked)) or {}) do
      local task = line:match("^%d+|%d+|[^|]+")
      if task then
         story.tried[#story.tried + 1] = line
         times[task] = (times[task] or 0) + 1
         story.most = math.max(story.most, times[task])
      elseif line == "spooled" then
         story.spooled = true
      else
         story.state = line:match("^state (.*)")
      end
   end
   return story
end

function sweep:newest()
   local list = lines_of(("ls -1v %s/state 2>/dev/null"):format(quote(self.live)))
   return list[#list]
end

-- The failpoints of a log that begin with "PROCESS ".
local function sites_of(path, process)
   local list = {}
   for line in (read(path) or ""):gmatch("[^\n]+") do
      local who, n, site = line:match("^(%S+) (%d+) (%S+)$")
      if who == process then
         -- two threads may write in another order
         list[process == "driver" and tonumber(n) or #list + 1] = site
      end
   end
   return list
end

function M.new(dir, lmr, job)
   local self = setmetatable({ dir = dir, live = dir .. "/live", base = dir .. "/base", binary = lmr, job = job,
      killed = {}, later = {} }, sweep)
   os.execute("mkdir -p " .. quote(self.live))
   for name, content in pairs(job.files) do write(self.live .. "/" .. name, content) end
   for _, line in ipairs(job.setup or {}) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      if line:sub(1, 1) == "!" then
         assert(os.execute(("cd %s && %s"):format(quote(self.live), line:sub(2))))
      else
         local code = self:lmr(words)
         if code ~= 0 and code ~= 3 then self:fail("%s: %s", line, self:said()) end
      end
   end
   os.execute(("cp -a %s %s"):format(quote(self.live), quote(self.base)))
   self.was = self:newest()
   local code = self:command { LMR_FAILPOINT_LOG = dir .. "/log" }
   if code ~= (job.exit or 0) then self:fail("ends undisturbed with %s: %s", code, self:said()) end
   self.sites, self.worker_sites = sites_of(dir .. "/log", "driver"), sites_of(dir .. "/log", "worker")
   self.whole = self:result(read(dir .. "/stdout"))
   self.story_whole = self:story(self:newest())
   return self
end

function sweep:must_be_whole(what, code, stdout)
   if code ~= (self.job.exit or 0) then self:fail("%s: ends with %s: %s", what, code, self:said()) end
   local now = self:result(stdout)
   if now ~= self.whole then
      write(self.dir .. "/expected", self.whole)
      write(self.dir .. "/got", now)
      self:fail("%s: the result differs (expected, got)", what)
   end
end

-- Nothing that had committed ran again, nothing has committed more often than undisturbed (in a mend, a task that has
-- committed before may).
function sweep:must_be_once(what, id, tried)
   local now, whole = self:story(id), self.story_whole
   local there = {}
   for _, row in ipairs(now.tried) do there[row] = true end
   for _, row in ipairs(tried) do
      if not there[row] then self:fail("%s: the journal has lost %s", what, row) end
   end
   if now.most ~= whole.most then self:fail("%s: a task has committed %d times", what, now.most) end
   if #now.tried ~= #whole.tried then
      self:fail("%s: %d attempts have committed, of %d", what, #now.tried, #whole.tried)
   end
end

-- Goes on with a job whose driver was killed; `env` is for the one that goes on. How, its code, the job, and what had
-- committed before.
function sweep:go_on(env)
   local id = self:newest()
   local story = self:story(id)
   local begun = story.state ~= nil
   if self.job.command then
      begun = story.state ~= "complete" -- else the mend has not begun, or is done
   elseif id == self.was then
      id, begun = nil, false
   elseif story.state == "complete" then
      return "complete", self.job.exit or 0, id, story.tried
   elseif self.job.stdin then
      begun = story.spooled -- else nobody can give it again
   end
   if begun then
      return "resumed", self:lmr({ "resume" }, env), id, story.tried
   end
   if id and not self.job.command then
      local code = self:lmr { "resume", "-q", id }
      if code ~= 1 and code ~= 2 then self:fail("resumes what never began: %s: %s", code, self:said()) end
   end
   return "run again", self:command(env), self:newest(), {}
end

-- Standard input is read by a thread beside the driver: its failpoints come in order, but not between the same of
-- the driver each time. And how many pages SQLite writes depends on the length of numbers such as times. These are the
-- others.
local function own(sites)
   local list = {}
   for _, site in ipairs(sites) do
      if not site:find("^spool") and not site:find("^journal.write") then list[#list + 1] = site end
   end
   return list
end

-- Names that tell them apart: "mkdir:before" the third time is "mkdir:before 3".
local function numbered(sites)
   local list, times = {}, {}
   for i, site in ipairs(sites) do
      times[site] = (times[site] or 0) + 1
      list[i] = site .. " " .. times[site]
   end
   return list
end

-- The index of a failpoint at which no run was killed yet, and its name; nil: there is none.
function sweep:missing()
   for i, name in ipairs(numbered(self.sites)) do
      if not self.killed[name] and not name:find("^journal.write") then return i, name end
   end
end

-- One call that is to die at failpoint `n`; its log must be that of the undisturbed run up to there.
function sweep:die(n, call, sites)
   local log = self.dir .. "/log"
   os.remove(log)
   local how = call { LMR_FAILPOINT = "driver:" .. n, LMR_FAILPOINT_LOG = log }
   local passed = sites_of(log, "driver")
   if how ~= "killed" then return how, passed end
   if not passed[n] or not self.job.stdin and #passed ~= n then
      self:fail("failpoint %d: killed after %d", n, #passed)
   end
   if not sites then return how end
   local was = own(sites)
   for i, site in ipairs(own(passed)) do
      if was[i] ~= site then self:fail("the driver's failpoint %d is %s, and was %s", i, site, was[i]) end
   end
   local names = numbered(passed)
   self.killed[names[n]] = true
   return how
end

function sweep:kill_driver(i, j)
   local what = ("driver:%d (%s)%s"):format(i, self.sites[i], j and (", its resume at %d"):format(j) or "")
   self:reset()
   local how, passed = self:die(i, function(env) return self:command(env) end, self.sites)
   if how ~= "killed" and #passed < i then return "not reached" end -- some fewer pages were written
   if how ~= "killed" then self:fail("%s: not killed, ends with %s: %s", what, how, self:said()) end
   local stdout = read(self.dir .. "/stdout")
   local first, code, id, tried
   if j then
      local done
      how = self:die(j, function(env) done, code, id, tried = self:go_on(env) return code end)
      stdout = done == "complete" and stdout or read(self.dir .. "/stdout")
      if how ~= "killed" then
         self:must_be_whole(what, code, stdout)
         return "not reached"
      end
      first = tried
   end
   local done
   done, code, id, tried = self:go_on()
   if done ~= "complete" then stdout = read(self.dir .. "/stdout") end
   self:must_be_whole(what, code, stdout)
   self:must_be_once(what, id, first and #first > #tried and first or tried)
   return done
end

function sweep:kill_worker(j)
   local what, mark = ("worker:%d"):format(j), self.dir .. "/mark"
   self:reset()
   os.remove(mark)
   local log = self.dir .. "/log"
   local code = self:command { LMR_FAILPOINT = ("worker:%d:%s"):format(j, mark), LMR_FAILPOINT_LOG = log }
   for _, site in ipairs(sites_of(log, "worker")) do self.later[site] = true end
   self:must_be_whole(what, code, read(self.dir .. "/stdout"))
   self:must_be_once(what, self:newest(), {})
   return os.remove(mark) or false
end

-- Those that were passed anywhere, by those too that went on where a worker was killed: { [site] = true }.
function sweep:classes(into)
   for _, list in ipairs { self.sites, self.worker_sites } do
      for _, site in ipairs(list) do into[site] = true end
   end
   for site in pairs(self.later) do into[site] = true end
   return into
end

--- The failpoints of the table in the README of host/base, written out ("`a.write:before :half`, `b…`"), as keys.
function M.listed(root)
   local names = {}
   for cell in assert(read(root .. "/host/base/README.md")):gmatch("\n| (`[^|]-) |") do
      local base
      for text in cell:gmatch("`([^`]+)`") do
         for word in text:gmatch("%S+") do
            if word:sub(1, 1) == ":" then word = base .. word end
            base = word:match("^(.-):")
            names[word] = true
         end
      end
   end
   return names
end

return M
