-- A reader in Lua: its parts of a file, its place beside other inputs, what map is told. The oracle is plain Lua.
local assert = require "luassert"
local api = require "spec.script.support"
local h = require "spec.helper"

-- Reads lines; a line belongs to the split in which it begins.
local LINES = [[
local function open(path, from, to)
   local file = assert(io.open(path, "rb"))
   local r = { file = file, at = from, to = to }
   if from > 0 then
      file:seek("set", from - 1)
      r.at = from - 1 + #file:read("L")
   end
   return r
end
local function next_line(r)
   if r.at >= r.to then return nil end
   r.file:seek("set", r.at)
   local line = r.file:read("L")
   if not line then return nil end
   local at = r.at
   r.at = at + #line
   return at, (line:gsub("\n$", ""))
end
local function save(r) return r.at end
local function restore(r, at) r.at = at end
]]

local function text(n)
   local lines = {}
   for i = 1, n do lines[i] = ("%d%s"):format(i, ("x"):rep(i * 7 % 50)) end
   return table.concat(lines, "\n") .. "\n"
end

local function maps(result)
   return tonumber(result.out:match('"map_tasks":(%d+)'))
end

describe("a reader in Lua", function()
   local input = text(2000)
   local MAP = "map = function(at, line, emit) emit(at, line) end"
   local wanted = {}
   local at = 0
   for _, line in ipairs(h.lines(input)) do
      wanted[#wanted + 1] = at .. "\t" .. line
      at = at + #line + 1
   end

   local function run(reader)
      local result = api.run("input = { reader = " .. reader .. " }, " .. MAP,
         { before = LINES, input = input, args = { "--split-size", "4K", "-o", "out", "--json" } })
      assert.are.equal("", result.err)
      assert.are.same(wanted, h.lines(h.read(result.dir .. "/out/part-00000")))
      return maps(result)
   end

   it("gets one split a file, for nobody can go on with it elsewhere", function()
      assert.are.equal(1, run "{ open = open, next = next_line }")
      assert.are.equal(1, run "{ open = open, next = next_line, save = save }")
   end)

   it("that can save and restore its place loses and repeats nothing", function()
      assert.is_true(run "{ open = open, next = next_line, save = save, restore = restore }" > 1)
   end)

   it("stands beside other inputs, each with its tag and map", function()
      local dir = h.tmpdir()
      local path = api.job([[
         input_files = {
            { path = "a.txt", tag = "reader", input = { reader = { open = open, next = next_line } } },
            { path = "b.txt", tag = "text" },
            { path = "c.csv", input = "csv", map = function(_, row, emit) emit("csv", row.n) end },
         }, map = function(_, line, emit) emit(mr.task().tag, line) end]], LINES, dir)
      h.write(dir, "a.txt", "1\n2\n")
      h.write(dir, "b.txt", "3\n")
      h.write(dir, "c.csv", "n\n4\n")
      local result = h.run({ "run", "--quiet", path }, { dir = dir })
      assert.are.same({ 0, "", "csv\t4\nreader\t1\nreader\t2\ntext\t3\n" }, { result.code, result.err, result.out })
   end)

   it("may give values of any type, or keys alone, and is told apart by record", function()
      assert.are.equal('1\t[0,null,{"n":1}]\n2\t[1,null,{"n":2}]\n3\t[2,null,null]\n', api.output([[
         input = { reader = { open = function() return { n = 0 } end, next = function(r)
            r.n = r.n + 1
            if r.n < 3 then return r.n, { n = r.n } end
            if r.n == 3 then return 3 end
         end } },
         map = function(key, value, emit)
            local t = mr.task()
            emit(key, { t.record, t.tag or mr.null, value or mr.null })
         end]]))
   end)

   it("closes what it opened, when it can be closed", function()
      local result = api.run([[reducers = 0, map = function(_, v, emit) emit(v) end, input = { reader = {
         open = function() return setmetatable({ n = 0 }, { __close = function() io.stderr:write("closed\n") end }) end,
         next = function(r) r.n = r.n + 1 if r.n < 3 then return r.n, r.n end end } }]])
      assert.are.same({ 0, "1\n2\n", "closed\n" }, { result.code, result.out, result.err })
   end)
end)
