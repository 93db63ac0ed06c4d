-- Sorts lines: the parts, one after the other, are the sorted file.
local mr = require "mr"

return mr.job {
   job_name = "sort",
   map = function(_, line, emit) emit(line) end,
   total_order = true,
}
