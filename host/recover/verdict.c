#include "recover/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

uint64_t failure_fingerprint(const struct err *err)
{
    if (err->record < 0)
        return 0;
    /* Where an endless loop stood when it was stopped is chance. */
    const char *traceback = err->status == ST_TIMEOUT ? "" : err->traceback;
    char text[ERR_TYPE_MAX + ERR_TRACEBACK_MAX + ERR_FILE_MAX + 64];
    int n = snprintf(text, sizeof text, "%s\n%s\n%s\n%lld %lld", err->type, traceback, err->file,
                     (long long)err->offset, (long long)err->record);
    uint64_t hash = XXH3_64bits(text, (size_t)n);
    return hash ? hash : 1;
}

static double backoff(const struct verdict_context *context, const struct retry_limits *limits)
{
    double delay = limits->base_delay_seconds * pow(limits->multiplier, (double)context->retry - 1);
    return delay < limits->max_delay_seconds ? delay : limits->max_delay_seconds;
}

struct verdict verdict_decide(const struct err *err, const struct verdict_context *context,
                              const struct retry_limits *limits)
{
    if (!status_is_transient(err->status))
        return (struct verdict){ VERDICT_FAIL, 0,
                                 "a failure of this type does not go away by itself" };
    if (context->same_failures >= 2)
        return (struct verdict){ VERDICT_FAIL, 0, "the same record failed in the same way twice" };
    if (context->retry > limits->max_retries)
        return (struct verdict){ VERDICT_FAIL, 0, "retry.max_retries is used up" };
    return (struct verdict){ VERDICT_RETRY, backoff(context, limits),
                             "transient failures are tried again" };
}
