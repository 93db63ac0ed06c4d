/* lua_reader.c: see lua_reader.h. */
#include "script/lua_reader.h"

static void push_reader(lua_State *L, int step, const struct map_parts *parts)
{
    (void)lua_getfield(L, step, "readers");
    int readers = lua_gettop(L);
    if (parts->input->entry < 0 || lua_rawgeti(L, readers, parts->input->entry + 1) == LUA_TNIL)
        (void)lua_rawgeti(L, readers, 0); /* the job's own */
    if (!lua_istable(L, -1))
        (void)luaL_error(L, "input format \"lua\" needs a reader: input = { reader = { open = …, next = … } }");
}

bool lua_reader_push(lua_State *L, int step, const struct map_parts *parts, const char *name)
{
    int top = lua_gettop(L);
    push_reader(L, step, parts);
    bool is_there = lua_getfield(L, -1, name) != LUA_TNIL;
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return is_there;
}

void lua_reader_open(lua_State *L, struct lua_reader *r, int step, const struct map_parts *parts)
{
    int top = lua_gettop(L);
    lua_pushnil(L);
    lua_pushnil(L);
    push_reader(L, step, parts);
    (void)lua_getfield(L, -1, "next");
    lua_replace(L, top + 1);
    (void)lua_getfield(L, -1, "open");
    lua_pushstring(L, parts->part->path);
    lua_pushinteger(L, (lua_Integer)parts->part->from);
    lua_pushinteger(L, (lua_Integer)parts->part->to);
    lua_call(L, 3, 2);
    if (lua_isnil(L, -2) && lua_type(L, -1) == LUA_TSTRING)
        (void)luaL_error(L, "the reader's open of %s: %s", parts->part->path, lua_tostring(L, -1));
    if (lua_isnil(L, -2))
        (void)luaL_error(L, "the reader's open returned nil for %s", parts->part->path);
    lua_pop(L, 1);
    lua_replace(L, top + 2);
    lua_settop(L, top + 2);
    r->base = top + 1;
}

bool lua_reader_next(lua_State *L, struct lua_reader *r)
{
    lua_pushvalue(L, r->base);
    lua_pushvalue(L, r->base + 1);
    lua_call(L, 1, 2);
    if (!lua_isnil(L, -2))
        return true;
    lua_pop(L, 2);
    return false;
}

void lua_reader_close(lua_State *L, struct lua_reader *r)
{
    if (luaL_getmetafield(L, r->base + 1, "__close") != LUA_TNIL) {
        lua_pushvalue(L, r->base + 1);
        lua_call(L, 1, 0);
    }
    lua_settop(L, r->base - 1);
}
