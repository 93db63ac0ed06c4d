/* child.h: what every process that the driver starts does first and last: `lmr worker` and
 * `lmr policy`. The driver's socket is descriptor 3, the position page 4 (engine/local.h). */
#ifndef LMR_SCHEDULE_CHILD_H
#define LMR_SCHEDULE_CHILD_H

#include "schedule/wire.h"

enum { CHILD_SOCKET_FD = 3, CHILD_PAGE_FD = 4 };

/* Ties the process to the driver: dies with it, has a process group of its own (so that Ctrl-C in a
 * terminal reaches the driver alone), and keeps both descriptors from children of user code. False,
 * with a message, when `lmr COMMAND` was not started by a driver. */
bool child_begin(const char *command);
/* The message of a `lmr COMMAND` that no driver has started. */
void child_misused(const char *command);
/* When memory runs out, the kernel shall take this process and not the driver. Failing at it is no
 * harm. */
void child_raise_oom_score(void);
/* Sends a whole message, or ends the process: without the driver nothing it does matters. */
void child_send(enum wire_type type, struct slice payload);

#endif
