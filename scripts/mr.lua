-- mr.lua: the module a job requires. What runs a record is C (native.mr); this adds what declares a job.
-- Rarely used parts live in modules of their own and are loaded when they are first called.
local _, native = ...
local reducers = require "mr.reducers"

local mr = native.mr

for name, reducer in pairs(reducers) do mr[name] = reducer end

-- What marks tables as made by mr.job, mr.iterate and mr.word_mapper, for scripts/job.lua.
native.Job = { __name = "mr.job" }
native.Iterate = { __name = "mr.iterate" }

-- A whole map in C: emits (word, 1) for each word of the record, as mr.words cuts them.
mr.word_mapper = setmetatable({}, { __name = "mr.word_mapper", __tostring = function() return "mr.word_mapper" end })

local function declare(what, t, mark)
   if type(t) ~= "table" then
      error(("mr.%s takes a table: mr.%s { map = …, reduce = … }"):format(what, what), 3)
   end
   return setmetatable(t, mark)
end

-- A job -> what reads its arguments anew (see args.lua), for mr.run.
native.arguments_of = setmetatable({}, { __mode = "k" })

function mr.job(t)
   local job = declare("job", t, native.Job)
   native.arguments_of[job], native.read_arguments = native.read_arguments, nil
   return job
end

function mr.iterate(t)
   return (declare("iterate", t, native.Iterate))
end

local scalar = { string = true, number = true, boolean = true }

-- name, text, name, text, … in the order of the names.
local function details_of(options)
   local names, details = {}, {}
   for name, value in pairs(options) do
      if type(name) ~= "string" or not name:find("^[%w_]+$") then
         error(("mr.fail: %s is no name for a detail; use letters, digits and '_'"):format(tostring(name)), 3)
      end
      if not scalar[type(value)] then
         error(("mr.fail: %s is a %s; a detail can be a string, number or boolean"):format(name, type(value)), 3)
      end
      if name ~= "retry_after" then names[#names + 1] = name end
   end
   table.sort(names)
   for _, name in ipairs(names) do
      details[#details + 1] = name
      details[#details + 1] = tostring(options[name])
   end
   return details
end

-- Ends work on the record or group with an error type of the job's own (error_types = { … }); what then happens the
-- profile says: on_error.TYPE. `options`, if given, is a table for it: retry_after = seconds to wait before the task is
-- tried again, and whatever else a policy may want to look at, strings, numbers or booleans: it finds them in
-- err.details (500 bytes in all), as in
--    mr.fail("rate_limited", "the service asks to wait", { retry_after = 30, status = 429, host = host })
--    on_error = { rate_limited = function(err) if err.details.status == 403 then return "abort" end end }
function mr.fail(error_type, message, options)
   if type(error_type) ~= "string" or type(message) ~= "string" then
      error('mr.fail takes an error type and a message: mr.fail("rate_limited", "too many requests")', 2)
   end
   if native.error_types and not native.error_types[error_type] then
      local near = native.nearest(error_type, native.error_type_names)
      error(("mr.fail: '%s' is not one of the job's error_types%s"):format(error_type,
         near and (" (is it '%s'?)"):format(near) or ""), 2)
   end
   if options ~= nil and type(options) ~= "table" then
      error(("mr.fail: its third argument is a table, such as { retry_after = 30 }, got a %s"):format(type(options)), 2)
   end
   local retry_after = options and options.retry_after
   if retry_after ~= nil and (type(retry_after) ~= "number" or retry_after < 0 or retry_after ~= retry_after) then
      error("mr.fail: retry_after is a number of seconds, from 0 on", 2)
   end
   local details = options and details_of(options)
   error(setmetatable({ type = error_type, message = message, retry_after = retry_after, details = details },
      native.failure), 0)
end

-- Says that the record (in reduce: the group) at hand is no good. Never returns; what it emitted, counted and wrote is
-- undone, and it is put aside where the profile says so (on_error.bad_record = "quarantine"). What map left in its own
-- variables stays.
function mr.reject(reason)
   if type(reason) ~= "string" then error("mr.reject takes a reason: a string", 2) end
   error(setmetatable({ type = "bad_record", message = reason }, native.failure), 0)
end

local key_rank = { boolean = 1, number = 2, string = 3 }

local function key_before(a, b)
   local x, y = key_rank[type(a)], key_rank[type(b)]
   if x ~= y then return x < y end
   if x == 1 then return not a and b end
   return a < b
end

-- Like pairs, in the order of the keys: booleans, numbers, strings.
function mr.sorted_pairs(t)
   if type(t) ~= "table" then error(("mr.sorted_pairs takes a table, got a %s"):format(type(t)), 2) end
   local keys, i = {}, 0
   for key in pairs(t) do
      if not key_rank[type(key)] then
         error(("mr.sorted_pairs: a %s as a key has no place in an order"):format(type(key)), 2)
      end
      keys[#keys + 1] = key
   end
   table.sort(keys, key_before)
   return function()
      i = i + 1
      return keys[i], t[keys[i]]
   end
end

-- Arguments after `--`: mr.args { top = 10, name = "x", verbose = false }.
function mr.args(defaults)
   return require "mr.args" (defaults)
end

-- Runs a job here and now: pairs, counters = mr.run(job, { inputs = { "line 1", … } }).
function mr.run(job, options)
   return require "mr.run" (job, options)
end

return setmetatable(mr, {
   __index = function(_, name)
      local names = {}
      for known in pairs(mr) do names[#names + 1] = known end
      table.sort(names)
      local near = type(name) == "string" and native.nearest(name, names)
      error(("mr has no '%s'%s"):format(tostring(name), near and ("; is it '%s'?"):format(near) or ""), 2)
   end,
})
