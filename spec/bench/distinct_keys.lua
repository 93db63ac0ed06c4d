-- Thirty million distinct keys of 22 bytes, one a line, in no order: 690 MB.
--
--    lua5.4 distinct_keys.lua [COUNT] >FILE
--
-- Multiplying by an odd number modulo 2^64 is one to one, so that no two keys are alike.
local count = math.tointeger(arg[1] or 30000000)
local out = assert(io.stdout)
out:setvbuf("full", 1 << 20)
for i = 1, count do out:write(("%016x%06x\n"):format(i * 0x9e3779b97f4a7c15, i & 0xffffff)) end
