-- How much space a job may need: what a dry run says, against what jobs take, and who is warned.
local assert = require "luassert"
local cjson = require "cjson"
local h = require "spec.helper"

local WORDS = "for w in value:gmatch('%S+') do emit(w, 1) end"

local function lmr(dir, ...)
   local result = h.run({ "run", "--quiet", "--json", ... }, { dir = dir })
   assert.are.equal(0, result.code, result.err)
   return cjson.decode(result.out)
end

local function text_file(dir)
   local path = h.write(dir, "in.txt", "")
   assert.are.equal(0, h.sh(("cat examples/data/*.txt >%s"):format(h.quote(path))).code)
   return path
end

describe("the space a dry run tells", function()
   it("is enough for maps that emit what they read: lines, lines with their place, words", function()
      local dir = h.tmpdir()
      text_file(dir)
      for i, code in ipairs { "emit(value)", "emit(key, value)", WORDS } do
         for _, buffer in ipairs { "256K", "64M" } do
            local args = { "-m", code, "-o", "out" .. i .. buffer, "in.txt", "--sort-buffer", buffer }
            local plan = lmr(dir, "--dry-run", table.unpack(args))
            local done = lmr(dir, table.unpack(args))
            assert.is_true(done.run_bytes > done.bytes_in // 2)
            assert.is_true(plan.space_needed >= done.run_bytes, code)
            assert.is_true(plan.space_needed < 4 * done.run_bytes, code)
         end
      end
   end)

   it("is no less for a combine, which may find nothing to combine", function()
      local dir = h.tmpdir()
      text_file(dir)
      local plan = lmr(dir, "--dry-run", "-m", "emit({ key, value }, 1)", "-r", "sum", "-o", "out", "in.txt")
      local done = lmr(dir, "-m", "emit({ key, value }, 1)", "-r", "sum", "-o", "out", "in.txt")
      assert.is_true(plan.space_needed >= done.run_bytes)
   end)

   it("counts merges in passes, several steps, and a result that waits for standard output", function()
      local dir = h.tmpdir()
      local size = #h.read(text_file(dir))
      local function needed(...)
         local plan = lmr(dir, "--dry-run", ...)
         return plan.space_needed / size, plan.output_needed / size
      end
      local function close(a, b) return math.abs(a - b) < 0.01 end
      local runs, output = needed("-m", WORDS, "in.txt", "-o", "out")
      assert.is_true(close(runs, 1.5) and close(output, 1))
      assert.is_true(close(needed("-m", WORDS, "in.txt", "-o", "out", "--split-size", "16K"), 3))
      runs, output = needed("-m", WORDS, "in.txt")
      assert.is_true(close(runs, 2.5) and output == 0)
      assert.are.equal(0, (needed("-m", WORDS, "in.txt", "--reducers", "0", "-o", "out")))
      local steps = h.write(dir, "steps.lua", [[
         local mr = require "mr"
         local function same(k, v, emit) emit(k, v) end
         return mr.job { steps = { { map = same }, { map = same } } }
      ]])
      assert.is_true(close(needed(steps, "in.txt", "-o", "out"), 4.5))
   end)

   it("is held against what is free where runs and result share a disk", function()
      if not h.own_mounts() then
         return pending("nothing can be mounted here")
      end
      local dir = h.tmpdir()
      h.write(dir, "in.txt", ("0123456789abcdef\n"):rep(60000)) -- 1,020,000 bytes
      local result = h.sh(([[
         %s sh -c 'mkdir small big && mount -t tmpfs -o size=2m tmpfs small && mount -t tmpfs -o size=64m tmpfs big
            for place in small big; do
               "$LMR" run -m "emit(value, 1)" -r sum in.txt -o $place/out --dry-run | grep -c "NOT ENOUGH"
               "$LMR" run -m "emit(value, 1)" -r sum in.txt -o $place/out 2>&1 | grep -o "warning.*may need[^,]*"
               "$LMR" run -m "emit(value, 1)" -r sum in.txt -o $place/b --work-dir . --dry-run | grep -c "NOT ENOUGH"
            done'
      ]]):format(h.own_mounts()), { dir = dir })
      assert.are.equal("2\nwarning: the job may need up to 2.43 MB for its runs and its result\n0\n0\n0\n", result.out)
   end)
end)
