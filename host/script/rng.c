/* rng.c: see rng.h. */
#include "script/rng.h"

#include "script/task.h"

#include <lauxlib.h>
#include <xxhash.h>

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void fill(struct rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&seed);
}

void rng_seed(struct rng *r, uint64_t seed, struct slice task_id)
{
    r->seed = XXH3_64bits_withSeed(task_id.p, task_id.n, seed);
    fill(r, r->seed);
}

/* A number in [0, most], each as likely: draws until one falls below the limit. */
static uint64_t below(struct rng *r, uint64_t most)
{
    if (most == UINT64_MAX)
        return rng_next(r);
    uint64_t mask = most ? UINT64_MAX >> __builtin_clzll(most) : 0;
    for (;;) {
        uint64_t v = rng_next(r) & mask;
        if (v <= most)
            return v;
    }
}

/* A record that draws numbers and is put aside gives them back: see undo.h. */
static struct rng *rng_of(lua_State *L)
{
    struct script *s = script_of(L);
    if (s->task)
        s->task->undo.dirty = true;
    return &s->rng;
}

static int random_number(lua_State *L)
{
    struct rng *r = rng_of(L);
    lua_Integer low = 1, high;
    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, (double)(rng_next(r) >> 11) * 0x1p-53);
        return 1;
    case 1:
        high = luaL_checkinteger(L, 1);
        if (high == 0) {
            lua_pushinteger(L, (lua_Integer)rng_next(r));
            return 1;
        }
        break;
    case 2:
        low = luaL_checkinteger(L, 1);
        high = luaL_checkinteger(L, 2);
        break;
    default:
        return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + below(r, (uint64_t)high - (uint64_t)low)));
    return 1;
}

static int random_seed(lua_State *L)
{
    struct rng *r = rng_of(L);
    uint64_t words[2] = { r->seed, 0 };
    if (!lua_isnoneornil(L, 1)) {
        lua_Number number = luaL_checknumber(L, 1);
        if (lua_isinteger(L, 1))
            words[0] = (uint64_t)lua_tointeger(L, 1);
        else
            memcpy(&words[0], &number, sizeof number);
        words[1] = (uint64_t)luaL_optinteger(L, 2, 0);
    }
    fill(r, words[0] ^ rotate(words[1], 32));
    lua_pushinteger(L, (lua_Integer)words[0]);
    lua_pushinteger(L, (lua_Integer)words[1]);
    return 2;
}

void rng_setup(lua_State *L)
{
    static const luaL_Reg functions[] = { { "random", random_number }, { "randomseed", random_seed }, { NULL, NULL } };
    (void)lua_getglobal(L, "math");
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}
