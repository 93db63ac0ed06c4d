/* stop.c: the end of a job that is to be gone on with: by a signal, by a verdict, by `lmr stop`.
 *
 * Nothing more is handed out, running maps are asked for a checkpoint, the job is checkpointed, and
 * then it ends. Who asks again ends it at once: what is committed is in the journal in any case. */
#include "schedule/driver.h"

#include "base/sys.h"

#include <signal.h>

enum { WAIT_SECONDS = 5, EXIT_BY_SIGNAL = 128 };

static void end(struct driver *d)
{
    struct err why = d->stop_why;
    driver_fail(d, &why, d->stop_code);
}

/* There is nothing to put down before the first round is planned. */
static bool is_at_work(const struct driver *d)
{
    return d->journal && d->at >= AT_PREPARE && d->at < AT_PUBLISH;
}

void stop_begin(struct driver *d, const struct err *why, int code, const char *reason)
{
    if (d->ending)
        return;
    bool again = d->stopping;
    d->stopping = true;
    d->stop_why = *why;
    d->stop_code = code;
    d->stop_reason = reason;
    if (again || !is_at_work(d)) {
        end(d);
        return;
    }
    d->core.halted = true;
    d->stop_until = sys_now() + INT64_C(1000000000) * WAIT_SECONDS;
    journal_event(d->journal, "stop", why->message);
    task_checkpoint_ask(d);
    driver_look_often(d);
}

void stop_turn(struct driver *d)
{
    if (!d->stopping || d->ending)
        return;
    if (sys_now() < d->stop_until && task_checkpoint_pending(d))
        return;
    checkpoint_now(d, d->stop_reason);
    end(d);
}

/* There is nothing more that signals could ask for; whoever sends them without end must not keep the loop
 * from ending. For all threads, and at once. */
static void hear_no_more(void)
{
    const struct sigaction ignore = { .sa_handler = SIG_IGN };
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        (void)sigaction(driver_stop_signals[i], &ignore, NULL);
}

void stop_by_signal(struct driver *d, int number)
{
    struct err e;
    if (d->ending) {
        hear_no_more();
        return;
    }
    (void)err_set(&e, ST_INTERRUPTED, "stopped by %s",
                  number == SIGINT   ? "an interrupt (SIGINT)"
                  : number == SIGHUP ? "the end of its terminal (SIGHUP)"
                                     : "SIGTERM");
    d->stop_signal = number;
    stop_begin(d, &e, EXIT_BY_SIGNAL + number, "signal");
    if (d->ending)
        hear_no_more();
}

void stop_by_demand(struct driver *d, struct control_reply *reply)
{
    struct err e;
    if (d->ending || d->at >= AT_PUBLISH) {
        control_say(reply, false, "the job is at its end just now");
        return;
    }
    if (d->stopping) {
        control_say(reply, true, "the job is being stopped already");
        return;
    }
    (void)err_set(&e, ST_INTERRUPTED, "stopped by lmr stop");
    control_say(reply, true, "the job is being stopped");
    stop_begin(d, &e, EXIT_STOPPED, "demand");
}
