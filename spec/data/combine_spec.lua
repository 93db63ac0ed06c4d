local h = require "spec.helper"
local lib = require "spec.data.shuffle_lib"
local key, int, str = lib.key, lib.int, lib.str

-- The pairs of a dump, in order: { { key, value }, … }.
local function dumped(lines)
   local list = {}
   for _, line in ipairs(lines) do
      local k, v = line:match("^%d+ %d+ (%x+) (%x*)$")
      if k then
         list[#list + 1] = { k, v }
      end
   end
   return list
end

-- A value's encoding as lmr writes a partial of one emit is the aggregate's own affair; sums and counts are integers.
local function totals(list)
   local out = {}
   for _, pair in ipairs(list) do
      out[pair[1]] = (out[pair[1]] or 0) + lib.to_int(pair[2])
   end
   return out
end

describe("combining", function()
   local random = lib.random(21)
   local words = {}
   for i = 1, 6000 do
      -- Words of every length around 8 and 16 bytes, where keys are compared in words of the machine.
      local rank = random(400) * random(400) // 400
      words[i] = ("w%d%s"):format(rank, ("abcdefghijklmnopqrstuvwxyz"):sub(1, rank % 22))
   end

   local function awk_counts(dir)
      local path = h.write(dir, "words", table.concat(words, "\n") .. "\n")
      local out = h.sh([[awk '{ n[$1] += NR % 40 } END { for (w in n) print w, n[w] }' ]] .. h.quote(path)).out
      local counts = {}
      for word, n in out:gmatch("(%S+) (%d+)\n") do
         counts[key(word)] = tonumber(n)
      end
      return counts
   end

   for _, buffer in ipairs { 100000000, 30000, 2000, 50 } do
      it("sums as awk does, with a sort buffer of " .. buffer, function()
         local dir = h.tmpdir()
         local script = { ("open %s/r 3 %d agg=%s"):format(dir, buffer, str("sum")) }
         for i, word in ipairs(words) do
            if i % 2 == 0 then
               script[#script + 1] = ("word %s %d"):format(lib.hex(word), i % 40)
            else
               script[#script + 1] = ("emit %s %s"):format(key(word), int(i % 40))
            end
            script[#script + 1] = i % 9 == 0 and "commit " .. i or nil
         end
         script[#script + 1] = "commit 0"
         script[#script + 1] = "finish"
         script[#script + 1] = ("dump %s/r"):format(dir)
         local lines = lib.probe_ok(script)
         local list = dumped(lines)
         local counts = awk_counts(dir)
         assert.same(counts, totals(list))
         if buffer == 100000000 then
            local distinct = 0
            for _ in pairs(counts) do
               distinct = distinct + 1
            end
            assert.equal(distinct, #list)
         else
            assert.is_true(tonumber(lines[1]:match("spills (%d+)")) > 1)
         end
      end)
   end

   it("keeps equal keys of different partitions apart", function()
      local dir = h.tmpdir()
      local script = { ("open %s/r 3 100000 agg=%s"):format(dir, str("sum")) }
      for i = 1, 300 do
         script[#script + 1] = ("emit %s 21 %d"):format(key("k" .. i % 2), i % 3)
      end
      table.move({ "commit 0", "finish", ("dump %s/r"):format(dir) }, 1, 3, #script + 1, script)
      local lines = lib.probe_ok(script)
      table.remove(lines, 1)
      local wanted = {}
      for p = 0, 2 do
         for k = 0, 1 do
            wanted[#wanted + 1] = ("0 %d %s %s"):format(p, key("k" .. k), int(50))
         end
      end
      assert.same(wanted, lines)
   end)

   it("sums integers that leave 64 bits, and floats, as the aggregate itself does", function()
      local dir = h.tmpdir()
      local big = int(math.maxinteger - 2)
      local half = "05" .. lib.hex(string.pack("<d", 0.5))
      local script = { ("open %s/r 1 100000 agg=%s"):format(dir, str("sum")),
         "emit 3061 " .. big, "emit 3061 21", "emit 3061 21", "emit 3062 " .. big, "emit 3062 23",
         "emit 3063 21", "emit 3063 " .. half, "emit 3063 22", "emit 3063 " .. int(50),
         "emit 3064 " .. int(math.mininteger + 1), "emit 3064 " .. int(-1), "emit 3064 2f",
         "commit 0", "finish", ("dump %s/r"):format(dir) }
      local list = dumped(lib.probe_ok(script))
      assert.equal(math.maxinteger, lib.to_int(list[1][2]))
      assert.equal("05" .. lib.hex(string.pack("<d", 2.0 ^ 63)), list[2][2])
      assert.equal("05" .. lib.hex(string.pack("<d", 53.5)), list[3][2])
      assert.equal(math.mininteger + 15, lib.to_int(list[4][2]))
   end)

   it("folds in the order of the emits, whatever the aggregate", function()
      local dir = h.tmpdir()
      for _, name in ipairs { "first", "last", "count", "list", "max" } do
         local script = { ("open %s/r 1 100000000 agg=%s"):format(dir, str(name)) }
         local values = {}
         for i, word in ipairs(words) do
            local number = i * 7919 % 1000
            script[#script + 1] = ("emit %s %s"):format(key(word), int(number))
            local k = key(word)
            values[k] = values[k] or {}
            table.insert(values[k], number)
         end
         table.move({ "commit 0", "finish", ("dump %s/r"):format(dir) }, 1, 3, #script + 1, script)
         local list = dumped(lib.probe_ok(script))
         local previous = ""
         for _, pair in ipairs(list) do
            local all = values[pair[1]]
            values[pair[1]] = nil
            assert.is_true(previous < pair[1])
            previous = pair[1]
            if name == "count" then
               assert.equal(#all, lib.to_int(pair[2]))
            elseif name == "list" then
               -- Elements in order, behind whatever head the list has.
               local elements = {}
               for i, v in ipairs(all) do
                  elements[i] = int(v)
               end
               local text = table.concat(elements)
               assert.equal(text, pair[2]:sub(-#text))
            else
               local wanted = name == "first" and all[1] or name == "last" and all[#all] or math.max(table.unpack(all))
               local text = int(wanted)
               assert.equal(text, pair[2]:sub(-#text))
            end
         end
         assert.is_nil(next(values))
      end
   end)

   it("spills a state that has outgrown the sort buffer, and a key larger than it", function()
      local dir = h.tmpdir()
      local script = { ("open %s/r 1 20000 agg=%s"):format(dir, str("list")), "emit 30000x30 21", "commit 1" }
      for i = 1, 50 do
         script[#script + 1] = ("emit 3061 %s"):format(str(("v"):rep(100) .. i))
         script[#script + 1] = "commit " .. i
      end
      script[#script + 1] = "emit 3061 06808008" .. ("41"):rep(1 << 17)
      table.move({ "commit 51", "finish", ("merge %s/t 0 0 %s/r"):format(dir, dir) }, 1, 3, #script + 1, script)
      local lines = lib.probe_ok(script)
      assert.is_true(tonumber(lines[1]:match("spills (%d+)")) >= 2)
      assert.matches("^0 30000x30 ", lines[2])
      local text = table.concat(lines, "\n")
      for i = 1, 50 do
         assert.is_truthy(text:find(lib.hex("v" .. i), 1, true))
      end
   end)

   it("says whose record a refused value is", function()
      local script = { ("open %s/r 1 100000 agg=%s"):format(h.tmpdir(), str("sum")) }
      for i = 100, 140 do
         script[#script + 1] = i == 117 and "emit 3061 " .. str("no number") or "emit 3062 22"
         script[#script + 1] = "emit 3061 21"
         script[#script + 1] = "commit " .. i
      end
      script[#script + 1] = "finish"
      local lines = lib.probe(script)
      assert.matches("^error: script_error 117: sum needs a number, got a string", lines[1])
   end)

   it("hands each group once to a combiner of the caller", function()
      local dir = h.tmpdir()
      local script = { ("open %s/r 2 100000000 combiner"):format(dir) }
      local groups, order = {}, {}
      for i, word in ipairs(words) do
         local k = key(word)
         script[#script + 1] = ("emit %s %s"):format(k, int(i % 100))
         if not groups[k] then
            groups[k] = {}
            order[#order + 1] = k
         end
         table.insert(groups[k], int(i % 100))
      end
      table.move({ "commit 0", "finish", ("dump %s/r"):format(dir) }, 1, 3, #script + 1, script)
      local got = {}
      for _, line in ipairs(lib.probe_ok(script)) do
         local part, k, v = line:match("^0 (%d) (%x+) (%x+)$")
         if k then
            got[#got + 1] = { part = part, k = k, v = v }
         end
      end
      local wanted = {}
      for _, k in ipairs(order) do
         local values = groups[k]
         local n = #values > 3 and #values - 1 or #values
         local joined = ("07%02x"):format(n % 256) .. table.concat(values, "", 1, n)
         wanted[k] = { joined, n < #values and values[#values] or nil }
      end
      for _, pair in ipairs(got) do
         assert.equal(wanted[pair.k][1], pair.v)
         table.remove(wanted[pair.k], 1)
      end
      for _, rest in pairs(wanted) do
         assert.same({}, rest)
      end
   end)
end)
