/* value_push.c: encoded keys and values → Lua values. */
#include "script/value.h"

#include "script/value_mark.h"

#include <lauxlib.h>

static const char EMPTY_MAP[] = "lmr.empty_map"; /* key in the registry */

void value_setup(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "object");
    lua_setfield(L, -2, "__name");
    lua_setfield(L, LUA_REGISTRYINDEX, EMPTY_MAP);
}

bool value_is_empty_map(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    (void)lua_getfield(L, LUA_REGISTRYINDEX, EMPTY_MAP);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static bool push_next(lua_State *L, struct val_cursor *c, unsigned depth);

/* Room to make at once for `count` elements: what the bytes can hold, not what they claim. */
static int room(const struct val_cursor *c, uint64_t count)
{
    enum { ROOM_MAX = 1 << 20 };
    uint64_t n = count < c->rest.n ? count : c->rest.n;
    return (int)(n < ROOM_MAX ? n : ROOM_MAX);
}

static bool push_array(lua_State *L, struct val_cursor *c, uint64_t count, unsigned depth)
{
    lua_createtable(L, room(c, count), 0);
    for (uint64_t i = 1; i <= count; i++) {
        if (!push_next(L, c, depth))
            return false;
        lua_rawseti(L, -2, (lua_Integer)i);
    }
    return true;
}

static bool push_map(lua_State *L, struct val_cursor *c, uint64_t count, unsigned depth)
{
    lua_createtable(L, 0, room(c, count));
    if (count == 0)
        luaL_setmetatable(L, EMPTY_MAP);
    for (uint64_t i = 0; i < count; i++) {
        if (!push_next(L, c, depth))
            return false;
        int type = lua_type(L, -1);
        bool nan = type == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1);
        if (nan || (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN) || !push_next(L, c, depth))
            return false;
        lua_rawset(L, -3);
    }
    return true;
}

static bool push_next(lua_State *L, struct val_cursor *c, unsigned depth)
{
    struct scalar v;
    if (val_next(c, &v) != ST_OK)
        return false;
    switch (v.kind) {
    case SC_NULL:
        lua_pushlightuserdata(L, NULL);
        return true;
    case SC_FALSE:
    case SC_TRUE:
        lua_pushboolean(L, v.kind == SC_TRUE);
        return true;
    case SC_INT:
        lua_pushinteger(L, v.i);
        return true;
    case SC_FLOAT:
        lua_pushnumber(L, v.f);
        return true;
    case SC_STRING:
        (void)lua_pushlstring(L, (const char *)v.s.p, v.s.n);
        return true;
    case SC_ARRAY:
    case SC_MAP:
        if (depth >= CODEC_DEPTH_MAX)
            return false;
        luaL_checkstack(L, 6, "a value is nested too deep");
        return v.kind == SC_ARRAY ? push_array(L, c, v.count, depth + 1) : push_map(L, c, v.count, depth + 1);
    default:
        return false;
    }
}

bool value_push(lua_State *L, struct slice value)
{
    if (value.n == 1 && value.p[0] >= VAL_INT0 && value.p[0] < VAL_INT0 + 16) {
        lua_pushinteger(L, value.p[0] - VAL_INT0);
        return true;
    }
    int top = lua_gettop(L);
    struct val_cursor c = val_cursor(value);
    bool good = push_next(L, &c, 0) && c.rest.n == 0;
    if (!good)
        lua_settop(L, top);
    return good;
}

static bool push_key_next(lua_State *L, struct key_cursor *c, bool *ended, unsigned depth);

static bool push_key_array(lua_State *L, struct key_cursor *c, unsigned depth)
{
    if (depth >= CODEC_DEPTH_MAX)
        return false;
    luaL_checkstack(L, 6, "a key is nested too deep");
    lua_createtable(L, 2, 0);
    for (lua_Integer i = 1;; i++) {
        bool ended = false;
        if (!push_key_next(L, c, &ended, depth + 1))
            return false;
        if (ended)
            return true;
        lua_rawseti(L, -2, i);
    }
}

static bool push_key_next(lua_State *L, struct key_cursor *c, bool *ended, unsigned depth)
{
    struct scalar v;
    if (key_next(c, &v) != ST_OK)
        return false;
    switch (v.kind) {
    case SC_NULL:
        lua_pushlightuserdata(L, NULL);
        return true;
    case SC_FALSE:
    case SC_TRUE:
        lua_pushboolean(L, v.kind == SC_TRUE);
        return true;
    case SC_INT:
        lua_pushinteger(L, v.i);
        return true;
    case SC_FLOAT:
        lua_pushnumber(L, v.f);
        return true;
    case SC_STRING:
        (void)lua_pushlstring(L, (const char *)v.s.p, v.s.n);
        return true;
    case SC_ARRAY:
        return push_key_array(L, c, depth);
    case SC_END:
        *ended = true;
        return depth > 0;
    default:
        return false;
    }
}

bool key_push(lua_State *L, struct key_cursor *cursor, struct slice key)
{
    if (key.n > 0 && key.p[0] == KEY_STRING) {
        (void)lua_pushlstring(L, (const char *)key.p + 1, key.n - 1);
        return true;
    }
    int top = lua_gettop(L);
    bool ended = false;
    key_cursor_reset(cursor, key);
    bool good = push_key_next(L, cursor, &ended, 0) && cursor->rest.n == 0;
    if (!good)
        lua_settop(L, top);
    return good;
}
