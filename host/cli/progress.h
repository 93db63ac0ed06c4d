/* progress.h: shows where a job stands, on standard error: one live line on a terminal,
 * otherwise a plain line now and then. */
#ifndef LMR_CLI_PROGRESS_H
#define LMR_CLI_PROGRESS_H

#include "cli/progress_text.h"

struct progress {
    bool live;    /* a terminal that can move its cursor */
    bool colour;
    bool off;     /* --quiet, or results are running over the same terminal */
    bool results_on_terminal;
    size_t columns; /* of the line that stands there; 0: none */
    int64_t start, next; /* when to show something again; ns */
    struct rates rates;
};

/* Looks at standard error, TERM and NO_COLOR. `results_fd` is where results will go, −1 when
 * into files. Hooks itself into the log, so that messages print above the live line; so it must
 * stay where it is until progress_end. */
void progress_start(struct progress *p, bool quiet, int results_fd);
void progress_show(struct progress *p, const struct job_snapshot *snapshot);
/* Takes the live line away; nothing is shown any more. */
void progress_end(struct progress *p);

#endif
