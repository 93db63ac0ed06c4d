/* control_path.h: the address of a job's control socket, for both of its sides. */
#ifndef LMR_SCHEDULE_CONTROL_PATH_H
#define LMR_SCHEDULE_CONTROL_PATH_H

#include "base/status.h"

#include <sys/un.h>

#define CONTROL_NAME "control.sock"

/* Opens the job's folder and makes the address by its descriptor, as the path itself may be longer than an
 * address holds. The address is good while *dir_fd (the caller's to close, −1 on failure) is open. */
enum status control_address(const char *job_dir, struct sockaddr_un *address, int *dir_fd,
                            struct err *e);

#endif
