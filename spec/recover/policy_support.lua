-- What the specs of the policy host share: jobs with policy functions, and scripts for spec/tools/policy_probe.c.
local h = require "spec.helper"
local json = require "cjson"

local M = { probe = h.tool "policy_probe" }

-- Types that a job declares sort before all others, so the functions of on_error.a01, a02 … are number 1, 2 …
local function type_name(i)
   return ("a%02d"):format(i)
end

-- A job and a profile whose on_error has one function for each text (with in_job, the job's own `recovery` has them,
-- which may use all of Lua); line 4 of the profile has the first. Returns the config and the folder.
function M.setup(bodies, options)
   options = options or {}
   local dir, types, rules = h.tmpdir(), {}, {}
   for i, body in ipairs(bodies) do
      types[i] = ("%q"):format(type_name(i))
      rules[i] = ("      %s = function(err, ctx) %s end,\n"):format(type_name(i), body)
   end
   local on_error = ("on_error = {\n%s   },\n"):format(table.concat(rules))
   local job = h.write(dir, "job.lua", ([[
local mr = require "mr" return mr.job { map = function(_, line, emit) emit(line, 1) end, error_types = { %s },
   recovery = {
   %s} }
]]):format(table.concat(types, ", "), options.in_job and on_error or options.recovery or ""))
   if options.in_job then return { job = job }, dir end
   return { job = job, profile = h.write(dir, "my.lua", ("return {\n   %s\n   %s}\n"):format(options.profile or "",
      on_error)) }, dir
end

function M.run(steps)
   local result = h.run({}, { binary = M.probe, stdin = M.lines(steps) })
   if result.code ~= 0 or result.err ~= "" then
      error(("the probe ended with %s: %s%s"):format(result.code or result.signal, result.out, result.err), 2)
   end
   local said = { answers = {}, loads = {}, order = {} }
   for _, line in ipairs(h.lines(result.out)) do
      local one = json.decode(line)
      if one.id then
         said.answers[one.id] = one
         said.order[#said.order + 1] = one.id
      elseif one.turns then
         said.turns = one.turns
      else
         said.loads[#said.loads + 1] = one
      end
   end
   return said
end

function M.ask(id, number, more)
   local step = { ["do"] = "ask", id = id, ["function"] = number or id, task = "map_0",
                  err = { type = "a01", message = "boom" } }
   for key, value in pairs(more or {}) do step[key] = value end
   return step
end

M.WAIT = { ["do"] = "wait" }

-- No limit of Lua stops this one.
M.HANG = "return ('a'):rep(40):find(('a*'):rep(30) .. 'b')"

-- Steps of the probe.
function M.config(config, profile)
   return { ["do"] = "config", config = config, profile = profile }
end

function M.load(config, previous)
   return { ["do"] = "load", config = config, previous = previous }
end

function M.lines(steps)
   local lines = {}
   for i, step in ipairs(steps) do lines[i] = json.encode(step) end
   return table.concat(lines, "\n") .. "\n"
end

return M
