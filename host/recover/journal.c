#include "recover/journal.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "recover/journal_internal.h"
#include "recover/journal_points.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Nobody else writes, but a backup or a curious reader may lock the file for a moment. */
enum { BUSY_MS = 20000 };

/* --- open, flush, close --- */

/* What the first transaction holds (schema and plan) need not wait for the disk: the first commit
 * of a task syncs the same WAL, and comes after journal_settle. */
static void end_first_transaction(struct journal *j)
{
    j->is_new = false;
    j->unsynced = false;
    journal_execute(j, "PRAGMA synchronous = NORMAL"); /* journal_flush syncs itself */
}

/* By SQLite's own handle: another descriptor of the file would drop its locks when closed. */
static void sync_file(struct journal *j, int which)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(j->db, "main", which, &file) != SQLITE_OK || !file->pMethods ||
        file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK)
        return;
    (void)err_sys(&j->failure, errno, "sync the journal", j->path);
}

/* An empty database file beside a WAL would make SQLite throw the WAL away. */
void journal_settle(struct journal *j)
{
    if (j->is_synced || j->is_new || !j->durable || j->failure.status != ST_OK)
        return;
    j->is_synced = true;
    failpoint("journal.settle:before");
    sync_file(j, SQLITE_FCNTL_FILE_POINTER);
    failpoint("journal.settle:after");
}

static enum status outcome(const struct journal *j, struct err *e)
{
    if (j->failure.status != ST_OK && e)
        *e = j->failure;
    return j->failure.status;
}

enum status journal_write(struct journal *j, struct err *e)
{
    if ((j->open || j->waiting.n > 0) && !journal_is_ours(j))
        return outcome(j, e);
    journal_write_running(j);
    if (j->open && j->failure.status == ST_OK) {
        sqlite3_stmt *s = journal_prepared(j, COMMIT);
        failpoint("journal.commit:before");
        if (s)
            journal_run(j, s);
        failpoint("journal.commit:after");
        j->open = false;
        if (j->is_new)
            end_first_transaction(j);
    }
    return outcome(j, e);
}

enum status journal_flush(struct journal *j, struct err *e)
{
    if (journal_write(j, e) != ST_OK || !j->unsynced || !j->durable || j->is_last)
        return j->failure.status;
    journal_settle(j);
    failpoint("journal.sync:before");
    sync_file(j, SQLITE_FCNTL_JOURNAL_POINTER);
    failpoint("journal.sync:after");
    j->unsynced = false;
    return outcome(j, e);
}

void journal_last(struct journal *j)
{
    CHECK(!j->open);
    j->is_last = true;
}

static void set_up(struct journal *j)
{
    journal_execute(j, "PRAGMA synchronous = OFF");
    journal_execute(j, "PRAGMA journal_mode = WAL");
    journal_execute(j, "BEGIN");
    j->open = j->failure.status == ST_OK;
    journal_execute(j, journal_schema);
}

/* A journal whose file is open; there the first failure shows. NULL: memory is out. */
static struct journal *open_file(const char *path, int flags, bool durable)
{
    struct journal *j = sys_calloc(1, sizeof *j);
    if (!j || !(j->path = sys_strdup(path))) {
        sys_free(j);
        return NULL;
    }
    err_clear(&j->failure);
    journal_points();
    if (sqlite3_open_v2(path, &j->db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        journal_fail(j);
    else
        (void)sqlite3_busy_timeout(j->db, BUSY_MS);
    j->durable = durable;
    return j;
}

/* What could not be opened is closed. */
static enum status opened(struct journal *j, struct journal **out, struct err *e)
{
    enum status st = j->failure.status;
    *out = j;
    if (st == ST_OK)
        return st;
    if (e)
        *e = j->failure;
    (void)journal_close(j, NULL);
    *out = NULL;
    return st;
}

enum status journal_create(const char *path, bool durable, struct journal **out, struct err *e)
{
    struct journal *j = open_file(path, SQLITE_OPEN_CREATE, durable);
    if (!j)
        return err_memory(e, "the journal", sizeof *j);
    j->is_new = true;
    failpoint("journal.create:before");
    set_up(j);
    failpoint("journal.create:after");
    return opened(j, out, e);
}

static void check_schema(struct journal *j)
{
    sqlite3_stmt *s = NULL;
    char version[16] = "";
    if (sqlite3_prepare_v2(j->db, "PRAGMA user_version", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        journal_fail(j);
    else
        (void)snprintf(version, sizeof version, "%d", sqlite3_column_int(s, 0));
    (void)sqlite3_finalize(s);
    if (j->failure.status == ST_OK && strcmp(version, JOURNAL_SCHEMA) != 0)
        (void)err_set(&j->failure, ST_USAGE,
                      "the journal %s has tables of version %s, and this lmr (" LMR_VERSION
                      ") writes version " JOURNAL_SCHEMA "; go on with the lmr that wrote it",
                      j->path, version);
}

enum status journal_open(const char *path, bool durable, struct journal **out, struct err *e)
{
    struct journal *j = open_file(path, 0, durable);
    if (!j)
        return err_memory(e, "the journal", sizeof *j);
    if (j->failure.status == ST_OK)
        check_schema(j);
    end_first_transaction(j);
    journal_end_left(j);
    return opened(j, out, e);
}

void journal_guard(struct journal *j, bool (*holds)(void *context), void *context)
{
    j->holds = holds;
    j->holds_context = context;
}

static void close_file(struct journal *j)
{
    for (int i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(j->prepared[i]);
    failpoint("journal.close:before");
    (void)sqlite3_close(j->db);
    buf_free(&j->waiting);
    failpoint("journal.close:after");
    sys_free(j->path);
    sys_free(j);
}

void journal_abandon(struct journal *j)
{
    if (!j)
        return;
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    close_file(j);
}

enum status journal_close(struct journal *j, struct err *e)
{
    if (!j)
        return ST_OK;
    enum status st = journal_flush(j, e);
    close_file(j);
    return st;
}
