/* remote_task.h: asking servers for the size of inputs behind http:// and https://. No Lua is run. */
#ifndef LMR_SCRIPT_REMOTE_TASK_H
#define LMR_SCRIPT_REMOTE_TASK_H

#include "script/task.h"

/* Runs the remote assignment of `t` (only its page and its interrupt are used of its state); the result { files } is appended. */
enum status remote_task_run(struct task *t, struct buf *result, struct err *e);

#endif
