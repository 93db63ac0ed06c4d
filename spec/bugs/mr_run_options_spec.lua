-- mr.run passed `args` over in silence, and took inputs that are no list for none.
local h = require "spec.helper"

local function printed(code)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", [[
      local mr = require "mr"
      local args = mr.args { top = 10, name = "x" }
      return mr.job { map = function(_, v, emit) emit(v, { args.top, args.name, args[1] }) end }]])
   local text = [[
      local mr = require "mr"
      local job = dofile "job.lua"
      local function show(...) print(mr.json_encode(mr.run(job, { inputs = { "l" }, args = ... })[1][2])) end
      local function fails(...) print((select(2, pcall(mr.run, ...)))) end
   ]] .. code
   h.write(dir, "test.lua", text)
   local result = h.run({ "lua", "test.lua" }, { dir = dir })
   assert.equal("", result.err)
   return h.lines(result.out)
end

describe("mr.run", function()
   it("gives the job arguments, for this run alone", function()
      assert.same({ '[20,"x","word"]', '[10,"y"]', '[10,"x"]' },
         printed 'show { "--top", "20", "word" } show { "--name=y" } show()')
   end)

   it("refuses what mr.args refuses, and arguments to a job that takes none", function()
      local lines = printed [[
         fails(job, { inputs = {}, args = { "--tpo", "3" } })
         show()
         fails(mr.job { map = print }, { inputs = {}, args = {} })]]
      assert.equal("the job has no argument --tpo; is it --top?", lines[1])
      assert.equal('[10,"x"]', lines[2])
      assert.matches("mr.run: the job takes no arguments; it does not call mr.args", lines[3], 1, true)
   end)

   it("takes lists only, and says once what is wrong with a job", function()
      local lines = printed [[
         fails(job, { inputs = "x" })
         fails(job, "x")
         fails(mr.job { mpa = 1 }, { inputs = {} })
         fails(mr.job { map = function() mr.run(job, { inputs = {} }) end }, { inputs = { "a" } })]]
      assert.matches("mr.run: inputs must be a list of lines, or of { key, value } pairs", lines[1], 1, true)
      assert.matches("mr.run takes a job and { inputs = … }", lines[2], 1, true)
      assert.equal("the job has no 'mpa'; is it 'map'?", lines[3])
      assert.equal("mr.run cannot be called inside a running task", lines[4])
   end)
end)
