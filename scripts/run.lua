-- run.lua: mr.run: a whole job in this process, through the encoders, the grouping and the aggregates of lmr run.
-- Each step is one map task and its reduces over files in a temporary directory.
local _, native = ...
local job_module = require "mr.job"

local SEED = 0
local SORT_BUFFER = 16 << 20

local function write(path, text)
   local file = assert(io.open(path, "wb"))
   assert(file:write(text))
   assert(file:close())
end

local function is_whole(input)
   return input == "whole" or type(input) == "table" and input.format == "whole"
end

local function assignment(run, fields)
   local all = { seed = run.seed, attempt = 0, serial = 0, durable = false, sides = run.sides,
      side_prefix = run.dir .. "/side-" }
   for key, value in pairs(fields) do all[key] = value end
   return all
end

local function plain_input(input)
   if job_module.reader_of(input) then return { format = "lua" } end
   return input
end

-- --- inputs ---

local function parts_of(paths)
   local parts = native.plan(paths)
   for _, part in ipairs(parts) do part.input = 0 end
   return parts
end

-- Lines become a file, or one each for whole files; pairs a pair run.
local function given_inputs(run, inputs, spec)
   if type(inputs[1]) == "table" then
      local path = run.dir .. "/inputs.pairs"
      native.write_pairs(path, inputs)
      return { parts = parts_of { path }, inputs = { { input = nil } }, pairs = true }
   end
   local texts, paths = {}, {}
   for i, text in ipairs(inputs) do
      if type(text) ~= "string" then error("mr.run: inputs are lines, or all of them { key, value } pairs", 0) end
      texts[i] = text
   end
   if is_whole(spec) then
      for i, text in ipairs(texts) do
         paths[i] = ("%s/input-%06d"):format(run.dir, i)
         write(paths[i], text)
      end
   else
      paths[1] = run.dir .. "/input-000001"
      write(paths[1], #texts > 0 and table.concat(texts, "\n") .. "\n" or "")
   end
   return { parts = parts_of(paths), inputs = { { input = plain_input(spec) } }, pairs = false }
end

-- Without `inputs`: the files the job names.
local function job_inputs(job)
   local paths, inputs = {}, {}
   for i, entry in ipairs(type(job.input_files) == "string" and { job.input_files } or job.input_files or {}) do
      local path = type(entry) == "table" and entry.path or entry
      local spec = type(entry) == "table" and entry.input or job.input
      paths[i] = path
      inputs[i] = { input = plain_input(spec), tag = type(entry) == "table" and entry.tag or nil, entry = i - 1 }
   end
   if #paths == 0 then error("mr.run: no inputs: give it { inputs = { … } }, or the job input_files", 0) end
   return { parts = native.plan(paths), inputs = inputs, pairs = false }
end

local function build_side(run, name, fields)
   fields.name, fields.index = name, ("%s/%s-%d.side"):format(run.dir, name, run.round_number)
   native.run_side(assignment(run, fields), {})
   run.sides[name] = fields.index
end

local function build_sides(run, job)
   for name, side in pairs(job.side_files or {}) do
      if type(side) == "string" then side = { path = side } end
      local parts = native.plan { side.path }
      build_side(run, name, { parts = parts, inputs = { { input = side.input } }, key = side.key })
   end
end

-- --- counters ---

-- Integers become a float when their sum is no integer any more.
local function add(a, b)
   local sum = a + b
   if math.type(sum) == "integer" and (a ~ sum) & (b ~ sum) < 0 then return a + 0.0 + b end
   return sum
end

local function add_counters(total, more)
   for group, names in pairs(more) do
      total[group] = total[group] or {}
      for name, n in pairs(names) do total[group][name] = add(total[group][name] or 0, n) end
   end
end

-- --- one step, or one round of it ---

local function partitions_of(step)
   if step.reducers == 0 then return 0 end
   return step.total_order and 1 or step.reducers or 1
end

local function prefix(run, kind, i)
   local id = ("%s_%d"):format(kind, i)
   if run.round > 0 then return ("%d.%d:%s"):format(run.step, run.round, id) end
   return run.steps > 1 and ("%d:%s"):format(run.step, id) or id
end

local function task(run, kind, i, fields)
   fields.task, fields.kind, fields.step, fields.round = prefix(run, kind, i), kind, run.step, run.round
   fields.previous = run.previous
   return assignment(run, fields)
end

-- Returns the pair runs the step wrote, in the order of its partitions, and its counters.
local function run_once(run, step, resolved, source)
   run.round_number = run.round_number + 1
   local base = ("%s/%d"):format(run.dir, run.round_number)
   local partitions, counters, outputs = partitions_of(step), {}, {}
   local result = native.run_map(task(run, "map", 0, {
      parts = source.parts, inputs = source.inputs, pairs = source.pairs, partitions = partitions,
      sort_buffer = SORT_BUFFER, group_by = step.group_by or 0, run = base .. ".run", part = base .. ".part",
      output = "pairs" }), resolved)
   add_counters(counters, result.counters)
   if partitions == 0 then return { base .. ".part" }, counters end
   for i = 0, partitions - 1 do
      outputs[i + 1] = ("%s-%d.part"):format(base, i)
      result = native.run_reduce(task(run, "reduce", i, {
         runs = { base .. ".run" }, partition = i, group_by = step.group_by or 0, fan_in = 0,
            temporary = base .. ".tmp-",
         part = outputs[i + 1], output = "pairs" }), resolved)
      add_counters(counters, result.counters)
   end
   return outputs, counters
end

local function pairs_source(outputs)
   return { parts = parts_of(outputs), inputs = { { input = nil } }, pairs = true }
end

local function iterate(run, step, resolved, source, total)
   local input, outputs, before = source, nil, nil
   for round = 1, step.max_rounds or 1000 do
      run.round = round
      local counters
      outputs, counters = run_once(run, step, resolved, input)
      add_counters(total, counters)
      if step.stop_when and step.stop_when(round, counters, before) then break end
      if step.reread then
         build_side(run, "previous", pairs_source(outputs))
      else
         input = pairs_source(outputs)
      end
      before = counters
      run.previous = { round = round, counters = counters }
   end
   run.round, run.previous = 0, nil
   return outputs
end

local function run_steps(run, job, source)
   local steps, total, outputs = job_module.steps(job), {}, nil
   run.steps = #steps
   for i, step in ipairs(steps) do
      run.step, run.round, run.previous = i, 0, nil
      local resolved = job_module.resolve(job, i)
      if job_module.is_iteration(step) then
         outputs = iterate(run, step, resolved, source, total)
      else
         local counters
         outputs, counters = run_once(run, step, resolved, source)
         add_counters(total, counters)
      end
      source = pairs_source(outputs)
   end
   local result = {}
   for _, path in ipairs(outputs) do native.read_pairs(path, result) end
   return result, total
end

local option_names = { inputs = true, args = true, seed = true }

return function(job, options)
   if type(job) ~= "table" or getmetatable(job) ~= native.Job then
      error("mr.run takes a job: mr.run(mr.job { … }, { inputs = … })", 3)
   end
   if options ~= nil and type(options) ~= "table" then error("mr.run takes a job and { inputs = … }", 3) end
   options = options or {}
   if options.inputs ~= nil and type(options.inputs) ~= "table" then
      error("mr.run: inputs must be a list of lines, or of { key, value } pairs", 3)
   end
   if options.args ~= nil and not native.arguments_of[job] then
      error("mr.run: the job takes no arguments; it does not call mr.args", 3)
   end
   for key in pairs(options) do
      if not option_names[key] then
         error(("mr.run: unknown option '%s'; it has: args, inputs, seed"):format(tostring(key)), 3)
      end
   end
   local run = { dir = native.temporary(), sides = {}, seed = options.seed or job.seed or SEED, step = 1, round = 0,
                 round_number = 0 }
   local ok, result, counters = pcall(function()
      job_module.check(job)
      if options.args then native.arguments_of[job](options.args) end
      require "mr.describe".validate(job)
      build_sides(run, job)
      local source = options.inputs and given_inputs(run, options.inputs, job.input) or job_inputs(job)
      return run_steps(run, job, source)
   end)
   native.remove(run.dir)
   if options.args then native.arguments_of[job](native.args or {}) end
   if not ok then error(result, 0) end
   return result, counters
end
