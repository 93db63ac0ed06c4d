-- development: for writing a job. Fails early and says more; nothing is made durable.
return {
   extends = "production",
   retry = { max_retries = 0 },             -- the first failure is the one to look at
   limits = {
      progress_timeout_seconds = 60,
      max_quarantined = 0,                  -- no record is put aside
   },
   checkpoint = { enabled = false, durable = false },
   speculation = { enabled = false },
   log = { level = "debug" },
}
