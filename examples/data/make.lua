-- Makes the small tables beside this file; they are kept in the repository, so that nobody needs to run it.
--
--    lua5.4 examples/data/make.lua NAME >examples/data/FILE
--
-- countries  countries.tsv   from tzdata's iso3166.tab, which is in the public domain
-- places     places.csv      from tzdata's zone.tab, which is in the public domain: a place for each time zone
-- packages   packages.list    from apt: git, gcc and python3 of Debian 12 with all they depend on. Facts, no text.
-- web_log    access.log      made up by a seeded generator; its addresses are those set aside for documentation
local ZONEINFO = "/usr/share/zoneinfo/"

-- Lines of a file, or of a command's output, without comments.
local function data_lines(stream)
   return function()
      local line
      repeat line = stream:read("l") until not line or not line:find("^#")
      return line
   end
end

local function countries()
   print("code\tname")
   for line in data_lines(assert(io.open(ZONEINFO .. "iso3166.tab"))) do print(line) end
end

-- "+4230" and "-0001531" (degrees, minutes, perhaps seconds) → 42.5 and −0.2586…
local function degrees(text, digits)
   local sign, number = text:match("^([+-])(%d+)$")
   local whole, minutes, seconds = number:match("^(" .. ("%d"):rep(digits) .. ")(%d%d)(%d*)$")
   local value = tonumber(whole) + tonumber(minutes) / 60 + (tonumber(seconds) or 0) / 3600
   return ("%.4f"):format(sign == "-" and -value or value)
end

local function places()
   print("place,country,latitude,longitude")
   for line in data_lines(assert(io.open(ZONEINFO .. "zone.tab"))) do
      local country, latitude, longitude, zone = line:match("^(%u%u)\t([+-]%d+)([+-]%d+)\t([^\t]+)")
      print(("%s,%s,%s,%s"):format(zone, country, degrees(latitude, 2), degrees(longitude, 3)))
   end
end

local function packages()
   local command = "LC_ALL=C apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts"
      .. " --no-breaks --no-replaces --no-enhances git gcc python3"
   local needs, names, name = {}, {}, nil
   for line in data_lines(assert(io.popen(command))) do
      local package, needed = line:match("^([%w.+-]+)$"), line:match("Depends: ([%w.+-]+)$")
      if package then
         name = package
         names[#names + 1], needs[name] = name, {}
      elseif needed and not needs[name][needed] then
         needs[name][needed] = true
         table.insert(needs[name], needed)
      end
   end
   table.sort(names)
   for _, package in ipairs(names) do
      table.sort(needs[package])
      if needs[package][1] then print(package .. " " .. table.concat(needs[package], " ")) end
   end
end

local function web_log()
   local state = 20261124
   local function random(n) -- 1 … n, the same everywhere
      state = (state * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
      return (state >> 33) % n + 1
   end
   local pages = { "/", "/news", "/about", "/search?q=lua", "/docs/start", "/docs/jobs", "/docs/profiles", "/download" }
   local networks = { "192.0.2.", "198.51.100.", "203.0.113." }
   local time = 1772301600 -- 28 February 2026, 18:00 UTC
   for _ = 1, 2000 do
      time = time + random(40)
      local host = networks[random(3)] .. random(20) * 12
      local status = random(25) == 1 and 404 or 200
      print(('%s - - [%s +0000] "GET %s HTTP/1.1" %d %d'):format(host, os.date("!%d/%b/%Y:%H:%M:%S", time),
         pages[random(#pages)], status, status == 404 and 153 or 200 + random(200) * random(200)))
   end
end

local makers = { countries = countries, places = places, packages = packages, web_log = web_log }
local make = makers[arg[1]]
if not make then
   io.stderr:write("usage: lua5.4 examples/data/make.lua countries|places|packages|web_log\n")
   os.exit(2)
end
make()
