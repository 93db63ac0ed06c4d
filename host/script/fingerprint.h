/* fingerprint.h: what the functions of a job's stages are and reach, as numbers that two runs of lmr can compare.
 *
 * A STAGE is `map` (map, the maps of inputs, readers in Lua, combine, partition, init, finish), `reduce` (reduce, init, finish), `format`
 * (output) or `stop` (stop_when). From its functions a walk follows upvalues, the globals they name, tables, metatables and required modules.
 * Counted are instructions, constants and nested functions (not lines, names of locals, nor where a file lies), values, arguments, the
 * size and time of side files, and options. What the standard library, mr and modules in C bring counts by name. Neither the order of a
 * table's entries nor who refers to what a second time matters.
 *
 * FINGERPRINTS, a field of the description (script/attempt.h), read by schedule/changes.h:
 *   [ { map = STAGE, reduce = STAGE | absent, format = STAGE | absent, stop = STAGE | absent } ]     one a step
 *   STAGE = { key = integer: equal when the stage is the same, can = bool: false when something in it cannot be compared,
 *             components = [ { name, place = "job.lua:12" | absent, hash = integer, can = false | absent } ] }
 *   Names: "map", "reduce", "combine", "function clean", "upvalue 'limit' of map", "global 'n'", "module util", "argument top",
 *   "side file users", "option group_by", "string.trim". The components say what has changed when the keys differ; a name is there once.
 *
 * REACH is the same walk over a living state, with all globals and by identity, for task checkpoints: whether anything that the functions
 * of a step see is other than after the job was loaded. */
#ifndef LMR_SCRIPT_FINGERPRINT_H
#define LMR_SCRIPT_FINGERPRINT_H

#include "base/bytes.h"

#include <lua.h>

/* In a protected call of a describe attempt, before the job is loaded: remembers the standard library as it is. */
void fingerprint_begin(lua_State *L);
/* Adds native.fingerprint(stage) to the table on top of the stack (scripts/fingerprint.lua). */
void native_add_fingerprint(lua_State *L);

/* What a walk found. Zeroed: nothing yet. It lives in C, outside of the protected call; ended by fingerprint_reach_free. */
struct reach {
    uint64_t hash;     /* of everything */
    bool can;          /* false: something is reached that cannot be compared (a userdata, a coroutine, a closure in C) */
    struct buf places; /* of this module: names and hashes, for the difference */
};

/* In a protected call: walks from the functions of the resolved step (script/job.h) at stack index `step`, filling `out` (what it held is
 * replaced). Take the first when the job is loaded and before init is called. Raises memory errors. */
void fingerprint_reach(lua_State *L, int step, struct reach *out);
/* True when all is as it was, and could be compared. */
bool fingerprint_reach_same(const struct reach *then, const struct reach *now);
/* When it is not: the first difference, to follow "map_3 is not checkpointed: ", such as "its function changed the upvalue 'cache' of map
 * (job.lua:12)" or "the upvalue 'log' of map (job.lua:3) is a userdata, which cannot be compared". Cut at `cap`. */
void fingerprint_reach_difference(const struct reach *then, const struct reach *now, char *text, size_t cap);
void fingerprint_reach_free(struct reach *r);

#endif
