-- A resume took maps as they were although a module had changed that they require while they run, when `require` was
-- reached as a local variable, by _G, or in a function of more than 255 constants; so with dofile, and with an output
-- format that a side output by `local output = mr.output` is written in.
local assert = require "luassert"
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
%s
return mr.job { output = "tsv",
   map = function(_, v, emit) %s end,
   reduce = function(key, values, emit)
      if os.getenv("STOP") then mr.sleep(0) os.exit(7) end
      for v in values do emit(key, v) end
   end,
}
]]

local function place(before, map)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", JOB:format(before, map))
   h.write(dir, "in", "1\n2\n")
   h.write(dir, "late.lua", 'return { f = function(v) return "then" .. v end }')
   return dir
end

local function lmr(dir, args, env)
   return h.run(args, { dir = dir, env = { LMR_STATE_DIR = dir .. "/state", STOP = env } })
end

-- Maps have committed, the reduce fails; then `change`, a resume, and the part.
local function result(dir, change, name)
   local first = lmr(dir, { "run", "job.lua", "in", "-o", "out", "--set", "retry.max_retries=0" }, "1")
   assert.equal(1, first.code, first.err)
   change()
   local second = lmr(dir, { "resume" })
   assert.equal(0, second.code, second.err)
   return h.read(dir .. "/out/" .. (name or "part-00000"))
end

local function late(dir)
   return function() h.write(dir, "late.lua", 'return { f = function(v) return "now" .. v end }') end
end

describe("a resume after a change of a module that maps require while they run", function()
   local constants = {}
   for i = 1, 300 do constants[i] = ("s = s + %d.5"):format(i) end
   for name, job in pairs {
      ["by a local variable"] = { "local require = require", 'emit(require("late").f(v), 1)' },
      ["by a local variable in an inner function"] = { "local r = require",
         '(function() emit(r("late").f(v), 1) end)()' },
      ["by _G"] = { "", 'emit(_G.require("late").f(v), 1)' },
      ["after many constants"] = { "",
         "local s = 0 " .. table.concat(constants, " ") .. ' emit(require("late").f(v), 1)' },
      ["as a file"] = { "", 'emit(dofile("late.lua").f(v), 1)' },
   } do
      it("runs them again: " .. name, function()
         local dir = place(job[1], job[2])
         assert.equal("now1\t1\nnow2\t1\n", result(dir, late(dir)))
      end)
   end

   it("and of the output's format, when mr.output has another name", function()
      local dir = place("local output = mr.output", 'output("side", v, "x") emit(v, 1)')
      local function change()
         h.write(dir, "job.lua", (h.read(dir .. "/job.lua"):gsub('"tsv"', '"csv"')))
      end
      assert.equal("1,x\n2,x\n", result(dir, change, "side-00000"))
   end)
end)
