-- testing: for specs and continuous integration. The same run each time, and no waiting.
-- It runs the code that production runs (the same rules, limits on records, quarantine), only faster.
return {
   extends = "production",
   retry = {
      max_retries = 3,
      strategy = "immediate",               -- a test has nothing to wait for
      jitter = false,                       -- and nothing to leave to chance
   },
   limits = {
      progress_timeout_seconds = 30,        -- a test that hangs is to fail today
      heartbeat_timeout_seconds = 10,
   },
   checkpoint = { checkpoint_interval_seconds = 5, durable = false },
   speculation = { enabled = false },       -- which of two attempts wins is a matter of timing
   -- How failures are to be simulated: a twentieth of the attempts, the same ones for the same seed. These keys are
   -- checked and kept with the job's plan; by themselves they make nothing fail.
   failure_simulation = {
      enabled = true,
      failure_rate = 0.05,
      failure_types = { "task_crash", "network_failure", "timeout" },
      seed = 1,
   },
   log = { level = "debug" },
}
