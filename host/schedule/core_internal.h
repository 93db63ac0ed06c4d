/* core_internal.h: what the files of the pure core share. Nobody else includes it.
 *
 *   core.c            tasks: transitions, stages, ends of attempts, verdicts
 *   core_slots.c      slots: handing out work, timeouts, deaths and rests
 *   core_speculate.c  which attempt gets a backup */
#ifndef LMR_SCHEDULE_CORE_INTERNAL_H
#define LMR_SCHEDULE_CORE_INTERNAL_H

#include "schedule/core.h"

/* Adds an action to those of the event; it stays valid until the next one. */
struct core_action *core_act(struct core *c, enum core_action_kind kind, uint32_t slot,
                             uint32_t task);
/* The only place where a task's state changes. A task that becomes ready is queued. */
void core_move(struct core *c, uint32_t task, enum core_move m);
/* The slot's new state begins now, without a task. */
void core_slot_set(struct core_slot *s, enum core_slot_state state, int64_t now);
void core_slot_kill(struct core *c, uint32_t slot, enum core_reason reason);
/* The slot's worker, which is idle, gets an attempt of the task, which is READY (or, with
 * `speculative`, runs in another slot). */
void core_assign(struct core *c, uint32_t slot, uint32_t task, bool speculative, int64_t now);

/* Idle workers get what is ready; for what is left over, workers are started in empty slots. */
void core_hand_out(struct core *c, int64_t now);
/* Idle workers that are left get backups of stragglers. */
void core_speculate(struct core *c, int64_t now);
/* Timeouts of what runs in the slot. */
void core_judge_slot(struct core *c, uint32_t slot, int64_t now);
/* The slot's worker has ended by itself. */
void core_count_death(struct core *c, uint32_t slot, int64_t now);
/* Nothing is left to start a worker in. */
bool core_all_rest(const struct core *c, int64_t now);

#endif
