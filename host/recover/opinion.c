#include "recover/opinion.h"

#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>

void opinion_rule(struct opinion *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(o->v.rule, sizeof o->v.rule, format, args);
    va_end(args);
}

void opinion_say(struct opinion *o, enum verdict_action action, const char *format, ...)
{
    va_list args;
    o->v.action = action;
    va_start(args, format);
    (void)vsnprintf(o->v.reason, sizeof o->v.reason, format, args);
    va_end(args);
}

const char *culprit_name(const struct err *err)
{
    return err->key[0] ? "group" : "record";
}

void opinion_aside_or_fail(struct opinion *o, const struct err *err,
                           const struct verdict_context *context, const char *why)
{
    const char *culprit = culprit_name(err);
    if (!context->has_culprit)
        opinion_say(o, VERDICT_FAIL, "%s; no %s is known that could be put aside", why, culprit);
    else if (!context->may_quarantine)
        opinion_say(o, VERDICT_FAIL, "%s; limits.max_quarantined lets no more %ss be put aside", why,
                    culprit);
    else
        opinion_say(o, VERDICT_QUARANTINE, "%s; the %s is put aside", why, culprit);
}

uint32_t type_failures(const struct verdict_context *context)
{
    return context->type_failures ? context->type_failures : context->retry;
}

bool is_poison(const struct err *err, const struct verdict_context *context)
{
    enum status status = status_from_type(err->type);
    return status_is_transient(status) && context->same_failures >= 2 && context->has_culprit;
}

/* --- what a retry changes --- */

struct retry_terms profile_terms(const struct rules *rules)
{
    return (struct retry_terms){ &rules->retry, rules->memory_multiplier, rules->max_memory };
}

enum memory_growth memory_growth(const struct retry_terms *terms,
                                 const struct verdict_context *context, uint64_t *limit)
{
    uint64_t now = context->memory_limit;
    double grown = (double)now * terms->memory_multiplier;
    if (now == 0 || terms->memory_multiplier <= 1)
        return MEMORY_STAYS;
    if (now >= terms->max_memory)
        return MEMORY_SPENT;
    *limit = grown < (double)terms->max_memory ? (uint64_t)grown : terms->max_memory;
    return *limit > now ? MEMORY_GROWS : MEMORY_STAYS;
}

/* Double the limit that struck: the driver names it in err.details; else the time taken tells. */
static double longer_timeout(const struct err *err, const struct verdict_context *context)
{
    double task = context->task_timeout_seconds, progress = context->progress_timeout_seconds;
    if (strstr(err->details, "limit\theartbeat_timeout_seconds\n"))
        return 0; /* more time is no help for a worker that gave no sign of life */
    if (strstr(err->details, "limit\ttask_timeout_seconds\n"))
        return 2 * task;
    if (strstr(err->details, "limit\tprogress_timeout_seconds\n"))
        return 2 * progress;
    bool was_task = task > 0 && (progress <= 0 || err->elapsed_seconds >= task);
    return 2 * (was_task ? task : progress);
}

static void add_change(struct opinion *o, const char *what, const char *amount)
{
    size_t n = strlen(o->v.reason);
    (void)snprintf(o->v.reason + n, sizeof o->v.reason - n, "%s%s %s", n ? ", " : "", what, amount);
}

void opinion_retry_terms(struct opinion *o, const struct retry_terms *terms, const struct err *err,
                         const struct verdict_context *context)
{
    char text[SIZE_TEXT_MAX];
    enum status status = status_from_type(err->type);
    o->numbers = o->is_exact ? NULL : terms->retry;
    if (status == ST_MEMORY && o->v.memory_limit == 0 &&
        memory_growth(terms, context, &o->v.memory_limit) == MEMORY_GROWS)
        add_change(o, "with a memory limit of", size_format(o->v.memory_limit, text));
    if (status == ST_TIMEOUT && o->v.timeout_seconds <= 0 && context->timeout_seconds <= 0) {
        o->v.timeout_seconds = longer_timeout(err, context);
        if (o->v.timeout_seconds > 0)
            add_change(o, "with a time limit of", duration_format(o->v.timeout_seconds, text));
    }
}
