--- A web server for specs: spec/tools/http_server.c, whose head says what a target may ask for.
--
-- local server = web(dir)              serves the files of `dir` until the spec file ends
-- server.url(target)                   "http://127.0.0.1:PORT/TARGET"
-- server.port
-- server.requests() → list             since the last call: { method, target, range, status, time (seconds),
--                                      authorization, sent }
local h = require "spec.helper"

local function read_line(line)
   local fields = {}
   for field in (line .. "\t"):gmatch("([^\t]*)\t") do
      fields[#fields + 1] = field
   end
   return { method = fields[1], target = fields[2], range = fields[3], status = tonumber(fields[4]),
            time = tonumber(fields[5]) / 1e9, authorization = fields[6], sent = tonumber(fields[7]) }
end

return function(dir)
   local log = h.tmpdir() .. "/log"
   local handle = h.background({ dir, log }, { binary = h.tool("http_server") })
   local port = h.poll(10, function()
      return handle:out():match("^(%d+)\n")
   end)
   local seen = 0
   return {
      port = port,
      url = function(target)
         return ("http://127.0.0.1:%s/%s"):format(port, target)
      end,
      requests = function()
         local list, lines = {}, h.lines(h.read(log) or "")
         for i = seen + 1, #lines do
            list[#list + 1] = read_line(lines[i])
         end
         seen = #lines
         return list
      end,
   }
end
