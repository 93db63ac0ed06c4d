-- Bad input: for each kind its message, its exit code, and that nothing is lost or left behind.
--
-- "Nothing left behind" is checked for every case: inputs are as they were, no output directory appears, no
-- staging directory stays beside it, and what stood in the output directory before is still there.
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
return mr.job {
   job_name = "bad",
   map = function(_, line, emit) emit(line, 1) end,
   combine = mr.sum, reduce = mr.sum,
}
]]

-- The same job for records of another format, which it only counts.
local function counting(input)
   return (JOB:gsub("map = .-end,", ("input = %s,\n   map = function(_, _, emit) emit('n', 1) end,"):format(input)))
end

-- A directory with these files.
local function directory(files)
   local dir = h.tmpdir()
   for name, content in pairs(files or {}) do
      h.write(dir, name, content)
   end
   return dir
end

local function snapshot(dir)
   return h.sh("LC_ALL=C; find . -type f -exec sha256sum {} + | sort -k2; find . -type d | sort", { dir = dir }).out
end

-- Runs lmr in `dir`; the result must be `code` with a message that matches, no output, and nothing
-- changed in the directory.
local function bad(dir, code, pattern, ...)
   local before, state = snapshot(dir), h.tmpdir()
   local result = h.run({ "run", "--set", "limits.max_quarantined=0", "--set", "retry.base_delay_seconds=0.01", ... },
      { dir = dir, env = { LMR_STATE_DIR = state } })
   assert.matches(pattern, result.err)
   assert.equal(code, result.code, result.err)
   assert.equal("", result.out)
   assert.equal(before, snapshot(dir))
   -- wrong usage: nothing was started
   assert.is_true(code ~= 2 or #h.ls(state) == 0)
   return result
end

-- The same in two ways: to standard output, and into a directory that is not there.
local function bad_job(dir, code, pattern, ...)
   bad(dir, code, pattern, ...)
   local result = bad(dir, code, pattern, "-o", "out", ...)
   assert.is_false(h.exists(dir .. "/out"))
   return result
end

-- A job whose map has this body, over the one line "x".
local function bad_map(code, pattern, body, more)
   local dir = directory {
      ["job.lua"] = ("local mr = require 'mr'\nreturn mr.job {\n job_name = 'bad',\n" ..
         " map = function(key, value, emit)\n%s\n end,\n %s}\n"):format(body, more or ""),
      ["in.txt"] = "first\nsecond\n",
   }
   return bad_job(dir, code, pattern, "job.lua", "in.txt")
end

local function good(dir, out, ...)
   local result = h.run({ "run", "--quiet", ... }, { dir = dir })
   assert.equal("", result.err)
   assert.equal(0, result.code)
   assert.equal(out, result.out)
end

describe("an input", function()
   it("that is missing is named, with the nearest there is", function()
      local dir = directory { ["job.lua"] = JOB, ["input.txt"] = "a\n" }
      bad_job(dir, 2, "^lmr: no such file: inptu%.txt; is it input%.txt%?\n$", "job.lua", "inptu.txt")
      bad_job(dir, 2, "^lmr: no such file: no/such%.txt; there is no directory no\n$", "job.lua", "no/such.txt")
      bad_job(dir, 2, "^lmr: no such file: no/such%.txt; ", "job.lua", "input.txt", "no/such.txt")
   end)

   it("that is missing in the job's own input_files is named too", function()
      local dir = directory { ["job.lua"] = JOB:gsub("map =", 'input_files = { "gone.txt" },\n   map =') }
      bad_job(dir, 2, "^lmr: no such file: gone%.txt; check its name\n$", "job.lua")
   end)

   it("that may not be read is named", function()
      local dir = directory { ["job.lua"] = JOB, ["secret.txt"] = "a\n" }
      os.execute("chmod 000 " .. h.quote(dir .. "/secret.txt"))
      os.execute("chmod 777 " .. h.quote(dir))
      -- root reads everything: as nobody then
      local nobody = h.sh("id -u").out == "0\n" and "setpriv --reuid 65534 --regid 65534 --clear-groups" or ""
      local state = h.tmpdir()
      os.execute("chmod 777 " .. h.quote(state))
      local root = state:match("^(.*)/")
      os.execute("chmod 711 " .. h.quote(root))
      local copy = state .. "/lmr"
      os.execute(("cp %s %s && chmod 755 %s"):format(h.quote(h.binary), h.quote(copy), h.quote(copy)))
      local result = h.sh(("%s %s run job.lua secret.txt"):format(nobody, h.quote(copy)),
         { dir = dir, env = { LMR_STATE_DIR = state .. "/s" } })
      assert.matches("secret%.txt: Permission denied", result.err)
      assert.equal(2, result.code)
      assert.equal("", result.out)
   end)

   it("that is a directory with nothing in it, or a glob without a match, says so", function()
      local dir = directory { ["job.lua"] = JOB, ["d/.hidden"] = "x", ["d/_skipped"] = "x" }
      bad_job(dir, 2, "^lmr: the directory d holds no input file ", "job.lua", "d")
      bad_job(dir, 2, "^lmr: no file matches %*%.nothing; check the pattern", "job.lua", "*.nothing")
      bad_job(dir, 2, "^lmr: no such file: list; ", "job.lua", "@list")
   end)

   it("that is no file says so", function()
      local dir = directory { ["job.lua"] = JOB }
      os.execute("mkfifo " .. h.quote(dir .. "/pipe"))
      bad_job(dir, 2, "^lmr: pipe is a named pipe, not a regular file; ", "job.lua", "pipe")
      bad_job(dir, 2, "^lmr: /dev/null is a device, not a regular file; ", "job.lua", "/dev/null")
   end)

   it("that is empty gives an empty result", function()
      local dir = directory { ["job.lua"] = JOB, ["empty.txt"] = "" }
      good(dir, "", "job.lua", "empty.txt")
      good(dir, "", "job.lua", "empty.txt", "-o", "out", "--reducers", "2")
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001" }, h.ls(dir .. "/out"))
      assert.equal("", h.read(dir .. "/out/part-00000") .. h.read(dir .. "/out/part-00001"))
      good(dir, "", "-m", "emit(value)", "--reducers", "0", "empty.txt")
      local result = h.run({ "run", "--quiet", "job.lua", "-" }, { dir = dir, stdin = "" })
      assert.equal("", result.out .. result.err)
      assert.equal(0, result.code)
      for _, format in ipairs { "csv", "tsv", "jsonl" } do
         good(dir, "", "-m", "emit(value)", "--input", format, "empty.txt")
      end
   end)

   it("without a final newline keeps its last line", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = "a\nb", ["crlf.txt"] = "a\r\nb\r\n" }
      good(dir, "a\t1\nb\t1\n", "job.lua", "in.txt")
      good(dir, "a\t1\nb\t1\n", "job.lua", "crlf.txt")
   end)

   it("with NUL bytes and invalid UTF-8 passes them as they are", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = "a\0b\n\255\254\n\192\128\n\0\n" }
      good(dir, "\0\t1\na\0b\t1\n\192\128\t1\n\255\254\t1\n", "job.lua", "in.txt")
   end)

   it("with a line longer than the limit names it", function()
      local dir = directory {
         ["job.lua"] = JOB:gsub("map =", 'input = { format = "text", max_record = 100 },\n   map ='),
         ["in.txt"] = "short\n" .. ("x"):rep(101) .. "\nafter\n",
         ["fits.txt"] = ("x"):rep(100) .. "\n",
      }
      local result = bad_job(dir, 1,
         "map_0 failed %(bad_record%): the record is longer than max_record %(100 bytes%)\n", "job.lua", "in.txt")
      assert.matches("in.txt, byte 6, record 1", result.err, 1, true)
      good(dir, ("x"):rep(100) .. "\t1\n", "job.lua", "fits.txt")
   end)

   it("that is a cut or damaged gz names the file and the place", function()
      local dir = directory { ["job.lua"] = JOB }
      local made = h.sh([[
         seq 1 200000 | gzip -9 >whole.gz
         head -c 100000 whole.gz >cut.gz
         cp whole.gz damaged.gz
         printf 'XXXX' | dd of=damaged.gz bs=1 seek=60000 conv=notrunc 2>/dev/null
         echo plain >text.gz
         for c in zstd lz4 bzip2 xz; do
            seq 1 200000 | $c -c >whole.$c
            head -c $(($(wc -c <whole.$c) / 2)) whole.$c >cut.$c
         done
         mv cut.zstd cut.zst; mv cut.bzip2 cut.bz2; rm whole.zstd whole.lz4 whole.bzip2 whole.xz]], { dir = dir })
      assert.equal(0, made.code)
      for _, name in ipairs { "cut.gz", "damaged.gz", "text.gz", "cut.zst", "cut.lz4", "cut.bz2", "cut.xz" } do
         local what = name:find("^cut") and "is cut: it ends inside a compressed stream" or "is damaged: [%l ]+"
         local file = name:gsub("%.", "%%.")
         local hint = name == "text.gz" and "; it does not begin like such a file: [%l ]+" or ""
         local message = ("map_0 failed again %%(data_corruption%%): %s %s, after %%d+ uncompressed bytes%s\n"):format(
            file, what, hint)
         local result = bad_job(dir, 1, message, "job.lua", name)
         assert.matches(("  at %s, byte %%d+\n"):format(file), result.err)
         local _, tries = result.err:gsub("trying again", "")
         assert.equal(1, tries, result.err) -- it may have been the reading
      end
   end)

   it("with a broken JSON line names file, byte and record", function()
      local dir = directory {
         ["job.lua"] = counting "'jsonl'",
         ["in.jsonl"] = '{"a":1}\n\n{"a":\n{"a":3}\n',
         ["deep.jsonl"] = ("["):rep(1000) .. ("]"):rep(1000) .. "\n",
         ["big.jsonl"] = "123456789012345678901234567890\n",
      }
      local result = bad_job(dir, 1, "in%.jsonl, byte 9, record 1", "job.lua", "in.jsonl")
      assert.matches("map_0 failed (bad_record): not valid JSON: unexpected token near end of file (column 5); each " ..
         "line must be one value (jq -c . FILE puts a value on a line",
         result.err, 1, true)
      bad_job(dir, 1, "deep%.jsonl, byte 0", "job.lua", "deep.jsonl")
      bad_job(dir, 1, "big%.jsonl, byte 0", "job.lua", "big.jsonl")
   end)

   it("with an unclosed CSV quote names the row", function()
      local csv = 'id,name\n1,"ok"\n2,"open\n3,x\n'
      local dir = directory { ["in.csv"] = csv, ["ragged.csv"] = "id,name\n1,a\n2\n",
         ["multi.lua"] = counting "{ format = 'csv', multiline = true }",
         ["job.lua"] = counting "'csv'",
      }
      local result = bad_job(dir, 1, "unclosed quote", "job.lua", "in.csv")
      assert.matches("in.csv, byte 15, record 1", result.err, 1, true)
      result = bad_job(dir, 1, "unclosed quote", "multi.lua", "in.csv")
      assert.matches("in.csv, byte 15, record 1", result.err, 1, true)
      result = bad_job(dir, 1, "the row has 1 field, and there are 2 columns\n", "job.lua", "ragged.csv")
      assert.matches("ragged.csv, byte 12, record 1", result.err, 1, true)
   end)
end)

describe("a job file", function()
   local function bad_file(pattern, content)
      local dir = directory { ["job.lua"] = content, ["in.txt"] = "a\n" }
      return bad_job(dir, 2, pattern, "job.lua", "in.txt")
   end

   it("that is missing is named", function()
      local dir = directory { ["in.txt"] = "a\n" }
      bad_job(dir, 2, "^lmr: cannot open job%.lua: No such file or directory", "job.lua", "in.txt")
      bad_job(dir, 2, "%.: Is a directory", ".", "in.txt")
   end)

   it("with a syntax error names the line", function()
      bad_file("^lmr: job%.lua:3: unexpected symbol near '='\n",
         "local mr = require 'mr'\n\nreturn mr.job { map = = 1 }\n")
   end)

   it("that errs while it is loaded names the line", function()
      bad_file("^lmr: job%.lua:2: boom", "local x\nerror('boom')\n")
   end)

   it("without map says so", function()
      bad_file("^lmr: job%.lua:2: the job has no map: add map = function%(key, value, emit%) … end\n",
         "local mr = require 'mr'\nreturn mr.job { job_name = 'x', reduce = mr.sum }\n")
   end)

   it("that returns no job says what to return", function()
      local message = "; a job file ends with: return mr%.job { map = …, reduce = … }\n$"
      bad_file("^lmr: job%.lua returned a number" .. message, "return 42\n")
      bad_file("^lmr: job%.lua returned nothing" .. message, "local x = 1\n")
   end)

   it("with an unknown key names the nearest", function()
      bad_file("^lmr: job%.lua:5: the job has no 'redcue'; is it 'reduce'%?\n$", JOB:gsub("reduce =", "redcue ="))
      bad_file("^lmr: job%.lua:3: the job has no 'job_nam'; is it 'job_name'%?\n$", JOB:gsub("job_name =", "job_nam ="))
   end)

   it("with a wrong type says what it must be", function()
      bad_file("job%.lua:5: the job: reducers must be an integer from 0 to 65536, not \"two\"\n",
         JOB:gsub("combine =", "reducers = 'two', combine ="))
      bad_file("reducers must be an integer from 0 to 65536, not %-1\n",
         JOB:gsub("combine =", "reducers = -1, combine ="))
      bad_file("job%.lua:4: the job: map must be a function%(key, value, emit%)",
         (JOB:gsub("map = function.- end,", "map = 3,")))
      bad_file("split_size must be a size such as", JOB:gsub("combine =", "split_size = 'banana', combine ="))
      bad_file("input: unknown format \"cvs\"; is it \"csv\"%?\n", JOB:gsub("combine =", "input = 'cvs', combine ="))
      bad_file("output: unknown compress \"rar\"",
         JOB:gsub("combine =", "output = { format = 'text', compress = 'rar' }, combine ="))
   end)

   it("of bytecode is refused", function()
      local dir = directory { ["job.lua"] = string.dump(assert(load(JOB, "@job.lua"))), ["in.txt"] = "a\n" }
      bad_job(dir, 2, "^lmr: job%.lua is Lua bytecode; lmr runs source text only: ", "job.lua", "in.txt")
   end)
end)

describe("an output directory", function()
   local files = { ["job.lua"] = JOB, ["in.txt"] = "a\n" }

   it("that holds something is left as it is", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = "a\n", ["out/mine"] = "mine" }
      bad(dir, 2, "out[^\n]*exist", "job.lua", "in.txt", "-o", "out")
      bad(dir, 2, "out[^\n]*", "job.lua", "in.txt", "-o", "out", "--overwrite")
      assert.equal("mine", h.read(dir .. "/out/mine"))
   end)

   it("with an earlier result is replaced only when told", function()
      local dir = directory(files)
      good(dir, "", "job.lua", "in.txt", "-o", "out", "--reducers", "1")
      local result = bad(dir, 2, "out[^\n]*%-%-overwrite", "job.lua", "in.txt", "-o", "out")
      assert.is_truthy(result)
      h.write(dir, "in.txt", "b\n")
      good(dir, "", "job.lua", "in.txt", "-o", "out", "--overwrite", "--reducers", "1")
      assert.equal("b\t1\n", h.read(dir .. "/out/part-00000"))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(dir .. "/out"))
      assert.same({ "in.txt", "job.lua", "out" }, h.ls(dir))
   end)

   it("keeps the earlier result when the new one fails", function()
      local dir = directory(files)
      good(dir, "", "job.lua", "in.txt", "-o", "out")
      h.write(dir, "bad.lua", (JOB:gsub("emit%(line, 1%)", "error 'boom'")))
      bad(dir, 1, "bad%.lua:4: boom", "bad.lua", "in.txt", "-o", "out", "--overwrite")
      assert.equal("a\t1\n", h.read(dir .. "/out/part-00000"))
   end)

   it("may be there when it is empty", function()
      local dir = directory(files)
      os.execute("mkdir " .. h.quote(dir .. "/out"))
      good(dir, "", "job.lua", "in.txt", "-o", "out")
      assert.is_true(h.exists(dir .. "/out/_SUCCESS"))
   end)

   it("that is a file, or under one, is refused", function()
      local dir = directory(files)
      bad(dir, 2, "^lmr: output in%.txt is no directory; ", "job.lua", "in.txt", "-o", "in.txt")
      bad(dir, 2, "in%.txt", "job.lua", "in.txt", "-o", "in.txt/out")
   end)

   it("where nothing may be written is refused before any work is done", function()
      if not h.own_mounts() then
         return pending("nothing can be mounted here")
      end
      local dir = directory(files)
      local result = h.sh(([[
         %s sh -c '
            mkdir ro && mount -t tmpfs -o ro,size=64k none ro && exec lmr run job.lua in.txt -o ro/out']]):format(
         h.own_mounts()), { dir = dir })
      assert.matches("ro/out[^\n]*Read%-only file system", result.err)
      assert.equal(2, result.code)
      assert.equal("", result.out)
   end)
end)

describe("a full disk", function()
   -- A really full one: a tmpfs of this size in a mount namespace of its own, at "disk".
   local function on_disk(size, dir, command)
      return h.sh(([[
         %s sh -c '
            mkdir -p disk && mount -t tmpfs -o size=%s none disk || exit 99
            %s
            echo code $? left $(find disk -type f | wc -l) free $(df --output=avail -k disk | tail -1) >&2']]):format(
         h.own_mounts(), size, command), { dir = dir })
   end

   local function it_can(name, test)
      it(name, function()
         if not h.own_mounts() then
            return pending("nothing can be mounted here")
         end
         test()
      end)
   end

   local function numbers()
      local lines = {}
      for i = 1, 60000 do
         lines[i] = ("%08d some text to fill the disk with\n"):format(i)
      end
      return table.concat(lines) -- 2.6 MB
   end

   it_can("under the output stops the job, says what to do and is left clean", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = numbers() }
      local result = on_disk("1m", dir, "lmr run job.lua in.txt -o disk/out --set retry.base_delay_seconds=0.01")
      assert.matches("map_0 failed %(disk_full%): cannot write [^\n]*/disk/out/[^\n]*: No space left on " ..
         "device; [^\n]*: free that much there, or use another disk", result.err)
      assert.matches("code 75 left 0 free 1024\n$", result.err)
      assert.equal("", result.out)
   end)

   it_can("under the runs stops the job and is left clean", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = numbers() }
      local result = on_disk("1m", dir, "lmr run job.lua in.txt -o out --work-dir disk " ..
         "--set retry.base_delay_seconds=0.01")
      assert.matches("map_0 failed %(disk_full%): cannot write [^\n]*/disk/[^\n]*: No space left on device; " ..
         "[^\n]*%-%-work%-dir for runs", result.err)
      assert.matches("code 75 left 0 free 1024\n$", result.err)
      assert.is_false(h.exists(dir .. "/out"))
   end)

   it_can("under the journal fails the job", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = "a\n" }
      local result = on_disk("16k", dir, "lmr run job.lua in.txt -o out --state-dir disk")
      assert.matches("lmr: cannot write the journal [^\n]*/disk/", result.err)
      assert.matches("free that much there, or use another disk", result.err)
      assert.matches("code 1 left ", result.err)
      assert.is_false(h.exists(dir .. "/out"))
   end)

   it_can("keeps an earlier result", function()
      local dir = directory { ["job.lua"] = JOB, ["in.txt"] = numbers(), ["small.txt"] = "a\n" }
      local result = on_disk("1m", dir, "lmr run -q job.lua small.txt -o disk/out --reducers 1; " ..
         "lmr run -q job.lua in.txt -o disk/out --overwrite; code=$?; cat disk/out/part-00000; (exit $code)")
      assert.matches("No space left on device", result.err, 1, true)
      assert.matches("code 75 left 3 ", result.err)
      assert.equal("a\t1\n", result.out)
   end)
end)

describe("a key", function()
   it("may not be nil", function()
      bad_map(1, "job%.lua:5: emit: key is nil; a key can be ", "emit(nil, 1)")
      bad_map(1, "job%.lua:5: emit takes a key and a value, got 0 arguments", "emit()")
   end)

   it("may not be NaN", function()
      bad_map(1, "job%.lua:5: emit: key is NaN, ", "emit(0/0, 1)")
      bad_map(1, "job%.lua:5: emit: key%[2%] is NaN, ", "emit({ 1, 0/0 }, 1)")
   end)

   it("may not be a function, nor hold one", function()
      bad_map(1, "job%.lua:5: emit: key is a function; ", "emit(print, 1)")
      bad_map(1, "job%.lua:5: emit: key%[2%] is a function; ", "emit({ 1, print }, 1)")
   end)

   it("may not be a table that is no array", function()
      bad_map(1, "job%.lua:5: emit: key is a table that is no array; ", "emit({ a = 1 }, 1)")
      bad_map(1, "job%.lua:5: emit: key is a thread; ", "emit(coroutine.create(print), 1)")
   end)

   it("may not be nested without end", function()
      bad_map(1, "job%.lua:6: emit: key[%[%]1]+… is nested deeper than 100 tables\n",
         "local t = {} for _ = 1, 1000 do t = { t } end\nemit(t, 1)")
      bad_map(1, "job%.lua:6: emit: key%[1%] is a cycle: it is key again\n", "local t = {} t[1] = t\nemit(t, 1)")
   end)
end)

describe("a value", function()
   it("may not be nil when it is given", function()
      bad_map(1, "job%.lua:5: emit: value is nil; a value can be ", "emit(value, nil)")
   end)

   it("may not be a function, nor hold one, and the place is named", function()
      bad_map(1, "job%.lua:5: emit: value is a function; ", "emit(1, print)")
      bad_map(1, "job%.lua:5: emit: value%.items%[3%] is a function; ", "emit(1, { items = { 1, 2, print } })")
      bad_map(1, "job%.lua:5: emit: value is a thread; ", "emit(1, coroutine.create(print))")
   end)

   it("may not hold itself", function()
      bad_map(1, "job%.lua:6: emit: value%.self is a cycle: it is value again\n", "local t = {} t.self = t\nemit(1, t)")
      bad_map(1, "job%.lua:6: emit: value%[1%]%[1%] is a cycle: it is value again\n",
         "local t, u = {}, {} t[1] = u u[1] = t\nemit(1, t)")
   end)

   it("may not be nested too deep", function()
      bad_map(1, "job%.lua:6: emit: value[%[%]1]+… is nested deeper than 100 tables\n",
         "local t = {} for _ = 1, 101 do t = { t } end\nemit(1, t)")
   end)

   it("may be NaN, infinite, and the same table twice", function()
      local dir = directory { ["in.txt"] = "x\n" }
      good(dir, "inf\tinf\nx\t[[1],[1]]\n", "-m", "emit('inf', 1/0) local t = { 1 } emit(value, { t, t })", "in.txt")
   end)
end)

describe("an error in a job", function()
   it("names the file, the line and the record", function()
      local result = bad_map(1, "job%.lua:5: boom", "if value == 'second' then error('boom') end")
      assert.matches("at in.txt, byte 6, record 1", result.err, 1, true)
   end)

   it("in reduce names the key; what the maps did is kept, and is in nobody's way", function()
      local dir = directory {
         ["job.lua"] = JOB:gsub("combine.-,\n", "reduce = function(key, values, emit)\nerror 'boom' end,\n"),
         ["in.txt"] = "first\nsecond\n",
      }
      local result = bad(dir, 1, "job%.lua:6: boom", "job.lua", "in.txt")
      assert.matches("key first", result.err, 1, true)
      result = h.run({ "run", "job.lua", "in.txt", "-o", "out" }, { dir = dir })
      assert.equal(1, result.code)
      local kept = result.err:match("committed work is kept in [^\n;]*/out/(%.lmr%-bad%-%d+)")
      assert.same({ kept }, h.ls(dir .. "/out"))
      h.write(dir, "job.lua", JOB)
      good(dir, "", "job.lua", "in.txt", "-o", "out", "--reducers", "1")
      assert.equal("first\t1\nsecond\t1\n", h.read(dir .. "/out/part-00000"))
   end)

   it("that is no string is shown", function()
      bad_map(1, "error object is a table value", "error({ code = 7 })")
      bad_map(1, "error object is a nil value", "error()")
   end)

   it("that is os.exit does not look like success", function()
      bad_map(1, "%(task_crash%): the worker ended with exit status 0 [^\n]*does the job call os%.exit%?", "os.exit(0)")
   end)

   it("of memory names the limit", function()
      local grow = "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end"
      local message = "[^\n]*its limit of %d MB: [^\n]*%%-%%-set limits%%.memory_limit=SIZE"
      bad_map(1, "map_0 failed %(memory_error%): " .. message:format(512), grow,
         "recovery = { on_error = { memory_error = 'fail' } }")
      local result = bad_map(1, "map_0 failed again %(memory_error%): " .. message:format(64), grow, "recovery = { " ..
         "limits = { memory_limit = '16M' }, on_error = { memory_error = { max_retries = 3, max_memory = '64M' } } }")
      for i, limit in ipairs { 16, 32 } do -- it had double the memory each time
         local attempt = ("map_0%%.%d failed "):format(i - 1)
         assert.matches(attempt .. message:format(limit) .. "[^\n]*; trying again", result.err)
      end
   end)
end)

describe("nonsense sizes in the job", function()
   for _, case in ipairs {
      { "reducers", "-1" }, { "reducers", "1.5" }, { "reducers", "1e9" }, { "reducers", "'many'" },
      { "split_size", "0" }, { "split_size", "-1" }, { "split_size", "'5X'" }, { "split_size", "true" },
      { "sort_buffer", "0" }, { "sort_buffer", "'huge'" }, { "group_by", "-1" }, { "group_by", "'x'" },
      { "seed", "'x'" }, { "seed", "1.5" },
   } do
      it(("%s = %s"):format(case[1], case[2]), function()
         local dir = directory {
            ["job.lua"] = JOB:gsub("combine =", ("%s = %s, combine ="):format(case[1], case[2])),
            ["in.txt"] = "a\n",
         }
         bad_job(dir, 2, ("^lmr: job%%.lua:5: the job: %s must be "):format(case[1]), "job.lua", "in.txt")
      end)
   end
end)
