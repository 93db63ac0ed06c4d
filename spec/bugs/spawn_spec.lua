-- One worker that could not be started ended the job, though another one worked.
local h = require "spec.helper"

it("a worker that cannot be started does not end a job that has others", function()
   if h.sh("strace -e trace=none true").code ~= 0 then
      pending("strace cannot be used here")
      return
   end
   local dir = h.tmpdir()
   h.write(dir, "in.txt", ("one\n"):rep(1500))
   local result = h.sh("ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 " .. -- LeakSanitizer does not work under ptrace
      "strace -o trace -e inject=fork,vfork,clone,clone3:error=EAGAIN:when=2 " ..
      "$LMR run --workers 2 --split-size 1K -o out -m 'mr.sleep(0.001) emit(value, 1)' -r sum in.txt",
      { dir = dir })
   assert.equal(0, result.code, result.err)
   assert.matches("cannot start a worker process: .*; the job goes on with fewer workers", result.err)
   assert.equal("one\t1500\n", h.read(dir .. "/out/part-00000"))
end)
