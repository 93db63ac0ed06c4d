-- Word count; with -- --marker FILE, the task in the middle kills the driver once: FILE tells that it was done.
local mr = require "mr"
local args = mr.args { marker = "", middle = 16 }

-- The worker is the parent of the shell, the driver the parent of the worker.
local KILL = [[read -r _ _ _ driver _ < /proc/$PPID/stat && kill -9 "$driver"]]

local function kill_once()
   local marker = io.open(args.marker, "r")
   if marker then
      marker:close()
      return
   end
   assert(io.open(args.marker, "w")):close()
   os.execute(KILL)
end

return mr.job {
   job_name = "killed_half_way",
   init = function(task)
      if args.marker ~= "" and task.id == "map_" .. args.middle then kill_once() end
   end,
   map = function(_, line, emit)
      for word in line:gmatch("%w+") do emit(word, 1) end
   end,
   combine = mr.sum, reduce = mr.sum, reducers = 2,
}
