/* core_sim: the scheduler's core under a virtual clock.
 *
 *   core_sim <SCRIPT
 *       carries out a script of events, printing every action (see `commands`)
 *   core_sim random SEED RUNS [log]
 *       RUNS random schedules, from SEED on; each is checked against what must always hold, by a
 *       model that shares nothing with the core. Prints a line a run: seed, end, events, hash of
 *       its log; with `log` every action too. */
#include "schedule/core.h"

#include "base/sys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t second = 1000000000;

/* --- printing --- */

static const char *const reasons[] = { "none", "heartbeat", "progress", "deadline", "stop" };
static const char *const slot_states[] = { "EMPTY", "STARTING", "IDLE", "BUSY", "DYING" };

static void format_action(const struct core_action *a, char *out, size_t cap)
{
    switch (a->kind) {
    case ACT_SPAWN:
        (void)snprintf(out, cap, "spawn %u", a->slot);
        break;
    case ACT_ASSIGN:
        (void)snprintf(out, cap, "assign %u task %u.%u serial %" PRIu64, a->slot, a->task,
                       a->attempt, a->serial);
        break;
    case ACT_COMMIT:
        (void)snprintf(out, cap, "commit task %u.%u of %u", a->task, a->attempt, a->slot);
        break;
    case ACT_ASK_POLICY:
        (void)snprintf(out, cap, "ask task %u.%u retry %u same %u", a->task, a->attempt, a->retry,
                       a->same_failures);
        break;
    case ACT_INTERRUPT:
        (void)snprintf(out, cap, "interrupt %u %s", a->slot, reasons[a->reason]);
        break;
    case ACT_KILL:
        (void)snprintf(out, cap, "kill %u %s", a->slot, reasons[a->reason]);
        break;
    case ACT_STAGE_DONE:
        (void)snprintf(out, cap, "stage %u done", a->stage);
        break;
    case ACT_DONE:
        (void)snprintf(out, cap, "done");
        break;
    case ACT_FAIL_JOB:
        (void)snprintf(out, cap, "fail task %u", a->task);
        break;
    case ACT_BROKEN:
        (void)snprintf(out, cap, "broken");
        break;
    case ACT_KINDS:
        abort();
    }
}

static void print_table(void)
{
    for (int s = 0; s < TASK_STATES; s++)
        for (int m = 0; m < TASK_MOVES; m++) {
            enum core_state to = core_transition((enum core_state)s, (enum core_move)m);
            (void)printf("%s %s %s\n", core_state_name((enum core_state)s),
                         core_move_name((enum core_move)m),
                         to == TASK_STATES ? "-" : core_state_name(to));
        }
}

/* --- scripts --- */

struct script {
    struct core core;
    int64_t now;
};

static double field(const char *line, const char *name, double fallback)
{
    const char *p = strstr(line, name);
    return p ? strtod(p + strlen(name), NULL) : fallback;
}

static void open_core(struct script *s, const char *line)
{
    struct err e;
    struct core_limits limits = {
        .heartbeat_timeout = (int64_t)(field(line, "heartbeat=", 30) * 1e9),
        .progress_timeout = (int64_t)(field(line, "progress=", 600) * 1e9),
        .task_timeout = (int64_t)(field(line, "task=", 0) * 1e9),
        .grace = (int64_t)(field(line, "grace=", 1) * 1e9),
        .death_window = (int64_t)(field(line, "window=", 10) * 1e9),
    };
    core_close(&s->core);
    CHECK(core_open(&s->core, (uint32_t)field(line, "slots=", 1), &limits, &e) == ST_OK);
}

static void load_core(struct script *s, const char *rest)
{
    uint32_t sizes[8], n = 0;
    struct err e;
    char *end = NULL;
    for (const char *p = rest; n < 8; p = end) {
        unsigned long size = strtoul(p, &end, 10);
        if (end == p)
            break;
        sizes[n++] = (uint32_t)size;
    }
    CHECK(core_load(&s->core, sizes, n, &e) == ST_OK);
}

static void print_state(const struct script *s)
{
    (void)printf("tasks");
    for (uint32_t i = 0; i < s->core.task_count; i++)
        (void)printf(" %s", core_state_name(s->core.tasks[i].state));
    (void)printf("\nslots");
    for (uint32_t i = 0; i < s->core.slot_count; i++)
        (void)printf(" %s", slot_states[s->core.slots[i].state]);
    (void)printf("\n");
}

static const struct {
    const char *name;
    enum core_event_kind kind;
} commands[] = {
    { "begin", CORE_BEGIN },      { "up", CORE_WORKER_UP },
    { "down", CORE_WORKER_DOWN }, { "spawn_failed", CORE_SPAWN_FAILED },
    { "ok", CORE_SUCCEEDED },     { "err", CORE_ERRED },
    { "retry", CORE_VERDICT },    { "give_up", CORE_VERDICT },
    { "page", CORE_PAGE },        { "tick", CORE_TICK },
    { "stop", CORE_STOP },
};

static void deliver(struct script *s, const struct core_event *event)
{
    char text[128];
    core_event(&s->core, event, s->now);
    for (uint32_t i = 0; i < s->core.action_count; i++) {
        format_action(&s->core.actions[i], text, sizeof text);
        (void)printf("  %s\n", text);
    }
}

/* "up SLOT", "down SLOT [FINGERPRINT]", "retry TASK SECONDS", "page SLOT HEARTBEAT PROGRESS", … */
static bool run_event(struct script *s, const char *word, const char *rest)
{
    char *end = NULL;
    double a = strtod(rest, &end), b = strtod(end, &end), c = strtod(end, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, word) != 0)
            continue;
        struct core_event event = { .kind = commands[i].kind,
                                    .slot = (uint32_t)a,
                                    .task = (uint32_t)a,
                                    .fingerprint = (uint64_t)b };
        event.retry = strcmp(word, "retry") == 0;
        event.delay = (int64_t)(b * 1e9);
        event.heartbeat = (uint64_t)b;
        event.progress = (uint64_t)c;
        deliver(s, &event);
        return true;
    }
    return false;
}

static void run_line(struct script *s, char *line)
{
    char word[32];
    int used = 0;
    if (sscanf(line, "%31s%n", word, &used) != 1 || word[0] == '#')
        return;
    (void)printf("%s", line);
    if (strcmp(word, "open") == 0)
        open_core(s, line);
    else if (strcmp(word, "load") == 0)
        load_core(s, line + used);
    else if (strcmp(word, "at") == 0)
        s->now = (int64_t)(strtod(line + used, NULL) * 1e9);
    else if (strcmp(word, "state") == 0)
        print_state(s);
    else if (strcmp(word, "table") == 0)
        print_table();
    else if (strcmp(word, "due") == 0)
        (void)printf("  %.3f\n", core_next_due(&s->core) == INT64_MAX
                                     ? -1.0
                                     : (double)core_next_due(&s->core) / 1e9);
    else if (!run_event(s, word, line + used))
        (void)printf("  unknown\n");
    (void)fflush(stdout);
}

static int run_script(void)
{
    struct script s = { .now = 0 };
    char line[512];
    while (fgets(line, sizeof line, stdin))
        run_line(&s, line);
    core_close(&s.core);
    return 0;
}

/* --- random schedules --- */

enum { SLOTS_MAX = 8, TASKS_MAX = 64, PENDING_MAX = 256, EVENTS_MAX = 20000 };

/* Something that will happen to a slot or task, unless the slot's life has changed by then. */
struct pending {
    int64_t at;
    struct core_event event;
    uint64_t life;
    bool used;
};

struct model {
    struct core core;
    int64_t now;
    uint64_t random, log_hash, next_life;
    struct pending pending[PENDING_MAX];
    uint64_t life[SLOTS_MAX]; /* of the slot's present worker and attempt */
    bool has_worker[SLOTS_MAX], is_up[SLOTS_MAX], hangs[SLOTS_MAX];
    uint32_t task_of[SLOTS_MAX]; /* or CORE_NONE */
    unsigned commits[TASKS_MAX], running[TASKS_MAX], failures[TASKS_MAX];
    bool given_up[TASKS_MAX];
    uint32_t slots, maps, reduces;
    unsigned error_percent, hang_percent, retries, maps_committed, events;
    bool print, ended, stopped;
    const char *end;
};

#define HOLDS(m, condition) ((condition) ? (void)0 : violated(m, #condition, __LINE__))

static _Noreturn void violated(const struct model *m, const char *what, int line)
{
    (void)printf("violated (line %d, after %u events): %s\n", line, m->events, what);
    exit(1);
}

static uint64_t next_random(struct model *m)
{
    m->random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = m->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static unsigned pick(struct model *m, unsigned n)
{
    return (unsigned)(next_random(m) % n);
}

static void later(struct model *m, int64_t delay, struct core_event event)
{
    bool of_slot = event.kind != CORE_VERDICT && event.kind != CORE_TICK && event.kind != CORE_STOP;
    for (size_t i = 0; i < PENDING_MAX; i++)
        if (!m->pending[i].used) {
            m->pending[i] = (struct pending){ m->now + delay, event,
                                              of_slot ? m->life[event.slot] : 0, true };
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

static int64_t some_time(struct model *m)
{
    return (int64_t)(1 + pick(m, 4000)) * 1000000;
}

/* What the new attempt will come to. */
static void model_assign(struct model *m, const struct core_action *a)
{
    HOLDS(m, a->slot < m->slots && m->is_up[a->slot] && m->task_of[a->slot] == CORE_NONE);
    HOLDS(m, a->task < m->maps + m->reduces && m->running[a->task] == 0 &&
                 m->commits[a->task] == 0 && !m->given_up[a->task]);
    HOLDS(m, a->task < m->maps || m->maps_committed == m->maps);
    HOLDS(m, !m->stopped && a->attempt == m->failures[a->task]);
    m->task_of[a->slot] = a->task;
    m->running[a->task]++;
    m->life[a->slot] = ++m->next_life;
    m->hangs[a->slot] = pick(m, 100) < m->hang_percent;
    if (m->hangs[a->slot])
        return;
    unsigned fate = pick(m, 100);
    struct core_event event = { .kind = CORE_SUCCEEDED, .slot = a->slot };
    if (fate < m->error_percent) {
        event.kind = fate % 2 ? CORE_ERRED : CORE_WORKER_DOWN;
        event.fingerprint = pick(m, 3);
    }
    later(m, some_time(m), event);
}

static void model_spawn(struct model *m, const struct core_action *a)
{
    HOLDS(m, a->slot < m->slots && !m->has_worker[a->slot]);
    m->has_worker[a->slot] = true;
    m->is_up[a->slot] = false;
    m->task_of[a->slot] = CORE_NONE;
    m->life[a->slot] = ++m->next_life;
    bool dies = pick(m, 100) < m->error_percent / 4;
    later(m, some_time(m) / 100,
          (struct core_event){ .kind = dies ? CORE_WORKER_DOWN : CORE_WORKER_UP, .slot = a->slot });
}

static void model_ask(struct model *m, const struct core_action *a)
{
    HOLDS(m, a->task < m->maps + m->reduces && m->running[a->task] == 0);
    HOLDS(m, a->retry == m->failures[a->task] && a->same_failures >= 1 &&
                 a->same_failures <= a->retry);
    bool retry = m->failures[a->task] <= m->retries && a->same_failures < 4;
    struct core_event event = {
        .kind = CORE_VERDICT, .task = a->task, .retry = retry, .delay = pick(m, 3) * some_time(m)
    };
    m->given_up[a->task] = !retry;
    later(m, pick(m, 2) * some_time(m), event);
}

static void model_kill(struct model *m, const struct core_action *a)
{
    HOLDS(m, m->has_worker[a->slot]);
    m->life[a->slot] =
        ++m->next_life; /* nothing else happens to it, but a result on its way may still come */
    bool last_word = m->task_of[a->slot] != CORE_NONE && pick(m, 4) == 0;
    if (last_word)
        later(m, 1, (struct core_event){ .kind = CORE_SUCCEEDED, .slot = a->slot });
    later(m, 1000000,
          (struct core_event){ .kind = CORE_WORKER_DOWN, .slot = a->slot, .fingerprint = 1 });
}

/* Lua code hears an interrupt; a hang in C does not. */
static void model_interrupt(struct model *m, const struct core_action *a)
{
    HOLDS(m, m->has_worker[a->slot] && m->task_of[a->slot] != CORE_NONE);
    if (pick(m, 2))
        later(m, 1000000,
              (struct core_event){ .kind = CORE_ERRED, .slot = a->slot, .fingerprint = 2 });
}

static void model_end(struct model *m, const char *how)
{
    HOLDS(m, !m->ended);
    m->ended = true;
    m->end = how;
}

static void model_action(struct model *m, const struct core_action *a)
{
    char text[128];
    format_action(a, text, sizeof text);
    log_line(m, text);
    HOLDS(m, !m->ended || a->kind == ACT_KILL);
    switch (a->kind) {
    case ACT_SPAWN:
        model_spawn(m, a);
        break;
    case ACT_ASSIGN:
        model_assign(m, a);
        break;
    case ACT_COMMIT:
        HOLDS(m, ++m->commits[a->task] == 1 && m->running[a->task] == 0);
        m->maps_committed += a->task < m->maps;
        break;
    case ACT_ASK_POLICY:
        model_ask(m, a);
        break;
    case ACT_INTERRUPT:
        model_interrupt(m, a);
        break;
    case ACT_KILL:
        model_kill(m, a);
        break;
    case ACT_STAGE_DONE:
        HOLDS(m, m->maps_committed == m->maps);
        break;
    case ACT_DONE:
        for (uint32_t i = 0; i < m->maps + m->reduces; i++)
            HOLDS(m, m->commits[i] == 1);
        model_end(m, "done");
        break;
    case ACT_FAIL_JOB:
        HOLDS(m, m->given_up[a->task]);
        for (uint32_t i = 0; i < m->maps + m->reduces; i++)
            HOLDS(m, m->running[i] == 0);
        model_end(m, "failed");
        break;
    case ACT_BROKEN:
        model_end(m, "broken");
        break;
    case ACT_KINDS:
        break;
    }
}

/* Keeps the model's own books before the core hears of it. */
static void model_event(struct model *m, const struct core_event *event)
{
    uint32_t task = m->task_of[event->slot];
    bool ends = event->kind == CORE_SUCCEEDED || event->kind == CORE_ERRED ||
                event->kind == CORE_WORKER_DOWN;
    if (ends && task != CORE_NONE) {
        m->running[task]--;
        m->failures[task] += event->kind != CORE_SUCCEEDED;
        m->task_of[event->slot] = CORE_NONE;
    }
    if (event->kind == CORE_WORKER_DOWN)
        m->has_worker[event->slot] = m->is_up[event->slot] = false;
    if (event->kind == CORE_WORKER_UP)
        m->is_up[event->slot] = true;
    m->stopped |= event->kind == CORE_STOP;
}

static void model_deliver(struct model *m, struct core_event event)
{
    model_event(m, &event);
    m->events++;
    core_event(&m->core, &event, m->now);
    for (uint32_t i = 0; i < m->core.action_count; i++) {
        struct core_action a = m->core.actions[i];
        model_action(m, &a);
    }
}

/* Is it still about the same worker and attempt? A success of a killed one needs its task. */
static bool still_holds(const struct model *m, const struct pending *p)
{
    if (p->life == 0)
        return true;
    uint32_t slot = p->event.slot;
    bool needs_task = p->event.kind == CORE_SUCCEEDED || p->event.kind == CORE_ERRED;
    return p->life == m->life[slot] && m->has_worker[slot] &&
           (!needs_task || m->task_of[slot] != CORE_NONE);
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
    if (still_holds(m, first))
        model_deliver(m, first->event);
    return true;
}

/* The driver's timer: pages (those that hang show nothing new), then a tick. */
static void model_tick(struct model *m)
{
    for (uint32_t i = 0; i < m->slots; i++)
        if (m->has_worker[i])
            model_deliver(m, (struct core_event){ .kind = CORE_PAGE,
                                                  .slot = i,
                                                  .heartbeat = (uint64_t)m->now,
                                                  .progress = m->hangs[i] ? 0 : (uint64_t)m->now });
    model_deliver(m, (struct core_event){ .kind = CORE_TICK });
}

static void model_open(struct model *m, uint64_t seed, bool print)
{
    struct err e;
    struct core_limits limits = { .heartbeat_timeout = 30 * second,
                                  .progress_timeout = 5 * second,
                                  .grace = second,
                                  .death_window = 10 * second };
    *m = (struct model){
        .random = seed, .log_hash = UINT64_C(0xCBF29CE484222325), .print = print, .end = "stopped"
    };
    m->slots = 1 + pick(m, SLOTS_MAX);
    m->maps = pick(m, 40);
    m->reduces = pick(m, 20);
    m->error_percent = pick(m, 4) * 15;
    m->hang_percent = pick(m, 3) * 4;
    m->retries = pick(m, 8);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        m->task_of[i] = CORE_NONE;
    CHECK(core_open(&m->core, m->slots, &limits, &e) == ST_OK);
    CHECK(core_load(&m->core, (const uint32_t[]){ m->maps, m->reduces }, 2, &e) == ST_OK);
    if (pick(m, 10) == 0)
        later(m, 10 * some_time(m), (struct core_event){ .kind = CORE_STOP });
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
        if (!more) { /* only time can bring something: a timeout, or the end of a delay */
            m.now = tick;
            model_tick(&m);
            tick += second / 5;
        }
        bool workers = false;
        for (uint32_t i = 0; i < m.slots; i++)
            workers |= m.has_worker[i];
        if (m.stopped && !workers)
            break;
    }
    HOLDS(&m, m.ended || m.stopped);
    (void)printf("%" PRIu64 " %s %u %016" PRIx64 "\n", seed, m.ended ? m.end : "stopped", m.events,
                 m.log_hash);
    core_close(&m.core);
}

int main(int argc, char **argv)
{
    if (argc < 4 || strcmp(argv[1], "random") != 0)
        return run_script();
    uint64_t seed = strtoull(argv[2], NULL, 10), runs = strtoull(argv[3], NULL, 10);
    for (uint64_t i = 0; i < runs; i++)
        run_random(seed + i, argc > 4);
    return 0;
}
