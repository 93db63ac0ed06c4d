/* policy_ask.c: what a policy function is given, as encoded maps; and configs. */
#include "base/sys.h"
#include "schedule/policy.h"

#include <inttypes.h>
#include <stdio.h>

static void put_text(struct val_map *m, const char *name, const char *text)
{
    val_map_str(m, name, text && *text ? text : NULL);
}

static void put_details(struct val_map *m, const struct err *err)
{
    struct err copy = *err;
    if (err->retry_after >= 0)
        err_detail(&copy, "retry_after", "%.17g", err->retry_after);
    val_map_str(m, "details", copy.details);
}

/* Where it happened and of what. */
static void put_place(struct val_map *m, const struct err *err)
{
    put_text(m, "file", err->file);
    put_text(m, "key", err->key);
    if (err->offset >= 0)
        val_map_int(m, "offset", err->offset);
    if (err->record >= 0)
        val_map_int(m, "record", err->record);
    if (err->exit_status >= 0)
        val_map_int(m, "exit_status", err->exit_status);
    if (err->signal > 0)
        val_map_int(m, "signal", err->signal);
    if (err->elapsed_seconds >= 0)
        val_map_float(m, "elapsed_seconds", err->elapsed_seconds);
    if (err->memory_peak > 0)
        val_map_int(m, "memory_peak", (int64_t)err->memory_peak);
}

enum status policy_put_err(const struct policy_failure *failure, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    const struct err *err = failure->err;
    char fingerprint[20];
    val_map_str(&m, "type", err->type);
    val_map_str(&m, "message", err->message);
    put_text(&m, "traceback", err->traceback);
    put_details(&m, err);
    put_text(&m, "task", failure->task);
    val_map_int(&m, "attempt", failure->attempt);
    if (failure->worker > 0)
        val_map_int(&m, "worker", failure->worker);
    put_place(&m, err);
    (void)snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, failure->fingerprint);
    if (failure->fingerprint)
        val_map_str(&m, "fingerprint", fingerprint);
    val_map_bool(&m, "simulated", err->simulated);
    return val_map_end(&m, out);
}

enum status policy_put_context(const struct policy_context *context, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY, job = VAL_MAP_EMPTY;
    struct buf encoded = BUF_EMPTY;
    val_map_int(&job, "tasks", (int64_t)context->tasks);
    val_map_int(&job, "done", (int64_t)context->done);
    if (context->job_failures.n > 0)
        val_map_value(&job, "failures", context->job_failures);
    enum status st = val_map_end(&job, &encoded);
    val_map_int(&m, "attempt", context->attempt);
    val_map_int(&m, "retry", context->retry);
    val_map_int(&m, "failures", context->failures);
    val_map_int(&m, "same_failures", context->same_failures);
    val_map_float(&m, "elapsed_seconds", context->elapsed_seconds);
    val_map_float(&m, "budget_left", context->budget_left);
    val_map_float(&m, "now", context->now);
    if (context->limits.n > 0)
        val_map_value(&m, "limits", context->limits);
    val_map_value(&m, "job", buf_slice(&encoded));
    enum status other = val_map_end(&m, out);
    buf_free(&encoded);
    return st == ST_OK ? other : st;
}

enum status policy_config_with(struct slice config, const char *profile, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct val_cursor c;
    uint64_t count = val_map_open(config, &c);
    for (uint64_t i = 0; i < count; i++) {
        char name[64];
        struct slice key, value, text;
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK)
            break;
        if (!val_as_string(key, &text) || text.n >= sizeof name)
            continue;
        memcpy(name, text.p, text.n);
        name[text.n] = '\0';
        val_map_value(&m, name, value);
    }
    val_map_str(&m, "profile", profile);
    return val_map_end(&m, out);
}
