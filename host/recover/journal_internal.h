/* journal_internal.h: shared by journal.c (opening, transactions), journal_sql.c (schema and statements) and
 * journal_rows.c (what is written), and by nobody else. */
#ifndef LMR_RECOVER_JOURNAL_INTERNAL_H
#define LMR_RECOVER_JOURNAL_INTERNAL_H

#include "recover/journal.h"

#include <sqlite3.h>

#define JOURNAL_SCHEMA "3"

extern const char journal_schema[];

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

/* The first failure of the database stays. */
void journal_fail(struct journal *j);
/* False, and a failure, when the job has another driver now. */
bool journal_is_ours(struct journal *j);
/* NULL when the journal has failed. */
sqlite3_stmt *journal_prepared(struct journal *j, enum statement which);
/* The statement, inside a transaction; NULL when the journal has failed. */
sqlite3_stmt *journal_begin(struct journal *j, enum statement which);
/* Steps a statement that gives no rows, and makes it ready for the next time. */
void journal_run(struct journal *j, sqlite3_stmt *s);
void journal_execute(struct journal *j, const char *sql);
/* Bound as they are: they outlive the statement's run. NULL text binds NULL. */
void journal_bind_text(sqlite3_stmt *s, int i, const char *text);
void journal_bind_slice(sqlite3_stmt *s, int i, struct slice v, bool blob);
/* Parameters 1 to 3. */
void journal_bind_place(sqlite3_stmt *s, const struct journal_place *place);

/* journal_rows.c */
/* Attempts that were handed out since the last transaction. */
void journal_write_running(struct journal *j);
/* Those that a driver left which was killed: they have ended with it. */
void journal_end_left(struct journal *j);

#endif
