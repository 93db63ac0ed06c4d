-- count the words of text files
--
-- Run it:              lmr run @FILE@ FILE…
-- into a directory:    lmr run @FILE@ FILE… -o out
-- the ten greatest:    lmr run @FILE@ FILE… | sort -k2,2nr | head
-- The job API on a page: lmr help job

local mr = require "mr"

return mr.job {
   job_name = "@NAME@",

   -- Files may be named here too; those on the command line take their place.
   -- input_files = { "texts/*.txt" },

   -- Called for each line; key is its byte offset in the file.
   map = function(_, line, emit)
      for word in mr.words(line) do
         emit(word:lower(), 1)
      end
   end,

   -- Adds up the numbers of each word: on the map side first, so that less is sorted, then for all maps.
   -- A reduce of your own looks like this:
   --    reduce = function(key, values, emit)
   --       local n = 0
   --       for value in values do n = n + value end
   --       emit(key, n)
   --    end,
   combine = mr.sum,
   reduce = mr.sum,
}
