-- Another program that locked the journal for a moment (a backup, a shell without -readonly) ended the job.
local h = require "spec.helper"

it("a lock on the journal is waited for", function()
   local dir = h.tmpdir()
   h.write(dir, "in.txt", ("one\n"):rep(1500))
   local result = h.sh([[
      $LMR run --quiet --workers 1 --split-size 1K -o out -m 'mr.sleep(0.001) emit(value)' in.txt & job=$!
      while ! echo 'SELECT * FROM task' | sqlite3 -readonly $LMR_STATE_DIR/*/journal.db 2>&1 | grep -q map_0; do
         sleep 0.02
      done
      { echo 'BEGIN IMMEDIATE;'; sleep 0.7; echo 'COMMIT;'; } | sqlite3 $LMR_STATE_DIR/*/journal.db
      wait $job
   ]], { dir = dir })
   assert.equal(0, result.code, result.err)
   assert.truthy(h.exists(dir .. "/out/_SUCCESS"))
end)
