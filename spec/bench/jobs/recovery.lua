-- The cost of failures: -- --case good | off | reject | error | crash | hang, over lines that begin with their number.
local mr = require "mr"
local args = mr.args { case = "good" }
local case = args.case
local POISON = "500000 "

local strike = {
   reject = function() mr.reject("poison") end,
   error = function() error("poison") end,
   crash = function() os.exit(9) end,
   hang = function() while true do end end,
}

local map = function(_, line, emit)
   for word in line:gmatch("%w+") do emit(word, 1) end
end
local poisoned = function(_, line, emit)
   if line:find(POISON, 1, true) == 1 then strike[case]() end
   for word in line:gmatch("%w+") do emit(word, 1) end
end
local thousandth = function(_, line, emit)
   if line:find("^%d*777 ") then mr.reject("one of a thousand") end
   for word in line:gmatch("%w+") do emit(word, 1) end
end

return mr.job {
   job_name = "recovery_" .. case,
   map = strike[case] and poisoned or case == "many" and thousandth or map,
   combine = mr.sum, reduce = mr.sum, reducers = 2,
   recovery = case ~= "off" and {} or false,
}
