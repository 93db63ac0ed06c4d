/* report.h: what a run prints at its end (the summary), and a dry run instead of running (the
 * plan): for a reader, or as JSON.
 *
 * JSON is one object on one line. Its fields are listed by `lmr help json` (topics.c). */
#ifndef LMR_CLI_REPORT_H
#define LMR_CLI_REPORT_H

#include "cli/print.h"
#include "schedule/job.h"

/* The block of a summary but for its first and last line, for which the exit code must be known. */
void summary_write(struct text *t, const struct job_summary *summary);
/* What a result lacks. */
struct view_losses {
    uint64_t quarantined, dropped;
    const char *job_id;
};
/* The last lines of a job that has a result: where it is (NULL: on standard output), and what is not in
 * it. */
void summary_result(struct text *t, const struct view_losses *losses, const char *output_dir);
/* The fields of a summary; summary_json_end adds what exit code and error say (`e` is looked at
 * when the code is not 0), and closes the object. */
void summary_json(struct text *t, const struct job_summary *summary);
void summary_json_end(struct text *t, int exit_code, const struct err *e);

void plan_write(struct text *t, const struct job_plan_view *plan);
void plan_json(struct text *t, const struct job_plan_view *plan);

/* What a resume will do, with `tasks` one by one; resume_tasks is the list alone. */
void resume_write(struct text *t, const struct resume_view *view, bool tasks);
void resume_tasks(struct text *t, const struct resume_view *view);
void resume_json(struct text *t, const struct resume_view *view, bool tasks);

/* "complete", "failed", "interrupted", … for an exit code. */
const char *outcome_name(int exit_code);

#endif
