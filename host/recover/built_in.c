#include "recover/opinion.h"

#include "base/size.h"

#include <errno.h>
#include <stdio.h>

enum {
    DISK_WAITS = 3,
    REQUEST_TIMEOUT = 408, /* answers of a server that another try may change */
    TOO_EARLY = 425,
    TOO_MANY_REQUESTS = 429
};

const struct built_in_text built_in_verdicts[] = {
    { "task_crash", "retry, with the delays of retry, up to retry.max_retries; when the same record "
                    "is hit twice, quarantine it if limits.max_quarantined allows, else fail" },
    { "network_failure", "as task_crash; an answer 4xx other than 408, 425 and 429 fails at once; a "
                         "server's Retry-After is waited for" },
    { "timeout", "as task_crash; the first retry gets double the time limit that struck, later ones "
                 "keep it" },
    { "memory_error", "retry at once with memory × 2 (memory_multiplier) up to 4G (max_memory); when "
                      "the same record still fails, quarantine it if allowed, else fail" },
    { "data_corruption", "in intermediate data of the job: recompute, the task that wrote it runs "
                         "again; in an input file: read again at once, one time, then fail" },
    { "disk_full", "wait with the delays of retry and try again, 3 times, then stop: lmr resume goes "
                   "on when there is room; a limit on the size of files fails at once" },
    { "script_error", "quarantine the record if limits.max_quarantined allows, else fail" },
    { "bad_record", "as script_error" },
    { "declared types", "retry, with the delays of retry, up to retry.max_retries, not before the "
                        "retry_after of mr.fail; then quarantine the record if allowed, else fail" },
    { "all types", "retry.max_retries = 0: nothing is tried again; quarantine after a task_crash, "
                   "timeout or memory_error: one more run must fail at the same record first; "
                   "limits.max_attempts and retry_budget bound every verdict" },
    { NULL, NULL },
};

static bool no_retries(const struct rules *rules, struct opinion *o)
{
    if (rules->retry.max_retries > 0)
        return false;
    opinion_say(o, VERDICT_FAIL, "retry.max_retries is 0: nothing is tried again");
    return true;
}

/* True when a retry is left and is the opinion; else `why` says that there is none. */
static bool retry_left(const struct rules *rules, const struct err *err,
                       const struct verdict_context *context, struct opinion *o)
{
    struct retry_terms terms = profile_terms(rules);
    if (context->retry > rules->retry.max_retries)
        return false;
    opinion_say(o, VERDICT_RETRY, "retry %u of %u", context->retry, rules->retry.max_retries);
    opinion_retry_terms(o, &terms, err, context);
    return true;
}

static void spent(const struct rules *rules, char *why, size_t size)
{
    (void)snprintf(why, size, "its %u retr%s used up (retry.max_retries)",
                   rules->retry.max_retries, rules->retry.max_retries == 1 ? "y is" : "ies are");
}

static bool is_refusal(const struct err *err)
{
    double status = err_detail_number(err, "status", 0);
    return strcmp(err->type, status_type(ST_NETWORK)) == 0 && status >= 400 && status < 500 &&
           status != REQUEST_TIMEOUT && status != TOO_EARLY && status != TOO_MANY_REQUESTS;
}

static void transient(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, struct opinion *o)
{
    char why[96];
    if (is_refusal(err)) {
        opinion_say(o, VERDICT_FAIL, "the server answered %.0f: trying again cannot help",
                    err_detail_number(err, "status", 0));
    } else if (is_poison(err, context)) {
        (void)snprintf(why, sizeof why, "the same %s failed in the same way %u times",
                       culprit_name(err), context->same_failures);
        opinion_aside_or_fail(o, err, context, why);
    } else if (!no_retries(rules, o) && !retry_left(rules, err, context, o)) {
        spent(rules, why, sizeof why);
        opinion_say(o, VERDICT_FAIL, "%s", why);
    }
}

static void memory_error(const struct rules *rules, const struct err *err,
                         const struct verdict_context *context, struct opinion *o)
{
    char size[SIZE_TEXT_MAX], why[128];
    struct retry_terms terms = profile_terms(rules);
    enum memory_growth growth = memory_growth(&terms, context, &o->v.memory_limit);
    o->v.memory_limit = 0;
    if (growth == MEMORY_SPENT) {
        (void)snprintf(why, sizeof why, "%s of memory are not enough, and it may have no more",
                       size_format(context->memory_limit, size));
        opinion_aside_or_fail(o, err, context, why);
    } else if (no_retries(rules, o)) {
        return;
    } else if (growth == MEMORY_GROWS) {
        opinion_say(o, VERDICT_RETRY, "again at once");
        opinion_retry_terms(o, &terms, err, context);
        o->numbers = NULL;
    } else if (context->same_failures >= 2 || !retry_left(rules, err, context, o)) {
        opinion_aside_or_fail(o, err, context, "the memory is still not enough");
    }
}

/* Whose run it is, if anyone's, is for the bounds to tell. */
static void data_corruption(const struct rules *rules, const struct verdict_context *context,
                            struct opinion *o)
{
    if (context->is_run || !no_retries(rules, o))
        opinion_say(o, VERDICT_RECOMPUTE, "the data is corrupt: the task that wrote it runs again");
}

static void disk_full(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, struct opinion *o)
{
    if (err->os_error == EFBIG)
        opinion_say(o, VERDICT_FAIL, "files cannot be larger here: waiting cannot help");
    else if (rules->retry.max_retries > 0 && type_failures(context) <= DISK_WAITS)
        opinion_say(o, VERDICT_RETRY, "waiting for room on the disk (%u of %d)",
                    type_failures(context), DISK_WAITS);
    else
        opinion_say(o, VERDICT_STOP, "the disk is full: make room, then lmr resume goes on");
    o->numbers = &rules->retry;
}

static void declared(const struct rules *rules, const struct err *err,
                     const struct verdict_context *context, struct opinion *o)
{
    char why[96];
    if (retry_left(rules, err, context, o))
        return;
    spent(rules, why, sizeof why);
    opinion_aside_or_fail(o, err, context,
                          rules->retry.max_retries ? why : "retry.max_retries is 0");
}

void built_in_opinion(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, struct opinion *o)
{
    *o = (struct opinion){ .v = { .action = VERDICT_FAIL } };
    opinion_rule(o, "built-in: %s", err->type);
    switch (status_from_type(err->type)) {
    case ST_CRASH:
    case ST_NETWORK:
    case ST_TIMEOUT:
        transient(rules, err, context, o);
        break;
    case ST_MEMORY:
        memory_error(rules, err, context, o);
        break;
    case ST_CORRUPT:
        data_corruption(rules, context, o);
        break;
    case ST_DISK_FULL:
        disk_full(rules, err, context, o);
        break;
    case ST_SCRIPT:
    case ST_BAD_RECORD:
        opinion_aside_or_fail(o, err, context, "it would fail in the same way again");
        break;
    case ST_DECLARED:
        declared(rules, err, context, o);
        break;
    default:
        opinion_say(o, VERDICT_FAIL, "trying again cannot help");
        break;
    }
}
