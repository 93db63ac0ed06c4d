-- k-means: sorts the places of the world into groups of near neighbours (on a flat map, in degrees).
--
--    lmr run examples/kmeans.lua
--
-- Every round reads the places again (`reread`) and finds the centres that the round before made in the
-- side table "previous". In the first round that is the job's side file: the centres to begin with.
local mr = require "mr"

-- Once a task: the centres, in the order of their numbers.
local function read_centres()
   local centres = {}
   for id, centre in mr.side_pairs("previous") do
      centres[#centres + 1] = { id = id, latitude = centre.latitude, longitude = centre.longitude }
   end
   return centres
end

local function assign(_, place, emit, centres)
   local nearest, shortest = nil, math.huge
   for _, centre in ipairs(centres) do
      local distance = (place.latitude - centre.latitude) ^ 2 + (place.longitude - centre.longitude) ^ 2
      if distance < shortest then nearest, shortest = centre.id, distance end
   end
   mr.increment("kmeans", "distance", shortest)
   emit(nearest, { latitude = place.latitude, longitude = place.longitude })
end

local centre_of = mr.all { latitude = mr.mean, longitude = mr.mean, places = mr.count }

return mr.job {
   job_name = "kmeans",
   input_files = { "examples/data/places.csv" },
   input = { format = "csv", types = { latitude = "number", longitude = "number" } },
   side_files = {
      previous = {
         path = "examples/data/centres.csv",
         input = {
            format = "csv",
            types = { id = "integer", latitude = "number", longitude = "number" },
         },
         key = "id",
      },
   },
   init = read_centres,
   iterate = mr.iterate {
      map = assign,
      combine = centre_of,
      reduce = centre_of,
      reread = true,
      max_rounds = 100,
      stop_when = function(_, counters, previous) -- when no place gets nearer to a centre
         return previous ~= nil and counters.kmeans.distance >= previous.kmeans.distance
      end,
   },
   output = "jsonl",
}
