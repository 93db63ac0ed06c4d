--- What every spec uses: `local h = require "spec.helper"`.
--
-- h.run(args, options) → result        the real lmr with a list of arguments
-- h.sh(script, options) → result       a shell script; $LMR is the binary, `lmr` is on the PATH
-- h.tool(name) → path                  a test program, build/<variant>/tools/NAME
-- h.background(args, options) → handle lmr in the background: :pid(), :running(), :wait(seconds) → result,
--                                      :kill(signal), :kill_group(signal), :out(), :err()
--    options: stdin = string | nil (nothing), stdin_file = path, env = { NAME = "value" | false (unset) },
--             dir = where it runs (else the repository's root), timeout = seconds (60; longer when
--             sanitized), binary = path (another program than lmr)
--    result:  { code = exit code or nil, signal = number or nil, out = string, err = string, seconds = number }
--    A call that outlives its timeout is killed with all it started, and is an error.
-- h.tmpdir() → path                    a directory of its own for each call, absolute; removed after the
--                                      spec file, unless a test in it failed
-- h.write(dir, name, content) → path   makes the directories it needs
-- h.read(path) → content | nil, message
-- h.exists(path), h.ls(dir) → sorted list of names
-- h.lines(string) → list               without the line ends
-- h.quote(string) → string             for the shell
-- h.own_mounts() → words | nil         what goes before a command that mounts file systems for itself
--                                      alone; nil where the system lets nobody (many containers)
-- h.poll(seconds, f, ...) → value      calls f until it gives a true value; an error at the deadline
-- h.root, h.variant, h.binary          absolute path of the repository; "release" …; absolute path of lmr
-- h.sanitized                          true in `make asan`: what is slow there may be cut down
--
-- Nothing a spec runs sees the user's state: LMR_STATE_DIR, XDG_STATE_HOME and TMPDIR lie in the spec's
-- own directory, and no other LMR_ variable is passed on.

local busted = require "busted"

local h = {}

--- Quotes a string for the shell. A NUL cannot be passed to a program.
function h.quote(text)
   text = tostring(text)
   assert(not text:find("\0", 1, true), "an argument holds a NUL byte")
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function capture(command)
   local pipe <close> = assert(io.popen(command))
   return (pipe:read("a"):gsub("\n$", ""))
end

h.root = capture("pwd -P")
h.variant = os.getenv("LMR_BUILD") or "release"
h.build = h.root .. "/build/" .. h.variant
h.binary = h.build .. "/lmr"
h.sanitized = h.variant == "asan"

-- The directory of this spec file; short, for the path of a socket is at most 108 bytes.
local base = capture("mktemp -d \"${LMR_SPEC_DIR:-${TMPDIR:-/tmp}}/lmr-XXXXXX\"")
assert(base ~= "", "no temporary directory")
local numbers = { dir = 0, call = 0 }
local failed = false
local handles = {}

local function mkdir(path)
   assert(os.execute("mkdir -p " .. h.quote(path)))
end

local function number(kind)
   numbers[kind] = numbers[kind] + 1
   return numbers[kind]
end

--- A directory of its own.
function h.tmpdir()
   local dir = base .. "/" .. number("dir")
   mkdir(dir)
   return dir
end

--- Writes a file and returns its path.
function h.write(dir, name, content)
   local path = dir .. "/" .. name
   local file = io.open(path, "wb")
   if not file then
      mkdir(path:match("^(.*)/"))
      file = assert(io.open(path, "wb"))
   end
   assert(file:write(content))
   assert(file:close())
   return path
end

--- The content of a file.
function h.read(path)
   local file <close>, message = io.open(path, "rb")
   if not file then
      return nil, message
   end
   return file:read("a")
end

--- True when there is a file or a directory of that name.
function h.exists(path)
   return (os.execute("test -e " .. h.quote(path))) or false
end

--- Names in a directory, hidden ones too, sorted bytewise.
function h.ls(dir)
   return h.lines(capture("LC_ALL=C ls -A " .. h.quote(dir)))
end

--- Lines of a string. A last line without an end counts; nothing follows a final line end.
function h.lines(text)
   local list, at = {}, 1
   while at <= #text do
      local stop = text:find("\n", at, true) or #text + 1
      list[#list + 1] = text:sub(at, stop - 1)
      at = stop + 1
   end
   return list
end

local mounts -- unknown yet, or false

--- Words that start a command in a mount namespace of its own, where it may mount a tmpfs.
function h.own_mounts()
   if mounts == nil then
      mounts = false
      for _, words in ipairs { "unshare -m", "unshare -rm" } do
         if os.execute(words .. " mount -t tmpfs none " .. h.quote(base) .. " >/dev/null 2>&1 </dev/null") then
            mounts = words
            break
         end
      end
   end
   return mounts or nil
end

--- Path of a test program.
function h.tool(name)
   return h.build .. "/tools/" .. name
end

local function now()
   local file <close> = io.open("/proc/uptime")
   return file:read("n")
end

--- Calls f(...) until it gives a true value, at most for `seconds`.
function h.poll(seconds, f, ...)
   local deadline = now() + (h.sanitized and 4 or 1) * seconds
   repeat
      local value = f(...)
      if value then
         return value
      end
      os.execute("sleep 0.02")
   until now() > deadline
   error("still not so after " .. seconds .. " seconds", 2)
end

-- `env` and what it sets, so that a run sees nothing of the user's.
local function environment(options)
   local words = { "env", "--default-signal=INT,QUIT" }
   local set = {
      LMR_STATE_DIR = base .. "/state",
      XDG_STATE_HOME = base .. "/xdg",
      TMPDIR = base .. "/tmp",
      LMR = h.binary,
      PATH = h.build .. ":" .. os.getenv("PATH"),
      LMR_WORK_DIR = false, LMR_PROFILE = false, LMR_BUILD = false, LMR_SPEC_DIR = false,
      LMR_SPEC_REPORT = false, LMR_FAILPOINT = false, LMR_FAILPOINT_LOG = false,
      NO_COLOR = false, MAKEFLAGS = false, MFLAGS = false, MAKELEVEL = false,
   }
   for name, value in pairs(options.env or {}) do
      set[name] = value
   end
   for name, value in pairs(set) do
      if value == false then
         table.insert(words, 2, "-u " .. h.quote(name))
      else
         words[#words + 1] = h.quote(name .. "=" .. tostring(value))
      end
   end
   return table.concat(words, " ")
end

local known = { stdin = true, stdin_file = true, env = true, dir = true, timeout = true, binary = true }

local function check_options(options)
   for name in pairs(options) do
      if not known[name] then
         error("no such option: " .. tostring(name), 3)
      end
   end
end

-- Writes what the shell will do: go to the directory, tell its pid, become the program. (It is one
-- file and not an argument, for an argument is at most 128 KiB.)
local function prepare(words, options, wrapper)
   mkdir(base .. "/tmp")
   local call = base .. "/call-" .. number("call")
   local stdin = options.stdin_file or "/dev/null"
   if options.stdin then
      stdin = call .. ".in"
      h.write(base, stdin:sub(#base + 2), options.stdin)
   end
   local quoted = {}
   for i, word in ipairs(words) do
      quoted[i] = h.quote(word)
   end
   local script = ("exec <%s >%s 2>%s\ncd %s || exit 126\necho $$ >%s\nexec %s%s %s\n"):format(
      h.quote(stdin), h.quote(call .. ".out"), h.quote(call .. ".err"), h.quote(options.dir or h.root),
      h.quote(call .. ".pid"), wrapper, environment(options), table.concat(quoted, " "))
   h.write(base, "call-" .. numbers.call .. ".sh", script)
   return call
end

local function result_of(call, how, number_)
   return {
      code = how == "exit" and number_ or nil,
      signal = how == "signal" and number_ or nil,
      out = h.read(call .. ".out") or "",
      err = h.read(call .. ".err") or "",
   }
end

local function run(words, options)
   local limit = (options.timeout or 60) * (h.sanitized and 4 or 1)
   local start = now()
   local call = prepare(words, options, ("timeout -k 2 %g "):format(limit))
   local _, how, code = os.execute("exec sh " .. h.quote(call .. ".sh"))
   local result = result_of(call, how, code)
   result.seconds = now() - start
   -- What timeout(1) says of a program that it had to end. A program may say 124 too, but sooner.
   if result.seconds >= limit - 0.05 and (code == 124 or code == 137 or how == "signal") then
      error(("not done after %g seconds: %s\nout: %s\nerr: %s"):format(
         limit, table.concat(words, " "), result.out:sub(-2000), result.err:sub(-4000)), 3)
   end
   return result
end

local function command(args, options)
   if type(args) ~= "table" then
      error("the arguments are a list; for a shell script there is h.sh", 3)
   end
   return { options.binary or h.binary, table.unpack(args) }
end

--- Runs lmr to its end.
function h.run(args, options)
   options = options or {}
   check_options(options)
   return run(command(args, options), options)
end

--- Runs a shell script to its end.
function h.sh(script, options)
   options = options or {}
   check_options(options)
   local path = h.write(base, "script-" .. numbers.call + 1 .. ".sh", script)
   return run({ "sh", path }, options)
end

local handle = {}
handle.__index = handle

--- Starts lmr in the background, as the leader of a process group of its own.
function h.background(args, options)
   options = options or {}
   check_options(options)
   local words = command(args, options)
   local call = prepare(words, options, "setsid ")
   -- This Lua waits for it, and can tell exit code 130 from death by signal 2, which a shell cannot.
   local wait = ([[
      local _, how, code = os.execute("exec sh " .. arg[1] .. ".sh")
      local file = assert(io.open(arg[1] .. ".end.new", "w"))
      file:write(how, " ", code, "\n")
      file:close()
      os.rename(arg[1] .. ".end.new", arg[1] .. ".end")
   ]]):gsub("\n *", " ")
   assert(os.execute(("lua5.4 -e %s /dev/null %s </dev/null >/dev/null 2>&1 &"):format(
      h.quote(wait), h.quote(call))))
   local self = setmetatable({ call = call, command = table.concat(words, " ") }, handle)
   handles[#handles + 1] = self
   h.poll(10, function()
      local pid = h.read(call .. ".pid")
      self.process = pid and tonumber(pid)
      return self.process
   end)
   return self
end

--- The process id of lmr itself.
function handle:pid()
   return self.process
end

--- False once it has ended and been waited for.
function handle:running()
   return h.read(self.call .. ".end") == nil
end

--- What it has printed so far.
function handle:out()
   return h.read(self.call .. ".out") or ""
end

function handle:err()
   return h.read(self.call .. ".err") or ""
end

--- Sends a signal ("TERM", "KILL", 15 …; "TERM" unless told) to lmr itself.
function handle:kill(signal)
   return (os.execute(("kill -s %s %d 2>/dev/null"):format(signal or "TERM", self.process))) or false
end

--- Sends a signal to its whole process group, as a terminal does on Ctrl-C.
function handle:kill_group(signal)
   return (os.execute(("kill -s %s -- -%d 2>/dev/null"):format(signal or "INT", self.process))) or false
end

--- Waits for its end, at most for `seconds` (60 unless told), and gives its result.
function handle:wait(seconds)
   seconds = seconds or 60
   local ok = pcall(h.poll, seconds, function()
      return not self:running()
   end)
   if not ok then
      error(("still running after %g seconds: %s\nout: %s\nerr: %s"):format(
         seconds, self.command, self:out():sub(-2000), self:err():sub(-4000)), 2)
   end
   local how, code = h.read(self.call .. ".end"):match("^(%a+) (%d+)")
   return result_of(self.call, how, tonumber(code))
end

-- A spec file starts with this module anew (busted forgets what a file has required), so all of the
-- above belongs to one file, and ends with it.
local done = false

local function note_failure(_, _, status)
   if status == "failure" or status == "error" then
      failed = true
   end
   return nil, true
end

local function finish()
   if not done then
      done = true
      for _, background in ipairs(handles) do
         if background:running() then
            background:kill_group("KILL")
         end
      end
      if failed then
         io.stderr:write("kept: ", base, "\n")
      else
         os.execute("rm -rf " .. h.quote(base))
      end
   end
   return nil, true
end

busted.subscribe({ "test", "end" }, note_failure)
busted.subscribe({ "error" }, function()
   failed = true
   return nil, true
end)
busted.subscribe({ "file", "end" }, finish)

return h
