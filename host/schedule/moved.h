/* moved.h: a job whose folder was moved or copied since it last ran.
 *
 * The journal names its folders by absolute paths. What lies under the job's old folder is looked for under
 * the one it has now; an output directory that was given with -o stays where it is, unless `lmr resume -o`
 * names another (its `.lmr-JOBID` moved along), and likewise a work folder with --work-dir. A copy never
 * touches what its original still works in: it must be given folders of its own. */
#ifndef LMR_SCHEDULE_MOVED_H
#define LMR_SCHEDULE_MOVED_H

#include "schedule/job.h"
#include "schedule/past.h"
#include "recover/journal.h"

enum { MOVED_MAX = 3 };

/* Start it zeroed. Its strings live in the past's arena. */
struct moved {
    const char *from[MOVED_MAX], *to[MOVED_MAX];
    size_t count;           /* 0: all is where it was */
    const char *output_dir; /* the new one, or NULL: as it was */
    const char *was;        /* the job's old folder; NULL: it is the same */
};

/* Compares the journal with where the job is now, and with what the options name (moved_output, moved_work),
 * and brings the past up to date; nothing is written. ST_USAGE: folders must be named. */
enum status moved_open(struct past *past, const struct run_options *options, struct moved *out,
                       struct err *e);
/* The same for the rows of the journal. */
void moved_journal(const struct moved *m, struct journal *j, const struct run_options *options);

/* The job of `past`, whose journal says that its folder was `was`, is a copy: the original's journal is there still,
 * and is another file than that in `now`. */
bool moved_is_copy(struct past *past, const char *was, const char *now);

#endif
