--- What the specs of the job API share.
local h = require "spec.helper"

local support = {}

--- Writes a job `mr.job { BODY }` (with `before` above it) into a directory of its own; returns its path and directory.
function support.job(body, before, dir)
   dir = dir or h.tmpdir()
   local text = ('local mr = require "mr"\n%s\nreturn mr.job { job_name = "spec",\n%s }\n'):format(before or "", body)
   return h.write(dir, "job.lua", text), dir
end

--- Runs a job over an input text. A record that fails is not put aside (unless `args` say otherwise): it fails the job
-- at once, with a message of its own.
-- options: before, args (list), input (text; else "1\n" … "20\n"), files = { name = text }
function support.run(body, options)
   options = options or {}
   local path, dir = support.job(body, options.before)
   for name, text in pairs(options.files or {}) do h.write(dir, name, text) end
   local input = h.write(dir, "input.txt", options.input or support.numbers(20))
   local args = { "run", "--quiet", path, input, "--set", "retry.base_delay_seconds=0.05",
      "--set", "limits.max_quarantined=0" }
   for _, word in ipairs(options.args or {}) do args[#args + 1] = word end
   local result = h.run(args, { dir = dir })
   result.dir = dir
   return result
end

--- The output of a job that must end well and say nothing.
function support.output(body, options)
   local result = support.run(body, options)
   if result.code ~= 0 or result.err ~= "" then
      error(("exit code %s: %s"):format(tostring(result.code), result.err), 2)
   end
   return result.out
end

function support.numbers(n)
   local list = {}
   for i = 1, n do list[i] = i .. "\n" end
   return table.concat(list)
end

return support
