/* checkpoint_proof.c: see checkpoint_proof.h.
 *
 * The state is written by value, so each of its tables must be reached in one way only: not twice within it, and not by the functions,
 * which would see a change of it. The first is found by a walk. For the second its tables are given a metatable for a moment: whoever
 * reaches them then sees something else than before. */
#include "script/checkpoint_proof.h"

#include "script/value_mark.h"

#include <stdio.h>

/* --- the state --- */

struct walk {
    int seen;        /* stack index of a table: each table of the state → it bears the mark of an empty map */
    const char *why; /* NULL: plain so far */
    unsigned depth;
};

static void look_at_value(lua_State *L, struct walk *w, int index);

static void look_into(lua_State *L, struct walk *w, int table)
{
    luaL_checkstack(L, 4, "the state of init");
    lua_pushnil(L);
    while (!w->why && lua_next(L, table)) {
        look_at_value(L, w, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* What is neither table nor plain is refused by the encoder, in better words. */
static void look_at_value(lua_State *L, struct walk *w, int index)
{
    if (!lua_istable(L, index))
        return;
    bool is_marked = value_is_empty_map(L, index);
    lua_pushvalue(L, index);
    if (lua_rawget(L, w->seen) != LUA_TNIL)
        w->why = "holds a table twice";
    else if (!is_marked && lua_getmetatable(L, index))
        w->why = "holds a table with a metatable";
    else if (++w->depth > CODEC_DEPTH_MAX)
        w->why = "is nested too deeply";
    lua_settop(L, index);
    if (w->why)
        return;
    lua_pushvalue(L, index);
    lua_pushboolean(L, is_marked);
    lua_rawset(L, w->seen);
    look_into(L, w, index);
    lua_settop(L, index);
    w->depth--;
}

/* Leaves the table of its tables at the top. False: not plain. */
static bool is_plain(lua_State *L, struct map_task *m, char why[PROOF_TEXT_MAX])
{
    struct checkpoint *c = &m->checkpoint;
    struct encoder *enc = &m->task->script->encoder;
    lua_newtable(L);
    struct walk w = { .seen = lua_gettop(L) };
    lua_pushvalue(L, AT_STATE);
    look_at_value(L, &w, w.seen + 1);
    lua_settop(L, w.seen);
    if (w.why) {
        (void)snprintf(why, PROOF_TEXT_MAX, "the state that its init gave %s, and would not be the same when it is read back", w.why);
        return false;
    }
    c->state.n = 0;
    enum status st = lua_isnil(L, AT_STATE) ? ST_OK : value_encode(enc, L, AT_STATE, &c->state);
    if (st == ST_SCRIPT)
        (void)snprintf(why, PROOF_TEXT_MAX, "the state that its init gave is no plain data (%.200s)", enc->message);
    else if (st != ST_OK)
        (void)script_raise(L, (err_memory(&m->err, "the state of init", c->state.n), &m->err));
    return st == ST_OK;
}

/* --- what functions see --- */

static bool is_as_loaded(lua_State *L, struct map_task *m, char *why)
{
    struct checkpoint *c = &m->checkpoint;
    fingerprint_reach(L, AT_STEP, &c->now);
    if (fingerprint_reach_same(&c->loaded, &c->now))
        return true;
    if (why)
        fingerprint_reach_difference(&c->loaded, &c->now, why, PROOF_TEXT_MAX);
    return false;
}

/* Puts the value at the top into the place of the metatable of the state's tables; an empty map gets its own back by the caller. */
static void mark_tables(lua_State *L, int seen)
{
    int mark = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, seen)) {
        if (!lua_toboolean(L, -1)) {
            lua_pushvalue(L, mark);
            (void)lua_setmetatable(L, -3);
        }
        lua_pop(L, 1);
    }
    lua_settop(L, mark - 1);
}

/* Do the functions reach a table of the state, those of `seen`? */
static bool is_shared(lua_State *L, struct map_task *m, int seen)
{
    lua_createtable(L, 1, 0);
    lua_pushliteral(L, "lmr.checkpoint");
    lua_rawseti(L, -2, 1);
    mark_tables(L, seen);
    bool same = is_as_loaded(L, m, NULL);
    lua_pushnil(L);
    mark_tables(L, seen);
    return !same;
}

bool checkpoint_proof(lua_State *L, struct map_task *m, char why[PROOF_TEXT_MAX])
{
    int top = lua_gettop(L);
    bool holds = is_as_loaded(L, m, why) && is_plain(L, m, why);
    if (holds && lua_istable(L, AT_STATE) && is_shared(L, m, top + 1)) {
        (void)snprintf(why, PROOF_TEXT_MAX, "the state that its init gave is reached by its functions in another way too");
        holds = false;
    }
    lua_settop(L, top);
    return holds;
}
