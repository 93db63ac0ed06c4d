/* lock.h: one driver a job. The file JOBDIR/lock is locked with flock by the driver that works on
 * the job, and says who that is:
 *
 *     beat 0000000012 2026-11-24T15:30:24Z        changes every LOCK_BEAT_SECONDS, as long as it lives
 *     host alpha
 *     boot 3f0c…                                  which start of the machine's kernel
 *     space pid:[4026531836]                      in which the process has its number
 *     pid 4711
 *     start 91823                                 of the process, in clock ticks after the boot
 *     inode 1835023                               of this file: a copy of it is nobody's lock
 *     since 2026-11-24T15:30:00Z
 *     token 9d2c…                                 random: a driver knows its own entry by it
 *
 * flock decides wherever one kernel has the file: on this host since it was started, and on a disk
 * of its own. On a filesystem that others reach, it may hold for one host only; and some have no
 * flock. Then an entry of another host (or start of it) is taken over when its beat has stood still
 * for LOCK_STILL_SECONDS by the clock of the one who watches: clocks of two hosts are never compared.
 * Where there is no flock, the process of an entry of this host decides.
 *
 * A driver that was only held up (stopped, its network gone) and finds another's entry in its place is
 * fenced: it writes nothing any more. lock_is_held tells; the thread that beats looks too.
 *
 * A beat goes past sys.h: it is no durable step, and must not be counted as one. */
#ifndef LMR_SCHEDULE_LOCK_H
#define LMR_SCHEDULE_LOCK_H

#include "base/status.h"

enum { LOCK_BEAT_SECONDS = 2, LOCK_STILL_SECONDS = 20 };

struct lock;

/* Who takes a lock; each function may be NULL. */
struct lock_user {
    void (*tell)(void *context, const char *text); /* that another driver's entry is watched */
    bool (*goes_on)(void *context); /* meanwhile, several times a second: false gives up */
    void (*lost)(void *context);    /* the entry is another's; once, from another thread */
    void *context;
};

/* Takes the lock of the job in `job_dir`, and keeps its entry fresh from then on. ST_END: another driver
 * has it; the message names it and says what to do. ST_INTERRUPTED: goes_on said so. ST_USAGE: the file
 * cannot be made or written. `user` may be NULL, and lives as long as the lock. */
enum status lock_take(const char *job_dir, const struct lock_user *user, struct lock **out,
                      struct err *e);
/* The job goes on: what stood in the file before is over. */
void lock_settle(struct lock *lock);
/* Is the entry still this driver's? Looks, at the cost of two system calls. */
bool lock_is_held(struct lock *lock);
/* Says in `e` (ST_INTERRUPTED) who has taken the lock over. */
enum status lock_say_lost(const struct lock *lock, struct err *e);
/* Frees the lock. A settled one is cleared; else what stood there before is put back, so that a job that
 * was refused is as it was. NULL is accepted. */
void lock_release(struct lock *lock);

#endif
