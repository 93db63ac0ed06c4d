-- The folders that a job makes were not synced into the folders above them: a power failure could lose the journal's
-- folder, or a whole result that had been reported complete.
local h = require "spec.helper"

describe("a durable job", function()
   it("syncs the name of each folder that it makes", function()
      if h.sh("strace -e trace=none true").code ~= 0 then
         pending("strace cannot be used here")
         return
      end
      local dir = h.tmpdir()
      h.write(dir, "in.txt", "one\n")
      -- LeakSanitizer does not work under ptrace.
      local traced = h.sh("ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 " ..
         "strace -f -y -e trace=fsync,fdatasync -o trace $LMR run --quiet --profile production " ..
         "--state-dir a/b -o c/d --work-dir e/f -m 'emit(value)' -r count in.txt", { dir = dir })
      assert.equal(0, traced.code, traced.err)
      local synced = {}
      for path in h.read(dir .. "/trace"):gmatch("sync%(%d+<([^>]*)>") do synced[path:sub(#dir + 1)] = true end
      for _, path in ipairs { "", "/a", "/a/b", "/c", "/c/d", "/e", "/e/f" } do
         assert(synced[path], "never synced: DIR" .. path)
      end
   end)
end)
