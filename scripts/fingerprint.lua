-- fingerprint.lua: what belongs to each stage of a job, for its fingerprints (see script/fingerprint.h). C walks from
-- there.
local _, native = ...
local job_module = require "mr.job"

local function add(list, name, value)
   if value ~= nil then list[#list + 1] = { name, value } end
end

local reader_keys = { "open", "next", "save", "restore" }

local function add_reader(roots, name, input)
   local reader = job_module.reader_of(input)
   for _, key in ipairs(reader and reader_keys or {}) do add(roots, name .. "." .. key, reader[key]) end
end

-- What the job's inputs say of themselves; where they lie is not counted here, but a path stands for its entry.
local function add_inputs(stage, job, kept)
   add_reader(stage.roots, "reader", job.input)
   add(stage.options, "option input", kept.input)
   for i, entry in ipairs(kept.input_files or {}) do
      local given = type(job.input_files) == "table" and job.input_files[i]
      if type(given) == "table" then
         add(stage.roots, "map of " .. entry.path, given.map)
         add_reader(stage.roots, "reader of " .. entry.path, given.input)
         add(stage.options, "input of " .. entry.path, entry.input)
         add(stage.options, "tag of " .. entry.path, entry.tag)
      end
   end
end

local function new_stage(job, sides)
   return { roots = {}, options = {}, sides = sides, output = job.output }
end

local function order_options(stage, step)
   if step.group_by and step.group_by ~= 0 then add(stage.options, "option group_by", step.group_by) end
   if step.total_order then add(stage.options, "option total_order", true) end
end

local function map_stage(job, kept, step, n, sides)
   local stage = new_stage(job, sides)
   for _, key in ipairs { "map", "combine", "partition", "init", "finish" } do add(stage.roots, key, step[key]) end
   order_options(stage, step)
   if n == 1 then add_inputs(stage, job, kept) end
   if step.reducers == 0 then
      add(stage.options, "option reducers", 0)
      add(stage.options, "option output", kept.output)
   end
   return native.fingerprint(stage)
end

local function reduce_stage(job, kept, step, is_last, sides)
   if step.reducers == 0 then return nil end
   local stage = new_stage(job, sides)
   for _, key in ipairs { "reduce", "init", "finish" } do add(stage.roots, key, step[key]) end
   order_options(stage, step)
   if is_last then
      add(stage.options, "option output", kept.output)
      stage.output = nil
   end
   return native.fingerprint(stage)
end

local function format_stage(kept)
   local stage = { roots = {}, options = {}, sides = {} }
   add(stage.options, "option output", kept.output)
   return native.fingerprint(stage)
end

local function stop_stage(job, step, sides)
   local stage = new_stage(job, sides)
   add(stage.roots, "stop_when", step.stop_when)
   return native.fingerprint(stage)
end

-- The side files as they are described, in tables of their own: C writes into them.
local function copied(side_files)
   local sides = {}
   for i, side in ipairs(side_files or {}) do
      sides[i] = { name = side.name, path = side.path, input = side.input, key = side.key }
   end
   return sides
end

-- `kept` is what describe.lua keeps of the job.
return function(job, kept)
   local steps, sides, result = job_module.steps(job), copied(kept.side_files), {}
   for n, step in ipairs(steps) do
      local is_last = n == #steps
      result[n] = {
         map = map_stage(job, kept, step, n, sides),
         reduce = reduce_stage(job, kept, step, is_last, sides),
         format = is_last and job_module.is_iteration(step) and format_stage(kept) or nil,
         stop = step.stop_when and stop_stage(job, step, sides) or nil,
      }
   end
   return result
end
