/* past.h: what the journal of a job tells of it, read once when the job is gone on with.
 *
 * Nothing is written. Slices point into what struct past owns; start it zeroed, end it with
 * past_free. */
#ifndef LMR_SCHEDULE_PAST_H
#define LMR_SCHEDULE_PAST_H

#include "base/arena.h"
#include "base/bytes.h"

/* The frozen plan of a step, or of a round of one (from 1; round 0: no iteration). */
struct past_step {
    uint32_t step, round, maps, reduces;
    struct slice boundaries; /* encoded, or empty */
};

/* A task that has been attempted. Its name says step and round too. */
struct past_task {
    struct slice name;
    uint32_t step, round;
    uint32_t attempts; /* the number that the next one gets */
    uint32_t backups;  /* of the newest speculative one; they count from 1 */
    bool failed;       /* an attempt of it did */
    bool committed, speculative, dropped;
    bool undone;      /* restore_undo.c: what it did is taken back */
    int64_t began_anew; /* its failures up to then count no more (sys_wall_clock); 0: all do */
    double cpu_seconds; /* of the winner */
    uint32_t winner;     /* committed: which attempt */
    bool was_published, published_speculative;
    uint32_t published;  /* was_published: the attempt whose files the published result has */
    struct slice result; /* of the winner */
};

/* What a map task read. */
struct past_split {
    uint32_t step, round;
    struct slice task, path;
    uint64_t from, to, size;
    int64_t mtime; /* 0: not known */
};

struct past {
    struct arena arena;
    struct buf job, step_rows, task_rows, event_rows, skip_rows, split_rows;
    struct past_step *steps; /* in order */
    size_t step_count;
    struct past_task *tasks; /* by name */
    size_t task_count;
    struct past_split *splits; /* by step and round, in order */
    size_t split_count;
    uint64_t attempts, committed; /* of maps and reduces */
    uint64_t recovered;           /* maps and reduces that failed, and committed later */
    double cpu_seconds;           /* of all attempts that have ended */
};

/* Reads the journal at `path`. ST_USAGE, ST_CORRUPT: it cannot be read, or holds what it must
 * not. */
enum status past_read(const char *path, struct past *out, struct err *e);
/* The same where nobody writes it, and nothing is to be changed beside it. */
enum status past_read_still(const char *path, struct past *out, struct err *e);
/* The table `job` alone. */
enum status past_read_job(const char *path, struct past *out, struct err *e);
enum status past_read_job_still(const char *path, struct past *out, struct err *e);
/* A row of the table `job`: NULL, or the fallback, when there is none. */
const char *past_text(struct past *p, const char *key);
int64_t past_number(const struct past *p, const char *key, int64_t fallback);
struct slice past_blob(const struct past *p, const char *key);
/* NULL: it was never attempted. */
const struct past_task *past_task(const struct past *p, const char *name);
/* The parts that the maps of a step or round were planned to read. */
const struct past_split *past_splits(const struct past *p, const struct past_step *s,
                                     size_t *count);
/* True when one of its failures that still count put a record aside. */
bool past_has_skips(const struct past *p, const struct past_task *t);
/* Calls `take` with the failure of each attempt of the task, from number `first` on (and none from
 * before it began anew), that put its record aside for the attempts after it; ends at the first that does not return ST_OK. */
enum status past_skips(const struct past *p, const char *name, uint32_t first,
                       enum status (*take)(void *context, const struct err *failure),
                       void *context);
void past_free(struct past *p);

#endif
