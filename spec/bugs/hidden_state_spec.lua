-- A map attempt went on from a checkpoint with other bytes when its init or map had changed what no variable holds: the
-- settings of cjson, the file of io.read.
local assert = require "luassert"
local h = require "spec.helper"

local JOB = [[
local mr = require "mr"
local cjson = require "cjson"
local function there(name) local file <close> = io.open(name) return file ~= nil end
%s
return mr.job { reducers = 0, init = function() %s return {} end,
   map = function(_, v, emit)
      if mr.task().record == 700 and os.getenv("DIES") and not there("died") then
         assert(io.open("died", "w")):close()
         os.exit(7)
      end
      %s
   end,
}
]]

local function run(job, args, dies)
   local dir, lines = h.tmpdir(), {}
   for i = 1, 1000 do lines[i] = tostring(i) end
   h.write(dir, "in", table.concat(lines, "\n") .. "\n")
   h.write(dir, "job.lua", JOB:format(table.unpack(job)))
   local words = { "run", "job.lua", "in", "-o", "out", "--workers", "1", "--set", "retry.base_delay_seconds=0.01" }
   table.move(args, 1, #args, #words + 1, words)
   local result = h.run(words, { dir = dir, env = { LMR_STATE_DIR = dir .. "/state", DIES = dies } })
   assert.equal(0, result.code, result.err)
   return h.read(dir .. "/out/part-00000"), result.err
end

describe("a map that is killed after it changed what no variable holds", function()
   for name, job in pairs {
      ["cjson in init"] = { "", "cjson.encode_number_precision(3)", "emit(v, cjson.encode({ v / 7 }))" },
      ["cjson in map"] = { "", "",
         'if v == "5" then cjson.encode_number_precision(3) end emit(v, cjson.encode({ v / 7 }))' },
      ["the file that was read at load"] = { 'io.input("in")', "", "emit(v, io.read())" },
      ["the file that is read from init on"] = { "", 'io.input("in")', "emit(v, io.read())" },
   } do
      it("starts anew and gives the same bytes: " .. name, function()
         local expected = run(job, { "--set", "checkpoint.enabled=false" })
         local given, told = run(job, { "--set", "checkpoint.checkpoint_interval_seconds=0" }, "1")
         assert.equal(expected, given)
         assert.matches("map_0 is not checkpointed: ", told, 1, true)
      end)
   end

   it("goes on where only the settings of load hold", function()
      local job = { "cjson.encode_number_precision(3)", "", "emit(v, cjson.encode({ v / 7 }))" }
      local expected = run(job, { "--set", "checkpoint.enabled=false" })
      local given, told = run(job, { "--set", "checkpoint.checkpoint_interval_seconds=0" }, "1")
      assert.equal(expected, given)
      assert.matches("goes on from record", told, 1, true)
   end)
end)
