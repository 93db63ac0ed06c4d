-- The lines that match a pattern, in plain Lua.
--
--    lua5.4 grep.lua PATTERN FILE >RESULT
local pattern = arg[1]
local out = assert(io.stdout)
out:setvbuf("full", 1 << 16)
for line in io.lines(arg[2]) do
   if line:find(pattern) then out:write(line, "\n") end
end
