/* core_slots.c: the slots: handing out work, timeouts, deaths and rests. */
#include "schedule/core_internal.h"

#include "base/sys.h"

/* --- a slot --- */

void core_slot_set(struct core_slot *s, enum core_slot_state state, int64_t now)
{
    s->state = state;
    s->task = CORE_NONE;
    s->reason = REASON_NONE;
    s->kill_at = 0;
    s->since = s->alive_at = s->moved_at = now;
}

void core_slot_kill(struct core *c, uint32_t slot, enum core_reason reason)
{
    struct core_slot *s = &c->slots[slot];
    CHECK(s->state != SLOT_EMPTY && s->state != SLOT_DYING);
    s->state = SLOT_DYING;
    if (s->reason == REASON_NONE)
        s->reason = reason;
    core_act(c, ACT_KILL, slot, s->task)->reason = s->reason;
}

/* --- handing out work --- */

static void take_place(struct core *c, uint32_t slot, uint32_t task, bool speculative)
{
    struct core_task *t = &c->tasks[task];
    if (speculative) {
        CHECK(t->state == TASK_RUNNING && t->slot != CORE_NONE && t->backup == CORE_NONE);
        t->backup = slot;
        t->backed_up = true;
        return;
    }
    core_move(c, task, MOVE_ASSIGN);
    CHECK(t->slot == CORE_NONE && t->backup == CORE_NONE);
    t->slot = slot;
    t->fresh = t->backed_up = false;
}

void core_assign(struct core *c, uint32_t slot, uint32_t task, bool speculative, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    struct core_task *t = &c->tasks[task];
    CHECK(s->state == SLOT_IDLE && (!t->fresh || !s->used));
    take_place(c, slot, task, speculative);
    core_slot_set(s, SLOT_BUSY, now);
    s->task = task;
    s->attempt = speculative ? ++t->backups : t->attempts++;
    s->speculative = speculative;
    s->used = true;
    s->fraction = -1;
    s->serial = c->next_serial++;
    struct core_action *a = core_act(c, ACT_ASSIGN, slot, task);
    a->attempt = s->attempt;
    a->speculative = speculative;
    a->serial = s->serial;
}

static void assign_next(struct core *c, uint32_t slot, struct core_queue *q, int64_t now)
{
    uint32_t task = q->tasks[q->head];
    q->head = (q->head + 1) % c->task_count;
    q->count--;
    core_assign(c, slot, task, false, now);
}

/* Workers that have run nothing yet and are on their way. */
static uint32_t count_coming(const struct core *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->slot_count; i++)
        count += c->slots[i].state == SLOT_STARTING ||
                 (c->slots[i].state == SLOT_DYING && c->slots[i].reason == REASON_FRESH);
    return count;
}

static void start_workers(struct core *c, uint32_t wanted, int64_t now)
{
    if (wanted == 0)
        return;
    uint32_t coming = count_coming(c);
    for (uint32_t i = 0; i < c->slot_count && wanted > coming; i++) {
        if (c->slots[i].state != SLOT_EMPTY || c->slots[i].rest_until > now)
            continue;
        core_slot_set(&c->slots[i], SLOT_STARTING, now);
        c->slots[i].used = false;
        (void)core_act(c, ACT_SPAWN, i, CORE_NONE);
        coming++;
    }
}

/* Is it the turn of a task that wants a fresh worker, and none is coming for it? */
static bool lacks_fresh_worker(const struct core *c)
{
    const struct core_queue *fresh = &c->fresh_ready, *ready = &c->ready;
    if (fresh->count == 0 || fresh->count <= count_coming(c))
        return false;
    return ready->count == 0 || c->tasks[fresh->tasks[fresh->head]].queued <
                                    c->tasks[ready->tasks[ready->head]].queued;
}

/* Workers that have run nothing are kept for tasks that want such a one. */
static void hand_out_fresh(struct core *c, int64_t now)
{
    for (uint32_t i = 0; i < c->slot_count && c->fresh_ready.count > 0; i++)
        if (c->slots[i].state == SLOT_IDLE && !c->slots[i].used)
            assign_next(c, i, &c->fresh_ready, now);
    start_workers(c, c->fresh_ready.count, now);
}

void core_hand_out(struct core *c, int64_t now)
{
    if (c->failing || c->stopped || c->over || c->halted)
        return;
    hand_out_fresh(c, now);
    for (uint32_t i = 0; i < c->slot_count; i++) {
        if (c->slots[i].state != SLOT_IDLE)
            continue;
        if (c->slots[i].used && lacks_fresh_worker(c))
            core_slot_kill(c, i, REASON_FRESH);
        else if (c->ready.count > 0)
            assign_next(c, i, &c->ready, now);
    }
    start_workers(c, c->ready.count + c->fresh_ready.count, now);
    core_speculate(c, now);
}

/* --- timeouts --- */

static bool passed(int64_t limit, int64_t since, int64_t now)
{
    return limit > 0 && now - since >= limit;
}

/* A task is ending when all its attempts are. */
static void expire_task(struct core *c, uint32_t slot)
{
    const struct core_task *t = &c->tasks[c->slots[slot].task];
    uint32_t other = t->slot == slot ? t->backup : t->slot;
    if (other == CORE_NONE || c->slots[other].reason != REASON_NONE)
        core_move(c, c->slots[slot].task, MOVE_EXPIRE);
}

/* A timeout that is set, raised to what a verdict gave the task. */
static int64_t limit_of(const struct core *c, const struct core_slot *s, int64_t limit)
{
    int64_t longer = s->task == CORE_NONE ? 0 : c->tasks[s->task].timeout;
    return limit > 0 && longer > limit ? longer : limit;
}

static void expire(struct core *c, uint32_t slot, enum core_reason reason, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    if (s->task != CORE_NONE)
        expire_task(c, slot);
    s->reason = reason;
    if (reason == REASON_HEARTBEAT || s->state == SLOT_STARTING) {
        core_slot_kill(c, slot, reason);
        return;
    }
    s->kill_at = now + c->limits.grace;
    core_act(c, ACT_INTERRUPT, slot, s->task)->reason = reason;
}

void core_judge_slot(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    if (s->state != SLOT_BUSY && s->state != SLOT_STARTING)
        return;
    if (s->reason != REASON_NONE) {
        if (now >= s->kill_at)
            core_slot_kill(c, slot, s->reason);
    } else if (passed(c->limits.heartbeat_timeout, s->alive_at, now)) {
        expire(c, slot, REASON_HEARTBEAT, now);
    } else if (s->state == SLOT_BUSY && passed(limit_of(c, s, c->limits.task_timeout), s->since, now)) {
        expire(c, slot, REASON_DEADLINE, now);
    } else if (s->state == SLOT_BUSY && passed(limit_of(c, s, c->limits.progress_timeout), s->moved_at, now)) {
        expire(c, slot, REASON_PROGRESS, now);
    }
}

/* --- deaths and rests --- */

enum { DEATHS_KEPT = CORE_RESTARTS_MAX + 1 };
static const int64_t longest_rest = INT64_C(3600) * 1000000000;

static int64_t rest_length(const struct core *c, uint32_t rests)
{
    int64_t length = c->limits.restart_window;
    for (uint32_t i = 0; i < rests && length < longest_rest; i++)
        length *= 2;
    return length < longest_rest ? length : longest_rest;
}

/* No task's retry limit stops workers that die without being at fault: this limit does. */
void core_count_death(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    uint32_t may = c->limits.restarts < DEATHS_KEPT ? c->limits.restarts : CORE_RESTARTS_MAX;
    s->deaths[s->death_count++ % DEATHS_KEPT] = now;
    if (c->limits.restart_window == 0 || s->death_count <= may)
        return;
    int64_t first = s->deaths[(s->death_count - 1 - may) % DEATHS_KEPT];
    if (now - first > c->limits.restart_window)
        return;
    s->rest_until = now + rest_length(c, s->rests++);
    s->death_count = 0;
    (void)core_act(c, ACT_REST, slot, CORE_NONE);
}

bool core_all_rest(const struct core *c, int64_t now)
{
    for (uint32_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].state != SLOT_EMPTY || c->slots[i].rest_until <= now)
            return false;
    return true;
}
