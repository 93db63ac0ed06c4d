-- The most frequent words, in three steps: count, choose, print.
--
--    lmr run examples/top_n.lua
--    lmr run examples/top_n.lua FILE… -- --top 25
--
-- A step's pairs go to the next one as they are, types and all. mr.top keeps n values and no more, in
-- each map and in the reduce. Of words met equally often the last in the alphabet comes first.
local mr = require "mr"

local args = mr.args { top = 10 }

local top = mr.top(args.top, {
   by = function(entry) return { entry.count, entry.word } end,
})

local count = {
   map = mr.word_mapper, -- emits (word, 1) for each word, without a line of Lua
   combine = mr.sum,
   reduce = mr.sum,
}

local choose = {
   map = function(word, n, emit) emit("top", { word = word, count = n }) end,
   combine = top,
   reduce = top,
}

local print_lines = {
   map = function(_, entries, emit)
      for _, entry in ipairs(entries) do emit(entry.count, entry.word) end
   end,
   reducers = 0,
}

return mr.job {
   job_name = "top_n",
   input_files = { "examples/data/*.txt" },
   steps = { count, choose, print_lines },
}
