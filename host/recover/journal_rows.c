/* journal_rows.c: what is written into the journal. */
#include "base/sys.h"
#include "recover/journal_internal.h"

#include <stdio.h>
#include <string.h>

/* --- rows --- */

void journal_job(struct journal *j, const char *key, const char *value)
{
    sqlite3_stmt *s = journal_begin(j, PUT_JOB);
    if (!s)
        return;
    journal_bind_text(s, 1, key);
    journal_bind_text(s, 2, value);
    journal_run(j, s);
}

void journal_job_number(struct journal *j, const char *key, uint64_t value)
{
    sqlite3_stmt *s = journal_begin(j, PUT_JOB);
    if (!s)
        return;
    journal_bind_text(s, 1, key);
    (void)sqlite3_bind_int64(s, 2, (int64_t)value);
    journal_run(j, s);
}

void journal_job_blob(struct journal *j, const char *key, struct slice value)
{
    sqlite3_stmt *s = journal_begin(j, PUT_JOB);
    if (!s)
        return;
    journal_bind_text(s, 1, key);
    journal_bind_slice(s, 2, value, true);
    journal_run(j, s);
}

void journal_step(struct journal *j, uint32_t step, uint32_t round, uint32_t maps, uint32_t reduces,
                  struct slice boundaries)
{
    sqlite3_stmt *s = journal_begin(j, PUT_STEP);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    (void)sqlite3_bind_int64(s, 3, maps);
    (void)sqlite3_bind_int64(s, 4, reduces);
    journal_bind_slice(s, 5, boundaries, true);
    journal_run(j, s);
}

void journal_split(struct journal *j, const struct journal_place *place, uint32_t part,
                   const char *path, uint64_t from, uint64_t to, uint64_t size, int64_t mtime)
{
    sqlite3_stmt *s = journal_begin(j, PUT_SPLIT);
    if (!s)
        return;
    journal_bind_place(s, place);
    (void)sqlite3_bind_int64(s, 4, part);
    journal_bind_text(s, 5, path);
    (void)sqlite3_bind_int64(s, 6, (int64_t)from);
    (void)sqlite3_bind_int64(s, 7, (int64_t)to);
    (void)sqlite3_bind_int64(s, 8, (int64_t)size);
    if (mtime)
        (void)sqlite3_bind_int64(s, 9, mtime);
    journal_run(j, s);
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
    journal_bind_text(s, i, text[0] ? text : NULL);
}

static void bind_known_number(sqlite3_stmt *s, int i, int64_t number, bool known)
{
    if (known)
        (void)sqlite3_bind_int64(s, i, number);
}

static void bind_failure(sqlite3_stmt *s, const struct err *err)
{
    journal_bind_text(s, COLUMN_MESSAGE, err->message);
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
    journal_bind_text(s, COLUMN_VERDICT, attempt->verdict);
    journal_bind_text(s, COLUMN_RULE, attempt->rule);
    journal_bind_text(s, COLUMN_REASON, attempt->reason);
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
    sqlite3_stmt *s = journal_prepared(j, PUT_RUNNING);
    if (!s)
        return;
    journal_bind_place(s, &(struct journal_place){ row->step, row->round, row->task });
    (void)sqlite3_bind_int64(s, 4, row->attempt);
    (void)sqlite3_bind_int64(s, 5, row->speculative);
    (void)sqlite3_bind_int64(s, 6, row->worker);
    (void)sqlite3_bind_int64(s, 7, row->started);
    journal_run(j, s);
}

/* A transaction that holds nothing else need not wait for the disk: when the machine dies, no
 * worker outlives it. */
void journal_write_running(struct journal *j)
{
    struct handed row;
    if (j->waiting.n == 0 || j->failure.status != ST_OK)
        return;
    if (!j->open) {
        journal_execute(j, "BEGIN");
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
    sqlite3_stmt *s = journal_begin(j, CUT_RUNNING);
    if (!s)
        return;
    journal_bind_place(s, &attempt->place);
    (void)sqlite3_bind_int64(s, 4, attempt->attempt);
    (void)sqlite3_bind_int64(s, 5, attempt->speculative);
    journal_run(j, s);
}

/* Those that a driver left which was killed: they have ended with it, at a time that nobody knows. */
void journal_end_left(struct journal *j)
{
    journal_execute(j, "INSERT INTO attempt (step, round, task, attempt, speculative, worker, started, ended,"
               " cpu, outcome, message)"
               " SELECT step, round, task, attempt, speculative, worker, started, started, 0, 'ended',"
               " 'the driver was killed while it ran' FROM running;"
               "DELETE FROM running;");
}

void journal_attempt(struct journal *j, const struct journal_attempt *attempt)
{
    sqlite3_stmt *s = journal_begin(j, PUT_ATTEMPT);
    if (!s)
        return;
    journal_bind_place(s, &attempt->place);
    (void)sqlite3_bind_int64(s, COLUMN_ATTEMPT, attempt->attempt);
    (void)sqlite3_bind_int64(s, COLUMN_SPECULATIVE, attempt->speculative);
    (void)sqlite3_bind_int64(s, COLUMN_WORKER, attempt->worker);
    (void)sqlite3_bind_int64(s, COLUMN_STARTED, attempt->started);
    (void)sqlite3_bind_int64(s, COLUMN_ENDED, attempt->ended);
    (void)sqlite3_bind_double(s, COLUMN_CPU, (double)attempt->cpu_ns / 1e9);
    journal_bind_text(s, COLUMN_OUTCOME, outcome_of(attempt));
    if (attempt->err)
        bind_failure(s, attempt->err);
    bind_decision(s, attempt);
    journal_bind_slice(s, COLUMN_ASSIGNMENT, attempt->assignment, true);
    journal_bind_slice(s, COLUMN_RESULT, attempt->result, true);
    bind_known_number(s, COLUMN_WENT_ON_AT, attempt->went_on_at, attempt->went_on_at > 0);
    journal_run(j, s);
    end_running(j, attempt);
}

void journal_commit(struct journal *j, const struct journal_place *place, uint32_t attempt,
                    bool speculative)
{
    sqlite3_stmt *s = journal_begin(j, PUT_TASK);
    if (!s)
        return;
    journal_bind_place(s, place);
    (void)sqlite3_bind_int64(s, 4, attempt);
    (void)sqlite3_bind_int64(s, 5, speculative);
    journal_run(j, s);
}

void journal_redo(struct journal *j, const struct journal_place *place)
{
    static const enum statement both[] = { CUT_TASK, CUT_FILES };
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        sqlite3_stmt *s = journal_begin(j, both[i]);
        if (!s)
            return;
        journal_bind_place(s, place);
        journal_run(j, s);
    }
}

void journal_file(struct journal *j, const struct journal_file *file)
{
    sqlite3_stmt *s = journal_begin(j, PUT_FILE);
    if (!s)
        return;
    journal_bind_place(s, &file->place);
    journal_bind_text(s, 4, file->kind);
    journal_bind_text(s, 5, file->path);
    journal_bind_text(s, 6, file->name);
    (void)sqlite3_bind_int64(s, 7, (int64_t)file->records);
    (void)sqlite3_bind_int64(s, 8, (int64_t)file->bytes);
    journal_bind_text(s, 9, file->checksum);
    journal_run(j, s);
}

void journal_counter(struct journal *j, uint32_t step, uint32_t round, struct slice group,
                     struct slice name, bool is_float, int64_t i, double f)
{
    sqlite3_stmt *s = journal_begin(j, PUT_COUNTER);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    journal_bind_slice(s, 3, group, false);
    journal_bind_slice(s, 4, name, false);
    if (is_float)
        (void)sqlite3_bind_double(s, 5, f);
    else
        (void)sqlite3_bind_int64(s, 5, i);
    journal_run(j, s);
}

void journal_input_time(struct journal *j, const char *path, int64_t mtime)
{
    sqlite3_stmt *s = journal_begin(j, SET_INPUT_TIME);
    if (!s)
        return;
    journal_bind_text(s, 1, path);
    (void)sqlite3_bind_int64(s, 2, mtime);
    journal_run(j, s);
}

static void cut(struct journal *j, enum statement which, uint32_t step, uint32_t round)
{
    sqlite3_stmt *s = journal_begin(j, which);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, step);
    (void)sqlite3_bind_int64(s, 2, round);
    journal_run(j, s);
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
    sqlite3_stmt *s = journal_begin(j, PUT_EVENT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, sys_wall_clock());
    journal_bind_text(s, 2, kind);
    journal_bind_text(s, 3, text);
    journal_run(j, s);
}

void journal_moved(struct journal *j, const char *from, const char *to)
{
    for (int i = MOVE_JOB; i <= MOVE_GARBAGE; i++) {
        sqlite3_stmt *s = journal_begin(j, (enum statement)i);
        if (!s)
            return;
        journal_bind_text(s, 1, from);
        journal_bind_text(s, 2, to);
        journal_run(j, s);
    }
}

void journal_checkpoint(struct journal *j, const struct journal_checkpoint *row)
{
    sqlite3_stmt *s = journal_begin(j, PUT_CHECKPOINT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, row->number);
    (void)sqlite3_bind_int64(s, 2, row->time);
    journal_bind_text(s, 3, row->reason);
    journal_bind_text(s, 4, row->path);
    (void)sqlite3_bind_int64(s, 5, (int64_t)row->bytes);
    (void)sqlite3_bind_int64(s, 6, row->step);
    (void)sqlite3_bind_int64(s, 7, row->round);
    (void)sqlite3_bind_int64(s, 8, (int64_t)row->done);
    (void)sqlite3_bind_int64(s, 9, (int64_t)row->tasks);
    journal_run(j, s);
    journal_job_number(j, "last_checkpoint", row->number);
}

void journal_cut_checkpoint(struct journal *j, uint32_t number)
{
    sqlite3_stmt *s = journal_begin(j, CUT_CHECKPOINT);
    if (!s)
        return;
    (void)sqlite3_bind_int64(s, 1, number);
    journal_run(j, s);
}

void journal_garbage(struct journal *j, const char *path, uint32_t step, uint32_t round)
{
    sqlite3_stmt *s = journal_begin(j, PUT_GARBAGE);
    if (!s)
        return;
    journal_bind_text(s, 1, path);
    (void)sqlite3_bind_int64(s, 2, step);
    (void)sqlite3_bind_int64(s, 3, round);
    journal_run(j, s);
}

void journal_cut_garbage(struct journal *j, const char *path)
{
    sqlite3_stmt *s = journal_begin(j, CUT_GARBAGE);
    if (!s)
        return;
    journal_bind_text(s, 1, path);
    journal_run(j, s);
}
