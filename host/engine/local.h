/* local.h: worker processes on this machine, one a slot, in the driver's event loop.
 *
 * A worker is this same program, exec'd as `lmr worker` (a policy host: `lmr policy`), with a
 * socket on descriptor 3 and its position page (a memfd) on 4. Its standard output goes to our
 * standard error, so that a print in a job cannot get into the results. The pool owns processes,
 * sockets and pages. */
#ifndef LMR_ENGINE_LOCAL_H
#define LMR_ENGINE_LOCAL_H

#include "base/position.h"
#include "schedule/wire.h"

#include <uv.h>

/* How a worker ended. `err` says it in words (ST_CRASH), without the position. */
struct worker_end {
    int64_t exit_status;
    int signal; /* 0: it exited */
    long pid;
    const struct position *page; /* as it left it; valid during the call */
    struct err err;
};

struct pool_handlers {
    /* A whole message came. A broken one is told as an end: the pool kills that worker. */
    void (*message)(void *context, uint32_t slot, const struct wire_message *message);
    /* The process is gone and all it sent was delivered; the slot is free. */
    void (*down)(void *context, uint32_t slot, const struct worker_end *end);
    void *context;
};

struct pool;

/* `command` is what the processes are exec'd with: "worker" or "policy" (a constant). */
enum status pool_open(uv_loop_t *loop, const char *command, uint32_t slots,
                      const struct pool_handlers *handlers, struct pool **out, struct err *e);
/* Starts a worker in an empty slot. */
enum status pool_spawn(struct pool *p, uint32_t slot, struct err *e);
/* Queues a message; what the socket does not take at once goes later. A worker that is gone takes
 * nothing (its end comes as `down`). */
enum status pool_send(struct pool *p, uint32_t slot, enum wire_type type, struct slice payload,
                      struct err *e);
/* SIGKILL to the worker and its process group. */
void pool_kill(struct pool *p, uint32_t slot);
/* Reads what the sockets hold, without waiting, and delivers it: before a timeout is judged. */
void pool_drain(struct pool *p);
/* The page of a slot's worker, or NULL. */
const struct position *pool_page(const struct pool *p, uint32_t slot);
/* Asks the slot's worker for a checkpoint of its attempt (base/position.h). */
void pool_ask_checkpoint(struct pool *p, uint32_t slot);
long pool_pid(const struct pool *p, uint32_t slot);
uint32_t pool_live(const struct pool *p);
/* Closes the workers' sockets: idle ones leave. `down` is still told. */
void pool_dismiss(struct pool *p);
/* Greatest resident set of any worker that has ended, bytes. */
uint64_t pool_peak_memory(void);
/* Frees the pool; every worker must be down and the loop have run since. */
void pool_close(struct pool *p);

#endif
