-- lmr resume --quarantined: a complete job tries again what it had put aside, after a mend. The oracle is a run of the
-- mended job by itself; what did not run again is told by the journal's attempts, and by inodes.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

local run, resume, rows, number, result_of = m.run, m.resume, m.rows, m.number, m.result_of

-- Lines "KEY NUMBER"; the broken one cannot take a number with a comma. With as many reduces as keys, most of
-- them have nothing to do with it.
local broken = [[
local mr = require "mr"
return mr.job { job_name = "sums", split_size = "1K", reducers = 8,
   map = function(_, line, emit)
      local key, n = line:match("^(%S+) (.*)$")
      if n:find(",") then error("no number: " .. n) end
      emit(key, tonumber(n))
      if tonumber(n) == 7 then mr.output("seven", key) end
   end,
   reduce = function(key, values, emit)
      local sum = 0
      for v in values do sum = sum + v end
      emit(key, sum)
   end }
]]

local mended = broken:gsub('if n:find.- end', 'n = n:gsub(",", "")')

local function lines(bad)
   local list = {}
   for i = 1, 600 do list[i] = ("key%d %d"):format(i % 24, i) end
   for at, line in pairs(bad) do list[at] = line end
   return table.concat(list, "\n") .. "\n"
end

local input = lines { [100] = "key3 1,000" }

local function inodes(at, dir)
   local result = h.sh("cd " .. dir .. " && stat -c '%n %i' part-*", { dir = at.dir })
   local all = {}
   for name, inode in result.out:gmatch("(%S+) (%d+)") do all[name] = inode end
   return all
end

local function attempts(at, id)
   return number(at, id, "SELECT count(*) FROM attempt WHERE task GLOB 'map_*' OR task GLOB 'reduce_*'")
end

-- All files but the manifest, which tells of versions.
local function files_of(at, dir)
   return (result_of(at, dir):gsub("_MANIFEST.json\n.-\n}\n", ""))
end

-- The job ran with the broken script, and is mended; `ref` is the mended one's result.
local function put_aside(data, good)
   local at = m.place(broken, data or input)
   local result = run(at, { "-o", "out", "job.lua", "in.txt" })
   assert.equal(3, result.code, result.err)
   assert.matches("lmr resume %-%-quarantined sums%-1", result.err)
   h.write(at.dir, "mended.lua", good or mended)
   assert.equal(0, run(at, { "-q", "-o", "ref", "mended.lua", "in.txt" }).code)
   return at
end

describe("lmr resume --quarantined", function()
   it("tries again what a mend reaches, and nothing else", function()
      local at = put_aside()
      local before, had = inodes(at, "out"), attempts(at, "sums-1")
      h.write(at.dir, "job.lua", mended)
      local result = resume(at, "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(files_of(at, "ref"), files_of(at, "out"))
      assert.equal(had + 2, attempts(at, "sums-1"))
      local kept = 0
      for name, inode in pairs(inodes(at, "out")) do
         kept = kept + (before[name] == inode and 1 or 0)
      end
      assert.equal(7, kept)
      local manifest = h.read(at.dir .. "/out/_MANIFEST.json")
      assert.matches('"version_of_output": 2', manifest)
      assert.matches('"previous": {.-"quarantined": 1', manifest)
      assert.matches('"quarantined": 0', manifest)
      assert.same({ "complete" }, rows(at, "sums-1", m.states))
      assert.same({ "resume --quarantined" }, rows(at, "sums-1", "SELECT kind FROM event WHERE kind LIKE 'resume%'"))
      assert.same({ "_MANIFEST.json", "_SUCCESS" }, { table.unpack(h.ls(at.dir .. "/out"), 1, 2) }) -- no runs are left
      assert.equal(0, resume(at, "--quarantined", "sums-1").code) -- nothing is left to mend
   end)

   it("puts aside what is bad still, and tries once more after another mend", function()
      local all = mended:gsub('n:gsub%(",", ""%)', 'n:gsub("[,x]", "")')
      local at = put_aside(lines { [100] = "key3 1,000", [400] = "key4 2,x" }, all)
      h.write(at.dir, "job.lua", mended) -- which takes the first only
      local result = resume(at, "--quarantined", "sums-1")
      assert.equal(3, result.code, result.err)
      assert.matches('"quarantined": 1', h.read(at.dir .. "/out/_MANIFEST.json"))
      h.write(at.dir, "job.lua", all)
      result = resume(at, "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(files_of(at, "ref"), files_of(at, "out"))
      assert.matches('"version_of_output": 3', h.read(at.dir .. "/out/_MANIFEST.json"))
   end)

   it("goes on from a kill anywhere", function()
      local at = m.place(broken, input)
      assert.equal(3, run(at, { "-q", "-o", "out", "job.lua", "in.txt" }).code)
      h.write(at.dir, "mended.lua", mended)
      assert.equal(0, run(at, { "-q", "-o", "ref", "mended.lua", "in.txt" }).code)
      h.write(at.dir, "job.lua", mended)
      h.sh("cp -a out out.saved && cp -a state state.saved", { dir = at.dir })
      local want, kills = files_of(at, "ref"), 0
      for call, step in pairs { rename = 1, unlink = 1, linkat = 1, link = 1, fdatasync = h.sanitized and 3 or 1 } do
         m.sweep(at, call, step, function()
            h.sh("rm -rf out state && cp -a out.saved out && cp -a state.saved state", { dir = at.dir })
            return { "resume", "-q", "--quarantined", "sums-1" }
         end, function()
            local complete = rows(at, "sums-1", m.states)[1] == "complete"
            local result = resume(at, "-q", "sums-1", complete and "--quarantined" or nil)
            assert.equal(0, result.code, result.err)
            assert.equal(want, files_of(at, "out"))
            assert.matches('"version_of_output": 2', h.read(at.dir .. "/out/_MANIFEST.json"))
            kills = kills + 1
         end)
      end
      assert.is_true(kills > 20)
   end)

   it("runs a reduce again that put groups aside", function()
      local job = broken:gsub("if n:find.- end", ""):gsub("local sum = 0", 'if key == "key5" then error("no") end %0')
      local at = m.place(job, lines {})
      assert.equal(3, run(at, { "-q", "-o", "out", "job.lua", "in.txt" }).code)
      h.write(at.dir, "job.lua", mended)
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      local had = attempts(at, "sums-1")
      local result = resume(at, "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(had + 1, attempts(at, "sums-1"))
      assert.equal(files_of(at, "ref"), files_of(at, "out"))
   end)

   it("mends a job of maps alone, with compressed parts and runs elsewhere", function()
      local function alone(job)
         return (job:gsub("reducers = 8", 'reducers = 0, output = { format = "text", compress = "gz" }')
            :gsub(",\n   reduce = .*$", " }\n"))
      end
      local at = m.place(alone(broken), input)
      local args = { "-q", "--work-dir", "work", "-o", "out", "job.lua", "in.txt" }
      assert.equal(3, run(at, args).code)
      local before = inodes(at, "out")
      h.write(at.dir, "job.lua", alone(mended))
      assert.equal(0, run(at, { "-q", "-o", "ref", "job.lua", "in.txt" }).code)
      local result = resume(at, "-q", "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(files_of(at, "ref"), files_of(at, "out"))
      local other = 0
      for name, inode in pairs(inodes(at, "out")) do other = other + (before[name] == inode and 0 or 1) end
      assert.equal(1, other)
      assert.same({}, h.ls(at.dir .. "/work"))
   end)

   it("makes a part again that somebody has changed", function()
      local at = put_aside()
      h.write(at.dir, "job.lua", mended)
      for _, name in ipairs { "part-00000", "part-00001", "part-00002" } do
         local text = h.read(at.dir .. "/out/" .. name)
         h.write(at.dir, "out/" .. name, (text:gsub("%d", "9", 1)))
      end
      local result = resume(at, "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(files_of(at, "ref"), files_of(at, "out"))
   end)

   it("takes input that was mended in place, and prints a result of standard output", function()
      local at = m.place((broken:gsub("if tonumber.- end\n", "")), input)
      assert.equal(3, run(at, { "-q", "job.lua", "in.txt" }).code)
      h.write(at.dir, "in.txt", (input:gsub("1,000", "10000")))
      local ref = run(at, { "-q", "job.lua", "in.txt" })
      assert.equal(0, ref.code)
      local result = resume(at, "-q", "--quarantined", "sums-1")
      assert.equal(0, result.code, result.err)
      assert.equal(ref.out, result.out)
   end)

   it("refuses what cannot be mended so", function()
      local at = m.place([[
local mr = require "mr"
return mr.job { job_name = "sums", split_size = "1K", steps = {
   { map = function(_, line, emit)
      local key, n = line:match("^(%S+) (.*)$")
      if n:find(",") then error("no number") end
      emit(key, tonumber(n))
   end, reduce = mr.sum },
   { map = function(key, n, emit) emit(n, key) end, reduce = mr.first } } }
]], input)
      assert.equal(3, run(at, { "-q", "-o", "out", "job.lua", "in.txt" }).code)
      local result = resume(at, "--quarantined")
      assert.equal(2, result.code)
      assert.matches("records were put aside before step 2, the last one, .*; run the job again", result.err)
      at = put_aside()
      h.write(at.dir, "in.txt", input .. "key1 1\n")
      result = resume(at, "--quarantined", "sums-1")
      assert.equal(2, result.code)
      assert.matches("input in.txt changed since sums%-1 began", result.err)
      h.write(at.dir, "in.txt", input)
      assert.equal(0, run(at, { "-q", "--overwrite", "-o", "out", "mended.lua", "in.txt" }).code)
      result = resume(at, "--quarantined", "sums-1")
      assert.equal(2, result.code)
      assert.matches("out does not hold the result of sums%-1 any more, but that of sums%-3", result.err)
   end)
end)
