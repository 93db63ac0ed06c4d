/* emit.h: the map side's emit: from two Lua values on the stack into the collector, or into a part file (map only).
 *
 * Partition functions, ranks of mr.top and Lua combiners are called from here. */
#ifndef LMR_SCRIPT_EMIT_H
#define LMR_SCRIPT_EMIT_H

#include "data/collect.h"
#include "script/task.h"

struct map_emitter {
    struct task *task;
    struct collect *collect; /* NULL: map only, pairs go to the task's part */
    struct agg *agg;         /* declared combine, or NULL */
    bool checks;             /* values are tried on `trial` when they are emitted, for when they are folded their record is over */
    bool takes_integers;     /* an integer needs no trial */
    struct buf trial;        /* a state of `agg`, when it checks */
    struct output_spec spec; /* of the part */
    uint32_t partitions;
    bool has_spec;
    bool fast;               /* a string key with a small integer needs no look at anything else */
    bool has_partition, has_by;
    lua_State *L;            /* the thread that a Lua combiner is called on */
    int combine_ref;         /* registry reference, or LUA_NOREF */
    struct buf combine_bytes; /* scratch of the combiner's emit */
    struct combine_call *combining; /* the group being combined, or NULL */
    bool combine_failed;     /* the error is combine's: no record is to blame */
    lua_Integer groups;      /* combined so far: tells a stale iterator */
    struct slice *boundaries;
    uint64_t pairs;          /* emitted */
    struct err err;
};

struct map_result {
    bool has_run, has_part;
    struct collect_stats run;
    struct output_stats part;
    uint64_t pairs, bytes;
};

/* What an earlier attempt has written, to go on from. */
struct emit_past {
    const char *path;   /* its run, or its part */
    struct slice saved; /* what the collector, or the part, saved */
};

/* In a protected call: opens the collector or the part of the assignment, where `past` (or NULL) has left it. `em` was zeroed. */
enum status emit_open(lua_State *L, struct map_emitter *em, struct task *t, int step, const struct emit_past *past, struct err *e);
/* In a protected call: pushes the emit function of a map task. */
void emit_push_map(lua_State *L, struct map_emitter *em, int step);
/* After the protected call: finishes run or part (fsync when durable). */
enum status emit_finish(struct map_emitter *em, struct map_result *r, struct err *e);
void emit_result(const struct map_result *r, struct val_map *result);
/* Adds the part of a map-only or reduce task to its result. */
void emit_put_part(const struct output_stats *part, struct val_map *result);
void emit_close(struct map_emitter *em);
/* In a protected call: pushes mr.top's rank of the value at `value`; by is a function or a field's name at stack index `by`. */
void emit_push_rank(lua_State *L, int by, int value);
/* In a protected call: raises that a rank did not encode. Does not return. */
void emit_refuse_rank(lua_State *L, const struct encoder *enc);

#endif
