/* restore_walk.c: what has changed since a job began, and where it goes on: round after round is
 * taken as it was, up to the first that does not do so. */
#include "schedule/restore_internal.h"

#include <stdarg.h>
#include <stdio.h>

const char *restore_say(struct restore *r, const char *format, ...)
{
    char text[CHANGES_REASON_MAX + ERR_FILE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = arena_strdup(&r->arena, text);
    return copy ? copy : "";
}

/* --- what has changed --- */

bool restore_is_accepted(const struct driver *d, uint32_t step, enum stage stage)
{
    for (size_t i = 0; i < d->options->accept_count; i++) {
        uint32_t other;
        enum stage named;
        if (stage_parse(d->options->accept[i], &other, &named) && other == step && named == stage)
            return true;
    }
    return false;
}

bool restore_stage_changed(const struct driver *d, uint32_t step, enum stage stage)
{
    return changes_is_changed(&d->restore->changes, step, stage) && !restore_is_accepted(d, step, stage);
}

/* What is accepted must be there. */
static enum status check_accepted(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    for (size_t i = 0; i < d->options->accept_count; i++) {
        const char *text = d->options->accept[i];
        uint32_t step;
        enum stage stage;
        if (!stage_parse(text, &step, &stage))
            return err_set(e, ST_USAGE, "--accept-change %s: it is no stage of a job", text);
        if (step > d->job.step_count)
            return err_set(e, ST_USAGE, "--accept-change %s: the job has %u step%s", text,
                           d->job.step_count, d->job.step_count == 1 ? "" : "s");
        if (changes_stage(&r->changes, step, stage) == STAGE_ABSENT)
            return err_set(e, ST_USAGE, "--accept-change %s: step %u has no %s", text, step,
                           stage_name(stage));
        if (!changes_is_changed(&r->changes, step, stage) && stage != STAGE_MAP)
            explain_note(&r->explain, "%s is as it was: there is no change of it to accept", text);
    }
    return ST_OK;
}

enum status restore_compare(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct slice description = past_blob(&r->past, "description");
    r->knows_then = description.n > 0 && description_read(&r->then, description, NULL) == ST_OK;
    enum status st = changes_compare(past_blob(&r->past, "fingerprints"), d->job.fingerprints,
                                     &r->changes, e);
    if (st != ST_OK)
        return st;
    r->all_again = restore_settings_change(d);
    return check_accepted(d, e);
}

/* --- the walk --- */

/* Does the job, as it is now, have such a round? */
static bool exists(const struct driver *d, const struct past_step *s)
{
    if (s->step < 1 || s->step > d->job.step_count)
        return false;
    const struct described_step *step = &d->job.steps[s->step - 1];
    return step->iterates ? s->round >= 1 && s->round <= step->max_rounds : s->round == 0;
}

/* As before the first round was taken. */
static void start_over(struct driver *d, const struct job_snapshot *totals)
{
    plan_round_free(&d->plan);
    result_free(d);
    d->previous.n = 0;
    d->totals = *totals;
    d->step = d->round = 0;
    d->quarantined = d->round_units = d->round_quarantined = 0;
    d->dropped = 0;
}

/* Goes on in round number `limit` at the latest. ST_END: that is too late, an earlier one has to run
 * again too. */
static enum status walk_to(struct driver *d, size_t limit, struct err *e)
{
    struct restore *r = d->restore;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK; i++) {
        const struct past_step *s = &r->past.steps[i];
        restore_go_to(d, s);
        st = plan_round(d, e);
        if (st != ST_OK)
            break;
        if (i == limit || !exists(d, s + 1) || restore_is_affected(d, s)) {
            r->at = i;
            r->stands = true;
            d->round_units = d->round_quarantined = 0; /* earlier rounds were judged */
            return restore_judge(d, s, e);
        }
        st = restore_take_round(d, s, e);
    }
    return st;
}

enum status restore_walk(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    const struct job_snapshot totals = d->totals;
    if (r->past.step_count == 0 || !exists(d, &r->past.steps[0])) {
        r->at = 0;
        return ST_OK;
    }
    enum status st = walk_to(d, r->past.step_count - 1, e);
    while (st == ST_END && r->at > 0) {
        start_over(d, &totals);
        st = walk_to(d, r->at - 1, e);
    }
    return st;
}
