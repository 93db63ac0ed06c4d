local h = require "spec.helper"
local lib = require "spec.data.shuffle_lib"
local key, int = lib.key, lib.int

-- Keys that are hard to sort: what they share, where they end, bytes 00 and ff, prefixes of each other.
local shapes = {
   short = function(random)
      local letters = { "a", "b", "\0", "\255" }
      local out = {}
      for i = 1, random(5) do
         out[i] = letters[random(4) + 1]
      end
      return table.concat(out)
   end,
   chain = function(random)
      return ("a"):rep(random(120))
   end,
   zeros = function(random)
      return ("x"):rep(random(3)) .. ("\0"):rep(random(20))
   end,
   deep = function(random)
      return ("http://example.org/a/long/common/path/"):rep(random(3) + 1) .. random(40)
   end,
   words = function(random)
      return tostring(random(300) * random(300))
   end,
   same = function()
      return ("one and the same key, longer than a word "):rep(3)
   end,
   any = function(random)
      local out = {}
      for i = 1, random(30) do
         out[i] = string.char(random(256))
      end
      return table.concat(out)
   end,
}

local function pairs_of(shape, n, seed)
   local random = lib.random(seed)
   local list = {}
   for i = 1, n do
      list[i] = key(shapes[shape](random)) .. " " .. int(i)
   end
   return list
end

-- What sort(1) makes of "KEY VALUE" lines: stable, bytewise by key.
local function sorted(list)
   local path = h.write(h.tmpdir(), "pairs", table.concat(list, "\n") .. "\n")
   return h.lines(h.sh("LC_ALL=C sort -s -k1,1 <" .. h.quote(path)).out)
end

-- The script that collects `list` into a run; commits after every `step` pairs.
local function collect(script, path, list, settings, step)
   script[#script + 1] = ("open %s %s"):format(path, settings)
   for i, pair in ipairs(list) do
      script[#script + 1] = "emit " .. pair
      if i % step == 0 then
         script[#script + 1] = "commit " .. i
      end
   end
   script[#script + 1] = "commit 0"
   script[#script + 1] = "finish"
   script[#script + 1] = "close"
   return script
end

describe("the collector", function()
   for shape in pairs(shapes) do
      it("sorts stably as sort(1) does, in one segment and in many: " .. shape, function()
         local dir = h.tmpdir()
         local list = pairs_of(shape, 2000, #shape)
         local script = {}
         collect(script, dir .. "/one", list, "1 100000000", 7)
         collect(script, dir .. "/many", list, "1 20000 compress", 7)
         script[#script + 1] = ("merge %s/t 0 0 %s/one"):format(dir, dir)
         script[#script + 1] = ("merge %s/t 0 3 %s/many"):format(dir, dir)
         local lines = lib.probe_ok(script)
         assert.matches(" spills 1 segments 1 ", lines[1], 1, true)
         local spills = tonumber(lines[2]:match("spills (%d+)"))
         assert.is_true(spills > 5)
         local merged = lib.merged(lines)
         local wanted = sorted(list)
         assert.equal(2 * #wanted, #merged)
         assert.same(wanted, table.move(merged, 1, #wanted, 1, {}))
         assert.same(wanted, table.move(merged, #wanted + 1, 2 * #wanted, 1, {}))
      end)
   end

   it("writes the same bytes whatever is committed at once", function()
      local dir = h.tmpdir()
      for _, settings in ipairs { "3 9000", "3 9000 agg=" .. lib.str("sum"),
         "2 7000 compress agg=" .. lib.str("list"),
         "3 9000 combiner" } do
         local list = pairs_of("words", 3000, 5)
         local script = {}
         for i, step in ipairs { 1, 13, 100000 } do
            collect(script, dir .. "/" .. i, list, settings, step)
         end
         local lines = lib.probe_ok(script)
         assert.is_true(tonumber(lines[1]:match("spills (%d+)")) > 3)
         assert.equal(lines[1], lines[2])
         assert.equal(lines[1], lines[3])
         local first = h.read(dir .. "/1")
         assert.is_true(first == h.read(dir .. "/2"))
         assert.is_true(first == h.read(dir .. "/3"))
      end
   end)

   it("keeps no trace of what was undone or dropped", function()
      local dir = h.tmpdir()
      local list = pairs_of("words", 500, 3)
      for _, settings in ipairs { "2 5000", "2 5000 agg=" .. lib.str("sum") } do
         local script = collect({}, dir .. "/plain", list, settings, 1)
         script[#script + 1] = ("open %s/undone %s"):format(dir, settings)
         script[#script + 1] = "emit 3041 21"
         script[#script + 1] = "undo"
         for i, pair in ipairs(list) do
            script[#script + 1] = "half 307a7a7a"
            script[#script + 1] = "emit " .. pair
            script[#script + 1] = "half 307a7a7a ended"
            script[#script + 1] = "commit " .. i
            script[#script + 1] = "emit 307a7a7a 21"
            script[#script + 1] = "word 7a7a 1"
            script[#script + 1] = i % 3 == 0 and "half 30" or ""
            script[#script + 1] = "undo"
         end
         script[#script + 1] = "emit 307a7a7a 21"
         script[#script + 1] = "finish"
         local lines = lib.probe_ok(script)
         assert.equal(lines[1], lines[2])
         assert.equal(h.read(dir .. "/plain"), h.read(dir .. "/undone"))
      end
   end)

   it("takes the short way of a word with an integer for the same as the long one", function()
      local dir = h.tmpdir()
      local numbers = { 0, 1, 15, 16, -1, 63, -64, 64, 300, math.maxinteger, math.mininteger }
      local script = { ("open %s/long 2 100000"):format(dir) }
      local short = { ("open %s/short 2 100000"):format(dir) }
      for length = 0, 70 do
         local word = ("abcdefghij"):rep(7):sub(1, length)
         local number = numbers[length % #numbers + 1]
         script[#script + 1] = ("emit %s %s"):format(key(word), int(number))
         -- The tool passes a word by its hex, so the empty word cannot be told.
         short[#short + 1] = length > 0 and ("word %s %d"):format(lib.hex(word), number)
            or script[#script]
      end
      for _, list in ipairs { script, short } do
         table.move({ "commit 1", "finish", "close" }, 1, 3, #list + 1, list)
      end
      local lines = lib.probe_ok(table.move(short, 1, #short, #script + 1, script))
      assert.equal(lines[1], lines[2])
      assert.equal(h.read(dir .. "/long"), h.read(dir .. "/short"))
   end)

   it("sends a pair where the caller says, else by its key, and all of a key to one partition", function()
      local dir = h.tmpdir()
      local random = lib.random(9)
      local script, wanted = { ("open %s/r 5 3000"):format(dir) }, {}
      for i = 1, 800 do
         local k, part = key("k" .. random(50)), random(5)
         script[#script + 1] = ("emit %s %s %d"):format(k, int(i), part)
         wanted[#wanted + 1] = ("%d %s %s"):format(part, k, int(i))
      end
      script[#script + 1] = "commit 1"
      script[#script + 1] = "finish"
      for p = 0, 4 do
         script[#script + 1] = ("merge %s/t %d 2 %s/r"):format(dir, p, dir)
      end
      local got = {}
      for _, line in ipairs(lib.probe_ok(script)) do
         got[#got + 1] = line:match("^%d+ %x+ %x+$")
      end
      local path = h.write(dir, "wanted", table.concat(wanted, "\n") .. "\n")
      assert.same(h.lines(h.sh("LC_ALL=C sort -s -k1,2 <" .. h.quote(path)).out), got)

      local list = pairs_of("any", 1500, 8)
      script = collect({}, dir .. "/h", list, "4 5000", 10)
      local seen, union, used = {}, {}, {}
      for p = 0, 3 do
         script[#script + 1] = ("merge %s/t %d 0 %s/h"):format(dir, p, dir)
      end
      for _, pair in ipairs(list) do
         script[#script + 1] = ("partition %s 4"):format(pair:match("%x+"))
      end
      local place = 0
      local lines = lib.probe_ok(script)
      for _, line in ipairs(lines) do
         local p, k, v = line:match("^(%d+) (%x+) (%x+)$")
         if p then
            assert.equal(p, seen[k] or p)
            seen[k] = p
            used[p] = true
            union[#union + 1] = k .. " " .. v
         elseif line:find("^%d$") then
            place = place + 1
            assert.equal(line, seen[list[place]:match("%x+")])
         end
      end
      assert.equal(#list, place)
      assert.same({ ["0"] = true, ["1"] = true, ["2"] = true, ["3"] = true }, used)
      assert.same(sorted(list), sorted(union))
   end)

   it("refuses a partition that is not there", function()
      local lines = lib.probe { ("open %s/r 2 1000"):format(h.tmpdir()), "emit 3061 21 2", "emit 3061 21 1",
         "commit 0", "finish" }
      assert.matches("error: script_error .*partition 2 is out of range", lines[1])
      assert.matches("^staged 1 ", lines[2])
   end)

   it("groups array keys by their first elements", function()
      local dir = h.tmpdir()
      local random = lib.random(4)
      local script = { ("open %s/r 4 4000 group_by=1"):format(dir) }
      for i = 1, 400 do
         script[#script + 1] = ("emit %s %s"):format(lib.array_key("g" .. random(20) .. "\0", "s" .. random(9)), int(i))
      end
      script[#script + 1] = "commit 0"
      script[#script + 1] = "finish"
      script[#script + 1] = ("dump %s/r"):format(dir)
      local seen = {}
      for _, line in ipairs(lib.probe_ok(script)) do
         local part, k = line:match("^%d+ (%d) (%x+)")
         if part then
            local group = k:match("^(4030.-0001)")
            assert.equal(part, seen[group] or part)
            seen[group] = part
         end
      end
      assert.is_not_nil(next(seen))
   end)

   it("cuts a total order at the boundaries", function()
      local dir = h.tmpdir()
      local cuts = { key("b"), key("ba"), key("q\0") }
      local list = pairs_of("any", 600, 11)
      for i, text in ipairs { "a", "b", "ba", "q", "q\0", "q\0\0", "z", "" } do
         list[#list + 1] = key(text) .. " " .. int(i)
      end
      local script = collect({}, dir .. "/r", list, "4 6000 boundaries=" .. table.concat(cuts, ","), 5)
      for p = 0, 3 do
         script[#script + 1] = ("merge %s/t %d 0 %s/r"):format(dir, p, dir)
      end
      local got = {}
      for _, line in ipairs(lib.probe_ok(script)) do
         local p, k, v = line:match("^(%d+) (%x+) (%x+)$")
         if p then
            got[#got + 1] = k .. " " .. v
            local wanted = 0
            for _, cut in ipairs(cuts) do
               wanted = wanted + (k >= cut and 1 or 0)
            end
            assert.equal(wanted, tonumber(p))
         end
      end
      assert.same(sorted(list), got)
   end)

   it("holds keys and values larger than a block and than the sort buffer", function()
      local dir = h.tmpdir()
      local list = { "3061 70000x41", "3062 21", "300000x30 21", "3061 22", "3061 5000000x42", "3061 23",
         "300000x30 22", "3060 65000x43", "3060 24" }
      for _, settings in ipairs { "1 100000", "1 100000 compress", "1 100000000" } do
         local script = collect({}, dir .. "/r", list, settings, 1)
         script[#script + 1] = ("merge %s/t 0 2 %s/r"):format(dir, dir)
         local got = {}
         for _, line in ipairs(lib.probe_ok(script)) do
            got[#got + 1] = line:match("^0 (.*)$")
         end
         assert.same({ "300000x30 21", "300000x30 22", "3060 65000x43", "3060 24", "3061 70000x41", "3061 22",
            "3061 5000000x42", "3061 23", "3062 21" }, got)
      end
   end)

   it("writes an empty run of no emits", function()
      local dir = h.tmpdir()
      local lines = lib.probe_ok { ("open %s/r 3 1000"):format(dir), "commit 0", "finish", ("dump %s/r"):format(dir),
         ("merge %s/t 2 0 %s/r %s/r"):format(dir, dir, dir), ("merge %s/t 0 0"):format(dir) }
      assert.matches("^staged 0 0 combined 0 spills 0 segments 0 pairs 0 ", lines[1])
      assert.same({ "merged 0 bytes 0", "merged 0 bytes 0" }, { lines[2], lines[3] })
      assert.is_nil(lines[4])
   end)

   it("says that the disk is full", function()
      local script = { "open /dev/full 1 100000" }
      for i = 1, 300 do
         script[#script + 1] = ("emit %s 2000x41"):format(key("k" .. i))
      end
      script[#script + 1] = "commit 0"
      script[#script + 1] = "finish"
      local lines = lib.probe(script)
      assert.matches("^error: disk_full %-?%d+: cannot write /dev/full: No space left on device", lines[1])
   end)

   it("touches no more memory than it should", function()
      if h.sanitized then
         return pending("sanitizers have memory of their own")
      end
      local dir = h.tmpdir()
      local mib = 1024 * 1024
      local function peak(settings, flood)
         local lines = lib.probe_ok { ("open %s/r %s"):format(dir, settings), flood, "finish", "memory" }
         return tonumber(lines[2]:match("%d+")), tonumber(lines[1]:match("spills (%d+)"))
      end
      local small = peak("2 1073741824", "flood 100 100 0")
      assert.is_true(small < 16 * mib)
      for _, case in ipairs {
         { "2 33554432", "flood 3000000 3000000 0" },
         { "2 33554432", "flood 1500000 9999999 150" },
         { "2 33554432 agg=" .. lib.str("sum"), "flood 3000000 2000000 0" },
         { "2 33554432 agg=" .. lib.str("max"), "flood 1500000 900000 0" },
      } do
         local bytes, spills = peak(case[1], case[2])
         assert.is_true(spills >= 4, case[1] .. ": " .. spills .. " spills")
         assert.is_true(bytes < 64 * mib, case[1] .. ": " .. bytes // mib .. " MiB")
      end
   end)
end)
