/* statistics.h: what failures cost a job, counted by the driver as things happen, and how it is shown:
 * the same map goes into the journal (which a resume reads back), the manifest and --json. Plain data
 * without memory of its own; all zero is the start.
 *
 *   attempts, committed, failures, retries      attempts begun, won, failed; tries after a failure
 *   simulated                                   failures that failure_simulation made
 *   recovered_tasks                             failed at least once, then committed
 *   failed_tasks, dropped_tasks                 given up (fail, abort); gone on without
 *   recovery_rate                               recovered of all that failed and came to an end, 0 … 1;
 *                                               null when there is none
 *   recomputed_tasks                            run again for a corrupt run
 *   quarantined_records, quarantined_groups
 *   seconds_waited                              delays before tries, added up over tasks
 *   cpu_seconds, cpu_seconds_wasted             of all attempts; of those that failed or lost
 *   speculative = { started, won, lost }         backup attempts; the others failed
 *   by_verdict = { retry = n, … }
 *   by_type = { task_crash = { failures, retries, simulated, by_verdict = { … } }, … }
 * Verdicts and types that never came are left out. */
#ifndef LMR_RECOVER_STATISTICS_H
#define LMR_RECOVER_STATISTICS_H

#include "recover/verdict.h"

enum { STATISTICS_TYPES_MAX = 64 }; /* the last one is "other": the types that find no room */

struct statistics_type {
    char type[ERR_TYPE_MAX];
    uint64_t failures, retries, simulated;
    uint64_t verdicts[VERDICT_ACTIONS];
};

struct statistics_speculative {
    uint64_t started, won, lost;
};

struct statistics {
    struct statistics_type types[STATISTICS_TYPES_MAX];
    uint32_t type_count;
    uint64_t attempts, committed, recovered, failed_tasks, dropped, recomputed;
    uint64_t quarantined_records, quarantined_groups;
    struct statistics_speculative speculative;
    double seconds_waited, cpu_seconds, cpu_wasted;
};

/* An attempt begins. */
void statistics_attempt(struct statistics *s, bool speculative);
/* It committed; `had_failed`: its task failed before. */
void statistics_commit(struct statistics *s, bool speculative, bool had_failed, double cpu_seconds);
/* It failed, and that is the verdict. */
void statistics_failure(struct statistics *s, const struct err *err, const struct verdict *verdict,
                        double cpu_seconds);
/* One of two attempts of a task failed, and the other goes on: no verdict is needed. */
void statistics_backup_failure(struct statistics *s, const struct err *err,
                               double cpu_seconds);
/* It was killed because another attempt of its task committed first. */
void statistics_lost(struct statistics *s, bool speculative, double cpu_seconds);
/* A committed task runs again because its run is corrupt. */
void statistics_recomputed(struct statistics *s);
/* Records, or groups, put aside by a committed attempt; negative when that does not count any more. */
void statistics_quarantined(struct statistics *s, bool groups, int64_t count);

uint64_t statistics_failures(const struct statistics *s);
uint64_t statistics_retries(const struct statistics *s);
/* 0 … 1, or −1 when no task has failed and come to an end. */
double statistics_recovery_rate(const struct statistics *s);

/* The map above, appended to `out`. ST_MEMORY. */
enum status statistics_put(const struct statistics *s, struct buf *out);
/* { [type] = failures }: ctx.job.failures. */
enum status statistics_put_failures(const struct statistics *s, struct buf *out);
/* Back from the map of statistics_put; what is absent is zero. ST_CORRUPT when it is nonsense. */
enum status statistics_get(struct slice encoded, struct statistics *out, struct err *e);

#endif
