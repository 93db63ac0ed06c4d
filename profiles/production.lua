-- production: the default. Careful with data, patient with machines.
return {
   retry = {
      max_retries = 5,                      -- tries after the first one, a task
      strategy = "exponential_backoff",     -- 1 s, 2 s, 4 s, …
      base_delay_seconds = 1.0,
      max_delay_seconds = 60.0,
      backoff_multiplier = 2.0,
      jitter = true,                        -- a random part of the delay, so that tasks do not come back all at once
   },
   limits = {
      progress_timeout_seconds = 600,       -- a task that stands still for so long is stopped
      heartbeat_timeout_seconds = 30,       -- a worker that gives no sign of life is dead
      task_timeout_seconds = false,         -- no limit for a whole task
      memory_limit = "512M",                -- of a task's Lua state
      max_attempts = 20,
      max_quarantined = 100,                -- records put aside before the job fails; or a share: "0.5%"
   },
   -- durable: fsync what is committed
   checkpoint = { enabled = true, checkpoint_interval_seconds = 30, durable = true },
   speculation = { enabled = true },
   log = { level = "info" },
}
