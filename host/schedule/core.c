#include "schedule/core.h"

#include "base/sys.h"

/* The only list of what a task may do. What is not here cannot happen. */
static const struct {
    enum core_state from;
    enum core_move move;
    enum core_state to;
} transitions[] = {
    { TASK_BLOCKED, MOVE_UNBLOCK, TASK_READY },     { TASK_READY, MOVE_ASSIGN, TASK_RUNNING },
    { TASK_RUNNING, MOVE_SUCCEED, TASK_COMMITTED }, { TASK_RUNNING, MOVE_ERR, TASK_ASKING },
    { TASK_RUNNING, MOVE_EXPIRE, TASK_ENDING },     { TASK_ENDING, MOVE_SUCCEED, TASK_COMMITTED },
    { TASK_ENDING, MOVE_ERR, TASK_ASKING },         { TASK_ASKING, MOVE_RETRY, TASK_BACKOFF },
    { TASK_ASKING, MOVE_GIVE_UP, TASK_FAILED },     { TASK_BACKOFF, MOVE_DUE, TASK_READY },
};

enum core_state core_transition(enum core_state state, enum core_move move)
{
    for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++)
        if (transitions[i].from == state && transitions[i].move == move)
            return transitions[i].to;
    return TASK_STATES;
}

const char *core_state_name(enum core_state state)
{
    static const char *const names[TASK_STATES] = {
#define X(name) #name,
        CORE_STATES(X)
#undef X
    };
    return state < TASK_STATES ? names[state] : "?";
}

const char *core_move_name(enum core_move move)
{
    static const char *const names[TASK_MOVES] = {
#define X(name) #name,
        CORE_MOVES(X)
#undef X
    };
    return move < TASK_MOVES ? names[move] : "?";
}

/* --- arrays --- */

/* Each slot can give a kill and a spawn or an assignment in one event; a few more close a stage or
 * the job. */
enum { ACTIONS_A_SLOT = 3, ACTIONS_MORE = 8 };

enum status core_open(struct core *c, uint32_t slots, const struct core_limits *limits,
                      struct err *e)
{
    *c = (struct core){ .limits = *limits, .slot_count = slots, .next_serial = 1, .over = true };
    c->action_capacity = slots * ACTIONS_A_SLOT + ACTIONS_MORE;
    c->slots = sys_calloc(slots, sizeof *c->slots);
    c->actions = sys_calloc(c->action_capacity, sizeof *c->actions);
    if (c->slots && c->actions)
        return ST_OK;
    core_close(c);
    return err_memory(e, "the scheduler", slots * sizeof *c->slots);
}

void core_close(struct core *c)
{
    sys_free(c->tasks);
    sys_free(c->ready);
    sys_free(c->slots);
    sys_free(c->actions);
    *c = (struct core){ .over = true };
}

static enum status grow_tasks(struct core *c, uint32_t count, struct err *e)
{
    if (count <= c->task_capacity)
        return ST_OK;
    sys_free(c->tasks);
    sys_free(c->ready);
    c->task_capacity = 0;
    c->tasks = sys_calloc(count, sizeof *c->tasks);
    c->ready = sys_calloc(count, sizeof *c->ready);
    if (!c->tasks || !c->ready)
        return err_memory(e, "the task table", count * sizeof *c->tasks);
    c->task_capacity = count;
    return ST_OK;
}

enum status core_load(struct core *c, const uint32_t *stage_sizes, uint32_t stages, struct err *e)
{
    CHECK(c->over);
    uint32_t count = 0;
    for (uint32_t s = 0; s < stages; s++) {
        CHECK(stage_sizes[s] < CORE_NONE - count);
        count += stage_sizes[s];
    }
    enum status st = grow_tasks(c, count, e);
    if (st != ST_OK)
        return st;
    uint32_t task = 0;
    for (uint32_t s = 0; s < stages; s++)
        for (uint32_t i = 0; i < stage_sizes[s]; i++)
            c->tasks[task++] =
                (struct core_task){ .state = TASK_BLOCKED, .stage = s, .slot = CORE_NONE };
    c->task_count = count;
    c->stage_count = stages;
    c->stage = c->stage_open = c->ready_head = c->ready_count = c->live = c->waiting = 0;
    c->first_failed = CORE_NONE;
    c->begun = c->failing = c->over = false;
    return ST_OK;
}

/* From a worker that could not be started to the next attempt at it. */
#define SPAWN_REST (INT64_C(2) * 1000000000)

/* --- small moves --- */

static struct core_action *act(struct core *c, enum core_action_kind kind, uint32_t slot,
                               uint32_t task)
{
    CHECK(c->action_count < c->action_capacity);
    struct core_action *a = &c->actions[c->action_count++];
    *a = (struct core_action){ .kind = kind, .slot = slot, .task = task };
    return a;
}

static bool is_live(enum core_state state)
{
    return state == TASK_RUNNING || state == TASK_ENDING || state == TASK_ASKING;
}

/* The only place where a task's state changes. */
static void move(struct core *c, uint32_t task, enum core_move m)
{
    struct core_task *t = &c->tasks[task];
    enum core_state to = core_transition(t->state, m);
    CHECK(to < TASK_STATES);
    c->live += (uint32_t)is_live(to) - (uint32_t)is_live(t->state);
    c->waiting += (uint32_t)(to == TASK_BACKOFF) - (uint32_t)(t->state == TASK_BACKOFF);
    if (to == TASK_READY)
        c->ready[(c->ready_head + c->ready_count++) % c->task_count] = task;
    t->state = to;
}

static uint32_t ready_pop(struct core *c)
{
    uint32_t task = c->ready[c->ready_head];
    c->ready_head = (c->ready_head + 1) % c->task_count;
    c->ready_count--;
    return task;
}

static void slot_set(struct core_slot *s, enum core_slot_state state, int64_t now)
{
    s->state = state;
    s->task = CORE_NONE;
    s->reason = REASON_NONE;
    s->kill_at = 0;
    s->since = s->alive_at = s->moved_at = now;
}

static void slot_kill(struct core *c, uint32_t slot, enum core_reason reason)
{
    struct core_slot *s = &c->slots[slot];
    s->state = SLOT_DYING;
    if (s->reason == REASON_NONE)
        s->reason = reason;
    act(c, ACT_KILL, slot, s->task)->reason = s->reason;
}

/* --- handing out work --- */

static void assign(struct core *c, uint32_t slot, int64_t now)
{
    uint32_t task = ready_pop(c);
    move(c, task, MOVE_ASSIGN);
    slot_set(&c->slots[slot], SLOT_BUSY, now);
    c->slots[slot].task = task;
    c->slots[slot].serial = c->next_serial++;
    c->tasks[task].slot = slot;
    struct core_action *a = act(c, ACT_ASSIGN, slot, task);
    a->attempt = c->tasks[task].attempts++;
    a->serial = c->slots[slot].serial;
}

/* Idle workers get ready tasks; for tasks left over, workers are started in empty slots. */
static void dispatch(struct core *c, int64_t now)
{
    if (c->failing || c->stopped || c->over)
        return;
    uint32_t starting = 0;
    for (uint32_t i = 0; i < c->slot_count; i++) {
        if (c->slots[i].state == SLOT_IDLE && c->ready_count > 0)
            assign(c, i, now);
        starting += c->slots[i].state == SLOT_STARTING;
    }
    for (uint32_t i = 0; i < c->slot_count && c->ready_count > starting; i++) {
        if (c->slots[i].state != SLOT_EMPTY || c->slots[i].rest_until > now)
            continue;
        slot_set(&c->slots[i], SLOT_STARTING, now);
        act(c, ACT_SPAWN, i, CORE_NONE);
        starting++;
    }
}

static void unblock_stage(struct core *c)
{
    for (uint32_t i = 0; i < c->task_count; i++)
        if (c->tasks[i].stage == c->stage) {
            move(c, i, MOVE_UNBLOCK);
            c->stage_open++;
        }
}

/* Goes on to the next stage that has tasks; after the last one the tasks are over. */
static void advance_stages(struct core *c)
{
    while (c->stage_open == 0 && !c->over) {
        if (c->stage < c->stage_count)
            act(c, ACT_STAGE_DONE, CORE_NONE, CORE_NONE)->stage = c->stage++;
        if (c->stage < c->stage_count)
            unblock_stage(c);
        else
            c->over = true;
    }
    if (c->over)
        (void)act(c, ACT_DONE, CORE_NONE, CORE_NONE);
}

static void on_begin(struct core *c)
{
    CHECK(!c->begun && !c->over);
    c->begun = true;
    if (c->stage_count > 0)
        unblock_stage(c);
    if (c->stage_open == 0)
        advance_stages(c);
}

/* --- ends of attempts --- */

/* A failed job ends when nothing runs and no verdict is awaited any more. */
static void settle(struct core *c)
{
    if (c->failing && c->live == 0 && !c->over && !c->stopped) {
        c->over = true;
        (void)act(c, ACT_FAIL_JOB, CORE_NONE, c->first_failed);
    }
}

static void attempt_failed(struct core *c, uint32_t task, uint64_t fingerprint)
{
    struct core_task *t = &c->tasks[task];
    move(c, task, MOVE_ERR);
    bool same = fingerprint != 0 && fingerprint == t->fingerprint;
    t->same_failures = same ? t->same_failures + 1 : 1;
    t->fingerprint = fingerprint;
    t->failures++;
    t->slot = CORE_NONE;
    struct core_action *a = act(c, ACT_ASK_POLICY, CORE_NONE, task);
    a->attempt = t->attempts - 1;
    a->retry = t->failures;
    a->same_failures = t->same_failures;
}

/* The slot's attempt has sent its last word; a worker about to be killed keeps no task. */
static uint32_t release_slot(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    uint32_t task = s->task;
    CHECK(task < c->task_count);
    if (s->state == SLOT_BUSY)
        slot_set(s, SLOT_IDLE, now);
    else
        s->task = CORE_NONE;
    return task;
}

static void on_succeeded(struct core *c, uint32_t slot, int64_t now)
{
    uint32_t task = release_slot(c, slot, now);
    struct core_task *t = &c->tasks[task];
    move(c, task, MOVE_SUCCEED);
    t->slot = CORE_NONE;
    act(c, ACT_COMMIT, slot, task)->attempt = t->attempts - 1;
    CHECK(c->stage_open > 0);
    if (--c->stage_open == 0 && !c->stopped && !c->failing)
        advance_stages(c);
}

static void break_job(struct core *c)
{
    if (c->over)
        return;
    c->over = true;
    (void)act(c, ACT_BROKEN, CORE_NONE, CORE_NONE);
}

/* A system that is short of processes may have one to give later; without any worker there is nobody
 * to go on with. */
static void on_spawn_failed(struct core *c, uint32_t slot, int64_t now)
{
    uint32_t live = 0;
    slot_set(&c->slots[slot], SLOT_EMPTY, now);
    c->slots[slot].rest_until = now + SPAWN_REST;
    for (uint32_t i = 0; i < c->slot_count; i++)
        live += c->slots[i].state != SLOT_EMPTY;
    if (live == 0)
        break_job(c);
}

/* A worker that dies without work is no task's failure, so no retry limit stops it: its own limit
 * does. */
static void count_death(struct core *c, int64_t now)
{
    c->deaths[c->death_count++ % CORE_DEATHS_MAX] = now;
    bool full = c->death_count >= CORE_DEATHS_MAX; /* then the next place holds the oldest */
    if (full && now - c->deaths[c->death_count % CORE_DEATHS_MAX] <= c->limits.death_window)
        break_job(c);
}

static void on_worker_down(struct core *c, uint32_t slot, uint64_t fingerprint, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    CHECK(s->state != SLOT_EMPTY);
    uint32_t task = s->task;
    bool unasked = s->state == SLOT_STARTING || s->state == SLOT_IDLE;
    slot_set(s, SLOT_EMPTY, now);
    if (task != CORE_NONE)
        attempt_failed(c, task, fingerprint);
    else if (unasked && !c->stopped)
        count_death(c, now);
}

static void on_verdict(struct core *c, const struct core_event *event, int64_t now)
{
    CHECK(event->task < c->task_count);
    struct core_task *t = &c->tasks[event->task];
    if (event->retry) {
        move(c, event->task, MOVE_RETRY);
        t->due = now + event->delay;
        if (event->delay <= 0)
            move(c, event->task, MOVE_DUE);
        return;
    }
    move(c, event->task, MOVE_GIVE_UP);
    if (!c->failing)
        c->first_failed = event->task;
    c->failing = true;
}

/* --- time --- */

static void on_page(struct core *c, const struct core_event *event, int64_t now)
{
    struct core_slot *s = &c->slots[event->slot];
    if (event->heartbeat != s->heartbeat)
        s->alive_at = now;
    if (event->progress != s->progress)
        s->moved_at = now;
    s->heartbeat = event->heartbeat;
    s->progress = event->progress;
}

static bool passed(int64_t limit, int64_t since, int64_t now)
{
    return limit > 0 && now - since >= limit;
}

static void expire(struct core *c, uint32_t slot, enum core_reason reason, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    if (s->task != CORE_NONE)
        move(c, s->task, MOVE_EXPIRE);
    s->reason = reason;
    if (reason == REASON_HEARTBEAT || s->state == SLOT_STARTING) {
        slot_kill(c, slot, reason);
        return;
    }
    s->kill_at = now + c->limits.grace;
    act(c, ACT_INTERRUPT, slot, s->task)->reason = reason;
}

static void judge_slot(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    if (s->state != SLOT_BUSY && s->state != SLOT_STARTING)
        return;
    if (s->reason != REASON_NONE) {
        if (now >= s->kill_at)
            slot_kill(c, slot, s->reason);
    } else if (passed(c->limits.heartbeat_timeout, s->alive_at, now)) {
        expire(c, slot, REASON_HEARTBEAT, now);
    } else if (s->state == SLOT_BUSY && passed(c->limits.task_timeout, s->since, now)) {
        expire(c, slot, REASON_DEADLINE, now);
    } else if (s->state == SLOT_BUSY && passed(c->limits.progress_timeout, s->moved_at, now)) {
        expire(c, slot, REASON_PROGRESS, now);
    }
}

static void on_tick(struct core *c, int64_t now)
{
    for (uint32_t i = 0; i < c->slot_count; i++)
        judge_slot(c, i, now);
    if (c->waiting == 0 || c->failing)
        return;
    for (uint32_t i = 0; i < c->task_count; i++)
        if (c->tasks[i].state == TASK_BACKOFF && c->tasks[i].due <= now)
            move(c, i, MOVE_DUE);
}

int64_t core_next_due(const struct core *c)
{
    int64_t due = INT64_MAX;
    if (c->waiting == 0 || c->failing || c->over)
        return due;
    for (uint32_t i = 0; i < c->task_count; i++)
        if (c->tasks[i].state == TASK_BACKOFF && c->tasks[i].due < due)
            due = c->tasks[i].due;
    return due;
}

static void on_stop(struct core *c)
{
    c->stopped = true;
    for (uint32_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].state != SLOT_EMPTY && c->slots[i].state != SLOT_DYING)
            slot_kill(c, i, REASON_STOP);
}

void core_event(struct core *c, const struct core_event *event, int64_t now)
{
    c->action_count = 0;
    bool has_slot = event->kind == CORE_WORKER_UP || event->kind == CORE_WORKER_DOWN ||
                    event->kind == CORE_SPAWN_FAILED || event->kind == CORE_SUCCEEDED ||
                    event->kind == CORE_ERRED || event->kind == CORE_PAGE;
    CHECK(!has_slot || event->slot < c->slot_count);
    switch (event->kind) {
    case CORE_BEGIN:
        on_begin(c);
        break;
    case CORE_WORKER_UP:
        if (c->slots[event->slot].state == SLOT_STARTING)
            slot_set(&c->slots[event->slot], SLOT_IDLE, now);
        break;
    case CORE_WORKER_DOWN:
        on_worker_down(c, event->slot, event->fingerprint, now);
        break;
    case CORE_SPAWN_FAILED:
        on_spawn_failed(c, event->slot, now);
        break;
    case CORE_SUCCEEDED:
        on_succeeded(c, event->slot, now);
        break;
    case CORE_ERRED:
        attempt_failed(c, release_slot(c, event->slot, now), event->fingerprint);
        break;
    case CORE_VERDICT:
        on_verdict(c, event, now);
        break;
    case CORE_PAGE:
        on_page(c, event, now);
        break;
    case CORE_TICK:
        on_tick(c, now);
        break;
    case CORE_STOP:
        on_stop(c);
        break;
    }
    dispatch(c, now);
    settle(c);
}
