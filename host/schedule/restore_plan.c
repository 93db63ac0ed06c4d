/* restore_plan.c: is the plan of a job that goes on the one it began with? Where it must be, and it is
 * not, the job is refused; else what is different is put in words. */
#include "schedule/restore_internal.h"

#include <inttypes.h>

static enum status changed(struct driver *d, struct err *e, const char *what, uint64_t was,
                           uint64_t is)
{
    return err_set(e, ST_USAGE,
                   "%s of %s was %" PRIu64 " when the job began and is %" PRIu64
                   " now, so its parts would not fit together; set it back, or run the job again",
                   what, d->place.job_id, was, is);
}

enum status restore_same_settings(struct driver *d, struct err *e)
{
    struct restore *r = d->restore;
    struct slice was = slice_of(NULL, 0);
    uint64_t seed = (uint64_t)past_number(&r->past, "seed", 0);
    uint64_t buffer = (uint64_t)past_number(&r->past, "sort_buffer", (int64_t)d->sort_buffer);
    if (seed != d->seed)
        return changed(d, e, "the seed", seed, d->seed);
    if (buffer != d->sort_buffer)
        return changed(d, e, "the sort buffer", buffer, d->sort_buffer);
    (void)val_get(past_blob(&r->past, "description"), "output", &was);
    if (!slice_equal(was, d->job.output))
        return err_set(e, ST_USAGE,
                       "the output format of %s has changed since the job began, so its parts would "
                       "not fit together; set it back, or run the job again",
                       d->place.job_id);
    if (r->past.step_count > 0 && r->past.steps[r->past.step_count - 1].step > d->job.step_count)
        return changed(d, e, "the number of steps", r->past.steps[r->past.step_count - 1].step,
                       d->job.step_count);
    return ST_OK;
}

const char *restore_settings_change(struct driver *d)
{
    struct restore *r = d->restore;
    uint64_t seed = (uint64_t)past_number(&r->past, "seed", 0);
    uint64_t buffer = (uint64_t)past_number(&r->past, "sort_buffer", (int64_t)d->sort_buffer);
    if (seed != d->seed)
        return restore_say(r, "the seed was %" PRIu64 " and is %" PRIu64 " now", seed, d->seed);
    if (buffer != d->sort_buffer)
        return restore_say(r, "the sort buffer was %" PRIu64 " and is %" PRIu64 " now", buffer,
                           d->sort_buffer);
    return NULL;
}

static struct slice base_of(struct slice path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return slice_of(path.p + at, path.n - at);
}

/* Files of ours may have moved with the job's folder. */
static bool is_ours(const struct driver *d, const char *path)
{
    size_t n = strlen(d->place.work_dir);
    return strncmp(path, d->place.work_dir, n) == 0 && path[n] == '/';
}

bool restore_same_part(const struct driver *d, const struct split_part *now,
                       const struct past_split *then)
{
    struct slice path = slice_str(now->path);
    bool same_path = is_ours(d, now->path) ? slice_equal(base_of(path), base_of(then->path))
                                           : slice_equal(path, then->path);
    return same_path && now->from == then->from && now->to == then->to && now->size == then->size;
}

/* Not of a file of ours: copying it with its folder gives it another time. */
static bool same_time(const struct driver *d, const struct split_part *now,
                      const struct past_split *then)
{
    return now->mtime == then->mtime || !now->mtime || !then->mtime || is_ours(d, now->path);
}

static const struct past_split *find_split(const struct past_split *splits, size_t count, struct slice path)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal(splits[i].path, path))
            return &splits[i];
    return NULL;
}

static const char *say_part(struct driver *d, const struct past_step *s, const struct split_part *now,
                            const struct past_split *then)
{
    struct restore *r = d->restore;
    size_t count;
    const struct past_split *all = past_splits(&r->past, s, &count);
    const struct past_split *file = find_split(all, count, slice_str(now->path));
    if (then && restore_same_part(d, now, then))
        return restore_say(r, "input %s changed (written to since, same size)", now->path);
    if (!file)
        return restore_say(r, "input %s is new", now->path);
    if (file->size != now->size)
        return restore_say(r, "input %s changed (it had %" PRIu64 " bytes, and has %" PRIu64 ")",
                           now->path, file->size, now->size);
    return "the input is split in another way";
}

static const char *say_missing(struct driver *d, const struct past_split *then)
{
    for (size_t i = 0; i < d->plan.splits.count; i++)
        for (size_t k = 0; k < d->plan.splits.splits[i].count; k++)
            if (slice_equal(slice_str(d->plan.splits.splits[i].parts[k].path), then->path))
                return "the input is split in another way";
    return restore_say(d->restore, "input %.*s is gone", (int)then->path.n,
                       (const char *)then->path.p);
}

/* The rows of a task's parts: they follow each other. */
static const struct past_split *parts_of(const struct driver *d, const struct past_step *s,
                                         uint32_t index, size_t *count)
{
    char name[TASK_NAME_MAX];
    const struct work w = { .kind = WORK_MAP, .index = index };
    struct slice task = slice_str(task_name(d, &w, name));
    size_t all, first = d->restore->split_at, n = 0;
    const struct past_split *splits = past_splits(&d->restore->past, s, &all);
    bool is_first = first < all && slice_equal(splits[first].task, task) &&
                    (first == 0 || !slice_equal(splits[first - 1].task, task));
    if (!is_first) /* it was left by another task, or in another round */
        for (first = 0; first < all && !slice_equal(splits[first].task, task);)
            first++;
    while (first + n < all && slice_equal(splits[first + n].task, task))
        n++;
    d->restore->split_at = first + n;
    *count = n;
    return splits + first;
}

const char *restore_split_change(struct driver *d, const struct past_step *s, uint32_t index)
{
    const struct split *now = &d->plan.splits.splits[index];
    size_t count;
    const struct past_split *then = parts_of(d, s, index, &count);
    bool times = !restore_is_accepted(d, d->step + 1, STAGE_MAP);
    for (size_t i = 0; i < now->count; i++) {
        const struct past_split *part = i < count ? &then[i] : NULL;
        bool same = part && restore_same_part(d, &now->parts[i], part);
        bool written = same && !same_time(d, &now->parts[i], part);
        if (!same || (written && times))
            return say_part(d, s, &now->parts[i], part);
        d->restore->times_accepted = d->restore->times_accepted || written;
    }
    return now->count < count ? say_missing(d, &then[now->count]) : NULL;
}

/* The planned size of a file, or −1. */
static int64_t size_now(const struct driver *d, struct slice path)
{
    for (size_t i = 0; i < d->plan.splits.count; i++)
        for (size_t k = 0; k < d->plan.splits.splits[i].count; k++)
            if (slice_equal(slice_str(d->plan.splits.splits[i].parts[k].path), path))
                return (int64_t)d->plan.splits.splits[i].parts[k].size;
    return -1;
}

/* Says what is different about the inputs. */
static enum status explain(struct driver *d, struct err *e)
{
    size_t count;
    const struct past_split *splits = past_splits(&d->restore->past, d->restore->here, &count);
    static const char then[] = "; the job cannot go on with other input: put it back, or run the job "
                               "again";
    for (size_t i = 0; i < count; i++) {
        const struct past_split *s = &splits[i];
        int64_t size = size_now(d, s->path);
        if (size < 0)
            return err_set(e, ST_USAGE, "%.*s was an input of %s when it began, and is none now%s",
                           (int)s->path.n, (const char *)s->path.p, d->place.job_id, then);
        if ((uint64_t)size != s->size)
            return err_set(e, ST_USAGE,
                           "input %.*s changed since %s began: it had %" PRIu64
                           " bytes and has %" PRId64 " now%s",
                           (int)s->path.n, (const char *)s->path.p, d->place.job_id, s->size, size,
                           then);
    }
    for (size_t i = 0; i < d->plan.splits.count; i++)
        for (size_t k = 0; k < d->plan.splits.splits[i].count; k++) {
            const char *path = d->plan.splits.splits[i].parts[k].path;
            if (!find_split(splits, count, slice_str(path)))
                return err_set(e, ST_USAGE,
                               "%s is an input of %s now, and was none when it began%s", path,
                               d->place.job_id, then);
        }
    return err_set(e, ST_USAGE,
                   "the inputs of %s would be split in another way than when it began (were split "
                   "size, order or formats changed?); set that back, or run the job again",
                   d->place.job_id);
}

enum status restore_same_splits(struct driver *d, struct err *e)
{
    size_t at = 0, split_count;
    const struct past_split *splits = past_splits(&d->restore->past, d->restore->here, &split_count);
    char name[TASK_NAME_MAX];
    for (size_t i = 0; i < d->plan.splits.count; i++) {
        const struct split *split = &d->plan.splits.splits[i];
        struct work w = { .kind = WORK_MAP, .index = (uint32_t)i };
        (void)task_name(d, &w, name);
        for (size_t k = 0; k < split->count; k++, at++)
            if (at >= split_count || !restore_same_part(d, &split->parts[k], &splits[at]) ||
                !slice_equal(slice_str(name), splits[at].task))
                return explain(d, e);
    }
    return at == split_count ? ST_OK : explain(d, e);
}

enum status restore_same_reduces(struct driver *d, struct err *e)
{
    uint32_t was = d->restore->here->reduces, is = d->plan.partitions;
    bool fewer = d->job.steps[d->step].total_order && was >= 1 && was < is;
    return was == is || fewer ? ST_OK : changed(d, e, "the number of reduces", was, is);
}
