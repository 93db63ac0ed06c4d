/* profile_use.h: `lmr profile use`: a running job takes another profile. */
#ifndef LMR_CLI_PROFILE_USE_H
#define LMR_CLI_PROFILE_USE_H

#include <stddef.h>

/* `words`: what stands after "use": [JOB] NAME|FILE; without JOB the latest one. `state_dir`: --state-dir,
 * or NULL. Prints what the driver answers: the policy keys that changed, and the plan keys that are
 * ignored. Returns the exit code: 2 when nothing changed, for the job does not run or the profile does
 * not hold (its message, with file and line, was printed). */
int profile_use(const char *state_dir, const char *const *words, size_t count);

#endif
