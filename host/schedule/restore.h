/* restore.h: a job that goes on from its journal (`lmr resume`).
 *
 * The job describes itself again, for its file may have been mended, and is planned again. Results
 * of steps and rounds are taken as they were up to the first that does not do as it is: where the job
 * stood, or an earlier one whose functions, settings or inputs have changed. There a task is reused
 * if what it does and reads is what it was and its files are there; all else runs again, and what came
 * later is undone, in one transaction of the journal. Nothing is written before it is clear what will
 * be done, and it is told first; with dry_run that is all.
 *
 * Part of the driver's inside (driver.h). A new job has no struct restore; all functions but
 * restore_open accept that. */
#ifndef LMR_SCHEDULE_RESTORE_H
#define LMR_SCHEDULE_RESTORE_H

#include "base/bytes.h"

struct driver;
struct restore;

/* Locks the job of options->resume and reads its journal. It may have to watch first whether a driver on
 * another host still beats. ST_USAGE: another driver has it, it cannot be gone on with. ST_END: there is nothing left to do, *code is how it ended. */
enum status restore_open(struct driver *d, int *code, struct err *e);
/* Instead of place_plan: the folders are those of the journal. */
enum status restore_place(struct driver *d, struct err *e);
/* Standard input is what was spooled of it. */
enum status restore_stdin(struct driver *d, struct err *e);
/* What servers told of their files when the job began goes into d->files; false: it did not
 * come so far, or its addresses were others. */
bool restore_remote(struct driver *d);
/* Brings the driver where the job stood: compares plans, takes the results of what is over,
 * opens the journal. d->plan is that of the round the job stood in, if it stood in one. */
enum status restore_begin(struct driver *d, struct err *e);
/* d->plan is that of the round that comes: it need not be begun. */
bool restore_stands(const struct driver *d);
/* The plan of that round, and what it has done, are in the journal; d->step and d->round name it. */
bool restore_is_here(const struct driver *d);
/* The journal says that what was undone is: its files go. */
void restore_clear(struct driver *d);
/* All tasks of that round have committed: nothing need be prepared for it. */
bool restore_is_whole(const struct driver *d);
/* Between core_load and CORE_BEGIN: which of the loaded tasks are done, and how the attempts of
 * the others are numbered. */
void restore_tasks(struct driver *d);
/* Removes what attempts had begun to write that ran when the driver was killed, unless they left a
 * checkpoint. Once the journal is open. */
void restore_remove_leftovers(const struct driver *d);
/* The job was killed while its result was moved into place: its files may be in either. */
bool restore_was_publishing(const struct driver *d);
/* Which version of the job's result is being made: 1, or more when it mends an earlier one,
 * whose facts restore_previous gives (encoded; else empty). */
uint64_t restore_version(const struct driver *d);
struct slice restore_previous(const struct driver *d);
void restore_free(struct driver *d);

/* --- mend.c: a complete job tries again what it had put aside --- */

/* Only maps are run yet: which reduces they reach is not known before they have committed. */
bool mend_maps_first(const struct driver *d);
/* They have: the next load (maps and reduces) has only those reduces to run that get other
 * pairs than the published result was made of, or that had put groups aside. */
enum status mend_maps_done(struct driver *d, struct err *e);
/* Before it is published: ST_USAGE when the version it mends is not there any more. */
enum status mend_check_output(const struct driver *d);
/* The new version is published. */
void mend_journal_end(struct driver *d);

#endif
