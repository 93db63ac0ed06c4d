-- Word count with the words found in C.
local mr = require "mr"

return mr.job {
   job_name = "word_count_words",
   map = function(_, line, emit)
      for word in mr.words(line) do emit(word, 1) end
   end,
   combine = mr.sum,
   reduce = mr.sum,
}
