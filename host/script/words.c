/* words.c: see words.h. */
#include "script/words.h"

#include <lauxlib.h>

/* 32 bytes a line: 0x00, 0x20, 0x40 (letters), 0x60 (letters), 0x80 … */
const uint8_t words_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};

/* Upvalues of the iterator: this, the text and, when it is no static one, the class: both kept alive. */
struct word_iterator {
    const uint8_t *p, *end, *class;
};

static int next_word(lua_State *L)
{
    struct word_iterator *it = lua_touserdata(L, lua_upvalueindex(1));
    const uint8_t *word;
    if (!words_next(it->class, &it->p, it->end, &word))
        return 0;
    (void)lua_pushlstring(L, (const char *)word, (size_t)(it->p - word));
    return 1;
}

int words_push_runs(lua_State *L, const uint8_t *class)
{
    size_t n;
    const char *s = lua_tolstring(L, 1, &n);
    lua_settop(L, 3);
    lua_replace(L, 2);
    struct word_iterator *it = lua_newuserdatauv(L, sizeof *it, 0);
    *it = (struct word_iterator){ (const uint8_t *)s, (const uint8_t *)s + n, class };
    lua_insert(L, 1);
    lua_pushcclosure(L, next_word, 3);
    return 1;
}

int words_iterate(lua_State *L)
{
    (void)luaL_checkstring(L, 1);
    lua_settop(L, 1);
    return words_push_runs(L, words_class);
}

int words_split(lua_State *L)
{
    size_t n, width;
    const char *s = luaL_checklstring(L, 1, &n);
    const char *separator = luaL_checklstring(L, 2, &width);
    luaL_argcheck(L, width > 0, 2, "a separator cannot be empty");
    const char *end = s + n;
    lua_createtable(L, 8, 0);
    for (lua_Integer i = 1;; i++) {
        const char *at = width == 1 ? memchr(s, *separator, (size_t)(end - s))
                                    : memmem(s, (size_t)(end - s), separator, width);
        (void)lua_pushlstring(L, s, (size_t)((at ? at : end) - s));
        lua_rawseti(L, -2, i);
        if (!at)
            return 1;
        s = at + width;
    }
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

int words_fields(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    const char *end = s + n;
    lua_createtable(L, 8, 0);
    for (lua_Integer i = 1;; i++) {
        while (s < end && is_space(*s))
            s++;
        if (s == end)
            return 1;
        const char *start = s;
        while (s < end && !is_space(*s))
            s++;
        (void)lua_pushlstring(L, start, (size_t)(s - start));
        lua_rawseti(L, -2, i);
    }
}
