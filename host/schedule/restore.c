#include "schedule/restore.h"

#include "base/sys.h"
#include "recover/checkpoint.h"
#include "recover/history.h"
#include "schedule/damage.h"
#include "schedule/options.h"
#include "schedule/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- opening --- */

/* Who only looks asks whether the lock of the job is taken, and does not take it: it leaves no trace. */
static bool is_at_work(const char *job_dir)
{
    struct buf path = BUF_EMPTY;
    int fd = -1;
    if (buf_printf(&path, "%s/lock", job_dir) == ST_OK && buf_terminate(&path) == ST_OK)
        fd = open((const char *)path.p, O_RDONLY | O_CLOEXEC);
    bool taken = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        (void)close(fd);
    buf_free(&path);
    return taken;
}

static enum status read_job(const char *job_dir, struct past *out, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = buf_printf(&path, "%s/journal.db", job_dir);
    if (st == ST_OK)
        st = buf_terminate(&path);
    if (st != ST_OK)
        st = err_memory(e, "a path", strlen(job_dir));
    else if (is_at_work(job_dir))
        st = past_read_job((const char *)path.p, out, e);
    else
        st = past_read_job_still((const char *)path.p, out, e);
    buf_free(&path);
    return st;
}

static enum status copy_text(const char *text, struct arena *arena, const char **out, struct err *e)
{
    *out = text ? arena_strdup(arena, text) : NULL;
    return text && !*out ? err_memory(e, "the job's options", strlen(text)) : ST_OK;
}

/* A checkpoint is as good as the journal, and better where that is damaged. */
static enum status read_checkpoint(const char *job_dir, unsigned from, struct past *out, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = checkpoint_find(job_dir, from, &path, e);
    if (st == ST_OK)
        st = past_read_job_still((const char *)path.p, out, e);
    if (st == ST_CORRUPT)
        (void)err_set(e, st,
                      "checkpoint %u is damaged (%s); nothing was changed: go back to another one, or resume "
                      "without --from",
                      from, (const char *)path.p);
    buf_free(&path);
    return st;
}

static enum status read_either(const char *job_dir, unsigned from, struct past *out, struct err *e)
{
    if (from)
        return read_checkpoint(job_dir, from, out, e);
    enum status st = damage_check(job_dir, e);
    if (st == ST_OK)
        st = read_job(job_dir, out, e);
    return st == ST_OK ? st : damage_advise(job_dir, e);
}

enum status job_options(const char *job_dir, unsigned from, struct arena *arena, struct run_options *out,
                        const char **directory, struct err *e)
{
    struct past past = { .arena = ARENA_EMPTY };
    enum status st = read_either(job_dir, from, &past, e);
    if (st == ST_OK)
        st = options_get(past_blob(&past, "options"), arena, out, e);
    if (st == ST_OK)
        st = copy_text(past_text(&past, "directory"), arena, directory, e);
    const char *profile = past_text(&past, "profile_name");
    const char *given = st == ST_OK && out->profile ? out->profile : "production";
    if (st == ST_OK && profile && strcmp(profile, given) != 0) /* by `lmr profile use` */
        st = copy_text(profile, arena, &out->profile, e);
    past_free(&past);
    return st;
}

/* A journal that cannot be read is no job that is over: who goes on with it is told why not. */
bool job_is_over(const char *job_dir)
{
    struct past past = { .arena = ARENA_EMPTY };
    bool over = false;
    if (read_job(job_dir, &past, NULL) == ST_OK) {
        const char *state = past_text(&past, "state");
        over = state && history_is_over(state);
    }
    past_free(&past);
    return over;
}

/* What a job that is over says, and how it ended. */
static enum status over(struct driver *d, const char *state, int *code)
{
    struct restore *r = d->restore;
    const char *dir = past_text(&r->past, "output_dir");
    int64_t aside = past_number(&r->past, "quarantined", 0);
    *code = d->options->dry_run ? EXIT_COMPLETE
            : strcmp(state, "partial") == 0 ? EXIT_PARTIAL
            : aside > 0                   ? EXIT_QUARANTINED
                                          : EXIT_COMPLETE;
    report_note(d, "%s is %s already%s%s; there is nothing left to do",
                sys_name(d->options->resume), state, dir ? ": its result is in " : "",
                dir ? dir : "");
    return ST_END;
}

static enum status check_state(struct driver *d, int *code, struct err *e)
{
    struct restore *r = d->restore;
    const char *state = past_text(&r->past, "state");
    if (!state)
        return err_set(e, ST_CORRUPT, "the journal of %s does not say how the job stands",
                       sys_name(d->options->resume));
    enum status st = mend_open(d, state, e);
    if (st != ST_OK)
        return st;
    if (!r->mend && history_is_over(state))
        return over(d, state, code);
    r->publishing = strcmp(state, "publishing") == 0;
    if (!past_text(&r->past, "stage_dir") || !past_text(&r->past, "work_dir"))
        return err_set(e, ST_CORRUPT, "the journal of %s does not say where the job keeps its work",
                       sys_name(d->options->resume));
    return ST_OK;
}

static enum status not_at_work(const char *job_dir, struct err *e)
{
    if (!is_at_work(job_dir))
        return ST_OK;
    return err_set(e, ST_USAGE,
                   "%s is at work already: wait for its end, or stop it (lmr stop %s); then what a resume "
                   "would do can be told",
                   sys_name(job_dir), sys_name(job_dir));
}

/* The lock comes first, so that what is read then stays so; a dry run does not take it. */
enum status restore_open(struct driver *d, int *code, struct err *e)
{
    struct restore *r = sys_calloc(1, sizeof *r);
    const char *dir = d->options->resume;
    bool dry = d->options->dry_run;
    if (!r)
        return err_memory(e, "the job's past", sizeof *r);
    d->restore = r;
    fence_watch(d);
    enum status st = dry ? not_at_work(dir, e) : place_lock(&d->place, dir, e);
    if (st != ST_OK)
        return st == ST_END ? ST_USAGE : st;
    const char *path = place_join(&d->place, dir, "journal.db");
    st = path ? checkpoint_return(d, dir, &path, e) : err_memory(e, "a path", strlen(dir));
    if (st != ST_OK)
        return st;
    st = dry ? past_read_still(path, &r->past, e) : past_read(path, &r->past, e);
    if (st != ST_OK)
        return damage_advise(dir, e);
    st = check_state(d, code, e);
    return st == ST_OK ? moved_open(&r->past, d->options, &r->moved, e) : st;
}

void restore_free(struct driver *d)
{
    struct restore *r = d->restore;
    if (!r)
        return;
    mend_free(r->mend);
    past_free(&r->past);
    sys_free(r->held);
    sys_free(r->judged);
    if (r->knows_then)
        description_free(&r->then);
    changes_free(&r->changes);
    explain_free(&r->explain);
    arena_free(&r->arena);
    sys_free(r);
    d->restore = NULL;
}

bool restore_was_publishing(const struct driver *d)
{
    return d->restore && d->restore->publishing;
}

uint64_t restore_version(const struct driver *d)
{
    return d->restore && d->restore->mend ? d->restore->mend->version : 1;
}

struct slice restore_previous(const struct driver *d)
{
    return d->restore && d->restore->mend ? buf_slice(&d->restore->mend->previous)
                                          : slice_of(NULL, 0);
}

bool restore_stands(const struct driver *d)
{
    return d->restore && d->restore->stands;
}

bool restore_is_here(const struct driver *d)
{
    const struct restore *r = d->restore;
    return r && r->here && r->here->step == d->step + 1 && r->here->round == d->round;
}

bool restore_is_whole(const struct driver *d)
{
    return restore_is_here(d) && d->restore->done == d->restore->held_count;
}

/* --- folders and standard input --- */

/* While its result is moved into place the output directory holds files of it. */
enum status restore_place(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct place *p = &d->place;
    enum status st = place_restore(p, d->options->resume, past_text(&r->past, "output_dir"),
                                   past_text(&r->past, "stage_dir"),
                                   past_text(&r->past, "work_dir"), e);
    if (st != ST_OK || !p->output_dir)
        return st;
    if (r->mend)
        return mend_place(d, e);
    if (!r->publishing)
        return publish_check(p->output_dir, d->options->overwrite, &p->replaces, e);
    p->replaces = d->options->overwrite;
    return ST_OK;
}

/* --- earlier steps and rounds --- */

const struct past_task *restore_past(const struct driver *d, enum work_kind kind, uint32_t index)
{
    const struct work w = { .kind = kind, .index = index };
    char name[TASK_NAME_MAX];
    return past_task(&d->restore->past, task_name(d, &w, name));
}

static const struct past_task *past_of(const struct driver *d, const struct work *w)
{
    char name[TASK_NAME_MAX];
    return past_task(&d->restore->past, task_name(d, w, name));
}

bool restore_remote(struct driver *d)
{
    uint32_t n = remote_tasks(d);
    for (uint32_t i = 0; i < n; i++) {
        const struct past_task *t = d->restore ? restore_past(d, WORK_REMOTE, i) : NULL;
        if (!t || !t->committed || remote_take(d, i, t->result, NULL) != ST_OK)
            return false;
    }
    return true;
}

/* Counts what the task brought, as its commit did; in the statistics it is already, and reduces
 * are judged when their stage comes. */
static enum status take_result(struct driver *d, struct work *w, const struct past_task *t)
{
    w->winner = (struct attempt_id){ t->winner, t->speculative };
    w->result.n = 0;
    if (buf_append_slice(&w->result, t->result) != ST_OK)
        return ST_MEMORY;
    result_count(d, w);
    statistics_quarantined(&d->statistics, w->kind == WORK_REDUCE, -aside_of(t->result));
    if (w->kind == WORK_REDUCE)
        aside_count_round(d, w, -1);
    d->totals.committed += work_is_counted(w);
    return ST_OK;
}

static enum status take_task(struct driver *d, struct work *w, struct err *e)
{
    char name[TASK_NAME_MAX];
    const struct past_task *t = past_of(d, w);
    if (t && t->dropped) {
        w->dropped = true;
        d->dropped++;
        return ST_OK;
    }
    if (!t || !t->committed)
        return err_set(e, ST_CORRUPT,
                       "the journal of %s lacks the result of %s, which was done; run the job "
                       "again",
                       d->place.job_id, task_name(d, w, name));
    return take_result(d, w, t) == ST_OK ? ST_OK : err_memory(e, "a result", t->result.n);
}

void restore_go_to(struct driver *d, const struct past_step *s)
{
    if (s->step != d->step + 1) {
        kept_free(&d->step_input);
        d->step_input = d->pairs;
        d->pairs = (struct kept_files){ NULL, 0, 0 };
        d->previous.n = 0;
    }
    d->step = s->step - 1;
    d->round = s->round;
}

enum status restore_take_round(struct driver *d, const struct past_step *s, struct err *e)
{
    const struct work_group groups[] = { { WORK_MAP, s->maps }, { WORK_REDUCE, s->reduces } };
    d->plan.partitions = s->reduces;
    d->maps = s->maps;
    d->totals.map_tasks += s->maps;
    d->totals.reduce_tasks += s->reduces;
    d->totals.tasks += s->maps + s->reduces;
    enum status st = driver_make_work(d, groups, 2, e);
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++)
        st = take_task(d, &d->work[i], e);
    return st == ST_OK ? result_round(d, e) : st;
}

/* --- where it stood, when its plan must be what it was --- */

bool restore_is_strict(const struct restore *r)
{
    return r->mend || r->publishing;
}

static enum status plan_here(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    restore_go_to(d, r->here);
    enum status st = plan_round(d, e);
    if (st == ST_OK)
        st = restore_same_splits(d, e);
    if (st == ST_OK)
        st = restore_same_reduces(d, e);
    if (st != ST_OK)
        return st;
    d->plan.partitions = r->here->reduces;
    if (buf_append_slice(&d->plan.boundaries, r->here->boundaries) != ST_OK)
        return err_memory(e, "the boundaries", r->here->boundaries.n);
    d->plan_hash = (uint64_t)past_number(&r->past, "plan_hash", 0);
    if (r->mend)
        st = mend_begin(d, e);
    if (st == ST_OK)
        st = restore_make_tables(d, e);
    if (st != ST_OK)
        return st;
    r->stands = true;
    restore_judge_round(d);
    return restore_check_pairs(d, e);
}

static enum status go_where_it_stood(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    enum status st = restore_same_settings(d, e);
    if (r->past.step_count == 0)
        return st;
    r->at = r->past.step_count - 1;
    for (size_t i = 0; i < r->at && st == ST_OK; i++) {
        restore_go_to(d, &r->past.steps[i]);
        plan_round_free(&d->plan);
        st = restore_take_round(d, &r->past.steps[i], e);
    }
    r->here = &r->past.steps[r->at];
    d->round_units = d->round_quarantined = 0; /* those rounds were judged */
    return st == ST_OK ? plan_here(d, e) : st;
}

/* Where it goes on, and what it takes as it is. */
static enum status find_place(struct driver *d, struct err *e)
{
    const struct restore *r = d->restore;
    enum status st = restore_is_strict(r) ? ST_OK : restore_compare(d, e);
    if (st != ST_OK)
        return st;
    d->at = AT_RUN;
    st = restore_is_strict(r) ? go_where_it_stood(d, e) : restore_walk(d, e);
    d->at = AT_DESCRIBE;
    if (st == ST_OK && !restore_is_strict(r))
        restore_mark_undone(d);
    return st;
}

/* The row is as old as the last failure: what the table of attempts tells is newer. */
static enum status take_statistics(struct driver *d, struct err *e)
{
    const struct past *p = &d->restore->past;
    struct slice row = past_blob(p, "statistics");
    enum status st = ST_OK;
    d->statistics = (struct statistics){ .attempts = 0 };
    if (row.n > 0)
        st = statistics_get(row, &d->statistics, e);
    d->statistics.failed_tasks = 0; /* they are tried again */
    d->statistics.recovered = p->recovered;
    d->statistics.attempts = d->totals.attempts = p->attempts;
    d->statistics.committed = p->committed;
    d->statistics.cpu_seconds = p->cpu_seconds;
    d->totals.failures = statistics_failures(&d->statistics);
    d->totals.retries = statistics_retries(&d->statistics);
    return st;
}

static enum status advise_on_room(struct err *e)
{
    size_t n = strlen(e->message);
    if (e->status == ST_DISK_FULL)
        (void)snprintf(e->message + n, sizeof e->message - n,
                       "; the job stays as it was: free some space there, then resume again");
    return e->status;
}

static enum status open_journal(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    const char *path = place_join(&d->place, d->place.job_dir, "journal.db");
    enum status st = place_remake(&d->place, e);
    if (st == ST_OK)
        st = path ? journal_open(path, d->job.durable, &d->journal, e)
                  : err_memory(e, "a path", sizeof "journal.db");
    if (st != ST_OK)
        return advise_on_room(e);
    lock_settle(d->place.lock);
    journal_guard(d->journal, fence_holds, d);
    moved_journal(&r->moved, d->journal, d->options);
    st = take_statistics(d, e);
    return st == ST_OK && r->mend ? mend_journal(d, e) : st;
}

/* Line by line, as notes are. */
static void tell(struct driver *d)
{
    struct restore *r = d->restore;
    const char *text = (const char *)r->explain.text.p;
    size_t n = strcspn(text, "\n");
    journal_event(d->journal, r->mend ? "resume --quarantined" : "resume", text);
    report_note(d, "going on with %s: %.*s", d->place.job_id, (int)n, text);
    while (text[n]) {
        text += n + 1;
        n = strcspn(text, "\n");
        report_note(d, "%.*s", (int)n, text);
    }
}

enum status restore_begin(struct driver *d, struct err *e)
{
    enum status st = find_place(d, e);
    if (st == ST_OK)
        st = restore_explain(d, e);
    if (st != ST_OK || d->options->dry_run)
        return st;
    st = open_journal(d, e);
    if (st == ST_OK) {
        restore_undo(d);
        tell(d);
    }
    return st;
}

/* --- tasks --- */

static bool is_done(struct driver *d, uint32_t task)
{
    const struct restore *r = d->restore;
    const struct work *w = &d->work[task];
    if (!restore_is_here(d))
        return false;
    if (d->at == AT_RUN)
        return r->held[task];
    if (d->at == AT_FORMAT)
        return restore_is_held(d, WORK_FORMAT, w->index, true);
    return d->at == AT_STOP_TEST;
}

struct skipping {
    struct work *work;
    struct err *e;
};

static enum status skip(void *context, const struct err *failure)
{
    struct skipping *s = context;
    s->work->failure->err = *failure;
    return failure->record >= 0 ? aside_skip(s->work, s->e) : ST_OK;
}

/* Records that killed attempts are passed over by later ones too. */
static enum status take_skips(struct driver *d, struct work *w, struct err *e)
{
    char name[TASK_NAME_MAX];
    struct skipping skipping = { w, e };
    w->failure = sys_calloc(1, sizeof *w->failure);
    if (!w->failure)
        return err_memory(e, "a failure", sizeof *w->failure);
    enum status st = past_skips(&d->restore->past, task_name(d, w, name),
                                mend_first_attempt(d, past_of(d, w)), skip, &skipping);
    sys_free(w->failure);
    w->failure = NULL;
    return st;
}

static void forget(struct driver *d, const struct work *w, const struct past_task *t)
{
    char name[TASK_NAME_MAX];
    const struct journal_place place = { d->step + 1, d->round, task_name(d, w, name) };
    journal_redo(d->journal, &place);
    statistics_quarantined(&d->statistics, w->kind == WORK_REDUCE, -aside_of(t->result));
    d->statistics.recovered -= t->failed && work_is_counted(w) && d->statistics.recovered > 0;
    d->statistics_changed = true;
}

/* The result that the map had in the load before. */
static void take_mended(struct driver *d, uint32_t task)
{
    struct mended_map *m = &d->restore->mend->maps[task];
    struct work *w = &d->work[task];
    w->winner = m->winner;
    w->result = m->result;
    m->result = BUF_EMPTY;
    result_count(d, w);
    statistics_quarantined(&d->statistics, false, -aside_of(buf_slice(&w->result)));
    d->totals.committed++;
    core_restore(&d->core, task, TASK_COMMITTED, m->attempts, m->backups);
}

static enum status restore_task(struct driver *d, uint32_t task, struct err *e)
{
    struct work *w = &d->work[task];
    const struct past_task *t = past_of(d, w);
    const struct mend *mend = d->restore->mend;
    enum core_state state = TASK_BLOCKED;
    enum status st = ST_OK;
    if (mend && mend->judged && w->kind == WORK_MAP) {
        take_mended(d, task);
        return ST_OK;
    }
    if (!t)
        return ST_OK;
    if (t->dropped) {
        state = TASK_DROPPED;
        w->dropped = true;
        d->dropped++;
    } else if (t->committed && is_done(d, task)) {
        state = TASK_COMMITTED;
        if (take_result(d, w, t) != ST_OK)
            st = err_memory(e, "a result", t->result.n);
    } else {
        if (t->committed)
            forget(d, w, t);
        w->failed_before = t->failed;
        if (work_has_units(w))
            st = take_skips(d, w, e);
    }
    core_restore(&d->core, task, state, t->attempts, t->backups);
    return st;
}

void restore_tasks(struct driver *d)
{
    struct err e;
    enum status st = ST_OK;
    if (!d->journal || !d->restore)
        return;
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++)
        st = restore_task(d, i, &e);
    if (st != ST_OK)
        driver_fail(d, &e, 1);
    else if (d->quarantined > 0)
        aside_judge(d);
}
