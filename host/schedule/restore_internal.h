/* restore_internal.h: shared by restore.c, restore_*.c and mend.c, and by nobody else. */
#ifndef LMR_SCHEDULE_RESTORE_INTERNAL_H
#define LMR_SCHEDULE_RESTORE_INTERNAL_H

#include "schedule/changes.h"
#include "schedule/driver.h"
#include "schedule/explain.h"
#include "schedule/moved.h"
#include "schedule/past.h"
#include "schedule/restore.h"

/* What becomes of a map or reduce of the round that the job goes on in. */
struct judged {
    const char *why; /* it does not do as it is; NULL: it does */
    bool anew;       /* so does how it failed: what it does has changed */
};

struct restore {
    struct past past;
    bool publishing;           /* the state it was left in */
    const struct past_step *here; /* where it stood; NULL: nowhere yet */
    bool *held;                /* of each map and reduce of `here`: need not run again */
    uint32_t held_count, done; /* done: held or dropped */
    uint32_t again;            /* had put records aside, of which there were too many */
    struct judged *judged;     /* parallel to held */
    /* what has changed since the job began (not looked at where is_strict) */
    struct description then;   /* of the job as it was, if knows_then */
    bool knows_then;
    struct changes changes;
    const char *all_again;     /* why everything runs again, or NULL */
    size_t at;                 /* past.steps[at] is the round that the job goes on in */
    bool stands;               /* d->step, d->round and d->plan are of that round */
    bool round_changed;        /* what the round has done is not all taken as it is */
    bool plan_changed;         /* its map tasks read other parts than the journal says */
    bool times_accepted;       /* an input was written to since, which was accepted */
    size_t split_at;           /* where restore_split_change looks first */
    const char *whole;         /* why all of the round runs again, or NULL */
    struct arena arena;        /* reasons */
    struct explain explain;
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
/* A published result is mended, or moved into place: the plan must be what it was, and changes of
 * the job's functions do not count. */
bool restore_is_strict(const struct restore *r);
/* Moves to a step or round, as the job did when the one before was over. */
void restore_go_to(struct driver *d, const struct past_step *s);
/* d->plan is the round's: takes what it did as it was, and ends it. */
enum status restore_take_round(struct driver *d, const struct past_step *s, struct err *e);
const struct past_task *restore_past(const struct driver *d, enum work_kind kind, uint32_t index);

/* restore_walk.c */
/* Reads what the journal says of the job as it was, and compares. */
enum status restore_compare(struct driver *d, struct err *e);
/* Takes round after round as they were, up to the one that the job goes on in: where it stood, or an
 * earlier one that does not do as it is; judges that one. */
enum status restore_walk(struct driver *d, struct err *e);
/* True when what the stage of the step (from 1) has written does not do, and was not accepted. */
/* Named by --accept-change; `step` from 1. */
bool restore_is_accepted(const struct driver *d, uint32_t step, enum stage stage);
bool restore_stage_changed(const struct driver *d, uint32_t step, enum stage stage);

/* restore_judge.c */
/* The round has something that does not do as it is, files apart. */
bool restore_is_affected(struct driver *d, const struct past_step *s);
/* Judges the round that d->plan plans: fills held, judged and what goes with them. ST_END: an earlier
 * round has to run again too, as what it wrote is needed and gone. */
enum status restore_judge(struct driver *d, const struct past_step *s, struct err *e);
/* A sentence in the arena; "" when memory is out. */
const char *restore_say(struct restore *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* restore_undo.c */
/* Marks the tasks of the past whose work is taken back. */
void restore_mark_undone(struct driver *d);
/* Tells what is reused and what is not: r->explain. */
enum status restore_explain(struct driver *d, struct err *e);
/* Into the journal: rows that do not hold any more are taken back, and said so. */
void restore_undo(struct driver *d);

/* restore_files.c */
/* The task has committed, and its files are there: its run or part only if `with_data`. */
bool restore_is_held(struct driver *d, enum work_kind kind, uint32_t index, bool with_data);

/* Fills `held` for the round that d->plan plans: those whose files are there, and, where there is
 * `judged`, that do as they are. Others get their reason in it. */
void restore_judge_round(struct driver *d);
/* Makes both, for the round that d->plan plans: all false. */
enum status restore_make_tables(struct driver *d, struct err *e);
/* The task committed with records put aside in a job that failed because there were too many: it runs
 * again, for the job may have been mended. */
bool restore_tries_again(const struct driver *d, const struct past_task *t);
/* What maps that are not held are to read of an earlier step or round must be there: else the path
 * that is gone. */
const char *restore_gone_pairs(const struct driver *d);
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
/* What is different in what a map task reads, in words; NULL: nothing. `index` is its number. */
const char *restore_split_change(struct driver *d, const struct past_step *s, uint32_t index);
/* Is it the part that it was, whatever the time of its file? */
bool restore_same_part(const struct driver *d, const struct split_part *now,
                       const struct past_split *then);
/* Why all is to run again: settings that change every byte. NULL: they are what they were. */
const char *restore_settings_change(struct driver *d);

#endif
