/* mr_side.c: side files: mr.lookup(name, key) and mr.side_pairs(name). */
#include "script/mr.h"

static int broken(lua_State *L, const char *name)
{
    struct err e;
    (void)err_set(&e, ST_CORRUPT, "side file '%s': an entry does not decode", name);
    return script_raise(L, &e);
}

static int lookup(lua_State *L)
{
    struct task *t = mr_task(L, "mr.lookup");
    struct script *s = t->script;
    const char *name = luaL_checkstring(L, 1);
    const struct side *side = task_side(L, t, name);
    struct slice value;
    if (lua_gettop(L) < 2)
        return luaL_error(L, "mr.lookup takes the name of a side file and a key");
    s->bytes.n = 0;
    if (lua_isnil(L, 2)) { /* what a missing field gives: there is no such key */
        lua_pushnil(L);
        return 1;
    }
    enum status st = key_encode(&s->encoder, L, 2, &s->bytes);
    if (st != ST_OK)
        return luaL_error(L, "mr.lookup: %s", st == ST_SCRIPT ? s->encoder.message : "not enough memory");
    if (!side || !side_lookup(side, buf_slice(&s->bytes), &value))
        lua_pushnil(L);
    else if (!value_push(L, value))
        return broken(L, name);
    return 1;
}

/* Upvalues: the name, the position. */
static int next_pair(lua_State *L)
{
    struct task *t = mr_task(L, "mr.side_pairs");
    const char *name = lua_tostring(L, lua_upvalueindex(1));
    const struct side *side = task_side(L, t, name);
    uint64_t i = (uint64_t)lua_tointeger(L, lua_upvalueindex(2));
    struct slice key, value;
    if (!side || i >= side_count(side))
        return 0;
    side_pair(side, i, &key, &value);
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_replace(L, lua_upvalueindex(2));
    if (!key_push(L, &t->script->cursor, key) || !value_push(L, value))
        return broken(L, name);
    return 2;
}

static int side_pairs(lua_State *L)
{
    (void)task_side(L, mr_task(L, "mr.side_pairs"), luaL_checkstring(L, 1));
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_pair, 2);
    return 1;
}

void mr_add_side(lua_State *L)
{
    static const luaL_Reg functions[] = { { "lookup", lookup }, { "side_pairs", side_pairs }, { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
