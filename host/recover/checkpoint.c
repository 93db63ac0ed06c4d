#include "recover/checkpoint.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "data/codec.h"
#include "recover/history.h"
#include "recover/sqlite_full.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 20000 };

enum status checkpoint_path(const char *dir, uint32_t number, struct buf *out)
{
    out->n = 0;
    enum status st = buf_printf(out, "%s/%06" PRIu32 ".db", dir, number);
    return st == ST_OK ? buf_terminate(out) : st;
}

/* The number that a name begins with, and what follows it. */
static uint32_t number_in(const char *name, const char **rest)
{
    char *end = NULL;
    unsigned long number = name[0] >= '0' && name[0] <= '9' ? strtoul(name, &end, 10) : 0;
    *rest = end ? end : name;
    return number < UINT32_MAX ? (uint32_t)number : 0;
}

uint32_t checkpoint_number(const char *name)
{
    const char *rest;
    uint32_t number = number_in(name, &rest);
    return strcmp(rest, ".db") == 0 ? number : 0;
}

uint32_t checkpoint_newest(const char *dir, uint32_t below)
{
    const struct dirent *entry;
    uint32_t newest = 0;
    DIR *d = opendir(dir);
    while (d && (entry = readdir(d))) {
        uint32_t number = checkpoint_number(entry->d_name);
        if (number < below && number > newest)
            newest = number;
    }
    if (d)
        (void)closedir(d);
    return newest;
}

/* --- making --- */

static enum status cannot_copy(sqlite3 *db, const char *journal, const char *to, struct err *e)
{
    enum status st = err_set(e, sqlite_was_full(db) ? ST_DISK_FULL : ST_CRASH, "cannot copy the journal %s to %s: %s",
                             journal, to, db ? sqlite3_errmsg(db) : "out of memory");
    err_at(e, to, -1, -1);
    return st;
}

/* What is written is synced once, when it is whole. */
static enum status copy_journal(const char *journal, const char *to, struct err *e)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    enum status st = ST_OK;
    if (sqlite3_open_v2(journal, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(s) != SQLITE_DONE)
        st = cannot_copy(db, journal, to, e);
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(db);
    return st;
}

/* Where the job stood, by the copy itself: the driver has gone on since. */
static const char stand[] =
    "SELECT"
    " (SELECT step FROM step ORDER BY step DESC, round DESC LIMIT 1) AS step,"
    " (SELECT round FROM step ORDER BY step DESC, round DESC LIMIT 1) AS round,"
    " (SELECT count(*) FROM task WHERE task LIKE '%map\\_%' ESCAPE '\\'"
    "  OR task LIKE '%reduce\\_%' ESCAPE '\\') AS done,"
    " (SELECT sum(maps + reduces) FROM step) AS tasks";

static uint32_t number_of(struct slice row, const char *name)
{
    int64_t v = val_get_int(row, name, 0);
    return v < 0 ? 0 : v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

static enum status read_stand(const char *path, struct checkpoint *made, struct err *e)
{
    struct history *h = NULL;
    struct buf rows = BUF_EMPTY;
    struct slice row = slice_of(NULL, 0);
    struct val_cursor c;
    enum status st = history_open(path, &h, e);
    if (st == ST_OK)
        st = history_query(h, stand, row, &rows, e);
    if (st == ST_OK && val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK) {
        made->step = number_of(row, "step");
        made->round = number_of(row, "round");
        made->done = (uint64_t)val_get_int(row, "done", 0);
        made->tasks = (uint64_t)val_get_int(row, "tasks", 0);
    }
    history_close(h);
    buf_free(&rows);
    return st;
}

static enum status put_in_place(const char *temporary, const char *path, bool durable, uint64_t *bytes,
                                struct err *e)
{
    struct stat info;
    enum status st = durable ? sys_fsync_file(temporary, "job_checkpoint.fsync", e) : ST_OK;
    if (st == ST_OK)
        st = sys_rename(temporary, path, "job_checkpoint.rename", e);
    if (st == ST_OK && durable)
        st = sys_fsync_parent(path, "job_checkpoint.fsync_dir", e);
    if (st == ST_OK && stat(path, &info) == 0)
        *bytes = (uint64_t)info.st_size;
    return st;
}

static enum status make_folder(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? sys_strdup(path) : NULL;
    if (!dir)
        return slash ? err_memory(e, "a path", strlen(path)) : ST_OK;
    dir[slash - path] = '\0';
    enum status st = sys_mkdir_all(dir, e);
    sys_free(dir);
    return st;
}

enum status checkpoint_make(const char *journal_path, const char *path, bool durable,
                            struct checkpoint *made, struct err *e)
{
    struct buf temporary = BUF_EMPTY;
    enum status st = buf_printf(&temporary, "%s.tmp", path);
    if (st == ST_OK)
        st = buf_terminate(&temporary);
    if (st != ST_OK)
        return err_memory(e, "a path", strlen(path));
    const char *name = (const char *)temporary.p;
    st = make_folder(path, e);
    if (st == ST_OK)
        st = sys_unlink(name, e); /* of one that was killed; SQLite writes no file that is there */
    failpoint("job_checkpoint.copy:before");
    if (st == ST_OK)
        st = copy_journal(journal_path, name, e);
    failpoint("job_checkpoint.copy:after");
    if (st == ST_OK)
        st = read_stand(name, made, e);
    if (st == ST_OK)
        st = put_in_place(name, path, durable, &made->bytes, e);
    if (st != ST_OK)
        (void)unlink(name);
    buf_free(&temporary);
    return st;
}

static bool is_kept(const struct checkpoint_list *list, uint32_t number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->kept[i].number == number)
            return true;
    return false;
}

/* What a kill left of one that was being made, and one that came to no row. */
static bool is_left(const void *list, const char *name)
{
    const char *rest;
    uint32_t number = number_in(name, &rest);
    return number > 0 && (strncmp(rest, ".db.tmp", 7) == 0 || /* and its journal */
                          (strcmp(rest, ".db") == 0 && !is_kept(list, number)));
}

void checkpoint_sweep(const char *dir, const struct checkpoint_list *list)
{
    sys_unlink_where(dir, is_left, list);
}

/* --- listing --- */

static const char *text_of(struct arena *arena, struct slice row, const char *name)
{
    struct slice s = slice_of(NULL, 0);
    (void)val_get_string(row, name, &s);
    return arena_strndup(arena, s.n ? (const char *)s.p : "", s.n);
}

/* A path that is not absolute is one in the job's folder, so that this can be moved. */
static const char *path_of(struct arena *arena, const char *job_dir, struct slice row)
{
    struct slice s = slice_of(NULL, 0);
    (void)val_get_string(row, "path", &s);
    if (s.n > 0 && s.p[0] == '/')
        return arena_strndup(arena, (const char *)s.p, s.n);
    size_t n = strlen(job_dir) + s.n + 2;
    char *path = arena_alloc(arena, n);
    if (path)
        (void)snprintf(path, n, "%s/%.*s", job_dir, (int)s.n, s.n ? (const char *)s.p : "");
    return path;
}


static enum status read_kept(struct checkpoint_list *list, const char *job_dir, struct slice row,
                             size_t i)
{
    struct checkpoint *c = &list->kept[i];
    *c = (struct checkpoint){
        .number = number_of(row, "number"),
        .time = val_get_int(row, "time", 0),
        .reason = text_of(&list->arena, row, "reason"),
        .path = path_of(&list->arena, job_dir, row),
        .bytes = (uint64_t)val_get_int(row, "bytes", 0),
        .step = number_of(row, "step"),
        .round = number_of(row, "round"),
        .done = (uint64_t)val_get_int(row, "done", 0),
        .tasks = (uint64_t)val_get_int(row, "tasks", 0),
    };
    if (c->number > list->last)
        list->last = c->number;
    return c->reason && c->path ? ST_OK : ST_MEMORY;
}

static enum status read_garbage(struct checkpoint_list *list, const char *job_dir, struct slice row,
                                size_t i)
{
    struct checkpoint_garbage *g = &list->garbage[i];
    g->path = path_of(&list->arena, job_dir, row);
    g->step = number_of(row, "step");
    g->round = number_of(row, "round");
    return g->path ? ST_OK : ST_MEMORY;
}

static enum status read_last(struct checkpoint_list *list, const char *job_dir, struct slice row,
                             size_t i)
{
    uint32_t last = number_of(row, "value");
    (void)job_dir;
    (void)i;
    if (last > list->last)
        list->last = last;
    return ST_OK;
}

struct query {
    const char *sql;
    enum status (*read)(struct checkpoint_list *list, const char *job_dir, struct slice row, size_t i);
    size_t element; /* of the array that is filled; 0: none */
};

static enum status make_array(struct checkpoint_list *list, const struct query *query, uint64_t n,
                              struct err *e)
{
    void *array = query->element ? arena_alloc(&list->arena, (size_t)n * query->element + 1) : NULL;
    if (query->element && !array)
        return err_memory(e, "the list of checkpoints", (size_t)n * query->element);
    if (query->read == read_kept) {
        list->kept = array;
        list->count = (size_t)n;
    } else if (query->read == read_garbage) {
        list->garbage = array;
        list->garbage_count = (size_t)n;
    }
    return ST_OK;
}

static enum status run_query(struct history *h, struct checkpoint_list *list, const char *job_dir,
                             const struct query *query, struct err *e)
{
    struct buf rows = BUF_EMPTY;
    struct slice row;
    struct val_cursor c;
    enum status st = history_query(h, query->sql, slice_of(NULL, 0), &rows, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&rows), &c) : 0;
    if (st == ST_OK)
        st = make_array(list, query, n, e);
    for (uint64_t i = 0; i < n && st == ST_OK && val_skip(&c, &row) == ST_OK; i++)
        if (query->read(list, job_dir, row, (size_t)i) != ST_OK)
            st = err_memory(e, "the list of checkpoints", (size_t)n);
    buf_free(&rows);
    return st;
}

static enum status read_list(const char *journal, const char *job_dir, struct checkpoint_list *out,
                             struct err *e)
{
    static const struct query queries[] = {
        { "SELECT * FROM checkpoint ORDER BY number", read_kept, sizeof(struct checkpoint) },
        { "SELECT * FROM garbage", read_garbage, sizeof(struct checkpoint_garbage) },
        { "SELECT value FROM job WHERE key = 'last_checkpoint'", read_last, 0 },
    };
    struct history *h = NULL;
    enum status st = history_open(journal, &h, e);
    for (size_t i = 0; i < sizeof queries / sizeof *queries && st == ST_OK; i++)
        st = run_query(h, out, job_dir, &queries[i], e);
    history_close(h);
    return st;
}

enum status checkpoint_list(const char *job_dir, struct checkpoint_list *out, struct err *e)
{
    struct buf path = BUF_EMPTY;
    *out = (struct checkpoint_list){ .arena = ARENA_EMPTY };
    enum status st = buf_printf(&path, "%s/journal.db", job_dir);
    if (st == ST_OK)
        st = buf_terminate(&path);
    st = st == ST_OK ? read_list((const char *)path.p, job_dir, out, e)
                     : err_memory(e, "a path", strlen(job_dir));
    buf_free(&path);
    if (st != ST_OK)
        checkpoint_list_free(out);
    return st;
}

void checkpoint_list_free(struct checkpoint_list *list)
{
    arena_free(&list->arena);
    *list = (struct checkpoint_list){ .arena = ARENA_EMPTY };
}

/* --- finding --- */

static enum status none_such(const struct checkpoint_list *list, const char *job_dir, uint32_t number,
                             struct err *e)
{
    struct buf there = BUF_EMPTY;
    for (size_t i = 0; i < list->count; i++)
        (void)buf_printf(&there, "%s%" PRIu32, i ? ", " : "", list->kept[i].number);
    (void)buf_terminate(&there);
    enum status st =
        list->count == 0
            ? err_set(e, ST_USAGE,
                      "%s has no checkpoint to go back to; if it is not complete, lmr resume %s without --from "
                      "goes on where it stands",
                      sys_name(job_dir), sys_name(job_dir))
            : err_set(e, ST_USAGE, "%s has no checkpoint %" PRIu32 "; those it has: %s (lmr checkpoints %s)",
                      sys_name(job_dir), number, there.p ? (const char *)there.p : "", sys_name(job_dir));
    buf_free(&there);
    return st;
}

/* The journal does not say; where it failed, what it says is kept in `e`. */
static enum status find_file(const char *job_dir, uint32_t number, struct buf *path, enum status failed)
{
    struct stat info;
    char dir[PATH_MAX];
    int n = snprintf(dir, sizeof dir, "%s/checkpoints", job_dir);
    if (n < 0 || (size_t)n >= sizeof dir || checkpoint_path(dir, number, path) != ST_OK)
        return failed;
    return stat((const char *)path->p, &info) == 0 ? ST_OK : failed;
}

enum status checkpoint_find(const char *job_dir, uint32_t number, struct buf *path, struct err *e)
{
    struct checkpoint_list list;
    const struct checkpoint *found = NULL;
    enum status st = checkpoint_list(job_dir, &list, e);
    if (st != ST_OK)
        return find_file(job_dir, number, path, st);
    for (size_t i = 0; i < list.count; i++)
        if (list.kept[i].number == number)
            found = &list.kept[i];
    path->n = 0;
    if (!found)
        st = none_such(&list, job_dir, number, e);
    else if (buf_append_str(path, found->path) != ST_OK || buf_terminate(path) != ST_OK)
        st = err_memory(e, "a path", strlen(found->path));
    checkpoint_list_free(&list);
    return st;
}
