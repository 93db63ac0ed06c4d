-- When reading from a worker's socket failed, the driver stopped listening but kept the worker: nothing went on until
-- limits.progress_timeout_seconds.
local h = require "spec.helper"

it("a worker whose socket fails is replaced", function()
   if h.sh("strace -e trace=none true").code ~= 0 then
      pending("strace cannot be used here")
      return
   end
   local dir = h.tmpdir()
   h.write(dir, "in.txt", "one\n")
   local quiet = "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 " -- LeakSanitizer does not work under ptrace
   local run = "$LMR run --quiet --workers 1 -m 'emit(value, 1)' -r sum in.txt"
   local traced = h.sh(quiet .. "strace -y -e trace=read -o trace " .. run .. "; grep '^read' trace", { dir = dir })
   local reads = traced.out
   local first, n = nil, 0
   for line in reads:gmatch("[^\n]+") do
      n = n + (line:find("^read") and 1 or 0)
      first = first or line:find("^read%(%d+<socket") and n
   end
   local inject = quiet .. "strace -o trace -e trace=read -e inject=read:error=EIO:when=%d %s"
   local result = h.sh(inject:format(first, run), { dir = dir, timeout = 30 })
   assert.equal("one\t1\n", result.out)
end)
