/* restore_leftovers.c: files of attempts that a driver which was killed had running. Nobody ended them, so nobody removed
 * what they had begun to write. */
#include "schedule/restore_internal.h"

#include "base/sys.h"
#include "recover/attempt_file.h"

#include <unistd.h>

/* An attempt that the journal knows of, and neither as the winner nor as what is published. */
static bool is_left(const struct restore *r, const struct attempt_file *o)
{
    const struct past_task *t = past_task(&r->past, o->task);
    const struct attempt_id id = { o->attempt, o->speculative };
    if (!t || (o->speculative ? o->attempt > t->backups : o->attempt >= t->attempts))
        return false;
    return !(t->committed && attempt_is_same(id, (struct attempt_id){ t->winner, t->speculative })) &&
           !(t->was_published && attempt_is_same(id, (struct attempt_id){ t->published, t->published_speculative }));
}

/* It wrote down where it stood: another attempt may go on from there. */
static bool has_checkpoint(const struct driver *d, const char *file, const struct attempt_file *o)
{
    struct buf path = BUF_EMPTY;
    bool has = buf_printf(&path, "%s/%.*s.ckpt", d->place.work_dir, (int)o->length, file) == ST_OK &&
               buf_terminate(&path) == ST_OK && access((const char *)path.p, F_OK) == 0;
    buf_free(&path);
    return has;
}

static bool goes(const void *driver, const char *file)
{
    const struct driver *d = driver;
    struct attempt_file o;
    return attempt_file_read(file, &o) && is_left(d->restore, &o) && !has_checkpoint(d, file, &o);
}

void restore_remove_leftovers(const struct driver *d)
{
    if (!d->restore)
        return;
    sys_unlink_where(d->place.work_dir, goes, d);
    if (d->place.stage_dir != d->place.work_dir)
        sys_unlink_where(d->place.stage_dir, goes, d);
    sys_unlink_where(d->place.quarantine_dir, goes, d);
}
