/* restore_internal.h: shared by restore.c, restore_*.c and mend.c, and by nobody else. */
#ifndef LMR_SCHEDULE_RESTORE_INTERNAL_H
#define LMR_SCHEDULE_RESTORE_INTERNAL_H

#include "schedule/driver.h"
#include "schedule/moved.h"
#include "schedule/past.h"
#include "schedule/restore.h"

struct restore {
    struct past past;
    bool publishing;           /* the state it was left in */
    const struct past_step *here; /* where it stood; NULL: nowhere yet */
    bool *held;                /* of each map and reduce of `here`: need not run again */
    uint32_t held_count, done; /* done: held or dropped */
    uint32_t again;            /* had put records aside, of which there were too many */
    struct mend *mend;         /* NULL: no version of its result is published yet */
    struct moved moved;
};

/* A map of a mend: its result is kept from one load of the core to the next. */
struct mended_map {
    struct attempt_id winner;
    struct buf result;
    uint32_t attempts, backups;
};

struct mend {
    bool is_new;         /* the journal does not say yet that it goes on */
    bool judged;         /* the maps are done */
    uint64_t version;    /* that is made */
    struct buf previous; /* facts of the one before */
    struct mended_map *maps;
    uint32_t map_count;
};

/* restore.c */
const struct past_task *restore_past(const struct driver *d, enum work_kind kind, uint32_t index);

/* restore_files.c */
/* The task has committed, and its files are there: its run or part only if `with_data`. */
bool restore_is_held(struct driver *d, enum work_kind kind, uint32_t index, bool with_data);

/* Fills `held` for the round that d->plan plans. */
enum status restore_judge_round(struct driver *d, struct err *e);
/* The task committed with records put aside in a job that failed because there were too many: it runs
 * again, for the job may have been mended. */
bool restore_tries_again(const struct driver *d, const struct past_task *t);
/* What maps that are not held are to read of an earlier step or round must be there. */
enum status restore_check_pairs(const struct driver *d, struct err *e);

/* mend.c */
/* Decides by state and options whether this is a mend. ST_USAGE: it cannot be one, though asked
 * for. */
enum status mend_open(struct driver *d, const char *state, struct err *e);
/* The published result must be there, as it is replaced. */
enum status mend_place(struct driver *d, struct err *e);
/* d->plan is the newest round's. Refuses what cannot be mended; brings published files back to
 * where they were staged. */
enum status mend_begin(struct driver *d, struct err *e);
/* A row that lets the mend go on after a kill. */
enum status mend_journal(struct driver *d, struct err *e);
bool mend_has_put_aside(const struct past_task *t);
/* The task had put records aside in the published result, and has not run since. */
bool mend_tries_again(const struct past_task *t);
/* Attempts from this number on belong to the mend. */
uint32_t mend_first_attempt(const struct driver *d, const struct past_task *t);
void mend_free(struct mend *m);

/* restore_plan.c: ST_OK, or ST_USAGE with what is different and what to do. */
enum status restore_same_settings(struct driver *d, struct err *e);
/* Of the round that d->plan plans and the job stood in. A total order may have found fewer
 * boundaries than reduces were planned. */
enum status restore_same_splits(struct driver *d, struct err *e);
enum status restore_same_reduces(struct driver *d, struct err *e);

#endif
