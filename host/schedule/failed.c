/* failed.c: what the ends of attempts mean: from the last words of an attempt, or of its dead worker's
 * page, to a struct err with all that is known. */
#include "schedule/driver.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdio.h>

/* --- words about an attempt --- */

static const char *phase_text(uint32_t phase)
{
    static const char *const texts[] = {
        [POS_IDLE] = "between attempts",
        [POS_LOAD] = "loading the job",
        [POS_INIT] = "in init",
        [POS_MAP] = "in map",
        [POS_COMBINE] = "combining",
        [POS_SPILL] = "writing a spill",
        [POS_REDUCE] = "in reduce",
        [POS_FINISH] = "in finish",
        [POS_WRITE] = "writing its output",
    };
    return phase < sizeof texts / sizeof *texts ? texts[phase] : "in an unknown phase";
}

/* Where the page says the attempt was, for an error that has no place yet; and what it had used. */
static void place_by_page(const struct driver *d, const struct core_slot *slot,
                          const struct position *page, struct err *e)
{
    const struct work *w = &d->work[slot->task];
    if (!page || POSITION_GET(page, attempt_serial) != slot->serial)
        return;
    if (e->memory_peak == 0)
        e->memory_peak = POSITION_GET(page, script_memory_peak);
    if (e->file[0] != '\0' || e->record >= 0)
        return;
    uint32_t phase = POSITION_GET(page, phase), part = POSITION_GET(page, part);
    if (w->kind == WORK_REDUCE && phase == POS_REDUCE) {
        e->record = (int64_t)POSITION_GET(page, record);
        (void)snprintf(e->key, sizeof e->key, "%.*s", (int)strnlen(page->key, POSITION_KEY_MAX),
                       page->key);
    }
    if (w->kind == WORK_SAMPLE && phase == POS_MAP) /* of which file, the page does not tell */
        err_at(e, NULL, (int64_t)POSITION_GET(page, offset), (int64_t)POSITION_GET(page, record));
    if (w->kind != WORK_MAP)
        return;
    const struct split *split = &d->plan.splits.splits[w->index];
    bool at_record = phase == POS_MAP;
    err_at(e, part < split->count ? split->parts[part].path : NULL,
           at_record ? (int64_t)POSITION_GET(page, offset) : -1,
           at_record ? (int64_t)POSITION_GET(page, record) : -1);
}

/* What the driver knows of a timeout goes before what the attempt said of it. */
static void word_timeout(const struct driver *d, const struct work *w, enum core_reason reason,
                         struct err *e)
{
    char text[SIZE_TEXT_MAX];
    struct err said = *e;
    const struct core_limits *limits = &d->core.limits;
    double longer = w->judged.timeout_seconds;
    double task = (double)limits->task_timeout / 1e9;
    double progress = (double)limits->progress_timeout / 1e9;
    if (reason == REASON_PROGRESS)
        (void)err_set(e, ST_TIMEOUT, "no progress for %s (limits.progress_timeout_seconds)",
                      duration_format(longer > progress ? longer : progress, text));
    else if (reason == REASON_HEARTBEAT)
        (void)err_set(e, ST_TIMEOUT,
                      "no sign of life from the worker for %s (limits.heartbeat_timeout_seconds)",
                      duration_format((double)limits->heartbeat_timeout / 1e9, text));
    else
        (void)err_set(e, ST_TIMEOUT, "not done after %s (limits.task_timeout_seconds)",
                      duration_format(longer > task ? longer : task, text));
    (void)snprintf(e->traceback, sizeof e->traceback, "%s", said.traceback);
    (void)snprintf(e->file, sizeof e->file, "%s", said.file);
    (void)snprintf(e->key, sizeof e->key, "%s", said.key);
    e->offset = said.offset;
    e->record = said.record;
    e->exit_status = said.exit_status;
    e->signal = said.signal;
    e->memory_peak = said.memory_peak;
    e->elapsed_seconds = said.elapsed_seconds;
    err_detail(e, "limit", "%s",
               reason == REASON_PROGRESS    ? "progress_timeout_seconds"
               : reason == REASON_HEARTBEAT ? "heartbeat_timeout_seconds"
                                            : "task_timeout_seconds");
}

static bool is_timeout(enum core_reason reason)
{
    return reason == REASON_PROGRESS || reason == REASON_HEARTBEAT || reason == REASON_DEADLINE;
}

/* The page of the dead tells what it was at. */
static void word_death(const struct worker_end *end, struct err *e)
{
    size_t n = strlen(e->message);
    const char *phase = phase_text(POSITION_GET(end->page, phase));
    if (end->signal)
        (void)snprintf(e->message + n, sizeof e->message - n, " (it was %s)", phase);
    else
        (void)snprintf(e->message + n, sizeof e->message - n,
                       " in the middle of its work (it was %s; does the job call os.exit?)", phase);
}

/* --- the newest failure of a task --- */

static void complete(const struct driver *d, uint32_t slot, struct err *e)
{
    const struct core_slot *s = &d->core.slots[slot];
    const struct work *w = &d->work[s->task];
    if (is_timeout(s->reason))
        word_timeout(d, w, s->reason, e);
    else if (e->status == ST_TIMEOUT && d->core.limits.task_timeout > 0)
        word_timeout(d, w, REASON_DEADLINE, e);
    if (e->elapsed_seconds < 0)
        e->elapsed_seconds = (double)(sys_wall_clock() - d->running[slot].started) / 1e9;
}

void failed_by_word(const struct driver *d, uint32_t slot, struct slice error, struct err *out)
{
    wire_get_err(error, out);
    place_by_page(d, &d->core.slots[slot], pool_page(d->pool, slot), out);
    complete(d, slot, out);
}

void failed_by_death(const struct driver *d, uint32_t slot, const struct worker_end *end,
                     struct err *out)
{
    *out = end->err;
    out->signal = end->signal;
    out->exit_status = end->signal ? -1 : (int)end->exit_status;
    word_death(end, out);
    place_by_page(d, &d->core.slots[slot], end->page, out);
    complete(d, slot, out);
}

bool failed_remember(struct driver *d, uint32_t slot, const struct err *e)
{
    struct failure **kept = &d->failures[slot];
    struct err full;
    if (!*kept)
        *kept = sys_calloc(1, sizeof **kept);
    struct failure *f = *kept;
    if (!f) {
        (void)err_memory(&full, "a failure", sizeof *f);
        driver_fail(d, &full, 1);
        return false;
    }
    uint64_t fingerprint = failure_fingerprint(e);
    f->decided = f->decided && f->fingerprint == fingerprint && fingerprint != 0;
    f->err = *e;
    f->fingerprint = fingerprint;
    f->attempt = d->running[slot];
    f->attempt.ended = sys_wall_clock();
    return true;
}

void failed_adopt(struct driver *d, uint32_t slot, struct work *w)
{
    CHECK(d->failures[slot]);
    sys_free(w->failure);
    w->failure = d->failures[slot];
    d->failures[slot] = NULL;
}

const char *failed_place(const struct err *e, char out[FAILED_PLACE_MAX])
{
    out[0] = '\0';
    if (e->file[0] && e->offset >= 0 && e->record >= 0)
        (void)snprintf(out, FAILED_PLACE_MAX, " at %s, byte %lld, record %lld", e->file,
                       (long long)e->offset, (long long)e->record);
    else if (e->file[0] && e->offset >= 0)
        (void)snprintf(out, FAILED_PLACE_MAX, " at %s, byte %lld", e->file, (long long)e->offset);
    else if (e->key[0])
        (void)snprintf(out, FAILED_PLACE_MAX, " at key %s", e->key);
    return out;
}
