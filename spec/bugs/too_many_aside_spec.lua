-- A job that failed because too many records were put aside, and whose Lua was then mended, failed again at once with
-- every lmr resume: its tasks had committed with those records put aside. They run again. The oracle is a run of the
-- mended job by itself.
local h = require "spec.helper"
local m = require "spec.run.resume_support"

local run, resume, result_of = m.run, m.resume, m.result_of

local broken = [[
local mr = require "mr"
return mr.job { job_name = "sums", split_size = "1K", reducers = 2,
   map = function(_, line, emit)
      local key, n = line:match("^(%S+) (.*)$")
      if n:find(",") then error("no number: " .. n) end
      emit(key, tonumber(n))
   end,
   reduce = mr.sum }
]]
local mended = broken:gsub('if n:find.- end', 'n = n:gsub(",", "")')

-- The first split has no bad record, the others have five each, or so.
local function lines(every)
   local list = {}
   for i = 1, 400 do list[i] = ("key%d %s"):format(i % 7, i > 150 and i % every == 0 and "1,000" or i) end
   return table.concat(list, "\n") .. "\n"
end

local function parts_of(at, dir)
   return (result_of(at, dir):gsub("_MANIFEST.json\n.-\n}\n", ""))
end

local function attempts(at, task)
   return m.number(at, "sums-1", ("SELECT count(*) FROM attempt WHERE task = '%s'"):format(task))
end

describe("a job that failed for too many bad records", function()
   local function fails(input, limit)
      local at = m.place(broken, input)
      local result = run(at, { "-o", "out", "--workers", "1", "--set", "limits.max_quarantined=" .. limit, "job.lua",
                               "in.txt" })
      assert.equal(1, result.code, result.err)
      assert.matches("too many bad records", result.err)
      assert.matches("lmr resume sums%-1", result.err)
      return at
   end

   it("goes on after a mend of the job: only what had put records aside runs again", function()
      local at = fails(lines(20), "0.1%")
      h.write(at.dir, "mended.lua", mended)
      assert.equal(0, run(at, { "-q", "-o", "ref", "mended.lua", "in.txt" }).code)
      h.write(at.dir, "job.lua", mended)
      local result = resume(at, "--accept-change", "map", "sums-1") -- of the other records
      assert.equal(0, result.code, result.err)
      assert.matches("had put records aside", result.err)
      assert.equal(parts_of(at, "ref"), parts_of(at, "out"))
      assert.equal(1, attempts(at, "map_0"))
   end)

   it("fails again, and says so, where nothing was mended", function()
      local at = fails(lines(20), "0.1%")
      local result = resume(at, "sums-1")
      assert.equal(1, result.code, result.err)
      assert.matches("too many bad records", result.err)
      h.write(at.dir, "job.lua", mended)
      assert.equal(0, resume(at, "sums-1").code)
   end)
end)
