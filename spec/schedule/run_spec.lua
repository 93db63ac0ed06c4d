-- A job from its input to committed output: what the driver itself has to do with it.
local h = require "spec.helper"
local cjson = require "cjson"

local word_count = [[
local mr = require "mr"
return mr.job {
   job_name = "word_count",
   map = function(_, line, emit)
      for word in line:gmatch("%a+") do emit(word, 1) end
   end,
   combine = mr.sum, reduce = mr.sum,
}
]]

local function text(lines, seed)
   local words, list = { "red", "green", "blue", "grey", "pink", "teal" }, {}
   local state = seed or 1
   for i = 1, lines do
      local line = {}
      for j = 1, 5 do
         state = (state * 1103515245 + 12345) % 2147483648
         line[j] = words[state // 65536 % #words + 1] .. string.char(97 + state // 512 % 26)
      end
      list[i] = table.concat(line, " ")
   end
   return table.concat(list, "\n") .. "\n"
end

local function count_by_awk(path)
   return h.sh(([[LC_ALL=C awk '{for (i = 1; i <= NF; i++) n[$i]++} END {for (k in n) print k "\t" n[k]}' %s |
      LC_ALL=C sort]]):format(h.quote(path))).out
end

local function set_up(source)
   local dir = h.tmpdir()
   return dir, h.write(dir, "job.lua", source or word_count), h.write(dir, "in.txt", text(3000))
end

local function run(...)
   local result = h.run({ "run", ... })
   assert.equal(0, result.code, result.err)
   return result
end

local function sorted(result)
   local lines = h.lines(result)
   table.sort(lines)
   return table.concat(lines, "\n") .. "\n"
end

local function state_dir()
   return (h.sh("echo $LMR_STATE_DIR").out:gsub("\n", ""))
end

describe("a job", function()
   it("gives the same bytes whatever the number of workers", function()
      local dir, job, input = set_up()
      local first
      for _, workers in ipairs { 1, 2, 5 } do
         local out = dir .. "/out" .. workers
         run(job, input, "-o", out, "--workers", tostring(workers), "--split-size", "8K", "--reducers", "3")
         local parts = {}
         for i = 0, 2 do parts[i + 1] = assert(h.read(out .. "/part-0000" .. i)) end
         first = first or parts
         assert.same(first, parts)
      end
      assert.equal(count_by_awk(input), sorted(table.concat(first)))
   end)

   it("tells files, records, bytes and counters in the manifest", function()
      local dir, job, input = set_up()
      run(job, input, "-o", dir .. "/out", "--reducers", "2")
      local manifest = cjson.decode(h.read(dir .. "/out/_MANIFEST.json"))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001" }, h.ls(dir .. "/out"))
      assert.equal(3000, manifest.records_in)
      assert.equal("word_count", manifest.job_name)
      for i, file in ipairs(manifest.files) do
         local content = h.read(dir .. "/out/" .. file.name)
         assert.equal("part-0000" .. i - 1, file.name)
         assert.equal(#content, file.bytes)
         assert.equal(#h.lines(content), file.records)
         assert.matches("^%x+$", file.checksum)
         assert.equal(16, #file.checksum)
      end
      local sum = h.sh("command -v xxhsum >/dev/null && xxhsum -H3 out/part-00000 || true", { dir = dir }).out
      if sum ~= "" then assert.matches(manifest.files[1].checksum, sum, 1, true) end
   end)

   it("keeps its journal and its lock, and nothing else", function()
      local dir, job, input = set_up()
      local id = run(job, input, "-o", dir .. "/out", "--split-size", "32K").err:match("word_count%-%d+")
      assert.same({ "journal.db", "lock" }, h.ls(state_dir() .. "/" .. id))
      local rows = h.sh(("sqlite3 -readonly %s %s"):format(h.quote(state_dir() .. "/" .. id .. "/journal.db"), h.quote(
         "select value from job where key = 'state'; select count(*) from split;" ..
         "select task, attempt from task order by task;" ..
         "select count(*) from attempt where outcome = 'committed'")))
      local size = #h.read(input)
      local maps = (size + 32767) // 32768
      local expected = { "complete", tostring(maps) }
      for i = 0, maps - 1 do expected[#expected + 1] = "map_" .. i .. "|0" end
      expected[#expected + 1] = "reduce_0|0"
      expected[#expected + 1] = tostring(maps + 1)
      assert.same(expected, h.lines(rows.out))
   end)

   it("counts jobs of a name up", function()
      local _, job, input = set_up(word_count:gsub("word_count", "other.name"))
      local function id() return tonumber(run(job, input).err:match("other%.name%-(%d+)")) end
      local first = id()
      assert.equal(first + 1, id())
   end)

   it("lets a print of the job get to standard error, never into the result", function()
      local _, job, input = set_up(word_count:gsub("for word", "print('hello from map') for word"))
      local result = run(job, input)
      assert.equal(count_by_awk(input), sorted(result.out))
      assert.matches("hello from map", result.err, 1, true)
   end)

   it("fails for good at a script error, with its place", function()
      local dir, job, input = set_up(word_count:gsub("for word", "local x = line.y.z for word"))
      local result = h.run({ "run", job, input, "-o", dir .. "/out", "--set", "limits.max_quarantined=0" })
      assert.equal(1, result.code)
      assert.matches("map_0 failed %(script_error%): %S*job%.lua:5: ", result.err)
      assert.matches("in%.txt, byte 0, record 0", result.err)
      assert.is_false(h.exists(dir .. "/out"))
   end)

   it("in total order has as many parts as the sample found boundaries for", function()
      local dir, job, input = set_up(word_count:gsub("map =", "total_order = true, reducers = 5, map ="))
      run(job, input, "-o", dir .. "/out", "--split-size", "16K")
      local all = {}
      for i = 0, 4 do all[i + 1] = assert(h.read(dir .. "/out/part-0000" .. i)) end
      assert.equal(count_by_awk(input), table.concat(all))
      local few = h.write(dir, "few.txt", ("red\nblue\n"):rep(50))
      run(job, few, "-o", dir .. "/few")
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001" }, h.ls(dir .. "/few"))
      assert.equal("blue\t50\nred\t50\n", h.read(dir .. "/few/part-00000") .. h.read(dir .. "/few/part-00001"))
   end)

   it("names compressed parts by their format", function()
      local dir, job, input = set_up(word_count:gsub("map =", "output = { format = 'tsv', compress = 'gz' }, map =")
         :gsub("for word", "mr.output('lines', line, 1) for word"))
      run(job, input, "-o", dir .. "/out")
      assert.same({ "_MANIFEST.json", "_SUCCESS", "lines-00000.gz", "part-00000.gz" }, h.ls(dir .. "/out"))
      assert.equal(count_by_awk(input), h.sh("gzip -dc out/part-00000.gz", { dir = dir }).out)
      assert.equal(3000, #h.lines(h.sh("gzip -dc out/lines-00000.gz", { dir = dir }).out))
   end)

   it("of no records gives an empty part", function()
      local dir, job = set_up()
      run(job, h.write(dir, "empty", ""), "-o", dir .. "/out")
      assert.equal("", h.read(dir .. "/out/part-00000"))
      assert.equal("", h.read(dir .. "/out/_SUCCESS"))
   end)
end)

describe("results on standard output", function()
   it("come in part order after all reduces", function()
      local dir, job, input = set_up()
      run(job, input, "-o", dir .. "/out", "--reducers", "3")
      local parts = {}
      for i = 1, 3 do parts[i] = h.read(dir .. "/out/part-0000" .. i - 1) end
      assert.equal(table.concat(parts), run(job, input, "--reducers", "3").out)
   end)

   it("can be appended to a file", function()
      local dir, job, input = set_up()
      local once = ("\"$LMR\" run %s %s --quiet >>all"):format(h.quote(job), h.quote(input))
      local result = h.sh(once .. " && " .. once, { dir = dir })
      assert.equal("", result.err)
      assert.equal(count_by_awk(input):rep(2), h.read(dir .. "/all"))
   end)

   it("end quietly when the reader has had enough", function()
      local dir, _, input = set_up()
      local script = h.write(dir, "x.sh", ([[
         "$LMR" run -m 'for _ = 1, 100 do emit(value, 1) end' %s --quiet | head -1
         echo "${PIPESTATUS[@]}"
      ]]):format(h.quote(input)))
      local result = h.run({ script }, { binary = "/bin/bash" })
      assert.equal("", result.err)
      assert.matches("\n0 0\n$", result.out)
   end)

   it("end when a signal comes while nobody reads", function()
      local dir, _, input = set_up()
      local fifo = dir .. "/fifo"
      assert(os.execute("mkfifo " .. h.quote(fifo)))
      local script = ([[sleep 60 <%s & exec "$LMR" run -m 'for i = 1, 100 do emit(value, i) end' %s >%s]]):format(
         h.quote(fifo), h.quote(input), h.quote(fifo))
      local background = h.background({ h.write(dir, "x.sh", script) }, { binary = "/bin/sh" })
      h.poll(20, function()
         return h.sh("find . -name reduce_0.0.part | grep -q .", { dir = state_dir() }).code == 0
      end)
      os.execute("sleep 0.3")
      background:kill("TERM")
      assert.equal(143, background:wait(10).code)
      background:kill_group("KILL")
   end)
end)

describe("standard input", function()
   it("is read when nothing else is named", function()
      local _, job, input = set_up()
      local result = h.run({ "run", job }, { stdin_file = input })
      assert.equal(count_by_awk(input), sorted(result.out))
   end)

   it("stands between files as -", function()
      local dir, job, input = set_up()
      local other = h.write(dir, "other.txt", text(100, 7))
      local result = h.run({ "run", job, other, "-", other }, { stdin_file = input })
      assert.equal(0, result.code, result.err)
      local all = h.write(dir, "all", h.read(other) .. h.read(input) .. h.read(other))
      assert.equal(count_by_awk(all), sorted(result.out))
      assert.equal(2, h.run({ "run", job, "-", "-" }, { stdin_file = input }).code)
   end)
end)

describe("--overwrite", function()
   it("replaces an earlier result only when the new one is complete", function()
      local dir, job, input = set_up()
      local out = dir .. "/out"
      run(job, input, "-o", out, "--reducers", "3")
      local before = h.read(out .. "/_MANIFEST.json")
      local refused = h.run({ "run", job, input, "-o", out })
      assert.equal(2, refused.code)
      assert.matches("use --overwrite", refused.err, 1, true)
      local bad = h.write(dir, "bad.lua", (word_count:gsub("for word", "error('no') for word")))
      assert.equal(1, h.run({ "run", bad, input, "-o", out, "--overwrite" }).code)
      assert.equal(before, h.read(out .. "/_MANIFEST.json"))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001", "part-00002" }, h.ls(out))
      run(job, input, "-o", out, "--overwrite", "--reducers", "1")
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(out))
      assert.equal(count_by_awk(input), h.read(out .. "/part-00000"))
   end)
end)

describe("folders", function()
   it("for runs are where --work-dir says, and are gone afterwards", function()
      local dir, job, input = set_up()
      local work = dir .. "/work"
      run(job, input, "-o", dir .. "/out", "--work-dir", work)
      assert.same({}, h.ls(work))
      assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000" }, h.ls(dir .. "/out"))
   end)

   it("are not made for a job whose side file is missing", function()
      local sides = "side_files = { names = { path = 'no/such.csv' } }, map ="
      local dir, job, input = set_up(word_count:gsub("map =", sides))
      local result = h.run({ "run", job, input, "-o", dir .. "/out", "--state-dir", dir .. "/state" })
      assert.equal(2, result.code)
      assert.matches("side file names: cannot read %S*no/such.csv: No such file", result.err)
      assert.is_false(h.exists(dir .. "/out"))
      assert.is_false(h.exists(dir .. "/state"))
   end)

   it("that cannot be written are said before anything starts", function()
      local _, job, input = set_up()
      for _, option in ipairs { "-o", "--state-dir", "--work-dir" } do
         local result = h.run({ "run", job, input, option, "/proc/nowhere" })
         assert.equal(2, result.code, option)
         assert.matches("/proc/nowhere", result.err, 1, true)
      end
   end)

   it("on a full disk: says so, and leaves nothing half done", function()
      if not h.own_mounts() then
         return pending("nothing can be mounted here")
      end
      local dir, _, input = set_up()
      local result = h.sh(([[
         %s sh -c 'mkdir small && mount -t tmpfs -o size=16k tmpfs small &&
            "$LMR" run -m "emit(value, 1)" %s -o small/out; echo "code $?"; find small'
      ]]):format(h.own_mounts(), input), { dir = dir })
      assert.equal("code 75\nsmall\n", result.out)
      assert.matches("disk_full", result.err, 1, true)
      assert.matches("No space left on device; the job may need .* free that much", result.err)
   end)
end)

describe("several steps and rounds", function()
   it("hand typed pairs on", function()
      local _, job, input = set_up [[
         local mr = require "mr"
         return mr.job { job_name = "steps", steps = {
            { map = function(_, line, emit) for word in line:gmatch("%a+") do emit(word, 1) end end,
              combine = mr.sum, reduce = mr.sum, reducers = 2 },
            { map = function(word, n, emit)
                 assert(math.type(n) == "integer" and type(word) == "string")
                 emit({ n, word }, true)
              end, reducers = 0 },
            { map = function(key, _, emit) emit(key[1], 1) end, reduce = mr.sum, reducers = 1 },
         } }
      ]]
      local counts = {}
      for n in count_by_awk(input):gmatch("\t(%d+)\n") do counts[tonumber(n)] = (counts[tonumber(n)] or 0) + 1 end
      local expected = {}
      for n, times in pairs(counts) do expected[#expected + 1] = { n, times } end
      table.sort(expected, function(a, b) return a[1] < b[1] end)
      for i, pair in ipairs(expected) do expected[i] = pair[1] .. "\t" .. pair[2] .. "\n" end
      assert.equal(table.concat(expected), run(job, input).out)
   end)

   local stop_when = "stop_when = function(_, counters) return counters.n.big == 0 end, max_rounds = 50"
   for _, how in ipairs { stop_when, "max_rounds = 4" } do
      it("repeat a step: " .. how:match("^%S+"), function()
         local dir, job = set_up(([[
            local mr = require "mr"
            return mr.job { job_name = "halve", reducers = 2, input = "jsonl", output = "text", iterate = mr.iterate {
               map = function(_, n, emit)
                  emit(n // 2, n // 2)
                  mr.increment("n", "big", n // 2 > 7 and 1 or 0)
                  mr.increment("n", "share", 0.1)
               end,
               reduce = function(key, values, emit) for v in values do emit(key, v) end end,
               %s } }
         ]]):format(how))
         local numbers, rest = {}, {}
         for i = 1, 200 do numbers[i] = i end
         local input = h.write(dir, "n.jsonl", table.concat(numbers, "\n") .. "\n")
         local rounds = 0
         repeat
            rounds = rounds + 1
            local big = 0
            for i, n in ipairs(numbers) do
               numbers[i] = n // 2
               if n // 2 > 7 then big = big + 1 end
            end
         until how:match("^max") and rounds == 4 or how:match("^stop") and big == 0
         for i, n in ipairs(numbers) do rest[i] = n .. "\t" .. n end
         local outs = {}
         for _, workers in ipairs { "1", "3" } do
            local out = dir .. "/out" .. workers
            run(job, input, "-o", out, "--workers", workers)
            local manifest = h.read(out .. "/_MANIFEST.json")
            assert.equal(rounds * 200 // 10, math.floor(cjson.decode(manifest).counters.n.share + 0.5))
            outs[#outs + 1] = h.read(out .. "/part-00000") .. h.read(out .. "/part-00001") ..
               manifest:match('"share": [%d.]+')
            assert.same({ "_MANIFEST.json", "_SUCCESS", "part-00000", "part-00001" }, h.ls(out))
         end
         assert.equal(outs[1], outs[2])
         table.sort(rest)
         assert.equal(table.concat(rest, "\n") .. "\n", sorted((outs[1]:gsub('"share.*', ""))))
      end)
   end
end)

describe("mr.output", function()
   it("files are numbered per name in task order", function()
      local dir, job, input = set_up [[
         local mr = require "mr"
         return mr.job { job_name = "sides", reducers = 1,
            map = function(offset, line, emit)
               mr.output("seen", offset, true)
               if offset == 0 then mr.output("first", line, true) end
               emit("n", 1)
            end,
            combine = mr.sum,
            reduce = mr.sum }
      ]]
      run(job, input, "-o", dir .. "/out", "--split-size", "32K", "--workers", "3")
      local splits = (#h.read(input) + 32767) // 32768
      local expected, offsets = { "_MANIFEST.json", "_SUCCESS", "first-00000", "part-00000" }, {}
      for i = 0, splits - 1 do
         expected[#expected + 1] = ("seen-%05d"):format(i)
         for offset in h.read(("%s/out/seen-%05d"):format(dir, i)):gmatch("%d+") do
            offsets[#offsets + 1] = tonumber(offset)
         end
      end
      assert.same(expected, h.ls(dir .. "/out"))
      assert.equal(3000, #offsets)
      for i = 2, #offsets do assert.is_true(offsets[i] > offsets[i - 1]) end
      assert.equal("n\t3000\n", h.read(dir .. "/out/part-00000"))
   end)
end)
