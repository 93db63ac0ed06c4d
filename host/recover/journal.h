/* journal.h: what a job has done, in one SQLite file in the job's folder.
 *
 * The driver is the only writer; readers open the file read-only. Writes collect in one transaction
 * that is ended once a loop turn, before any effect of the turn is released (journal_write): attempts
 * may be handed out then; whatever cannot be taken back waits for the disk too (journal_flush). The row of
 * `task` that names the winning attempt is the commit of that task: only files of winning attempts
 * are ever read. WAL; synced by journal_flush when durable.
 *
 * A failed write is remembered and given by the next journal_flush: the functions between return
 * nothing. A full disk is ST_DISK_FULL, anything else ST_CRASH; the message names the file.
 *
 * Tables (schema version 3, in journal.c): job, step, split, task, attempt, running, file,
 * checkpoint, garbage, counter, event. */
#ifndef LMR_RECOVER_JOURNAL_H
#define LMR_RECOVER_JOURNAL_H

#include "base/bytes.h"

struct journal;

/* Where a row belongs. round is 0 without iteration. */
struct journal_place {
    uint32_t step, round;
    const char *task; /* "map_0" */
};

/* Longest name of a task, with its NUL. */
enum { JOURNAL_TASK_MAX = 64 };

struct journal_attempt {
    struct journal_place place;
    uint32_t attempt;
    bool speculative;
    long worker;            /* pid */
    int64_t started, ended; /* sys_wall_clock */
    uint64_t cpu_ns;
    const struct err *err;   /* NULL: it committed, or `outcome` says what else */
    const char *outcome;     /* "lost" (another attempt of the task was faster), "ended" (with the job); NULL: by err */
    uint64_t fingerprint;    /* of err; 0: none */
    uint32_t same_failures;  /* with this fingerprint, this one included */
    const char *verdict;     /* "retry", … or NULL */
    const char *rule;        /* that gave the verdict ("my.lua:12", "built-in", …), or NULL */
    const char *reason;      /* in words, or NULL */
    double delay_seconds;    /* before the retry */
    struct slice assignment; /* of one that failed or put something aside: what to replay */
    struct slice result;     /* of one that committed */
    int64_t went_on_at;      /* the record it went on from, by a task checkpoint; 0: it began anew */
};

struct journal_file {
    struct journal_place place;
    const char *kind; /* "run", "part", "side" (mr.output), "quarantine" */
    const char *path;
    const char *name; /* published name, or "" */
    uint64_t records, bytes;
    const char *checksum;
};

/* A row of `checkpoint`: a copy of this journal. */
struct journal_checkpoint {
    uint32_t number;
    int64_t time;
    const char *reason;
    const char *path; /* one that is not absolute is in the job's folder */
    uint64_t bytes;
    uint32_t step, round;
    uint64_t done, tasks;
};

/* Creates the journal of a new job; `path` must not exist. */
enum status journal_create(const char *path, bool durable, struct journal **out, struct err *e);
/* Opens the journal of a job that is gone on with, for writing; attempts that a killed driver left
 * running have ended then. ST_USAGE when its tables are not those of
 * this lmr; ST_CRASH, ST_DISK_FULL, ST_CORRUPT. */
enum status journal_open(const char *path, bool durable, struct journal **out, struct err *e);
/* A row of `job`: state, output_dir, plan_hash, … Replaces an earlier one of the same key. */
void journal_job(struct journal *j, const char *key, const char *value);
void journal_job_number(struct journal *j, const char *key, uint64_t value);
void journal_job_blob(struct journal *j, const char *key, struct slice value);
/* A step (or round) begins: its plan. `boundaries` is the encoded array of a total order, or empty.
 */
void journal_step(struct journal *j, uint32_t step, uint32_t round, uint32_t maps, uint32_t reduces,
                  struct slice boundaries);
/* Part number `part` of what a map task reads: bytes from … to − 1 of a file of `size` bytes; mtime in
 * nanoseconds, 0: not known. */
void journal_split(struct journal *j, const struct journal_place *place, uint32_t part,
                   const char *path, uint64_t from, uint64_t to, uint64_t size, int64_t mtime);
/* The attempt is about to be handed to a worker (pid); journal_attempt ends that. On disk with the
 * next journal_flush, for all who read the file; what a machine that loses its power forgets of it is no loss. */
void journal_running(struct journal *j, const struct journal_place *place, uint32_t attempt,
                     bool speculative, long worker, int64_t started);
void journal_attempt(struct journal *j, const struct journal_attempt *attempt);
/* The commit of a task. */
void journal_commit(struct journal *j, const struct journal_place *place, uint32_t attempt,
                    bool speculative);
/* The commit is taken back: its row and those of its files go. */
void journal_redo(struct journal *j, const struct journal_place *place);
void journal_file(struct journal *j, const struct journal_file *file);
/* All that a step or round has done is taken back, and its plan: rows of step, split, task, file and
 * counter go. Its attempts stay, and what servers told of the inputs. */
void journal_cut_round(struct journal *j, uint32_t step, uint32_t round);
/* Its plan alone: rows of step and split, which are about to be written anew. */
void journal_cut_plan(struct journal *j, uint32_t step, uint32_t round);
/* Files of this round, and of later ones, that were only kept for checkpoints are in use again. */
void journal_cut_garbage_from(struct journal *j, uint32_t step, uint32_t round);
/* Another time of an input of all that reads it: what was made of it is taken as it is. */
void journal_input_time(struct journal *j, const char *path, int64_t mtime);
/* Forgets the counters of a step or round, which are about to be written (again, after a kill). */
void journal_cut_counters(struct journal *j, uint32_t step, uint32_t round);
/* A counter's final value in a step or round; an integer, else a float. */
void journal_counter(struct journal *j, uint32_t step, uint32_t round, struct slice group,
                     struct slice name, bool is_float, int64_t i, double f);
void journal_event(struct journal *j, const char *kind, const char *text);
/* What was in the folder `from` is in `to` now: the paths of all rows that lie there. */
void journal_moved(struct journal *j, const char *from, const char *to);
/* A checkpoint is kept (its number is the greatest that was ever used), or is not any more. */
void journal_checkpoint(struct journal *j, const struct journal_checkpoint *row);
void journal_cut_checkpoint(struct journal *j, uint32_t number);
/* A file of a round that is over is kept for checkpoints up to that step and round, or is removed. */
void journal_garbage(struct journal *j, const char *path, uint32_t step, uint32_t round);
void journal_cut_garbage(struct journal *j, const char *path);
/* Ends the open transaction: every reader sees it, and no kill of a process undoes it. ST_OK when
 * there is none. After a failure the journal takes no more. */
enum status journal_write(struct journal *j, struct err *e);
/* The same, and (when durable) brings it to the disk, so that no loss of power undoes it. */
enum status journal_flush(struct journal *j, struct err *e);
/* Once the first transaction has ended, brings the new database file itself to the disk (when
 * durable). It is done by the next journal_flush at the latest; calling it while others work saves
 * that flush the wait. */
void journal_settle(struct journal *j);
/* Says that what follows is the last transaction, which journal_close ends: that syncs the WAL
 * anyway, so the commit does not wait for it too. Only after a flush. */
void journal_last(struct journal *j);
/* From now on `holds` is asked before rows are collected and before they are committed: once it says
 * false, nothing is written any more (ST_INTERRUPTED). */
void journal_guard(struct journal *j, bool (*holds)(void *context), void *context);
/* Closes without writing anything, as a kill would: not even what SQLite does with its files when the last
 * one closes them. NULL is accepted. */
void journal_abandon(struct journal *j);
/* Flushes and closes; NULL is accepted. */
enum status journal_close(struct journal *j, struct err *e);

#endif
