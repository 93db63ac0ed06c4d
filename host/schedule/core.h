/* core.h: the scheduler's pure core: (state, event, now) → actions.
 *
 * It knows tasks in stages (the tasks of a stage become ready when every task of the stage before
 * has committed), worker slots, delays before a retry, and timeouts. It does no I/O, reads no
 * clock, and allocates only in core_open and core_load: so the driver and a simulation under a
 * virtual clock run the same code. Times are nanoseconds of any monotonic clock.
 *
 * A task moves by one transition table (core_transition); a move the table does not have stops the
 * program. The actions of an event stand in core->actions until the next core_event; the caller
 * carries them out in order. */
#ifndef LMR_SCHEDULE_CORE_H
#define LMR_SCHEDULE_CORE_H

#include "base/status.h"

/* States of a task. */
#define CORE_STATES(X)                                                                    \
    X(BLOCKED)   /* an earlier stage is not done */                                       \
    X(READY)     /* waits for a worker */                                                 \
    X(RUNNING)   /* an attempt runs */                                                    \
    X(ENDING)    /* its attempt was interrupted or killed by us, and has not ended yet */ \
    X(ASKING)    /* its attempt failed; the verdict is not there yet */                   \
    X(BACKOFF)   /* will be ready again when its delay is over */                         \
    X(COMMITTED) /* an attempt has won */                                                 \
    X(FAILED)    /* for good */

/* What can happen to a task. */
#define CORE_MOVES(X)                                              \
    X(UNBLOCK) /* the stage before is done */                      \
    X(ASSIGN)  /* a worker was found */                            \
    X(SUCCEED) /* the attempt sent its result */                   \
    X(ERR)     /* the attempt sent an error, or its worker died */ \
    X(EXPIRE)  /* a timeout of the attempt has passed */           \
    X(RETRY)   /* verdict: again, after a delay */                 \
    X(GIVE_UP) /* verdict: no more */                              \
    X(DUE)     /* the delay is over */

enum core_state {
#define X(name) TASK_##name,
    CORE_STATES(X)
#undef X
        TASK_STATES
};

enum core_move {
#define X(name) MOVE_##name,
    CORE_MOVES(X)
#undef X
        TASK_MOVES
};

/* The state after `move` in `state`, or TASK_STATES when that move cannot happen there. */
enum core_state core_transition(enum core_state state, enum core_move move);
const char *core_state_name(enum core_state state);
const char *core_move_name(enum core_move move);

enum core_slot_state { SLOT_EMPTY, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY, SLOT_DYING };

enum core_reason { REASON_NONE, REASON_HEARTBEAT, REASON_PROGRESS, REASON_DEADLINE, REASON_STOP };

enum core_event_kind {
    CORE_BEGIN,        /* tasks were loaded */
    CORE_WORKER_UP,    /* slot: its worker said hello */
    CORE_WORKER_DOWN,  /* slot: its process has ended and all it sent was delivered; fingerprint of
                          the failure when it was busy */
    CORE_SPAWN_FAILED, /* slot: tried again later while others work; else the job is broken */
    CORE_SUCCEEDED,    /* slot */
    CORE_ERRED,        /* slot, fingerprint */
    CORE_VERDICT,      /* task, retry, delay */
    CORE_PAGE,         /* slot, heartbeat, progress: what its page shows */
    CORE_TICK,         /* delays and timeouts are judged; sockets must have been drained before */
    CORE_STOP          /* a signal came: workers are killed, nothing more is handed out */
};

struct core_event {
    enum core_event_kind kind;
    uint32_t slot, task;
    uint64_t fingerprint;         /* 0 equals nothing */
    uint64_t heartbeat, progress; /* any change of the value is a sign of life, or progress */
    bool retry;
    int64_t delay;
};

enum core_action_kind {
    ACT_SPAWN,      /* slot: start a worker */
    ACT_ASSIGN,     /* slot, task, attempt, serial */
    ACT_COMMIT,     /* slot, task, attempt: the result just delivered wins */
    ACT_ASK_POLICY, /* task, attempt, retry, same_failures; answered by CORE_VERDICT */
    ACT_INTERRUPT,  /* slot, reason: ask the attempt to end (a timeout has passed) */
    ACT_KILL,       /* slot, reason */
    ACT_STAGE_DONE, /* stage */
    ACT_DONE,       /* every stage is done */
    ACT_FAIL_JOB,   /* task: failed for good, and nothing runs any more */
    ACT_BROKEN,     /* workers cannot be started, or die at once: the job cannot go on */
    ACT_KINDS
};

enum { CORE_NONE = UINT32_MAX };

struct core_action {
    enum core_action_kind kind;
    uint32_t slot, task, stage;
    uint32_t attempt, retry, same_failures;
    uint64_t serial;
    enum core_reason reason;
};

struct core_task {
    enum core_state state;
    uint32_t stage, slot;
    uint32_t attempts, failures, same_failures;
    uint64_t fingerprint;
    int64_t due;
};

struct core_slot {
    enum core_slot_state state;
    enum core_reason reason; /* why its attempt was told to end */
    uint32_t task;
    uint64_t serial;
    int64_t since;    /* of its attempt, else of its state */
    int64_t alive_at; /* the heartbeat last changed */
    int64_t moved_at; /* the progress last changed */
    int64_t kill_at;  /* after an interrupt */
    int64_t rest_until; /* no worker is started before: the last start failed */
    uint64_t heartbeat, progress;
};

/* 0: no such limit. */
struct core_limits {
    int64_t heartbeat_timeout, progress_timeout, task_timeout;
    int64_t grace;        /* from an interrupt to the kill */
    int64_t death_window; /* CORE_DEATHS_MAX idle deaths within it break the job */
};

enum { CORE_DEATHS_MAX = 5 };

struct core {
    struct core_limits limits;
    struct core_task *tasks;
    uint32_t task_count, task_capacity;
    uint32_t *ready; /* ring of ready tasks, first come first served */
    uint32_t ready_head, ready_count;
    uint32_t stage, stage_count;
    uint32_t stage_open; /* tasks of the stage that have not committed */
    uint32_t first_failed;
    uint32_t live;    /* tasks running, ending or asking */
    uint32_t waiting; /* tasks in backoff */
    struct core_slot *slots;
    uint32_t slot_count;
    uint64_t next_serial;
    int64_t deaths[CORE_DEATHS_MAX];
    uint32_t death_count;
    bool begun, failing, stopped, over;
    struct core_action *actions;
    uint32_t action_count, action_capacity;
};

/* A core with `slots` worker slots, all empty, and no tasks. */
enum status core_open(struct core *c, uint32_t slots, const struct core_limits *limits,
                      struct err *e);
/* Replaces the tasks (the ones before must be over, or never begun): `stage_sizes` tasks in each of
 * `stages` stages, numbered through. Slots keep their workers. Then comes CORE_BEGIN. */
enum status core_load(struct core *c, const uint32_t *stage_sizes, uint32_t stages, struct err *e);
/* Takes one event; replaces core->actions. */
void core_event(struct core *c, const struct core_event *event, int64_t now);
/* When the next delay is over, or INT64_MAX. */
int64_t core_next_due(const struct core *c);
void core_close(struct core *c);

#endif
