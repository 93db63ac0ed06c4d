#include "schedule/policy.h"

#include "base/sys.h"
#include "engine/local.h"
#include "script/policy.h"

#include <stdio.h>

enum { HOSTS = 2, MS = 1000 };

struct question {
    struct question *next;
    uint64_t id;
    uint32_t function;
    struct buf message;
};

enum host_state {
    HOST_NONE,
    HOST_LOADING,
    HOST_READY,
    HOST_ASKING, /* the first of the questions */
    HOST_ENDING  /* killed, or leaving; its end was not told yet */
};

struct host {
    struct policy *p;
    uint32_t slot;
    enum host_state state;
    uv_timer_t timer; /* of loading or asking */
    struct buf loaded; /* what it said of itself */
};

/* How often a function was lost, and the last problem. */
struct lives {
    uint32_t function, lost;
    char problem[ERR_MESSAGE_MAX];
};

struct policy {
    uv_loop_t *loop;
    struct policy_handlers handlers;
    struct pool *pool;
    struct host hosts[HOSTS];
    uint32_t active; /* which of them is asked; the other one loads what policy_load was given */
    struct buf config, profile;
    bool wants_load; /* policy_load has something for the other host */
    struct buf next_config, previous;
    struct question *first, **last;
    uv_timer_t kick; /* runs the queue from the loop */
    struct lives *lives;
    uint32_t lives_count;
    uint32_t load_failures; /* in a row */
    struct err load_problem;
    bool closing;
    unsigned open_timers;
};

static void on_kick(uv_timer_t *timer);

static void kick(struct policy *p)
{
    if (!p->closing)
        (void)uv_timer_start(&p->kick, on_kick, 0, 0);
}

static struct host *active(struct policy *p)
{
    return &p->hosts[p->active];
}

static struct host *other(struct policy *p)
{
    return &p->hosts[1 - p->active];
}

/* --- questions --- */

static void question_free(struct question *q)
{
    buf_free(&q->message);
    sys_free(q);
}

static struct question *pop(struct policy *p)
{
    struct question *q = p->first;
    p->first = q->next;
    if (!p->first)
        p->last = &p->first;
    return q;
}

static struct question *take_all(struct policy *p)
{
    struct question *all = p->first;
    p->first = NULL;
    p->last = &p->first;
    return all;
}

static void answer(struct policy *p, struct question *q, enum status st, struct slice value,
                   const struct err *problem)
{
    p->handlers.answered(p->handlers.context, q->id, st, value, st == ST_OK ? NULL : problem);
    question_free(q);
}

static void fail_all(struct policy *p, struct question *q, const struct err *problem)
{
    while (q) {
        struct question *next = q->next;
        answer(p, q, problem->status, slice_of(NULL, 0), problem);
        q = next;
    }
}

/* --- lives of a function --- */

static struct lives *lives_of(const struct policy *p, uint32_t function)
{
    for (uint32_t i = 0; i < p->lives_count; i++)
        if (p->lives[i].function == function)
            return &p->lives[i];
    return NULL;
}

static void forget_lives(struct policy *p)
{
    sys_free(p->lives);
    p->lives = NULL;
    p->lives_count = 0;
    p->load_failures = 0;
}

/* Without memory for the count it is asked again, which is no harm. */
static void lose(struct policy *p, uint32_t function, const struct err *problem)
{
    struct lives *l = lives_of(p, function);
    if (!l) {
        struct lives *more = sys_realloc(p->lives, (p->lives_count + 1) * sizeof *more);
        if (!more)
            return;
        p->lives = more;
        l = &more[p->lives_count++];
        *l = (struct lives){ .function = function };
    }
    l->lost++;
    (void)snprintf(l->problem, sizeof l->problem, "%s", problem->message);
}

static bool is_off(const struct policy *p, const struct question *q, struct err *e)
{
    const struct lives *l = lives_of(p, q->function);
    if (!l || l->lost < POLICY_LIVES)
        return false;
    (void)err_set(e, ST_TIMEOUT, "%s; this was the case %d times, so the function is switched off",
                  l->problem, POLICY_LIVES);
    return true;
}

/* "my.lua:14", or "function 3" when its host could not say. */
static void place_of(const struct policy *p, uint32_t function, char *out, size_t cap)
{
    struct slice places, one = { NULL, 0 }, text;
    struct val_cursor c;
    uint64_t count = 0;
    if (val_get(buf_slice(&p->hosts[p->active].loaded), "places", &places))
        count = val_array(places, &c);
    (void)snprintf(out, cap, "function %u", (unsigned)function);
    for (uint32_t i = 0; i < function && function <= count; i++)
        if (val_skip(&c, &one) != ST_OK)
            return;
    if (function > 0 && function <= count && val_as_string(one, &text))
        (void)snprintf(out, cap, "%.*s", (int)text.n, (const char *)text.p);
}

/* --- hosts --- */

static void end_host(struct host *h)
{
    (void)uv_timer_stop(&h->timer);
    if (h->state == HOST_NONE)
        return;
    h->state = HOST_ENDING;
    pool_kill(h->p->pool, h->slot);
}

/* What a host that is asked, or one that shall be, cannot load. */
static void load_failed(struct host *h, const struct err *e)
{
    struct policy *p = h->p;
    struct err problem = *e;
    if (h != active(p)) {
        p->wants_load = false;
        p->handlers.loaded(p->handlers.context, problem.status, NULL, &problem);
        return;
    }
    p->load_failures++;
    p->load_problem = problem;
    fail_all(p, take_all(p), &problem);
}

static void on_late(uv_timer_t *timer);

static enum status load_message(const struct policy *p, const struct host *h, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    bool is_active = h == &p->hosts[p->active];
    const struct buf *config = is_active ? &p->config : &p->next_config;
    if (config->n > 0)
        val_map_value(&m, "config", buf_slice(config));
    if (!is_active && p->previous.n > 0)
        val_map_value(&m, "previous", buf_slice(&p->previous));
    return val_map_end(&m, out);
}

static void start_host(struct host *h)
{
    struct policy *p = h->p;
    struct buf message = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    enum status st = load_message(p, h, &message);
    if (st != ST_OK)
        (void)err_memory(&e, "a profile", message.n);
    if (st == ST_OK)
        st = pool_spawn(p->pool, h->slot, &e);
    if (st == ST_OK) {
        h->state = HOST_LOADING;
        h->loaded.n = 0;
        uv_update_time(p->loop);
        (void)uv_timer_start(&h->timer, on_late, POLICY_READY_SECONDS * MS, 0);
        st = pool_send(p->pool, h->slot, WIRE_POLICY_LOAD, buf_slice(&message), &e);
        if (st != ST_OK)
            end_host(h);
    }
    buf_free(&message);
    if (st != ST_OK)
        load_failed(h, &e);
}

static void ask(struct host *h)
{
    struct policy *p = h->p;
    struct err e;
    h->state = HOST_ASKING;
    uv_update_time(p->loop);
    (void)uv_timer_start(&h->timer, on_late, POLICY_ANSWER_SECONDS * MS, 0);
    if (pool_send(p->pool, h->slot, WIRE_POLICY_ASK, buf_slice(&p->first->message), &e) == ST_OK)
        return;
    (void)uv_timer_stop(&h->timer);
    h->state = HOST_READY;
    answer(p, pop(p), e.status, slice_of(NULL, 0), &e);
    kick(p);
}

/* Questions that need no host are answered; then the first that does is put, or a host started. */
static void run_queue(struct policy *p)
{
    struct host *h = active(p);
    struct err e;
    if (h->state == HOST_ASKING)
        return;
    while (p->first && is_off(p, p->first, &e))
        answer(p, pop(p), e.status, slice_of(NULL, 0), &e);
    if (p->first && p->load_failures >= POLICY_LIVES)
        fail_all(p, take_all(p), &p->load_problem);
    if (!p->first)
        return;
    if (h->state == HOST_NONE)
        start_host(h);
    else if (h->state == HOST_READY)
        ask(h);
}

static void on_kick(uv_timer_t *timer)
{
    struct policy *p = timer->data;
    if (p->closing)
        return;
    if (p->wants_load && other(p)->state == HOST_NONE)
        start_host(other(p));
    run_queue(p);
}

/* The question that was put is answered with a failure that costs its function a life. */
static void lose_first(struct policy *p, struct err *e)
{
    struct question *q = pop(p);
    lose(p, q->function, e);
    answer(p, q, e->status, slice_of(NULL, 0), e);
}

static void on_late(uv_timer_t *timer)
{
    struct host *h = timer->data;
    struct policy *p = h->p;
    char place[ERR_FILE_MAX];
    struct err e;
    pool_drain(p->pool); /* what stands in the socket already is not late */
    enum host_state state = h->state;
    if (state != HOST_LOADING && state != HOST_ASKING)
        return;
    end_host(h);
    if (state == HOST_LOADING) {
        (void)err_set(&e, ST_TIMEOUT, "the policy host was not ready within %d s",
                      POLICY_READY_SECONDS);
        load_failed(h, &e);
        return;
    }
    place_of(p, p->first->function, place, sizeof place);
    (void)err_set(&e, ST_TIMEOUT,
                  "%s: the policy function gave no answer within %d s, and could not be stopped (a "
                  "slow pattern, a loop in a coroutine?): its process was killed",
                  place, POLICY_ANSWER_SECONDS);
    lose_first(p, &e);
}

/* --- what hosts say --- */

static const char *text_of(struct slice map, const char *name, struct buf *out)
{
    struct slice text = { NULL, 0 };
    (void)val_get_string(map, name, &text);
    bool ok = buf_append_slice(out, text) == ST_OK && buf_terminate(out) == ST_OK;
    return ok ? (const char *)out->p : "";
}

/* The candidate holds: it is the one that is asked from now on. */
static void take_over(struct host *h)
{
    struct policy *p = h->p;
    struct buf spare = p->config, report = BUF_EMPTY;
    struct question *waiting = take_all(p);
    struct slice loaded = buf_slice(&h->loaded);
    struct policy_loaded told = { .profile = slice_of(NULL, 0) };
    struct err e;
    p->config = p->next_config;
    p->next_config = spare;
    p->wants_load = false;
    end_host(active(p));
    p->active = h->slot;
    forget_lives(p);
    (void)val_get(loaded, "profile", &told.pure);
    if (!val_get(loaded, "adopted", &told.profile))
        told.profile = told.pure;
    (void)val_get(loaded, "warnings", &told.warnings);
    told.config = buf_slice(&p->config);
    told.report = text_of(loaded, "report", &report);
    p->profile.n = 0;
    (void)buf_append_slice(&p->profile, told.pure);
    p->handlers.loaded(p->handlers.context, ST_OK, &told, NULL);
    (void)err_set(&e, ST_INTERRUPTED, "other rules were taken meanwhile");
    fail_all(p, waiting, &e);
    buf_free(&report);
}

static bool is_expected(const struct policy *p, struct slice loaded)
{
    struct slice profile;
    return p->profile.n == 0 || (val_get(loaded, "profile", &profile) &&
                                 slice_equal(profile, buf_slice(&p->profile)));
}

static void on_loaded(struct host *h, struct slice payload)
{
    struct policy *p = h->p;
    struct slice error, profile;
    struct err e;
    (void)uv_timer_stop(&h->timer);
    err_clear(&e);
    if (val_get(payload, "error", &error))
        wire_get_err(error, &e);
    else if (!val_get(payload, "profile", &profile))
        (void)err_set(&e, ST_CORRUPT, "the policy host told of no profile");
    else if (buf_append_slice(&h->loaded, payload) != ST_OK)
        (void)err_memory(&e, "a profile", payload.n);
    else if (h == active(p) && !is_expected(p, payload))
        (void)err_set(&e, ST_USAGE, "the job file or its profile was changed since the job took "
                                    "its rules; lmr profile use makes it take new ones");
    if (e.status != ST_OK) {
        end_host(h);
        load_failed(h, &e);
    } else {
        h->state = HOST_READY;
        if (h == active(p))
            p->load_failures = 0;
        else
            take_over(h);
    }
    kick(p);
}

static void on_answer(struct host *h, struct slice payload)
{
    struct policy *p = h->p;
    struct question *q = pop(p);
    struct slice error, value = { NULL, 0 };
    struct err e;
    (void)uv_timer_stop(&h->timer);
    err_clear(&e);
    if (val_get(payload, "error", &error))
        wire_get_err(error, &e);
    else if (!val_get(payload, "answer", &value))
        (void)err_set(&e, ST_CORRUPT, "the policy host gave no answer");
    if (e.status == ST_TIMEOUT || e.status == ST_MEMORY)
        lose(p, q->function, &e);
    h->state = HOST_READY;
    if (val_get_bool(payload, "spoiled", false))
        end_host(h);
    answer(p, q, e.status, value, &e);
    kick(p);
}

static void on_message(void *context, uint32_t slot, const struct wire_message *message)
{
    struct policy *p = context;
    struct host *h = &p->hosts[slot];
    if (p->closing || h->state == HOST_ENDING)
        return;
    if (message->type == WIRE_POLICY_LOADED && h->state == HOST_LOADING)
        on_loaded(h, message->payload);
    else if (message->type == WIRE_POLICY_ANSWER && h->state == HOST_ASKING)
        on_answer(h, message->payload);
    else
        pool_kill(p->pool, slot); /* nonsense; its end is told as that of any */
}

static void describe_end(const struct worker_end *end, char *out, size_t cap)
{
    if (end->signal)
        (void)snprintf(out, cap, "killed by signal %d, %s", end->signal, strsignal(end->signal));
    else
        (void)snprintf(out, cap, "exit status %d", (int)end->exit_status);
}

static void on_down(void *context, uint32_t slot, const struct worker_end *end)
{
    struct policy *p = context;
    struct host *h = &p->hosts[slot];
    enum host_state state = h->state;
    char how[96], place[ERR_FILE_MAX];
    struct err e;
    h->state = HOST_NONE;
    if (p->closing)
        return;
    (void)uv_timer_stop(&h->timer);
    describe_end(end, how, sizeof how);
    if (state == HOST_ASKING) {
        place_of(p, p->first->function, place, sizeof place);
        (void)err_set(&e, ST_CRASH, "%s: the process that ran the policy function died (%s)", place,
                      how);
        lose_first(p, &e);
    } else if (state == HOST_LOADING) {
        (void)err_set(&e, ST_CRASH, "the policy host died while it loaded the profile (%s)", how);
        load_failed(h, &e);
    }
    kick(p);
}

/* --- the door --- */

static void init_timer(struct policy *p, uv_timer_t *timer, void *data)
{
    (void)uv_timer_init(p->loop, timer);
    timer->data = data;
    p->open_timers++;
}

enum status policy_open(uv_loop_t *loop, const struct policy_handlers *handlers,
                        struct policy **out, struct err *e)
{
    struct policy *p = sys_calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return err_memory(e, "the policy host", sizeof *p);
    struct pool_handlers ours = { on_message, on_down, p };
    enum status st = pool_open(loop, "policy", HOSTS, &ours, &p->pool, e);
    if (st != ST_OK) {
        sys_free(p);
        return st;
    }
    p->loop = loop;
    p->handlers = *handlers;
    p->last = &p->first;
    for (uint32_t i = 0; i < HOSTS; i++) {
        p->hosts[i] = (struct host){ .p = p, .slot = i, .loaded = BUF_EMPTY };
        init_timer(p, &p->hosts[i].timer, &p->hosts[i]);
    }
    init_timer(p, &p->kick, p);
    *out = p;
    return ST_OK;
}

static enum status set(struct buf *b, struct slice content, struct err *e)
{
    b->n = 0;
    return buf_append_slice(b, content) == ST_OK ? ST_OK : err_memory(e, "a profile", content.n);
}

enum status policy_config(struct policy *p, struct slice config, struct slice profile,
                          struct err *e)
{
    enum status st = set(&p->config, config, e);
    if (st == ST_OK)
        st = set(&p->profile, profile, e);
    end_host(active(p));
    forget_lives(p);
    kick(p);
    return st;
}

static enum status put_question(uint64_t id, uint32_t function, bool for_delay, struct slice err,
                                struct slice ctx, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_int(&m, "id", (int64_t)id);
    val_map_int(&m, "function", function);
    val_map_bool(&m, "for_delay", for_delay);
    val_map_value(&m, "err", err);
    val_map_value(&m, "ctx", ctx);
    return val_map_end(&m, out);
}

enum status policy_ask(struct policy *p, uint64_t id, uint32_t function, bool for_delay,
                       struct slice err, struct slice ctx, struct err *e)
{
    struct question *q = sys_calloc(1, sizeof *q);
    if (!q || put_question(id, function, for_delay, err, ctx, &q->message) != ST_OK) {
        if (q)
            question_free(q);
        return err_memory(e, "a question to the policy host", err.n + ctx.n);
    }
    q->id = id;
    q->function = function;
    *p->last = q;
    p->last = &q->next;
    kick(p);
    return ST_OK;
}

enum status policy_load(struct policy *p, struct slice config, struct slice previous,
                        struct err *e)
{
    if (p->wants_load)
        return err_set(e, ST_USAGE, "another profile is being loaded; try again in a moment");
    enum status st = set(&p->next_config, config, e);
    if (st == ST_OK)
        st = set(&p->previous, previous, e);
    p->wants_load = st == ST_OK;
    kick(p);
    return st;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct policy *p = handle->data;
    if (--p->open_timers == 0)
        sys_free(p);
}

void policy_close(struct policy *p)
{
    if (!p)
        return;
    p->closing = true;
    for (uint32_t i = 0; i < HOSTS; i++)
        pool_kill(p->pool, i);
    while (pool_live(p->pool) > 0)
        (void)uv_run(p->loop, UV_RUN_ONCE);
    pool_close(p->pool);
    for (struct question *q = take_all(p), *next; q; q = next) {
        next = q->next;
        question_free(q);
    }
    sys_free(p->lives);
    buf_free(&p->config);
    buf_free(&p->profile);
    buf_free(&p->next_config);
    buf_free(&p->previous);
    for (uint32_t i = 0; i < HOSTS; i++) {
        buf_free(&p->hosts[i].loaded);
        p->hosts[i].timer.data = p;
        uv_close((uv_handle_t *)&p->hosts[i].timer, on_timer_closed);
    }
    uv_close((uv_handle_t *)&p->kick, on_timer_closed);
}
