-- report_again.lua: the command that runs a job anew, from the options that its journal keeps (schedule/options.h):
-- what was typed, but for defaults.
local text = require "mr.report_text"

local M = {}

local INPUTS, COLUMNS = 4, 400

local function add(words, ...)
   for _, word in ipairs { ... } do words[#words + 1] = text.shell(word) end
end

-- What decides the result, and what the user gave beyond it.
local TEXTS = {
   { "output_dir", "-o" }, { "output_format", "--output-format" }, { "input_format", "--input" },
   { "profile", "--profile" }, { "state_dir", "--state-dir" }, { "work_dir", "--work-dir" },
}
local NUMBERS = { { "workers", "--workers", 0 }, { "reducers", "--reducers", -1 }, { "split_size", "--split-size", 0 },
   { "sort_buffer", "--sort-buffer", 0 } }
local FLAGS = { { "compress_runs", "--compress-runs" }, { "overwrite", "--overwrite" } }

local function is_known(value)
   return type(value) == "string" or type(value) == "number"
end

local function add_options(words, o)
   for _, row in ipairs(TEXTS) do
      if is_known(o[row[1]]) then add(words, row[2], o[row[1]]) end
   end
   for _, row in ipairs(NUMBERS) do
      if math.type(o[row[1]]) == "integer" and o[row[1]] ~= row[3] then add(words, row[2], o[row[1]]) end
   end
   for _, row in ipairs(FLAGS) do
      if o[row[1]] == true then add(words, row[2]) end
   end
   if o.has_seed == true and is_known(o.seed) then add(words, "--seed", o.seed) end
end

-- A setting that is changed now takes the place of the one that was given.
local function add_settings(words, old, new)
   local is_new = {}
   for _, setting in ipairs(new) do is_new[setting:match("^[^=]*")] = true end
   for _, setting in ipairs(old or {}) do
      if not is_new[setting:match("^[^=]*")] then add(words, "--set", setting) end
   end
   for _, setting in ipairs(new) do add(words, "--set", setting) end
end

local function add_inputs(words, inputs)
   for i, input in ipairs(inputs or {}) do
      if i > INPUTS then
         words[#words + 1] = "…"
         return
      end
      add(words, input)
   end
end

local function whole(o, settings)
   local words = { "lmr", "run" }
   if o.job then add(words, o.job) end
   if o.map then add(words, "-m", o.map) end
   if o.reduce then add(words, "-r", o.reduce) end
   add_inputs(words, o.inputs)
   add_options(words, o)
   add_settings(words, o.set, settings)
   if #(o.args or {}) > 0 then add(words, "--", table.unpack(o.args)) end
   return table.concat(words, " ")
end

--- "lmr run count.lua texts -o out --set …" with these settings (list of "KEY=VALUE"); short ("…") where little is
-- known.
function M.run(job, settings)
   settings = settings or {}
   local o = job.options
   if type(o) == "table" and (is_known(o.job) or is_known(o.map)) then
      local published = job.state == "partial" or job.state == "complete"
      o.overwrite = o.overwrite == true or published and is_known(o.output_dir)
      local command = whole(o, settings)
      if #command <= COLUMNS then return command end
   end
   local words = { "lmr run", job.job_file and text.shell(job.job_file) or "-m …", "…" }
   add_settings(words, nil, settings)
   return table.concat(words, " ")
end

return M
