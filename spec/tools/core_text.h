/* core_text.h: the core's actions as lines of a log, for core_sim and core_model. */
#ifndef LMR_SPEC_CORE_TEXT_H
#define LMR_SPEC_CORE_TEXT_H

#include "schedule/core.h"

#include <inttypes.h>
#include <stdio.h>

enum { CORE_TEXT_MAX = 128 };

static inline const char *core_reason_text(enum core_reason reason)
{
    static const char *const texts[] = { "none", "heartbeat", "progress", "deadline",
                                         "stop", "lost",      "fresh" };
    return texts[reason];
}

static inline const char *core_action_verb(enum core_action_kind kind)
{
    static const char *const verbs[ACT_KINDS] = {
        [ACT_SPAWN] = "spawn",
        [ACT_ASSIGN] = "assign",
        [ACT_COMMIT] = "commit",
        [ACT_LOST] = "lost",
        [ACT_BACKUP_FAILED] = "backup_failed",
        [ACT_ASK_POLICY] = "ask",
        [ACT_REDO] = "redo",
        [ACT_INTERRUPT] = "interrupt",
        [ACT_KILL] = "kill",
        [ACT_REST] = "rest",
        [ACT_STAGE_DONE] = "stage",
        [ACT_DONE] = "done",
        [ACT_FAIL_JOB] = "fail",
        [ACT_BROKEN] = "broken",
    };
    return verbs[kind];
}

/* What stands after the verb. */
static inline void core_action_rest(const struct core_action *a, char out[CORE_TEXT_MAX])
{
    char attempt[48];
    (void)snprintf(attempt, sizeof attempt, "task %u.%u%s", a->task, a->attempt,
                   a->speculative ? "s" : "");
    out[0] = '\0';
    if (a->kind == ACT_SPAWN || a->kind == ACT_REST)
        (void)snprintf(out, CORE_TEXT_MAX, " %u", a->slot);
    else if (a->kind == ACT_ASSIGN)
        (void)snprintf(out, CORE_TEXT_MAX, " %u %s serial %" PRIu64, a->slot, attempt, a->serial);
    else if (a->kind == ACT_COMMIT || a->kind == ACT_LOST)
        (void)snprintf(out, CORE_TEXT_MAX, " %s of %u", attempt, a->slot);
    else if (a->kind == ACT_BACKUP_FAILED)
        (void)snprintf(out, CORE_TEXT_MAX, " %s of %u same %u", attempt, a->slot,
                       a->same_failures);
    else if (a->kind == ACT_ASK_POLICY)
        (void)snprintf(out, CORE_TEXT_MAX, " %s retry %u same %u", attempt, a->retry,
                       a->same_failures);
    else if (a->kind == ACT_INTERRUPT || a->kind == ACT_KILL)
        (void)snprintf(out, CORE_TEXT_MAX, " %u %s", a->slot, core_reason_text(a->reason));
    else if (a->kind == ACT_REDO || a->kind == ACT_FAIL_JOB)
        (void)snprintf(out, CORE_TEXT_MAX, " task %u", a->task);
    else if (a->kind == ACT_STAGE_DONE)
        (void)snprintf(out, CORE_TEXT_MAX, " %u done", a->stage);
}

/* "assign 0 task 1.1s serial 3" */
static inline void core_action_text(const struct core_action *a, char out[CORE_TEXT_MAX])
{
    char rest[CORE_TEXT_MAX];
    core_action_rest(a, rest);
    (void)snprintf(out, CORE_TEXT_MAX, "%s%.*s", core_action_verb(a->kind), CORE_TEXT_MAX - 16,
                   rest);
}

#endif
