-- Word count as in naive.lua.
local mr = require "mr"

return mr.job {
   job_name = "word_count_gmatch",
   map = function(_, line, emit)
      for word in line:gmatch("%w+") do emit(word, 1) end
   end,
   combine = mr.sum,
   reduce = mr.sum,
}
