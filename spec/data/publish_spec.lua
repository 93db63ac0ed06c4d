-- The output commit: a kill between any two of its steps is mended by doing it again.
local h = require "spec.helper"
local cjson = require "cjson"

local probe = h.tool "publish_probe"

local function run(...)
   local result = h.run({ ... }, { binary = probe })
   assert.equal(0, result.code, result.err)
   return (result.out:gsub("\n$", ""))
end

local function exists(path)
   return h.exists(path) and true or false
end

-- An output directory of an earlier job, and a stage with two parts of a new one.
local function set_up(replaces)
   local dir = h.tmpdir()
   local out, stage = dir .. "/out", dir .. "/out/.lmr-new-1"
   h.write(stage, "reduce_0.0.part", "new 0")
   h.write(stage, "reduce_1.0.part", "new 1")
   if replaces then
      h.write(stage .. "/early", "a", "old 0")
      h.write(stage .. "/early", "b", "old 1")
      h.write(stage .. "/early", "c", "old 2")
      assert.equal("ok", run("commit", out, stage, "old-1", "0", stage .. "/early/a=part-00000",
         stage .. "/early/b=part-00001", stage .. "/early/c=part-00002"))
      h.write(out, "mine.txt", "not of lmr")
   end
   return {
      out = out,
      stage = stage,
      commit = function()
         return run("commit", out, stage, "new-1", replaces and "1" or "0", stage .. "/reduce_0.0.part=part-00000",
            stage .. "/reduce_1.0.part=part-00001")
      end,
   }
end

local function check_done(job, replaces)
   assert.equal("new 0", h.read(job.out .. "/part-00000"))
   assert.equal("new 1", h.read(job.out .. "/part-00001"))
   assert.equal("", h.read(job.out .. "/_SUCCESS"))
   local manifest = cjson.decode(h.read(job.out .. "/_MANIFEST.json"))
   assert.equal("new-1", manifest.job_id)
   assert.equal("2023-11-14T22:13:20Z", manifest.finished)
   assert.same({ "part-00000", "part-00001" }, { manifest.files[1].name, manifest.files[2].name })
   assert.equal(2, #manifest.files)
   assert.equal(replaces or false, exists(job.out .. "/mine.txt"))
   assert.is_false(exists(job.out .. "/part-00002"))
   if replaces then
      assert.equal("old 2", h.read(job.stage .. "/old/part-00002"))
      assert.equal("old-1", cjson.decode(h.read(job.stage .. "/old/_MANIFEST.json")).job_id)
   end
end

describe("publish_commit", function()
   for _, replaces in ipairs { false, true } do
      local what = replaces and ", over an earlier result" or ""

      it("puts parts, manifest and _SUCCESS in place" .. what, function()
         local job = set_up(replaces)
         assert.equal("ok", job.commit())
         check_done(job, replaces)
      end)

      it("may be done again when it was done" .. what, function()
         local job = set_up(replaces)
         assert.equal("ok", job.commit())
         assert.equal("ok", job.commit())
         check_done(job, replaces)
      end)

      -- What a kill can leave: the moves in their order, cut after each of them.
      local moves = {}
      local function add(from, to) moves[#moves + 1] = { from, to } end
      if replaces then
         for _, name in ipairs { "_SUCCESS", "part-00000", "part-00001", "part-00002", "_MANIFEST.json" } do
            add("{out}/" .. name, "{stage}/old/" .. name)
         end
      end
      add("{stage}/reduce_0.0.part", "{out}/part-00000")
      add("{stage}/reduce_1.0.part", "{out}/part-00001")

      for cut = 1, #moves do
         it(("goes on after a kill behind move %d%s"):format(cut, what), function()
            local job = set_up(replaces)
            assert(os.execute("mkdir -p " .. h.quote(job.stage .. "/old")))
            for i = 1, cut do
               local paths = {}
               for j = 1, 2 do paths[j] = moves[i][j]:gsub("{(%w+)}", job) end
               assert(os.rename(paths[1], paths[2]))
            end
            assert.equal("ok", job.commit())
            check_done(job, replaces)
         end)
      end

      it("goes on when only _SUCCESS was missing" .. what, function()
         local job = set_up(replaces)
         assert.equal("ok", job.commit())
         assert(os.remove(job.out .. "/_SUCCESS"))
         assert.equal("ok", job.commit())
         check_done(job, replaces)
      end)
   end

   it("moves nothing by a name with a slash out of an earlier manifest", function()
      local job = set_up(true)
      local manifest = h.read(job.out .. "/_MANIFEST.json")
      h.write(job.stage, "victim", "safe")
      h.write(job.out, "_MANIFEST.json", (manifest:gsub("part%-00002", ".lmr-new-1/victim")))
      assert.equal("ok", job.commit())
      assert.equal("safe", h.read(job.stage .. "/victim"))
   end)

   it("says which part is missing", function()
      local job = set_up(false)
      assert(os.remove(job.stage .. "/reduce_1.0.part"))
      assert.matches("^error cannot rename .*reduce_1%.0%.part", job.commit())
      assert.is_false(exists(job.out .. "/_SUCCESS"))
   end)
end)

describe("publish_check", function()
   it("takes a directory that is absent, empty, or holds only unfinished jobs", function()
      local dir = h.tmpdir()
      assert.equal("free", run("check", dir .. "/new"))
      assert.equal("free", run("check", dir))
      h.write(dir .. "/.lmr-word_count-1", "map_0.0.run", "x")
      assert.equal("free", run("check", dir))
   end)

   it("takes an earlier result only with --overwrite", function()
      local job = set_up(true)
      assert.matches("^error output directory .* exists; use %-%-overwrite", run("check", job.out))
      assert.equal("replaces", run("check", job.out, "overwrite"))
   end)

   it("never takes what is not ours", function()
      local dir = h.tmpdir()
      h.write(dir, "thesis.txt", "dear")
      assert.matches("^error output directory .* no earlier result of lmr", run("check", dir, "overwrite"))
      h.write(dir, "_MANIFEST.json", '{"made_by": "somebody"}')
      assert.matches("^error output directory .* no earlier result of lmr", run("check", dir, "overwrite"))
      h.write(dir, "_MANIFEST.json", "{broken")
      assert.matches("^error output directory .* no earlier result of lmr", run("check", dir, "overwrite"))
      assert.matches("^error output .* is no directory", run("check", dir .. "/thesis.txt", "overwrite"))
   end)
end)
