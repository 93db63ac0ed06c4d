/* driver.c: the event loop. It delivers events to the core and has its actions carried out; between
 * the two stands nothing. */
#include "schedule/driver.h"

#include "base/sys.h"
#include "schedule/restore.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

enum { POLL_MS = 200, LEAVE_MS = 2000, MILLISECOND = 1000000, STAGES_MAX = 8, LOOK_MS = 10 };

/* --- events --- */

void driver_deliver(struct driver *d, const struct core_event *event)
{
    core_event(&d->core, event, sys_now());
    if (buf_append(&d->actions, d->core.actions, d->core.action_count * sizeof *d->core.actions) ==
        ST_OK)
        return;
    struct err e;
    (void)err_memory(&e, "the scheduler", d->actions.n);
    driver_fail(d, &e, 1);
}

/* Any change of what the page shows is progress; the numbers themselves do not matter here. */
static uint64_t page_stamp(const struct position *page)
{
    const uint64_t fields[] = {
        POSITION_GET(page, attempt_serial), POSITION_GET(page, phase),
        POSITION_GET(page, part),           POSITION_GET(page, offset),
        POSITION_GET(page, record),         POSITION_GET(page, bytes_in),
        POSITION_GET(page, pairs_out),      POSITION_GET(page, spills),
        POSITION_GET(page, progress),
    };
    uint64_t stamp = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        stamp = (stamp ^ fields[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return stamp;
}

/* How much of its input a map has taken in; of a reduce's nobody knows how much there is. */
double driver_fraction(const struct driver *d, uint32_t slot, const struct position *page)
{
    uint32_t task = d->core.slots[slot].task;
    if (task == CORE_NONE || d->work[task].kind != WORK_MAP ||
        POSITION_GET(page, attempt_serial) != d->core.slots[slot].serial)
        return -1;
    double whole = (double)d->plan.splits.splits[d->work[task].index].bytes;
    double taken = (double)POSITION_GET(page, bytes_in);
    return whole > 0 && taken <= whole ? taken / whole : -1;
}

static void observe_pages(struct driver *d)
{
    for (uint32_t slot = 0; slot < d->core.slot_count; slot++) {
        const struct position *page = pool_page(d->pool, slot);
        if (!page)
            continue;
        task_checkpoint_see(d, slot, page);
        driver_deliver(d, &(struct core_event){ .kind = CORE_PAGE,
                                                .slot = slot,
                                                .heartbeat = POSITION_GET(page, heartbeat),
                                                .progress = page_stamp(page),
                                                .fraction = driver_fraction(d, slot, page) });
    }
}

/* Workers were told to leave or killed; one that does not (stopped by a signal) must not keep us. */
static void hurry(struct driver *d)
{
    if (sys_now() - d->ending_since < INT64_C(1) * LEAVE_MS * MILLISECOND)
        return;
    for (uint32_t slot = 0; slot < d->core.slot_count; slot++)
        pool_kill(d->pool, slot);
}

/* Sockets first: a result that stands there already is no timeout. */
static void on_poll(uv_timer_t *timer)
{
    struct driver *d = timer->data;
    if (d->ending) {
        hurry(d);
        return;
    }
    pool_drain(d->pool);
    observe_pages(d);
    driver_deliver(d, &(struct core_event){ .kind = CORE_TICK });
    report_progress(d);
}

static void on_due(uv_timer_t *timer)
{
    struct driver *d = timer->data;
    pool_drain(d->pool);
    driver_deliver(d, &(struct core_event){ .kind = CORE_TICK });
}

const int driver_stop_signals[STOP_SIGNALS] = { SIGINT, SIGTERM, SIGHUP };

static void on_signal(uv_signal_t *handle, int number)
{
    stop_by_signal(handle->data, number);
}

void driver_look_often(struct driver *d)
{
    d->polling = true;
    (void)uv_timer_start(&d->poll_timer, on_poll, LOOK_MS, LOOK_MS);
}

/* --- a turn of the loop --- */

static void set_due_timer(struct driver *d)
{
    int64_t due = core_next_due(&d->core);
    if (due == INT64_MAX)
        return;
    int64_t left = due - sys_now();
    uv_update_time(&d->loop);
    (void)uv_timer_start(&d->due_timer, on_due, left > 0 ? (uint64_t)(left / MILLISECOND) + 1 : 1,
                         0);
}

/* Runs before the loop waits: what the turn's events asked for is carried out. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct driver *d = prepare->data;
    carry_out(d);
    stop_turn(d);
    if (d->stopping && d->ending)
        carry_out(d); /* the workers are killed now and not a turn later */
    checkpoint_turn(d);
    if (d->journal)
        journal_settle(d->journal); /* the workers have their assignments */
    if (!d->ending)
        set_due_timer(d);
    if (d->core.live > 0 && !d->polling) {
        d->polling = true;
        (void)uv_timer_start(&d->poll_timer, on_poll, POLL_MS, POLL_MS);
    }
    if (d->ending && pool_live(d->pool) == 0)
        uv_stop(&d->loop);
}

/* --- tasks --- */

static void free_work(struct driver *d)
{
    for (uint32_t i = 0; i < d->work_count; i++) {
        buf_free(&d->work[i].result);
        buf_free(&d->work[i].skip);
        sys_free(d->work[i].failure);
    }
    sys_free(d->work);
    d->work = NULL;
    d->work_count = 0;
}

enum status driver_make_work(struct driver *d, const struct work_group *groups, uint32_t count,
                             struct err *e)
{
    uint32_t total = 0, next = 0;
    for (uint32_t g = 0; g < count; g++)
        total += groups[g].count;
    free_work(d);
    d->work = sys_calloc(total ? total : 1, sizeof *d->work);
    if (!d->work)
        return err_memory(e, "the task table", total * sizeof *d->work);
    d->work_count = total;
    for (uint32_t g = 0; g < count; g++)
        for (uint32_t i = 0; i < groups[g].count; i++)
            d->work[next++] =
                (struct work){ .kind = groups[g].kind, .index = i, .skip = BUF_EMPTY, .result = BUF_EMPTY };
    return ST_OK;
}

void driver_load(struct driver *d, const struct work_group *groups, uint32_t count, bool staged)
{
    uint32_t sizes[STAGES_MAX] = { 0 };
    struct err e;
    CHECK(count <= STAGES_MAX);
    for (uint32_t g = 0; g < count; g++)
        sizes[staged ? g : 0] += groups[g].count;
    enum status st = driver_make_work(d, groups, count, &e);
    if (st == ST_OK)
        st = core_load(&d->core, sizes, staged ? count : 1, &e);
    if (st != ST_OK) {
        driver_fail(d, &e, 1);
        return;
    }
    restore_tasks(d);
    task_checkpoint_find(d);
    if (!d->ending)
        driver_deliver(d, &(struct core_event){ .kind = CORE_BEGIN });
}

/* --- standard input --- */

struct spooling {
    struct driver *driver;
    char *path;
    bool durable;
};

/* A thread, as reading may wait for ever; it may outlive the driver's interest in it, but not the
 * process. */
static void *spool_main(void *argument)
{
    struct spooling *s = argument;
    struct driver *d = s->driver;
    err_clear(&d->spool_failure);
    (void)input_spool(0, s->path, s->durable, &d->spool_bytes, &d->spool_failure);
    sys_free(s->path);
    sys_free(s);
    (void)uv_async_send(&d->spooled);
    return NULL;
}

static void on_spooled(uv_async_t *async)
{
    struct driver *d = async->data;
    d->spooling = false;
    if (!d->ending)
        steps_spooled(d);
}

void driver_spool(struct driver *d, const char *path)
{
    struct err e;
    pthread_t thread;
    struct spooling *s = sys_calloc(1, sizeof *s);
    char *copy = sys_strdup(path);
    if (s && copy) {
        *s = (struct spooling){ d, copy, d->job.durable };
        d->spooling = true;
        if (pthread_create(&thread, NULL, spool_main, s) == 0) {
            (void)pthread_detach(thread);
            return;
        }
        d->spooling = false;
    }
    sys_free(copy);
    sys_free(s);
    (void)err_set(&e, ST_CRASH, "cannot start a thread that reads standard input");
    driver_fail(d, &e, 1);
}

/* --- ends --- */

void driver_fail(struct driver *d, const struct err *e, int code)
{
    if (d->ending)
        return;
    d->ending = true;
    d->ending_since = sys_now();
    d->failure = *e;
    bool is_kept = e->status == ST_DISK_FULL && d->restore; /* it stays as it was left */
    d->exit_code = code                      ? code
                   : e->status == ST_USAGE   ? EXIT_WRONG_USAGE
                   : is_kept                 ? EXIT_STOPPED
                                             : EXIT_FAILED;
    (void)fence_holds(d);
    d->core.over = true;
    driver_deliver(d, &(struct core_event){ .kind = CORE_STOP });
}

void driver_end(struct driver *d, int code)
{
    if (d->ending)
        return;
    d->ending = true;
    d->ending_since = sys_now();
    d->exit_code = code;
    pool_dismiss(d->pool);
}

/* --- open, run, close --- */

/* Until the profile is known: the built-in rules, and nothing is tried again. */
static enum status open_rules(struct driver *d, struct err *e)
{
    static const uint8_t nothing[] = { VAL_MAP, 0 };
    enum status st = rules_read(slice_of(nothing, sizeof nothing), &d->arena, &d->job.rules, e);
    d->job.rules.retry.max_retries = 0;
    d->job.log_level = LOG_NOTES;
    return st;
}

static enum status open_core(struct driver *d, struct err *e)
{
    /* Until the job's own limits are known: for its description. */
    const struct core_limits limits = { .heartbeat_timeout = INT64_C(30) * 1000 * MILLISECOND,
                                        .task_timeout = INT64_C(60) * 1000 * MILLISECOND,
                                        .grace = INT64_C(1000) * MILLISECOND,
                                        .restarts = 5,
                                        .restart_window = INT64_C(10) * 1000 * MILLISECOND };
    d->workers = d->options->workers ? d->options->workers : sys_cores();
    d->running = sys_calloc(d->workers, sizeof *d->running);
    d->failures = sys_calloc(d->workers, sizeof(struct failure *));
    if (!d->running || !d->failures)
        return err_memory(e, "the worker slots", d->workers * sizeof *d->running);
    struct pool_handlers handlers = { carry_message, carry_worker_end, d };
    enum status st = open_rules(d, e);
    if (st == ST_OK)
        st = checkpoints_open(d, e);
    if (st == ST_OK)
        st = core_open(&d->core, d->workers, &limits, e);
    return st == ST_OK ? pool_open(&d->loop, "worker", d->workers, &handlers, &d->pool, e) : st;
}

/* A signal that was ignored from the start stays so: nohup and shells say it that way. */
static void watch_signals(struct driver *d)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        struct sigaction now;
        (void)uv_signal_init(&d->loop, &d->stops[i]);
        d->stops[i].data = d;
        if (sigaction(driver_stop_signals[i], NULL, &now) != 0 || now.sa_handler != SIG_IGN)
            (void)uv_signal_start(&d->stops[i], on_signal, driver_stop_signals[i]);
    }
}

static enum status driver_open(struct driver *d, struct err *e)
{
    if (uv_loop_init(&d->loop) != 0)
        return err_set(e, ST_CRASH, "cannot start the event loop");
    (void)uv_prepare_init(&d->loop, &d->prepare);
    (void)uv_timer_init(&d->loop, &d->poll_timer);
    (void)uv_timer_init(&d->loop, &d->due_timer);
    (void)uv_async_init(&d->loop, &d->spooled, on_spooled);
    fence_open(d);
    d->prepare.data = d->poll_timer.data = d->due_timer.data = d;
    d->spooled.data = d;
    (void)uv_prepare_start(&d->prepare, on_prepare);
    watch_signals(d);
    (void)signal(SIGPIPE, SIG_IGN);
    return open_core(d, e);
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void driver_free(struct driver *d)
{
    free_work(d);
    decide_free(d);
    checkpoints_close(d);
    core_close(&d->core);
    pool_close(d->pool);
    for (uint32_t i = 0; d->failures && i < d->workers; i++)
        sys_free(d->failures[i]);
    sys_free(d->failures);
    sys_free(d->running);
    buf_free(&d->change_name);
    buf_free(&d->aside_example);
    description_free(&d->job);
    place_free(&d->place);
    restore_free(d);
    plan_round_free(&d->plan);
    arena_free(&d->arena);
    result_free(d);
    kept_free(&d->indexes);
    kept_free(&d->seen_warnings);
    buf_free(&d->inputs);
    buf_free(&d->previous);
    buf_free(&d->status);
    buf_free(&d->actions);
    sys_free(d);
}

/* Stopped by a signal, the process is about to say so and end: another one is not to silence it. */
static void hold_signals(const struct driver *d)
{
    sigset_t stops;
    (void)sigemptyset(&stops);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        (void)sigaddset(&stops, driver_stop_signals[i]);
    if (d->stop_signal)
        (void)sigprocmask(SIG_BLOCK, &stops, NULL);
}

/* While a thread still reads standard input the driver's memory stays: the process is about to end.
 */
static void driver_close(struct driver *d)
{
    if (d->spooling)
        return;
    hold_signals(d);
    uv_walk(&d->loop, close_handle, NULL);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&d->loop);
    driver_free(d);
}

/* False: there is nothing to run. */
static bool open_past(struct driver *d)
{
    struct err e;
    int code = 0;
    enum status st = restore_open(d, &code, &e);
    if (st == ST_END)
        driver_end(d, code);
    else if (st != ST_OK)
        driver_fail(d, &e, 0);
    return st == ST_OK;
}

static int close_at_once(struct driver *d, struct err *e)
{
    int code = d->exit_code;
    *e = d->failure;
    driver_close(d);
    return code;
}

int job_run(const struct run_options *options, const struct job_observer *observer, struct err *e)
{
    static const struct job_observer no_observer = { 0 };
    struct driver *d = sys_calloc(1, sizeof *d);
    err_clear(e);
    if (!d) {
        (void)err_memory(e, "the driver", sizeof *d);
        return 1;
    }
    d->options = options;
    d->observer = observer ? observer : &no_observer;
    d->started = sys_now();
    err_clear(&d->failure);
    enum status st = driver_open(d, e);
    if (st != ST_OK)
        return 1;
    if (options->resume && !open_past(d))
        return close_at_once(d, e);
    steps_start(d);
    (void)uv_run(&d->loop, UV_RUN_DEFAULT);
    CHECK(d->ending && pool_live(d->pool) == 0);
    checkpoint_end(d);
    control_close(d->control);
    policy_close(d->policy);
    finish_cleanup(d);
    finish_summary(d);
    int code = d->exit_code;
    *e = d->failure;
    driver_close(d);
    return code;
}
