/* worker.c: the worker process.
 *
 * Two threads: the main one runs attempts, the other one owns the socket. So an end of the driver,
 * and its wish to interrupt an attempt, are seen while user code runs, and the heartbeat goes on.
 * They share one mailbox. */
#include "base/log.h"
#include "base/sys.h"
#include "schedule/child.h"
#include "schedule/format.h"
#include "schedule/job.h"
#include "script/attempt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEARTBEAT_MS = 1000 };

struct worker {
    struct position *page;
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct buf mail; /* the assignment that waits for the main thread */
    bool has_mail;
    bool is_asking, has_answer, answer; /* a question about a record put aside; under the lock */
    int64_t serial; /* of the running attempt; likewise */
    _Atomic int64_t cpu_start; /* of the process, when the attempt began */
    int64_t deadline; /* of the running attempt (sys_now), or 0; under the lock */
};

/* --- the socket thread --- */

/* The driver is gone or speaks nonsense: nothing this process does matters any more. */
static _Noreturn void leave(void)
{
    _exit(0);
}

static void take_assignment(struct worker *w, struct slice assignment)
{
    double seconds = val_get_float(assignment, "deadline", 0);
    pthread_mutex_lock(&w->lock);
    w->mail.n = 0;
    if (buf_append_slice(&w->mail, assignment) != ST_OK)
        leave();
    w->has_mail = true;
    w->deadline = seconds > 0 ? sys_now() + (int64_t)(seconds * 1e9) : 0;
    pthread_cond_signal(&w->came);
    pthread_mutex_unlock(&w->lock);
}

static void take_answer(struct worker *w, struct slice payload)
{
    pthread_mutex_lock(&w->lock);
    if (w->is_asking && val_get_int(payload, "serial", -1) == w->serial) {
        w->answer = val_get_bool(payload, "put_aside", false);
        w->has_answer = true;
        pthread_cond_signal(&w->came);
    }
    pthread_mutex_unlock(&w->lock);
}

/* An attempt that waits for an answer runs no instruction that a hook could stop: it gets a no. Under
 * the lock. */
static void interrupt(struct worker *w)
{
    w->has_answer = w->is_asking;
    pthread_cond_signal(&w->came);
    script_interrupt(ST_TIMEOUT);
}

static void take_interrupt(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    interrupt(w);
    pthread_mutex_unlock(&w->lock);
}

static void take_messages(struct worker *w, struct wire_reader *reader)
{
    struct wire_message m;
    enum status st;
    while ((st = wire_take(reader, &m, NULL)) == ST_OK) {
        if (m.type == WIRE_ASSIGN)
            take_assignment(w, m.payload);
        else if (m.type == WIRE_INTERRUPT)
            take_interrupt(w);
        else if (m.type == WIRE_ANSWER)
            take_answer(w, m.payload);
        else
            leave();
    }
    if (st != ST_END)
        leave();
}

/* Milliseconds to the deadline of the running attempt, at most a heartbeat. Interrupts it when it
 * has passed. */
static int watch_deadline(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    int64_t left = w->deadline ? w->deadline - sys_now() : INT64_MAX;
    if (left <= 0) {
        w->deadline = 0;
        interrupt(w);
    }
    pthread_mutex_unlock(&w->lock);
    if (left <= 0 || left / 1000000 >= HEARTBEAT_MS)
        return HEARTBEAT_MS;
    return (int)(left / 1000000) + 1;
}

static void report_cpu(struct worker *w)
{
    int64_t used = sys_cpu_time() - atomic_load(&w->cpu_start);
    POSITION_SET(w->page, cpu_ns, used > 0 ? (uint64_t)used : 0);
}

static void *socket_main(void *argument)
{
    struct worker *w = argument;
    struct wire_reader reader = WIRE_READER_EMPTY;
    int64_t beat_at = sys_now();
    for (;;) {
        struct pollfd p = { .fd = CHILD_SOCKET_FD, .events = POLLIN };
        int ready = poll(&p, 1, watch_deadline(w));
        int64_t now = sys_now();
        if (now - beat_at >= (int64_t)HEARTBEAT_MS * 1000000 / 2) {
            POSITION_SET(w->page, heartbeat, POSITION_GET(w->page, heartbeat) + 1);
            report_cpu(w);
            beat_at = now;
        }
        if (ready <= 0)
            continue;
        bool closed = false;
        if (wire_fill(&reader, CHILD_SOCKET_FD, &closed, NULL) != ST_OK || closed)
            leave();
        take_messages(w, &reader);
    }
    return NULL;
}

/* --- the main thread --- */

static void wait_for_mail(struct worker *w, struct buf *assignment)
{
    pthread_mutex_lock(&w->lock);
    while (!w->has_mail)
        pthread_cond_wait(&w->came, &w->lock);
    struct buf empty = *assignment;
    *assignment = w->mail;
    w->mail = empty;
    w->has_mail = false;
    pthread_mutex_unlock(&w->lock);
}

/* attempt_host.put_aside: asks the driver, and waits. */
static bool ask_put_aside(void *context, const struct err *e)
{
    struct worker *w = context;
    struct buf question = BUF_EMPTY, error = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    if (wire_put_err(e, &error) != ST_OK)
        return false;
    val_map_int(&m, "serial", w->serial);
    val_map_value(&m, "error", buf_slice(&error));
    buf_free(&error);
    if (val_map_end(&m, &question) != ST_OK)
        return false;
    pthread_mutex_lock(&w->lock);
    w->is_asking = true;
    w->has_answer = w->answer = false;
    pthread_mutex_unlock(&w->lock);
    child_send(WIRE_ASK, buf_slice(&question));
    buf_free(&question);
    pthread_mutex_lock(&w->lock);
    while (!w->has_answer)
        pthread_cond_wait(&w->came, &w->lock);
    bool answer = w->answer;
    w->is_asking = false;
    pthread_mutex_unlock(&w->lock);
    return answer;
}

static enum status run_attempt(struct worker *w, struct slice assignment, struct buf *result,
                               struct err *e)
{
    struct attempt_host host = { ask_put_aside, w };
    struct slice kind;
    if (val_get_string(assignment, "kind", &kind) && slice_equal(kind, slice_str("format")))
        return format_attempt(assignment, w->page, result, e);
    return script_attempt(assignment, w->page, &host, result, e);
}

/* What an attempt gave, as the payload of WIRE_RESULT. */
static enum status answer(const struct worker *w, int64_t serial, enum status st,
                          struct slice result, const struct err *e, struct buf *out)
{
    struct buf error = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    val_map_int(&m, "serial", serial);
    val_map_int(&m, "cpu_ns", sys_cpu_time() - atomic_load(&w->cpu_start));
    if (st == ST_OK)
        val_map_value(&m, "result", result);
    else if (wire_put_err(e, &error) == ST_OK)
        val_map_value(&m, "error", buf_slice(&error));
    st = val_map_end(&m, out);
    buf_free(&error);
    return st;
}

static void serve(struct worker *w)
{
    struct buf assignment = BUF_EMPTY, result = BUF_EMPTY, message = BUF_EMPTY;
    for (;;) {
        wait_for_mail(w, &assignment);
        struct slice a = buf_slice(&assignment);
        int64_t serial = val_get_int(a, "serial", 0);
        atomic_store(&w->cpu_start, sys_cpu_time());
        int64_t started = sys_now();
        position_begin(w->page, (uint64_t)serial);
        pthread_mutex_lock(&w->lock);
        w->serial = serial;
        pthread_mutex_unlock(&w->lock);
        struct err e;
        err_clear(&e);
        result.n = message.n = 0;
        enum status st = run_attempt(w, a, &result, &e);
        pthread_mutex_lock(&w->lock);
        w->deadline = 0;
        pthread_mutex_unlock(&w->lock);
        if (st != ST_OK)
            e.status = st;
        if (e.elapsed_seconds < 0)
            e.elapsed_seconds = (double)(sys_now() - started) / 1e9;
        if (answer(w, serial, st, buf_slice(&result), &e, &message) != ST_OK)
            _exit(1);
        POSITION_SET(w->page, phase, POS_IDLE);
        child_send(WIRE_RESULT, buf_slice(&message));
    }
}

static void say_hello(void)
{
    struct buf hello = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "lmr", LMR_VERSION);
    val_map_int(&m, "pid", getpid());
    val_map_int(&m, "page", (int64_t)sizeof(struct position));
    if (val_map_end(&m, &hello) != ST_OK)
        _exit(1);
    child_send(WIRE_HELLO, buf_slice(&hello));
    buf_free(&hello);
}

/* --- becoming a worker --- */

int worker_main(void)
{
    if (!child_begin("worker"))
        return 2;
    struct worker w = { .lock = PTHREAD_MUTEX_INITIALIZER,
                        .came = PTHREAD_COND_INITIALIZER,
                        .mail = BUF_EMPTY };
    void *page = mmap(NULL, sizeof(struct position), PROT_READ | PROT_WRITE, MAP_SHARED,
                      CHILD_PAGE_FD, 0);
    if (page == MAP_FAILED) {
        child_misused("worker");
        return 2;
    }
    w.page = page;
    child_raise_oom_score();
    pthread_t thread;
    if (pthread_create(&thread, NULL, socket_main, &w) != 0) {
        log_error("cannot start the worker's second thread: %s", strerror(errno));
        return 1;
    }
    say_hello();
    serve(&w);
    return 0;
}
