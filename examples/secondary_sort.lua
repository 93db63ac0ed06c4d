-- Values in order: the places of each country from west to east.
--
--    lmr run examples/secondary_sort.lua
--
-- Keys are arrays, sorted by all their elements but grouped by the first one (`group_by = 1`). So the
-- host sorts the values, on disk if need be, and the reduce only walks through them.
local mr = require "mr"

return mr.job {
   job_name = "secondary_sort",
   input_files = { "examples/data/places.csv" },
   input = { format = "csv", types = { latitude = "number", longitude = "number" } },
   map = function(_, row, emit)
      emit({ row.country, row.longitude }, row.place:match("[^/]+$"))
   end,
   group_by = 1,
   reduce = function(country, places, emit)
      local west, east
      local names = {}
      for place, key in places do
         west, east = west or key[2], key[2]
         names[#names + 1] = place
      end
      emit(country, { names = names, degrees = east - west })
   end,
   output = "jsonl",
}
