/* place.h: where a job keeps things.
 *
 *   job folder     STATE_DIR/JOBID: the journal (journal.db), records put aside (quarantine/), a file
 *                  `lock` that the job's driver holds as long as it lives (lock.h).
 *                  JOBID is NAME-N, N one more than the newest.
 *   work folder    runs, typed pairs between steps, indexes, spooled input: WORK_DIR/JOBID, else
 *                  the stage folder, else JOB_FOLDER/work
 *   stage folder   parts before they are published: OUT/.lmr-JOBID, or the work folder when results
 *                  go to standard output
 *
 * All paths are absolute. Start zeroed; place_free accepts that. */
#ifndef LMR_SCHEDULE_PLACE_H
#define LMR_SCHEDULE_PLACE_H

#include "base/arena.h"
#include "schedule/job.h"
#include "schedule/lock.h"

struct place {
    struct arena arena;
    const char *state_dir;  /* parent of the job folder */
    const char *work_base;  /* parent of the work folder, or NULL: beside the output */
    const char *output_dir; /* NULL: standard output */
    const char *job_id, *job_dir, *stage_dir, *work_dir; /* NULL before place_make */
    const char *quarantine_dir; /* in the job folder */
    size_t state_there, output_there, work_there; /* bytes of the path that were there before */
    bool names_synced;
    bool state_by_home; /* state_dir comes from HOME or XDG_STATE_HOME, not from the user */
    bool output_made; /* the output directory did not exist before */
    bool replaces;    /* it holds an earlier result that is to be replaced at publishing */
    struct lock *lock; /* NULL: not taken yet */
    struct lock_user lock_user; /* set before place_make or place_lock by who wants to hear of it */
};

/* Works out the folders from options and environment; makes nothing. Refuses an output directory
 * that is not free (ST_USAGE). */
enum status place_plan(struct place *p, const struct run_options *options, struct err *e);
/* Makes the folders. ST_USAGE when one cannot be made or written; nothing is left then. */
enum status place_make(struct place *p, const char *job_name, struct err *e);
/* Takes the lock of a job folder, as lock_take. It ends with place_free, or with the process. */
enum status place_lock(struct place *p, const char *job_dir, struct err *e);
/* The folders of a job that is gone on with, as its journal names them (absolute; output_dir may
 * be NULL). Nothing is made yet; what place_lock took is kept. */
enum status place_restore(struct place *p, const char *job_dir, const char *output_dir,
                          const char *stage_dir, const char *work_dir, struct err *e);
/* Makes those of them that are not there any more. */
enum status place_remake(struct place *p, struct err *e);
/* Makes the names of the folders durable: those that place_make made, in those above them. Does it
 * once. */
enum status place_sync(struct place *p, struct err *e);
/* "DIR/NAME" in the arena; NULL when memory is out. */
const char *place_join(struct place *p, const char *dir, const char *name);
/* Removes stage and work folders, and an output directory that was made for nothing. Failures are
 * told in a warning by the caller: the first one is returned. */
enum status place_remove_temporary(struct place *p, bool keep_output, struct err *e);
/* Removes the job folder too: for a job that never started. */
void place_remove_all(struct place *p);
/* True when the filesystem of `path` is reached over a network. */
bool place_is_remote(const char *path);
void place_free(struct place *p);

#endif
