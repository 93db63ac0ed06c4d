/* restore_plan.c: is the plan of a job that goes on the one it began with? */
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

static bool same_part(const struct split_part *now, const struct past_split *then)
{
    return slice_equal(slice_str(now->path), then->path) && now->from == then->from &&
           now->to == then->to && now->size == then->size;
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

static bool was_read(const struct past *p, const char *path)
{
    for (size_t i = 0; i < p->split_count; i++)
        if (slice_equal(slice_str(path), p->splits[i].path))
            return true;
    return false;
}

/* Says what is different about the inputs. */
static enum status explain(struct driver *d, struct err *e)
{
    const struct past *p = &d->restore->past;
    static const char then[] = "; the job cannot go on with other input: put it back, or run the job "
                               "again";
    for (size_t i = 0; i < p->split_count; i++) {
        const struct past_split *s = &p->splits[i];
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
            if (!was_read(p, path))
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
    const struct past *p = &d->restore->past;
    size_t at = 0;
    char name[TASK_NAME_MAX];
    for (size_t i = 0; i < d->plan.splits.count; i++) {
        const struct split *split = &d->plan.splits.splits[i];
        struct work w = { .kind = WORK_MAP, .index = (uint32_t)i };
        (void)task_name(d, &w, name);
        for (size_t k = 0; k < split->count; k++, at++)
            if (at >= p->split_count || !same_part(&split->parts[k], &p->splits[at]) ||
                !slice_equal(slice_str(name), p->splits[at].task))
                return explain(d, e);
    }
    return at == p->split_count ? ST_OK : explain(d, e);
}

enum status restore_same_reduces(struct driver *d, struct err *e)
{
    uint32_t was = d->restore->here->reduces, is = d->plan.partitions;
    bool fewer = d->job.steps[d->step].total_order && was >= 1 && was < is;
    return was == is || fewer ? ST_OK : changed(d, e, "the number of reduces", was, is);
}
