-- A job's state that was damaged: each case has a message that says what to do; what can be computed again is, and
-- the rest is refused without touching anything. The oracle is the result of a run that nobody disturbs.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

local args = { "run", "--workers", "2", "-o", "out", "job.lua", "in.txt" }
local journal = "/state/gated-1/journal.db"

local place = m.place_gated

local function sh(at, script)
   local result = h.sh(script, m.options(at))
   assert.equal(0, result.code, result.err)
   return result.out
end

local function write(path, content)
   local file = assert(io.open(path, "wb"))
   assert(file:write(content))
   assert(file:close())
end

-- Ended by a signal when all maps but the last one have committed: killed, the journal is in its WAL; stopped in good
-- order, it is one file.
local function ended(signal)
   local at = place()
   local job = h.background(args, m.options(at))
   h.poll(30, function()
      return m.number(at, "gated-1", "SELECT count(*) = (SELECT maps - 1 FROM step) FROM task") == 1
   end)
   job:kill(signal)
   job:wait(20)
   h.write(at.dir, "gate", "")
   return at
end

-- A copy of it, in a place of its own.
local function again(at)
   local copy = { dir = h.tmpdir() }
   copy.env = { LMR_STATE_DIR = copy.dir .. "/state" }
   h.sh(("cp -a %s/. %s"):format(h.quote(at.dir), h.quote(copy.dir)))
   -- it is to be a job of its own, and no copy that must be given another directory
   for _, key in ipairs { "job_dir", "stage_dir", "work_dir", "output_dir", "directory" } do
      h.sh(("sqlite3 %s \"UPDATE job SET value = replace(value, '%s', '%s') WHERE key = '%s'\""):format(
         h.quote(copy.dir .. journal), at.dir, copy.dir, key))
   end
   return copy
end

local function digest(at)
   return sh(at, [[find . -type f ! -name '*-shm' -print0 | sort -z | xargs -0 sha256sum; find . | sort]])
end

local function resumed(at, code, ...)
   local result = m.resume(at, ...)
   assert.equal(code, result.code, result.err)
   return result
end

-- Refused with a message that matches each pattern, and nothing touched.
local function refused(at, ...)
   local before = digest(at)
   local result = resumed(at, 2)
   for _, pattern in ipairs { ... } do assert.matches(pattern, result.err) end
   assert.equal(before, digest(at))
   return result
end

local reference
local function expect_result(at)
   if not reference then
      local other = place()
      h.write(other.dir, "gate", "")
      assert.equal(0, h.run(args, m.options(other)).code)
      reference = m.result_of(other, "out")
   end
   assert.equal(reference, m.result_of(at, "out"))
end

local function cut(at, name, bytes) sh(at, ("truncate -s %d %s"):format(bytes, h.quote(at.dir .. name))) end

local function flip(path, offset)
   local bytes = h.read(path)
   offset = offset or #bytes // 2
   write(path, bytes:sub(1, offset - 1) .. string.char(bytes:byte(offset) ~ 1) .. bytes:sub(offset + 1))
end

describe("a damaged journal", function()
   local no_checkpoint = "; no checkpoint of it is kept, so the job can only be run again"
   local go_back = "; checkpoint 1 of the job is whole: lmr resume gated%-1 %-%-from 1 goes on from it\n$"

   it("is left behind for a checkpoint", function()
      for _, damage in ipairs { "truncate -s -4096 .%s", "truncate -s 50 .%s", "echo garbage >.%s" } do
         local at = ended("TERM")
         sh(at, damage:format(journal))
         refused(at, go_back)
         h.write(at.dir, "gate", "")
         resumed(at, 0, "gated-1", "--from", "1")
         expect_result(at)
      end
   end)

   it("is refused as it is, whatever was done to it", function()
      local stopped = ended("TERM")
      local size = #h.read(stopped.dir .. journal)
      local at = again(stopped)
      cut(at, journal, size // 4096 * 4096 - 4096)
      refused(at, ("journal%%.db is damaged: it had %d bytes, and ends after %d"):format(size, size - 4096) ..
         go_back)
      at = again(stopped)
      cut(at, journal, 50)
      refused(at, "journal%.db is damaged: it ends after 50 bytes")
      at = again(stopped)
      write(at.dir .. journal, ("garbage"):rep(1000))
      refused(at, "journal%.db is damaged: it does not begin like one" .. go_back)
      at = again(stopped)
      sh(at, "rm -r state/gated-1/checkpoints")
      write(at.dir .. journal, ("garbage"):rep(1000))
      refused(at, "journal%.db is damaged: it does not begin like one" .. no_checkpoint)
      at = again(stopped)
      cut(at, journal, 0)
      refused(at, "journal%.db is empty: its driver ended before it had a plan, or the file was cut")
      at = again(stopped)
      os.remove(at.dir .. journal)
      refused(at, "no jobs in .*/state")
   end)

   it("beside a WAL is not opened where SQLite would take that away", function()
      local killed = ended("KILL")
      local at = again(killed)
      sh(at, "cp " .. killed.dir .. journal .. "* state/gated-1/")
      cut(at, journal, 0)
      assert.is_true(#h.read(at.dir .. journal .. "-wal") > 0)
      refused(at, "journal%.db is damaged: it is empty, but what was written to it last stands in .*journal%.db%-wal")
   end)

   it("names the checkpoint that is whole", function()
      local at = ended("TERM")
      local content = h.read(at.dir .. journal)
      h.write(at.dir, "state/gated-1/checkpoints/000003.db", content)
      h.write(at.dir, "state/gated-1/checkpoints/000012.db", content)
      h.write(at.dir, "state/gated-1/checkpoints/000013.db", content:sub(1, 9000))
      h.write(at.dir, "state/gated-1/checkpoints/000014.db.new", content)
      write(at.dir .. journal, ("garbage"):rep(1000))
      refused(at, "does not begin like one; checkpoint 12 of the job is whole: lmr resume gated%-1 %-%-from 12 goes on")
   end)

   it("whose WAL was cut goes on from what it still tells", function()
      local killed = ended("KILL")
      for _, part in ipairs { 0.95, 0.6 } do
         local at = again(killed)
         -- The rows that tell the place are in the WAL, so it is the place itself that is put back.
         sh(at, "cp " .. killed.dir .. journal .. "* state/gated-1/")
         cut(at, journal .. "-wal", math.floor(#h.read(at.dir .. journal .. "-wal") * part))
         sh(at, "sqlite3 " .. at.dir .. journal .. [[ "UPDATE job SET value = replace(value, ']] .. killed.dir ..
            "', '" .. at.dir .. "') WHERE key IN ('job_dir', 'stage_dir', 'work_dir', 'output_dir', 'directory')\"")
         local result = resumed(at, 0)
         assert.matches("going on with gated%-1: %d tasks? reuse", result.err)
         expect_result(at)
      end
      local at = again(killed)
      sh(at, "cp " .. killed.dir .. journal .. "* state/gated-1/")
      cut(at, journal .. "-wal", 0)
      refused(at, "journal%.db is empty: its driver ended before it had a plan")
   end)

   it("of a newer version is refused, and nothing is touched", function()
      for _, signal in ipairs { "TERM", "KILL" } do
         local at = again(ended(signal)) -- writing to it has brought the WAL into the file
         sh(at, "sqlite3 ." .. journal .. " 'PRAGMA user_version = 99'")
         refused(at, "has tables of version 99, and this lmr .* knows version %d+: a newer lmr wrote it",
            "nothing was touched")
      end
   end)
end)

describe("damaged work", function()
   local function run_file(at)
      return m.rows(at, "gated-1", "SELECT path || '|' || task FROM file WHERE kind = 'run' ORDER BY task LIMIT 1")[1]
         :match("^(.*)|(.*)$")
   end

   it("that is missing or cut is done again", function()
      for _, damage in ipairs { "rm %s", "truncate -s 100 %s", "truncate -s 0 %s" } do
         local at = ended("KILL")
         local path, task = run_file(at)
         sh(at, damage:format(h.quote(path)))
         local result = resumed(at, 0)
         assert.matches("1 run again: files they wrote are gone", result.err)
         expect_result(at)
         assert.same({ task }, m.done_twice(at, "gated-1"))
      end
   end)

   it("with a flipped bit is found when it is read, and done again", function()
      local at = ended("KILL")
      local path, task = run_file(at)
      flip(path)
      local result = resumed(at, 0)
      assert.matches(task .. "%.0%.run is damaged", result.err)
      expect_result(at)
      assert.same({ task }, m.done_twice(at, "gated-1"))
      assert.is_true(m.number(at, "gated-1", "SELECT count(*) FROM attempt WHERE outcome = 'data_corruption'") > 0)
   end)
end)

describe("a damaged result", function()
   local function complete()
      local at = place()
      h.write(at.dir, "gate", "")
      assert.equal(0, h.run(args, m.options(at)).code)
      return at
   end

   it("is told when its manifest was cut, and never taken for a result", function()
      local at = complete()
      local manifest = h.read(at.dir .. "/out/_MANIFEST.json")
      for _, bytes in ipairs { 0, 1, #manifest // 2 } do
         write(at.dir .. "/out/_MANIFEST.json", manifest:sub(1, bytes))
         local before = sh(at, "find out -type f -print0 | sort -z | xargs -0 sha256sum")
         local result = h.run({ "run", "--overwrite", "-o", "out", "job.lua", "in.txt" }, m.options(at))
         assert.equal(2, result.code, result.err)
         assert.matches("_MANIFEST%.json", result.err)
         assert.equal(before, sh(at, "find out -type f -print0 | sort -z | xargs -0 sha256sum"))
      end
   end)

   it("is finished when the driver was killed while it wrote the manifest", function()
      local at = place()
      h.write(at.dir, "gate", "")
      local all = { "-D", "-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:signal=KILL:when=3", h.binary,
         table.unpack(args) }
      local options = m.options(at)
      options.binary = "strace"
      options.env.ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. ":detect_leaks=0"
      h.background(all, options):wait(30)
      assert.same({ "publishing" }, m.rows(at, "gated-1", m.states))
      write(at.dir .. "/out/_MANIFEST.json", '{"lmr":')
      resumed(at, 0)
      expect_result(at)
   end)
end)

describe("a state folder", function()
   local function mounted(at, script)
      return h.sh(("exec %s sh -c %s"):format(h.own_mounts(), h.quote(script)), m.options(at))
   end

   it("that can only be read is told of by name, before anything is done, and can be copied", function()
      if not h.own_mounts() then return pending("nothing can be mounted here") end
      for _, signal in ipairs { "TERM", "KILL" } do
         local at = ended(signal)
         local before = digest(at)
         local result = mounted(at, "mount --bind state state && mount -o remount,ro,bind state && exec lmr resume")
         assert.equal(2, result.code, result.err)
         assert.matches("cannot lock the job with .*/state/gated%-1/lock: Read%-only file system", result.err)
         assert.matches("copy it to where you can, and name the copy's parent with %-%-state%-dir", result.err)
         assert.equal(before, digest(at))
         result = mounted(at, "mount --bind state state && mount -o remount,ro,bind state && exec lmr show")
         assert.equal(0, result.code, result.err)
         assert.matches("map +5 +4", result.out)
         resumed(at, 0)
         expect_result(at)
      end
   end)

   it("that is full stops the job, which goes on once there is room", function()
      if not h.own_mounts() then return pending("nothing can be mounted here") end
      local at = ended("TERM")
      local result = mounted(at, [[
         mkdir small && mount -t tmpfs -o size=1m none small && cp -a state/. small/ && rm -r state
         head -c 2000000 /dev/zero > small/ballast
         lmr resume --state-dir small; echo "code $?"
         rm small/ballast
         lmr resume --state-dir small; echo "code $?"]])
      assert.equal("code 75\ncode 0\n", result.out, result.err)
      assert.matches("No space left on device; the job stays as it was: free some space there, then resume again",
         result.err)
      expect_result(at)
   end)

   it("that fills while the job runs stops it too", function()
      if not h.own_mounts() then return pending("nothing can be mounted here") end
      local at = place()
      h.write(at.dir, "gate", "")
      local result = mounted(at, [[
         mkdir small && mount -t tmpfs -o size=256k none small
         for i in $(seq 40); do cat in.txt; done > big.txt
         lmr run --state-dir small --workers 2 -o out job.lua big.txt; echo "code $?"
         mount -o remount,size=64m small
         lmr resume --state-dir small gated-1; echo "code $?"]])
      assert.equal("code 75\ncode 0\n", result.out, result.err)
      assert.matches("cannot write the journal .*: No space left on device", result.err)
      assert.matches("to go on: lmr resume gated%-1 %-%-state%-dir .*/small", result.err)
      assert.equal(0, h.run({ "run", "-o", "ref", "job.lua", "big.txt" }, m.options(at)).code)
      local ref = sh(at, "cat ref/part-*")
      assert.equal(ref, sh(at, "cat out/part-*"))
   end)
end)
