/* mr_text.c: words, split, fields, JSON, times and mr.null. */
#include "script/mr.h"

#include "data/json.h"
#include "script/words.h"

#include <time.h>

static int json_encode(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e;
    luaL_checkany(L, 1);
    lua_Integer indent = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, indent >= 0 && indent <= 16, 2, "an indent from 0 to 16");
    s->bytes.n = s->more.n = 0;
    enum status st = value_encode(&s->encoder, L, 1, &s->bytes);
    if (st == ST_SCRIPT)
        return luaL_error(L, "mr.json_encode: %s", s->encoder.message);
    if (st == ST_OK)
        st = json_from_value(buf_slice(&s->bytes), (unsigned)indent, &s->more, &e);
    if (st == ST_SCRIPT)
        return luaL_error(L, "mr.json_encode: %s", e.message);
    if (st != ST_OK)
        return luaL_error(L, "not enough memory");
    (void)lua_pushlstring(L, (const char *)s->more.p, s->more.n);
    return 1;
}

/* value, or nil and what is wrong with the text. */
static int json_decode(lua_State *L)
{
    struct script *s = script_of(L);
    struct err e;
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    s->bytes.n = 0;
    (void)err_set(&e, ST_BAD_RECORD, "JSON text that does not decode");
    if (json_to_value(slice_of(text, n), &s->bytes, &e) == ST_OK && value_push(L, buf_slice(&s->bytes)))
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, e.message);
    return 2;
}

/* The day of the month that timegm takes a day for: February 30 is March 1 or 2. */
static int whole_day(const struct tm *tm)
{
    struct tm day = { .tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday };
    (void)timegm(&day);
    return day.tm_mday;
}

/* Seconds since 1970 in UTC (a zone in the text, %z, is taken into account), or nil and a message. */
static int parse_time(lua_State *L)
{
    const char *format = luaL_checkstring(L, 1);
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);
    struct tm tm = { .tm_mday = 1, .tm_year = 70 };
    const char *end = strptime(text, format, &tm);
    struct tm whole = tm;
    time_t seconds = timegm(&whole);
    if (!end || end != text + n || whole_day(&tm) != tm.tm_mday) {
        lua_pushnil(L);
        (void)lua_pushfstring(L, "'%s' is no time of the form '%s'", text, format);
        return 2;
    }
    lua_pushinteger(L, (lua_Integer)seconds - tm.tm_gmtoff);
    return 1;
}

void mr_add_text(lua_State *L)
{
    static const luaL_Reg functions[] = { { "words", words_iterate }, { "split", words_split }, { "fields", words_fields },
                                          { "json_encode", json_encode }, { "json_decode", json_decode },
                                          { "parse_time", parse_time }, { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
}
