/* verdict.h: what to do about a failed attempt. This is the seam where policies will stand: the
 * scheduler asks with an err and a ctx and gets a verdict, now from one fixed rule:
 *   - transient failures (task_crash, network_failure, timeout) are tried again, up to max_retries,
 *     with exponential delay;
 *   - the same failure (type and record) twice in a row is permanent;
 *   - everything else fails the job at once. */
#ifndef LMR_RECOVER_VERDICT_H
#define LMR_RECOVER_VERDICT_H

#include "base/status.h"

enum verdict_action { VERDICT_RETRY, VERDICT_FAIL };

/* How a policy may limit retries: plain data out of the effective profile. */
struct retry_limits {
    uint32_t max_retries;
    double base_delay_seconds, max_delay_seconds, multiplier;
};

struct verdict_context {
    uint32_t attempt;       /* from 0: the one that failed */
    uint32_t retry;         /* the one that would come, from 1 */
    uint32_t same_failures; /* with this fingerprint, this one included */
};

struct verdict {
    enum verdict_action action;
    double delay_seconds;
    const char *rule; /* static text that names the rule that decided */
};

struct verdict verdict_decide(const struct err *err, const struct verdict_context *context,
                              const struct retry_limits *limits);

/* Hash of type + traceback + record; 0 (which equals nothing) without a record. */
uint64_t failure_fingerprint(const struct err *err);

#endif
