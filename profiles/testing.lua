-- testing: for specs and continuous integration. The same run each time, without waiting.
return {
   extends = "production",
   retry = { max_retries = 2, strategy = "immediate", jitter = false },
   limits = { progress_timeout_seconds = 30, heartbeat_timeout_seconds = 10 },
   checkpoint = { durable = false },
   speculation = { enabled = false },       -- which of two attempts wins is a matter of timing
   log = { level = "debug" },
}
