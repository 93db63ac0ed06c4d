/* control.h: how a command reaches a running driver: a socket in the job's folder,
 * JOBDIR/control.sock.
 *
 * One request a connection, as wire frames: WIRE_REQUEST from the command, WIRE_REPLY from the
 * driver. Only the user the driver runs as (and root) may connect: mode 0600.
 *
 * REQUEST  { command = text, … }           REPLY  { ok = bool, message = text, … }
 *   command "profile": + profile = a name, or an absolute path.   (lmr profile use)
 *     ok: message tells what changed, in lines (struct policy_loaded: report); else why nothing did
 *   command "stop": the job ends in good order, to be gone on with. ok: it is about to; it has when
 *     the socket is gone
 *   command "checkpoint": ok: + number, path, bytes
 *   command "progress": ok: + phase ("map", …), step, steps, round, phase_tasks, phase_done, tasks, done,
 *     attempts, failures, records_in, bytes_in, status, running = { { task, attempt, speculative, worker,
 *     started (nanoseconds since 1970), records, bytes, pairs, fraction (of a map's input) }, … }
 * A driver that does not know a command answers ok = false and says so. More commands add their
 * fields here. */
#ifndef LMR_SCHEDULE_CONTROL_H
#define LMR_SCHEDULE_CONTROL_H

#include "data/codec.h"

#include <uv.h>

/* --- the driver's side --- */

struct control;
/* A request to be answered, once; gone when control_close was called. */
struct control_reply;

/* Called from the loop; `request` is a checked value, valid during the call. */
typedef void (*control_handler)(void *context, struct control_reply *reply, struct slice request);

/* Listens in the job's folder. A socket that an ended driver has left is replaced; ST_USAGE when
 * another driver listens there. */
enum status control_open(uv_loop_t *loop, const char *job_dir, control_handler handler,
                         void *context, struct control **out, struct err *e);
/* Removes a socket that stands in the job's folder. Who has the job's lock may: a driver that it was taken
 * over from may still listen. */
void control_forget(const char *job_dir);
/* Answers, at once or later, with an encoded map; a command that has gone is no error. */
void control_answer(struct control_reply *reply, struct slice answer);
/* The same with { ok, message }. */
void control_say(struct control_reply *reply, bool ok, const char *message);
/* Removes the socket. What was not answered is not any more: those commands are told that the job
 * ended. The loop must run once more before it is closed. NULL is accepted. */
void control_close(struct control *c);

/* --- the command's side --- */

/* Asks the driver of the job in `job_dir` and waits for its reply, which is appended. ST_USAGE: the
 * job is not running, or ended before it replied; ST_TIMEOUT: no reply within `seconds`. */
enum status control_call(const char *job_dir, struct slice request, double seconds,
                         struct buf *reply, struct err *e);

#endif
