/* judge.h: between the core and the verdicts: what the core tells of a failed attempt becomes the
 * context that a verdict is given in (recover/verdict.h), and the verdict becomes the core's next
 * event. Pure: no clock, no I/O, so that the driver and a simulation under a virtual clock judge
 * alike. */
#ifndef LMR_SCHEDULE_JUDGE_H
#define LMR_SCHEDULE_JUDGE_H

#include "recover/verdict.h"
#include "schedule/core.h"

/* What the failures of a task have led to so far; all zero: nothing yet. */
struct judge_task {
    uint64_t memory_limit;  /* bytes, of further attempts; 0: the profile's */
    double timeout_seconds; /* likewise */
    uint16_t type_failures[ST_COUNT]; /* that got a verdict */
    uint32_t forgiven; /* failures at records that are on the skip list now: no retries to be counted */
};

/* What the caller knows beside the core's action and the err. */
struct judge_facts {
    const struct core_limits *limits;
    const char *task_name;
    uint64_t job_seed;
    uint32_t attempts;      /* normal ones of the task since the job began or went on */
    uint64_t memory_limit;  /* the profile's, bytes; 0: none */
    double elapsed_seconds; /* since the task's first attempt began */
    double budget_left;
    bool has_units;      /* the task reads records or groups that could be put aside */
    bool may_quarantine; /* there is room for one more */
    bool may_drop;       /* the job could go on without the task */
    bool is_own;         /* err.file is intermediate data of this job */
    bool is_run;         /* err.file is a run of this job */
};

/* The failure that `a`, an ACT_ASK_POLICY, tells of. When a backup failed last, its number says
 * nothing of how many attempts there were: the newest normal one's counts. */
struct verdict_context judge_context(const struct core_action *a, const struct err *err,
                                     const struct judge_task *task,
                                     const struct judge_facts *facts);
/* The verdict on an err of status `failed` takes effect: on what further attempts of the task are
 * given, on the retry budget, and as the event that is to be delivered to the core. `producer`: of
 * a run that is to be recomputed; CORE_NONE: it runs again already, so the task is just tried again.
 * STOP and ABORT end the job at once, which is the caller's business; for the core they are FAIL. */
struct core_event judge_verdict(uint32_t task, enum status failed, const struct verdict *v,
                                uint32_t producer, struct judge_task *t,
                                struct retry_budget *budget);

#endif
