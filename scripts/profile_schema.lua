-- profile_schema.lua: what a profile may hold: every key with its validator, its built-in value, and whether it is
-- part of the plan (frozen when a job starts) or of the policy (a running job takes a change at the next decision).
local validate = require "mr.validate"

local M = {}

M.error_types = {
   "task_crash", "network_failure", "disk_full", "memory_error", "timeout", "data_corruption",
   "script_error", "bad_record",
}
M.verdicts = { "retry", "quarantine", "recompute", "drop_task", "fail", "stop", "abort" }
M.strategies = { "immediate", "fixed_delay", "linear_backoff", "exponential_backoff" }
M.jitters = { "none", "full", "equal", "decorrelated" }

-- --- validators ---

local function or_function(validator)
   return function(value, ...)
      if type(value) == "function" then return value end
      local kept, must = validator(value, ...)
      return kept, must and must .. ", or a function"
   end
end

-- Kept as one of M.jitters.
local function jitter(value)
   if type(value) == "boolean" then return value and "full" or "none" end
   local kept = validate.one_of(M.jitters)(value)
   if not kept then return nil, "true, false, \"full\", \"equal\" or \"decorrelated\"" end
   return kept
end

local function count_or_share(value)
   local share = type(value) == "string" and tonumber(value:match("^(%d+%.?%d*)%%$"))
   if share and share <= 100 then return value end
   local kept = validate.integer(0)(value)
   if not kept then return nil, "a count such as 100, or a share such as \"0.5%\"" end
   return kept
end

-- --- the keys ---

local retry = {
   max_retries = validate.integer(0, 1000000), strategy = or_function(validate.one_of(M.strategies)),
   base_delay_seconds = validate.seconds, max_delay_seconds = validate.seconds,
   backoff_multiplier = validate.number(1, 1000), jitter = jitter,
}

-- section → key → validator
M.sections = {
   retry = retry,
   checkpoint = {
      enabled = validate.boolean, checkpoint_dir = validate.string, checkpoint_interval_seconds = validate.seconds,
      max_checkpoints_to_keep = validate.integer(1), auto_cleanup = validate.boolean, durable = validate.boolean,
   },
   failure_simulation = {
      enabled = validate.boolean, failure_rate = validate.number(0, 1), failure_types = validate.strings,
      target_tasks = validate.strings, seed = validate.integer(math.mininteger),
   },
   limits = {
      progress_timeout_seconds = validate.or_false(validate.seconds),
      heartbeat_timeout_seconds = validate.or_false(validate.seconds),
      task_timeout_seconds = validate.or_false(validate.seconds),
      memory_limit = validate.or_false(validate.size(1 << 20)),
      max_attempts = validate.integer(1), max_quarantined = count_or_share,
   },
   retry_budget = { tokens = validate.number(0), refill_per_success = validate.number(0) },
   restart_intensity = { restarts = validate.integer(1), within_seconds = validate.seconds },
   speculation = { enabled = validate.boolean },
   log = { level = validate.one_of { "error", "warning", "info", "debug" } },
}

-- What on_error.TYPE may hold when it is a table: what overlays retry, and what only a rule has.
M.rule = {
   memory_multiplier = validate.number(1, 1000), max_memory = validate.size(1),
   on_exhausted = validate.one_of(M.verdicts),
   decide = validate.func,
}
for key, validator in pairs(retry) do M.rule[key] = validator end

-- Order in which sections are shown.
M.order = { "retry", "checkpoint", "limits", "retry_budget", "restart_intensity", "speculation", "failure_simulation",
            "log" }

-- The keys of the plan: where checkpoints are and whether commits are fsynced must not change under a running job, and
-- a simulation only repeats when nobody touches it. All other keys, and on_error, are policy.
local plan = {
   ["checkpoint.checkpoint_dir"] = true, ["checkpoint.durable"] = true,
}
for key in pairs(M.sections.failure_simulation) do plan["failure_simulation." .. key] = true end

-- "plan" or "policy", of a key such as "retry.max_retries".
function M.kind(key)
   return plan[key] and "plan" or "policy"
end

function M.plan_keys()
   return validate.sorted_keys(plan)
end

-- --- built-in values ---

M.built_in = {
   retry = { max_retries = 3, strategy = "exponential_backoff", base_delay_seconds = 1.0, max_delay_seconds = 60.0,
             backoff_multiplier = 2.0, jitter = "full" },
   checkpoint = { enabled = true, checkpoint_interval_seconds = 30.0, max_checkpoints_to_keep = 5, auto_cleanup = true,
                  durable = true },
   failure_simulation = { enabled = false },
   limits = { progress_timeout_seconds = 600.0, heartbeat_timeout_seconds = 30.0, task_timeout_seconds = false,
              memory_limit = 512 << 20, max_attempts = 20, max_quarantined = 0 },
   retry_budget = { tokens = 100, refill_per_success = 0.2 },
   restart_intensity = { restarts = 5, within_seconds = 10.0 },
   speculation = { enabled = false },
   log = { level = "info" },
}

-- Of a task that ran out of memory: how its limit grows, and how far. on_error.memory_error may say otherwise.
M.memory = { memory_multiplier = 2, max_memory = 4 << 30 }

-- recovery = false in a job: the first error ends it.
M.no_machinery = {
   retry = { max_retries = 0 }, checkpoint = { enabled = false }, speculation = { enabled = false },
   limits = { max_quarantined = 0 }, on_error = { ["*"] = "fail" },
}

return M
