--- Runs spec files, two at a time, each in a busted of its own, and prints the sum as the last line:
-- "N passed, N failed". Exits non-zero when a test failed, a file broke or ended early, or nothing ran.
--
--    lua5.4 spec/run.lua [FILE or PATTERN…]     all of spec/ unless told; LMR_BUILD names the variant,
--                                               LMR_SPEC_JOBS the number at a time

local JOBS = tonumber(os.getenv("LMR_SPEC_JOBS")) or 2
local FILE_SECONDS = 900

local function quote(text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function capture(command)
   local pipe <close> = assert(io.popen(command))
   return (pipe:read("a"):gsub("\n$", ""))
end

local function read(path)
   local file <close> = io.open(path, "rb")
   return file and file:read("a")
end

local function write(path, content)
   local file <close> = assert(io.open(path, "wb"))
   assert(file:write(content))
end

-- One file: busted's output is kept and printed in one piece, so that two files never mix.
local function run_one(dir, path)
   local name = dir .. "/" .. path:gsub("/", "-")
   local _, how, code = os.execute(("LMR_SPEC_FILE=%s LMR_SPEC_REPORT=%s LMR_SPEC_DIR=%s timeout -k 5 %d " ..
      "lua5.4 \"$(command -v busted)\" --output=spec.report %s </dev/null >%s 2>&1"):format(
      quote(path), quote(name .. ".counts"), quote(dir), FILE_SECONDS, quote(path), quote(name .. ".log")))
   local output = read(name .. ".log") or ""
   local counts = read(name .. ".counts")
   if not counts then
      output = ("%sFAIL %s: ended early (%s %d)\n"):format(output, path, how, code)
      write(name .. ".counts", "0 1 0\n")
   elseif counts:match("^0 0 0") then
      output = ("%sFAIL %s: holds no test\n"):format(output, path)
      write(name .. ".counts", "0 1 0\n")
   elseif not (how == "exit" and code == 0) and counts:match("^%d+ 0 ") then
      output = ("%sFAIL %s: busted ended with %s %d\n"):format(output, path, how, code)
      write(name .. ".counts", (counts:gsub("^(%d+) 0", "%1 1")))
   end
   io.stdout:write(output)
end

-- Spec files whose name holds one of the patterns; the biggest first, so that none is left for last.
local function find(patterns)
   local found = {}
   local listing = capture("find spec -name '*_spec.lua' -type f -printf '%s %p\\n' | LC_ALL=C sort -k1,1nr -k2")
   for path in listing:gmatch("%d+ ([^\n]+)") do
      local wanted = #patterns == 0
      for _, pattern in ipairs(patterns) do
         wanted = wanted or path:find(pattern, 1, true)
      end
      found[#found + 1] = wanted and path or nil
   end
   return found
end

-- Reports of the sanitizers come from any process, also from one whose output nobody reads.
local function sanitizer_reports(dir)
   local count = 0
   for path in capture("find " .. quote(dir) .. " -maxdepth 1 -name 'sanitizer.*'"):gmatch("[^\n]+") do
      count = count + 1
      print("FAIL a sanitizer reported:\n" .. (read(path) or ""))
   end
   return count
end

local function environment(dir)
   local options = "exitcode=99:log_path=" .. dir .. "/sanitizer"
   return ("ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:%s UBSAN_OPTIONS=print_stacktrace=1:%s "):format(
      options, options)
end

local function sum(dir, files)
   local passed, failed, skipped = 0, sanitizer_reports(dir), 0
   for _, path in ipairs(files) do
      local counts = read(dir .. "/" .. path:gsub("/", "-") .. ".counts") or "0 1 0"
      local p, f, s = counts:match("^(%d+) (%d+) (%d+)")
      passed, failed, skipped = passed + p, failed + f, skipped + s
   end
   if #files == 0 then
      print("no spec file matches")
   end
   if skipped > 0 then
      print(("%d skipped"):format(skipped))
   end
   print(("%d passed, %d failed"):format(passed, failed))
   return failed == 0 and passed > 0
end

-- TMPDIR, unless a list of words or a socket's path (108 bytes) could not hold it.
local function temporary()
   local dir = os.getenv("TMPDIR") or ""
   return dir:find("^/[%w/._+-]*$") and #dir <= 40 and dir or "/tmp"
end

local function main(patterns)
   local files = find(patterns)
   local dir = capture("mktemp -d " .. quote(temporary() .. "/lmr-spec-XXXXXX"))
   assert(dir ~= "", "no temporary directory")
   write(dir .. "/files", table.concat(files, "\0"))
   os.execute(("%s xargs -0 -r -n 1 -P %d lua5.4 spec/run.lua --one %s <%s"):format(
      environment(dir), JOBS, quote(dir), quote(dir .. "/files")))
   local ok = sum(dir, files)
   if ok then
      os.execute("rm -rf " .. quote(dir))
   end
   os.exit(ok)
end

if arg[1] == "--one" then
   run_one(arg[2], arg[3])
else
   main(arg)
end
