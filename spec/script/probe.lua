-- Runs assignments through script_probe, without a driver.
local cjson = require "cjson"
local h = require "spec.helper"

local probe = {}

--- Runs a list of assignments in one process; returns the list of results ({ error = … } for a failed one).
function probe.run(assignments, dir)
   local lines, results = {}, {}
   for i, one in ipairs(assignments) do lines[i] = cjson.encode(one) end
   local stdin = table.concat(lines, "\n") .. "\n"
   local result = h.run({}, { binary = h.tool("script_probe"), stdin = stdin, dir = dir })
   assert(result.code == 0, result.err)
   for i, line in ipairs(h.lines(result.out)) do results[i] = cjson.decode(line) end
   return results
end

--- The description of a job text, or its error.
function probe.describe(text, options)
   options = options or {}
   local dir = options.dir or h.tmpdir()
   h.write(dir, "job.lua", text)
   local assignment = { kind = "describe", task = "describe", job = "job.lua", args = options.args,
                        profile = options.profile, set = options.set }
   return probe.run({ assignment }, dir)[1]
end

--- One map attempt of a job text over an input text; `fields` are added to the assignment.
function probe.map(text, input, fields)
   local dir = h.tmpdir()
   h.write(dir, "job.lua", text)
   h.write(dir, "in.txt", input)
   local assignment = { kind = "map", task = "map_0", job = "job.lua", partitions = 0, part = "part", output = "text",
                        seed = 1, inputs = { { entry = 0 } },
                        parts = { { path = "in.txt", from = 0, to = #input, size = #input, input = 0 } } }
   for key, value in pairs(fields or {}) do assignment[key] = value end
   local result = probe.run({ assignment }, dir)[1]
   result.text = h.exists(dir .. "/part") and h.read(dir .. "/part") or nil
   return result
end

--- A job whose map is `body` (line 3), of the arguments key, value, emit and state.
function probe.job(body, more)
   return ('local mr = require "mr"\nreturn mr.job { %s map = function(key, value, emit, state)\n%s\nend }')
      :format(more or "", body)
end

return probe
