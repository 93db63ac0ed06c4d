/* options.h: what a job was started with, kept in its journal, so that `lmr resume` needs
 * nothing said again.
 *
 * Kept are all fields of struct run_options but those that say how to go on (resume,
 * quarantined, dry_run) and where standard output goes. */
#ifndef LMR_SCHEDULE_OPTIONS_H
#define LMR_SCHEDULE_OPTIONS_H

#include "base/arena.h"
#include "base/bytes.h"
#include "schedule/job.h"

/* Appends the options as an encoded map. ST_MEMORY only. */
enum status options_put(const struct run_options *o, struct buf *out);
/* Reads them back; strings and arrays are copied into the arena. ST_CORRUPT when it is no such
 * map. */
enum status options_get(struct slice encoded, struct arena *arena, struct run_options *out,
                        struct err *e);

#endif
