-- count, sum and mean of a CSV column by the values of another
--
-- Run it:              lmr run @FILE@ FILE.csv… -- --by country --column price
-- The job API on a page: lmr help job
-- How CSV is read:     lmr help input

local mr = require "mr"

-- What stands after -- on the command line, with defaults.
local args = mr.args { by = "name", column = "value" }

-- Several reducers at once: each takes a field of the values, and its result is the field of that name.
local totals = mr.all { n = mr.count, sum = mr.sum, mean = mr.mean }

return mr.job {
   job_name = "@NAME@",

   input = "csv",         -- the first line of each file names its columns
   output = {
      format = "csv", header = true, columns = { "key", "n", "sum", "mean" },
   },

   -- Called for each row, a table column = text.
   map = function(_, row, emit)
      local number = tonumber(row[args.column])
      if number then
         emit(row[args.by], { sum = number, mean = number }) -- n counts all
      else
         mr.increment("rows", "no number", 1)   -- shown in the summary
      end
   end,

   combine = totals,      -- on the map side first, so that less is sorted
   reduce = totals,
}
