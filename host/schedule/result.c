/* result.c: what committed attempts brought: totals, files, counters. */
#include "schedule/driver.h"

#include "base/sys.h"
#include "data/output.h"
#include "schedule/restore.h"

#include <stdio.h>

/* --- files that outlive their round --- */

enum status kept_add(struct kept_files *k, const char *path, struct slice name,
                     struct slice description)
{
    if (k->count == k->capacity) {
        size_t capacity = k->capacity ? 2 * k->capacity : 16;
        struct kept_file *files = sys_realloc(k->files, capacity * sizeof *files);
        if (!files)
            return ST_MEMORY;
        k->files = files;
        k->capacity = capacity;
    }
    struct kept_file *f = &k->files[k->count];
    *f = (struct kept_file){ .path = BUF_EMPTY, .name = BUF_EMPTY };
    f->records = (uint64_t)val_get_int(description, "records", 0);
    f->bytes = (uint64_t)val_get_int(description, "bytes", 0);
    (void)val_get_cstr(description, "checksum", f->checksum, sizeof f->checksum);
    k->count++;
    bool fits = buf_append_str(&f->path, path) == ST_OK && buf_terminate(&f->path) == ST_OK &&
                buf_append_slice(&f->name, name) == ST_OK && buf_terminate(&f->name) == ST_OK;
    return fits ? ST_OK : ST_MEMORY;
}

void kept_free(struct kept_files *k)
{
    for (size_t i = 0; i < k->count; i++) {
        buf_free(&k->files[i].path);
        buf_free(&k->files[i].name);
    }
    sys_free(k->files);
    *k = (struct kept_files){ NULL, 0, 0 };
}

void result_free(struct driver *d)
{
    kept_free(&d->pairs);
    kept_free(&d->step_input);
    kept_free(&d->parts);
    kept_free(&d->outputs);
    kept_free(&d->asides);
    kept_free(&d->drops);
    counters_free(&d->counters);
    counters_free(&d->round_counters);
}

/* --- warnings --- */

static bool seen(const struct kept_files *k, struct slice text)
{
    for (size_t i = 0; i < k->count; i++)
        if (slice_equal(buf_slice(&k->files[i].name), text))
            return true;
    return false;
}

void result_warnings(struct driver *d, struct slice map)
{
    enum { WARNINGS_MAX = 100 };
    struct slice list, element, text;
    struct val_cursor c;
    if (!val_get(map, "warnings", &list))
        return;
    uint64_t n = val_array(list, &c);
    for (uint64_t i = 0; i < n && val_skip(&c, &element) == ST_OK; i++) {
        if (!val_as_string(element, &text) || d->seen_warnings.count >= WARNINGS_MAX ||
            seen(&d->seen_warnings, text))
            continue;
        if (kept_add(&d->seen_warnings, "", text, slice_of(NULL, 0)) == ST_OK)
            report_warning(d, "%.*s", (int)(text.n < INT32_MAX ? text.n : INT32_MAX),
                           (const char *)text.p);
    }
}

/* --- totals --- */

static uint64_t number(struct slice map, const char *name)
{
    int64_t v = val_get_int(map, name, 0);
    return v > 0 ? (uint64_t)v : 0;
}

/* With `sign` −1 what was added is taken back. */
static void add_map(struct driver *d, const struct work *w, struct slice result, int64_t sign)
{
    struct job_snapshot *t = &d->totals;
    uint64_t by = (uint64_t)sign;
    struct slice run;
    t->records_in += by * number(result, "records_in");
    t->bytes_in += by * number(result, "bytes_in");
    t->pairs += by * number(result, "pairs_out");
    t->spills += by * number(result, "spills");
    if (val_get(result, "run", &run))
        t->run_bytes += by * number(run, "bytes");
    if (d->phase == JOB_MAP)
        t->phase_bytes_done += by * d->plan.splits.splits[w->index].bytes;
}

void result_count(struct driver *d, const struct work *w)
{
    struct slice result = buf_slice(&w->result), part;
    if (w->kind != WORK_MAP || d->phase == JOB_MAP)
        d->totals.phase_done++;
    if (w->kind == WORK_MAP)
        add_map(d, w, result, 1);
    else
        d->totals.phase_bytes_done += number(result, "bytes_in");
    if (val_get(result, "part", &part) && (d->plan.is_last || w->kind == WORK_FORMAT)) {
        d->totals.records_out += number(part, "records");
        d->totals.bytes_out += number(part, "bytes");
    }
    if (work_is_counted(w))
        aside_count(d, w, 1);
}

void result_commit(struct driver *d, struct work *w)
{
    result_count(d, w);
    result_warnings(d, buf_slice(&w->result));
    if (work_is_counted(w))
        aside_tell(d, w);
}

void result_undo(struct driver *d, struct work *w)
{
    if (w->kind != WORK_MAP)
        return;
    if (d->phase == JOB_MAP)
        d->totals.phase_done--;
    add_map(d, w, buf_slice(&w->result), -1);
    aside_count(d, w, -1);
}

/* --- the journal's rows of a commit --- */

static void journal_one(struct driver *d, const struct journal_place *place, const char *kind,
                        const char *path, const char *name, struct slice description)
{
    char checksum[24];
    (void)val_get_cstr(description, "checksum", checksum, sizeof checksum);
    uint64_t records = number(description, "records");
    struct journal_file row = {
        .place = *place,
        .kind = kind,
        .path = path,
        .name = name,
        .records = records ? records : number(description, "pairs"),
        .bytes = number(description, "bytes"),
        .checksum = checksum,
    };
    journal_file(d->journal, &row);
}

/* The path follows from the name: what a worker says of paths is not believed. */
enum status result_each_output(struct driver *d, const struct work *w, result_take_output take,
                               void *context)
{
    struct slice list, element, name;
    struct val_cursor c;
    struct buf path = BUF_EMPTY;
    enum status st = ST_OK;
    if (!val_get(buf_slice(&w->result), "side_outputs", &list))
        return ST_OK;
    uint64_t n = val_array(list, &c);
    for (uint64_t i = 0; i < n && st == ST_OK && val_skip(&c, &element) == ST_OK; i++) {
        if (!val_get_string(element, "name", &name) || name.n == 0 || memchr(name.p, '/', name.n) ||
            memchr(name.p, 0, name.n))
            continue;
        st = attempt_path(d, w, w->winner, d->place.stage_dir, "-", &path);
        size_t prefix = path.n;
        if (st == ST_OK)
            st = buf_append_slice(&path, name);
        if (st == ST_OK)
            st = buf_terminate(&path);
        if (st == ST_OK)
            st = take(d, context, (const char *)path.p, (const char *)path.p + prefix, element);
    }
    buf_free(&path);
    return st;
}

static enum status journal_output(struct driver *d, void *context, const char *path,
                                  const char *name, struct slice description)
{
    const struct journal_place *place = context;
    journal_one(d, place, "side", path, name, description);
    return ST_OK;
}

void result_journal(struct driver *d, const struct work *w, const struct running *attempt)
{
    char name[TASK_NAME_MAX];
    struct journal_place place = { d->step + 1, d->round, task_name(d, w, name) };
    struct slice result = buf_slice(&w->result), file;
    struct buf path = BUF_EMPTY, assignment = BUF_EMPTY;
    if (work_is_counted(w) && val_get(result, "quarantine", &file)) /* lmr replay needs it */
        (void)assign_put(d, (uint32_t)(w - d->work), attempt, &assignment, NULL);
    journal_commit(d->journal, &place, w->winner.number, w->winner.speculative);
    struct journal_attempt row = {
        .place = place,
        .attempt = w->winner.number,
        .speculative = w->winner.speculative,
        .worker = attempt->worker,
        .started = attempt->started,
        .ended = sys_wall_clock(),
        .cpu_ns = attempt->cpu_ns,
        .assignment = buf_slice(&assignment),
        .result = result,
        .went_on_at = (int64_t)attempt->went_on_at,
    };
    journal_attempt(d->journal, &row);
    buf_free(&assignment);
    if (val_get(result, "run", &file) &&
        attempt_path(d, w, w->winner, d->place.work_dir, ".run", &path) == ST_OK)
        journal_one(d, &place, "run", (const char *)path.p, "", file);
    if (val_get(result, "part", &file) &&
        attempt_path(d, w, w->winner, part_dir(d), ".part", &path) == ST_OK)
        journal_one(d, &place, "part", (const char *)path.p, "", file);
    (void)result_each_output(d, w, journal_output, &place);
    aside_journal(d, w, &place);
    buf_free(&path);
}

/* --- the end of a round --- */

/* mr.output files are numbered per name, in the order of the tasks they come from. */
static enum status keep_output(struct driver *d, void *context, const char *path, const char *name,
                               struct slice description)
{
    struct kept_files *k = &d->outputs;
    (void)context;
    enum status st = kept_add(k, path, slice_str(name), description);
    for (size_t i = k->count - 1; st == ST_OK && i-- > 0;) {
        if (!slice_equal(buf_slice(&k->files[i].name), slice_str(name)))
            continue;
        k->files[k->count - 1].number = k->files[i].number + 1;
        break;
    }
    return st;
}

/* Is this a task whose file is the round's output: a reduce, a map of a map-only round, a format
 * task? */
static bool writes_part(const struct driver *d, const struct work *w)
{
    if (w->dropped)
        return false;
    return w->kind == WORK_REDUCE || w->kind == WORK_FORMAT ||
           (w->kind == WORK_MAP && d->plan.partitions == 0);
}

static enum status keep_part(const struct driver *d, const struct work *w, struct kept_files *files)
{
    struct slice part = slice_of(NULL, 0);
    struct buf path = BUF_EMPTY;
    (void)val_get(buf_slice(&w->result), "part", &part);
    enum status st = attempt_path(d, w, w->winner, part_dir(d), ".part", &path);
    if (st == ST_OK)
        st = kept_add(files, (const char *)path.p, slice_of(NULL, 0), part);
    if (st == ST_OK)
        files->files[files->count - 1].number = w->index;
    buf_free(&path);
    return st;
}

enum status result_keep(struct driver *d, const struct work *w, struct kept_files *parts)
{
    enum status st = writes_part(d, w) ? keep_part(d, w, parts) : ST_OK;
    return st == ST_OK ? result_each_output(d, w, keep_output, NULL) : st;
}

static enum status keep_drop(struct driver *d, const struct work *w)
{
    char name[TASK_NAME_MAX];
    if (!w->dropped)
        return ST_OK;
    return kept_add(&d->drops, "", slice_str(task_name(d, w, name)), slice_of(NULL, 0));
}

static void journal_counters(struct driver *d)
{
    journal_cut_counters(d->journal, d->step + 1, d->round);
    for (size_t i = 0; i < d->round_counters.count; i++) {
        const struct counter *c = &d->round_counters.items[i];
        journal_counter(d->journal, d->step + 1, d->round, counter_group(c), counter_name(c),
                        c->is_float, c->i, c->f);
    }
}

/* Sums in task order, so that float counters do not depend on who came first. */
static enum status sum_counters(struct driver *d)
{
    struct slice counters;
    enum status st = ST_OK;
    d->previous.n = 0;
    if (d->round > 1)
        st = counters_put(&d->round_counters, &d->previous);
    counters_free(&d->round_counters);
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++) {
        if (!val_get(buf_slice(&d->work[i].result), "counters", &counters))
            continue;
        st = counters_add(&d->round_counters, counters);
        if (st == ST_OK)
            st = counters_add(&d->counters, counters);
    }
    if (d->journal) /* else it is an earlier round of a job that goes on: it has them */
        journal_counters(d);
    return st;
}

/* What the round read, which the one before it wrote, and the runs of its own. */
static void remove_files(struct driver *d, const struct kept_files *old)
{
    uint32_t step = d->step + 1, before = d->round > 0 ? d->round - 1 : 0;
    bool first = d->round <= 1; /* what it read is of an earlier step */
    for (size_t i = 0; i < old->count; i++)
        checkpoint_remove_file(d, (const char *)old->files[i].path.p, first ? d->step : step, before, step,
                               d->round);
}

static void remove_runs(struct driver *d)
{
    struct buf path = BUF_EMPTY;
    for (uint32_t i = 0; i < d->maps && d->plan.partitions > 0; i++)
        if (!d->work[i].dropped &&
            attempt_path(d, &d->work[i], d->work[i].winner, d->place.work_dir, ".run", &path) ==
                ST_OK)
            checkpoint_remove_file(d, (const char *)path.p, d->step + 1, d->round, d->step + 1, d->round);
    buf_free(&path);
}

enum status result_round(struct driver *d, struct err *e)
{
    struct kept_files old = d->pairs;
    bool is_output = d->plan.is_last || d->at == AT_FORMAT;
    enum status st = ST_OK;
    d->pairs = (struct kept_files){ NULL, 0, 0 };
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++) {
        st = result_keep(d, &d->work[i], is_output ? &d->parts : &d->pairs);
        if (st == ST_OK && d->at == AT_RUN)
            st = aside_keep(d, &d->work[i]);
        if (st == ST_OK && d->at == AT_RUN)
            st = keep_drop(d, &d->work[i]);
    }
    if (st == ST_OK && d->at == AT_RUN)
        st = sum_counters(d);
    if (st != ST_OK)
        (void)err_memory(e, "the results of a round", d->work_count);
    else if (d->journal && d->at == AT_RUN)
        st = journal_flush(d->journal, e);
    /* The journal has what follows. A mend that is gone on with reads its runs again: they stay to its end. */
    if (st == ST_OK && d->journal && !finish_keeps_runs(d) && restore_version(d) <= 1) {
        remove_files(d, &old);
        if (d->at == AT_RUN)
            remove_runs(d);
    }
    kept_free(&old);
    return st;
}
