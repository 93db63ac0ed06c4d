local cjson = require "cjson"
local h = require "spec.helper"
local support = require "spec.examples.support"

local NEAR = 1e-9

-- PageRank in plain Lua until nothing moves any more; a node of the average has rank 1.
local function page_rank(path, damping)
   local links, names = {}, {}
   local function node(name)
      if not links[name] then
         links[name] = {}
         names[#names + 1] = name
      end
      return links[name]
   end
   for _, row in ipairs(support.rows(path, " ")) do
      local list = node(row[1])
      for i = 2, #row do
         node(row[i])
         list[#list + 1] = row[i]
      end
   end
   table.sort(names)
   local rank = {}
   for _, name in ipairs(names) do rank[name] = 1.0 end
   repeat
      local received, dangling, moved = {}, 0.0, 0.0
      for _, name in ipairs(names) do
         if #links[name] == 0 then dangling = dangling + rank[name] end
         for _, link in ipairs(links[name]) do
            received[link] = (received[link] or 0.0) + rank[name] / #links[name]
         end
      end
      for _, name in ipairs(names) do
         local new = 1 - damping + damping * ((received[name] or 0.0) + dangling / #names)
         moved = moved + math.abs(new - rank[name])
         rank[name] = new
      end
   until moved < 1e-12
   return rank, #names
end

local function check_ranks(lines, rank, nodes)
   assert.are.equal(nodes, #lines)
   local last, sum = math.huge, 0.0
   for _, line in ipairs(lines) do
      local name, text = line:match("^(%S+)\t(%S+)$")
      local found = tonumber(text)
      assert.is_true(math.abs(found - rank[name]) < NEAR, name)
      assert.is_true(found <= last, "the greatest comes first")
      last, sum = found, sum + found
   end
   assert.is_true(math.abs(sum - nodes) < nodes * NEAR, "no rank is lost in dangling nodes")
end

describe("pagerank", function()
   it("agrees with a plain loop", function()
      local rank, nodes = page_rank("examples/data/packages.list", 0.85)
      local whole, cut = support.run("pagerank", { split = "1K", floats = true })
      check_ranks(whole, rank, nodes)
      check_ranks(cut, rank, nodes)
   end)

   it("agrees on a graph of a circle, a tail and a node nobody links to", function()
      local path = h.write(h.tmpdir(), "links", "a b\nb c\nc a end\nlonely a\n")
      local rank, nodes = page_rank(path, 0.5)
      local whole = support.run("pagerank",
         { split = "1K", floats = true, inputs = { path }, args = { "--damping", "0.5" } })
      check_ranks(whole, rank, nodes)
   end)
end)

-- Rows of a table with a header, numbers in the named columns.
local function table_of(path, columns)
   local rows = support.rows(path, ",")
   local header = table.remove(rows, 1)
   local list = {}
   for i, row in ipairs(rows) do
      list[i] = {}
      for j, name in ipairs(header) do list[i][name] = columns[name] and tonumber(row[j]) or row[j] end
   end
   return list
end

-- k-means in plain Lua until no place changes its group. A centre without places is dropped.
local function k_means(places, centres)
   local group = {}
   repeat
      local changed, sums = false, {}
      for i, place in ipairs(places) do
         local best, shortest = nil, math.huge
         for _, centre in ipairs(centres) do
            local north, east = place.latitude - centre.latitude, place.longitude - centre.longitude
            if north * north + east * east < shortest then
               best, shortest = centre.id, north * north + east * east
            end
         end
         changed = changed or group[i] ~= best
         group[i] = best
         local sum = sums[best] or { id = best, latitude = 0.0, longitude = 0.0, places = 0 }
         sums[best] = sum
         sum.latitude, sum.longitude = sum.latitude + place.latitude, sum.longitude + place.longitude
         sum.places = sum.places + 1
      end
      centres = {}
      for _, sum in pairs(sums) do
         sum.latitude, sum.longitude = sum.latitude / sum.places, sum.longitude / sum.places
         centres[#centres + 1] = sum
      end
      table.sort(centres, function(a, b) return a.id < b.id end)
   until not changed
   return centres
end

-- A place in another group would move two centres by far more than NEAR, so this checks each assignment too.
local function check_centres(lines, expected)
   assert.are.equal(#expected, #lines)
   local by_id = {}
   for _, line in ipairs(lines) do
      local pair = cjson.decode(line)
      by_id[pair.key] = pair.value
   end
   for _, centre in ipairs(expected) do
      local found = by_id[centre.id]
      assert.are.equal(centre.places, found.places)
      assert.is_true(math.abs(centre.latitude - found.latitude) < NEAR)
      assert.is_true(math.abs(centre.longitude - found.longitude) < NEAR)
   end
end

describe("kmeans", function()
   it("finds the centres that a plain loop finds", function()
      local numbers = { id = true, latitude = true, longitude = true }
      local expected = k_means(table_of("examples/data/places.csv", numbers),
         table_of("examples/data/centres.csv", numbers))
      local whole, cut = support.run("kmeans", { split = "2K", floats = true })
      check_centres(whole, expected)
      check_centres(cut, expected)
   end)
end)
