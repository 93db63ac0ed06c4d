/* replay_assignment.c: see replay.h: what is different when an attempt is run again. */
#include "base/status.h"
#include "cli/replay.h"

#include <stdio.h>
#include <sys/stat.h>

enum { FIELD_MAX = 64 };

/* --- changing fields --- */

static bool is_dropped(const char *name, const struct replay_change *change)
{
    if (!change)
        return false;
    static const char *const aside[] = { "put_aside", "put_aside_max", "skip", "quarantine" };
    for (size_t i = 0; i < sizeof aside / sizeof *aside; i++)
        if (strcmp(name, aside[i]) == 0)
            return true;
    return change->job && strcmp(name, "one_liner") == 0;
}

static enum status copy_fields(struct slice stored, const struct replay_change *change,
                               struct val_map *out)
{
    struct val_cursor c;
    struct slice key, value, text;
    char name[FIELD_MAX];
    for (uint64_t n = val_map_open(stored, &c); n > 0; n--) {
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(key, &text) || text.n >= sizeof name)
            return ST_CORRUPT;
        memcpy(name, text.p, text.n);
        name[text.n] = '\0';
        if (!is_dropped(name, change))
            val_map_value(out, name, value);
    }
    return ST_OK;
}

/* A field that holds a path gets one in the folder. */
static void move_path(struct slice stored, const struct replay_change *change, const char *name,
                      const char *file, struct val_map *out)
{
    char path[REPLAY_PATH_MAX];
    struct slice old;
    if (!val_get_string(stored, name, &old))
        return;
    (void)snprintf(path, sizeof path, "%s/%s", change->dir, file);
    val_map_str(out, name, path);
}

/* Nobody keeps the part, and its lines are shown: it is not compressed. */
static enum status plain_output(struct slice stored, struct val_map *out)
{
    struct slice spec, key, value, text;
    struct val_map plain = VAL_MAP_EMPTY;
    struct val_cursor c;
    struct buf bytes = BUF_EMPTY;
    char name[FIELD_MAX];
    if (!val_get(stored, "output", &spec) || !val_is_map(spec))
        return ST_OK;
    for (uint64_t n = val_map_open(spec, &c); n > 0; n--) {
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(key, &text) || text.n >= sizeof name)
            continue;
        memcpy(name, text.p, text.n);
        name[text.n] = '\0';
        if (strcmp(name, "compress") != 0)
            val_map_value(&plain, name, value);
    }
    enum status st = val_map_end(&plain, &bytes);
    if (st == ST_OK)
        val_map_value(out, "output", buf_slice(&bytes));
    buf_free(&bytes);
    return st;
}

/* --- what is put aside --- */

static enum status put_all_aside(struct buf *types)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "*", "quarantine");
    return val_map_end(&m, types);
}

/* The stored types; nobody is here to be asked: what was asked about is put aside, unless it is what
 * ended the attempt. */
static enum status put_stored_types(struct slice stored, const struct replay_change *change,
                                    struct buf *types)
{
    struct slice list, key, value, text, how;
    struct val_cursor c;
    struct val_map m = VAL_MAP_EMPTY;
    char name[FIELD_MAX];
    uint64_t n = val_get(stored, "put_aside", &list) ? val_map_open(list, &c) : 0;
    for (; n > 0; n--) {
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK ||
            !val_as_string(key, &text) || !val_as_string(value, &how) || text.n >= sizeof name)
            continue;
        memcpy(name, text.p, text.n);
        name[text.n] = '\0';
        if (!slice_equal(how, slice_str("ask")) || strcmp(name, change->culprit_type) != 0)
            val_map_str(&m, name, "quarantine");
    }
    return val_map_end(&m, types);
}

/* The stored list of what earlier attempts died of, but what ended this one. */
static enum status put_skip(struct slice stored, const struct replay_change *change,
                            struct val_map *out)
{
    struct slice list, element;
    struct val_cursor c;
    struct buf kept = BUF_EMPTY, array = BUF_EMPTY;
    uint64_t count = 0, n = val_get(stored, "skip", &list) ? val_array(list, &c) : 0;
    enum status st = ST_OK;
    for (; n > 0 && st == ST_OK && val_skip(&c, &element) == ST_OK; n--) {
        if (val_get_int(element, "record", -1) == change->culprit)
            continue;
        st = buf_append_slice(&kept, element);
        count++;
    }
    if (st == ST_OK)
        st = val_put_array(&array, count);
    if (st == ST_OK)
        st = buf_append_slice(&array, buf_slice(&kept));
    if (st == ST_OK)
        val_map_value(out, "skip", buf_slice(&array));
    buf_free(&kept);
    buf_free(&array);
    return st;
}

static enum status put_aside(struct slice stored, const struct replay_change *change,
                             struct val_map *out)
{
    char path[REPLAY_PATH_MAX];
    struct buf types = BUF_EMPTY;
    if (!change->puts_aside && !change->as_ruled)
        return ST_OK;
    (void)snprintf(path, sizeof path, "%s/aside", change->dir);
    val_map_str(out, "quarantine", path);
    enum status st = change->as_ruled ? put_stored_types(stored, change, &types)
                                      : put_all_aside(&types);
    if (st == ST_OK)
        val_map_value(out, "put_aside", buf_slice(&types));
    if (change->as_ruled)
        val_map_int(out, "put_aside_max", val_get_int(stored, "put_aside_max", -1));
    if (st == ST_OK && change->as_ruled)
        st = put_skip(stored, change, out);
    buf_free(&types);
    return st;
}

static enum status put_only(const struct replay_change *change, struct val_map *out)
{
    struct buf list = BUF_EMPTY;
    if (!change->only)
        return ST_OK;
    enum status st = val_put_array(&list, change->only_count);
    for (size_t i = 0; i < change->only_count && st == ST_OK; i++)
        st = val_put_int(&list, change->only[i]);
    if (st == ST_OK)
        val_map_value(out, "only", buf_slice(&list));
    buf_free(&list);
    return st;
}

enum status replay_assignment(struct slice stored, const struct replay_change *change,
                              struct buf *out, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = val_check(stored);
    if (st == ST_OK)
        st = copy_fields(stored, change, &m);
    move_path(stored, change, "run", "run", &m);
    move_path(stored, change, "part", "part", &m);
    move_path(stored, change, "side_prefix", "side-", &m);
    move_path(stored, change, "temporary", "merge-", &m);
    val_map_float(&m, "deadline", 0);
    val_map_bool(&m, "durable", false);
    val_map_str(&m, "job", change->job);
    if (st == ST_OK)
        st = plain_output(stored, &m);
    if (st == ST_OK)
        st = put_aside(stored, change, &m);
    if (st == ST_OK)
        st = put_only(change, &m);
    enum status end = val_map_end(&m, out);
    st = st == ST_OK ? end : st;
    if (st == ST_CORRUPT)
        return err_set(e, st, "the assignment in the journal does not decode");
    return st == ST_OK ? st : err_memory(e, "an assignment", out->n);
}

enum status replay_replace(struct slice stored, const char *field, struct slice value,
                           struct buf *out, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = val_check(stored);
    if (st == ST_OK)
        st = copy_fields(stored, NULL, &m);
    val_map_value(&m, field, value);
    enum status end = val_map_end(&m, out);
    st = st == ST_OK ? end : st;
    if (st == ST_CORRUPT)
        return err_set(e, st, "the assignment in the journal does not decode");
    return st == ST_OK ? st : err_memory(e, "an assignment", out->n);
}

/* --- what it reads --- */

static enum status gone(const char *path, const char *what, const char *job, struct err *e)
{
    return err_set(e, ST_USAGE,
                   "cannot replay this: %s is gone (%s): what stands between tasks is removed when a "
                   "job is complete; run the job again so that it fails there (lmr run … --set "
                   "on_error.TYPE=fail), for a job that fails keeps it; lmr show %s tells how it "
                   "ended",
                   path, what, job);
}

static bool is_there(struct slice path, char text[REPLAY_PATH_MAX])
{
    struct stat info;
    (void)snprintf(text, REPLAY_PATH_MAX, "%.*s", (int)path.n, (const char *)path.p);
    return stat(text, &info) == 0;
}

static enum status check_list(struct slice assignment, const char *field, const char *what,
                              const char *job, struct err *e)
{
    char text[REPLAY_PATH_MAX];
    struct slice list, element, path;
    struct val_cursor c;
    uint64_t n = val_get(assignment, field, &list) ? val_array(list, &c) : 0;
    for (; n > 0 && val_skip(&c, &element) == ST_OK; n--)
        if ((val_as_string(element, &path) || val_get_string(element, "path", &path)) &&
            !is_there(path, text))
            return gone(text, what, job, e);
    return ST_OK;
}

static enum status check_sides(struct slice assignment, const char *job, struct err *e)
{
    char text[REPLAY_PATH_MAX];
    struct slice sides, name, value, path;
    struct val_cursor c;
    uint64_t n = val_get(assignment, "sides", &sides) ? val_map_open(sides, &c) : 0;
    for (; n > 0 && val_skip(&c, &name) == ST_OK && val_skip(&c, &value) == ST_OK; n--)
        if (val_as_string(value, &path) && !is_there(path, text))
            return gone(text, "the index of a side file", job, e);
    return ST_OK;
}

enum status replay_check_inputs(struct slice assignment, const char *job, struct err *e)
{
    enum status st = check_list(assignment, "runs", "what a map task wrote", job, e);
    if (st == ST_OK && val_get_bool(assignment, "pairs", false))
        st = check_list(assignment, "parts", "pairs of the step before", job, e);
    return st == ST_OK ? check_sides(assignment, job, e) : st;
}
