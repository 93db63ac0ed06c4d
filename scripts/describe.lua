-- describe.lua: validates a job and makes its description: the plain data the driver plans with (see attempt.h).
local _, native = ...
local job_module = require "mr.job"
local mr = require "mr"
local validate = require "mr.validate"

local REDUCERS_MAX = 65536
local NAME_MAX = 64

-- --- validators of a job's values ---

local function job_name(value)
   if type(value) ~= "string" or #value > NAME_MAX or not value:match("^[%w_][%w_.-]*$") then
      return nil, "a name of letters, digits, '_', '-' and '.', at most 64 of them"
   end
   return value
end

local function map(value)
   if value == mr.word_mapper or type(value) == "function" then return value end
   return nil, "a function(key, value, emit), or mr.word_mapper"
end

local function fold(value)
   if type(value) == "function" or getmetatable(value) == native.Reducer then return value end
   return nil, "a function(key, values, emit), or a declared reducer such as mr.sum"
end

local function callable(arguments)
   return function(value)
      if type(value) ~= "function" then return nil, "a function(" .. arguments .. ")" end
      return value
   end
end

local reader = {
   open = callable "path, from, to", next = callable "handle", save = callable "handle",
   restore = callable "handle, saved",
}

local function lua_reader(value, context)
   if type(value.reader) ~= "table" then return nil, "a table with a reader = { open = …, next = … }" end
   validate.check(context, value.reader, reader, "the reader")
   if not value.reader.open or not value.reader.next then
      context.fail("reader", "a reader needs open(path, from, to) and next(handle)")
   end
   for key in pairs(value) do
      if key ~= "reader" and key ~= "format" then
         context.fail(tostring(key), "an input with a reader has no '%s'", tostring(key))
      end
   end
   if value.format ~= nil and value.format ~= "lua" then return nil, "of format \"lua\" when it has a reader" end
   return { format = "lua", resumable = value.reader.save ~= nil and value.reader.restore ~= nil }
end

-- An input's spec as plain data.
local function input(value, context)
   if type(value) == "table" and (value.reader ~= nil or value.format == "lua") then
      return lua_reader(value, context)
   end
   if type(value) ~= "string" and type(value) ~= "table" then
      return nil, "a format's name or a table { format = … }"
   end
   local problem = native.check_input(value)
   if problem then context.fail("input", "%s", problem) end
   return value
end

local function output(value, context)
   if type(value) ~= "string" and type(value) ~= "table" then
      return nil, "a format's name or a table { format = … }"
   end
   local problem = native.check_output(value)
   if problem then context.fail("output", "%s", problem) end
   if value == "pairs" or type(value) == "table" and value.format == "pairs" then
      context.fail("output", "output format \"pairs\" is between steps only")
   end
   return value
end

local entry_keys = { path = validate.string, input = input, map = map, tag = validate.string }

local function input_entry(context, entry)
   if type(entry) == "string" then return { path = entry, has_map = false } end
   if type(entry) ~= "table" then
      context.fail("input_files",
         "input_files: an entry is a %s; it must be a path or { path = …, input = …, map = …, tag = … }",
         type(entry))
   end
   local kept = validate.check(context, entry, entry_keys, "an entry of input_files")
   if not kept.path then context.fail("input_files", "input_files: an entry has no path") end
   return { path = kept.path, input = kept.input, tag = kept.tag, has_map = kept.map ~= nil }
end

local function input_files(value, context)
   if type(value) == "string" then value = { value } end
   if type(value) ~= "table" then return nil, "a list of paths" end
   if next(value) == nil then
      context.fail("input_files", "input_files is empty; name a file, or leave it out and name some to lmr run")
   end
   local entries = {}
   for key in pairs(value) do
      if math.type(key) ~= "integer" or key < 1 or key > #value then return nil, "a list of paths" end
   end
   for i = 1, #value do entries[i] = input_entry(context, value[i]) end
   return entries
end

local side_keys = { path = validate.string, input = input, key = validate.string }

local function side_files(value, context)
   if type(value) ~= "table" then
      return nil, "a table: side_files = { users = { path = …, input = \"csv\", key = \"id\" } }"
   end
   local sides = {}
   for _, name in ipairs(validate.sorted_keys(value)) do
      local entry = value[name]
      if type(entry) == "string" then entry = { path = entry } end
      if type(entry) ~= "table" then
         context.fail(name, "side_files: %s must be a table { path = …, input = …, key = … }", name)
      end
      local side = validate.check(context, entry, side_keys, "side file " .. name)
      if not side.path then context.fail(name, "side file %s has no path", name) end
      side.name = name
      sides[#sides + 1] = side
   end
   return sides
end

local built_in_types = {
   "task_crash", "network_failure", "disk_full", "memory_error", "timeout", "data_corruption",
   "script_error", "bad_record",
}

local function error_types(value, context)
   if type(value) ~= "table" then return nil, "a list of names" end
   for i = 1, #value do
      local name = value[i]
      if type(name) ~= "string" or not name:match("^[%a_][%w_]*$") or #name > 40 then
         return nil, "a list of names of letters, digits and '_'"
      end
      for _, known in ipairs(built_in_types) do
         if name == known then context.fail("error_types", "error_types: '%s' is a type lmr has itself", name) end
      end
      local near = native.nearest(name, built_in_types)
      if near then
         context.fail("error_types", "error_types: '%s' is too near to lmr's own '%s'; choose another name", name, near)
      end
   end
   return value
end

local step_keys = {
   map = map, combine = fold, reduce = fold, reducers = validate.integer(0, REDUCERS_MAX),
   partition = callable "key, n", group_by = validate.integer(0, 16), total_order = validate.boolean,
   init = callable "task", finish = callable "emit, state",
}

local iterate_keys = {
   max_rounds = validate.integer(1, 1000000), stop_when = callable "round, counters, previous",
   reread = validate.boolean,
}
for key, validator in pairs(step_keys) do iterate_keys[key] = validator end

local job_keys = {
   job_name = job_name, input_files = input_files, input = input, output = output, side_files = side_files,
   error_types = error_types, split_size = validate.size(1), sort_buffer = validate.size(1),
   seed = validate.integer(math.mininteger), recovery = validate.or_false(validate.table),
   steps = validate.table, iterate = validate.table,
}
for key, validator in pairs(step_keys) do job_keys[key] = validator end

-- --- steps ---

local function describe_fold(context, key, value)
   if value == nil then return nil end
   if type(value) == "function" then return "lua" end
   local problem = native.check_reducer(value.declaration)
   if problem then context.fail(key, "%s: %s", key, problem) end
   return value.declaration
end

local function same(a, b)
   if type(a) ~= "table" or type(b) ~= "table" then return a == b end
   for key, value in pairs(a) do
      if not same(value, b[key]) then return false end
   end
   for key in pairs(b) do
      if a[key] == nil then return false end
   end
   return true
end

-- Two declarations that say the same; a function in them must be the same one.
local function same_reducer(a, b)
   return a == b or getmetatable(a) == getmetatable(b) and same(a.declaration, b.declaration) and a.by == b.by
end

local function check_folds(context, step, name)
   local combine, reduce = step.combine, step.reduce
   if combine ~= nil and type(combine) ~= "function" and not same_reducer(combine, reduce) then
      local wanted = tostring(combine)
      context.fail("combine", "%s: combine = %s needs reduce = %s, the same one", name, wanted, wanted)
   end
   if step.reducers == 0 and (combine ~= nil or reduce ~= nil) then
      context.fail("reducers", "%s: reducers = 0 is map only; leave out combine and reduce", name)
   end
   if step.total_order and step.partition then
      context.fail("total_order", "%s: total_order chooses partitions itself; leave out partition", name)
   end
   if step.total_order and step.reducers == 0 then
      context.fail("total_order", "%s: total_order needs reducers; with reducers = 0 nothing is sorted", name)
   end
end

local function every_input_has_a_map(inputs)
   if not inputs or #inputs == 0 then return false end
   for _, entry in ipairs(inputs) do
      if not entry.has_map then return false end
   end
   return true
end

local function describe_iteration(context, step, name)
   if step.reducers == 0 then context.fail("reducers", "%s: an iteration cannot be map only", name) end
   if not step.max_rounds and not step.stop_when then
      context.fail("iterate", "%s: mr.iterate needs max_rounds or stop_when", name)
   end
   return { max_rounds = step.max_rounds or 1000, has_stop_when = step.stop_when ~= nil, reread = step.reread or false }
end

local function describe_step(context, step, name, inputs)
   if type(step) ~= "table" then
      context.fail("steps", "%s is a %s; it must be a table { map = …, reduce = … }", name, type(step))
   end
   local iterates = job_module.is_iteration(step)
   if getmetatable(step) ~= native.Job then
      validate.check(context, step, iterates and iterate_keys or step_keys, name)
   end
   if not step.map and not every_input_has_a_map(inputs) then
      context.fail("mr.job", "%s has no map: add map = function(key, value, emit) … end", name)
   end
   check_folds(context, step, name)
   return {
      has_map = step.map ~= nil, combine = describe_fold(context, "combine", step.combine),
      reduce = describe_fold(context, "reduce", step.reduce), reducers = step.reducers,
      has_partition = step.partition ~= nil, group_by = step.group_by or 0, total_order = step.total_order or false,
      iterate = iterates and describe_iteration(context, step, name) or nil,
   }
end

local function check_steps(context, job)
   if job.steps and job.iterate then
      context.fail("iterate", "the job has steps and iterate; put mr.iterate { … } into steps")
   end
   if job.iterate and getmetatable(job.iterate) ~= native.Iterate then
      context.fail("iterate", "iterate must be what mr.iterate { … } returns")
   end
   if not job.steps then return end
   if #job.steps == 0 then context.fail("steps", "steps must be a list of at least one step") end
   for _, key in ipairs(job_module.step_keys) do
      if job[key] ~= nil then context.fail(key, "the job has steps; move %s into one of them", key) end
   end
end

local function describe_steps(context, job, inputs)
   check_steps(context, job)
   local steps = {}
   for i, step in ipairs(job_module.steps(job)) do
      local name = job.steps and ("step %d"):format(i) or "the job"
      steps[i] = describe_step(context, step, name, i == 1 and inputs or nil)
   end
   return steps
end

-- --- the description ---

local function base_name(path)
   local name = path:match("([^/]*)$"):gsub("%.lua$", ""):gsub("[^%w_.-]", "_"):sub(1, NAME_MAX)
   return name:match("^[%w_]") and name or "job"
end

local function plain_args()
   local args = {}
   for key, value in pairs(native.effective_args or {}) do args[tostring(key)] = value end
   return args
end

local M = {}

-- The same checks for mr.run; raises what is wrong.
function M.validate(job)
   local context = validate.context(job_module.path)
   local kept = validate.check(context, job, job_keys, "the job")
   describe_steps(context, job, kept.input_files)
end

function M.describe(job, assignment)
   local path = job_module.path
   local context = validate.context(path, assignment.job and native.read(assignment.job))
   local kept = validate.check(context, job, job_keys, "the job")
   local profile = require "mr.profile"
   local effective, warnings = profile.load { name = assignment.profile, recovery = job.recovery, set = assignment.set,
                                              error_types = kept.error_types }
   local steps = describe_steps(context, job, kept.input_files)
   return {
      job_name = kept.job_name or base_name(path == "-m" and "one_liner" or path),
      job_dir = assignment.job and (assignment.job:match("^(.*)/[^/]*$") or ".") or ".",
      inputs = kept.input_files or {}, default_input = kept.input, output = kept.output,
      steps = steps, side_files = kept.side_files or {},
      error_types = kept.error_types or {}, split_size = kept.split_size, sort_buffer = kept.sort_buffer,
      seed = kept.seed, args = plain_args(), profile = effective, warnings = warnings,
      fingerprints = require "mr.fingerprint" (job, kept),
   }
end

return M
