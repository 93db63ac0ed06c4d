/* core.h: the scheduler's pure core: (state, event, now) → actions.
 *
 * It knows tasks in stages (the tasks of a stage become ready when every task of the stage before
 * has committed or was dropped), worker slots, delays before a retry, timeouts, backup attempts
 * for stragglers, and slots that rest. It does no I/O, reads no clock, and allocates only in
 * core_open and core_load: so the driver and a simulation under a virtual clock run the same code.
 * Times are nanoseconds of any monotonic clock.
 *
 * A task moves by one transition table (core_transition); a move the table does not have stops the
 * program. The actions of an event stand in core->actions until the next core_event; the caller
 * carries them out in order.
 *
 * Redo. A committed task whose result turned out to be corrupt goes back to work: the task that
 * found out is held until the producer has committed again, all others go on. The producer is
 * handed out before anything else. When it has committed anew since the failed attempt began,
 * nothing is redone: the task is just ready again.
 *
 * Speculation. A worker that is idle while no task is ready or due runs a backup of the slowest
 * attempt of the present stage: the stage has at least 3 tasks, at least half of them have
 * committed, and the attempt has run for at least 1 s and for at least twice the median of the
 * committed ones' durations. What is left of it is estimated by its pace, elapsed × (1 − f) / f,
 * f being the share of its input it has taken in (nothing yet: for ever; not known: as long as it
 * has run so far); it must be at least that median, and the most goes first. An attempt gets one
 * backup, and max(1, 10 % of the slots) backups run at once. (After LATE: M. Zaharia et al.,
 * "Improving MapReduce Performance in Heterogeneous Environments", OSDI 2008; simplified: its
 * thresholds for slow tasks and slow nodes are replaced by the two comparisons with the median.)
 * The first attempt to succeed wins. While the other one still runs, a failure is nobody's retry.
 *
 * Rest. A worker that ends by itself (while it starts, idles, or works and no record is known to
 * blame) is a death of its slot. More than limits.restarts of them within limits.restart_window,
 * and the slot rests for that window; twice as long each time, at most an hour. An attempt that
 * succeeds there makes it forget both deaths and rests: what counts is a slot that dies again and
 * again, not the share of the tasks that crash. When every slot is empty and rests, the job is
 * broken. */
#ifndef LMR_SCHEDULE_CORE_H
#define LMR_SCHEDULE_CORE_H

#include "base/status.h"

/* States of a task. */
#define CORE_STATES(X)                                                                    \
    X(BLOCKED)   /* an earlier stage is not done */                                       \
    X(READY)     /* waits for a worker */                                                 \
    X(RUNNING)   /* an attempt runs, or two */                                            \
    X(ENDING)    /* all its attempts were told to end by us, and have not ended yet */    \
    X(ASKING)    /* its attempt failed; the verdict is not there yet */                   \
    X(BACKOFF)   /* will be ready again when its delay is over */                         \
    X(HELD)      /* waits for a producer that runs again */                               \
    X(COMMITTED) /* an attempt has won */                                                 \
    X(DROPPED)   /* the job goes on without it */                                         \
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
    X(DROP)    /* verdict: go on without it */                     \
    X(HOLD)    /* verdict: its producer runs again first */        \
    X(RELEASE) /* the producer has committed */                    \
    X(REDO)    /* its result is lost: it runs again */             \
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

enum core_reason {
    REASON_NONE,
    REASON_HEARTBEAT,
    REASON_PROGRESS,
    REASON_DEADLINE,
    REASON_STOP,
    REASON_LOST, /* another attempt of its task has won */
    REASON_FRESH /* an idle worker makes way for one that has run nothing */
};

enum core_verdict {
    CORE_RETRY,   /* again, after `delay` */
    CORE_GIVE_UP, /* failed for good, and the job with it */
    CORE_DROP,    /* the job goes on without it. May that task be dropped? The caller's business */
    CORE_REDO     /* `producer` first, then this task again */
};

enum core_event_kind {
    CORE_BEGIN,        /* tasks were loaded */
    CORE_WORKER_UP,    /* slot: its worker said hello */
    CORE_WORKER_DOWN,  /* slot: its process has ended and all it sent was delivered; fingerprint of
                          the failure when it was busy */
    CORE_SPAWN_FAILED, /* slot: every empty slot rests for 2 s */
    CORE_SUCCEEDED,    /* slot: its attempt (core_slot.serial) has sent its result */
    CORE_ERRED,        /* slot, fingerprint */
    CORE_VERDICT,      /* task, verdict, and what it needs: delay, fresh, producer */
    CORE_PAGE,         /* slot, heartbeat, progress, fraction: what its page shows */
    CORE_TICK,         /* delays and timeouts are judged; sockets must have been drained before */
    CORE_LIMITS,       /* limits: they count from now on */
    CORE_STOP          /* a signal came: workers are killed, nothing more is handed out */
};

struct core_event {
    enum core_event_kind kind;
    uint32_t slot, task;
    uint64_t fingerprint;         /* 0 equals nothing */
    uint64_t heartbeat, progress; /* any change of the value is a sign of life, or progress */
    double fraction;              /* of the attempt's input taken in, 0 … 1; < 0: not known */
    enum core_verdict verdict;
    int64_t delay;
    uint32_t producer; /* CORE_REDO: of an earlier stage; has committed, or is redone already */
    bool fresh;        /* the task wants a worker that has run nothing (CORE_RETRY, CORE_REDO) */
    int64_t timeout;   /* of a verdict: task and progress timeouts that are lower are raised to it */
    const struct core_limits *limits; /* copied */
};

enum core_action_kind {
    ACT_SPAWN,         /* slot: start a worker */
    ACT_ASSIGN,        /* slot, task, attempt, speculative, serial */
    ACT_COMMIT,        /* slot, task, attempt, speculative: the result just delivered wins */
    ACT_LOST,          /* slot, task, attempt, speculative: another attempt has won. An ACT_KILL
                          with REASON_LOST went before, unless the worker was dying already */
    ACT_BACKUP_FAILED, /* slot, task, attempt, speculative, same_failures, fingerprint: another
                          attempt of the task goes on, so there is no verdict */
    ACT_ASK_POLICY,    /* task, attempt, speculative, retry, failures, same_failures, fingerprint;
                          answered by CORE_VERDICT, at any time */
    ACT_REDO,          /* task: its result is forgotten, it runs again */
    ACT_INTERRUPT,     /* slot, task, reason: ask the attempt to end (a timeout has passed) */
    ACT_KILL,          /* slot, task (or CORE_NONE), reason */
    ACT_REST,          /* slot: no worker is started there before core_slot.rest_until */
    ACT_STAGE_DONE,    /* stage */
    ACT_DONE,          /* every stage is done */
    ACT_FAIL_JOB,      /* task: failed for good, and nothing runs any more */
    ACT_BROKEN,        /* workers cannot be started, or die at once: the job cannot go on */
    ACT_KINDS
};

enum { CORE_NONE = UINT32_MAX };

struct core_action {
    enum core_action_kind kind;
    uint32_t slot, task, stage;
    uint32_t attempt;       /* normal ones count from 0, speculative ones on their own from 1 */
    bool speculative;       /* "map_0.1s" */
    uint32_t retry;         /* the one that would come, from 1 */
    uint32_t failures;      /* earlier ones of the task */
    uint32_t same_failures; /* with this fingerprint, this one and those of backups included,
                               whatever else failed in between (core_same_failures) */
    uint64_t fingerprint;
    uint64_t serial; /* of this attempt among all there are */
    enum core_reason reason;
};

/* How often a task has failed in one way. */
struct core_same {
    uint64_t fingerprint;
    uint32_t count;
};

enum { CORE_SAME_KEPT = 4 };

struct core_task {
    enum core_state state;
    uint32_t stage;
    uint32_t slot, backup; /* where its attempts run, or CORE_NONE; backup: the second of two */
    uint32_t attempts;     /* normal ones so far */
    uint32_t attempts_before; /* of these, before the job went on: they do not count against limits */
    uint32_t backups;      /* speculative ones so far */
    uint32_t failures;     /* that asked for a verdict */
    uint32_t same_failures; /* of the newest failure */
    struct core_same same[CORE_SAME_KEPT]; /* the ways it failed in last, the newest first */
    uint32_t producer; /* HELD: what it waits for */
    bool fresh;        /* wants a worker that has run nothing */
    bool redone;       /* has committed before; its stage does not wait for it */
    bool backed_up;    /* its present normal attempt has had its backup */
    uint64_t failed_serial; /* of the attempt that asked last */
    uint64_t committed_at;  /* attempts with a smaller serial began before its newest commit */
    uint64_t queued;        /* READY: the smaller, the sooner */
    int64_t due;
    int64_t timeout; /* 0, or what lower timeouts are raised to */
};

enum { CORE_RESTARTS_MAX = 63 };

struct core_slot {
    enum core_slot_state state;
    enum core_reason reason; /* why its attempt was told to end */
    uint32_t task, attempt;
    bool speculative;
    bool used; /* its worker has been given an attempt */
    uint64_t serial;
    int64_t since;    /* of its attempt, else of its state */
    int64_t alive_at; /* the heartbeat last changed */
    int64_t moved_at; /* the progress last changed */
    int64_t kill_at;  /* after an interrupt */
    uint64_t heartbeat, progress;
    double fraction;
    int64_t rest_until; /* no worker is started before */
    uint32_t rests;     /* since its last success */
    uint32_t death_count;
    int64_t deaths[CORE_RESTARTS_MAX + 1]; /* since its last rest or success, the newest of them */
};

/* 0: no such limit. */
struct core_limits {
    int64_t heartbeat_timeout, progress_timeout, task_timeout;
    int64_t grace;     /* from an interrupt to the kill */
    uint32_t restarts; /* deaths that a slot may have within restart_window; 0 is none, and more
                          than CORE_RESTARTS_MAX counts as that */
    int64_t restart_window;
    bool speculate;
};

struct core_queue {
    uint32_t *tasks; /* a ring */
    uint32_t head, count;
};

enum { CORE_STAGES_MAX = 8 };

struct core {
    struct core_limits limits;
    struct core_task *tasks;
    uint32_t task_count, task_capacity;
    struct core_queue ready;       /* first come first served, but redone ones go first */
    struct core_queue fresh_ready; /* those that want a fresh worker */
    uint64_t next_queued;
    uint32_t stage, stage_count;
    uint32_t stage_tasks; /* of the present stage */
    uint32_t stage_open;  /* of them: neither committed nor dropped */
    uint32_t first_failed;
    uint32_t live;    /* tasks running, ending or asking */
    uint32_t waiting; /* tasks in backoff */
    uint32_t held;    /* tasks that wait for a producer */
    int64_t *durations; /* of the attempts that won in the present stage, in no order */
    uint32_t duration_count;
    uint32_t median_of; /* the count that `median` is of */
    int64_t median;
    struct core_slot *slots;
    uint32_t slot_count;
    uint64_t next_serial;
    bool begun, failing, stopped, over;
    bool halted; /* set by the caller, for good: what runs may end, nothing more is handed out */
    struct core_action *actions;
    uint32_t action_count, action_capacity;
};

/* A core with `slots` worker slots, all empty, and no tasks. */
enum status core_open(struct core *c, uint32_t slots, const struct core_limits *limits,
                      struct err *e);
/* Replaces the tasks (the ones before must be over, or never begun): `stage_sizes` tasks in each of
 * `stages` (≤ CORE_STAGES_MAX) stages, numbered through. Slots keep their workers. Then comes
 * CORE_BEGIN. */
enum status core_load(struct core *c, const uint32_t *stage_sizes, uint32_t stages, struct err *e);
/* Between core_load and CORE_BEGIN, for a job that goes on: the task is TASK_COMMITTED or
 * TASK_DROPPED already, or TASK_BLOCKED and still to do. `attempts` normal and `backups`
 * speculative attempts have had their numbers. */
void core_restore(struct core *c, uint32_t task, enum core_state state, uint32_t attempts,
                  uint32_t backups);
/* Takes one event; replaces core->actions. */
void core_event(struct core *c, const struct core_event *event, int64_t now);
/* Failures of the task so far with this fingerprint: none with 0, and none of a way that it has not
 * failed in since CORE_SAME_KEPT others. */
uint32_t core_same_failures(const struct core_task *t, uint64_t fingerprint);
/* When the next delay is over, or INT64_MAX. */
int64_t core_next_due(const struct core *c);
void core_close(struct core *c);

#endif
