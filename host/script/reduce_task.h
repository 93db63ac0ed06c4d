/* reduce_task.h: one reduce attempt: merged runs in, a part file out. */
#ifndef LMR_SCRIPT_REDUCE_TASK_H
#define LMR_SCRIPT_REDUCE_TASK_H

#include "script/task.h"

/* Runs the reduce assignment of `t` in its state; the result (see attempt.h) is appended. Errors name the group's key. */
enum status reduce_task_run(struct task *t, struct buf *result, struct err *e);

#endif
