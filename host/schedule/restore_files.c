/* restore_files.c: which of a job's committed tasks have their files, so that they need not run
 * again. */
#include "schedule/restore_internal.h"

#include "base/sys.h"

#include <inttypes.h>
#include <sys/stat.h>

static bool file_holds(const char *path, struct slice description)
{
    struct stat info;
    int64_t bytes = val_get_int(description, "bytes", -1);
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (bytes < 0 || info.st_size == bytes);
}

/* What nobody reads before it is published is read here. */
static bool bytes_hold(const char *path, struct slice description)
{
    char checksum[24] = "";
    int64_t bytes = val_get_int(description, "bytes", -1);
    (void)val_get_cstr(description, "checksum", checksum, sizeof checksum);
    return file_holds(path, description) &&
           (bytes < 0 || !checksum[0] || publish_is_as_told(path, (uint64_t)bytes, checksum));
}

static bool holds(const struct driver *d, const struct work *w, const char *field, const char *dir,
                  const char *ending, bool (*as_told)(const char *, struct slice))
{
    struct slice description;
    struct buf path = BUF_EMPTY;
    if (!val_get(buf_slice(&w->result), field, &description))
        return true;
    bool there = attempt_path(d, w, w->winner, dir, ending, &path) == ST_OK &&
                 as_told((const char *)path.p, description);
    buf_free(&path);
    return there;
}

static enum status output_holds(struct driver *d, void *context, const char *path,
                                const char *name, struct slice description)
{
    (void)d;
    (void)context;
    (void)name;
    return bytes_hold(path, description) ? ST_OK : ST_END;
}

/* Are the files of the task's winner there? Its run or part only `with_data`. Runs and pairs are checked
 * where they are read. */
static bool files_hold(struct driver *d, const struct work *w, bool with_data)
{
    bool there = result_each_output(d, w, output_holds, NULL) == ST_OK &&
                 holds(d, w, "quarantine", d->place.quarantine_dir, ".jsonl", bytes_hold);
    if (!there || !with_data)
        return there;
    bool is_pairs = d->at == AT_RUN && !d->plan.is_last;
    return holds(d, w, "run", d->place.work_dir, ".run", file_holds) &&
           holds(d, w, "part", part_dir(d), ".part", is_pairs ? file_holds : bytes_hold);
}

bool restore_is_held(struct driver *d, enum work_kind kind, uint32_t index, bool with_data)
{
    struct work w = { .kind = kind, .index = index, .result = BUF_EMPTY };
    const struct past_task *t = restore_past(d, kind, index);
    if (!t || !t->committed)
        return false;
    if (d->restore->publishing)
        return true;
    w.winner = (struct attempt_id){ t->winner, t->speculative };
    bool held = buf_append_slice(&w.result, t->result) == ST_OK && files_hold(d, &w, with_data);
    buf_free(&w.result);
    return held;
}

static bool is_dropped(struct driver *d, enum work_kind kind, uint32_t index)
{
    const struct past_task *t = restore_past(d, kind, index);
    return t && t->dropped;
}

/* Once the parts are formatted the pairs they come from are not needed, and may be gone. */
static bool formats_hold(struct driver *d)
{
    uint32_t count = 0;
    const struct restore *r = d->restore;
    bool all = !d->plan.is_last && d->step + 1 == d->job.step_count &&
               (restore_is_strict(r) || (!r->round_changed && r->at + 1 == r->past.step_count));
    d->at = AT_FORMAT;
    for (uint32_t i = 0; i < d->plan.partitions && all; i++)
        if (!is_dropped(d, WORK_REDUCE, i))
            all = restore_is_held(d, WORK_FORMAT, count++, true);
    d->at = AT_RUN;
    return all && count > 0;
}

bool restore_tries_again(const struct driver *d, const struct past_task *t)
{
    const struct restore *r = d->restore;
    return !r->mend && t && t->committed && mend_has_put_aside(t) &&
           past_number(&r->past, "too_many_aside", 0) != 0;
}

/* Maps that run again may give any reduce other pairs than it has read. */
static bool maps_try_again(const struct driver *d, uint32_t maps)
{
    for (uint32_t i = 0; i < maps; i++)
        if (restore_tries_again(d, restore_past(d, WORK_MAP, i)))
            return true;
    return false;
}

enum status restore_make_tables(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    sys_free(r->judged);
    sys_free(r->held);
    r->held_count = (uint32_t)d->plan.splits.count + d->plan.partitions;
    r->done = r->again = 0;
    r->held = sys_calloc((size_t)r->held_count + 1, sizeof *r->held);
    r->judged = sys_calloc((size_t)r->held_count + 1, sizeof *r->judged);
    return r->held && r->judged ? ST_OK : err_memory(e, "the task table", r->held_count);
}

/* What a round leaves that is over goes when nobody is to read it any more. */
static const char *why_gone(struct driver *d)
{
    const struct restore *r = d->restore;
    bool over = r->at + 1 < r->past.step_count;
    bool reduced = d->plan.partitions > 0;
    for (uint32_t i = 0; i < d->plan.partitions; i++) {
        const struct past_task *t = restore_past(d, WORK_REDUCE, i);
        reduced = reduced && t && t->committed;
    }
    return over || reduced ? "what they wrote was removed when it was of no more use"
                           : "files they wrote are gone";
}

/* Judges one task of those that do as they are; true: it is done. */
static bool judge_task(struct driver *d, enum work_kind kind, uint32_t index, uint32_t task,
                       bool with_data)
{
    struct restore *r = d->restore;
    struct judged *j = &r->judged[task];
    const struct past_task *t = restore_past(d, kind, index);
    if (j->why)
        return false;
    if (t && t->dropped)
        return true;
    if (restore_tries_again(d, t)) {
        r->again++;
        j->why = "it had put records aside, and there were too many";
    } else if (r->mend && mend_tries_again(t)) {
        j->why = "it had put records aside";
    } else {
        r->held[task] = restore_is_held(d, kind, index, with_data);
        if (!r->held[task] && t && t->committed)
            j->why = why_gone(d);
    }
    return r->held[task];
}

static bool judge_stage(struct driver *d, enum work_kind kind, uint32_t first, uint32_t count,
                        bool with_data)
{
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        bool done = judge_task(d, kind, i, first + i, with_data);
        d->restore->done += done;
        all = all && done;
    }
    return all;
}

static void judge_reduces(struct restore *r, uint32_t maps, const char *why, bool anew)
{
    for (uint32_t i = maps; i < r->held_count; i++)
        if (!r->judged[i].why)
            r->judged[i] = (struct judged){ why, anew };
}

/* Runs are needed while a reduce is to read them: when the last one has committed they may be
 * gone. */
void restore_judge_round(struct driver *d)
{
    struct restore *r = d->restore;
    uint32_t maps = (uint32_t)d->plan.splits.count, reduces = d->plan.partitions;
    if (r->mend && reduces > 0 && !r->publishing) { /* the maps tell which reduces run */
        judge_reduces(r, maps, "maps that run again may give them other pairs", false);
        (void)judge_stage(d, WORK_MAP, 0, maps, true);
        return;
    }
    if (maps_try_again(d, maps)) { /* and all reduces */
        judge_reduces(r, maps, "what they read is made anew", !restore_is_strict(r));
        (void)judge_stage(d, WORK_MAP, 0, maps, true);
        return;
    }
    bool with_parts = !formats_hold(d);
    bool reduced = judge_stage(d, WORK_REDUCE, maps, reduces, with_parts) && reduces > 0;
    (void)judge_stage(d, WORK_MAP, 0, maps, reduces == 0 ? with_parts : !reduced);
}

static bool is_gone(const char *path)
{
    struct stat info;
    return stat(path, &info) != 0;
}

/* Of the round before, whose pairs are to be looked up in. */
static const char *gone_previous(const struct driver *d)
{
    const struct restore *r = d->restore;
    if (!d->job.steps[d->step].reread || d->round < 2 || r->done == r->held_count)
        return NULL;
    for (size_t i = 0; i < d->pairs.count; i++)
        if (is_gone((const char *)d->pairs.files[i].path.p))
            return (const char *)d->pairs.files[i].path.p;
    return NULL;
}

const char *restore_gone_pairs(const struct driver *d)
{
    for (size_t i = 0; d->plan.reads_pairs && i < d->plan.splits.count; i++)
        for (size_t k = 0; !d->restore->held[i] && k < d->plan.splits.splits[i].count; k++)
            if (is_gone(d->plan.splits.splits[i].parts[k].path))
                return d->plan.splits.splits[i].parts[k].path;
    return gone_previous(d);
}

/* Where they cannot be made again. */
enum status restore_check_pairs(const struct driver *d, struct err *e)
{
    const char *path = restore_gone_pairs(d);
    if (!path)
        return ST_OK;
    return err_set(e, ST_USAGE,
                   "%s is gone, which an earlier step of %s wrote and a later one is to read; run "
                   "the job again",
                   path, d->place.job_id);
}

enum status restore_stdin(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    const char *path = place_join(&d->place, d->place.work_dir, "stdin");
    int64_t bytes = past_number(&r->past, "stdin_bytes", -1);
    struct stat info;
    if (!path)
        return err_memory(e, "a path", sizeof "stdin");
    if (bytes < 0)
        return err_set(e, ST_USAGE,
                       "%s read standard input and ended before it had all of it, so it cannot be "
                       "resumed; run the job again",
                       d->place.job_id);
    if (stat(path, &info) != 0 || info.st_size != bytes)
        return err_set(e, ST_USAGE,
                       "%s, where %s kept the %" PRId64
                       " bytes of its standard input, is gone or changed; run the job again",
                       path, d->place.job_id, bytes);
    for (size_t i = 0; i < d->name_count; i++)
        if (strcmp(d->names[i].path, "-") == 0)
            d->names[i].path = path;
    return inputs_expand(d->names, d->name_count, &d->arena, &d->files, e);
}
