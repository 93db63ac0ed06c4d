/* side_task.h: building the index of a side file. No Lua is run. */
#ifndef LMR_SCRIPT_SIDE_TASK_H
#define LMR_SCRIPT_SIDE_TASK_H

#include "script/task.h"

/* Runs the side assignment of `t` (only its page is used of its state); the result { records, bytes } is appended. */
enum status side_task_run(struct task *t, struct buf *result, struct err *e);

#endif
