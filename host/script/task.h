/* task.h: what every kind of attempt has: its assignment, where it stands, its counters, side outputs and side files. */
#ifndef LMR_SCRIPT_TASK_H
#define LMR_SCRIPT_TASK_H

#include "base/arena.h"
#include "data/input.h"
#include "data/output.h"
#include "data/side.h"
#include "script/state.h"
#include "script/undo.h"

struct attempt_host;

enum task_kind { TASK_OTHER, TASK_MAP, TASK_REDUCE, TASK_SAMPLE };
enum { TASK_ID_MAX = 96, SIDE_OUTPUTS_MAX = 256, SIDE_NAME_MAX = 64, TASK_SIDES_MAX = 64 };

struct side_output {
    char name[SIDE_NAME_MAX];
    char *path; /* in the arena */
    struct output *output; /* NULL once closed */
    struct output_stats stats;
};

struct task_side {
    const char *name; /* in the arena */
    struct side *side;
};

struct task {
    struct script *script;
    struct slice assignment; /* borrowed */
    const struct attempt_host *host; /* or NULL */
    enum task_kind kind;
    void *emitter;           /* struct map_emitter, reduce_task or sample_task, by kind; NULL before there is one */
    char id[TASK_ID_MAX];
    int64_t attempt, serial, step, round;
    uint32_t group_by;
    bool durable;
    /* where the attempt stands: mr.task(), error positions */
    const char *file;        /* or NULL */
    int64_t offset, record;  /* or −1 */
    struct slice tag;        /* empty: none */
    /* Lua: registry references, or LUA_NOREF */
    int step_ref;            /* the resolved step, when the caller has it already (mr.run) */
    int counters_ref, handle_ref, output_spec_ref;
    struct buf counters;     /* encoded, once task_seal was called */
    struct arena arena;
    struct buf staged;       /* pairs of the current record for the part (map only) and for side outputs */
    struct output *part;     /* where target 0 of the staged pairs goes */
    uint64_t pairs_out, bytes_out; /* of the part */
    struct side_output *side_outputs; /* SIDE_OUTPUTS_MAX of them, in the arena, once there is one */
    uint32_t side_output_count;
    struct task_side *sides; /* TASK_SIDES_MAX of them, likewise */
    uint32_t side_count;
    int64_t cpu_start, started;
    struct undo undo; /* of the record or group at hand */
};

/* Reads the common fields; `assignment` is a checked map that outlives the task. */
void task_init(struct task *t, struct script *s, struct slice assignment, enum task_kind kind);
/* Abandons what is open and frees all. */
void task_free(struct task *t);

/* In a protected call: the counters are encoded, so that task_result can write them. */
void task_seal(lua_State *L, struct task *t);
/* Closes side outputs (fsync when durable). */
enum status task_close_outputs(struct task *t, struct err *e);
/* Adds counters, side outputs, CPU time, memory peak and warnings to a result. */
void task_result(struct task *t, struct val_map *result);
/* Adds where the attempt stands to an error that has no place yet. */
void task_place(const struct task *t, struct err *e);

/* Side outputs. Finds or opens (raises on a bad name, too many, an I/O error); returns its target number, from 1. */
uint32_t task_side_output(lua_State *L, struct task *t, const char *name);
/* Task checkpoints: adds outputs = [ { name, saved } ] to `first`, each written out (fsync, also of their directory, when durable). */
enum status task_save_outputs(struct task *t, struct val_map *first, struct err *e);
/* In a protected call: opens the next one as it was saved. `from_prefix` is the side_prefix of the attempt that did so. */
enum status task_restore_output(lua_State *L, struct task *t, const char *name, const char *from_prefix, struct slice saved, struct err *e);
/* Removes them all. */
enum status task_drop_outputs(struct task *t, struct err *e);
/* Stages a pair (stack indexes of key and value; value 0: `true`) for a target. In reduce it is written at once, unless groups may be put
 * aside: then up to UNDO_STAGE_MAX of a group are held. Raises on refusal. */
void task_stage(lua_State *L, struct task *t, uint32_t target, int key, int value, const char *who);
/* Writes what the record or group staged; forgets it. */
enum status task_commit(struct task *t, struct err *e);
/* Drops what is staged. */
void task_undo(struct task *t);

/* A record or group begins: what undo_* notes is about it. */
void task_forget(struct task *t);
static inline void task_mark(struct task *t)
{
    if (__builtin_expect(t->undo.dirty, 0))
        task_forget(t);
}
/* Whether all it did can be taken back. */
static inline bool task_can_take_back(const struct task *t)
{
    return t->undo.active && !t->undo.lost && !t->undo.written;
}
/* Takes it back, in a protected call. What a C failure left behind is forgotten too. */
enum status task_take_back(struct task *t, struct err *e);
/* Adds the attempt's time and its state's peak of memory to an error. */
void task_measure(const struct task *t, struct err *e);

/* The side file of a name; NULL when it is "previous" and there is none (empty). Raises when there is no such. */
const struct side *task_side(lua_State *L, struct task *t, const char *name);

/* What ends a wait for a server: an interrupt of the attempt, or the assignment's network_timeout. */
struct input_watch task_watch(struct task *t);

/* A field of the assignment as a C string in the arena; NULL when absent. */
const char *task_string(struct task *t, const char *name);

#endif
