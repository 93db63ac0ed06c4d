-- production: the default. Careful with data, patient with machines, loud about what it left out.
-- What each line does to a failing task, retry by retry: lmr profile explain production
return {
   retry = {
      max_retries = 7,                      -- tries of a task after its first
      strategy = "exponential_backoff",     -- 1 s, 2 s, 4 s, … 32 s, then 60 s: whatever is down may come back
      base_delay_seconds = 1,
      max_delay_seconds = 60,
      backoff_multiplier = 2,
      jitter = "full",                      -- anything from 0 to that, so that tasks do not come back all at once
   },
   retry_budget = {                         -- of the whole job: where every task fails, waiting for each is in vain
      tokens = 100,                         -- a retry takes one; none left: the job fails, and can be resumed
      refill_per_success = 0.2,             -- five tasks that end well give one back
   },
   restart_intensity = { restarts = 5, within_seconds = 10 }, -- workers that die faster are not started for a while

   on_error = {
      -- A server that asks who we are wants a new token and not another try: stop, renew it, lmr resume. What else a
      -- server or a network does is for the built-in verdict: it tries again, but for an answer such as 404.
      network_failure = function(err)
         local status = err.details.status
         if status == 401 or status == 403 then
            return { action = "stop", reason = ("access refused (%d): renew the token, then resume"):format(status) }
         end
      end,
   },

   limits = {
      progress_timeout_seconds = 600,       -- a task that stands still for so long is stopped
      heartbeat_timeout_seconds = 30,       -- a worker that gives no sign of life is dead
      task_timeout_seconds = false,         -- no limit for a whole task: a long one is not a broken one
      memory_limit = "512M",                -- of a task's Lua state; one that needs more gets double, up to 4G
      max_attempts = 20,                    -- of a task, whatever the rules say
      max_quarantined = 100,                -- records put aside before the job fails; or a share: "0.5%"
   },
   checkpoint = {
      enabled = true,
      checkpoint_interval_seconds = 30,     -- what a killed job does again, at most
      durable = true,                       -- fsync what is committed: it outlives a power cut
   },
   speculation = { enabled = true },        -- a second attempt for a task that lags far behind the others
   log = { level = "info" },
}
