/* replay.h: the parts of `lmr replay`: an assignment of the journal, changed so that it leaves no
 * trace, run again in a child of this process, in its terminal.
 *
 * The child is a fork that runs the attempt and dies: what user code does to it (a crash, os.exit)
 * is seen and told by the parent. */
#ifndef LMR_CLI_REPLAY_H
#define LMR_CLI_REPLAY_H

#include "base/arena.h"
#include "base/position.h"
#include "data/codec.h"

enum { REPLAY_PATH_MAX = 4096 };

/* --- replay_assignment.c --- */

struct replay_change {
    const char *dir;   /* where all files go */
    const char *job;   /* another job file, or NULL */
    const int64_t *only; /* records or groups to try, ascending; NULL: all */
    size_t only_count;
    bool puts_aside;   /* what fails is put into DIR/aside, and the attempt goes on */
    bool as_ruled;     /* records are put aside and skipped as the attempt did, but for its culprit */
    const char *culprit_type; /* as_ruled: what the attempt failed with */
    int64_t culprit;          /* as_ruled: the record it failed at, or −1 */
};

/* Appends the changed assignment. */
enum status replay_assignment(struct slice stored, const struct replay_change *change,
                              struct buf *out, struct err *e);
/* Appends the assignment with another value of a field. */
enum status replay_replace(struct slice stored, const char *field, struct slice value,
                           struct buf *out, struct err *e);
/* ST_USAGE when a run, pairs or index that the assignment reads is no more; `job` is the job's id. */
enum status replay_check_inputs(struct slice assignment, const char *job, struct err *e);

/* --- replay_child.c --- */

/* A folder, a page and signals, for a number of children one after the other. Stop signals (Ctrl-C,
 * SIGTERM, SIGHUP) are held back from open to close, and end the child. */
struct replay_box;

struct replay_end {
    int stopped;            /* by this signal, sent to us; 0: no. Of err only the place is known then */
    struct buf result;      /* encoded; owned; empty when it failed */
    struct err err;         /* ST_OK: it did not fail */
    bool died;              /* err tells how; its place is what the page said */
};

/* `silent`: what user code prints goes to standard error, for standard output is taken. */
enum status replay_open(bool silent, struct replay_box **out, struct err *e);
const char *replay_dir(const struct replay_box *box);
/* Runs a changed assignment. ST_OK: `end` (whose result is reused) tells. */
enum status replay_run(struct replay_box *box, struct slice assignment, struct replay_end *end,
                       struct err *e);
/* Removes the folder. NULL is accepted. */
void replay_close(struct replay_box *box);

/* --- replay_sides.c --- */

/* Appends what `sides` of an assignment shall be: indexes that are no more are made again, in the
 * box's folder, from the side files of the job's description. `end` is of the last one made; when it
 * was stopped, the rest is missing. */
enum status replay_sides(struct replay_box *box, struct slice description, struct slice stored,
                         struct buf *out, struct replay_end *end, struct err *e);

/* --- replay_records.c --- */

enum replay_outcome { REPLAY_UNTRIED, REPLAY_HOLDS, REPLAY_FAILS, REPLAY_MISSING };

struct replay_record {
    int64_t record;            /* or group */
    enum replay_outcome outcome;
    struct slice error;        /* REPLAY_FAILS: encoded (schedule/wire.h), in the arena */
    struct slice entry;        /* the caller's: its line of the quarantine, encoded; may be empty */
};

/* Tries records (ascending, each once) of the stored assignment, all in one attempt; again without
 * those that it dies of. `end` is of the last attempt: its result says what was emitted. What is left
 * untried when end->stopped: by a signal. */
enum status replay_records(struct replay_box *box, struct slice stored, const char *job_file,
                           struct replay_record *records, size_t count, struct arena *arena,
                           struct replay_end *end, struct err *e);
/* Reads a quarantine file: appends a record for each line that is an entry, as the file has them, to the
 * encoded array's elements in `entries` (all: count in *count). */
enum status replay_entries(const char *path, struct buf *entries, uint64_t *count, struct err *e);

#endif
