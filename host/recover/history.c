#include "recover/history.h"

#include "base/sys.h"
#include "data/codec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Readers of a WAL wait for nobody but one who mends it after a kill. */
enum { BUSY_MS = 10000 };

struct history {
    sqlite3 *db;
    char *path;
};

/* --- failures --- */

static enum status refuse(const struct history *h, struct err *e)
{
    int code = h->db ? sqlite3_errcode(h->db) : SQLITE_NOMEM;
    if (code == SQLITE_NOMEM)
        return err_memory(e, h->path, sizeof *h);
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    bool unusable = damaged || code == SQLITE_IOERR;
    enum status st = err_set(e, unusable ? ST_CORRUPT : ST_USAGE, "cannot read the journal %s: %s%s",
                             h->path, sqlite3_errmsg(h->db),
                             damaged ? "; it is damaged" : "");
    err_at(e, h->path, -1, -1);
    return st;
}

/* --- rows --- */

static enum status put_column(sqlite3_stmt *s, int column, struct val_map *row)
{
    const char *name = sqlite3_column_name(s, column);
    const void *bytes = NULL;
    if (!name)
        return ST_MEMORY;
    switch (sqlite3_column_type(s, column)) {
    case SQLITE_INTEGER:
        val_map_int(row, name, sqlite3_column_int64(s, column));
        break;
    case SQLITE_FLOAT:
        val_map_float(row, name, sqlite3_column_double(s, column));
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        bytes = sqlite3_column_blob(s, column);
        val_map_string(row, name, slice_of(bytes, (size_t)sqlite3_column_bytes(s, column)));
        break;
    default:
        break;
    }
    return ST_OK;
}

static enum status put_row(sqlite3_stmt *s, struct buf *out)
{
    struct val_map row = VAL_MAP_EMPTY;
    enum status st = ST_OK;
    for (int i = 0; i < sqlite3_column_count(s) && st == ST_OK; i++)
        st = put_column(s, i, &row);
    enum status end = val_map_end(&row, out);
    return st == ST_OK ? end : st;
}

/* An array's count comes first, so rows are kept until it is known. */
static enum status put_rows(struct history *h, sqlite3_stmt *s, struct buf *rows, struct err *e)
{
    struct buf all = BUF_EMPTY;
    uint64_t count = 0;
    enum status st = ST_OK;
    int code;
    while (st == ST_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        st = put_row(s, &all);
        count++;
    }
    if (st == ST_OK && code != SQLITE_DONE) {
        buf_free(&all);
        return refuse(h, e);
    }
    if (st == ST_OK)
        st = val_put_array(rows, count);
    if (st == ST_OK)
        st = buf_append_slice(rows, buf_slice(&all));
    buf_free(&all);
    return st == ST_OK ? ST_OK : err_memory(e, "rows of the journal", (size_t)count);
}

static int bind_scalar(sqlite3_stmt *s, int i, const struct scalar *v)
{
    switch (v->kind) {
    case SC_INT:
        return sqlite3_bind_int64(s, i, v->i);
    case SC_FLOAT:
        return sqlite3_bind_double(s, i, v->f);
    case SC_STRING:
        return sqlite3_bind_text64(s, i, (const char *)v->s.p, v->s.n, SQLITE_TRANSIENT,
                                   SQLITE_UTF8);
    case SC_FALSE:
    case SC_TRUE:
        return sqlite3_bind_int(s, i, v->kind == SC_TRUE);
    default:
        return sqlite3_bind_null(s, i);
    }
}

static int bind_all(sqlite3_stmt *s, struct slice params)
{
    struct val_cursor c;
    struct scalar v;
    int code = SQLITE_OK;
    uint64_t n = val_array(params, &c);
    for (uint64_t i = 0; i < n && code == SQLITE_OK && val_next(&c, &v) == ST_OK; i++)
        code = bind_scalar(s, (int)i + 1, &v);
    return code;
}

enum status history_query(struct history *h, const char *sql, struct slice params, struct buf *rows,
                          struct err *e)
{
    sqlite3_stmt *s = NULL;
    enum status st;
    if (sqlite3_prepare_v2(h->db, sql, -1, &s, NULL) != SQLITE_OK ||
        bind_all(s, params) != SQLITE_OK)
        st = refuse(h, e);
    else
        st = put_rows(h, s, rows, e);
    (void)sqlite3_finalize(s);
    return st;
}

/* --- opening --- */

/* One number or text, of a query that gives one row at most. */
static bool one_int(struct history *h, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    bool there =
        sqlite3_prepare_v2(h->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
    if (there)
        *out = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return there;
}

static void writer_version(struct history *h, char *out, size_t cap)
{
    sqlite3_stmt *s = NULL;
    const char *sql = "SELECT value FROM job WHERE key = 'lmr_version'";
    (void)snprintf(out, cap, "another version of lmr");
    if (sqlite3_prepare_v2(h->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        (void)snprintf(out, cap, "lmr %s", (const char *)sqlite3_column_text(s, 0));
    (void)sqlite3_finalize(s);
}

static enum status check_schema(struct history *h, struct err *e)
{
    char writer[64];
    int64_t version = 0;
    if (!one_int(h, "PRAGMA user_version", &version))
        return refuse(h, e);
    if (version == HISTORY_SCHEMA)
        return ST_OK;
    if (version == 0)
        return err_set(e, ST_USAGE,
                       "the journal %s is empty: its driver ended before it had a plan", h->path);
    writer_version(h, writer, sizeof writer);
    return err_set(e, ST_USAGE,
                   "the journal %s was written by %s with tables of version %" PRId64
                   ", and this lmr (%s) reads version %d; "
                   "read it with the lmr that wrote it",
                   h->path, writer, version, LMR_VERSION, HISTORY_SCHEMA);
}

/* Says why neither way was open. */
static enum status explain(struct history *h, struct err *e)
{
    if (sqlite3_errcode(h->db) != SQLITE_CANTOPEN && sqlite3_errcode(h->db) != SQLITE_READONLY)
        return refuse(h, e);
    return err_set(e, ST_USAGE,
                   "cannot read the journal %s: its folder must be readable; copy the folder and name its "
                   "parent with --state-dir",
                   h->path);
}

/* The transaction is never ended: closing does it. */
static bool open_as(struct history *h, const char *name, int more_flags)
{
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | more_flags;
    (void)sqlite3_close(h->db);
    h->db = NULL;
    if (sqlite3_open_v2(name, &h->db, flags, NULL) != SQLITE_OK)
        return false;
    (void)sqlite3_busy_timeout(h->db, BUSY_MS);
    return sqlite3_exec(h->db, "BEGIN; SELECT 1 FROM sqlite_master", NULL, NULL, NULL) == SQLITE_OK;
}

/* --- without a trace --- */

/* "file:PATH?immutable=1": SQLite neither looks for files beside it nor makes them. */
static enum status open_immutable(struct history *h, struct err *e)
{
    struct buf name = BUF_EMPTY;
    enum status st = buf_append_str(&name, "file:");
    for (const char *c = h->path; *c && st == ST_OK; c++)
        st = strchr("%?#", *c) ? buf_printf(&name, "%%%02x", (unsigned)*c)
                               : buf_append_byte(&name, (uint8_t)*c);
    if (st == ST_OK)
        st = buf_append_str(&name, "?immutable=1");
    if (st != ST_OK || buf_terminate(&name) != ST_OK)
        st = err_memory(e, h->path, name.n);
    else if (!open_as(h, (const char *)name.p, SQLITE_OPEN_URI))
        st = explain(h, e);
    buf_free(&name);
    return st;
}

/* As long as it is now: a log may grow meanwhile. */
static enum status copy_file(const char *from, const char *to, struct err *e)
{
    struct stat info;
    int out = -1;
    if (stat(from, &info) != 0)
        return err_sys(e, errno, "read", from);
    enum status st = sys_create(to, &out, e);
    if (st == ST_OK)
        st = sys_copy(from, (uint64_t)info.st_size, out, to, "history.copy", e);
    if (out >= 0)
        (void)close(out);
    return st;
}

enum { COPY_PATH_MAX = 512 };

/* SQLite has all three open by then. */
static void remove_copy(const char *dir)
{
    static const char *const names[] = { "journal.db-shm", "journal.db-wal", "journal.db" };
    char path[COPY_PATH_MAX + 32];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)sys_unlink(path, NULL);
    }
    (void)rmdir(dir);
}

static enum status open_copy(struct history *h, const char *wal, struct err *e)
{
    const char *base = getenv("TMPDIR");
    char dir[COPY_PATH_MAX], db_copy[COPY_PATH_MAX + 32], wal_copy[COPY_PATH_MAX + 32];
    int n = snprintf(dir, sizeof dir, "%s/lmr-read-XXXXXX", base && *base ? base : "/tmp");
    if (n < 0 || (size_t)n >= sizeof dir || !mkdtemp(dir))
        return err_sys(e, errno, "make a folder for a copy of the journal,", dir);
    (void)snprintf(db_copy, sizeof db_copy, "%s/journal.db", dir);
    (void)snprintf(wal_copy, sizeof wal_copy, "%s/journal.db-wal", dir);
    enum status st = copy_file(h->path, db_copy, e);
    if (st == ST_OK)
        st = copy_file(wal, wal_copy, e);
    if (st == ST_OK && !open_as(h, db_copy, 0))
        st = explain(h, e);
    remove_copy(dir);
    return st;
}

static enum status open_still(struct history *h, struct err *e)
{
    struct buf wal = BUF_EMPTY;
    struct stat info;
    enum status st = buf_printf(&wal, "%s-wal", h->path);
    if (st != ST_OK || buf_terminate(&wal) != ST_OK)
        st = err_memory(e, h->path, wal.n);
    else if (stat((const char *)wal.p, &info) == 0 && info.st_size > 0)
        st = open_copy(h, (const char *)wal.p, e);
    else
        st = open_immutable(h, e);
    buf_free(&wal);
    return st;
}

/* A database that was left in WAL mode is read by way of files beside it, which SQLite makes when
 * they are not there. */
static enum status open_shared(struct history *h, struct err *e)
{
    if (open_as(h, h->path, 0))
        return ST_OK;
    int code = h->db ? sqlite3_errcode(h->db) : SQLITE_NOMEM;
    return code == SQLITE_CANTOPEN || code == SQLITE_READONLY ? open_still(h, e) : refuse(h, e);
}

static enum status open_by(enum status (*open)(struct history *h, struct err *e), const char *path,
                           struct history **out, struct err *e)
{
    struct stat info;
    *out = NULL;
    if (stat(path, &info) != 0) {
        (void)err_sys(e, errno, "read", path);
        return ST_USAGE;
    }
    struct history *h = sys_calloc(1, sizeof *h);
    if (!h || !(h->path = sys_strdup(path))) {
        sys_free(h);
        return err_memory(e, "a journal", sizeof *h);
    }
    enum status st = open(h, e);
    if (st == ST_OK)
        st = check_schema(h, e);
    if (st != ST_OK) {
        history_close(h);
        return st;
    }
    *out = h;
    return ST_OK;
}

enum status history_open(const char *path, struct history **out, struct err *e)
{
    return open_by(open_shared, path, out, e);
}

enum status history_open_still(const char *path, struct history **out, struct err *e)
{
    return open_by(open_still, path, out, e);
}

void history_close(struct history *h)
{
    if (!h)
        return;
    (void)sqlite3_close(h->db);
    sys_free(h->path);
    sys_free(h);
}

bool history_is_over(const char *state)
{
    return strcmp(state, "complete") == 0 || strcmp(state, "partial") == 0;
}

/* --- who writes --- */

enum history_writer history_writer(const char *path, long pid)
{
    char name[512];
    struct stat journal, file;
    enum history_writer found = WRITER_GONE;
    const struct dirent *entry;
    if (pid <= 0 || stat(path, &journal) != 0)
        return WRITER_UNKNOWN;
    (void)snprintf(name, sizeof name, "/proc/%ld/fd", pid);
    DIR *d = opendir(name);
    if (!d)
        return errno == ENOENT ? WRITER_GONE : WRITER_UNKNOWN;
    while (found == WRITER_GONE && (entry = readdir(d))) {
        (void)snprintf(name, sizeof name, "/proc/%ld/fd/%s", pid, entry->d_name);
        if (stat(name, &file) == 0 && file.st_dev == journal.st_dev &&
            file.st_ino == journal.st_ino)
            found = WRITER_ALIVE;
    }
    (void)closedir(d);
    return found;
}
