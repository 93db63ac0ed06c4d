/* task_checkpoint.c: checkpoints of running maps (script/checkpoint.h): which attempt has left the
 * newest one of each task, which files are kept for that, and which attempts go on from it.
 *
 * What the driver knows of checkpoints it reads from the workers' pages, and after a kill from the
 * names in the work directory. Nothing rests on it: an attempt that is given a checkpoint which
 * does not hold, or is not there, begins anew. */
#include "schedule/driver.h"

#include "base/sys.h"
#include "recover/attempt_file.h"
#include "schedule/changes.h"
#include "schedule/restore.h"
#include "script/checkpoint_file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static const char ENDING[] = ".ckpt";

enum { WARNINGS_MAX = 10 }; /* told on the terminal; the journal has all of them */

/* --- the profile --- */

static bool is_on(const struct driver *d, double *interval)
{
    struct slice checkpoint;
    if (!d->place.work_dir || !val_get(d->job.profile, "checkpoint", &checkpoint) ||
        !val_get_bool(checkpoint, "enabled", false))
        return false;
    *interval = val_get_float(checkpoint, "checkpoint_interval_seconds", 0);
    return true;
}

/* --- the key --- */

struct hashing {
    XXH3_state_t *state;
};

static void add(const struct hashing *h, struct slice bytes)
{
    const uint64_t n = bytes.n;
    (void)XXH3_64bits_update(h->state, &n, sizeof n);
    if (n > 0)
        (void)XXH3_64bits_update(h->state, bytes.p, bytes.n);
}

static void add_text(const struct hashing *h, const char *text)
{
    add(h, slice_str(text ? text : ""));
}

static void add_parts(const struct hashing *h, const struct split *split)
{
    for (size_t i = 0; i < split->count; i++) {
        const struct split_part *p = &split->parts[i];
        const uint64_t numbers[] = { p->from, p->to, p->size, (uint64_t)p->mtime, p->input,
                                     p->whole };
        add_text(h, p->path);
        add_text(h, p->validator);
        add(h, slice_of(numbers, sizeof numbers));
    }
}

/* Functions that cannot be compared are taken for the same only as long as this driver lives. */
static uint64_t function_key(const struct driver *d)
{
    uint64_t key = stage_key(d->job.fingerprints, d->step + 1, STAGE_MAP);
    return key ? key : (uint64_t)d->started;
}

static void add_options(const struct hashing *h, const struct driver *d)
{
    const struct run_options *o = d->options;
    const uint64_t numbers[] = { function_key(d), d->seed, d->sort_buffer, d->plan.partitions,
                                 d->job.steps[d->step].group_by, o->compress_runs, d->plan.is_last,
                                 d->step, d->round };
    add(h, slice_of(numbers, sizeof numbers));
    add(h, buf_slice(&d->plan.boundaries));
    add(h, buf_slice(&d->inputs));
    add(h, d->job.output);
    add_text(h, o->output_format);
    for (size_t i = 0; i < o->arg_count; i++)
        add_text(h, o->args[i]);
}

/* All that decides what the map of split `index` writes. */
static enum status put_key(const struct driver *d, uint32_t index, struct buf *out)
{
    struct hashing h = { XXH3_createState() };
    if (!h.state || XXH3_64bits_reset(h.state) != XXH_OK) {
        (void)XXH3_freeState(h.state);
        return ST_MEMORY;
    }
    add_parts(&h, &d->plan.splits.splits[index]);
    add_options(&h, d);
    uint64_t key = XXH3_64bits_digest(h.state);
    (void)XXH3_freeState(h.state);
    return buf_append(out, &key, sizeof key);
}

/* --- the assignment --- */

static enum status put_paths(const struct driver *d, const struct work *w, const struct running *r,
                             struct val_map *m)
{
    struct buf path = BUF_EMPTY;
    enum status st = attempt_path(d, w, r->id, d->place.work_dir, ENDING, &path);
    if (st == ST_OK)
        val_map_string(m, "path", buf_slice(&path));
    if (st == ST_OK && r->has_from) {
        st = attempt_path(d, w, r->from, d->place.work_dir, ENDING, &path);
        val_map_string(m, "from", buf_slice(&path));
    }
    buf_free(&path);
    return st;
}

/* Only of an attempt that is being handed out: a replay of it neither takes a checkpoint nor goes
 * on from one. */
enum status task_checkpoint_put(const struct driver *d, uint32_t task, const struct running *r,
                                struct val_map *assignment)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    double interval;
    if (d->at != AT_RUN || d->core.tasks[task].state != TASK_RUNNING || !is_on(d, &interval))
        return ST_OK;
    enum status st = put_key(d, d->work[task].index, &bytes);
    val_map_string(&m, "key", buf_slice(&bytes));
    val_map_float(&m, "interval", interval);
    if (st == ST_OK)
        st = put_paths(d, &d->work[task], r, &m);
    bytes.n = 0;
    enum status end = val_map_end(&m, &bytes);
    if (st == ST_OK && end == ST_OK)
        val_map_value(assignment, "checkpoint", buf_slice(&bytes));
    buf_free(&bytes);
    return st == ST_OK ? end : st;
}

void task_checkpoint_give(const struct driver *d, uint32_t task, struct running *r)
{
    const struct work *w = &d->work[task];
    double interval;
    r->has_from = w->kind == WORK_MAP && d->at == AT_RUN && w->checkpoint_record > 0 &&
                  is_on(d, &interval) && !attempt_is_same(w->checkpoint, r->id);
    r->from = w->checkpoint;
}

/* --- files --- */

static bool is_running(const struct driver *d, const struct work *w, struct attempt_id id)
{
    for (uint32_t i = 0; i < d->core.slot_count; i++)
        if (d->core.slots[i].task == (uint32_t)(w - d->work) && attempt_is_same(d->running[i].id, id) &&
            d->running[i].serial == d->core.slots[i].serial)
            return true;
    return false;
}

bool task_checkpoint_keeps(const struct driver *d, const struct work *w, struct attempt_id id)
{
    (void)d;
    return w->checkpoint_record > 0 && attempt_is_same(w->checkpoint, id);
}

/* The task's newest checkpoint is no good, or another one is newer. */
static void forget(struct driver *d, struct work *w)
{
    bool had = w->checkpoint_record > 0;
    w->checkpoint_record = 0;
    if (had && !is_running(d, w, w->checkpoint))
        finish_attempt_files(d, w, w->checkpoint);
}

void task_checkpoint_committed(struct driver *d, struct work *w)
{
    struct buf path = BUF_EMPTY;
    if (w->kind != WORK_MAP || w->checkpoint_record == 0)
        return;
    if (attempt_path(d, w, w->winner, d->place.work_dir, ENDING, &path) == ST_OK)
        (void)sys_unlink((const char *)path.p, NULL);
    buf_free(&path);
    if (attempt_is_same(w->checkpoint, w->winner))
        w->checkpoint_record = 0;
    else
        forget(d, w);
}

bool task_checkpoint_any(const struct driver *d)
{
    for (uint32_t i = 0; d->at == AT_RUN && i < d->maps; i++)
        if (d->work[i].checkpoint_record > 0)
            return true;
    return false;
}

/* --- what pages tell --- */

static const char *attempt_name(const struct driver *d, const struct work *w, struct attempt_id id,
                                char out[ATTEMPT_NAME_MAX])
{
    char name[TASK_NAME_MAX];
    (void)snprintf(out, ATTEMPT_NAME_MAX, "%s.%u%s", task_name(d, w, name), id.number,
                   id.speculative ? "s" : "");
    return out;
}

static void tell_none(struct driver *d, struct work *w, const char *why)
{
    char name[TASK_NAME_MAX], text[POSITION_NOTE_MAX + TASK_NAME_MAX + 80];
    if (w->told_no_checkpoint)
        return;
    w->told_no_checkpoint = true;
    (void)snprintf(text, sizeof text,
                   "%s is not checkpointed: %s; if it fails or is stopped it starts anew",
                   task_name(d, w, name), why);
    if (d->told_no_checkpoint++ < WARNINGS_MAX)
        report_warning(d, "%s", text);
    else if (d->journal)
        journal_event(d->journal, "warning", text);
}

static void tell_anew(struct driver *d, struct work *w, const struct running *r,
                      const char *why)
{
    char name[ATTEMPT_NAME_MAX], from[ATTEMPT_NAME_MAX];
    report_note(d, "%s starts anew, not from the checkpoint of %s: %s",
                attempt_name(d, w, r->id, name), attempt_name(d, w, r->from, from), why);
    if (r->has_from && task_checkpoint_keeps(d, w, r->from))
        forget(d, w);
}

static void tell_went_on(struct driver *d, const struct work *w, const struct running *r)
{
    char name[ATTEMPT_NAME_MAX], from[ATTEMPT_NAME_MAX];
    report_note(d, "%s goes on from record %llu, by the checkpoint of %s",
                attempt_name(d, w, r->id, name), (unsigned long long)r->went_on_at,
                attempt_name(d, w, r->from, from));
}

/* The page is the worker's: what stands there is not believed to end. */
static const char *note_of(const struct position *page, enum position_note kind,
                           char out[POSITION_NOTE_MAX])
{
    size_t n = strnlen(page->note[kind], POSITION_NOTE_MAX - 1);
    memcpy(out, page->note[kind], n);
    out[n] = '\0';
    return out;
}

static void see_notes(struct driver *d, struct work *w, struct running *r,
                      const struct position *page)
{
    char text[POSITION_NOTE_MAX];
    uint32_t notes = atomic_load_explicit(&page->notes, memory_order_acquire);
    uint32_t fresh = notes & ~r->notes;
    r->notes |= notes;
    if (fresh & (1u << NOTE_BEGAN_ANEW))
        tell_anew(d, w, r, note_of(page, NOTE_BEGAN_ANEW, text));
    if (fresh & (1u << NOTE_NO_CHECKPOINT))
        tell_none(d, w, note_of(page, NOTE_NO_CHECKPOINT, text));
}

static void adopt(struct driver *d, struct work *w, const struct running *r)
{
    if (attempt_is_same(w->checkpoint, r->id) || w->checkpoint_record == 0) {
        w->checkpoint = r->id;
        w->checkpoint_record = r->checkpoint_record;
    } else if (r->checkpoint_record > w->checkpoint_record) {
        forget(d, w);
        w->checkpoint = r->id;
        w->checkpoint_record = r->checkpoint_record;
    }
}

void task_checkpoint_see(struct driver *d, uint32_t slot, const struct position *page)
{
    const struct core_slot *s = &d->core.slots[slot];
    struct running *r = &d->running[slot];
    if (!page || d->at != AT_RUN || s->task == CORE_NONE || s->serial != r->serial ||
        POSITION_GET(page, attempt_serial) != r->serial)
        return;
    struct work *w = &d->work[s->task];
    uint64_t record = POSITION_GET(page, checkpoint_record);
    if (w->kind != WORK_MAP)
        return;
    if (r->went_on_at == 0 && (r->went_on_at = POSITION_GET(page, went_on_at)) > 0)
        tell_went_on(d, w, r);
    see_notes(d, w, r, page);
    if (record > r->checkpoint_record) {
        r->checkpoint_record = record;
        adopt(d, w, r);
    }
}

/* A record that failed when its pairs were folded, which may be later than it was mapped, is in the
 * checkpoint already. */
static bool holds_culprit(const struct work *w, const struct err *e)
{
    return e->record >= 0 && (uint64_t)e->record < w->checkpoint_record;
}

/* It did not even get to where the checkpoint stood, or said that it cannot: then the next one is
 * not given it too. */
void task_checkpoint_failed(struct driver *d, struct work *w, const struct failure *f)
{
    const struct running *r = &f->attempt;
    if (w->kind != WORK_MAP || d->at != AT_RUN || d->ending)
        return;
    if (holds_culprit(w, &f->err))
        forget(d, w);
    bool stood = r->went_on_at > 0 && err_detail_number(&f->err, "checkpoint_refused", 0) == 0;
    bool is_elsewhere = f->err.status == ST_NETWORK || f->err.status == ST_DISK_FULL;
    if (r->has_from && !stood && !is_elsewhere && task_checkpoint_keeps(d, w, r->from))
        forget(d, w);
}

/* --- on demand --- */

static bool may_take(const struct driver *d, uint32_t slot)
{
    const struct core_slot *s = &d->core.slots[slot];
    const struct position *page = pool_page(d->pool, slot);
    double interval;
    return page && d->at == AT_RUN && s->state == SLOT_BUSY && s->task != CORE_NONE &&
           d->work[s->task].kind == WORK_MAP && is_on(d, &interval);
}

void task_checkpoint_ask(struct driver *d)
{
    for (uint32_t i = 0; i < d->core.slot_count; i++)
        if (may_take(d, i))
            pool_ask_checkpoint(d->pool, i);
}

/* The page tells of the attempt that runs there, and that none can be taken of it. */
static bool cannot_take(const struct driver *d, uint32_t slot, const struct position *page)
{
    return POSITION_GET(page, attempt_serial) == d->core.slots[slot].serial &&
           (POSITION_GET(page, notes) & (1u << NOTE_NO_CHECKPOINT)) != 0;
}

bool task_checkpoint_pending(const struct driver *d)
{
    for (uint32_t i = 0; i < d->core.slot_count; i++) {
        const struct position *page = pool_page(d->pool, i);
        if (may_take(d, i) && !cannot_take(d, i, page) &&
            POSITION_GET(page, checkpoints) != POSITION_GET(page, checkpoint_asked))
            return true;
    }
    return false;
}

/* --- after a kill --- */

/* A checkpoint of a map of this round, by its name. */
static bool read_name(const struct driver *d, const char *name, uint32_t *index, struct attempt_id *id)
{
    struct attempt_file file;
    char task[TASK_NAME_MAX];
    if (!attempt_file_read(name, &file) || strcmp(name + file.length, ENDING) != 0)
        return false;
    const char *number = strrchr(file.task, '_');
    unsigned long n = number ? strtoul(number + 1, NULL, 10) : ULONG_MAX;
    if (n >= d->maps)
        return false;
    *index = (uint32_t)n;
    *id = (struct attempt_id){ file.attempt, file.speculative };
    return strcmp(file.task, task_name(d, &d->work[n], task)) == 0;
}

/* The attempts that left them are over; one that the journal does not know has had its number. */
static void take_found(struct driver *d, uint32_t task, struct attempt_id id, uint64_t records)
{
    struct work *w = &d->work[task];
    struct core_task *t = &d->core.tasks[task];
    struct running found = { .id = id, .checkpoint_record = records };
    uint32_t *count = id.speculative ? &t->backups : &t->attempts;
    uint32_t least = id.number + !id.speculative;
    if (*count < least)
        *count = least;
    adopt(d, w, &found);
    if (!attempt_is_same(w->checkpoint, id))
        finish_attempt_files(d, w, id);
}

static void take_entry(struct driver *d, const char *name)
{
    uint32_t index;
    struct attempt_id id;
    uint64_t records = 0;
    struct buf path = BUF_EMPTY;
    if (!read_name(d, name, &index, &id) || d->core.tasks[index].state != TASK_BLOCKED)
        return;
    const struct work *w = &d->work[index];
    bool holds = attempt_path(d, w, id, d->place.work_dir, ENDING, &path) == ST_OK &&
                 checkpoint_file_records((const char *)path.p, &records) && records > 0;
    if (holds)
        take_found(d, index, id, records);
    buf_free(&path);
}

void task_checkpoint_find(struct driver *d)
{
    double interval;
    if (!d->journal || d->at != AT_RUN || !restore_is_here(d) || restore_version(d) > 1 ||
        !is_on(d, &interval))
        return;
    DIR *dir = opendir(d->place.work_dir);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        take_entry(d, entry->d_name);
    if (dir)
        (void)closedir(dir);
}
