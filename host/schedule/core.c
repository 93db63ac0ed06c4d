#include "schedule/core_internal.h"

#include "base/sys.h"

#include <string.h>

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
    { TASK_ASKING, MOVE_GIVE_UP, TASK_FAILED },     { TASK_ASKING, MOVE_DROP, TASK_DROPPED },
    { TASK_ASKING, MOVE_HOLD, TASK_HELD },          { TASK_HELD, MOVE_RELEASE, TASK_READY },
    { TASK_BACKOFF, MOVE_DUE, TASK_READY },         { TASK_COMMITTED, MOVE_REDO, TASK_READY },
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

/* Each slot can give two actions in one event (it is killed, or starts to rest, or gets a worker or
 * an attempt); those of a task, of the stages and of the job come on top. */
enum { ACTIONS_A_SLOT = 3, ACTIONS_MORE = 8 + CORE_STAGES_MAX };

enum status core_open(struct core *c, uint32_t slots, const struct core_limits *limits,
                      struct err *e)
{
    *c = (struct core){ .limits = *limits, .slot_count = slots, .next_serial = 1, .over = true };
    c->action_capacity = slots * ACTIONS_A_SLOT + ACTIONS_MORE;
    c->slots = sys_calloc(slots, sizeof *c->slots);
    c->actions = sys_calloc(c->action_capacity, sizeof *c->actions);
    if (!c->slots || !c->actions) {
        core_close(c);
        return err_memory(e, "the scheduler", slots * sizeof *c->slots);
    }
    for (uint32_t i = 0; i < slots; i++)
        core_slot_set(&c->slots[i], SLOT_EMPTY, 0);
    return ST_OK;
}

static void free_tasks(struct core *c)
{
    sys_free(c->tasks);
    sys_free(c->ready.tasks);
    sys_free(c->fresh_ready.tasks);
    sys_free(c->durations);
    c->tasks = NULL;
    c->ready.tasks = c->fresh_ready.tasks = NULL;
    c->durations = NULL;
    c->task_capacity = 0;
}

void core_close(struct core *c)
{
    free_tasks(c);
    sys_free(c->slots);
    sys_free(c->actions);
    *c = (struct core){ .over = true };
}

static enum status grow_tasks(struct core *c, uint32_t count, struct err *e)
{
    if (count <= c->task_capacity)
        return ST_OK;
    free_tasks(c);
    c->tasks = sys_calloc(count, sizeof *c->tasks);
    c->ready.tasks = sys_calloc(count, sizeof *c->ready.tasks);
    c->fresh_ready.tasks = sys_calloc(count, sizeof *c->fresh_ready.tasks);
    c->durations = sys_calloc(count, sizeof *c->durations);
    if (!c->tasks || !c->ready.tasks || !c->fresh_ready.tasks || !c->durations)
        return err_memory(e, "the task table", count * sizeof *c->tasks);
    c->task_capacity = count;
    return ST_OK;
}

enum status core_load(struct core *c, const uint32_t *stage_sizes, uint32_t stages, struct err *e)
{
    CHECK(c->over && stages <= CORE_STAGES_MAX);
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
            c->tasks[task++] = (struct core_task){ .state = TASK_BLOCKED,
                                                   .stage = s,
                                                   .slot = CORE_NONE,
                                                   .backup = CORE_NONE,
                                                   .producer = CORE_NONE };
    c->task_count = count;
    c->stage_count = stages;
    c->stage = c->stage_tasks = c->stage_open = 0;
    c->ready.head = c->ready.count = c->fresh_ready.head = c->fresh_ready.count = 0;
    c->next_queued = 1;
    c->live = c->waiting = c->held = c->duration_count = c->median_of = 0;
    c->first_failed = CORE_NONE;
    c->begun = c->failing = c->over = false;
    return ST_OK;
}

void core_restore(struct core *c, uint32_t task, enum core_state state, uint32_t attempts,
                  uint32_t backups)
{
    CHECK(!c->begun && task < c->task_count && c->tasks[task].state == TASK_BLOCKED);
    CHECK(state == TASK_BLOCKED || state == TASK_COMMITTED || state == TASK_DROPPED);
    c->tasks[task].state = state;
    c->tasks[task].attempts = c->tasks[task].attempts_before = attempts;
    c->tasks[task].backups = backups;
}

/* From a worker that could not be started to the next attempt at it. */
#define SPAWN_REST (INT64_C(2) * 1000000000)

/* --- small moves --- */

struct core_action *core_act(struct core *c, enum core_action_kind kind, uint32_t slot,
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

/* Others wait for what is redone: it goes to the front. */
static void queue(struct core *c, uint32_t task)
{
    struct core_task *t = &c->tasks[task];
    struct core_queue *q = t->fresh ? &c->fresh_ready : &c->ready;
    CHECK(q->count < c->task_count);
    q->count++;
    if (t->redone) {
        q->head = (q->head + c->task_count - 1) % c->task_count;
        q->tasks[q->head] = task;
        t->queued = 0;
        return;
    }
    q->tasks[(q->head + q->count - 1) % c->task_count] = task;
    t->queued = c->next_queued++;
}

void core_move(struct core *c, uint32_t task, enum core_move m)
{
    struct core_task *t = &c->tasks[task];
    enum core_state to = core_transition(t->state, m);
    CHECK(to < TASK_STATES);
    c->live += (uint32_t)is_live(to) - (uint32_t)is_live(t->state);
    c->waiting += (uint32_t)(to == TASK_BACKOFF) - (uint32_t)(t->state == TASK_BACKOFF);
    c->held += (uint32_t)(to == TASK_HELD) - (uint32_t)(t->state == TASK_HELD);
    t->state = to;
    if (to == TASK_READY)
        queue(c, task);
}

/* --- stages --- */

static void unblock_stage(struct core *c)
{
    c->stage_tasks = c->duration_count = c->median_of = 0;
    c->stage_open = 0;
    for (uint32_t i = 0; i < c->task_count; i++) {
        if (c->tasks[i].stage != c->stage)
            continue;
        c->stage_tasks++;
        if (c->tasks[i].state != TASK_BLOCKED)
            continue; /* done before the job went on */
        core_move(c, i, MOVE_UNBLOCK);
        c->stage_open++;
    }
}

/* Goes on to the next stage that has tasks; after the last one the tasks are over. */
static void advance_stages(struct core *c)
{
    while (c->stage_open == 0 && !c->over) {
        CHECK(c->held == 0);
        if (c->stage < c->stage_count)
            core_act(c, ACT_STAGE_DONE, CORE_NONE, CORE_NONE)->stage = c->stage++;
        if (c->stage < c->stage_count)
            unblock_stage(c);
        else
            c->over = true;
    }
    if (c->over)
        (void)core_act(c, ACT_DONE, CORE_NONE, CORE_NONE);
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

/* Those that wait for it read what there is now. */
static void release_held(struct core *c, uint32_t producer)
{
    for (uint32_t i = 0; i < c->task_count && c->held > 0; i++)
        if (c->tasks[i].state == TASK_HELD && c->tasks[i].producer == producer) {
            c->tasks[i].producer = CORE_NONE;
            core_move(c, i, MOVE_RELEASE);
        }
}

/* Committed, or dropped. A redone one was counted when it was done first. */
static void task_done(struct core *c, uint32_t task)
{
    struct core_task *t = &c->tasks[task];
    if (t->redone) {
        t->redone = false;
        release_held(c, task);
        return;
    }
    CHECK(t->stage == c->stage && c->stage_open > 0);
    if (--c->stage_open == 0 && !c->stopped && !c->failing)
        advance_stages(c);
}

/* --- ends of attempts --- */

/* An attempt that has ended, or lost. */
struct ended {
    uint32_t slot, task, attempt;
    bool speculative;
    uint64_t serial;
    int64_t elapsed;
};

/* A failed job ends when nothing runs and no verdict is awaited any more. Without any slot to start
 * a worker in, a verdict that is awaited still comes first: it may say more of what was wrong. */
static void settle(struct core *c, int64_t now)
{
    if (c->live > 0 || c->over || c->stopped)
        return;
    if (c->failing) {
        c->over = true;
        (void)core_act(c, ACT_FAIL_JOB, CORE_NONE, c->first_failed);
    } else if (core_all_rest(c, now)) {
        c->over = true;
        (void)core_act(c, ACT_BROKEN, CORE_NONE, CORE_NONE);
    }
}

/* Takes the slot's attempt from it. */
static struct ended end_attempt(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    CHECK(s->task < c->task_count && (s->state == SLOT_BUSY || s->state == SLOT_DYING));
    CHECK(c->tasks[s->task].slot == slot || c->tasks[s->task].backup == slot);
    struct ended ended = { slot,      s->task, s->attempt, s->speculative,
                           s->serial, now - s->since };
    s->task = CORE_NONE;
    return ended;
}

/* The attempt has sent its last word: a worker that is not about to be killed is free. */
static struct ended release_slot(struct core *c, uint32_t slot, int64_t now)
{
    struct ended ended = end_attempt(c, slot, now);
    if (c->slots[slot].state == SLOT_BUSY)
        core_slot_set(&c->slots[slot], SLOT_IDLE, now);
    return ended;
}

static struct core_action *act_ended(struct core *c, enum core_action_kind kind,
                                     const struct ended *ended)
{
    struct core_action *a = core_act(c, kind, ended->slot, ended->task);
    a->attempt = ended->attempt;
    a->speculative = ended->speculative;
    a->serial = ended->serial;
    return a;
}

/* The other attempt is the task's only one now. */
static void leave_to_other(struct core *c, const struct ended *ended)
{
    struct core_task *t = &c->tasks[ended->task];
    if (t->slot == ended->slot)
        t->slot = t->backup;
    t->backup = CORE_NONE;
    CHECK(c->slots[t->slot].task == ended->task);
    if (t->state == TASK_RUNNING && c->slots[t->slot].reason != REASON_NONE)
        core_move(c, ended->task, MOVE_EXPIRE);
}

uint32_t core_same_failures(const struct core_task *t, uint64_t fingerprint)
{
    for (size_t i = 0; i < CORE_SAME_KEPT && fingerprint != 0; i++)
        if (t->same[i].fingerprint == fingerprint)
            return t->same[i].count;
    return 0;
}

/* Between two failures at one record there may be others that have nothing to do with it. */
static void remember_failure(struct core_task *t, uint64_t fingerprint)
{
    size_t at = 0;
    t->same_failures = core_same_failures(t, fingerprint) + 1;
    if (fingerprint == 0)
        return;
    while (at < CORE_SAME_KEPT - 1 && t->same[at].fingerprint != fingerprint)
        at++;
    memmove(t->same + 1, t->same, at * sizeof *t->same);
    t->same[0] = (struct core_same){ fingerprint, t->same_failures };
}

static void attempt_failed(struct core *c, const struct ended *ended, uint64_t fingerprint)
{
    struct core_task *t = &c->tasks[ended->task];
    bool goes_on = t->backup != CORE_NONE;
    remember_failure(t, fingerprint);
    struct core_action *a = act_ended(c, goes_on ? ACT_BACKUP_FAILED : ACT_ASK_POLICY, ended);
    a->same_failures = t->same_failures;
    a->fingerprint = fingerprint;
    if (goes_on) {
        leave_to_other(c, ended);
        return;
    }
    a->failures = t->failures++;
    a->retry = t->failures;
    core_move(c, ended->task, MOVE_ERR);
    t->slot = CORE_NONE;
    t->failed_serial = ended->serial;
}

/* Another attempt has won. */
static void lose(struct core *c, uint32_t slot, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    s->reason = REASON_LOST;
    if (s->state != SLOT_DYING)
        core_slot_kill(c, slot, REASON_LOST);
    struct ended lost = end_attempt(c, slot, now);
    (void)act_ended(c, ACT_LOST, &lost);
}

static void on_succeeded(struct core *c, uint32_t slot, int64_t now)
{
    struct ended won = release_slot(c, slot, now);
    struct core_task *t = &c->tasks[won.task];
    c->slots[slot].rests = c->slots[slot].death_count = 0;
    (void)act_ended(c, ACT_COMMIT, &won);
    uint32_t other = t->slot == slot ? t->backup : t->slot;
    if (other != CORE_NONE)
        lose(c, other, now);
    core_move(c, won.task, MOVE_SUCCEED);
    t->slot = t->backup = CORE_NONE;
    t->committed_at = c->next_serial;
    if (!t->redone)
        c->durations[c->duration_count++] = won.elapsed;
    task_done(c, won.task);
}

/* A system that is short of processes may have one to give later, and until then to no slot. */
static void on_spawn_failed(struct core *c, uint32_t slot, int64_t now)
{
    CHECK(c->slots[slot].state == SLOT_STARTING || c->slots[slot].state == SLOT_DYING);
    core_slot_set(&c->slots[slot], SLOT_EMPTY, now);
    for (uint32_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].state == SLOT_EMPTY && c->slots[i].rest_until < now + SPAWN_REST)
            c->slots[i].rest_until = now + SPAWN_REST;
}

/* A death that a known record is to blame for is not the slot's. */
static bool is_death(const struct core_slot *s, uint64_t fingerprint)
{
    return s->state == SLOT_STARTING || s->state == SLOT_IDLE ||
           (s->state == SLOT_BUSY && s->reason == REASON_NONE && fingerprint == 0);
}

static void on_worker_down(struct core *c, uint32_t slot, uint64_t fingerprint, int64_t now)
{
    struct core_slot *s = &c->slots[slot];
    CHECK(s->state != SLOT_EMPTY);
    bool died = is_death(s, fingerprint);
    if (s->task != CORE_NONE) {
        struct ended ended = end_attempt(c, slot, now);
        attempt_failed(c, &ended, fingerprint);
    }
    core_slot_set(s, SLOT_EMPTY, now);
    if (died && !c->stopped && !c->over)
        core_count_death(c, slot, now);
}

/* --- verdicts --- */

static void give_up(struct core *c, uint32_t task)
{
    core_move(c, task, MOVE_GIVE_UP);
    if (!c->failing)
        c->first_failed = task;
    c->failing = true;
}

/* The failed attempt may have read what has been replaced since: then there is nothing to redo. */
static void redo(struct core *c, uint32_t task, uint32_t producer)
{
    CHECK(producer < c->task_count);
    struct core_task *t = &c->tasks[task], *p = &c->tasks[producer];
    CHECK(p->stage < t->stage);
    t->producer = producer;
    core_move(c, task, MOVE_HOLD);
    if (p->state == TASK_COMMITTED && p->committed_at <= t->failed_serial) {
        p->redone = true;
        core_move(c, producer, MOVE_REDO);
        (void)core_act(c, ACT_REDO, CORE_NONE, producer);
    } else if (p->state == TASK_COMMITTED || p->state == TASK_DROPPED) {
        t->producer = CORE_NONE;
        core_move(c, task, MOVE_RELEASE);
    } else {
        CHECK(p->redone);
    }
}

static void on_verdict(struct core *c, const struct core_event *event, int64_t now)
{
    CHECK(event->task < c->task_count);
    struct core_task *t = &c->tasks[event->task];
    t->fresh = event->fresh;
    t->timeout = event->timeout;
    switch (event->verdict) {
    case CORE_RETRY:
        core_move(c, event->task, MOVE_RETRY);
        t->due = now + event->delay;
        if (event->delay <= 0)
            core_move(c, event->task, MOVE_DUE);
        break;
    case CORE_GIVE_UP:
        give_up(c, event->task);
        break;
    case CORE_DROP:
        core_move(c, event->task, MOVE_DROP);
        task_done(c, event->task);
        break;
    case CORE_REDO:
        redo(c, event->task, event->producer);
        break;
    }
}

/* --- events --- */

static void on_page(struct core *c, const struct core_event *event, int64_t now)
{
    struct core_slot *s = &c->slots[event->slot];
    if (event->heartbeat != s->heartbeat)
        s->alive_at = now;
    if (event->progress != s->progress)
        s->moved_at = now;
    s->heartbeat = event->heartbeat;
    s->progress = event->progress;
    s->fraction = event->fraction;
}

static void on_tick(struct core *c, int64_t now)
{
    for (uint32_t i = 0; i < c->slot_count; i++)
        core_judge_slot(c, i, now);
    if (c->waiting == 0 || c->failing)
        return;
    for (uint32_t i = 0; i < c->task_count; i++)
        if (c->tasks[i].state == TASK_BACKOFF && c->tasks[i].due <= now)
            core_move(c, i, MOVE_DUE);
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
            core_slot_kill(c, i, REASON_STOP);
}

static bool is_of_slot(enum core_event_kind kind)
{
    return kind == CORE_WORKER_UP || kind == CORE_WORKER_DOWN || kind == CORE_SPAWN_FAILED ||
           kind == CORE_SUCCEEDED || kind == CORE_ERRED || kind == CORE_PAGE;
}

static void on_erred(struct core *c, uint32_t slot, uint64_t fingerprint, int64_t now)
{
    struct ended ended = release_slot(c, slot, now);
    attempt_failed(c, &ended, fingerprint);
}

static void on_worker_up(struct core_slot *s, int64_t now)
{
    if (s->state == SLOT_STARTING)
        core_slot_set(s, SLOT_IDLE, now);
}

static void take_event(struct core *c, const struct core_event *event, int64_t now)
{
    switch (event->kind) {
    case CORE_BEGIN:
        on_begin(c);
        break;
    case CORE_WORKER_UP:
        on_worker_up(&c->slots[event->slot], now);
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
        on_erred(c, event->slot, event->fingerprint, now);
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
    case CORE_LIMITS:
        c->limits = *event->limits;
        break;
    case CORE_STOP:
        on_stop(c);
        break;
    }
}

void core_event(struct core *c, const struct core_event *event, int64_t now)
{
    CHECK(!is_of_slot(event->kind) || event->slot < c->slot_count);
    c->action_count = 0;
    take_event(c, event, now);
    if (event->kind == CORE_PAGE)
        return; /* it is judged by the next tick */
    core_hand_out(c, now);
    settle(c, now);
}
