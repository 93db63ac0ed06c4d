/* ask_job.h: questions to the driver of a running job, by the socket in its folder (schedule/control.h). */
#ifndef LMR_CLI_ASK_JOB_H
#define LMR_CLI_ASK_JOB_H

#include "base/bytes.h"

/* Asks `command` without more fields, waits at most `seconds`, and appends the reply, a checked value. Failures are those of
 * control_call. */
enum status ask_job(const char *job_dir, const char *command, double seconds, struct buf *reply,
                    struct err *e);

#endif
