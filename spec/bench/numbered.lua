-- numbered.lua COUNT: lines that begin with their number, with words of no meaning behind.
local COUNT = math.tointeger(tonumber(arg[1]))
local words, x = {}, 12345
for i = 1, 5000 do
   x = (x * 1103515245 + 12345) & 0x7fffffff
   words[i] = ("w%05x"):format(x % 0x100000)
end
for i = 1, COUNT do
   x = (x * 1103515245 + 12345) & 0x7fffffff
   local at = x // 65536 % (#words - 8) + 1
   io.write(i, " ", table.concat(words, " ", at, at + 7), "\n")
end
