-- development: for writing a job. Tries again soon and not often, puts nothing aside, says everything.
-- A record that your code cannot take is the thing to look at: it ends the job, with its place.
return {
   extends = "production",
   retry = {
      max_retries = 2,                      -- a worker that was killed by accident is no reason to stop
      strategy = "fixed_delay",
      base_delay_seconds = 0.1,
      jitter = false,
   },
   restart_intensity = { restarts = 3, within_seconds = 10 }, -- a job that kills its workers is told soon
   limits = {
      progress_timeout_seconds = 60,        -- an endless loop is found while you still look
      max_quarantined = 0,                  -- no record is put aside
   },
   checkpoint = {
      checkpoint_interval_seconds = 5,      -- stop it, mend what is wrong, go on where it was
      durable = false,                      -- a power cut may cost the run
   },
   speculation = { enabled = false },       -- one attempt at a time is easier to follow
   log = { level = "debug" },
}
