-- A profile's code had all the memory there is: a table of 16 GB was filled before anything was said.
local h = require "spec.helper"

local function run(profile)
   local dir = h.tmpdir()
   h.write(dir, "p.lua", profile)
   h.write(dir, "in.txt", "a\n")
   return h.run({ "run", "--quiet", "--profile", "./p.lua", "-m", "emit(value)", "in.txt" }, { dir = dir })
end

describe("the code of a profile", function()
   local TOO_MUCH = "lmr: ./p.lua: it needs more than 64 MB of memory; a profile is a table of settings\n"

   it("has 64 MB", function()
      for _, code in ipairs {
         "local t = {} for i = 1, 1e9 do t[i] = i end return {}",
         "pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) return {}",
         "pcall(string.rep, 'x', 1e9) return {}",
      } do
         local result = run(code)
         assert.equal(TOO_MUCH, result.err)
         assert.equal(2, result.code)
      end
   end)

   it("may use some, and the job has its own limit", function()
      local result = run("local s = ('x'):rep(1e7) return { limits = { memory_limit = '200M' } }")
      assert.same({ 0, "", "a\n" }, { result.code, result.err, result.out })
   end)

   it("that fails is told once, with its file", function()
      assert.equal("lmr: ./p.lua:1: no\n", run("error('no')").err)
      assert.equal("lmr: ./p.lua: no\n", run("error('no', 0)").err)
   end)
end)
