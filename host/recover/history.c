#include "recover/history.h"

#include "base/sys.h"
#include "data/codec.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

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
                             damaged ? "; it is damaged, and the job can only be run again" : "");
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

/* A database that was left in WAL mode is read by way of files beside it, which SQLite makes when
 * they are not there. */
static enum status explain(struct history *h, struct err *e)
{
    if (sqlite3_errcode(h->db) != SQLITE_CANTOPEN && sqlite3_errcode(h->db) != SQLITE_READONLY)
        return refuse(h, e);
    return err_set(e, ST_USAGE,
                   "cannot read the journal %s: its folder must be readable and, for SQLite's "
                   "shared memory, writable; copy "
                   "the folder and name its parent with --state-dir",
                   h->path);
}

/* The transaction is never ended: closing does it. */
static enum status open_database(struct history *h, struct err *e)
{
    int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(h->path, &h->db, flags, NULL) != SQLITE_OK)
        return refuse(h, e);
    (void)sqlite3_busy_timeout(h->db, BUSY_MS);
    if (sqlite3_exec(h->db, "BEGIN; SELECT 1 FROM sqlite_master", NULL, NULL, NULL) == SQLITE_OK)
        return ST_OK;
    return explain(h, e);
}

enum status history_open(const char *path, struct history **out, struct err *e)
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
    enum status st = open_database(h, e);
    if (st == ST_OK)
        st = check_schema(h, e);
    if (st != ST_OK) {
        history_close(h);
        return st;
    }
    *out = h;
    return ST_OK;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    (void)sqlite3_close(h->db);
    sys_free(h->path);
    sys_free(h);
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
