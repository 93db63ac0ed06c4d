#include "schedule/judge.h"

#include <string.h>
#include <xxhash.h>

static double seconds_of(int64_t nanoseconds)
{
    return (double)nanoseconds / 1e9;
}

struct verdict_context judge_context(const struct core_action *a, const struct err *err,
                                     const struct judge_task *task,
                                     const struct judge_facts *facts)
{
    const struct core_limits *limits = facts->limits;
    return (struct verdict_context){
        .attempt = facts->attempts > 0 ? facts->attempts - 1 : a->attempt,
        .retry = a->retry > task->forgiven ? a->retry - task->forgiven : 1,
        .failures = a->failures,
        .same_failures = a->same_failures,
        .type_failures = task->type_failures[err->status] + 1u,
        .elapsed_seconds = facts->elapsed_seconds,
        .memory_limit = task->memory_limit ? task->memory_limit : facts->memory_limit,
        .timeout_seconds = task->timeout_seconds,
        .task_timeout_seconds = seconds_of(limits->task_timeout),
        .progress_timeout_seconds = seconds_of(limits->progress_timeout),
        .heartbeat_timeout_seconds = seconds_of(limits->heartbeat_timeout),
        .seed = XXH3_64bits_withSeed(facts->task_name, strlen(facts->task_name), facts->job_seed),
        .budget_left = facts->budget_left,
        .has_culprit = facts->has_units && err->record >= 0,
        .may_quarantine = facts->may_quarantine,
        .may_drop = facts->may_drop,
        .is_own = facts->is_own,
        .is_run = facts->is_run,
    };
}

static enum core_verdict core_verdict_of(enum verdict_action action, uint32_t producer)
{
    switch (action) {
    case VERDICT_RETRY:
    case VERDICT_QUARANTINE: /* the next attempt passes the record over */
        return CORE_RETRY;
    case VERDICT_RECOMPUTE:
        return producer == CORE_NONE ? CORE_RETRY : CORE_REDO;
    case VERDICT_DROP_TASK:
        return CORE_DROP;
    case VERDICT_FAIL:
    case VERDICT_STOP:
    case VERDICT_ABORT:
    case VERDICT_ACTIONS:
        break;
    }
    return CORE_GIVE_UP;
}

static void note_retry(const struct verdict *v, struct judge_task *t, struct retry_budget *budget)
{
    if (v->memory_limit)
        t->memory_limit = v->memory_limit;
    if (v->timeout_seconds > 0)
        t->timeout_seconds = v->timeout_seconds;
    (void)retry_budget_take(budget);
}

struct core_event judge_verdict(uint32_t task, enum status failed, const struct verdict *v,
                                uint32_t producer, struct judge_task *t,
                                struct retry_budget *budget)
{
    t->type_failures[failed]++;
    if (v->action == VERDICT_RETRY)
        note_retry(v, t, budget);
    return (struct core_event){ .kind = CORE_VERDICT,
                                .task = task,
                                .verdict = core_verdict_of(v->action, producer),
                                .producer = producer,
                                .fresh = v->fresh_worker,
                                .timeout = (int64_t)(t->timeout_seconds * 1e9),
                                .delay = (int64_t)(v->delay_seconds * 1e9) };
}
