-- Prints the lines that match a Lua pattern: a job of maps only.
--
--    lmr run examples/grep.lua -- "[Ww]isdom"
--    lmr run examples/grep.lua FILE… -- --plain "a.b"   the text as it stands, no pattern
--
-- With `reducers = 0` nothing is sorted or grouped: what the maps emit is the output, in the order of
-- the input. A key emitted without a value prints alone.
local mr = require "mr"

local args = mr.args { plain = false }
local pattern = args[1] or "wisdom"

return mr.job {
   job_name = "grep",
   input_files = { "examples/data/*.txt" },
   map = function(_, line, emit)
      if line:find(pattern, 1, args.plain) then
         emit(line)
         mr.increment("grep", "lines", 1)
      end
   end,
   reducers = 0,
}
