-- A histogram of a column of numbers.
--
--    lmr run examples/histogram.lua
--    lmr run examples/histogram.lua TABLE.csv -- --column price --width 2.5
--
-- Keys may be numbers, and then they sort as numbers: -20 before -10 before 0 before 100. One
-- reducer gives one list in order.
local mr = require "mr"

local args = mr.args { column = "latitude", width = 10.0 }

return mr.job {
   job_name = "histogram",
   input_files = { "examples/data/places.csv" },
   input = "csv",
   map = function(_, row, emit)
      local number = tonumber(row[args.column])
      if number then
         emit(number // args.width * args.width, 1)
      else
         mr.increment("histogram", "not a number", 1)
      end
   end,
   combine = mr.sum,
   reduce = mr.sum,
   reducers = 1,
}
