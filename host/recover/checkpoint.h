/* checkpoint.h: job-level checkpoints as files: made, listed, removed, gone back to.
 *
 * A checkpoint is a copy of the job's journal as of one commit, so it holds a consistent cut of all
 * that the journal knows. It is JOBDIR/checkpoints/000007.db, or CHECKPOINT_DIR/JOBID/000007.db with
 * checkpoint.checkpoint_dir. Numbers begin at 1 and are never used twice. A row of the journal's table
 * `checkpoint` names each that is kept; a file without a row was never finished, or is being removed.
 * When to make and to remove one is decided in schedule/checkpoint.c.
 *
 * Failures: ST_DISK_FULL, ST_CRASH (names the file), ST_MEMORY; ST_USAGE where the user asked for what
 * is not there; ST_CORRUPT for a checkpoint that does not hold. */
#ifndef LMR_RECOVER_CHECKPOINT_H
#define LMR_RECOVER_CHECKPOINT_H

#include "base/arena.h"

struct checkpoint {
    uint32_t number;
    int64_t time;       /* sys_wall_clock */
    const char *reason; /* interval, signal, stop, demand, failed, or a phase: "maps done" */
    const char *path;   /* of the file, as it can be opened from here */
    uint64_t bytes;
    uint32_t step, round; /* where the job stood: step from 1; round 0 without iteration */
    uint64_t done, tasks; /* committed, and planned so far */
};

/* A file that a round's end would have removed, but for a checkpoint that needs it: kept while there
 * is a checkpoint that stands at this step and round, or before. */
struct checkpoint_garbage {
    const char *path;
    uint32_t step, round;
};

/* What a journal says of them; checkpoint_list_free accepts a zeroed one. */
struct checkpoint_list {
    struct arena arena;
    struct checkpoint *kept; /* ascending */
    size_t count;
    uint32_t last; /* the greatest number that was ever used, 0: none */
    struct checkpoint_garbage *garbage;
    size_t garbage_count;
};

/* Reads the tables of the job in `job_dir`, as of one moment; the job may run. */
enum status checkpoint_list(const char *job_dir, struct checkpoint_list *out, struct err *e);
void checkpoint_list_free(struct checkpoint_list *list);

/* Path of a kept checkpoint's file into `path` (replaced, NUL-terminated): to read what it holds
 * without going back (past_read). ST_USAGE when there is no such one; the message names those there
 * are. Of a job whose journal cannot be read the file in JOBDIR/checkpoints is taken. */
enum status checkpoint_find(const char *job_dir, uint32_t number, struct buf *path, struct err *e);

/* "000007.db" → 7; 0: it is no checkpoint's name. */
uint32_t checkpoint_number(const char *name);
/* The greatest number below `below` of the files in a folder, or 0. */
uint32_t checkpoint_newest(const char *dir, uint32_t below);
/* "DIR/000007.db" into `out` (replaced, NUL-terminated). */
enum status checkpoint_path(const char *dir, uint32_t number, struct buf *out);

/* Copies the journal at `journal_path`, as it was last committed, to `path`, whose folder is made when
 * it is not there: a temporary name, fsync when durable, rename, fsync of the folder. By a read-only
 * connection of its own, so a thread may do it while the driver writes. Of `made` it sets what the copy
 * says: bytes, step, round, done, tasks. After a failure nothing is left. */
enum status checkpoint_make(const char *journal_path, const char *path, bool durable,
                            struct checkpoint *made, struct err *e);
/* Removes what a kill has left in a job's folder of checkpoints: unfinished ones, and those that the
 * list does not name. */
void checkpoint_sweep(const char *dir, const struct checkpoint_list *list);

/* What going back did. */
struct checkpoint_back {
    uint32_t number;  /* gone back to; 0: nothing was done */
    uint32_t aside;   /* K: the journal as it was is JOBDIR/aside-K/journal.db */
    char folder[4096]; /* JOBDIR/aside-K */
    uint64_t files;   /* set aside in folders aside-K beside where they were */
};

/* Makes the job what it was at checkpoint `number`. The caller holds the job's lock, and has not opened
 * the journal yet.
 *
 * The journal is moved to JOBDIR/aside-K (K: the first free one), a copy of the checkpoint comes in its
 * place; what attempts have left in the folders of work, stage and quarantine, and the checkpoint does
 * not name as committed, is moved to a folder aside-K there, and so are later checkpoints. Nothing is
 * deleted. Durable; a kill at any moment is made up for by the next call with any number (0: only
 * that), so each resume calls it before it reads the journal. `told` says what was done.
 *
 * ST_USAGE, with nothing touched: there is no such checkpoint, or the job's result is being published
 * or was. */
enum status checkpoint_go_back(const char *job_dir, uint32_t number, struct checkpoint_back *told,
                               struct err *e);

#endif
