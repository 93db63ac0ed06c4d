/* gmatch.c: see gmatch.h. */
#include "script/gmatch.h"

#include "script/words.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

enum { UP_ORIGINAL = 1, UP_FIND, UP_CLASSES, UP_COUNT = UP_CLASSES };

enum { CLASSES_MAX = 64 };

/* Length of the one class that `p` is when a plus is cut off it; 0 when it is something else, or may be. */
static size_t class_length(const char *p, size_t n)
{
    if (n < 2 || p[n - 1] != '+')
        return 0;
    n--;
    if (n == 2 && p[0] == '%')
        return isalpha((unsigned char)p[1]) && p[1] != 'b' && p[1] != 'f' ? n : 0;
    if (n < 3 || p[0] != '[' || p[n - 1] != ']' || p[n - 2] == '%' || p[n - 2] == '^')
        return 0;
    return memchr(p + 1, ']', n - 2) ? 0 : n;
}

/* Pushes the table of a class: a userdata of 256 bytes, 1 where string.find takes the byte for the class. */
static void push_table(lua_State *L, const char *class, size_t n)
{
    uint8_t *table = lua_newuserdatauv(L, 256, 0);
    lua_pushliteral(L, "^");
    lua_pushlstring(L, class, n);
    lua_concat(L, 2);
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        lua_pushvalue(L, lua_upvalueindex(UP_FIND));
        lua_pushlstring(L, &byte, 1);
        lua_pushvalue(L, -3);
        lua_call(L, 2, 1);
        table[i] = !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Pushes what is known of the pattern at 2 (found out the first time): its table, or false. */
static void push_class(lua_State *L)
{
    size_t n;
    const char *pattern = lua_tolstring(L, 2, &n);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(UP_CLASSES)) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    (void)lua_rawgeti(L, lua_upvalueindex(UP_CLASSES), 1); /* how many are known */
    lua_Integer known = lua_tointeger(L, -1);
    size_t class = class_length(pattern, n);
    if (class == 0 || known >= CLASSES_MAX) {
        lua_pushboolean(L, 0);
        return;
    }
    push_table(L, pattern, class);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, lua_upvalueindex(UP_CLASSES));
    lua_pushinteger(L, known + 1);
    lua_rawseti(L, lua_upvalueindex(UP_CLASSES), 1);
}

static int gmatch(lua_State *L)
{
    (void)luaL_checkstring(L, 1);
    (void)luaL_checkstring(L, 2);
    if (lua_gettop(L) == 2) {
        push_class(L);
        const uint8_t *class = lua_touserdata(L, -1);
        if (class)
            return words_push_runs(L, class);
        lua_settop(L, 2);
    }
    int n = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(UP_ORIGINAL));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

void gmatch_setup(lua_State *L)
{
    (void)lua_getglobal(L, LUA_STRLIBNAME);
    (void)lua_getfield(L, -1, "gmatch");
    (void)lua_getfield(L, -2, "find");
    lua_createtable(L, 0, 2);
    lua_pushcclosure(L, gmatch, UP_COUNT);
    lua_setfield(L, -2, "gmatch");
    lua_pop(L, 1);
}
