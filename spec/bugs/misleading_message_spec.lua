-- Messages that named the wrong thing, or left out what they knew.
local api = require "spec.script.support"
local h = require "spec.helper"

describe("the message", function()
   it("of a rank that is nil is about mr.top, with a combine too", function()
      local map = 'map = function(_, line, emit) emit("k", { n = line }) end, '
      local message = "mr.top: what it ranks by cannot be compared: value is nil; a value can be"
      for _, by in ipairs { '"size"', "size" } do
         local top = ("mr.top(2, { by = %s })"):format(by)
         local before = "local function size(v) return v.size end"
         local result = api.run(map .. "reduce = " .. top, { before = before })
         assert.matches(message, result.err, 1, true)
         assert.matches("at record 0, key k\n", result.err, 1, true)
         result = api.run(map .. ("combine = %s, reduce = %s"):format(top, top), { before = before })
         assert.matches("job.lua:4: " .. message, result.err, 1, true)
         assert.matches("input.txt, byte 0, record 0\n", result.err, 1, true)
      end
   end)

   it("of a reader whose open gives nil and a message has that message", function()
      local result = api.run("map = print, input = { reader = { next = print, " ..
         'open = function() return io.open("/no/such/file") end } }')
      assert.matches("the reader's open of %S*input.txt: /no/such/file: No such file or directory\n", result.err)
   end)

   it("about arguments has no traceback", function()
      local result = api.run("map = print", { before = "mr.args { top = 10 }", args = { "--", "--tpo" } })
      assert.equal("lmr: the job has no argument --tpo; is it --top?\n", result.err)
   end)

   it("of mr.sorted_pairs names the line that called it", function()
      local test = h.write(h.tmpdir(), "test.lua", '\nrequire "mr".sorted_pairs(nil)')
      assert.matches("test.lua:2: mr.sorted_pairs takes a table, got a nil\n", h.run({ "lua", test }).err)
   end)
end)
