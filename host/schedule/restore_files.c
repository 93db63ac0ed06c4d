/* restore_files.c: which of a job's committed tasks have their files, so that they need not run
 * again. */
#include "schedule/restore_internal.h"

#include "base/sys.h"

#include <sys/stat.h>

static bool file_holds(const char *path, struct slice description)
{
    struct stat info;
    int64_t bytes = val_get_int(description, "bytes", -1);
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && (bytes < 0 || info.st_size == bytes);
}

static bool holds(const struct driver *d, const struct work *w, const char *field, const char *dir,
                  const char *ending)
{
    struct slice description;
    struct buf path = BUF_EMPTY;
    if (!val_get(buf_slice(&w->result), field, &description))
        return true;
    bool there = attempt_path(d, w, w->winner, dir, ending, &path) == ST_OK &&
                 file_holds((const char *)path.p, description);
    buf_free(&path);
    return there;
}

static enum status output_holds(struct driver *d, void *context, const char *path,
                                const char *name, struct slice description)
{
    (void)d;
    (void)context;
    (void)name;
    return file_holds(path, description) ? ST_OK : ST_END;
}

/* Are the files of the task's winner there? Its run or part only `with_data`. */
static bool files_hold(struct driver *d, const struct work *w, bool with_data)
{
    bool there = result_each_output(d, w, output_holds, NULL) == ST_OK &&
                 holds(d, w, "quarantine", d->place.quarantine_dir, ".jsonl");
    if (!there || !with_data)
        return there;
    return holds(d, w, "run", d->place.work_dir, ".run") &&
           holds(d, w, "part", part_dir(d), ".part");
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
    bool all = !d->plan.is_last && d->step + 1 == d->job.step_count;
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

static bool judge_stage(struct driver *d, enum work_kind kind, uint32_t first, uint32_t count,
                        bool with_data)
{
    struct restore *r = d->restore;
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        bool dropped = is_dropped(d, kind, i);
        const struct past_task *t = restore_past(d, kind, i);
        bool other = restore_tries_again(d, t);
        bool again = other || (r->mend && mend_tries_again(t));
        r->again += other;
        r->held[first + i] = !dropped && !again && restore_is_held(d, kind, i, with_data);
        r->done += dropped || r->held[first + i];
        all = all && (dropped || r->held[first + i]);
    }
    return all;
}

/* Runs are needed while a reduce is to read them: when the last one has committed they may be
 * gone. */
enum status restore_judge_round(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    uint32_t maps = (uint32_t)d->plan.splits.count, reduces = d->plan.partitions;
    r->held_count = maps + reduces;
    r->held = sys_calloc(r->held_count ? r->held_count : 1, sizeof *r->held);
    if (!r->held)
        return err_memory(e, "the task table", r->held_count);
    if (r->mend && reduces > 0 && !r->publishing) { /* the maps tell which reduces run */
        (void)judge_stage(d, WORK_MAP, 0, maps, true);
        return ST_OK;
    }
    if (maps_try_again(d, maps)) { /* and all reduces */
        (void)judge_stage(d, WORK_MAP, 0, maps, true);
        return ST_OK;
    }
    bool with_parts = !formats_hold(d);
    bool reduced = judge_stage(d, WORK_REDUCE, maps, reduces, with_parts) && reduces > 0;
    (void)judge_stage(d, WORK_MAP, 0, maps, reduces == 0 ? with_parts : !reduced);
    return ST_OK;
}

/* Pairs that a task is still to read cannot be made again. */
enum status restore_check_pairs(const struct driver *d, struct err *e)
{
    struct stat info;
    for (size_t i = 0; d->plan.reads_pairs && i < d->plan.splits.count; i++)
        for (size_t k = 0; !d->restore->held[i] && k < d->plan.splits.splits[i].count; k++) {
            const char *path = d->plan.splits.splits[i].parts[k].path;
            if (stat(path, &info) != 0)
                return err_set(e, ST_USAGE,
                               "%s is gone, which an earlier step of %s wrote and a later one is "
                               "to read; run the job again",
                               path, d->place.job_id);
        }
    return ST_OK;
}
