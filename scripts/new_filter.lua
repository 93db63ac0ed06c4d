-- keep the lines that match a pattern (map only, nothing is sorted)
--
-- Run it:              lmr run @FILE@ FILE… -- --pattern error
-- The job API on a page: lmr help job

local mr = require "mr"

-- What stands after -- on the command line, with defaults.
local args = mr.args { pattern = "." } -- a Lua pattern

return mr.job {
   job_name = "@NAME@",

   map = function(_, line, emit)
      if line:find(args.pattern) then
         emit(line)       -- a key alone is printed alone
      end
   end,

   reducers = 0,          -- what map emits is the result, in the order of the input
}
