/* restore_judge.c: of the round in which a job goes on: which tasks do as they are, and why others do
 * not. */
#include "schedule/restore_internal.h"

/* --- of a round as a whole --- */

static bool was_last(const struct restore *r, const struct past_step *s)
{
    if (s->step != r->then.step_count)
        return false;
    const struct described_step *step = &r->then.steps[s->step - 1];
    return !step->iterates || s->round == step->max_rounds;
}

/* What the round wrote is the output now, and was not, or the other way round. */
static const char *ends_elsewhere(struct driver *d)
{
    struct restore *r = d->restore;
    if (r->then.step_count != d->job.step_count)
        return restore_say(r, "the job has %u step%s now, and had %u", d->job.step_count,
                           d->job.step_count == 1 ? "" : "s", r->then.step_count);
    return "another round is the last one now";
}

static const char *last_changed(struct driver *d, const struct past_step *s)
{
    struct restore *r = d->restore;
    if (!r->knows_then || was_last(r, s) == d->plan.is_last)
        return NULL;
    return ends_elsewhere(d);
}

/* Asked for, as a total order may find fewer. */
static const char *reduces_changed(struct driver *d, const struct past_step *s)
{
    struct restore *r = d->restore;
    const struct described_step *step = &d->job.steps[d->step];
    uint32_t was = s->reduces, is = d->plan.partitions;
    bool fewer = step->total_order && was >= 1 && was < is;
    if (fewer && r->knows_then && d->step < r->then.step_count && d->options->reducers < 0)
        fewer = r->then.steps[d->step].reducers == step->reducers;
    if (was == is || fewer)
        return NULL;
    return restore_say(r, "the number of reduces was %u and is %u now", was, is);
}

static const char *first_split_change(struct driver *d, const struct past_step *s)
{
    uint32_t maps = (uint32_t)d->plan.splits.count;
    for (uint32_t i = 0; i < maps; i++) {
        const char *why = restore_split_change(d, s, i);
        if (why)
            return why;
    }
    return maps == s->maps ? NULL : restore_say(d->restore, "there are %u maps now, and were %u", maps, s->maps);
}

static const char *stage_change(struct driver *d, enum stage stage)
{
    struct restore *r = d->restore;
    char text[CHANGES_REASON_MAX];
    if (!restore_stage_changed(d, d->step + 1, stage))
        return NULL;
    (void)changes_reason(&r->changes, d->step + 1, stage, text);
    return d->job.step_count > 1 ? restore_say(r, "step %u: %s", d->step + 1, text)
                                 : restore_say(r, "%s", text);
}

/* Only the output's format: a round that others follow does not write in it. */
static bool is_output_alone(const struct driver *d, enum stage stage)
{
    const struct changes *c = &d->restore->changes;
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i].step == d->step + 1 && c->list[i].stage == stage &&
            strcmp(c->list[i].name, "option output") != 0)
            return false;
    return true;
}

static bool round_follows(const struct driver *d)
{
    return d->job.steps[d->step].iterates && !d->plan.is_last;
}

static bool writes_outputs(struct driver *d, enum work_kind kind, uint32_t count)
{
    struct slice ignored;
    for (uint32_t i = 0; i < count; i++) {
        const struct past_task *t = restore_past(d, kind, i);
        if (t && val_get(t->result, "side_outputs", &ignored))
            return true;
    }
    return false;
}

/* Of the tasks that write the round's output. */
static const char *writer_change(struct driver *d, const struct past_step *s, enum stage stage)
{
    const char *why = stage_change(d, stage);
    bool maps = stage == STAGE_MAP;
    if (why && round_follows(d) && is_output_alone(d, stage) &&
        !writes_outputs(d, maps ? WORK_MAP : WORK_REDUCE, maps ? s->maps : s->reduces))
        why = NULL;
    return why ? why : last_changed(d, s);
}

static const char *map_change(struct driver *d, const struct past_step *s)
{
    return d->plan.partitions == 0 ? writer_change(d, s, STAGE_MAP) : stage_change(d, STAGE_MAP);
}

static const char *reduce_change(struct driver *d, const struct past_step *s)
{
    return d->plan.partitions == 0 ? NULL : writer_change(d, s, STAGE_REDUCE);
}

/* Rounds that read the step's input again do not read the pairs of the one before. */
static const char *reading_changed(const struct driver *d)
{
    const struct restore *r = d->restore;
    if (!r->knows_then || d->step >= r->then.step_count || d->round < 2 ||
        r->then.steps[d->step].reread == d->job.steps[d->step].reread)
        return NULL;
    return "the rounds read something else than they did";
}

/* Why all tasks of the round run again, and it is planned anew. A total order is sampled from what maps
 * give. */
static const char *whole_change(struct driver *d, const struct past_step *s)
{
    struct restore *r = d->restore;
    const char *why = r->all_again;
    if (!why)
        why = reduces_changed(d, s);
    if (!why)
        why = reading_changed(d);
    if (!why && d->job.steps[d->step].total_order && s->reduces > 0) {
        const char *other = map_change(d, s);
        other = other ? other : first_split_change(d, s);
        why = other ? restore_say(r, "%s, so the order's boundaries are sampled anew", other) : NULL;
    }
    return why;
}

bool restore_is_affected(struct driver *d, const struct past_step *s)
{
    return whole_change(d, s) || map_change(d, s) || reduce_change(d, s) ||
           first_split_change(d, s) || stage_change(d, STAGE_STOP);
}

/* --- of its tasks --- */

static void judge_all(struct restore *r, uint32_t first, uint32_t count, const char *why)
{
    for (uint32_t i = first; why && i < first + count; i++)
        r->judged[i] = (struct judged){ why, true };
}

/* Maps that run again may give any reduce other pairs than it has read. */
static void judge_tasks(struct driver *d, const struct past_step *s)
{
    struct restore *r = d->restore;
    uint32_t maps = (uint32_t)d->plan.splits.count, reduces = d->plan.partitions;
    bool other_pairs = maps != s->maps;
    r->plan_changed = maps != s->maps;
    judge_all(r, 0, maps, map_change(d, s));
    for (uint32_t i = 0; i < maps; i++) {
        const char *why = restore_split_change(d, s, i);
        r->plan_changed = r->plan_changed || why;
        if (why && !r->judged[i].why)
            r->judged[i] = (struct judged){ why, true };
        other_pairs = other_pairs || r->judged[i].why;
    }
    judge_all(r, maps, reduces, other_pairs ? "what they read is made anew" : NULL);
    judge_all(r, maps, reduces, reduce_change(d, s));
    r->round_changed = other_pairs || stage_change(d, STAGE_STOP) || stage_change(d, STAGE_FORMAT);
    for (uint32_t i = 0; i < reduces; i++)
        r->round_changed = r->round_changed || r->judged[maps + i].why;
}

static enum status judge_whole(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    r->here = NULL;
    r->round_changed = true;
    enum status st = restore_make_tables(d, e);
    if (st == ST_OK)
        judge_all(r, 0, r->held_count, r->whole);
    return st;
}

static enum status judge_here(struct driver *d, const struct past_step *s, struct err *e)
{
    struct restore *r = d->restore;
    r->here = s;
    d->plan.partitions = s->reduces;
    if (buf_append_slice(&d->plan.boundaries, s->boundaries) != ST_OK)
        return err_memory(e, "the boundaries", s->boundaries.n);
    enum status st = restore_make_tables(d, e);
    if (st != ST_OK)
        return st;
    judge_tasks(d, s);
    restore_judge_round(d);
    return ST_OK;
}

enum status restore_judge(struct driver *d, const struct past_step *s, struct err *e)
{
    struct restore *r = d->restore;
    r->plan_changed = r->round_changed = false;
    r->whole = whole_change(d, s);
    enum status st = r->whole ? judge_whole(d, e) : judge_here(d, s, e);
    if (st != ST_OK)
        return st;
    const char *gone = restore_gone_pairs(d);
    if (!gone)
        return ST_OK;
    return r->at > 0 ? ST_END
                     : err_set(e, ST_USAGE, "%s is gone, which %s is to read; run the job again", gone,
                               d->place.job_id);
}
