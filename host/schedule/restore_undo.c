/* restore_undo.c: what a job that goes on does not take as it is: told, taken back in the journal, and
 * its files removed. */
#include "schedule/restore_internal.h"

#include "base/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* The name without step and round. */
static struct slice bare_name(struct slice name)
{
    const uint8_t *colon = name.n ? memchr(name.p, ':', name.n) : NULL;
    return colon ? slice_of(colon + 1, name.n - (size_t)(colon + 1 - name.p)) : name;
}

static bool begins_with(struct slice name, const char *text)
{
    struct slice bare = bare_name(name);
    size_t n = strlen(text);
    return bare.n > n && memcmp(bare.p, text, n) == 0;
}

static bool is_counted(struct slice name)
{
    return begins_with(name, "map_") || begins_with(name, "reduce_");
}

/* Where a task's round is among those of the journal; past.step_count: nowhere. */
static size_t round_of(const struct past *p, const struct past_task *t)
{
    size_t i = 0;
    while (i < p->step_count && (p->steps[i].step != t->step || p->steps[i].round != t->round))
        i++;
    return i;
}

/* --- marks --- */

static void keep(struct driver *d, enum work_kind kind, uint32_t index)
{
    struct past *p = &d->restore->past;
    const struct past_task *t = restore_past(d, kind, index);
    if (t)
        p->tasks[t - p->tasks].undone = false;
}

static void keep_held(struct driver *d)
{
    const struct restore *r = d->restore;
    uint32_t maps = (uint32_t)d->plan.splits.count;
    for (uint32_t i = 0; i < r->held_count; i++)
        if (r->held[i] || !r->judged[i].anew)
            keep(d, i < maps ? WORK_MAP : WORK_REDUCE, i < maps ? i : i - maps);
}

/* Tasks whose files are gone, or that try again what they put aside, are no change: restore_tasks sees
 * to them. */
void restore_mark_undone(struct driver *d)
{
    struct restore *r = d->restore;
    for (size_t i = 0; i < r->past.task_count; i++) {
        struct past_task *t = &r->past.tasks[i];
        size_t at = round_of(&r->past, t);
        if (at == r->past.step_count || begins_with(t->name, "remote_")) /* what servers told holds */
            continue;
        bool same = r->stands && at == r->at;
        t->undone = same ? r->whole || r->round_changed || (is_counted(t->name) && r->here)
                         : at >= r->at;
    }
    if (r->here)
        keep_held(d);
}

/* --- telling --- */

static void tell_task(struct restore *r, const char *name, const struct past_task *t,
                      const struct judged *judged, bool held)
{
    double cpu = t && t->committed ? t->cpu_seconds : 0;
    if (held)
        explain_task(&r->explain, name, RESUME_REUSE, cpu, NULL);
    else if (t && t->dropped && !judged->anew)
        explain_task(&r->explain, name, RESUME_LEFT_OUT, 0, NULL);
    else if (!t || t->attempts + t->backups == 0)
        explain_task(&r->explain, name, RESUME_NEVER, 0, NULL);
    else if (!t->committed && !t->dropped)
        explain_task(&r->explain, name, RESUME_AGAIN, 0,
                     t->failed ? "it had failed" : "under way when the job stopped");
    else
        explain_task(&r->explain, name, RESUME_AGAIN, cpu,
                     judged->why ? judged->why : "what it wrote is not taken");
}

static void tell_here(struct driver *d)
{
    struct restore *r = d->restore;
    static const struct judged as_it_is = { NULL, false };
    uint32_t maps = (uint32_t)d->plan.splits.count;
    char name[TASK_NAME_MAX];
    for (uint32_t i = 0; i < r->held_count; i++) {
        const struct work w = { .kind = i < maps ? WORK_MAP : WORK_REDUCE,
                                .index = i < maps ? i : i - maps };
        const struct past_task *t = past_task(&r->past, task_name(d, &w, name));
        tell_task(r, name, t, r->judged ? &r->judged[i] : &as_it_is, r->held[i]);
    }
}

static void tell_other(struct restore *r, const struct past_task *t, bool before)
{
    char name[TASK_NAME_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)t->name.n, (const char *)t->name.p);
    if (before && t->dropped)
        explain_task(&r->explain, name, RESUME_LEFT_OUT, 0, NULL);
    else if (t->committed)
        explain_task(&r->explain, name, before ? RESUME_REUSE : RESUME_AGAIN, t->cpu_seconds,
                     before ? NULL
                     : r->all_again ? r->all_again : "what they read is made anew");
}

/* "step 2", "round 3 of step 2" */
static const char *round_text(struct restore *r, const struct past_step *s)
{
    return s->round > 0 ? restore_say(r, "round %u of step %u", s->round, s->step)
                        : restore_say(r, "step %u", s->step);
}

static void tell_way_back(struct driver *d)
{
    struct restore *r = d->restore;
    size_t newest = r->past.step_count - 1;
    if (r->past.step_count == 0 || (r->stands && r->at == newest))
        return;
    const struct past_step *s = &r->past.steps[newest];
    if (r->stands)
        explain_note(&r->explain, "the job stood in %s and goes back to %s", round_text(r, s),
                     round_text(r, &r->past.steps[r->at]));
    else
        explain_note(&r->explain, "the job stood in %s and begins anew: its steps are other ones",
                     round_text(r, s));
}

static void tell_accepted(struct driver *d)
{
    struct restore *r = d->restore;
    char text[CHANGES_REASON_MAX];
    for (size_t i = 0; i < d->options->accept_count; i++) {
        uint32_t step;
        enum stage stage;
        if (stage_parse(d->options->accept[i], &step, &stage) &&
            changes_is_changed(&r->changes, step, stage))
            explain_note(&r->explain, "taken as it is (--accept-change %s): %s",
                         d->options->accept[i], changes_reason(&r->changes, step, stage, text));
    }
    if (r->times_accepted)
        explain_note(&r->explain, "taken as it is (--accept-change map): inputs were written to since");
}

enum status restore_explain(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct resume_view view;
    for (size_t i = 0; i < r->past.task_count; i++) {
        const struct past_task *t = &r->past.tasks[i];
        size_t at = round_of(&r->past, t);
        if (is_counted(t->name) && at < r->past.step_count && !(r->stands && at == r->at))
            tell_other(r, t, at < r->at);
    }
    if (r->stands)
        tell_here(d);
    if (!restore_is_strict(r)) {
        tell_way_back(d);
        tell_accepted(d);
    }
    enum status st = explain_end(&r->explain, e);
    if (st != ST_OK || !d->observer->resume || !(d->options->dry_run || d->options->list_tasks))
        return st;
    explain_view(&r->explain, d->place.job_id, &view);
    d->observer->resume(d->observer->context, &view);
    return ST_OK;
}

/* --- the journal --- */

static void undo_task(struct driver *d, struct past_task *t, bool row)
{
    struct restore *r = d->restore;
    char name[TASK_NAME_MAX];
    (void)snprintf(name, sizeof name, "%.*s", (int)t->name.n, (const char *)t->name.p);
    if (t->dropped || past_has_skips(&r->past, t)) {
        journal_event(d->journal, "anew", name);
        t->began_anew = sys_wall_clock();
        t->dropped = false;
    }
    if (!t->committed)
        return;
    if (row)
        journal_redo(d->journal, &(struct journal_place){ t->step, t->round, name });
    if (!is_counted(t->name))
        return;
    statistics_quarantined(&d->statistics, begins_with(t->name, "reduce_"), -aside_of(t->result));
    d->statistics.recovered -= t->failed && d->statistics.recovered > 0;
    d->statistics_changed = true;
}

static void cut_rounds(struct driver *d)
{
    const struct restore *r = d->restore;
    const struct past *p = &r->past;
    size_t first = r->stands && r->here ? r->at + 1 : r->at;
    if (r->at < p->step_count)
        journal_cut_garbage_from(d->journal, p->steps[r->at].step, p->steps[r->at].round);
    for (size_t i = first; i < p->step_count; i++)
        journal_cut_round(d->journal, p->steps[i].step, p->steps[i].round);
    if (first < p->step_count)
        journal_event(d->journal, "undo",
                      restore_say(d->restore, "%s and what came after it: %s",
                                  round_text(d->restore, &p->steps[first]),
                                  r->whole ? r->whole : "earlier work has changed"));
}

static void journal_times(struct driver *d)
{
    journal_event(d->journal, "accept-change", "map: inputs were written to since");
    for (size_t i = 0; i < d->files.count; i++)
        if (d->files.files[i].mtime)
            journal_input_time(d->journal, d->files.files[i].path, d->files.files[i].mtime);
}

/* What is different is kept in words; the rows of `job` are what holds from now on. */
static void journal_changes(struct driver *d)
{
    struct restore *r = d->restore;
    char stage[STAGE_TEXT_MAX];
    if (r->all_again)
        journal_event(d->journal, "change", r->all_again);
    for (size_t i = 0; i < r->changes.count; i++) {
        const struct change *c = &r->changes.list[i];
        bool accepted = !restore_stage_changed(d, c->step, c->stage);
        journal_event(d->journal, accepted ? "accept-change" : "change",
                      restore_say(r, "%s: %s", stage_text(c->step, c->stage, stage), c->text));
    }
    if (r->times_accepted)
        journal_times(d);
    journal_job(d->journal, "seed", restore_say(r, "%" PRIu64, d->seed));
    journal_job_number(d->journal, "sort_buffer", d->sort_buffer);
    journal_job_blob(d->journal, "fingerprints", d->job.fingerprints);
}

static void journal_plan(struct driver *d)
{
    struct restore *r = d->restore;
    d->plan_hash = (uint64_t)past_number(&r->past, "plan_hash", 0);
    if (!r->here)
        return; /* when it is begun */
    bool first = d->step == 0 && d->round <= 1;
    if (!r->plan_changed && !(first && r->round_changed))
        return;
    if (r->plan_changed)
        journal_event(d->journal, "plan",
                      restore_say(r, "%s had %u maps and %u reduces, and is planned anew: %u maps",
                                  round_text(r, r->here), r->here->maps, r->here->reduces,
                                  (uint32_t)d->plan.splits.count));
    journal_cut_plan(d->journal, d->step + 1, d->round);
    plan_journal(d);
}

void restore_undo(struct driver *d)
{
    struct restore *r = d->restore;
    if (restore_is_strict(r))
        return;
    for (size_t i = 0; i < r->past.task_count; i++) {
        struct past_task *t = &r->past.tasks[i];
        if (t->undone)
            undo_task(d, t, r->here && round_of(&r->past, t) == r->at);
    }
    cut_rounds(d);
    journal_plan(d);
    journal_changes(d);
}

/* --- files --- */

/* A checkpoint that is kept may still need it: then it stays as long as that. */
static void remove_in(struct driver *d, const struct past_task *t, const char *dir, const char *name,
                      const char *ending)
{
    struct buf path = BUF_EMPTY;
    if (buf_printf(&path, "%s/%s%s", dir, name, ending) == ST_OK && buf_terminate(&path) == ST_OK &&
        access((const char *)path.p, F_OK) == 0)
        checkpoint_remove_file(d, (const char *)path.p, t->step, t->round, INT32_MAX, INT32_MAX);
    buf_free(&path);
}

static void unlink_outputs(struct driver *d, const struct past_task *t, const char *attempt)
{
    struct slice list, element, name;
    struct val_cursor c;
    if (!val_get(t->result, "side_outputs", &list))
        return;
    uint64_t n = val_array(list, &c);
    for (uint64_t i = 0; i < n && val_skip(&c, &element) == ST_OK; i++) {
        char ending[256];
        if (!val_get_string(element, "name", &name) || name.n == 0 || name.n >= sizeof ending - 2 ||
            memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
            continue;
        (void)snprintf(ending, sizeof ending, "-%.*s", (int)name.n, (const char *)name.p);
        remove_in(d, t, d->place.stage_dir, attempt, ending);
    }
}

/* "2.7:map_0", attempt 1 → "2.7-map_0.1" */
static void clear_task(struct driver *d, const struct past_task *t)
{
    char attempt[ATTEMPT_NAME_MAX];
    (void)snprintf(attempt, sizeof attempt, "%.*s.%u%s", (int)t->name.n, (const char *)t->name.p,
                   t->winner, t->speculative ? "s" : "");
    char *colon = strchr(attempt, ':');
    if (colon)
        *colon = '-';
    remove_in(d, t, d->place.work_dir, attempt, ".run");
    remove_in(d, t, d->place.work_dir, attempt, ".part");
    if (d->place.stage_dir != d->place.work_dir)
        remove_in(d, t, d->place.stage_dir, attempt, ".part");
    remove_in(d, t, d->place.quarantine_dir, attempt, ".jsonl");
    unlink_outputs(d, t, attempt);
}

void restore_clear(struct driver *d)
{
    struct restore *r = d->restore;
    if (!r || restore_is_strict(r))
        return;
    for (size_t i = 0; i < r->past.task_count; i++) {
        struct past_task *t = &r->past.tasks[i];
        if (!t->undone)
            continue;
        if (t->committed)
            clear_task(d, t);
        t->committed = false;
    }
}
