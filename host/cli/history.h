/* history.h: how commands print what scripts/report_*.lua tell of jobs. */
#ifndef LMR_CLI_HISTORY_H
#define LMR_CLI_HISTORY_H

#include "cli/table.h"
#include "data/codec.h"

/* Runs the report `name` (mr.report_NAME) with `argument`, which it completes by what the command line says, and ends.
 * Returns the exit code, having printed its errors. */
int history_report(const char *name, const struct request *request, struct val_map *argument);
/* Appends the ids of all jobs in a state folder as an encoded array, in no order. ST_USAGE: it cannot be read. */
enum status history_ids(const char *state_dir, struct buf *out, struct err *e);

#endif
