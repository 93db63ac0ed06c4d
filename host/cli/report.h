/* report.h: what a run prints at its end (the summary), and a dry run instead of running (the
 * plan): for a reader, or as JSON.
 *
 * JSON is one object on one line; names are those below, sizes are bytes, times are seconds:
 *   summary  exit_code outcome job output wall_seconds cpu_seconds peak_memory workers records_in
 *     bytes_in records_out bytes_out map_output_pairs run_bytes
 *   spills tasks attempts failures retries counters{group{name}} resume error{type message file
 *     offset record}
 *   plan     job inputs[{path size splits}] files bytes splits map_tasks reduce_tasks steps workers
 *     split_size sort_buffer seed profile
 *   state_dir work_dir output space_needed space_free output_needed output_free
 * What is not known is null. */
#ifndef LMR_CLI_REPORT_H
#define LMR_CLI_REPORT_H

#include "cli/print.h"
#include "schedule/job.h"

/* The block of a summary but for its first and last line, for which the exit code must be known. */
void summary_write(struct text *t, const struct job_summary *summary);
/* The last line of a job that is complete: where the result is (NULL: on standard output). */
void summary_result(struct text *t, const char *output_dir);
/* The fields of a summary; summary_json_end adds what exit code and error say (`e` is looked at
 * when the code is not 0), and closes the object. */
void summary_json(struct text *t, const struct job_summary *summary);
void summary_json_end(struct text *t, int exit_code, const struct err *e);

void plan_write(struct text *t, const struct job_plan_view *plan);
void plan_json(struct text *t, const struct job_plan_view *plan);

/* "complete", "failed", "interrupted", … for an exit code. */
const char *outcome_name(int exit_code);

#endif
