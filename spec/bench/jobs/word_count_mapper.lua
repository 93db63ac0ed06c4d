-- Word count with the whole map in C.
local mr = require "mr"

return mr.job {
   job_name = "word_count_mapper",
   map = mr.word_mapper,
   combine = mr.sum,
   reduce = mr.sum,
}
