/* mend.c: a complete job tries again what it had put aside, once the job or its input was
 * mended (`lmr resume --quarantined`), and publishes a new version of its result.
 *
 * Maps that had put records aside run again. A reduce runs again if one of them gives its
 * partition other pairs than before, or if it had put groups aside itself. All other tasks keep
 * their files: published ones are linked back to where they were staged. The journal's row
 * `mend` has the attempts whose files are published, until the new version is: after a kill the
 * mend goes on from there. */
#include "base/sys.h"
#include "data/run.h"
#include "schedule/restore_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

void mend_free(struct mend *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->map_count; i++)
        buf_free(&m->maps[i].result);
    sys_free(m->maps);
    buf_free(&m->previous);
    sys_free(m);
}

/* --- the attempts whose files are published --- */

static void publish_winners(struct past *p)
{
    for (size_t i = 0; i < p->task_count; i++) {
        struct past_task *t = &p->tasks[i];
        t->was_published = t->committed;
        t->published = t->winner;
        t->published_speculative = t->speculative;
    }
}

/* Name → 2 × number, + 1 for a speculative one; both are in order of names. */
static void read_winners(struct past *p, struct slice winners)
{
    struct val_cursor c;
    struct slice name, value, text;
    int64_t v;
    size_t at = 0;
    for (uint64_t n = val_map_open(winners, &c); n > 0; n--) {
        if (val_skip(&c, &name) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(name, &text) || !val_as_int(value, &v) || v < 0)
            return;
        while (at < p->task_count && slice_compare(p->tasks[at].name, text) < 0)
            at++;
        if (at == p->task_count || !slice_equal(p->tasks[at].name, text))
            continue;
        p->tasks[at].was_published = true;
        p->tasks[at].published = (uint32_t)(v / 2);
        p->tasks[at].published_speculative = v % 2 != 0;
    }
}

static enum status put_winners(const struct past *p, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    char name[TASK_NAME_MAX];
    for (size_t i = 0; i < p->task_count; i++) {
        const struct past_task *t = &p->tasks[i];
        (void)snprintf(name, sizeof name, "%.*s", (int)t->name.n, (const char *)t->name.p);
        if (t->was_published)
            val_map_int(&m, name, 2 * (int64_t)t->published + t->published_speculative);
    }
    return val_map_end(&m, out);
}

static bool is_as_published(const struct past_task *t)
{
    return t->committed && t->was_published && t->winner == t->published &&
           t->speculative == t->published_speculative;
}

bool mend_has_put_aside(const struct past_task *t)
{
    struct slice ignored;
    return val_get(t->result, "quarantine", &ignored);
}

bool mend_tries_again(const struct past_task *t)
{
    return t && is_as_published(t) && mend_has_put_aside(t);
}

uint32_t mend_first_attempt(const struct driver *d, const struct past_task *t)
{
    if (!t)
        return 0;
    if (restore_tries_again(d, t) && !t->speculative)
        return t->winner + 1;
    return d->restore->mend && t->was_published && !t->published_speculative ? t->published + 1 : 0;
}

/* --- opening --- */

static enum status not_complete(const struct driver *d, const char *state, struct err *e)
{
    const char *id = sys_name(d->options->resume);
    if (strcmp(state, "partial") == 0)
        return err_set(e, ST_USAGE,
                       "%s is partial: it went on without tasks, and records can be tried again "
                       "only in a complete job; run the job again",
                       id);
    if (strcmp(state, "running") == 0)
        state = "its driver is gone"; /* else the lock would be taken */
    return err_set(e, ST_USAGE,
                   "%s is not complete (%s), and --quarantined is for a complete job; first: lmr "
                   "resume %s",
                   id, state, id);
}

static enum status make_mend(struct restore *r, struct err *e)
{
    r->mend = sys_calloc(1, sizeof *r->mend);
    return r->mend ? ST_OK : err_memory(e, "a mend", sizeof *r->mend);
}

static enum status read_row(struct restore *r, struct slice row, struct err *e)
{
    struct slice winners, previous;
    enum status st = make_mend(r, e);
    if (st != ST_OK)
        return st;
    if (val_check(row) != ST_OK || !val_get(row, "winners", &winners))
        return err_set(e, ST_CORRUPT, "what the journal says of the mend does not decode");
    read_winners(&r->past, winners);
    r->mend->version = (uint64_t)val_get_int(row, "version", 2);
    if (val_get(row, "previous", &previous) &&
        buf_append_slice(&r->mend->previous, previous) != ST_OK)
        return err_memory(e, "a mend", previous.n);
    return ST_OK;
}

enum status mend_open(struct driver *d, const char *state, struct err *e)
{
    struct restore *r = d->restore;
    struct slice row = past_blob(&r->past, "mend");
    bool complete = strcmp(state, "complete") == 0;
    if (row.n > 0 && !complete)
        return read_row(r, row, e);
    if (!d->options->quarantined)
        return ST_OK;
    if (!complete)
        return not_complete(d, state, e);
    if (past_number(&r->past, "quarantined", 0) == 0)
        return ST_OK; /* nothing to mend: it is complete */
    enum status st = make_mend(r, e);
    if (st != ST_OK)
        return st;
    publish_winners(&r->past);
    r->mend->is_new = true;
    r->mend->version = (uint64_t)past_number(&r->past, "version_of_output", 1) + 1;
    return ST_OK;
}

/* A new version that is being moved into place may have taken the manifest's already. */
enum status mend_place(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct place *p = &d->place;
    struct buf facts = BUF_EMPTY;
    p->replaces = true;
    if (r->publishing || !p->output_dir)
        return ST_OK;
    enum status st = publish_facts(p->output_dir, p->job_id, &facts, e);
    if (st == ST_OK && r->mend->is_new)
        st = buf_append_slice(&r->mend->previous, buf_slice(&facts)) == ST_OK
                 ? ST_OK
                 : err_memory(e, "a mend", facts.n);
    buf_free(&facts);
    return st;
}

enum status mend_check_output(const struct driver *d)
{
    struct buf facts = BUF_EMPTY;
    enum status st = publish_facts(d->place.output_dir, d->place.job_id, &facts, NULL);
    buf_free(&facts);
    return st;
}

enum status mend_journal(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct buf winners = BUF_EMPTY, row = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    if (!r->mend->is_new)
        return ST_OK;
    enum status st = put_winners(&r->past, &winners);
    val_map_value(&m, "winners", buf_slice(&winners));
    val_map_int(&m, "version", (int64_t)r->mend->version);
    if (r->mend->previous.n > 0)
        val_map_value(&m, "previous", buf_slice(&r->mend->previous));
    enum status ended = val_map_end(&m, &row);
    if (st == ST_OK && ended == ST_OK)
        journal_job_blob(d->journal, "mend", buf_slice(&row));
    else
        st = err_memory(e, "a mend", winners.n);
    buf_free(&winners);
    buf_free(&row);
    return st;
}

void mend_journal_end(struct driver *d)
{
    journal_job(d->journal, "mend", NULL);
    journal_job_number(d->journal, "version_of_output", restore_version(d));
}

/* --- published files back to where they were staged --- */

static enum status take_back(struct driver *d, const struct kept_file *f, const char *name,
                             size_t number, const char *suffix)
{
    struct buf published = BUF_EMPTY;
    struct stat info;
    if (stat((const char *)f->path.p, &info) == 0)
        return ST_OK;
    enum status st = buf_printf(&published, "%s-%05zu%s", name, number, suffix);
    if (st == ST_OK)
        st = buf_terminate(&published);
    if (st == ST_OK) {
        const struct publish_file file = { (const char *)f->path.p, (const char *)published.p,
                                           f->records, f->bytes, f->checksum };
        /* What is not as it was published is made again. */
        (void)publish_take_back(d->place.output_dir, &file, d->job.durable, NULL);
    }
    buf_free(&published);
    return st;
}

static enum status take_all_back(struct driver *d, const struct kept_files *parts, struct err *e)
{
    char suffix[FILE_SUFFIX_MAX];
    enum status st = finish_suffix(d, suffix, e);
    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < parts->count && st == ST_OK; i++)
        st = take_back(d, &parts->files[i], "part", parts->files[i].number, suffix);
    for (size_t i = 0; i < d->outputs.count && st == ST_OK; i++) {
        const struct kept_file *f = &d->outputs.files[i];
        st = take_back(d, f, (const char *)f->name.p, f->number, suffix);
    }
    return st == ST_OK ? ST_OK : err_memory(e, "a path", FILE_SUFFIX_MAX);
}

static enum status keep_published(struct driver *d, enum work_kind kind, uint32_t count,
                                  struct kept_files *parts)
{
    enum status st = ST_OK;
    for (uint32_t i = 0; i < count && st == ST_OK; i++) {
        const struct past_task *t = restore_past(d, kind, i);
        struct work w = { .kind = kind, .index = i, .result = BUF_EMPTY };
        if (!t || !t->committed)
            continue;
        w.winner = (struct attempt_id){ t->winner, t->speculative };
        st = buf_append_slice(&w.result, t->result);
        if (st == ST_OK)
            st = result_keep(d, &w, parts);
        buf_free(&w.result);
    }
    return st;
}

/* The lists that publishing had; d->outputs has those of earlier steps, and is left so. */
static enum status bring_back(struct driver *d, struct err *e)
{
    struct kept_files parts = { NULL, 0, 0 };
    size_t outputs = d->outputs.count;
    enum status st = keep_published(d, WORK_MAP, (uint32_t)d->plan.splits.count, &parts);
    if (st == ST_OK)
        st = keep_published(d, WORK_REDUCE, d->plan.partitions, &parts);
    st = st == ST_OK ? take_all_back(d, &parts, e) : err_memory(e, "a list of parts", parts.count);
    for (size_t i = outputs; i < d->outputs.count; i++) {
        buf_free(&d->outputs.files[i].path);
        buf_free(&d->outputs.files[i].name);
    }
    d->outputs.count = outputs;
    kept_free(&parts);
    return st;
}

enum status mend_begin(struct driver *d, struct err *e)
{
    const struct restore *r = d->restore;
    if (d->quarantined > 0 && d->job.step_count > 1)
        return err_set(e, ST_USAGE,
                       "records were put aside before step %u, the last one, and only those of the "
                       "last step can be tried again; run the job again",
                       d->job.step_count);
    if (d->quarantined > 0 || !d->plan.is_last)
        return err_set(e, ST_USAGE,
                       "records were put aside in a round of an iteration that others followed, and "
                       "they cannot be tried again; run the job again");
    return r->mend->is_new && d->place.output_dir ? bring_back(d, e) : ST_OK;
}

/* --- which reduces? --- */

bool mend_maps_first(const struct driver *d)
{
    const struct restore *r = d->restore;
    return restore_is_here(d) && r->mend && !r->mend->judged && !r->publishing &&
           d->plan.partitions > 0;
}

static void mark_all(bool *reached, uint32_t partitions)
{
    for (uint32_t i = 0; i < partitions; i++)
        reached[i] = true;
}

static enum status open_run(const struct driver *d, const struct work *w, struct attempt_id id,
                            struct run **out)
{
    struct buf path = BUF_EMPTY;
    enum status st = attempt_path(d, w, id, d->place.work_dir, ".run", &path);
    if (st == ST_OK)
        st = run_open((const char *)path.p, out, NULL);
    buf_free(&path);
    return st;
}

/* Marks the partitions for which the map gives other pairs than it gave to the published
 * result: all, when nobody can tell. */
static void mark_reached(const struct driver *d, const struct work *w, const struct past_task *t,
                         bool *reached)
{
    struct run *before = NULL, *now = NULL;
    struct attempt_id published = { t ? t->published : 0, t && t->published_speculative };
    uint32_t partitions = d->plan.partitions;
    bool told = t && t->was_published && open_run(d, w, published, &before) == ST_OK &&
                open_run(d, w, w->winner, &now) == ST_OK &&
                run_partitions(before) == partitions && run_partitions(now) == partitions;
    for (uint32_t i = 0; i < partitions && told; i++)
        if (run_partition_digest(before, i) != run_partition_digest(now, i))
            reached[i] = true;
    if (!told)
        mark_all(reached, partitions);
    run_close(before);
    run_close(now);
}

static bool has_run_again(const struct work *w, const struct past_task *t)
{
    return !t || !t->was_published || w->winner.number != t->published ||
           w->winner.speculative != t->published_speculative;
}

/* A reduce that has run since is done: it had all the maps. */
static bool is_kept(struct driver *d, uint32_t reduce, const bool *reached)
{
    const struct past_task *t = restore_past(d, WORK_REDUCE, reduce);
    if (!t || !restore_is_held(d, WORK_REDUCE, reduce, true))
        return false;
    return !is_as_published(t) || (!reached[reduce] && !mend_has_put_aside(t));
}

/* Takes the map's result over to the next load, which counts it again. */
static void keep_map(struct driver *d, uint32_t i)
{
    struct work *w = &d->work[i];
    struct mended_map *m = &d->restore->mend->maps[i];
    const struct statistics statistics = d->statistics;
    result_undo(d, w);
    d->statistics = statistics;
    d->totals.committed--;
    *m = (struct mended_map){ w->winner, w->result, d->core.tasks[i].attempts,
                              d->core.tasks[i].backups };
    w->result = BUF_EMPTY;
}

static void tell_reduces(struct driver *d)
{
    const struct restore *r = d->restore;
    uint32_t again = 0;
    for (uint32_t i = d->maps; i < r->held_count; i++)
        again += !r->held[i];
    report_note(d, "%u of %u reduce%s run%s again", again, d->plan.partitions,
                d->plan.partitions == 1 ? "" : "s",
                again == 1 || d->plan.partitions == 1 ? "s" : "");
}

enum status mend_maps_done(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct mend *m = r->mend;
    bool *reached = sys_calloc(d->plan.partitions, sizeof *reached);
    m->maps = sys_calloc(d->maps ? d->maps : 1, sizeof *m->maps);
    if (!reached || !m->maps) {
        sys_free(reached);
        return err_memory(e, "a mend", d->maps * sizeof *m->maps);
    }
    m->map_count = d->maps;
    for (uint32_t i = 0; i < d->maps; i++) {
        const struct past_task *t = restore_past(d, WORK_MAP, i);
        if (has_run_again(&d->work[i], t))
            mark_reached(d, &d->work[i], t, reached);
        r->held[i] = true;
    }
    for (uint32_t i = 0; i < d->plan.partitions; i++)
        r->held[d->maps + i] = is_kept(d, i, reached);
    for (uint32_t i = 0; i < d->maps; i++)
        keep_map(d, i);
    m->judged = true;
    sys_free(reached);
    tell_reduces(d);
    return ST_OK;
}
