-- report_text.lua: how reports look: lines of at most 80 columns, tables, times, JSON. What comes from records, files
-- and messages is made harmless to a terminal here.
local _, native = ...

local M = { WIDTH = 80 }

local SECOND = 1e9

--- One line of a text from outside.
function M.safe(text)
   return native.disarm(tostring(text))
end

--- The same of several lines.
function M.safe_lines(text)
   local lines = {}
   for line in (text .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = M.safe(line) end
   while lines[#lines] == "" do lines[#lines] = nil end
   return lines
end

--- Everything for a reader goes out here: whatever is in it, it is one harmless line.
function M.line(format, ...)
   native.write(native.disarm(select("#", ...) > 0 and format:format(...) or format) .. "\n")
end

-- Cut to so many columns, with "…" when something is missing: at its end, or (paths) at its beginning.
function M.cut(text, columns)
   if native.columns(text) <= columns then return text end
   return native.cut(text, columns - 1) .. "…"
end

function M.cut_front(text, columns)
   if #text > 8 * columns then text = M.safe(text:sub(-8 * columns)) end
   while native.columns(text) > columns do
      text = "…" .. text:gsub("^…", ""):sub((utf8.offset(text:gsub("^…", ""), 2) or 2))
   end
   return text
end

local function pad(text, columns, right)
   local spaces = (" "):rep(columns - native.columns(text))
   return right and spaces .. text or text .. spaces
end

--- Words broken into lines of at most WIDTH columns: the first after `head`, the others below it. A word that is too
-- long for a line is left whole: paths and commands are there to be copied.
function M.wrap(head, text)
   local indent = (" "):rep(native.columns(head))
   local line, used = head, native.columns(head)
   local start = used
   for word in text:gmatch("%S+") do
      local columns = native.columns(word)
      if used > start and used + 1 + columns > M.WIDTH then
         M.line("%s", line)
         line, used = indent, start
      end
      local gap = used > start and " " or ""
      line, used = line .. gap .. word, used + #gap + columns
   end
   M.line("%s", line)
end

--- "  started    …", wrapped.
function M.pair(label, text)
   M.wrap(("  %-10s "):format(label), M.safe(text))
end

--- The same for what is there to be copied: on one line, however long.
function M.exact(label, text)
   M.line("  %-10s %s", label, text)
end

-- --- tables ---

local function widths_of(columns, rows)
   local widths = {}
   for i, column in ipairs(columns) do
      widths[i] = native.columns(column[1])
      for _, row in ipairs(rows) do widths[i] = math.max(widths[i], native.columns(row[i])) end
      if not column.cut then widths[i] = math.min(widths[i], M.WIDTH) end
   end
   return widths
end

-- What is too wide takes from the columns that may be cut ({ title, cut = "end" | "front" }), the widest first.
local function fit(columns, widths, width)
   local total = 2 * #columns
   for _, w in ipairs(widths) do total = total + w end
   while total > width do
      local widest
      for i, column in ipairs(columns) do
         if column.cut and widths[i] > 8 and (not widest or widths[i] > widths[widest]) then widest = i end
      end
      if not widest then return end
      widths[widest], total = widths[widest] - 1, total - 1
   end
end

local function cell(text, column, width)
   if column.cut == "front" then
      text = M.cut_front(text, width)
   elseif column.cut then
      text = M.cut(text, width)
   else
      text = M.cut(text, M.WIDTH)
   end
   return pad(text, width, column.right)
end

--- Prints rows (lists of texts) under titles: { { "task" }, { "n", right = true }, { "file", cut = "front" } }.
function M.table(columns, rows)
   local widths = widths_of(columns, rows)
   fit(columns, widths, M.WIDTH)
   local titles = {}
   for i, column in ipairs(columns) do titles[i] = column[1] end
   for n = 0, #rows do
      local row, cells = rows[n] or titles, {}
      for i, column in ipairs(columns) do cells[i] = cell(row[i], column, widths[i]) end
      M.line("  %s", table.concat(cells, "  "):match("^(.*%S)") or "")
   end
end

-- --- values ---

function M.time(nanoseconds)
   return os.date("%Y-%m-%d %H:%M:%S", nanoseconds // 1000000000)
end

--- Short: without a year that is this one.
function M.date(nanoseconds)
   local this_year = os.date("%Y", nanoseconds // 1000000000) == os.date("%Y")
   return os.date(this_year and "%m-%d %H:%M:%S" or "%Y-%m-%d %H:%M", nanoseconds // 1000000000)
end

function M.clock(nanoseconds)
   return os.date("%H:%M:%S", nanoseconds // 1000000000)
end

--- The same for programs: UTC.
function M.timestamp(nanoseconds)
   return ("%s.%03dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", nanoseconds // 1000000000), nanoseconds // 1000000 % 1000)
end

function M.seconds(from, to)
   return (to - from) / SECOND
end

function M.duration(seconds)
   return native.duration_text(math.max(0, seconds))
end

function M.count(n, what)
   if not what then return native.count_text(n) end
   if n ~= 1 then what = what:gsub("^(%a*[^aeiou%s])y$", "%1ie") .. "s" end
   return native.count_text(n) .. " " .. what
end

function M.size(bytes)
   return native.size_text(bytes)
end

--- A word for a shell: as it is, or in quotes.
function M.shell(word)
   word = tostring(word)
   if word:find("^[%w_./:=,@%%+-]+$") then return word end
   return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- { … } also when it is empty.
function M.object(t)
   return next(t) == nil and native.mr.json_decode("{}") or t
end

function M.json(value)
   native.write(native.mr.json_encode(value) .. "\n")
end

return M
