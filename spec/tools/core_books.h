/* core_books.h: the books that core_model keeps of a schedule, which share nothing with the core:
 * what each slot and task is at, what may happen to it next, and what must hold after each event. */
#ifndef LMR_SPEC_CORE_BOOKS_H
#define LMR_SPEC_CORE_BOOKS_H

#include "schedule/core.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SLOTS_MAX = 24,
    STAGES = 3,
    TASKS_MAX = 128,
    PENDING_MAX = 512,
    DEATHS_MAX = 512,
    FINGERPRINTS = 8,
    FINGERPRINTS_KEPT = 4,
    EVENTS_MAX = 400000
};

static const int64_t second = 1000000000;

/* Something that will happen to a slot or task, unless the slot's life has changed by then. */
struct pending {
    int64_t at;
    struct core_event event;
    uint64_t life;
    bool used;
};

struct model_slot {
    uint64_t life; /* of the slot's present worker and attempt */
    bool has_worker, is_up, used, killed, interrupted, hangs;
    uint32_t task; /* or CORE_NONE */
    uint32_t attempt;
    bool speculative;
    int64_t began, ends;
    double fraction; /* as told last */
    bool tells_fraction;
    int64_t deaths[DEATHS_MAX], rest_until;
    uint32_t death_count, rests;
    bool must_rest;
};

struct model_task {
    uint32_t stage;
    uint32_t running, attempts, backups, failures, same_failures;
    uint64_t fingerprint;
    uint32_t all_failures;
    uint32_t same[FINGERPRINTS], last[FINGERPRINTS]; /* by fingerprint: how many, the newest one */
    uint32_t backups_of_attempt;
    uint32_t held_for; /* or CORE_NONE */
    uint64_t failed_order, commit_order;
    int64_t due;
    bool asking, committed, done, dropped, given_up, fresh;
};

struct model {
    struct core core;
    struct core_limits limits;
    int64_t now;
    uint64_t random, log_hash, next_life, order;
    struct pending pending[PENDING_MAX];
    struct model_slot slots[SLOTS_MAX];
    struct model_task tasks[TASKS_MAX];
    uint64_t orders[SLOTS_MAX]; /* of the attempt in the slot, among assignments and commits */
    int64_t durations[STAGES][TASKS_MAX];
    uint32_t duration_count[STAGES];
    uint32_t slot_count, task_count, sizes[STAGES];
    unsigned error_percent, hang_percent, slow_percent, spawn_percent, retries, events;
    uint32_t must_lose, must_redo; /* tasks, in the present event */
    unsigned seen[ACT_KINDS], fresh_kills, second_redos;
    bool print, ended, stopped, failing;
    const char *end;
};

#define HOLDS(m, condition) ((condition) ? (void)0 : violated(m, #condition, __LINE__))

static inline _Noreturn void violated(const struct model *m, const char *what, int line)
{
    (void)printf("violated (line %d, after %u events, at %.3f): %s\n", line, m->events,
                 (double)m->now / 1e9, what);
    exit(1);
}

static inline uint64_t next_random(struct model *m)
{
    m->random += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = m->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline unsigned pick(struct model *m, unsigned n)
{
    return (unsigned)(next_random(m) % n);
}

/* --- the model's own view --- */

static inline uint32_t present_stage(const struct model *m)
{
    for (uint32_t i = 0; i < m->task_count; i++)
        if (!m->tasks[i].done)
            return m->tasks[i].stage;
    return STAGES;
}

static inline bool is_ready(const struct model *m, uint32_t task)
{
    const struct model_task *t = &m->tasks[task];
    return t->stage <= present_stage(m) && t->running == 0 && !t->asking && !t->committed &&
           !t->dropped && !t->given_up && t->held_for == CORE_NONE && t->due <= m->now;
}

static inline bool any_ready(const struct model *m, bool fresh_only)
{
    for (uint32_t i = 0; i < m->task_count; i++)
        if ((m->tasks[i].fresh || !fresh_only) && is_ready(m, i))
            return true;
    return false;
}

static inline bool is_idle(const struct model_slot *s)
{
    return s->has_worker && s->is_up && !s->killed && s->task == CORE_NONE;
}

static inline int compare_times(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Kept sorted. */
static inline void add_duration(struct model *m, uint32_t stage, int64_t duration)
{
    int64_t *all = m->durations[stage];
    all[m->duration_count[stage]++] = duration;
    qsort(all, m->duration_count[stage], sizeof *all, compare_times);
}

/* Time left of the attempt in the slot if it may get a backup, else −1. */
static inline double straggles(const struct model *m, const struct model_slot *s)
{
    if (s->task == CORE_NONE || s->killed || s->interrupted || s->speculative)
        return -1;
    const struct model_task *t = &m->tasks[s->task];
    uint32_t stage = t->stage, done = m->duration_count[stage];
    if (stage != present_stage(m) || t->running != 1 || t->backups_of_attempt > 0 ||
        m->sizes[stage] < 3 || 2 * done < m->sizes[stage])
        return -1;
    int64_t elapsed = m->now - s->began, median = m->durations[stage][done / 2];
    double left = s->fraction < 0    ? (double)elapsed
                  : s->fraction <= 0 ? INFINITY
                                     : (double)elapsed * (1 - s->fraction) / s->fraction;
    return elapsed >= second && elapsed >= 2 * median && left >= (double)median ? left : -1;
}

static inline uint32_t count_backups(const struct model *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->task_count; i++)
        count += m->tasks[i].running == 2;
    return count;
}

static inline bool has_room_for_backup(const struct model *m)
{
    uint32_t most = m->slot_count / 10 > 1 ? m->slot_count / 10 : 1;
    return m->limits.speculate && count_backups(m) < most && !any_ready(m, false);
}

/* --- events: the model's books before the core hears of them --- */

static inline void count_death(struct model *m, struct model_slot *s)
{
    HOLDS(m, s->death_count < DEATHS_MAX);
    s->deaths[s->death_count++] = m->now;
    uint32_t recent = 0;
    for (uint32_t i = 0; i < s->death_count; i++)
        recent += m->now - s->deaths[i] <= m->limits.restart_window;
    s->must_rest = recent > m->limits.restarts;
}

/* A fingerprint is forgotten when so many others came after it. */
static inline void note_failure(struct model_task *t, uint64_t fingerprint)
{
    uint32_t newer = 0;
    t->all_failures++;
    t->fingerprint = fingerprint;
    t->same_failures = 1;
    if (fingerprint == 0)
        return;
    for (uint64_t other = 1; other < FINGERPRINTS; other++)
        newer += t->last[other] > t->last[fingerprint];
    t->same[fingerprint] = newer < FINGERPRINTS_KEPT ? t->same[fingerprint] + 1 : 1;
    t->last[fingerprint] = t->all_failures;
    t->same_failures = t->same[fingerprint];
}

static inline void note_end(struct model *m, struct model_slot *s, const struct core_event *event)
{
    bool down = event->kind == CORE_WORKER_DOWN;
    if (down && !s->killed && !s->interrupted && !m->stopped &&
        (s->task == CORE_NONE || event->fingerprint == 0))
        count_death(m, s);
    if (event->kind == CORE_SUCCEEDED)
        s->rests = s->death_count = 0;
    if (s->task != CORE_NONE) {
        m->tasks[s->task].running--;
        if (event->kind != CORE_SUCCEEDED)
            note_failure(&m->tasks[s->task], event->fingerprint);
        s->task = CORE_NONE;
        s->interrupted = false;
    }
    if (down)
        s->has_worker = s->is_up = false;
}

static inline void note_redo(struct model *m, const struct core_event *event)
{
    struct model_task *t = &m->tasks[event->task];
    const struct model_task *p = &m->tasks[event->producer];
    bool replaced = p->committed && p->commit_order > t->failed_order;
    if (p->committed && !replaced)
        m->must_redo = event->producer;
    if (!replaced && !p->dropped)
        t->held_for = event->producer;
    m->second_redos += replaced;
}

static inline void note_drop(struct model *m, uint32_t task)
{
    m->tasks[task].dropped = m->tasks[task].done = true;
    for (uint32_t i = 0; i < m->task_count; i++)
        if (m->tasks[i].held_for == task)
            m->tasks[i].held_for = CORE_NONE;
}

static inline void note_verdict(struct model *m, const struct core_event *event)
{
    struct model_task *t = &m->tasks[event->task];
    t->asking = false;
    t->fresh = event->fresh;
    t->due = event->verdict == CORE_RETRY ? m->now + event->delay : 0;
    if (event->verdict == CORE_GIVE_UP)
        t->given_up = m->failing = true;
    else if (event->verdict == CORE_DROP)
        note_drop(m, event->task);
    else if (event->verdict == CORE_REDO)
        note_redo(m, event);
}

static inline void note_event(struct model *m, const struct core_event *event)
{
    struct model_slot *s = &m->slots[event->slot];
    if (event->kind == CORE_SUCCEEDED || event->kind == CORE_ERRED ||
        event->kind == CORE_WORKER_DOWN)
        note_end(m, s, event);
    if (event->kind == CORE_SPAWN_FAILED) {
        s->has_worker = false;
        for (uint32_t i = 0; i < m->slot_count; i++)
            if (!m->slots[i].has_worker && m->slots[i].rest_until < m->now + 2 * second)
                m->slots[i].rest_until = m->now + 2 * second;
    }
    if (event->kind == CORE_WORKER_UP)
        s->is_up = true;
    if (event->kind == CORE_VERDICT)
        note_verdict(m, event);
    if (event->kind == CORE_LIMITS)
        m->limits = *event->limits;
    if (event->kind == CORE_PAGE)
        s->fraction = event->fraction;
    m->stopped |= event->kind == CORE_STOP;
}

/* --- what must hold after each event --- */

static inline void check_slot(const struct model *m, uint32_t i)
{
    const struct core_slot *s = &m->core.slots[i];
    const struct model_slot *own = &m->slots[i];
    HOLDS(m, s->task == own->task);
    HOLDS(m, (s->state == SLOT_EMPTY) == !own->has_worker);
    HOLDS(m, (s->state == SLOT_IDLE) == is_idle(own));
    HOLDS(m, (s->state == SLOT_DYING) == (own->has_worker && own->killed));
    HOLDS(m, !own->must_rest);
    HOLDS(m, s->state != SLOT_BUSY || s->task != CORE_NONE);
    if (s->task == CORE_NONE)
        return;
    const struct core_task *t = &m->core.tasks[s->task];
    HOLDS(m, (t->slot == i) != (t->backup == i));
    HOLDS(m, t->state == TASK_RUNNING || t->state == TASK_ENDING);
}

/* Attempts of the task that nobody has told to end. */
static inline uint32_t count_healthy(const struct model *m, uint32_t task)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->slot_count; i++)
        count += m->slots[i].task == task && !m->slots[i].interrupted && !m->slots[i].killed;
    return count;
}

static inline void check_task(const struct model *m, uint32_t i)
{
    const struct core_task *t = &m->core.tasks[i];
    const struct model_task *own = &m->tasks[i];
    bool runs = t->state == TASK_RUNNING || t->state == TASK_ENDING;
    HOLDS(m, own->running == (t->slot != CORE_NONE) + (uint32_t)(t->backup != CORE_NONE));
    HOLDS(m, runs == (own->running > 0));
    HOLDS(m, m->stopped || (t->state == TASK_RUNNING) == (count_healthy(m, i) > 0));
    HOLDS(m, (t->state == TASK_COMMITTED) == own->committed);
    HOLDS(m, (t->state == TASK_DROPPED) == own->dropped);
    HOLDS(m, (t->state == TASK_FAILED) == own->given_up);
    HOLDS(m, (t->state == TASK_ASKING) == own->asking);
    HOLDS(m, (t->state == TASK_HELD) == (own->held_for != CORE_NONE));
    HOLDS(m, t->attempts == own->attempts && t->backups == own->backups &&
                 t->failures == own->failures);
}

/* Nobody is idle while there is work, and no slot is empty that could have a worker for it. */
static inline void check_diligence(const struct model *m)
{
    const struct core *c = &m->core;
    uint32_t coming = 0;
    bool idle = false, could_start = false;
    for (uint32_t i = 0; i < m->slot_count; i++) {
        const struct model_slot *s = &m->slots[i];
        idle |= is_idle(s);
        could_start |= !s->has_worker && s->rest_until <= m->now;
        coming += c->slots[i].state == SLOT_STARTING ||
                  (c->slots[i].state == SLOT_DYING && c->slots[i].reason == REASON_FRESH);
    }
    HOLDS(m, !idle || c->ready.count == 0);
    HOLDS(m, !idle || c->fresh_ready.count <= coming);
    HOLDS(m, !could_start || c->ready.count + c->fresh_ready.count <= coming);
    if (!idle || !has_room_for_backup(m))
        return;
    for (uint32_t i = 0; i < m->slot_count; i++)
        HOLDS(m, straggles(m, &m->slots[i]) < 0);
}

static inline void check_all(const struct model *m)
{
    const struct core *c = &m->core;
    uint32_t states[TASK_STATES] = { 0 }, open = 0;
    HOLDS(m, m->must_lose == CORE_NONE && m->must_redo == CORE_NONE);
    for (uint32_t i = 0; i < m->slot_count; i++)
        check_slot(m, i);
    for (uint32_t i = 0; i < m->task_count; i++) {
        check_task(m, i);
        states[c->tasks[i].state]++;
        open += c->tasks[i].stage == c->stage && !m->tasks[i].done;
    }
    HOLDS(m, c->live == states[TASK_RUNNING] + states[TASK_ENDING] + states[TASK_ASKING]);
    HOLDS(m, c->waiting == states[TASK_BACKOFF] && c->held == states[TASK_HELD]);
    HOLDS(m, c->ready.count + c->fresh_ready.count == states[TASK_READY]);
    HOLDS(m, c->stage_open == open);
    if (!m->stopped && !m->failing && !m->ended)
        check_diligence(m);
}

#endif
