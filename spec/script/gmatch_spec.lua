-- string.gmatch in a job: for a class and a plus lmr has an iterator of its own, which must give what
-- string.find gives.
local assert = require "luassert"
local h = require "spec.helper"

local patterns = [==[{
   "%a+", "%w+", "%S+", "%s+", "%p+", "%D+", "[%w_]+", "[^,]+", "[a-z]+", "[%a'-]+", "[\128-\255]+", "[%z\1]+",
   "[]]+", "[^]]+", "[%]a]+", "[a%]+", "a+", ".+", "%d%d+", "%1+", "%b()+", "[%a]+%s",
   "%x-", "()%a+", "+", "%+", "[+", "%a%+",
}]==]

local compare = [==[
local function reference(s, pattern)
   local list, at = {}, 1
   while at <= #s + 1 do
      local from, to, capture = s:find(pattern, at)
      if not from then break end
      list[#list + 1] = capture or s:sub(from, to)
      at = math.max(to, from) + 1
   end
   return list
end

local function found(s, pattern)
   local list = {}
   for match in s:gmatch(pattern) do list[#list + 1] = match end
   return list
end

local same, failed = 0, 0
for _, pattern in ipairs(patterns) do
   for _ = 1, 200 do
      local bytes = {}
      for i = 1, math.random(0, 40) do
         bytes[i] = string.char(math.random(4) == 1 and math.random(0, 255) or math.random(32, 126))
      end
      local s = table.concat(bytes)
      local good, expected = pcall(reference, s, pattern)
      local good_too, list = pcall(found, s, pattern)
      assert(good == good_too, pattern)
      if good and pattern ~= "%x-" then
         assert(table.concat(expected, "\0") == table.concat(list, "\0"), pattern)
         same = same + 1
      elseif not good then
         failed = failed + 1
      end
   end
end
print(same, failed)
]==]

local function lua(code)
   return h.run({ "lua", h.write(h.tmpdir(), "test.lua", code) })
end

describe("string.gmatch", function()
   it("gives what string.find gives, errors included", function()
      local result = lua("math.randomseed(7)\nlocal patterns = " .. patterns .. "\n" .. compare)
      assert.are.equal("", result.err)
      local same, failed = result.out:match("^(%d+)\t(%d+)\n$")
      assert.is_true(tonumber(same) > 4000)
      assert.is_true(tonumber(failed) > 500)
   end)

   it("takes numbers, a start, and says what Lua says of wrong arguments", function()
      local result = lua([[
         for digits in string.gmatch(1020304, "[1-9]+") do io.write(digits, " ") end
         for digits in ("x1y22"):gmatch("%d+", 3) do io.write(digits, " ") end
         print(select(2, pcall(string.gmatch)))
         print(select(2, pcall(string.gmatch, "a")))
         print(select(2, pcall(string.gmatch, {}, "%a+")))
         local next_word = ("a b"):gmatch("%a+")
         print(next_word(), next_word(), next_word(), next_word())
      ]])
      assert.are.equal("1 2 3 4 22 bad argument #1 to 'string.gmatch' (string expected, got no value)\n" ..
         "bad argument #2 to 'string.gmatch' (string expected, got no value)\n" ..
         "bad argument #1 to 'string.gmatch' (string expected, got table)\na\tb\tnil\n", result.out)
   end)

   it("stays right when a job makes up more patterns than are remembered", function()
      local result = lua([[
         local n = 0
         for i = 1, 500 do for _ in ("ab,cd"):gmatch("[a-d" .. i .. "]+") do n = n + 1 end end
         print(n)
      ]])
      assert.are.equal("1000\n", result.out)
   end)
end)
