/* core_model: random schedules of the scheduler's core under a virtual clock.
 *
 *   core_model SEED RUNS [log]
 *       RUNS schedules, from SEED on. Workers start late, die, hang and dawdle; attempts fail,
 *       verdicts come late and are any of those there are; limits change; a signal may come. After
 *       each event the core is held against books of the model's own (core_books.h). Prints a line
 *       a run: seed, end, events, hash of its log, and how often each action was seen; with `log`
 *       every action too. */
#include "core_books.h"
#include "core_text.h"

#include "base/sys.h"

/* --- chance --- */

static bool happens(struct model *m, unsigned percent)
{
    return pick(m, 100) < percent;
}

static int64_t some_time(struct model *m)
{
    return (int64_t)(1 + pick(m, 4000)) * 1000000;
}

static bool is_of_slot(enum core_event_kind kind)
{
    return kind != CORE_VERDICT && kind != CORE_TICK && kind != CORE_STOP && kind != CORE_LIMITS &&
           kind != CORE_BEGIN;
}

static void later(struct model *m, int64_t delay, struct core_event event)
{
    uint64_t life = is_of_slot(event.kind) ? m->slots[event.slot].life : 0;
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (!m->pending[i].used) {
            m->pending[i] = (struct pending){ m->now + delay, event, life, true };
            return;
        }
    violated(m, "there is room for events", __LINE__);
}

static void log_line(struct model *m, const char *text)
{
    for (const char *p = text; *p; p++)
        m->log_hash = (m->log_hash ^ (uint8_t)*p) * UINT64_C(0x100000001B3);
    if (m->print)
        (void)printf("%9.3f %s\n", (double)m->now / 1e9, text);
}

/* --- actions --- */

/* What the new attempt will come to. */
static void draw_fate(struct model *m, uint32_t slot)
{
    struct model_slot *s = &m->slots[slot];
    s->life = ++m->next_life;
    s->hangs = happens(m, m->hang_percent);
    s->tells_fraction = pick(m, 3) > 0;
    int64_t length = some_time(m) * (happens(m, m->slow_percent) ? 20 : 1);
    s->ends = m->now + length;
    if (s->hangs)
        return;
    unsigned fate = pick(m, 100);
    struct core_event event = { .kind = CORE_SUCCEEDED, .slot = slot };
    if (fate < m->error_percent) {
        event.kind = fate % 2 ? CORE_ERRED : CORE_WORKER_DOWN;
        event.fingerprint = pick(m, pick(m, 2) ? 3 : FINGERPRINTS);
    }
    later(m, length, event);
}

static void check_backup(struct model *m, const struct core_action *a)
{
    struct model_task *t = &m->tasks[a->task];
    double most = -1, its = -1;
    HOLDS(m, t->running == 1 && has_room_for_backup(m));
    for (uint32_t i = 0; i < m->slot_count; i++) {
        double left = straggles(m, &m->slots[i]);
        most = left > most ? left : most;
        if (m->slots[i].task == a->task)
            its = left;
    }
    HOLDS(m, its >= 0 && its >= most);
    HOLDS(m, a->attempt == ++t->backups);
    t->backups_of_attempt++;
}

static void model_assign(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    struct model_task *t = &m->tasks[a->task];
    HOLDS(m, a->slot < m->slot_count && a->task < m->task_count && is_idle(s));
    HOLDS(m, !m->stopped && !m->failing);
    if (a->speculative) {
        check_backup(m, a);
    } else {
        HOLDS(m, is_ready(m, a->task) && (!t->fresh || !s->used));
        HOLDS(m, a->attempt == t->attempts++);
        t->backups_of_attempt = 0;
        t->fresh = false;
    }
    t->running++;
    s->task = a->task;
    s->attempt = a->attempt;
    s->speculative = a->speculative;
    s->used = true;
    s->interrupted = false;
    s->began = m->now;
    s->fraction = -1;
    m->orders[a->slot] = ++m->order;
    draw_fate(m, a->slot);
}

static void model_spawn(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, a->slot < m->slot_count && !s->has_worker && s->rest_until <= m->now);
    HOLDS(m, !m->stopped && !m->failing);
    s->has_worker = true;
    s->is_up = s->used = s->killed = s->interrupted = false;
    s->task = CORE_NONE;
    s->life = ++m->next_life;
    bool fails = happens(m, m->spawn_percent), dies = happens(m, m->error_percent / 4);
    struct core_event event = { .kind = fails  ? CORE_SPAWN_FAILED
                                        : dies ? CORE_WORKER_DOWN
                                               : CORE_WORKER_UP,
                                .slot = a->slot };
    later(m, fails ? 0 : some_time(m) / 100, event);
}

/* A task of an earlier stage that has had a result, or CORE_NONE. */
static uint32_t some_producer(struct model *m, uint32_t task)
{
    uint32_t stage = m->tasks[task].stage, first = pick(m, m->task_count);
    for (uint32_t n = 0; n < m->task_count; n++) {
        uint32_t i = (first + n) % m->task_count;
        if (m->tasks[i].stage < stage && m->tasks[i].commit_order > 0)
            return i;
    }
    return CORE_NONE;
}

static struct core_event some_verdict(struct model *m, uint32_t task)
{
    const struct model_task *t = &m->tasks[task];
    struct core_event event = { .kind = CORE_VERDICT, .task = task, .verdict = CORE_RETRY };
    bool is_last = t->failures > m->retries || t->same_failures >= 4;
    event.producer = some_producer(m, task);
    event.delay = (int64_t)pick(m, 3) * some_time(m);
    event.fresh = happens(m, 15);
    if (is_last)
        event.verdict = happens(m, 50) ? CORE_GIVE_UP : CORE_DROP;
    else if (event.producer != CORE_NONE && happens(m, 40))
        event.verdict = CORE_REDO;
    return event;
}

static void model_ask(struct model *m, const struct core_action *a)
{
    struct model_task *t = &m->tasks[a->task];
    HOLDS(m, a->task < m->task_count && t->running == 0 && !t->asking);
    HOLDS(m, a->failures == t->failures && a->retry == ++t->failures);
    HOLDS(m, a->same_failures == t->same_failures && a->fingerprint == t->fingerprint);
    HOLDS(m, a->attempt == m->slots[a->slot].attempt &&
                 a->speculative == m->slots[a->slot].speculative);
    t->asking = true;
    t->failed_order = m->orders[a->slot];
    later(m, (int64_t)pick(m, 2) * some_time(m), some_verdict(m, a->task));
}

static void model_backup_failed(struct model *m, const struct core_action *a)
{
    const struct model_task *t = &m->tasks[a->task];
    HOLDS(m, a->task < m->task_count && t->running == 1 && !t->asking);
    HOLDS(m, a->same_failures == t->same_failures && a->fingerprint == t->fingerprint);
    HOLDS(m, a->attempt == m->slots[a->slot].attempt &&
                 a->speculative == m->slots[a->slot].speculative);
}

static void model_commit(struct model *m, const struct core_action *a)
{
    struct model_task *t = &m->tasks[a->task];
    const struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, !t->committed && !t->dropped && t->running <= 1);
    HOLDS(m, a->attempt == s->attempt && a->speculative == s->speculative);
    if (t->running == 1)
        m->must_lose = a->task;
    if (!t->done)
        add_duration(m, t->stage, m->now - s->began);
    t->committed = t->done = true;
    t->commit_order = ++m->order;
    for (uint32_t i = 0; i < m->task_count; i++)
        if (m->tasks[i].held_for == a->task)
            m->tasks[i].held_for = CORE_NONE;
}

static void model_lost(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, m->must_lose == a->task && s->task == a->task && s->killed);
    HOLDS(m, a->attempt == s->attempt && a->speculative == s->speculative);
    m->must_lose = CORE_NONE;
    m->tasks[a->task].running--;
    s->task = CORE_NONE;
}

static void model_redo(struct model *m, const struct core_action *a)
{
    struct model_task *t = &m->tasks[a->task];
    HOLDS(m, a->task == m->must_redo && t->committed && t->running == 0);
    m->must_redo = CORE_NONE;
    t->committed = false;
}

static void model_kill(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, s->has_worker && !s->killed && a->task == s->task);
    HOLDS(m, (a->reason == REASON_LOST) == (m->must_lose != CORE_NONE && s->task == m->must_lose));
    if (a->reason == REASON_FRESH) {
        HOLDS(m, s->used && s->task == CORE_NONE && any_ready(m, true));
        m->fresh_kills++;
    }
    s->killed = true;
    s->life = ++m->next_life; /* nothing happens to it now, but a result may be on its way */
    if (s->task != CORE_NONE && pick(m, 4) == 0)
        later(m, 1, (struct core_event){ .kind = CORE_SUCCEEDED, .slot = a->slot });
    later(m, 1000000,
          (struct core_event){ .kind = CORE_WORKER_DOWN, .slot = a->slot, .fingerprint = 1 });
}

/* Lua code hears an interrupt; a hang in C does not. */
static void model_interrupt(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, s->has_worker && s->task != CORE_NONE && !s->interrupted && !s->killed);
    s->interrupted = true;
    if (pick(m, 2))
        later(m, 1000000,
              (struct core_event){ .kind = CORE_ERRED, .slot = a->slot, .fingerprint = 2 });
}

static void model_rest(struct model *m, const struct core_action *a)
{
    struct model_slot *s = &m->slots[a->slot];
    HOLDS(m, s->must_rest && !s->has_worker);
    s->must_rest = false;
    int64_t length = m->limits.restart_window << (s->rests < 20 ? s->rests : 20);
    s->rest_until = m->now + (length < 3600 * second ? length : 3600 * second);
    s->rests++;
    s->death_count = 0;
}

static void model_end(struct model *m, const char *how)
{
    HOLDS(m, !m->ended);
    m->ended = true;
    m->end = how;
}

static void model_done(struct model *m)
{
    for (uint32_t i = 0; i < m->task_count; i++)
        HOLDS(m, m->tasks[i].done && m->tasks[i].committed != m->tasks[i].dropped);
    model_end(m, "done");
}

static void model_fail(struct model *m, const struct core_action *a)
{
    HOLDS(m, m->failing && m->tasks[a->task].given_up);
    for (uint32_t i = 0; i < m->task_count; i++)
        HOLDS(m, m->tasks[i].running == 0 && !m->tasks[i].asking);
    model_end(m, "failed");
}

static void model_broken(struct model *m)
{
    HOLDS(m, !m->failing);
    for (uint32_t i = 0; i < m->slot_count; i++)
        HOLDS(m, !m->slots[i].has_worker && m->slots[i].rest_until > m->now);
    model_end(m, "broken");
}

static void model_action(struct model *m, const struct core_action *a)
{
    char text[CORE_TEXT_MAX];
    core_action_text(a, text);
    log_line(m, text);
    m->seen[a->kind]++;
    HOLDS(m, !m->ended || a->kind == ACT_KILL);
    switch (a->kind) {
    case ACT_SPAWN:
        model_spawn(m, a);
        break;
    case ACT_ASSIGN:
        model_assign(m, a);
        break;
    case ACT_COMMIT:
        model_commit(m, a);
        break;
    case ACT_LOST:
        model_lost(m, a);
        break;
    case ACT_BACKUP_FAILED:
        model_backup_failed(m, a);
        break;
    case ACT_ASK_POLICY:
        model_ask(m, a);
        break;
    case ACT_REDO:
        model_redo(m, a);
        break;
    case ACT_INTERRUPT:
        model_interrupt(m, a);
        break;
    case ACT_KILL:
        model_kill(m, a);
        break;
    case ACT_REST:
        model_rest(m, a);
        break;
    case ACT_STAGE_DONE:
        HOLDS(m, a->stage < present_stage(m));
        break;
    case ACT_DONE:
        model_done(m);
        break;
    case ACT_FAIL_JOB:
        model_fail(m, a);
        break;
    case ACT_BROKEN:
        model_broken(m);
        break;
    case ACT_KINDS:
        break;
    }
}

static void model_deliver(struct model *m, struct core_event event)
{
    note_event(m, &event);
    m->events++;
    core_event(&m->core, &event, m->now);
    for (uint32_t i = 0; i < m->core.action_count; i++) {
        struct core_action a = m->core.actions[i];
        model_action(m, &a);
    }
    if (event.kind != CORE_PAGE)
        check_all(m);
}

/* --- the world --- */

/* Is it still about the same worker and attempt? A success of a killed one needs its task. */
static bool still_holds(const struct model *m, const struct pending *p)
{
    if (p->life == 0)
        return true;
    const struct model_slot *s = &m->slots[p->event.slot];
    bool needs_task = p->event.kind == CORE_SUCCEEDED || p->event.kind == CORE_ERRED;
    return p->life == s->life && s->has_worker && (!needs_task || s->task != CORE_NONE);
}

static struct core_limits some_limits(struct model *m)
{
    return (struct core_limits){ .heartbeat_timeout = 30 * second,
                                 .progress_timeout = (3 + (int64_t)pick(m, 5)) * second,
                                 .task_timeout = pick(m, 3) ? 0 : 30 * second,
                                 .grace = second,
                                 .restarts = pick(m, 4) ? 5 : pick(m, 3),
                                 .restart_window = (5 + (int64_t)pick(m, 10)) * second,
                                 .speculate = pick(m, 3) > 0 };
}

static bool model_step(struct model *m)
{
    struct pending *first = NULL;
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (m->pending[i].used && (!first || m->pending[i].at < first->at))
            first = &m->pending[i];
    if (!first)
        return false;
    first->used = false;
    m->now = first->at;
    struct core_limits limits;
    struct pending p = *first;
    if (p.event.kind == CORE_LIMITS) {
        limits = some_limits(m);
        p.event.limits = &limits;
    }
    if (still_holds(m, &p))
        model_deliver(m, p.event);
    return true;
}

static double told_fraction(const struct model *m, const struct model_slot *s)
{
    if (s->task == CORE_NONE)
        return 0.01; /* what the attempt before has left there */
    if (!s->tells_fraction)
        return -1;
    if (s->hangs)
        return 0;
    return (double)(m->now - s->began) / (double)(s->ends - s->began + 1);
}

/* The driver's timer: pages (those that hang show nothing new), then a tick. */
static void model_tick(struct model *m)
{
    for (uint32_t i = 0; i < m->slot_count; i++) {
        const struct model_slot *s = &m->slots[i];
        if (!s->has_worker)
            continue;
        bool stands = s->task != CORE_NONE && s->hangs;
        model_deliver(m, (struct core_event){ .kind = CORE_PAGE,
                                              .slot = i,
                                              .heartbeat = (uint64_t)m->now,
                                              .progress = stands ? 0 : (uint64_t)m->now,
                                              .fraction = told_fraction(m, s) });
    }
    model_deliver(m, (struct core_event){ .kind = CORE_TICK });
}

static void model_open(struct model *m, uint64_t seed, bool print)
{
    struct err e;
    *m = (struct model){ .random = seed,
                         .log_hash = UINT64_C(0xCBF29CE484222325),
                         .print = print,
                         .end = "stopped",
                         .must_lose = CORE_NONE,
                         .must_redo = CORE_NONE };
    m->limits = some_limits(m);
    m->slot_count = pick(m, 8) ? 1 + pick(m, 8) : 20 + pick(m, 5);
    m->sizes[0] = pick(m, 60);
    m->sizes[1] = pick(m, 30);
    m->sizes[2] = pick(m, 3) ? 0 : pick(m, 10);
    m->error_percent = pick(m, 4) * 15;
    m->hang_percent = pick(m, 3) * 4;
    m->slow_percent = pick(m, 3) * 5;
    m->spawn_percent = pick(m, 4) ? 0 : 5;
    m->retries = pick(m, 8);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        m->slots[i].task = CORE_NONE;
    for (uint32_t s = 0; s < STAGES; s++)
        for (uint32_t i = 0; i < m->sizes[s]; i++)
            m->tasks[m->task_count++] = (struct model_task){ .stage = s, .held_for = CORE_NONE };
    CHECK(core_open(&m->core, m->slot_count, &m->limits, &e) == ST_OK);
    CHECK(core_load(&m->core, m->sizes, STAGES, &e) == ST_OK);
    if (pick(m, 10) == 0)
        later(m, 10 * some_time(m), (struct core_event){ .kind = CORE_STOP });
    if (pick(m, 3) == 0)
        later(m, 5 * some_time(m), (struct core_event){ .kind = CORE_LIMITS });
}

static bool has_workers(const struct model *m)
{
    for (uint32_t i = 0; i < m->slot_count; i++)
        if (m->slots[i].has_worker)
            return true;
    return false;
}

static void print_run(const struct model *m, uint64_t seed)
{
    (void)printf("%" PRIu64 " %s %u %016" PRIx64, seed, m->end, m->events, m->log_hash);
    for (int kind = 0; kind < ACT_KINDS; kind++)
        (void)printf(" %s=%u", core_action_verb((enum core_action_kind)kind), m->seen[kind]);
    (void)printf(" kill_fresh=%u redo_twice=%u\n", m->fresh_kills, m->second_redos);
}

static void run_random(uint64_t seed, bool print)
{
    static struct model m;
    model_open(&m, seed, print);
    model_deliver(&m, (struct core_event){ .kind = CORE_BEGIN });
    int64_t tick = second / 5;
    while (!m.ended && m.events < EVENTS_MAX) {
        bool more = model_step(&m);
        for (; m.now >= tick && !m.ended; tick += second / 5)
            model_tick(&m);
        if (!more && !m.ended) { /* only time brings something: a timeout, the end of a delay */
            m.now = tick;
            model_tick(&m);
            tick += second / 5;
        }
        if (m.stopped && !has_workers(&m))
            break;
    }
    HOLDS(&m, m.ended || m.stopped);
    print_run(&m, seed);
    core_close(&m.core);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    uint64_t seed = strtoull(argv[1], NULL, 10), runs = strtoull(argv[2], NULL, 10);
    for (uint64_t i = 0; i < runs; i++)
        run_random(seed + i, argc > 3);
    return 0;
}
