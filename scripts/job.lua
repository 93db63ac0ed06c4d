-- job.lua: from what a job file returned to what an attempt calls. Loaded in every attempt, so it is short;
-- validation and the description are in describe.lua.
local _, native = ...
local mr = require "mr"

local M = {}

-- What the job has for a step; in a job with `steps` each of them has these.
M.step_keys = { "map", "combine", "reduce", "reducers", "partition", "group_by", "total_order", "init", "finish" }

function M.usage(format, ...)
   error(setmetatable({ type = "usage", message = format:format(...) }, native.failure), 0)
end

local function keep_error_types(job)
   local names, known = {}, {}
   for _, name in ipairs(type(job.error_types) == "table" and job.error_types or {}) do
      names[#names + 1] = name
      known[name] = true
   end
   native.error_types, native.error_type_names = known, names
end

-- The job a file returned, or a message that says what to return.
function M.check(result, path)
   if type(result) == "table" and getmetatable(result) == native.Job then
      keep_error_types(result)
      M.path = path
      return result
   end
   local what = result == nil and "nothing" or "a " .. (type(result) == "table" and "plain table" or type(result))
   M.usage("%s returned %s; a job file ends with: return mr.job { map = …, reduce = … }", path, what)
end

local function merged_iteration(job)
   local step = {}
   for _, key in ipairs(M.step_keys) do step[key] = job[key] end
   for key, value in pairs(job.iterate) do step[key] = value end
   return setmetatable(step, native.Iterate)
end

-- The job's steps: those it lists, or the one it is itself.
function M.steps(job)
   if job.steps then return job.steps end
   if job.iterate then return { merged_iteration(job) } end
   return { job }
end

function M.is_iteration(step)
   return getmetatable(step) == native.Iterate
end

local function map_words(_, value, emit)
   for word in mr.words(value) do emit(word, 1) end
end

local function map_of(f)
   if f == mr.word_mapper then return map_words end
   return f
end

-- combine or reduce: its declaration and nil, or "lua" and the function.
local function fold(f)
   if f == nil then return nil, nil end
   if getmetatable(f) == native.Reducer then return f.declaration, nil end
   return "lua", f
end

-- The reader in Lua of an input, if it has one.
function M.reader_of(input)
   return type(input) == "table" and input.reader or nil
end

local function add_inputs(job, resolved)
   for i, entry in ipairs(type(job.input_files) == "table" and job.input_files or {}) do
      if type(entry) == "table" then
         resolved.maps[i] = map_of(entry.map)
         resolved.readers[i] = M.reader_of(entry.input)
      end
   end
end

-- Step number n as C takes it (see job.h).
function M.resolve(job, n)
   local step = M.steps(job)[n]
   if not step then M.usage("the job has no step %d", n) end
   local resolved = { maps = {}, readers = { [0] = M.reader_of(job.input) }, output = job.output,
                      partition = step.partition, init = step.init, finish = step.finish, stop_when = step.stop_when }
   resolved.map = map_of(step.map)
   resolved.word_mapper = step.map == mr.word_mapper or nil
   resolved.combine, resolved.combine_function = fold(step.combine)
   resolved.reduce, resolved.reduce_function = fold(step.reduce)
   resolved.by = getmetatable(step.reduce) == native.Reducer and step.reduce.by or nil
   if n == 1 then add_inputs(job, resolved) end
   return resolved
end

-- A one-liner: { map = code, reduce = code or the name of a reducer }.
local function compile(code, name, arguments)
   local ok, message = load(code, "=" .. name)
   if not ok then M.usage("%s", message) end
   return load(("return function(%s) %s\nend"):format(arguments, code), "=" .. name)()
end

local names = { "sum", "count", "min", "max", "mean", "first", "last", "list", "distinct" }
local named = {}
for _, name in ipairs(names) do named[name] = true end

-- A word alone is no Lua: a reducer's name was meant.
local function check_name(word)
   if not word:find("^[%a_][%w_]*$") or load(word) then return end
   local near = native.nearest(word, names)
   M.usage("no reducer '%s'; %s", word, near and ("is it '%s'?"):format(near)
      or "there are " .. table.concat(names, ", ") .. ", or give the body of function(key, values, emit)")
end

function M.one_liner(code)
   local job = { job_name = "one_liner" }
   _G.mr = mr
   if code.map then job.map = compile(code.map, "-m", "key, value, emit") end
   if named[code.reduce] then
      job.combine, job.reduce = mr[code.reduce], mr[code.reduce]
   elseif code.reduce then
      check_name(code.reduce)
      job.reduce = compile(code.reduce, "-r", "key, values, emit")
   end
   M.path = "-m"
   return mr.job(job)
end

return M
