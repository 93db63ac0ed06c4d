--- Makes the inputs of the benchmarks; spec/bench/corpus.sh calls it. Each command writes to standard
-- output (small_files: into a directory) and depends on its input and arguments alone.
--
--    text <LIST             plain text of the files listed, a line that was there before left out
--    common N BYTES <TEXT   TEXT with only its N most frequent words of small letters, over and over
--    shuffle <LIST          the lines of LIST, mixed
--    sort_records N         N records of 100 bytes: a random printable key of 10, a number, filling
--    small_files N DIR <TEXT  N files of whole lines in 100 directories, all of TEXT in order

local command = {}

local entities = { amp = "&", lt = "<", gt = ">", quot = "\"", nbsp = " ", mdash = "-", ndash = "-",
   rsquo = "'", lsquo = "'", ldquo = "\"", rdquo = "\"", hellip = "..." }
local inline = { a = true, abbr = true, b = true, code = true, em = true, i = true, span = true,
   strong = true, tt = true, u = true, var = true }

local function entity(name)
   local digits = name:match("^#(%d+)$")
   local code = digits and tonumber(digits) or tonumber(name:match("^#[xX](%x+)$") or "", 16)
   if code and code < 0x110000 then
      return code == 160 and " " or utf8.char(code)
   end
   return entities[name] or ""
end

local function strip_html(html)
   html = html:gsub("<!%-%-.-%-%->", ""):gsub("<[sS][cC][rR][iI][pP][tT].-</[sS][cC][rR][iI][pP][tT]>", "")
      :gsub("<[sS][tT][yY][lL][eE].-</[sS][tT][yY][lL][eE]>", "")
   html = html:gsub("<(/?)(%a*)[^>]*>", function(_, tag)
      return inline[tag] and "" or " "
   end)
   return (html:gsub("&(#?%w+);", entity))
end

-- Roff requests go, and the escapes for fonts and characters.
local function strip_roff(text)
   return (("\n" .. text):gsub("\n['.][^\n]*", "\n"):gsub("\\f%[%a*%]", ""):gsub("\\f%(?%a%a?", "")
      :gsub("\\%-", "-"):gsub("\\&", ""):gsub("\\%(%a%a", ""))
end

local function read(path)
   if path:find("%.gz$") or path:find("%.dz$") then
      local pipe <close> = assert(io.popen("gzip -dc <'" .. path:gsub("'", "'\\''") .. "'"))
      return pipe:read("a")
   end
   local file <close> = assert(io.open(path, "rb"))
   return file:read("a")
end

function command.text()
   local seen = {}
   for path in io.lines() do
      local text = read(path)
      local name = path:gsub("%.gz$", "")
      if name:find("%.x?html?$") then
         text = strip_html(text)
      elseif path:find("/man/") then
         text = strip_roff(text)
      end
      local out = {}
      for line in text:gmatch("[^\r\n]+") do
         line = line:gsub("^%s+", ""):gsub("%s+$", ""):gsub("[%s%c]+", " ")
         if #line > 3 and #line <= 4000 and line:find("%a%a") and not seen[line] then
            seen[line] = true
            out[#out + 1] = line
            out[#out + 1] = "\n"
         end
      end
      io.write(table.concat(out))
   end
end

local function most_frequent(text, n)
   local counts, words = {}, {}
   for word in text:gmatch("%S+") do
      if not word:find("[^a-z]") then
         counts[word] = (counts[word] or 0) + 1
      end
   end
   for word in pairs(counts) do
      words[#words + 1] = word
   end
   table.sort(words, function(a, b)
      if counts[a] ~= counts[b] then
         return counts[a] > counts[b]
      end
      return a < b
   end)
   local set = {}
   for i = 1, n do
      set[words[i]] = true
   end
   return set
end

function command.common(n, bytes)
   local text = io.read("a")
   local set = most_frequent(text, tonumber(n))
   local left = tonumber(bytes)
   while true do
      for line in text:gmatch("[^\n]+") do
         local kept = {}
         for word in line:gmatch("%S+") do
            kept[#kept + 1] = set[word] and word or nil
         end
         if #kept > 0 then
            line = table.concat(kept, " ") .. "\n"
            left = left - #line
            if left < 0 then
               return
            end
            io.write(line)
         end
      end
   end
end

function command.shuffle()
   math.randomseed(20240601, 2)
   local lines = {}
   for line in io.lines() do
      lines[#lines + 1] = line
   end
   for i = #lines, 2, -1 do
      local j = math.random(i)
      lines[i], lines[j] = lines[j], lines[i]
   end
   io.write(table.concat(lines, "\n"), "\n")
end

function command.sort_records(n)
   math.randomseed(20240601, 1)
   local random, char, format = math.random, string.char, string.format
   local filling = ("abcdefghijklmnopqrstuvwxyz"):rep(4):sub(1, 100 - 10 - 1 - 10 - 1 - 1)
   for i = 1, tonumber(n) do
      -- 94 printable characters from "!" to "~"
      local key = char(random(33, 126), random(33, 126), random(33, 126), random(33, 126), random(33, 126),
         random(33, 126), random(33, 126), random(33, 126), random(33, 126), random(33, 126))
      io.write(format("%s %010d %s\n", key, i, filling))
   end
end

function command.small_files(n, dir)
   local text = io.read("a")
   n = tonumber(n)
   local start = 1
   for i = 1, n do
      local stop = i == n and #text or text:find("\n", math.max(start, i * #text // n), true)
      local path = ("%s/%02d/%05d.txt"):format(dir, i % 100, i)
      local file <close> = assert(io.open(path, "wb"))
      assert(file:write(text:sub(start, stop)))
      start = stop + 1
   end
end

local run = command[arg[1]]
if not run then
   error("no such command: " .. tostring(arg[1]))
end
io.stdout:setvbuf("full", 1 << 16)
run(table.unpack(arg, 2))
