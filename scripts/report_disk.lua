-- report_disk.lua: what a job takes on disk: state folder, runs, parts that are not published, checkpoints.
local _, native = ...
local text = require "mr.report_text"
local journal = require "mr.report_job"

local M = {}

-- A folder that the journal names is looked into if its name says that it is this job's.
local function is_own(job, path)
   local name = path:match("([^/]+)$")
   return name == job.id or name == ".lmr-" .. job.id
end

local function folders_of(job)
   local list, seen = {}, {}
   local function add(path)
      if not path or seen[path] or path:sub(1, #job.dir + 1) == job.dir .. "/" or not is_own(job, path) then return end
      seen[path], list[#list + 1] = true, path
   end
   add(job.work_dir and journal.place(job, job.work_dir))
   add(job.stage_dir and journal.place(job, job.stage_dir))
   for _, c in ipairs(journal.checkpoints(job)) do add(c.path:match("^(.*)/[^/]*$")) end
   return list
end

--- Of the open journal's job (with id and dir) → { bytes =, at_least = (there is more), state =, elsewhere = }.
function M.of(job)
   local state, all = native.disk(job.dir)
   local disk = { bytes = state, state = state, elsewhere = 0, at_least = not all }
   for _, folder in ipairs(folders_of(job)) do
      local bytes, whole = native.disk(folder)
      disk.elsewhere, disk.at_least = disk.elsewhere + bytes, disk.at_least or not whole
   end
   if disk.at_least then -- more names than are looked at: what the journal says of files
      local named = native.query("SELECT coalesce(sum(bytes), 0) AS n FROM file WHERE kind IN ('run', 'part')")[1].n
      disk.elsewhere = math.max(disk.elsewhere, named)
   end
   disk.bytes = disk.state + disk.elsewhere
   return disk
end

function M.words(disk)
   return (disk.at_least and "over " or "") .. text.size(disk.bytes)
end

return M
