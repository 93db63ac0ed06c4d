/* remove.h: takes a job off the disk: its state folder, and what it keeps elsewhere. Never a published result.
 *
 * Folders outside the state folder are those that the journal names, and only if their names say that they are this
 * job's (schedule/place.h): a journal that names something else removes nothing of it. */
#ifndef LMR_CLI_REMOVE_H
#define LMR_CLI_REMOVE_H

#include "base/status.h"

enum { REMOVE_STATE_MAX = 32 };

struct removal {
    bool dry_run;          /* look and count, remove nothing */
    char state[REMOVE_STATE_MAX]; /* "complete", …; "" when the journal does not tell */
    int64_t ended;         /* the last that is known to have happened in it, nanoseconds since 1970; 0: nothing is */
    uint64_t bytes;        /* freed on disk, or to be */
    bool at_least;         /* they are more: there was too much to look at */
    char note[ERR_MESSAGE_MAX]; /* what is left, and why; or "" */
};

/* Fills state and ended from the journal in `job_dir`. ST_USAGE, ST_CORRUPT: it cannot be read. */
enum status remove_look(const char *job_dir, struct removal *r, struct err *e);
/* Removes the job in `job_dir` (absolute). ST_USAGE: it runs, or its result is half in place; nothing was
 * removed. Others: a part of it could not be removed; what was is counted. A kill in between leaves a job that can be
 * removed again. */
enum status remove_job(const char *job_dir, struct removal *told, struct err *e);
/* Removes of a complete job only what it kept to be gone back to, or because its profile said so
 * (checkpoint.auto_cleanup = false): checkpoints, files that are there for them alone, and its work, unless lmr resume
 * --quarantined needs that. The job stays. told->bytes is 0 when there is no such thing. ST_USAGE: it runs. */
enum status remove_kept(const char *job_dir, struct removal *told, struct err *e);

#endif
