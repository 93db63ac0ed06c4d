-- Cuts a web server's log into visits: the requests of one address with no long pause between them.
--
--    lmr run examples/sessionize.lua
--    lmr run examples/sessionize.lua access.log.gz -- --pause 10     minutes
--
-- Prints address, start (seconds since 1970), length in seconds, requests and the first page, by TAB.
local mr = require "mr"

local pause = mr.args { pause = 30 }.pause * 60

local function request(_, line, emit)
   local address, time, page = line:match('^(%S+) %S+ %S+ %[(%S+) %+0000%] "%u+ (%S+)')
   if not address then
      mr.increment("log", "lines not understood", 1)
      return
   end
   emit({ address, mr.parse_time("%d/%b/%Y:%H:%M:%S", time) }, page)
end

-- The requests of one address come in the order of time, for time is the second element of the key.
local function visits(address, pages, emit)
   local visit
   local function close()
      if not visit then return end
      emit({ address, visit.from }, { visit.to - visit.from, visit.requests, visit.page })
   end
   for page, key in pages do
      local time = key[2]
      if not visit or time - visit.to > pause then
         close()
         visit = { from = time, requests = 0, page = page }
      end
      visit.to, visit.requests = time, visit.requests + 1
   end
   close()
end

return mr.job {
   job_name = "sessionize",
   input_files = { "examples/data/access.log" },
   map = request,
   group_by = 1,
   reduce = visits,
   output = "tsv",
}
