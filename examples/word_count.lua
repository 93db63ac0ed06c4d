-- Counts words: the ten-line job.
--
--    lmr run examples/word_count.lua                    over the texts in examples/data
--    lmr run examples/word_count.lua README.md | head   over files of your own
--
-- `combine` folds the counts where the words are read, so that little has to be sorted and moved.
local mr = require "mr"

return mr.job {
   job_name = "word_count",
   input_files = { "examples/data/*.txt" },
   map = function(_, line, emit)
      for word in mr.words(line) do emit(word, 1) end
   end,
   combine = mr.sum,
   reduce = mr.sum,
}
