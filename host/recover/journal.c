#include "recover/journal.h"

#include "base/failpoint.h"
#include "base/sys.h"
#include "recover/journal_points.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* Nobody else writes, but a backup or a curious reader may lock the file for a moment. */
enum { BUSY_MS = 20000 };

#define SCHEMA_TEXT "3"

/* As `sqlite3 journal.db .schema` shows it, comments included. */
static const char schema[] =
    "PRAGMA user_version = " SCHEMA_TEXT ";\n"
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

enum statement {
    PUT_JOB,
    PUT_STEP,
    PUT_SPLIT,
    PUT_TASK,
    PUT_ATTEMPT,
    PUT_RUNNING,
    PUT_FILE,
    PUT_COUNTER,
    PUT_EVENT,
    CUT_RUNNING,
    CUT_TASK,
    CUT_FILES,
    CUT_COUNTERS,
    CUT_STEP,
    CUT_SPLITS,
    CUT_ROUND_TASKS,
    CUT_ROUND_FILES,
    SET_INPUT_TIME,
    CUT_GARBAGE_FROM,
    MOVE_JOB,
    MOVE_SPLITS,
    MOVE_FILES,
    MOVE_CHECKPOINTS,
    MOVE_GARBAGE,
    PUT_CHECKPOINT,
    CUT_CHECKPOINT,
    PUT_GARBAGE,
    CUT_GARBAGE,
    BEGIN,
    COMMIT,
    STATEMENTS
};

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

struct journal {
    sqlite3 *db;
    sqlite3_stmt *prepared[STATEMENTS];
    bool open; /* a transaction */
    bool durable;
    bool is_new;        /* the first transaction is not over */
    bool is_synced;     /* the database file itself is known to be on disk */
    bool unsynced;      /* written rows wait for journal_flush to bring them to disk */
    bool is_last;       /* closing syncs what is written from here on */
    struct buf waiting; /* struct handed, not yet written */
    struct err failure; /* ST_OK: none */
    char *path;
    bool (*holds)(void *context); /* NULL: always */
    void *holds_context;
};

/* An attempt that a worker has. */
struct handed {
    uint32_t step, round, attempt;
    bool speculative;
    long worker;
    int64_t started;
    char task[JOURNAL_TASK_MAX];
};

/* --- running statements; the first failure stays --- */

static void fail(struct journal *j)
{
    if (j->failure.status != ST_OK)
        return;
    int code = sqlite3_errcode(j->db);
    int os_error = sqlite3_system_errno(j->db);
    bool full = code == SQLITE_FULL || sqlite3_extended_errcode(j->db) == SQLITE_IOERR_SHMSIZE ||
                (code == SQLITE_IOERR && (os_error == ENOSPC || os_error == EDQUOT));
    (void)err_set(&j->failure, full ? ST_DISK_FULL : ST_CRASH, "cannot write the journal %s: %s",
                  j->path,
                  full ? strerror(os_error == EDQUOT ? EDQUOT : ENOSPC) : sqlite3_errmsg(j->db));
    err_at(&j->failure, j->path, -1, -1);
}

static bool is_ours(struct journal *j)
{
    if (j->failure.status != ST_OK || !j->holds || j->holds(j->holds_context))
        return true;
    (void)err_set(&j->failure, ST_INTERRUPTED, "the journal %s is another driver's now", j->path);
    return false;
}

static sqlite3_stmt *statement(struct journal *j, enum statement which)
{
    if (j->failure.status != ST_OK)
        return NULL;
    sqlite3_stmt **s = &j->prepared[which];
    if (!*s && sqlite3_prepare_v3(j->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, s,
                                  NULL) != SQLITE_OK)
        fail(j);
    return *s;
}

static void run(struct journal *j, sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        fail(j);
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
}

static void execute(struct journal *j, const char *sql)
{
    if (j->failure.status == ST_OK && sqlite3_exec(j->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(j);
}

/* The statement, inside a transaction; NULL when the journal has failed. */
static sqlite3_stmt *begin(struct journal *j, enum statement which)
{
    j->unsynced = true;
    if (!j->open) {
        sqlite3_stmt *s = is_ours(j) ? statement(j, BEGIN) : NULL;
        if (!s)
            return NULL;
        run(j, s);
        j->open = true;
    }
    return statement(j, which);
}

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC); /* NULL text binds NULL */
}

static void bind_slice(sqlite3_stmt *s, int i, struct slice v, bool blob)
{
    if (!blob)
        (void)sqlite3_bind_text64(s, i, (const char *)v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
    else if (v.n > 0)
        (void)sqlite3_bind_blob64(s, i, v.p, v.n, SQLITE_STATIC);
}

static void bind_place(sqlite3_stmt *s, const struct journal_place *place)
{
    (void)sqlite3_bind_int64(s, 1, place->step);
    (void)sqlite3_bind_int64(s, 2, place->round);
    bind_text(s, 3, place->task);
}

/* --- rows --- */

void journal_job(struct journal *j, const char *key, const char *value)
{
    sqlite3_stmt *s = begin(j, PUT_JOB);
    if (!s)
        return;
    bind_text(s, 1, key);
    bind_text(s, 2, value);
    run(j, s);
}

void journal_job_number(struct journal *j, const char *key, uint64_t value)
{
    sqlite3_stmt *s = begin(j, PUT_JOB);
    if (!s)
        return;
    bind_text(s, 1, key);
    (void)sqlite3_bind_int64(s, 2, (int64_t)value);
    run(j, s);
}

void journal_job_blob(struct journal *j, const char *key, struct slice value)
{
    sqlite3_stmt *s = begin(j, PUT_JOB);
    if (!s)
        return;
    bind_text(s, 1, key);
    bind_slice(s, 2, value, true);
    run(j, s);
}

void journal_step(struct journal *j, uint32_t step, uint32_t round, uint32_t maps, uint32_t reduces,
                  struct slice boundaries)
{
    sqlite3_stmt *s = begin(j, PUT_STEP);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    (void)sqlite3_bind_int64(s, 3, maps);
    (void)sqlite3_bind_int64(s, 4, reduces);
    bind_slice(s, 5, boundaries, true);
    run(j, s);
}

void journal_split(struct journal *j, const struct journal_place *place, uint32_t part,
                   const char *path, uint64_t from, uint64_t to, uint64_t size, int64_t mtime)
{
    sqlite3_stmt *s = begin(j, PUT_SPLIT);
    if (!s)
        return;
    bind_place(s, place);
    (void)sqlite3_bind_int64(s, 4, part);
    bind_text(s, 5, path);
    (void)sqlite3_bind_int64(s, 6, (int64_t)from);
    (void)sqlite3_bind_int64(s, 7, (int64_t)to);
    (void)sqlite3_bind_int64(s, 8, (int64_t)size);
    if (mtime)
        (void)sqlite3_bind_int64(s, 9, mtime);
    run(j, s);
}

/* Columns of the table attempt, as bound: from 1. */
enum {
    COLUMN_ATTEMPT = 4,
    COLUMN_SPECULATIVE,
    COLUMN_WORKER,
    COLUMN_STARTED,
    COLUMN_ENDED,
    COLUMN_CPU,
    COLUMN_OUTCOME,
    COLUMN_MESSAGE,
    COLUMN_TRACEBACK,
    COLUMN_FILE,
    COLUMN_OFFSET,
    COLUMN_RECORD,
    COLUMN_KEY,
    COLUMN_DETAILS,
    COLUMN_EXIT_STATUS,
    COLUMN_SIGNAL,
    COLUMN_MEMORY_PEAK,
    COLUMN_SIMULATED,
    COLUMN_FINGERPRINT,
    COLUMN_SAME_FAILURES,
    COLUMN_VERDICT,
    COLUMN_RULE,
    COLUMN_REASON,
    COLUMN_DELAY,
    COLUMN_ASSIGNMENT,
    COLUMN_RESULT,
    COLUMN_WENT_ON_AT
};

static void bind_known_text(sqlite3_stmt *s, int i, const char *text)
{
    bind_text(s, i, text[0] ? text : NULL);
}

static void bind_known_number(sqlite3_stmt *s, int i, int64_t number, bool known)
{
    if (known)
        (void)sqlite3_bind_int64(s, i, number);
}

static void bind_failure(sqlite3_stmt *s, const struct err *err)
{
    bind_text(s, COLUMN_MESSAGE, err->message);
    bind_known_text(s, COLUMN_TRACEBACK, err->traceback);
    bind_known_text(s, COLUMN_FILE, err->file);
    bind_known_number(s, COLUMN_OFFSET, err->offset, err->offset >= 0);
    bind_known_number(s, COLUMN_RECORD, err->record, err->record >= 0);
    bind_known_text(s, COLUMN_KEY, err->key);
    bind_known_text(s, COLUMN_DETAILS, err->details);
    bind_known_number(s, COLUMN_EXIT_STATUS, err->exit_status, err->exit_status >= 0);
    bind_known_number(s, COLUMN_SIGNAL, err->signal, err->signal != 0);
    bind_known_number(s, COLUMN_MEMORY_PEAK, (int64_t)err->memory_peak, err->memory_peak > 0);
    bind_known_number(s, COLUMN_SIMULATED, err->simulated, true);
}

static void bind_decision(sqlite3_stmt *s, const struct journal_attempt *attempt)
{
    char fingerprint[20];
    (void)snprintf(fingerprint, sizeof fingerprint, "%016llx",
                   (unsigned long long)attempt->fingerprint);
    if (attempt->fingerprint)
        (void)sqlite3_bind_text(s, COLUMN_FINGERPRINT, fingerprint, -1, SQLITE_TRANSIENT);
    bind_known_number(s, COLUMN_SAME_FAILURES, attempt->same_failures, attempt->same_failures > 0);
    bind_text(s, COLUMN_VERDICT, attempt->verdict);
    bind_text(s, COLUMN_RULE, attempt->rule);
    bind_text(s, COLUMN_REASON, attempt->reason);
    if (attempt->verdict)
        (void)sqlite3_bind_double(s, COLUMN_DELAY, attempt->delay_seconds);
}

static const char *outcome_of(const struct journal_attempt *attempt)
{
    if (attempt->outcome)
        return attempt->outcome;
    return attempt->err ? attempt->err->type : "committed";
}

/* --- attempts that run --- */

void journal_running(struct journal *j, const struct journal_place *place, uint32_t attempt,
                     bool speculative, long worker, int64_t started)
{
    struct handed row = { place->step, place->round, attempt, speculative, worker, started, "" };
    (void)snprintf(row.task, sizeof row.task, "%s", place->task);
    if (buf_append(&j->waiting, &row, sizeof row) != ST_OK && j->failure.status == ST_OK)
        (void)err_memory(&j->failure, "the journal", j->waiting.n);
}

static void put_running(struct journal *j, const struct handed *row)
{
    sqlite3_stmt *s = statement(j, PUT_RUNNING);
    if (!s)
        return;
    bind_place(s, &(struct journal_place){ row->step, row->round, row->task });
    (void)sqlite3_bind_int64(s, 4, row->attempt);
    (void)sqlite3_bind_int64(s, 5, row->speculative);
    (void)sqlite3_bind_int64(s, 6, row->worker);
    (void)sqlite3_bind_int64(s, 7, row->started);
    run(j, s);
}

/* A transaction that holds nothing else need not wait for the disk: when the machine dies, no
 * worker outlives it. */
static void write_running(struct journal *j)
{
    struct handed row;
    if (j->waiting.n == 0 || j->failure.status != ST_OK)
        return;
    if (!j->open) {
        execute(j, "BEGIN");
        j->open = j->failure.status == ST_OK;
    }
    for (size_t at = 0; at < j->waiting.n; at += sizeof row) {
        memcpy(&row, j->waiting.p + at, sizeof row);
        put_running(j, &row);
    }
    j->waiting.n = 0;
}

static bool still_waits(struct journal *j, const struct journal_attempt *attempt)
{
    struct handed row;
    for (size_t at = 0; at < j->waiting.n; at += sizeof row) {
        memcpy(&row, j->waiting.p + at, sizeof row);
        if (row.attempt != attempt->attempt || row.speculative != attempt->speculative ||
            row.step != attempt->place.step || row.round != attempt->place.round ||
            strcmp(row.task, attempt->place.task) != 0)
            continue;
        memmove(j->waiting.p + at, j->waiting.p + at + sizeof row, j->waiting.n - at - sizeof row);
        j->waiting.n -= sizeof row;
        return true;
    }
    return false;
}

static void end_running(struct journal *j, const struct journal_attempt *attempt)
{
    if (still_waits(j, attempt))
        return;
    sqlite3_stmt *s = begin(j, CUT_RUNNING);
    if (!s)
        return;
    bind_place(s, &attempt->place);
    (void)sqlite3_bind_int64(s, 4, attempt->attempt);
    (void)sqlite3_bind_int64(s, 5, attempt->speculative);
    run(j, s);
}

/* Those that a driver left which was killed: they have ended with it, at a time that nobody knows. */
static void end_left(struct journal *j)
{
    execute(j, "INSERT INTO attempt (step, round, task, attempt, speculative, worker, started, ended,"
               " cpu, outcome, message)"
               " SELECT step, round, task, attempt, speculative, worker, started, started, 0, 'ended',"
               " 'the driver was killed while it ran' FROM running;"
               "DELETE FROM running;");
}

void journal_attempt(struct journal *j, const struct journal_attempt *attempt)
{
    sqlite3_stmt *s = begin(j, PUT_ATTEMPT);
    if (!s)
        return;
    bind_place(s, &attempt->place);
    (void)sqlite3_bind_int64(s, COLUMN_ATTEMPT, attempt->attempt);
    (void)sqlite3_bind_int64(s, COLUMN_SPECULATIVE, attempt->speculative);
    (void)sqlite3_bind_int64(s, COLUMN_WORKER, attempt->worker);
    (void)sqlite3_bind_int64(s, COLUMN_STARTED, attempt->started);
    (void)sqlite3_bind_int64(s, COLUMN_ENDED, attempt->ended);
    (void)sqlite3_bind_double(s, COLUMN_CPU, (double)attempt->cpu_ns / 1e9);
    bind_text(s, COLUMN_OUTCOME, outcome_of(attempt));
    if (attempt->err)
        bind_failure(s, attempt->err);
    bind_decision(s, attempt);
    bind_slice(s, COLUMN_ASSIGNMENT, attempt->assignment, true);
    bind_slice(s, COLUMN_RESULT, attempt->result, true);
    bind_known_number(s, COLUMN_WENT_ON_AT, attempt->went_on_at, attempt->went_on_at > 0);
    run(j, s);
    end_running(j, attempt);
}

void journal_commit(struct journal *j, const struct journal_place *place, uint32_t attempt,
                    bool speculative)
{
    sqlite3_stmt *s = begin(j, PUT_TASK);
    if (!s)
        return;
    bind_place(s, place);
    (void)sqlite3_bind_int64(s, 4, attempt);
    (void)sqlite3_bind_int64(s, 5, speculative);
    run(j, s);
}

void journal_redo(struct journal *j, const struct journal_place *place)
{
    static const enum statement both[] = { CUT_TASK, CUT_FILES };
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        sqlite3_stmt *s = begin(j, both[i]);
        if (!s)
            return;
        bind_place(s, place);
        run(j, s);
    }
}

void journal_file(struct journal *j, const struct journal_file *file)
{
    sqlite3_stmt *s = begin(j, PUT_FILE);
    if (!s)
        return;
    bind_place(s, &file->place);
    bind_text(s, 4, file->kind);
    bind_text(s, 5, file->path);
    bind_text(s, 6, file->name);
    (void)sqlite3_bind_int64(s, 7, (int64_t)file->records);
    (void)sqlite3_bind_int64(s, 8, (int64_t)file->bytes);
    bind_text(s, 9, file->checksum);
    run(j, s);
}

void journal_counter(struct journal *j, uint32_t step, uint32_t round, struct slice group,
                     struct slice name, bool is_float, int64_t i, double f)
{
    sqlite3_stmt *s = begin(j, PUT_COUNTER);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    bind_slice(s, 3, group, false);
    bind_slice(s, 4, name, false);
    if (is_float)
        (void)sqlite3_bind_double(s, 5, f);
    else
        (void)sqlite3_bind_int64(s, 5, i);
    run(j, s);
}

void journal_input_time(struct journal *j, const char *path, int64_t mtime)
{
    sqlite3_stmt *s = begin(j, SET_INPUT_TIME);
    if (!s)
        return;
    bind_text(s, 1, path);
    (void)sqlite3_bind_int64(s, 2, mtime);
    run(j, s);
}

static void cut(struct journal *j, enum statement which, uint32_t step, uint32_t round)
{
    sqlite3_stmt *s = begin(j, which);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    run(j, s);
}

void journal_cut_counters(struct journal *j, uint32_t step, uint32_t round)
{
    cut(j, CUT_COUNTERS, step, round);
}

void journal_cut_plan(struct journal *j, uint32_t step, uint32_t round)
{
    cut(j, CUT_STEP, step, round);
    cut(j, CUT_SPLITS, step, round);
}

void journal_cut_garbage_from(struct journal *j, uint32_t step, uint32_t round)
{
    cut(j, CUT_GARBAGE_FROM, step, round);
}

void journal_cut_round(struct journal *j, uint32_t step, uint32_t round)
{
    journal_cut_plan(j, step, round);
    cut(j, CUT_ROUND_TASKS, step, round);
    cut(j, CUT_ROUND_FILES, step, round);
    cut(j, CUT_COUNTERS, step, round);
}

void journal_event(struct journal *j, const char *kind, const char *text)
{
    sqlite3_stmt *s = begin(j, PUT_EVENT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, sys_wall_clock());
    bind_text(s, 2, kind);
    bind_text(s, 3, text);
    run(j, s);
}

void journal_moved(struct journal *j, const char *from, const char *to)
{
    for (int i = MOVE_JOB; i <= MOVE_GARBAGE; i++) {
        sqlite3_stmt *s = begin(j, (enum statement)i);
        if (!s)
            return;
        bind_text(s, 1, from);
        bind_text(s, 2, to);
        run(j, s);
    }
}

void journal_checkpoint(struct journal *j, const struct journal_checkpoint *row)
{
    sqlite3_stmt *s = begin(j, PUT_CHECKPOINT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, row->number);
    (void)sqlite3_bind_int64(s, 2, row->time);
    bind_text(s, 3, row->reason);
    bind_text(s, 4, row->path);
    (void)sqlite3_bind_int64(s, 5, (int64_t)row->bytes);
    (void)sqlite3_bind_int64(s, 6, row->step);
    (void)sqlite3_bind_int64(s, 7, row->round);
    (void)sqlite3_bind_int64(s, 8, (int64_t)row->done);
    (void)sqlite3_bind_int64(s, 9, (int64_t)row->tasks);
    run(j, s);
    journal_job_number(j, "last_checkpoint", row->number);
}

void journal_cut_checkpoint(struct journal *j, uint32_t number)
{
    sqlite3_stmt *s = begin(j, CUT_CHECKPOINT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, number);
    run(j, s);
}

void journal_garbage(struct journal *j, const char *path, uint32_t step, uint32_t round)
{
    sqlite3_stmt *s = begin(j, PUT_GARBAGE);
    if (!s)
        return;
    bind_text(s, 1, path);
    (void)sqlite3_bind_int64(s, 2, step);
    (void)sqlite3_bind_int64(s, 3, round);
    run(j, s);
}

void journal_cut_garbage(struct journal *j, const char *path)
{
    sqlite3_stmt *s = begin(j, CUT_GARBAGE);
    if (!s)
        return;
    bind_text(s, 1, path);
    run(j, s);
}

/* --- open, flush, close --- */

/* What the first transaction holds (schema and plan) need not wait for the disk: the first commit
 * of a task syncs the same WAL, and comes after journal_settle. */
static void end_first_transaction(struct journal *j)
{
    j->is_new = false;
    j->unsynced = false;
    execute(j, "PRAGMA synchronous = NORMAL"); /* journal_flush syncs itself */
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
    if ((j->open || j->waiting.n > 0) && !is_ours(j))
        return outcome(j, e);
    write_running(j);
    if (j->open && j->failure.status == ST_OK) {
        sqlite3_stmt *s = statement(j, COMMIT);
        failpoint("journal.commit:before");
        if (s)
            run(j, s);
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
    execute(j, "PRAGMA synchronous = OFF");
    execute(j, "PRAGMA journal_mode = WAL");
    execute(j, "BEGIN");
    j->open = j->failure.status == ST_OK;
    execute(j, schema);
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
        fail(j);
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
        fail(j);
    else
        (void)snprintf(version, sizeof version, "%d", sqlite3_column_int(s, 0));
    (void)sqlite3_finalize(s);
    if (j->failure.status == ST_OK && strcmp(version, SCHEMA_TEXT) != 0)
        (void)err_set(&j->failure, ST_USAGE,
                      "the journal %s has tables of version %s, and this lmr (" LMR_VERSION
                      ") writes version " SCHEMA_TEXT "; go on with the lmr that wrote it",
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
    end_left(j);
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
