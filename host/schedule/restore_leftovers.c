/* restore_leftovers.c: files of attempts that a driver which was killed had running. Nobody ended them, so nobody removed
 * what they had begun to write. */
#include "schedule/restore_internal.h"

#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Whose file: "2.7-map_3.1s.run" is of the attempt 1s of 2.7:map_3. */
struct owner {
    char task[TASK_NAME_MAX];
    size_t length; /* of the attempt's name, in the file's */
    struct attempt_id id;
};

static bool owner_of(const char *file, struct owner *out)
{
    static const char digits[] = "0123456789";
    size_t prefix = strspn(file, "0123456789.");
    bool prefixed = prefix > 0 && file[prefix] == '-';
    size_t start = prefixed ? prefix + 1 : 0;
    size_t n = start + strcspn(file + start, ".-");
    if ((prefix > 0 && !prefixed) || file[n] != '.' || n >= sizeof out->task)
        return false;
    size_t number = strspn(file + n + 1, digits), end = n + 1 + number;
    if (number == 0 || number > 9)
        return false;
    memcpy(out->task, file, n);
    out->task[n] = '\0';
    if (prefixed)
        out->task[prefix] = ':';
    out->id.number = (uint32_t)strtoul(file + n + 1, NULL, 10);
    out->id.speculative = file[end] == 's';
    out->length = end + out->id.speculative;
    return file[out->length] == '.' || file[out->length] == '-';
}

static bool is_attempt(struct attempt_id id, uint32_t number, bool speculative)
{
    return id.number == number && id.speculative == speculative;
}

/* An attempt that the journal knows of, and neither as the winner nor as what is published. */
static bool is_left(const struct restore *r, const struct owner *o)
{
    const struct past_task *t = past_task(&r->past, o->task);
    if (!t || (o->id.speculative ? o->id.number > t->backups : o->id.number >= t->attempts))
        return false;
    return !(t->committed && is_attempt(o->id, t->winner, t->speculative)) &&
           !(t->was_published && is_attempt(o->id, t->published, t->published_speculative));
}

/* It wrote down where it stood: another attempt may go on from there. */
static bool has_checkpoint(const struct driver *d, const char *file, const struct owner *o)
{
    struct buf path = BUF_EMPTY;
    bool has = buf_printf(&path, "%s/%.*s.ckpt", d->place.work_dir, (int)o->length, file) == ST_OK &&
               buf_terminate(&path) == ST_OK && access((const char *)path.p, F_OK) == 0;
    buf_free(&path);
    return has;
}

static void clean(const struct driver *d, const char *dir)
{
    struct buf path = BUF_EMPTY;
    struct owner o;
    DIR *folder = opendir(dir);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!owner_of(entry->d_name, &o) || !is_left(d->restore, &o) || has_checkpoint(d, entry->d_name, &o))
            continue;
        path.n = 0;
        if (buf_printf(&path, "%s/%s", dir, entry->d_name) == ST_OK && buf_terminate(&path) == ST_OK)
            (void)sys_unlink((const char *)path.p, NULL);
    }
    if (folder)
        (void)closedir(folder);
    buf_free(&path);
}

void restore_remove_leftovers(const struct driver *d)
{
    if (!d->restore)
        return;
    clean(d, d->place.work_dir);
    if (d->place.stage_dir != d->place.work_dir)
        clean(d, d->place.stage_dir);
    clean(d, d->place.quarantine_dir);
}
