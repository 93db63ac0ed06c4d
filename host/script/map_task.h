/* map_task.h: one map attempt: records in, a run file (or a part) out. */
#ifndef LMR_SCRIPT_MAP_TASK_H
#define LMR_SCRIPT_MAP_TASK_H

#include "data/collect.h"
#include "data/input.h"
#include "script/task.h"

/* Runs the map assignment of `t` in its state; the result (see attempt.h) is appended. Errors have their place. */
enum status map_task_run(struct task *t, struct buf *result, struct err *e);

#endif
