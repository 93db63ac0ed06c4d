--- What the specs of the examples share.
local assert = require "luassert"
local h = require "spec.helper"

local support = { texts = "examples/data/*.txt" }

local function run(name, options, extra)
   local args = { "run", "examples/" .. name .. ".lua" }
   for _, input in ipairs(options.inputs or {}) do args[#args + 1] = input end
   for _, word in ipairs { "--quiet", table.unpack(extra) } do args[#args + 1] = word end
   if options.args then
      args[#args + 1] = "--"
      for _, word in ipairs(options.args) do args[#args + 1] = word end
   end
   local result = h.run(args)
   assert.are.equal("", result.err)
   assert.are.equal(0, result.code)
   return result.out
end

--- Runs an example as a reader would, and cut into splits of `split` bytes with one and with three workers,
-- which must give the same bytes. Returns the lines of the first and those of the cut run: the same too, unless
-- `floats` says that sums of floats may differ in their last bits.
function support.run(name, options)
   local whole = run(name, options, {})
   local cut = { "--profile", "testing", "--split-size", options.split }
   local one = run(name, options, { "--workers", "1", table.unpack(cut) })
   local three = run(name, options, { "--workers", "3", table.unpack(cut) })
   assert.is_true(one == three, name .. ": 1 and 3 workers give different bytes")
   assert.is_true(options.floats or whole == one, name .. ": cutting the input changed the output")
   return h.lines(whole), h.lines(one)
end

--- The lines that a shell command prints, sorted bytewise when `sorted`.
function support.oracle(script, sorted)
   local result = h.sh("set -e; export LC_ALL=C; " .. script)
   assert.are.equal("", result.err)
   assert.are.equal(0, result.code)
   local lines = h.lines(result.out)
   if sorted then table.sort(lines) end
   return lines
end

function support.sorted(lines)
   local copy = table.move(lines, 1, #lines, 1, {})
   table.sort(copy)
   return copy
end

--- Compares long lists of lines; tells the first difference and not both lists.
function support.same_lines(expected, found)
   for i = 1, math.max(#expected, #found) do
      if expected[i] ~= found[i] then
         error(("line %d: expected %q, found %q (%d and %d lines)"):format(
            i, tostring(expected[i]), tostring(found[i]), #expected, #found), 2)
      end
   end
   assert.is_true(#expected > 0)
end

--- Rows of a file without quoting: lists of strings.
function support.rows(path, separator)
   local rows = {}
   for _, line in ipairs(h.lines(assert(h.read(path)))) do
      local row = {}
      for field in (line .. separator):gmatch("(.-)" .. separator) do row[#row + 1] = field end
      rows[#rows + 1] = row
   end
   return rows
end

return support
