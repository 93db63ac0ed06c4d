/* replay_sides.c: see replay.h: indexes of side files that are no more are made again. */
#include "cli/replay.h"

#include <stdio.h>
#include <sys/stat.h>

static bool is_there(const char *path, struct stat *info)
{
    return stat(path, info) == 0;
}

/* The side file of that name in the job's description; empty when there is none ("previous"). */
static struct slice side_file(struct slice description, struct slice name)
{
    struct slice list, side, text;
    struct val_cursor c;
    uint64_t n = val_get(description, "side_files", &list) ? val_array(list, &c) : 0;
    for (; n > 0 && val_skip(&c, &side) == ST_OK; n--)
        if (val_get_string(side, "name", &text) && slice_equal(text, name))
            return side;
    return slice_of(NULL, 0);
}

/* The whole file as the one part of one input. */
static enum status put_input(struct slice side, const char *path, uint64_t size, struct val_map *out)
{
    struct val_map part = VAL_MAP_EMPTY, input = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    struct slice spec;
    val_map_str(&part, "path", path);
    val_map_int(&part, "from", 0);
    val_map_int(&part, "to", (int64_t)size);
    val_map_int(&part, "size", (int64_t)size);
    val_map_int(&part, "input", 0);
    enum status st = val_put_array(&bytes, 1);
    enum status end = val_map_end(&part, &bytes);
    val_map_value(out, "parts", buf_slice(&bytes));
    bytes.n = 0;
    if (val_get(side, "input", &spec))
        val_map_value(&input, "input", spec);
    if (st == ST_OK)
        st = end == ST_OK ? val_put_array(&bytes, 1) : end;
    end = val_map_end(&input, &bytes);
    val_map_value(out, "inputs", buf_slice(&bytes));
    buf_free(&bytes);
    return st == ST_OK ? end : st;
}

static enum status put_assignment(struct slice side, struct slice stored, const char *path,
                                  const char *index, uint64_t size, struct buf *out, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct slice text;
    val_map_str(&m, "kind", "side");
    val_map_str(&m, "task", "side");
    val_map_str(&m, "index", index);
    val_map_int(&m, "memory_limit", val_get_int(stored, "memory_limit", 0));
    if (val_get_string(side, "name", &text))
        val_map_string(&m, "name", text);
    if (val_get_string(side, "key", &text))
        val_map_string(&m, "key", text);
    enum status st = put_input(side, path, size, &m);
    enum status end = val_map_end(&m, out);
    st = st == ST_OK ? end : st;
    return st == ST_OK ? st : err_memory(e, "an assignment", out->n);
}

static enum status make_index(struct replay_box *box, struct slice side, struct slice stored,
                              const char *index, struct replay_end *end, struct err *e)
{
    char path[REPLAY_PATH_MAX];
    struct stat info;
    struct buf assignment = BUF_EMPTY;
    (void)val_get_cstr(side, "path", path, sizeof path);
    uint64_t size = is_there(path, &info) ? (uint64_t)info.st_size : 0;
    enum status st = put_assignment(side, stored, path, index, size, &assignment, e);
    if (st == ST_OK)
        st = replay_run(box, buf_slice(&assignment), end, e);
    if (st == ST_OK && end->err.status != ST_OK) {
        *e = end->err;
        st = e->status;
    }
    buf_free(&assignment);
    return st;
}

/* Where an index is now: where it was, or made again in the box's folder. */
static enum status find_index(struct replay_box *box, struct slice description,
                              struct slice stored, struct slice name, struct slice old,
                              unsigned number, char out[REPLAY_PATH_MAX], struct replay_end *end,
                              struct err *e)
{
    struct stat info;
    struct slice side = side_file(description, name);
    (void)snprintf(out, REPLAY_PATH_MAX, "%.*s", (int)old.n, (const char *)old.p);
    if (is_there(out, &info) || side.n == 0)
        return ST_OK;
    (void)snprintf(out, REPLAY_PATH_MAX, "%.*s/side_%u.index", REPLAY_PATH_MAX / 2, replay_dir(box),
                   number);
    return is_there(out, &info) ? ST_OK : make_index(box, side, stored, out, end, e);
}

enum status replay_sides(struct replay_box *box, struct slice description, struct slice stored,
                         struct buf *out, struct replay_end *end, struct err *e)
{
    char path[REPLAY_PATH_MAX], text[128];
    struct slice sides, name, value, old;
    struct val_cursor c;
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = ST_OK;
    uint64_t n = val_get(stored, "sides", &sides) ? val_map_open(sides, &c) : 0;
    end->stopped = 0;
    for (uint64_t i = 0; i < n && st == ST_OK && end->stopped == 0; i++) {
        if (val_skip(&c, &name) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(name, &name) || !val_as_string(value, &old))
            break;
        st = find_index(box, description, stored, name, old, (unsigned)i, path, end, e);
        (void)snprintf(text, sizeof text, "%.*s", (int)name.n, (const char *)name.p);
        val_map_str(&m, text, path);
    }
    enum status ended = val_map_end(&m, out);
    return st != ST_OK || ended == ST_OK ? st : err_memory(e, "the indexes of side files", out->n);
}
