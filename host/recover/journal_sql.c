/* journal_sql.c: the journal's tables, and the statements that write them. */
#include "recover/journal_internal.h"
#include "recover/sqlite_full.h"

#include <errno.h>
#include <string.h>

/* As `sqlite3 journal.db .schema` shows it, comments included. */
const char journal_schema[] =
    "PRAGMA user_version = " JOURNAL_SCHEMA ";\n"
    "CREATE TABLE job ( -- id, name, created, output_dir, seed, …; state: running, publishing, complete,\n"
    "                   -- failed or stopped\n"
    "  key TEXT PRIMARY KEY, value) WITHOUT ROWID;\n"
    "CREATE TABLE step ( -- the frozen plan of a step, or of a round of one (round 0: no iteration)\n"
    "  step INTEGER, round INTEGER, maps INTEGER, reduces INTEGER,\n"
    "  boundaries BLOB, -- encoded keys of a total order\n"
    "  PRIMARY KEY (step, round)) WITHOUT ROWID;\n"
    "CREATE TABLE split ( -- what each map task reads: bytes first … last − 1 of a file that had `size`\n"
    "  step INTEGER, round INTEGER, task TEXT, part INTEGER,\n"
    "  path TEXT, first INTEGER, last INTEGER, size INTEGER,\n"
    "  mtime INTEGER); -- of the file, nanoseconds since 1970; NULL: not known (it is behind a server)\n"
    "CREATE TABLE task ( -- a row is the commit of a task: its winning attempt\n"
    "  step INTEGER, round INTEGER, task TEXT, attempt INTEGER, speculative INTEGER,\n"
    "  PRIMARY KEY (step, round, task)) WITHOUT ROWID;\n"
    "CREATE TABLE attempt ( -- every attempt that has ended\n"
    "  step INTEGER, round INTEGER, task TEXT, attempt INTEGER,\n"
    "  speculative INTEGER, -- 1: a backup of a slow one; it has a count of its own\n"
    "  worker INTEGER,\n"
    "  started INTEGER, ended INTEGER, -- nanoseconds since 1970\n"
    "  cpu REAL, -- seconds\n"
    "  outcome TEXT, -- committed, lost (another attempt was faster), ended (with the job), or the type\n"
    "                -- of its error\n"
    "  message TEXT, traceback TEXT, file TEXT, \"offset\" INTEGER, record INTEGER, \"key\" TEXT,\n"
    "  details TEXT, -- lines of a name, a tab, a value\n"
    "  exit_status INTEGER, signal INTEGER, memory_peak INTEGER, simulated INTEGER,\n"
    "  fingerprint TEXT, -- of the failure: type, traceback and record\n"
    "  same_failures INTEGER, -- of this task with that fingerprint, this one included\n"
    "  verdict TEXT, rule TEXT, reason TEXT, delay REAL, -- what was decided, by which rule, why\n"
    "  assignment BLOB, -- encoded, of one that failed or put something aside: lmr replay\n"
    "  result BLOB, -- encoded, of one that committed\n"
    "  went_on_at INTEGER); -- the record it went on from, by a task checkpoint; NULL: it began anew\n"
    "CREATE TABLE running ( -- attempts that a worker has; a driver that was killed leaves them here\n"
    "  step INTEGER, round INTEGER, task TEXT, attempt INTEGER, speculative INTEGER,\n"
    "  worker INTEGER, started INTEGER,\n"
    "  PRIMARY KEY (step, round, task, attempt, speculative)) WITHOUT ROWID;\n"
    "CREATE TABLE file ( -- files of winning attempts\n"
    "  step INTEGER, round INTEGER, task TEXT,\n"
    "  kind TEXT, -- run, part, side (mr.output), quarantine\n"
    "  path TEXT, name TEXT, records INTEGER, bytes INTEGER, checksum TEXT);\n"
    "CREATE TABLE checkpoint ( -- kept copies of this journal: lmr resume --from NUMBER\n"
    "  number INTEGER PRIMARY KEY, time INTEGER, reason TEXT, path TEXT, bytes INTEGER,\n"
    "  step INTEGER, round INTEGER, done INTEGER, tasks INTEGER);\n"
    "CREATE TABLE garbage ( -- files of rounds that are over, kept for checkpoints up to this step and round\n"
    "  path TEXT PRIMARY KEY, step INTEGER, round INTEGER) WITHOUT ROWID;\n"
    "CREATE TABLE counter (step INTEGER, round INTEGER, \"group\" TEXT, name TEXT, value);\n"
    "CREATE TABLE event (time INTEGER, kind TEXT, text TEXT); -- warning, note, detail, profile, drop\n";

/* ?1 and what lies under it becomes ?2. */
#define MOVE(table, column, only)                                                                  \
    ("UPDATE " table " SET " column " = ?2 || substr(" column ", length(?1) + 1) WHERE " only        \
     "substr(" column " || '/', 1, length(?1) + 1) = ?1 || '/'")

static const char *const statements[STATEMENTS] = {
    [PUT_JOB] = "INSERT OR REPLACE INTO job VALUES (?, ?)",
    [PUT_STEP] = "INSERT OR REPLACE INTO step VALUES (?, ?, ?, ?, ?)",
    [PUT_SPLIT] = "INSERT INTO split VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [PUT_TASK] = "INSERT INTO task VALUES (?, ?, ?, ?, ?)",
    [PUT_ATTEMPT] =
        ("INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
         "?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    [PUT_RUNNING] = "INSERT OR REPLACE INTO running VALUES (?, ?, ?, ?, ?, ?, ?)",
    [PUT_FILE] = "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [PUT_COUNTER] = "INSERT INTO counter VALUES (?, ?, ?, ?, ?)",
    [PUT_EVENT] = "INSERT INTO event VALUES (?, ?, ?)",
    [CUT_RUNNING] = ("DELETE FROM running WHERE step = ? AND round = ? AND task = ? AND attempt = ? "
                     "AND speculative = ?"),
    [CUT_TASK] = "DELETE FROM task WHERE step = ? AND round = ? AND task = ?",
    [CUT_FILES] = "DELETE FROM file WHERE step = ? AND round = ? AND task = ?",
    [CUT_COUNTERS] = "DELETE FROM counter WHERE step = ? AND round = ?",
    [CUT_STEP] = "DELETE FROM step WHERE step = ? AND round = ?",
    [CUT_SPLITS] = "DELETE FROM split WHERE step = ? AND round = ?",
    [CUT_ROUND_TASKS] =
        "DELETE FROM task WHERE step = ? AND round = ? AND task NOT GLOB '*remote_*'",
    [CUT_ROUND_FILES] = "DELETE FROM file WHERE step = ? AND round = ?",
    [CUT_GARBAGE_FROM] = "DELETE FROM garbage WHERE step > ?1 OR (step = ?1 AND round >= ?2)",
    [SET_INPUT_TIME] = "UPDATE split SET mtime = ?2 WHERE path = ?1 AND mtime <> ?2",
    [MOVE_JOB] = MOVE("job", "value", "key IN ('job_dir', 'stage_dir', 'work_dir') AND "),
    [MOVE_SPLITS] = MOVE("split", "path", ""),
    [MOVE_FILES] = MOVE("file", "path", ""),
    [MOVE_CHECKPOINTS] = MOVE("checkpoint", "path", ""),
    [MOVE_GARBAGE] = MOVE("garbage", "path", ""),
    [PUT_CHECKPOINT] = "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [CUT_CHECKPOINT] = "DELETE FROM checkpoint WHERE number = ?",
    [PUT_GARBAGE] = "INSERT OR REPLACE INTO garbage VALUES (?, ?, ?)",
    [CUT_GARBAGE] = "DELETE FROM garbage WHERE path = ?",
    [BEGIN] = "BEGIN",
    [COMMIT] = "COMMIT",
};

/* --- running statements; the first failure stays --- */

void journal_fail(struct journal *j)
{
    if (j->failure.status != ST_OK)
        return;
    int os_error = sqlite3_system_errno(j->db);
    bool full = sqlite_was_full(j->db);
    (void)err_set(&j->failure, full ? ST_DISK_FULL : ST_CRASH, "cannot write the journal %s: %s",
                  j->path,
                  full ? strerror(os_error == EDQUOT ? EDQUOT : ENOSPC) : sqlite3_errmsg(j->db));
    err_at(&j->failure, j->path, -1, -1);
}

bool journal_is_ours(struct journal *j)
{
    if (j->failure.status != ST_OK || !j->holds || j->holds(j->holds_context))
        return true;
    (void)err_set(&j->failure, ST_INTERRUPTED, "the journal %s is another driver's now", j->path);
    return false;
}

sqlite3_stmt *journal_prepared(struct journal *j, enum statement which)
{
    if (j->failure.status != ST_OK)
        return NULL;
    sqlite3_stmt **s = &j->prepared[which];
    if (!*s && sqlite3_prepare_v3(j->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, s,
                                  NULL) != SQLITE_OK)
        journal_fail(j);
    return *s;
}

void journal_run(struct journal *j, sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        journal_fail(j);
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
}

void journal_execute(struct journal *j, const char *sql)
{
    if (j->failure.status == ST_OK && sqlite3_exec(j->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        journal_fail(j);
}

/* The statement, inside a transaction; NULL when the journal has failed. */
sqlite3_stmt *journal_begin(struct journal *j, enum statement which)
{
    j->unsynced = true;
    if (!j->open) {
        sqlite3_stmt *s = journal_is_ours(j) ? journal_prepared(j, BEGIN) : NULL;
        if (!s)
            return NULL;
        journal_run(j, s);
        j->open = true;
    }
    return journal_prepared(j, which);
}

void journal_bind_text(sqlite3_stmt *s, int i, const char *text)
{
    (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC); /* NULL text binds NULL */
}

void journal_bind_slice(sqlite3_stmt *s, int i, struct slice v, bool blob)
{
    if (!blob)
        (void)sqlite3_bind_text64(s, i, (const char *)v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
    else if (v.n > 0)
        (void)sqlite3_bind_blob64(s, i, v.p, v.n, SQLITE_STATIC);
}

void journal_bind_place(sqlite3_stmt *s, const struct journal_place *place)
{
    (void)sqlite3_bind_int64(s, 1, place->step);
    (void)sqlite3_bind_int64(s, 2, place->round);
    journal_bind_text(s, 3, place->task);
}
