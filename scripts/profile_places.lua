-- profile_places.lua: where in a Lua text a key of a nested table is set: "retry.max_retries" → its line. A profile
-- is run, not parsed, so this is a reader's guess by tokens; it finds what is written as one nested table.
local M = {}

local openers = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local closers = { ["end"] = true, ["until"] = true }

-- What may stand at a place of a text, in the order of trial: pattern, kind. The first capture is kept.
local patterns = {
   { "^%-%-%[(=*)%[", "long comment" }, { "^%-%-[^\n]*", "space" }, { "^%s+", "space" }, { "^%[(=*)%[", "long string" },
   { "^[%a_][%w_]*", "name" }, { "^%d[%w.]*", "number" }, { "^[=~<>]=", "symbol" }, { "^.", "symbol" },
}

-- The end of a quoted string that starts at `at`.
local function quoted(text, at)
   local quote, i = text:sub(at, at), at + 1
   while i <= #text do
      local c = text:sub(i, i)
      if c == quote then return i end
      i = i + (c == "\\" and 2 or 1)
   end
   return #text
end

local function token_at(text, at)
   local c = text:sub(at, at)
   if c == '"' or c == "'" then
      local last = quoted(text, at)
      return last, "string", text:sub(at + 1, last - 1)
   end
   for _, pattern in ipairs(patterns) do
      local first, last, level = text:find(pattern[1], at)
      if first and level then
         local _, close = text:find("]" .. level .. "]", last + 1, true)
         return close or #text, pattern[2] == "long string" and "string" or "space", ""
      elseif first then
         return last, pattern[2], text:sub(first, last)
      end
   end
end

-- The tokens that are no space: { kind, text, line }.
local function tokens(text)
   local list, at, line = {}, 1, 1
   while at <= #text do
      local last, kind, word = token_at(text, at)
      if kind ~= "space" then list[#list + 1] = { kind = kind, text = word, line = line } end
      local _, breaks = text:sub(at, last):gsub("\n", "")
      line, at = line + breaks, last + 1
   end
   return list
end

-- The key whose value starts at token i: `key =` or `["key"] =` before it, and where it stands.
local function key_before(list, i)
   if i < 3 or list[i - 1].text ~= "=" or list[i - 1].kind ~= "symbol" then return nil end
   local before = list[i - 2]
   if before.kind == "name" then return before.text, before.line end
   if before.text == "]" and i >= 5 and list[i - 3].kind == "string" and list[i - 4].text == "[" then
      return list[i - 3].text, list[i - 3].line
   end
   return nil
end

local function path_of(stack, key)
   local names = {}
   for _, one in ipairs(stack) do
      if one.key then names[#names + 1] = one.key end
   end
   names[#names + 1] = key
   return table.concat(names, ".")
end

local function push(stack, key, block)
   local parent = stack[#stack]
   local code = parent ~= nil and (parent.code or block and not parent.block)
   stack[#stack + 1] = { key = key, block = block, code = code }
end

-- One token: notes a key whose value starts here, and keeps the stack of open tables and blocks. What stands in the
-- body of a function within a table is code, and sets nothing of the profile.
local function step(lines, stack, list, i)
   local token = list[i]
   local key, line = key_before(list, i)
   if key and not (#stack > 0 and stack[#stack].code) then
      local path = path_of(stack, key)
      lines[path] = lines[path] or line
   end
   if token.kind == "symbol" and token.text == "{" then
      push(stack, key, false)
   elseif token.kind == "name" and openers[token.text] then
      push(stack, nil, true)
   elseif token.kind == "symbol" and token.text == "}" or token.kind == "name" and closers[token.text] then
      stack[#stack] = nil
   end
end

-- All keys of a text: { ["retry.max_retries"] = line, … }, the first of several.
function M.lines(text)
   local lines, stack, list = {}, {}, tokens(text)
   for i = 1, #list do step(lines, stack, list, i) end
   return lines
end

-- The line of `path` in what M.lines gave, wherever its outermost table stands; nil when it is not found.
function M.find(lines, path)
   if lines[path] then return lines[path] end
   local found
   for known, line in pairs(lines) do
      if known:sub(-#path - 1) == "." .. path and (not found or line < found) then found = line end
   end
   return found
end

return M
