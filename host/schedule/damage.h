/* damage.h: a job's state that was torn, or that another lmr wrote. What is seen from outside is refused
 * before anything is touched: neither is the job locked, nor does SQLite get to see the file, which would
 * make files beside it, or take a WAL away that it finds beside an empty one. */
#ifndef LMR_SCHEDULE_DAMAGE_H
#define LMR_SCHEDULE_DAMAGE_H

#include "base/status.h"

/* Looks at the journal of the job in `job_dir` as a file. ST_CORRUPT: it is torn. ST_USAGE: it cannot be
 * read, has nothing in it, or tables of another version. */
enum status damage_check(const char *job_dir, struct err *e);
/* The number of the newest checkpoint in the job's folder that can be read, or 0. */
uint32_t damage_newest_whole(const char *job_dir);
/* The journal could not be read, as `e` says: adds what can be done, when the newest of the job's kept
 * checkpoints is whole. Returns e's status. */
enum status damage_advise(const char *job_dir, struct err *e);

#endif
