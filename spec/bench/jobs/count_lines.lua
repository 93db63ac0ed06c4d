-- How often each line comes.
local mr = require "mr"

return mr.job {
   job_name = "count_lines",
   map = function(_, line, emit) emit(line, 1) end,
   combine = mr.sum,
   reduce = mr.sum,
}
