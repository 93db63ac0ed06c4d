local h = require "spec.helper"
local lib = require "spec.data.shuffle_lib"
local key, int = lib.key, lib.int

describe("a run file", function()
   local function write(path, settings, n, value)
      local script = { ("open %s %s"):format(path, settings) }
      for i = 1, n do
         script[#script + 1] = ("emit %s %s"):format(key("key number " .. i % 7), value or int(i))
      end
      table.move({ "commit 0", "finish", "close" }, 1, 3, #script + 1, script)
      return script
   end

   for name, case in pairs {
      ["of one segment"] = { "2 100000", 9 },
      ["of many segments"] = { "3 250", 9 },
      ["of packed blocks"] = { "1 100000 compress", 12, ("41"):rep(60) },
      ["of nothing"] = { "2 1000", 0 },
   } do
      it(name .. " is refused when it is cut anywhere or any bit of it is flipped", function()
         local path = h.tmpdir() .. "/run"
         local script = write(path, table.unpack(case))
         script[#script + 1] = "cut " .. path
         script[#script + 1] = "flip " .. path
         local lines = lib.probe_ok(script)
         local bytes = tonumber(lines[1]:match("bytes (%d+)"))
         assert.equal(bytes, #h.read(path))
         assert.equal(("cut %d corrupt %d same 0 different 0 other 0"):format(bytes, bytes), lines[2])
         assert.equal(("flip %d corrupt %d same 0 different 0 other 0"):format(8 * bytes, 8 * bytes), lines[3])
      end)
   end

   it("is smaller when its blocks are packed, and reads the same", function()
      local dir = h.tmpdir()
      local script = write(dir .. "/plain", "2 1000000", 3000, ("4142"):rep(40))
      table.move(write(dir .. "/packed", "2 1000000 compress", 3000, ("4142"):rep(40)), 1, 3100, #script + 1, script)
      table.move(write(dir .. "/none", "2 1000000 compress", 3, "21"), 1, 20, #script + 1, script)
      script[#script + 1] = ("dump %s/plain"):format(dir)
      script[#script + 1] = ("dump %s/packed"):format(dir)
      local lines = lib.probe_ok(script)
      assert.is_true(#h.read(dir .. "/packed") * 5 < #h.read(dir .. "/plain"))
      assert.equal(6000, #lines - 3)
      for i = 4, 3003 do
         assert.equal(lines[i], lines[i + 3000])
      end
   end)

   it("is refused when two of its blocks are exchanged, each whole", function()
      local dir = h.tmpdir()
      local lines = lib.probe_ok { ("open %s/run 1 1000000"):format(dir), "emit 3061 70000x41", "emit 3062 70000x42",
         "emit 3063 70000x43", "commit 0", "finish" }
      assert.matches(" pairs 3 ", lines[1], 1, true)
      local bytes = h.read(dir .. "/run")
      -- A header, then three blocks of a block header, 1 and 3 bytes of lengths, key and value each.
      local block = 16 + 1 + 3 + 2 + 70000
      local function part(i)
         return bytes:sub(25 + i * block, 24 + (i + 1) * block)
      end
      h.write(dir, "run", bytes:sub(1, 24) .. part(1) .. part(0) .. bytes:sub(25 + 2 * block))
      local damaged = lib.probe { ("dump %s/run"):format(dir) }
      assert.equal("0 0 3062 70000x42", damaged[1])
      assert.matches("^error: data_corruption .*its blocks are not those of its index", damaged[#damaged])
   end)

   it("is named in the message when it is none, or not there", function()
      local dir = h.tmpdir()
      local other = h.write(dir, "other", ("not a run file\n"):rep(20))
      local lines = lib.probe { "dump " .. other, "dump " .. dir .. "/missing", "dump " .. h.write(dir, "empty", "") }
      local message = "error: data_corruption -1: run file %s is damaged: it does not begin like a run file"
      assert.equal(message:format(other), lines[1])
      assert.equal(("error: data_corruption -1: run file %s/missing is gone"):format(dir), lines[2])
      assert.matches("^error: data_corruption .*/empty is damaged: it ends too early", lines[3])
   end)
end)
