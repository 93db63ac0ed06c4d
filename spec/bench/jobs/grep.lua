-- The lines that match a pattern: `-- PATTERN`.
local mr = require "mr"

local pattern = mr.args {}[1]

return mr.job {
   job_name = "grep",
   map = function(_, line, emit)
      if line:find(pattern) then emit(line) end
   end,
   reducers = 0,
}
