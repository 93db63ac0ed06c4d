-- The natural word count of a good Lua user: one file, one table, sorted at the end.
--
--    lua5.4 naive.lua FILE >RESULT
local counts = {}
for line in io.lines(arg[1]) do
   for word in line:gmatch("%w+") do counts[word] = (counts[word] or 0) + 1 end
end

local words = {}
for word in pairs(counts) do words[#words + 1] = word end
table.sort(words)

local out = assert(io.stdout)
out:setvbuf("full", 1 << 16)
for _, word in ipairs(words) do out:write(word, "\t", counts[word], "\n") end
