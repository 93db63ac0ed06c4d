-- report_stand.lua: where a job stands, and which of the files that its commits name are still needed: the runs of a
-- step are not once its reduces have committed, nor are the pairs of a step that the next one has read.
local _, native = ...
local journal = require "mr.report_job"

local M = {}

local function kind_of(task)
   return (task:gsub("^.*:", ""):gsub("[_%d]+$", ""))
end

-- Tasks of each kind that have committed or were left out, in a step or round.
local function count_done(step, round)
   local done = { map = 0, reduce = 0, format = 0 }
   for _, row in ipairs(native.query("SELECT task FROM task WHERE step = ? AND round = ?", step, round)) do
      local kind = kind_of(row.task)
      done[kind] = (done[kind] or 0) + 1
   end
   local prefix = round > 0 and ("%d.%d:"):format(step, round) or step > 1 and step .. ":" or ""
   for _, row in ipairs(native.query "SELECT DISTINCT text FROM event WHERE kind = 'drop'") do
      local kind = kind_of(row.text)
      if done[kind] and row.text == prefix .. row.text:gsub("^.*:", "") then done[kind] = done[kind] + 1 end
   end
   return done
end

-- The newest step or round: { step =, round =, maps_done =, reduces_done =, formats_done =, before = }.
local function newest()
   local rows = native.query "SELECT * FROM step ORDER BY step DESC, round DESC LIMIT 2"
   local row = rows[1]
   if not row then return nil end
   local done = count_done(row.step, row.round)
   return { step = row.step, round = row.round, before = rows[2], reduces = row.reduces,
      maps_done = done.map >= row.maps, reduces_done = row.reduces > 0 and done.reduce >= row.reduces,
      formats_done = done.format > 0 and done.format >= (row.reduces > 0 and row.reduces or row.maps) }
end

-- A job's folder that was moved has its work with it.
local function place(job, row)
   if row.kind == "quarantine" then
      return ("%s/quarantine/%s"):format(job.dir, row.path:match("([^/]*)$"))
   end
   return journal.place(job, row.path)
end

local function same(a, row)
   return a and a.step == row.step and a.round == row.round
end

-- What a file is to a job that goes on: { needed =, role = } or nil: nothing any more.
local ROLES = {
   run = function(now, row)
      return { needed = same(now, row) and not now.reduces_done, role = "run" }
   end,
   quarantine = function()
      return { needed = true, role = "quarantine" }
   end,
   side = function()
      return { needed = true, role = "side" }
   end,
   part = function(now, row)
      if kind_of(row.task) == "format" then return { needed = true, role = "part", pairs = false } end
      if same(now, row) then return { needed = not now.formats_done, role = "part" } end
      return { needed = same(now.before, row) and not now.maps_done, role = "pairs" }
   end,
}

-- While a result is moved into place its parts are in one of two folders.
local function published_place(job, row)
   local number = tonumber(row.task:match("_(%d+)$"))
   for _, suffix in ipairs { "", ".gz", ".zst", ".lz4", ".bz2", ".xz" } do
      local name = row.kind == "side" and row.name or "part"
      local path = ("%s/%s-%05d%s"):format(job.output_dir, name, number or 0, suffix)
      if native.size(path) == row.bytes then return path end
   end
end

local function of_unfinished(job, now, row)
   local role = ROLES[row.kind](now, row)
   row.path, row.needed, row.role, row.pairs = place(job, row), role.needed, role.role, role.pairs
   if job.written_state == "publishing" and job.output_dir and (row.role == "part" or row.role == "side") and
      not native.size(row.path) then
      row.path = published_place(job, row) or row.path
   end
end

-- Of a job that is over its result is checked by the manifest. Runs are kept where records were put aside.
local function of_over(job, now, row)
   row.path, row.role = place(job, row), row.kind
   row.needed = row.kind == "quarantine" or (row.kind == "run" and job.keeps_runs and same(now, row))
end

-- Runs are kept for lmr resume --quarantined (if the folder is not there at all somebody has removed it on purpose).
local function keeps_runs(job)
   return job.written_state == "complete" and journal.quarantined() > 0 and journal.can_try_again()
      and io.open(journal.place(job, job.work_dir or "")) ~= nil
end

--- Files of commits that are there, or ought to be: rows of the table with path as it is here, needed, role ("run",
-- "part", "pairs", "side", "quarantine"), and pairs = false where it cannot hold pairs.
function M.files(job)
   local now, list = newest(), {}
   local over = journal.is_over(job)
   job.keeps_runs = over and keeps_runs(job)
   for _, row in ipairs(native.query "SELECT * FROM file ORDER BY step, round, length(task), task, kind") do
      if not ROLES[row.kind] then
         row.needed, row.role = false, "part"
      elseif over then
         of_over(job, now, row)
      elseif now then
         of_unfinished(job, now, row)
      end
      list[#list + 1] = row
   end
   return list
end

--- Indexes that are there: of side files, and of the round before.
function M.indexes(job)
   local list = {}
   for _, row in ipairs(native.query "SELECT task, attempt, speculative FROM task") do
      local kind = kind_of(row.task)
      local name = kind == "side" and row.task or kind == "previous" and journal.attempt_name(row)
      local path = name and ("%s/%s.index"):format(journal.place(job, job.work_dir), (name:gsub(":", "-")))
      if path and native.size(path) then list[#list + 1] = path end
   end
   return list
end

--- Checkpoints of map tasks that are there.
function M.task_checkpoints(job)
   local dir, list = journal.place(job, job.work_dir or ""), {}
   for _, name in ipairs(native.names(dir)) do
      if name:find("%.ckpt$") then list[#list + 1] = dir .. "/" .. name end
   end
   table.sort(list)
   return list
end

--- Rows of the files that were published: parts of the last step or round, as they were formatted, and those of
-- mr.output.
function M.published()
   local now, rows = newest(), {}
   if not now then return rows end
   local formatted = native.query "SELECT 1 FROM file WHERE kind = 'part' AND task GLOB '*format_*' LIMIT 1"[1]
   for _, row in ipairs(native.query "SELECT * FROM file WHERE kind IN ('part', 'side')") do
      local is_format = kind_of(row.task) == "format"
      if row.kind == "side" or (formatted and is_format) or (not formatted and same(now, row)) then
         rows[#rows + 1] = row
      end
   end
   return rows
end

return M
