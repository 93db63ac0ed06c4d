/* profile_use.h: `lmr profile use`: a running job takes another profile. */
#ifndef LMR_CLI_PROFILE_USE_H
#define LMR_CLI_PROFILE_USE_H

#include "cli/table.h"

/* What stands after "profile": use [JOB] NAME|FILE; without JOB the latest one. Prints what the
 * driver answers: the policy keys that changed, and the plan keys that are ignored. Returns the
 * exit code: 2 when nothing changed, for the job does not run or the profile does not hold (its message,
 * with file and line, was printed). */
int profile_use(const struct request *request);

#endif
