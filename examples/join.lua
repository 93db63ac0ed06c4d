-- Joins two inputs of two formats: countries (TSV) and the places in them (CSV).
--
--    lmr run examples/join.lua
--
-- Each input has a tag. The 1 or 2 in the key makes a country arrive before its places, so that the
-- reduce never holds more than one name. What finds no partner is counted.
local mr = require "mr"

local function by_country(_, row, emit)
   if mr.task().tag == "country" then
      emit({ row.code, 1 }, row.name)
   else
      emit({ row.country, 2 }, row.place)
   end
end

local function join(_, values, emit)
   local country, places = nil, 0
   for value, key in values do
      if key[2] == 1 then
         country = value
      elseif country then
         places = places + 1
         emit(value, country)
      else
         mr.increment("join", "places of no known country", 1)
      end
   end
   if country and places == 0 then mr.increment("join", "countries without a place", 1) end
end

return mr.job {
   job_name = "join",
   input_files = {
      { path = "examples/data/countries.tsv", input = "tsv", tag = "country" },
      { path = "examples/data/places.csv", input = "csv", tag = "place" },
   },
   map = by_country,
   group_by = 1,
   reduce = join,
   output = "tsv",
}
