/* remote.c: inputs behind http:// and https://: workers ask the servers before the plan is made. A
 * task asks for some of the addresses, in the order of the inputs. */
#include "schedule/driver.h"

#include <errno.h>
#include <sys/stat.h>

enum { TASK_ADDRESSES = 64 };

static bool is_asked(const struct driver *d, size_t file)
{
    return input_is_remote(d->files.files[file].path);
}

uint32_t remote_tasks(const struct driver *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->files.count; i++)
        count += is_asked(d, i);
    return (uint32_t)((count + TASK_ADDRESSES - 1) / TASK_ADDRESSES);
}

enum status remote_keep_secrets(const struct driver *d, struct err *e)
{
    for (size_t i = 0; i < d->files.count; i++) {
        if (!d->files.files[i].secret)
            continue;
        return chmod(d->place.job_dir, S_IRWXU) == 0
                 ? ST_OK
                 : err_sys(e, errno, "keep others out of", d->place.job_dir);
    }
    return ST_OK;
}

/* The next file at or behind `at` that a server has; d->files.count when there is none. */
static size_t next_address(const struct driver *d, size_t at)
{
    while (at < d->files.count && !is_asked(d, at))
        at++;
    return at;
}

static size_t first_of_task(const struct driver *d, uint32_t index)
{
    size_t at = next_address(d, 0);
    for (uint64_t skip = (uint64_t)index * TASK_ADDRESSES; skip > 0; skip--)
        at = next_address(d, at + 1);
    return at;
}

enum status remote_put_files(const struct driver *d, uint32_t index, struct buf *out)
{
    size_t first = first_of_task(d, index), at = first;
    uint64_t count = 0;
    for (; at < d->files.count && count < TASK_ADDRESSES; at = next_address(d, at + 1))
        count++;
    enum status st = val_put_array(out, count);
    for (at = first; st == ST_OK && count > 0; count--, at = next_address(d, at + 1)) {
        struct val_map file = VAL_MAP_EMPTY;
        val_map_str(&file, "url", d->files.files[at].path);
        val_map_str(&file, "secret", d->files.files[at].secret);
        st = val_map_end(&file, out);
    }
    return st;
}

static enum status take_file(struct driver *d, struct slice told, struct input_file *f,
                             struct err *e)
{
    struct slice validator;
    char coding[32];
    if (val_get_cstr(told, "coding", coding, sizeof coding))
        return err_set(e, ST_USAGE,
                       "%.900s: the server sends it compressed (Content-Encoding: %s), though that "
                       "was not asked for; pipe it in: curl -fsSL --compressed ADDRESS | lmr run … -",
                       f->path, coding);
    int64_t size = val_get_int(told, "size", -1);
    f->size = size < 0 ? INPUT_SIZE_UNKNOWN : (uint64_t)size;
    f->whole = size < 0 || !val_get_bool(told, "ranges", false);
    if (!val_get_string(told, "validator", &validator))
        return ST_OK;
    f->validator = arena_strndup(&d->arena, (const char *)validator.p, validator.n);
    return f->validator ? ST_OK : err_memory(e, "the plan", validator.n);
}

enum status remote_take(struct driver *d, uint32_t index, struct slice result, struct err *e)
{
    struct slice list = slice_of(NULL, 0), told, url;
    struct val_cursor c;
    size_t at = first_of_task(d, index);
    (void)val_get(result, "files", &list);
    uint64_t n = val_array(list, &c);
    for (uint64_t i = 0; i < TASK_ADDRESSES && at < d->files.count; i++) {
        struct input_file *f = &d->files.files[at];
        if (i >= n || val_skip(&c, &told) != ST_OK || !val_get_string(told, "url", &url) ||
            !slice_equal(url, slice_str(f->path)))
            return err_set(e, ST_CORRUPT, "%.900s: its server was not asked for it", f->path);
        enum status st = take_file(d, told, f, e);
        if (st != ST_OK)
            return st;
        at = next_address(d, at + 1);
    }
    return ST_OK;
}
