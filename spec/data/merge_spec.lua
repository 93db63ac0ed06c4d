local h = require "spec.helper"
local lib = require "spec.data.shuffle_lib"
local key, int = lib.key, lib.int

describe("the merge", function()
   -- `runs` runs of several segments each; the order of all emits is that of runs, then of emits.
   local function make(dir, runs, each, distinct, settings, seed)
      local random = lib.random(seed)
      local script, all, paths = {}, {}, {}
      for r = 1, runs do
         paths[r] = ("%s/run%d"):format(dir, r)
         script[#script + 1] = ("open %s %s"):format(paths[r], settings)
         for _ = 1, each do
            local pair = ("%s %s"):format(key(("k"):rep(random(12)) .. random(distinct)), int(#all))
            all[#all + 1] = pair
            script[#script + 1] = "emit " .. pair
         end
         table.move({ "commit 0", "finish", "close" }, 1, 3, #script + 1, script)
      end
      local path = h.write(dir, "all", table.concat(all, "\n") .. "\n")
      return script, paths, h.lines(h.sh("LC_ALL=C sort -s -k1,1 <" .. h.quote(path)).out)
   end

   for _, case in ipairs {
      { runs = 1, each = 500, distinct = 9, settings = "1 100000" },
      { runs = 7, each = 300, distinct = 20, settings = "1 100000" },
      { runs = 16, each = 60, distinct = 5000, settings = "1 100000 compress" },
      { runs = 5, each = 400, distinct = 30, settings = "1 4000" },
      { runs = 40, each = 20, distinct = 3, settings = "1 700" },
   } do
      for _, fan_in in ipairs { 0, 2, 3, 7 } do
         local name = ("of %d runs of %d pairs, fan-in %d, is what sort(1) makes of them")
         it(name:format(case.runs, case.each, fan_in), function()
            local dir = h.tmpdir()
            local script, paths, wanted = make(dir, case.runs, case.each, case.distinct, case.settings, case.runs)
            script[#script + 1] = ("merge %s/t 0 %d %s"):format(dir, fan_in, table.concat(paths, " "))
            local lines = lib.probe_ok(script)
            assert.same(wanted, lib.merged(lines))
            assert.matches("^merged " .. #wanted .. " ", lines[#lines])
            -- Nothing of its own is left.
            assert.equal(case.runs + 1, #h.ls(dir))
         end)
      end
   end

   it("follows one run as long as that is the first", function()
      local dir = h.tmpdir()
      local script, paths, all = {}, {}, {}
      for r = 1, 3 do
         paths[r] = dir .. "/run" .. r
         script[#script + 1] = ("open %s 1 1000000"):format(paths[r])
         for i = 1, 300 do
            local k = key(("%05d"):format(r * 200 + i))
            all[#all + 1] = k .. " " .. int(r)
            script[#script + 1] = "emit " .. all[#all]
         end
         table.move({ "commit 0", "finish", "close" }, 1, 3, #script + 1, script)
      end
      script[#script + 1] = ("merge %s/t 0 0 %s"):format(dir, table.concat(paths, " "))
      local path = h.write(dir, "all", table.concat(all, "\n") .. "\n")
      assert.same(h.lines(h.sh("LC_ALL=C sort -s -k1,1 <" .. h.quote(path)).out), lib.merged(lib.probe_ok(script)))
   end)

   it("names the run that is damaged, missing or of other partitions, and leaves nothing behind", function()
      local dir = h.tmpdir()
      local script, paths = make(dir, 6, 50, 9, "1 100000", 3)
      lib.probe_ok(script)
      local bytes = h.read(paths[4])
      h.write(dir, "run4", bytes:sub(1, 100) .. string.char(bytes:byte(101) ~ 1) .. bytes:sub(102))
      local all = table.concat(paths, " ")
      local lines = lib.probe { ("merge %s/t 0 2 %s"):format(dir, all), ("merge %s/t 1 0 %s"):format(dir, paths[1]),
         ("merge %s/t 0 0 %s %s/none"):format(dir, paths[1], dir) }
      assert.matches("^error: data_corruption %-1: run file .*/run4 is damaged: a block has a wrong checksum", lines[1])
      assert.matches("^error: data_corruption .*/run1 has no partition 1", lines[2])
      assert.matches("^error: data_corruption .*run file .*/none is gone", lines[3])
      assert.equal(7, #h.ls(dir))
   end)
end)
