--- What the shuffle's specs share: scripts for shuffle_probe, and encoded bytes in hex.

local h = require "spec.helper"

local lib = {}

--- Runs a script (a list of lines) and returns the lines it prints.
function lib.probe(script)
   script[#script + 1] = ""
   local result = h.run({}, { binary = h.tool("shuffle_probe"), stdin = table.concat(script, "\n"), timeout = 120 })
   assert(result.code == 0, ("shuffle_probe: code %s, signal %s: %s"):format(result.code, result.signal,
      result.err:sub(1, 4000)))
   local lines = {}
   for line in result.out:gmatch("([^\n]*)\n") do
      lines[#lines + 1] = line
   end
   return lines
end

--- The same, when nothing in it may fail.
function lib.probe_ok(script)
   local lines = lib.probe(script)
   for _, line in ipairs(lines) do
      assert(not line:find("^error"), line)
   end
   return lines
end

function lib.hex(bytes)
   return (bytes:gsub(".", function(c)
      return ("%02x"):format(c:byte())
   end))
end

--- A string as a whole key.
function lib.key(text)
   return "30" .. lib.hex(text)
end

--- An array key of strings: tag, each element with 00 escaped and ended, end.
function lib.array_key(...)
   local out = { "40" }
   for _, text in ipairs { ... } do
      out[#out + 1] = "30" .. lib.hex(text:gsub("\0", "\0\255")) .. "0001"
   end
   return table.concat(out) .. "00"
end

--- An integer value.
function lib.int(v)
   if v >= 0 and v <= 15 then
      return ("%02x"):format(0x20 + v)
   end
   local zigzag = v >= 0 and v << 1 or ~(v << 1)
   local out = { "04" }
   while math.ult(0x7f, zigzag) do
      out[#out + 1] = ("%02x"):format(zigzag & 0x7f | 0x80)
      zigzag = zigzag >> 7
   end
   return table.concat(out) .. ("%02x"):format(zigzag)
end

--- The integer of an encoded value.
function lib.to_int(hex)
   local tag = tonumber(hex:sub(1, 2), 16)
   if tag >= 0x20 and tag <= 0x2f then
      return tag - 0x20
   end
   assert(tag == 4, hex)
   local v, shift = 0, 0
   for byte in hex:sub(3):gmatch("..") do
      v = v | (tonumber(byte, 16) & 0x7f) << shift
      shift = shift + 7
   end
   return v >> 1 ~ -(v & 1)
end

--- A string value, or the declaration of an aggregate.
function lib.str(text)
   return ("06%02x"):format(#text) .. lib.hex(text)
end

--- The words of a line.
function lib.words(line)
   local list = {}
   for word in line:gmatch("%S+") do
      list[#list + 1] = word
   end
   return list
end

--- Lines "NUMBER KEY VALUE" (what merge prints) as a list of "KEY VALUE".
function lib.merged(lines)
   local list = {}
   for _, line in ipairs(lines) do
      local pair = line:match("^%d+ (%x+ %x*)$")
      list[#list + 1] = pair
   end
   return list
end

--- A generator of its own, so that a failure can be seen again.
function lib.random(seed)
   local state = seed * 2862933555777941757 + 3037000493
   return function(n)
      state = state * 6364136223846793005 + 1442695040888963407
      return (state >> 33) % n
   end
end

return lib
