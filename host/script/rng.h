/* rng.h: math.random, seeded from the job's seed and the task, so that a task run again draws the same numbers.
 *
 * xoshiro256** (Blackman and Vigna, 2018), seeded through XXH3-64 of the task id and splitmix64. Same functions as
 * Lua 5.4's math.random and math.randomseed; randomseed() without arguments goes back to the task's own seed. */
#ifndef LMR_SCRIPT_RNG_H
#define LMR_SCRIPT_RNG_H

#include "base/bytes.h"

#include <lua.h>

struct rng {
    uint64_t s[4];
    uint64_t seed; /* of the task: what randomseed() goes back to */
};

void rng_seed(struct rng *r, uint64_t seed, struct slice task_id);
uint64_t rng_next(struct rng *r);
/* Replaces random and randomseed in the math table of `L`, in a protected call. */
void rng_setup(lua_State *L);

#endif
