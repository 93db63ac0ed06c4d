local cjson = require "cjson"
local h = require "spec.helper"
local support = require "spec.examples.support"

local PLACES = "examples/data/places.csv"

-- Rows of places.csv without its header: place, country, latitude, longitude.
local function places()
   local rows = support.rows(PLACES, ",")
   table.remove(rows, 1)
   return rows
end

describe("examples over tables:", function()
   it("join finds the country of each place", function()
      local found = support.run("join", { split = "4K" })
      local expected = support.oracle([=[awk -F '\t' '
         FNR == NR { name[$1] = $2; next }
         FNR > 1 { split($0, f, ","); if (f[2] in name) print f[1] "\t" name[f[2]] }
         ' examples/data/countries.tsv ]=] .. PLACES, true)
      support.same_lines(expected, support.sorted(found))
      assert.are.equal(#places(), #found)
   end)

   it("join counts what finds no partner", function()
      local dir = h.tmpdir()
      h.write(dir, "examples/data/countries.tsv", "code\tname\nAA\tNowhere\nBB\tSomewhere\n")
      h.write(dir, "examples/data/places.csv", "place,country,latitude,longitude\nb,BB,1,1\nc,CC,2,2\nc2,CC,2,2\n")
      local result = h.run({ "run", h.root .. "/examples/join.lua", "-o", "out", "--quiet" }, { dir = dir })
      assert.are.equal("", result.err)
      local counters = cjson.decode(h.read(dir .. "/out/_MANIFEST.json")).counters.join
      assert.are.same({ ["places of no known country"] = 2, ["countries without a place"] = 1 }, counters)
      assert.are.equal("b\tSomewhere\n", h.read(dir .. "/out/part-00000"))
   end)

   it("secondary_sort puts the places of a country from west to east", function()
      local found = support.run("secondary_sort", { split = "4K" })
      local by_country = {}
      for i, row in ipairs(places()) do
         local list = by_country[row[2]] or {}
         by_country[row[2]] = list
         list[#list + 1] = { name = row[1]:match("[^/]+$"), longitude = tonumber(row[4]), i = i }
      end
      for _, line in ipairs(found) do
         local pair = cjson.decode(line)
         local list = by_country[pair.key]
         table.sort(list, function(a, b)
            return a.longitude < b.longitude or (a.longitude == b.longitude and a.i < b.i)
         end)
         local names = {}
         for i, place in ipairs(list) do names[i] = place.name end
         assert.are.same(names, pair.value.names)
         assert.are.equal(list[#list].longitude - list[1].longitude, pair.value.degrees)
         by_country[pair.key] = nil
      end
      assert.is_nil(next(by_country))
   end)

   it("histogram counts what awk counts", function()
      local found = support.run("histogram", { split = "4K" })
      support.same_lines(support.oracle([[awk -F , '
         FNR > 1 { x = $3 / 10; n = int(x); if (n > x) n--; count[n * 10]++ }
         END { for (n in count) print n "\t" count[n] }' ]] .. PLACES .. " | sort -n"), found)
   end)

   it("histogram takes another column and width", function()
      local found = support.run("histogram", { split = "4K", args = { "--column=longitude", "--width", "2.5" } })
      local count = {}
      for _, row in ipairs(places()) do
         local bin = math.floor(tonumber(row[4]) / 2.5)
         count[bin] = (count[bin] or 0) + 1
      end
      local bins = {}
      for bin in pairs(count) do bins[#bins + 1] = bin end
      table.sort(bins)
      assert.are.equal(#bins, #found)
      for i, bin in ipairs(bins) do
         local number, n = found[i]:match("^(%S+)\t(%d+)$")
         assert.are.equal(bin * 2.5, tonumber(number))
         assert.are.equal(count[bin], tonumber(n))
      end
   end)
end)

describe("sessionize", function()
   local FIRST = 1772236800 -- 28 February 2026, 0:00 UTC
   local day_of = { ["28/Feb/2026"] = 0, ["01/Mar/2026"] = 1 }

   -- In plain Lua: the visits in a log, as lines.
   local function visits(log, pause)
      local requests = {}
      for i, line in ipairs(h.lines(log)) do
         local address, date, hour, minute, second, page = line:match(
            '^(%S+) .-%[([^:]+):(%d+):(%d+):(%d+) .-"%u+ (%S+)')
         requests[i] = { address = address, page = page, i = i,
            time = FIRST + ((day_of[date] * 24 + hour) * 60 + minute) * 60 + second }
      end
      table.sort(requests, function(a, b)
         if a.address ~= b.address then return a.address < b.address end
         return a.time < b.time or (a.time == b.time and a.i < b.i)
      end)
      local lines, start, last, n = {}, nil, nil, 0
      local function close()
         if start then
            lines[#lines + 1] = ("%s\t%d\t%d\t%d\t%s"):format(start.address, start.time, last.time - start.time,
               n, start.page)
         end
      end
      for _, request in ipairs(requests) do
         if not start or request.address ~= start.address or request.time - last.time > pause then
            close()
            start, n = request, 0
         end
         last, n = request, n + 1
      end
      close()
      return lines
   end

   it("cuts a log into visits", function()
      local log = h.read("examples/data/access.log")
      local found = support.run("sessionize", { split = "8K" })
      support.same_lines(support.sorted(visits(log, 30 * 60)), support.sorted(found))
      found = support.run("sessionize", { split = "8K", args = { "--pause=5" } })
      support.same_lines(support.sorted(visits(log, 5 * 60)), support.sorted(found))
   end)
end)
