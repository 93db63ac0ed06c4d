/* report.c: what the observer is told. */
#include "schedule/driver.h"

#include "base/sys.h"

#include <stdarg.h>
#include <stdio.h>

enum { TEXT_MAX = 2 * ERR_MESSAGE_MAX };

void report_note(struct driver *d, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (d->journal)
        journal_event(d->journal, "note", text);
    if (d->observer->note && d->job.log_level >= LOG_NOTES)
        d->observer->note(d->observer->context, text);
}

void report_warning(struct driver *d, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (d->journal)
        journal_event(d->journal, "warning", text);
    if (d->observer->warning && d->job.log_level >= LOG_WARNINGS)
        d->observer->warning(d->observer->context, text);
}

void report_detail(struct driver *d, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    if (d->job.log_level < LOG_ALL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (d->journal)
        journal_event(d->journal, "detail", text);
    if (d->observer->note)
        d->observer->note(d->observer->context, text);
}

/* What running attempts have taken in so far, on top of what is committed. */
static void add_running(const struct driver *d, struct job_snapshot *s)
{
    for (uint32_t i = 0; i < d->core.slot_count; i++) {
        const struct core_slot *slot = &d->core.slots[i];
        const struct position *page = pool_page(d->pool, i);
        if (slot->task == CORE_NONE || !page || POSITION_GET(page, attempt_serial) != slot->serial)
            continue;
        const struct work *w = &d->work[slot->task];
        uint64_t bytes = POSITION_GET(page, bytes_in);
        s->phase_running++;
        if ((w->kind == WORK_MAP) == (d->phase == JOB_MAP))
            s->phase_bytes_done += bytes;
        if (w->kind != WORK_MAP)
            continue;
        s->bytes_in += bytes;
        s->records_in += POSITION_GET(page, record);
        s->pairs += POSITION_GET(page, pairs_out);
        s->spills += POSITION_GET(page, spills);
    }
}

void report_snapshot(const struct driver *d, struct job_snapshot *out)
{
    *out = d->totals;
    out->phase = d->phase;
    out->step = d->step + 1;
    out->steps = d->job.step_count;
    out->round = d->round;
    out->workers = d->ending ? d->totals.workers : pool_live(d->pool);
    out->started = d->started;
    out->status = d->status.p ? (const char *)d->status.p : "";
    add_running(d, out);
}

/* The newest status text of any worker; it may be torn, so only up to its first NUL within bounds.
 */
static void read_status(struct driver *d)
{
    d->status.n = 0;
    for (uint32_t i = 0; i < d->core.slot_count; i++) {
        const struct position *page = pool_page(d->pool, i);
        if (!page || page->status[0] == '\0')
            continue;
        d->status.n = 0;
        (void)buf_append(&d->status, page->status, strnlen(page->status, POSITION_STATUS_MAX));
    }
    if (buf_terminate(&d->status) != ST_OK)
        buf_free(&d->status);
}

void report_progress(struct driver *d)
{
    if (!d->observer->progress)
        return;
    struct job_snapshot snapshot;
    read_status(d);
    report_snapshot(d, &snapshot);
    d->observer->progress(d->observer->context, &snapshot);
}
