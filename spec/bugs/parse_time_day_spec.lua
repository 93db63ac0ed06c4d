-- mr.parse_time took days that a month does not have: February 30 was March 1.
local h = require "spec.helper"

-- What a Lua script prints, a line each.
local function printed(code, env)
   local result = h.run({ "lua", h.write(h.tmpdir(), "test.lua", 'local mr = require "mr"\n' .. code) }, { env = env })
   assert.equal("", result.err)
   return result.out
end

describe("mr.parse_time", function()
   it("knows how many days a month has", function()
      local lines, wanted = {}, {}
      for _, year in ipairs { 1900, 1970, 2000, 2023, 2024 } do
         local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
         local days = { 31, leap and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
         for month = 1, 12 do
            for day = 28, 31 do
               local date = ("%d-%02d-%02d"):format(year, month, day)
               lines[#lines + 1] = ('print(mr.parse_time("%%Y-%%m-%%d", "%s") ~= nil)'):format(date)
               wanted[#wanted + 1] = tostring(day <= days[month])
            end
         end
      end
      assert.equal(table.concat(wanted, "\n") .. "\n", printed(table.concat(lines, "\n")))
      assert.equal("nil\t'2023-02-30' is no time of the form '%Y-%m-%d'\n",
         printed 'print(mr.parse_time("%Y-%m-%d", "2023-02-30"))')
   end)

   it("gives what date gives, whatever the zone of the machine", function()
      local times, code = {}, {}
      for i = 1, 200 do
         times[i] = (i * 2654435761 * 7) % 8000000000 - 2000000000
         local text = os.date("!%Y-%m-%d %H:%M:%S", times[i])
         code[i] = ('print(mr.parse_time("%%Y-%%m-%%d %%H:%%M:%%S", "%s"))'):format(text)
      end
      code[#code + 1] = 'print(mr.parse_time("%d/%b/%Y:%H:%M:%S %z", "10/Oct/2000:13:55:36 -0700"))'
      times[#times + 1] = 971211336
      code[#code + 1] = 'print(mr.parse_time("%s", "1700000000"))'
      times[#times + 1] = 1700000000
      for _, zone in ipairs { "UTC", "Europe/Berlin", "XYZ+11" } do
         assert.equal(table.concat(times, "\n") .. "\n", printed(table.concat(code, "\n"), { TZ = zone }))
      end
   end)
end)
