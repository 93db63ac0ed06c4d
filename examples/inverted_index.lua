-- For each word, the files it stands in.
--
--    lmr run examples/inverted_index.lua
--
-- mr.task() knows where the record at hand comes from. mr.distinct keeps each file once; as a combiner
-- it does so before anything is sorted.
local mr = require "mr"

return mr.job {
   job_name = "inverted_index",
   input_files = { "examples/data/*.txt" },
   map = function(_, line, emit)
      local file = mr.task().file:match("[^/]+$")
      for word in mr.words(line) do emit(word:lower(), file) end
   end,
   combine = mr.distinct,
   reduce = mr.distinct,
}
