/* checkpoint_back.c: going back to a checkpoint. A file JOBDIR/going-back, "N K", is there from the first
 * change to the last; each step looks whether it is done, so that it can be taken again after a kill:
 *
 *   1. journal.db.new      the checkpoint, with what the newer journal knows of checkpoints
 *   2. aside-K/journal.db  the journal as it was
 *   3. journal.db          the new one is renamed to it
 *   4. aside-K/…           files and later checkpoints */
#include "recover/checkpoint.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "data/codec.h"
#include "recover/attempt_file.h"
#include "recover/history.h"
#include "recover/sqlite_full.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MARK_MAX = 64, LOCKED_MS = 20000 };

struct back {
    const char *job_dir;
    uint32_t number, aside;
    struct checkpoint_back *told;
};

/* "DIR/NAME" on the stack of the caller: paths longer than that cannot be opened anyway. */
struct path {
    char text[PATH_MAX];
};

static struct path join(const char *dir, const char *name)
{
    struct path p;
    int n = snprintf(p.text, sizeof p.text, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof p.text)
        p.text[0] = '\0';
    return p;
}

static struct path aside_in(const struct back *b, const char *dir)
{
    char name[32];
    (void)snprintf(name, sizeof name, "aside-%" PRIu32, b->aside);
    return join(dir, name);
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* --- 1. the new journal --- */

static enum status cannot_write(sqlite3 *db, const char *path, struct err *e)
{
    enum status st = err_set(e, sqlite_was_full(db) ? ST_DISK_FULL : ST_CRASH, "cannot write %s: %s", path,
                             db ? sqlite3_errmsg(db) : "out of memory");
    err_at(e, path, -1, -1);
    return st;
}

/* Which checkpoints there are is known to the newer journal alone. */
static const char into_new[] =
    "ATTACH ?1 AS newer";
static const char take_over[] =
    "BEGIN;"
    "DELETE FROM checkpoint;"
    "INSERT INTO checkpoint SELECT * FROM newer.checkpoint WHERE number <= (SELECT n FROM back);"
    "INSERT OR REPLACE INTO job SELECT * FROM newer.job WHERE key IN ('last_checkpoint', 'checkpoint_dir');"
    "DROP TABLE back;"
    "COMMIT;"
    "DETACH newer;"
    "PRAGMA journal_mode = WAL;";

static int run_bound(sqlite3 *db, const char *sql, const char *text, int64_t number)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (code == SQLITE_OK && text)
        code = sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC);
    else if (code == SQLITE_OK)
        code = sqlite3_bind_int64(s, 1, number);
    if (code == SQLITE_OK)
        code = sqlite3_step(s) == SQLITE_DONE ? SQLITE_OK : SQLITE_ERROR;
    (void)sqlite3_finalize(s);
    return code;
}

static bool write_event(sqlite3 *db, const struct back *b)
{
    char text[160];
    (void)snprintf(text, sizeof text, "back to checkpoint %" PRIu32 "; what came after it is in aside-%" PRIu32,
                   b->number, b->aside);
    sqlite3_stmt *s = NULL;
    bool done = sqlite3_prepare_v2(db, "INSERT INTO event VALUES (?, 'resume --from', ?)", -1, &s, NULL) ==
                    SQLITE_OK &&
                sqlite3_bind_int64(s, 1, sys_wall_clock()) == SQLITE_OK &&
                sqlite3_bind_text(s, 2, text, -1, SQLITE_STATIC) == SQLITE_OK &&
                sqlite3_step(s) == SQLITE_DONE;
    (void)sqlite3_finalize(s);
    return done;
}

/* The newer journal is damaged: what is known is that this checkpoint is there, and which numbers were used. */
static enum status patch_alone(const struct back *b, const char *path, struct err *e)
{
    struct path dir = join(b->job_dir, "checkpoints");
    uint32_t newest = checkpoint_newest(dir.text, UINT32_MAX), last = newest > b->number ? newest : b->number;
    sqlite3 *db = NULL;
    char row[256];
    enum status st = ST_OK;
    (void)snprintf(row, sizeof row,
                   "INSERT OR REPLACE INTO checkpoint (number, time, reason, path) VALUES (?, %" PRId64
                   ", 'found', 'checkpoints/%06" PRIu32 ".db')",
                   sys_wall_clock(), b->number);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        run_bound(db, row, NULL, b->number) != SQLITE_OK ||
        run_bound(db, "INSERT OR REPLACE INTO job VALUES ('last_checkpoint', ?)", NULL, last) != SQLITE_OK ||
        !write_event(db, b) || sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL) != SQLITE_OK)
        st = cannot_write(db, path, e);
    if (sqlite3_close(db) != SQLITE_OK && st == ST_OK)
        st = err_set(e, ST_CRASH, "cannot close %s", path);
    return st;
}

static enum status patch(const struct back *b, const char *path, const char *newer, struct err *e)
{
    sqlite3 *db = NULL;
    enum status st = ST_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, LOCKED_MS) != SQLITE_OK || run_bound(db, into_new, newer, 0) != SQLITE_OK ||
        sqlite3_exec(db, "CREATE TEMP TABLE back (n)", NULL, NULL, NULL) != SQLITE_OK ||
        run_bound(db, "INSERT INTO back VALUES (?)", NULL, b->number) != SQLITE_OK ||
        sqlite3_exec(db, take_over, NULL, NULL, NULL) != SQLITE_OK || !write_event(db, b))
        st = cannot_write(db, path, e);
    if (sqlite3_close(db) != SQLITE_OK && st == ST_OK)
        st = err_set(e, ST_CRASH, "cannot close %s", path);
    return st;
}

/* One that is damaged is refused before anything is changed. */
static enum status check_copy(const struct back *b, const char *path, struct err *e)
{
    struct history *h = NULL;
    struct buf rows = BUF_EMPTY;
    struct slice row = slice_of(NULL, 0);
    struct val_cursor c;
    char said[64] = "";
    enum status st = history_open(path, &h, e);
    if (st == ST_OK)
        st = history_query(h, "PRAGMA quick_check(1)", slice_of(NULL, 0), &rows, e);
    if (st == ST_OK && val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK)
        (void)val_get_cstr(row, "quick_check", said, sizeof said);
    history_close(h);
    buf_free(&rows);
    if (st == ST_OK && strcmp(said, "ok") == 0)
        return ST_OK;
    if (st == ST_USAGE || st == ST_MEMORY)
        return st;
    return err_set(e, ST_CORRUPT,
                   "checkpoint %" PRIu32 " is damaged (%s); nothing was changed: go back to another one, or "
                   "resume without --from",
                   b->number, path);
}

static bool is_readable(const struct back *b)
{
    struct checkpoint_list list;
    bool readable = checkpoint_list(b->job_dir, &list, NULL) == ST_OK;
    checkpoint_list_free(&list);
    return readable;
}

static enum status copy_bytes(const char *from, const char *to, struct err *e)
{
    struct buf content = BUF_EMPTY;
    enum status st = sys_read_file(from, SIZE_MAX, &content, e);
    if (st == ST_OK)
        st = sys_write_file(to, buf_slice(&content), true, "back.copy", e);
    buf_free(&content);
    return st;
}

static void remove_with_log(const char *path)
{
    static const char *const endings[] = { "", "-wal", "-shm", "-journal" };
    char name[PATH_MAX + 16];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)sys_unlink(name, NULL);
    }
}

static enum status make_new(const struct back *b, struct err *e)
{
    struct path newer = join(b->job_dir, "journal.db"), made = join(b->job_dir, "journal.db.new");
    struct path draft = join(b->job_dir, "journal.db.draft");
    struct buf checkpoint = BUF_EMPTY;
    remove_with_log(draft.text);
    enum status st = checkpoint_find(b->job_dir, b->number, &checkpoint, e);
    if (st == ST_OK)
        st = copy_bytes((const char *)checkpoint.p, draft.text, e);
    if (st == ST_OK)
        st = is_readable(b) ? patch(b, draft.text, newer.text, e) : patch_alone(b, draft.text, e);
    if (st == ST_OK)
        st = sys_fsync_file(draft.text, "back.fsync", e);
    if (st == ST_OK)
        st = sys_rename(draft.text, made.text, "back.new", e);
    if (st == ST_OK)
        st = sys_fsync_dir(b->job_dir, "back.fsync_dir", e);
    buf_free(&checkpoint);
    return st;
}

/* --- 2., 3. the journals change places --- */

static enum status move(const char *from, const char *to, struct err *e)
{
    return exists(from) ? sys_rename(from, to, "back.move", e) : ST_OK;
}

/* Under both names, so that there is a journal at any moment; a copy where no links can be made. */
static enum status link_journal(const char *db, const char *old, struct err *e)
{
    failpoint("back.link:before");
    enum status st = link(db, old) == 0 ? ST_OK : copy_bytes(db, old, e);
    failpoint("back.link:after");
    return st;
}

/* A log that a reader has kept from being brought into the file stays with it. */
static enum status move_log(const struct back *b, const char *aside, struct err *e)
{
    struct path log = join(b->job_dir, "journal.db-wal"), to = join(aside, "journal.db-wal");
    struct path shared = join(b->job_dir, "journal.db-shm");
    enum status st = move(log.text, to.text, e);
    if (st == ST_OK)
        st = sys_unlink(shared.text, e);
    if (st == ST_OK)
        st = sys_fsync_dir(aside, "back.fsync_aside", e);
    return st == ST_OK ? sys_fsync_dir(b->job_dir, "back.fsync_dir", e) : st;
}

static enum status change_journals(const struct back *b, struct err *e)
{
    struct path aside = aside_in(b, b->job_dir), old = join(aside.text, "journal.db");
    struct path made = join(b->job_dir, "journal.db.new"), db = join(b->job_dir, "journal.db");
    enum status st = sys_mkdir_all(aside.text, e);
    if (st == ST_OK && !exists(old.text) && !exists(made.text))
        st = make_new(b, e);
    if (st == ST_OK && !exists(old.text))
        st = link_journal(db.text, old.text, e);
    if (st == ST_OK && exists(made.text))
        st = move_log(b, aside.text, e);
    if (st == ST_OK)
        st = move(made.text, db.text, e);
    return st == ST_OK ? sys_fsync_dir(b->job_dir, "back.fsync_dir", e) : st;
}

/* --- 4. what came later --- */

/* The names of files that the checkpoint holds on to: attempts of a job have names of their own. */
struct names {
    struct arena arena;
    const char **sorted;
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_named(const struct names *names, const char *name)
{
    return names->count > 0 &&
           bsearch(&name, names->sorted, names->count, sizeof *names->sorted, compare_names) != NULL;
}

static enum status read_names(struct history *h, struct names *out, struct err *e)
{
    struct buf rows = BUF_EMPTY;
    struct slice row, path;
    struct val_cursor c;
    enum status st = history_query(h, "SELECT path FROM file UNION SELECT path FROM garbage",
                                   slice_of(NULL, 0), &rows, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&rows), &c) : 0;
    out->sorted = arena_alloc(&out->arena, (size_t)(n + 1) * sizeof *out->sorted);
    if (!out->sorted) {
        buf_free(&rows);
        return err_memory(e, "a list of files", (size_t)n);
    }
    for (uint64_t i = 0; i < n && st == ST_OK && val_skip(&c, &row) == ST_OK; i++) {
        if (!val_get_string(row, "path", &path))
            continue;
        const char *text = path.n ? arena_strndup(&out->arena, (const char *)path.p, path.n) : "";
        if (!text)
            st = err_memory(e, "a path", path.n);
        else
            out->sorted[out->count++] = sys_name(text);
    }
    if (st == ST_OK && out->count > 0)
        qsort(out->sorted, out->count, sizeof *out->sorted, compare_names);
    buf_free(&rows);
    return st;
}

static bool goes(const struct back *b, const struct names *names, const char *name)
{
    struct attempt_file file;
    return names ? attempt_file_read(name, &file) && !is_named(names, name) : checkpoint_number(name) > b->number;
}

static enum status move_one(const struct back *b, const char *dir, const char *name, struct err *e)
{
    struct path aside = aside_in(b, dir), from = join(dir, name), to = join(aside.text, name);
    struct stat info;
    if (lstat(from.text, &info) != 0 || !S_ISREG(info.st_mode))
        return ST_OK;
    enum status st = sys_mkdir_all(aside.text, e);
    if (st == ST_OK)
        st = move(from.text, to.text, e);
    b->told->files += st == ST_OK;
    return st;
}

/* Moves out of a folder what the checkpoint does not name, or (names: NULL) later checkpoints. */
static enum status clear_folder(const struct back *b, const char *dir, const struct names *names,
                                struct err *e)
{
    DIR *d = opendir(dir);
    enum status st = ST_OK;
    const struct dirent *entry;
    uint64_t before = b->told->files;
    while (d && st == ST_OK && (entry = readdir(d)))
        if (goes(b, names, entry->d_name))
            st = move_one(b, dir, entry->d_name, e);
    if (d)
        (void)closedir(d);
    if (st == ST_OK && b->told->files > before) {
        struct path aside = aside_in(b, dir);
        st = sys_fsync_dir(aside.text, "back.fsync_aside", e);
        if (st == ST_OK)
            st = sys_fsync_dir(dir, "back.fsync_dir", e);
    }
    return st;
}

/* The folder that a journal names is the job's own, unless it was moved or copied since: then what it names
 * elsewhere may be its original's, and is left alone. */
static bool is_at_home(const struct back *b, struct history *h)
{
    struct buf rows = BUF_EMPTY;
    struct slice row;
    struct val_cursor c;
    struct stat here, there;
    char dir[PATH_MAX];
    bool home = true;
    if (history_query(h, "SELECT value FROM job WHERE key = 'job_dir'", slice_of(NULL, 0), &rows, NULL) == ST_OK &&
        val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK &&
        val_get_cstr(row, "value", dir, sizeof dir))
        home = stat(dir, &there) == 0 && stat(b->job_dir, &here) == 0 && here.st_dev == there.st_dev &&
               here.st_ino == there.st_ino;
    buf_free(&rows);
    return home;
}

static enum status clear_named(const struct back *b, struct history *h, const struct names *names,
                               struct err *e)
{
    struct buf rows = BUF_EMPTY;
    struct slice row;
    struct val_cursor c;
    char dir[PATH_MAX];
    enum status st = history_query(
        h, "SELECT DISTINCT value FROM job WHERE key IN ('stage_dir', 'work_dir')", slice_of(NULL, 0), &rows, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&rows), &c) : 0;
    bool home = is_at_home(b, h);
    for (uint64_t i = 0; i < n && home && st == ST_OK && val_skip(&c, &row) == ST_OK; i++)
        if (val_get_cstr(row, "value", dir, sizeof dir))
            st = clear_folder(b, dir, names, e);
    buf_free(&rows);
    /* These it has wherever it was moved to. */
    struct path work = join(b->job_dir, "work"), quarantine = join(b->job_dir, "quarantine");
    if (st == ST_OK)
        st = clear_folder(b, work.text, names, e);
    return st == ST_OK ? clear_folder(b, quarantine.text, names, e) : st;
}

static enum status clear_checkpoints(const struct back *b, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = checkpoint_find(b->job_dir, b->number, &path, e);
    char *slash = st == ST_OK ? strrchr((char *)path.p, '/') : NULL;
    if (slash) {
        *slash = '\0';
        st = clear_folder(b, (const char *)path.p, NULL, e);
    }
    buf_free(&path);
    return st;
}

static enum status set_aside(const struct back *b, struct err *e)
{
    struct path db = join(b->job_dir, "journal.db");
    struct names names = { .arena = ARENA_EMPTY };
    struct history *h = NULL;
    enum status st = history_open(db.text, &h, e);
    if (st == ST_OK)
        st = read_names(h, &names, e);
    if (st == ST_OK)
        st = clear_named(b, h, &names, e);
    history_close(h);
    arena_free(&names.arena);
    return st == ST_OK ? clear_checkpoints(b, e) : st;
}

/* --- the whole --- */

static enum status carry_through(const struct back *b, struct err *e)
{
    struct path mark = join(b->job_dir, "going-back"), aside = aside_in(b, b->job_dir);
    b->told->number = b->number;
    b->told->aside = b->aside;
    (void)snprintf(b->told->folder, sizeof b->told->folder, "%s", aside.text);
    enum status st = change_journals(b, e);
    if (st == ST_OK)
        st = set_aside(b, e);
    if (st == ST_OK)
        st = sys_unlink(mark.text, e);
    return st == ST_OK ? sys_fsync_dir(b->job_dir, "back.fsync_dir", e) : st;
}

/* What a killed one had begun; false: nothing. */
static bool read_mark(struct back *b)
{
    struct path mark = join(b->job_dir, "going-back");
    struct buf text = BUF_EMPTY;
    bool there = exists(mark.text) && sys_read_file(mark.text, MARK_MAX, &text, NULL) == ST_OK &&
                 buf_terminate(&text) == ST_OK;
    char *end = there ? (char *)text.p : NULL;
    b->number = there ? (uint32_t)strtoul(end, &end, 10) : 0;
    b->aside = there ? (uint32_t)strtoul(end, &end, 10) : 0;
    buf_free(&text);
    return b->number > 0 && b->aside > 0;
}

static enum status write_mark(const struct back *b, struct err *e)
{
    struct path mark = join(b->job_dir, "going-back");
    char text[MARK_MAX];
    int n = snprintf(text, sizeof text, "%" PRIu32 " %" PRIu32 "\n", b->number, b->aside);
    return sys_write_file(mark.text, slice_of((const uint8_t *)text, (size_t)n), true, "back.mark", e);
}

/* A journal that was cut to nothing, or whose log was: SQLite takes it for a new one. */
static bool has_nothing(const char *db)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *s = NULL;
    bool nothing = sqlite3_open_v2(db, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(connection, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK &&
                   sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int64(s, 0) == 0;
    (void)sqlite3_finalize(s);
    (void)sqlite3_close(connection);
    return nothing;
}

/* A result that was published, or is being, has taken the files away. */
static enum status check_state(const struct back *b, struct err *e)
{
    struct path db = join(b->job_dir, "journal.db");
    const char *id = sys_name(b->job_dir);
    struct buf rows = BUF_EMPTY;
    struct slice row = slice_of(NULL, 0);
    struct val_cursor c;
    char state[32] = "";
    struct history *h = NULL;
    enum status st = history_open(db.text, &h, e);
    if (st == ST_OK)
        st = history_query(h, "SELECT value FROM job WHERE key = 'state'", slice_of(NULL, 0), &rows, e);
    if (st == ST_OK && val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK)
        (void)val_get_cstr(row, "value", state, sizeof state);
    history_close(h);
    buf_free(&rows);
    if (st == ST_CORRUPT || (st == ST_USAGE && has_nothing(db.text)))
        return ST_OK; /* the checkpoint is to help where it is damaged */
    if (strcmp(state, "publishing") == 0)
        return err_set(e, ST_USAGE,
                       "the result of %s is being moved into place, so there is no way back; lmr resume %s "
                       "finishes it",
                       id, id);
    if (history_is_over(state))
        return err_set(e, ST_USAGE, "%s is %s, so there is no way back; run the job again", id, state);
    return st;
}

/* With a writer's connection SQLite brings the log of a killed driver into the file. */
static void settle(const struct back *b)
{
    struct path db = join(b->job_dir, "journal.db");
    sqlite3 *connection = NULL;
    if (sqlite3_open_v2(db.text, &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        (void)sqlite3_exec(connection, "PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL,
                           NULL);
    (void)sqlite3_close(connection);
}

static enum status begin(struct back *b, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = check_state(b, e);
    if (st == ST_OK)
        st = checkpoint_find(b->job_dir, b->number, &path, e);
    if (st == ST_OK)
        st = check_copy(b, (const char *)path.p, e);
    buf_free(&path);
    if (st != ST_OK)
        return st;
    if (is_readable(b))
        settle(b);
    for (b->aside = 1; exists(aside_in(b, b->job_dir).text);)
        b->aside++;
    return write_mark(b, e);
}

enum status checkpoint_go_back(const char *job_dir, uint32_t number, struct checkpoint_back *told,
                               struct err *e)
{
    struct back b = { .job_dir = job_dir, .told = told };
    enum status st = ST_OK;
    *told = (struct checkpoint_back){ .number = 0 };
    if (read_mark(&b))
        st = carry_through(&b, e);
    if (st != ST_OK || number == 0 || number == told->number)
        return st;
    b.number = number;
    told->files = 0;
    st = begin(&b, e);
    return st == ST_OK ? carry_through(&b, e) : st;
}
