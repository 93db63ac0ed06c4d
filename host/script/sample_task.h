/* sample_task.h: a look at a spread of the input's records, to find the boundaries of a total order. */
#ifndef LMR_SCRIPT_SAMPLE_TASK_H
#define LMR_SCRIPT_SAMPLE_TASK_H

#include "script/task.h"

/* Runs the sample assignment of `t`; the result { boundaries = [ group bytes ] } is appended. The places it looks at are a function of the
 * parts alone. */
enum status sample_task_run(struct task *t, struct buf *result, struct err *e);

#endif
