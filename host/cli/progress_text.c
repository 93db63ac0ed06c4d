#include "cli/progress_text.h"

#include "base/size.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#define NS_PER_SECOND 1e9
#define SMOOTHING_SECONDS 3.0
#define ETA_AFTER_SECONDS 2.0
#define ETA_LEAST_DONE 0.02
#define ETA_MOST_SECONDS (100 * 3600.0)

/* Shorter samples than this are noise. */
#define SAMPLE_SECONDS 0.05

static void rate_add(struct rate *rate, uint64_t value, double seconds)
{
    /* a failed attempt's share is taken back: that is no negative speed */
    double change = value > rate->last ? (double)(value - rate->last) : 0;
    double keep = exp(-seconds / SMOOTHING_SECONDS);
    rate->sum = rate->sum * keep + change / seconds * (1 - keep);
    rate->weight = rate->weight * keep + (1 - keep);
    rate->last = value;
}

double rate_value(const struct rate *rate)
{
    return rate->weight > 0 ? rate->sum / rate->weight : 0;
}

/* What the phase makes records of: maps read them, reduces write them. */
static uint64_t records_of(const struct job_snapshot *snapshot)
{
    return snapshot->phase == JOB_REDUCE ? snapshot->records_out : snapshot->records_in;
}

void rates_update(struct rates *rates, const struct job_snapshot *snapshot, int64_t now)
{
    bool same = rates->started && rates->phase == snapshot->phase &&
                rates->step == snapshot->step && rates->round == snapshot->round;
    if (!same) {
        *rates = (struct rates){ .started = true,
                                 .phase = snapshot->phase,
                                 .step = snapshot->step,
                                 .round = snapshot->round,
                                 .phase_start = now,
                                 .last = now };
        rates->records.last = records_of(snapshot);
        rates->bytes.last = snapshot->phase_bytes_done;
        return;
    }
    double seconds = (double)(now - rates->last) / NS_PER_SECOND;
    if (seconds < SAMPLE_SECONDS)
        return;
    rates->last = now;
    rate_add(&rates->records, records_of(snapshot), seconds);
    rate_add(&rates->bytes, snapshot->phase_bytes_done, seconds);
}

/* Share of the phase that is done, in [0, 1]. */
static double share_done(const struct job_snapshot *s)
{
    double done = 0;
    if (s->phase_bytes > 0)
        done = (double)s->phase_bytes_done / (double)s->phase_bytes;
    else if (s->phase_tasks > 0)
        done = (double)s->phase_done / (double)s->phase_tasks;
    return done > 1 ? 1 : done;
}

double rates_eta(const struct rates *rates, const struct job_snapshot *s, int64_t now)
{
    double elapsed = (double)(now - rates->phase_start) / NS_PER_SECOND;
    double done = share_done(s), seconds = -1;
    if (!rates->started || elapsed < ETA_AFTER_SECONDS || done < ETA_LEAST_DONE || done >= 1)
        return -1;
    double speed = rate_value(&rates->bytes);
    if (s->phase_bytes == 0)
        seconds = elapsed * (1 - done) / done;
    else if (speed > 0)
        seconds = (double)(s->phase_bytes - s->phase_bytes_done) / speed;
    return seconds >= 0.5 && seconds < ETA_MOST_SECONDS ? seconds : -1;
}

const char *phase_name(enum job_phase phase)
{
    static const char *const names[] = {
        "prepare", "index", "sample", "map", "reduce", "publish", "done",
    };
    static_assert(sizeof names / sizeof *names == JOB_DONE + 1, "every phase has a name");
    return names[phase];
}

static void add_rate(struct text *t, const struct rates *rates)
{
    char number[SIZE_TEXT_MAX];
    double records = rate_value(&rates->records), bytes = rate_value(&rates->bytes);
    if (records >= 1e6)
        text_printf(t, "  %.3g M records/s", records / 1e6);
    else if (records >= 1)
        text_printf(t, "  %s records/s", count_format((uint64_t)records, number));
    if (bytes >= 1)
        text_printf(t, "  %s/s", size_format((uint64_t)bytes, number));
}

static void add_eta(struct text *t, double seconds)
{
    char number[SIZE_TEXT_MAX];
    if (seconds < 0)
        return;
    if (seconds < 59.5)
        text_printf(t, "  ETA %.0f s", seconds);
    else
        text_printf(t, "  ETA %s", duration_format(seconds, number));
}

static void add_status(struct text *t, const char *status)
{
    char shown[512];
    if (!status || !status[0])
        return;
    (void)snprintf(shown, sizeof shown, "%s", status);
    columns_disarm(shown);
    text_printf(t, "  %s", shown);
}

void progress_line(struct text *t, const struct rates *rates, const struct job_snapshot *s,
                   int64_t now, size_t *lead)
{
    if (s->steps > 1)
        text_printf(t, "step %u/%u ", s->step, s->steps);
    if (s->round > 0)
        text_printf(t, "round %u ", s->round);
    text_add(t, phase_name(s->phase));
    *lead = t->buf.n;
    if (s->phase_tasks > 0) {
        char done[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
        (void)count_format(s->phase_tasks, all);
        text_printf(t, " %s/%s %s", count_format(s->phase_done, done), all,
                    s->phase_tasks == 1 ? "task" : "tasks");
        if (s->phase_running > 0)
            text_printf(t, " (%s running)", count_format(s->phase_running, done));
        if (s->phase == JOB_MAP || s->phase == JOB_REDUCE)
            text_printf(t, "  %.0f %%", floor(100 * share_done(s)));
    }
    add_rate(t, rates);
    add_eta(t, rates_eta(rates, s, now));
    add_status(t, s->status);
}
