/* native_check.c: what the host's Lua asks C while it validates jobs and profiles. */
#include "script/mr.h"

#include "base/size.h"
#include "base/sys.h"
#include "data/aggregate.h"
#include "data/input.h"
#include "script/embedded.h"

enum { PROFILE_MEMORY = 64 << 20 };

/* nearest(name, { names… }) → the nearest name, or nil */
static int nearest(lua_State *L)
{
    enum { NAMES_MAX = 512 };
    const char *names[NAMES_MAX + 1];
    const char *name = luaL_checkstring(L, 1);
    size_t n = lua_rawlen(L, 2) < NAMES_MAX ? lua_rawlen(L, 2) : NAMES_MAX;
    for (size_t i = 0; i < n; i++) {
        (void)lua_rawgeti(L, 2, (lua_Integer)i + 1);
        names[i] = lua_tostring(L, -1); /* anchored by the table */
        lua_pop(L, 1);
    }
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    lua_pushstring(L, near);
    return 1;
}

/* size("64M") → bytes, or nil */
static int size(lua_State *L)
{
    uint64_t bytes;
    if (size_parse(luaL_checkstring(L, 1), &bytes) && bytes <= INT64_MAX)
        lua_pushinteger(L, (lua_Integer)bytes);
    else
        lua_pushnil(L);
    return 1;
}

/* duration("1.5s") → seconds, or nil */
static int duration(lua_State *L)
{
    double seconds;
    if (duration_parse(luaL_checkstring(L, 1), &seconds))
        lua_pushnumber(L, seconds);
    else
        lua_pushnil(L);
    return 1;
}

/* Encodes argument 1 into script->bytes; true, or false with a message pushed. */
static bool encode_argument(lua_State *L, struct slice *out)
{
    struct script *s = script_of(L);
    s->bytes.n = 0;
    enum status st = value_encode(&s->encoder, L, 1, &s->bytes);
    *out = buf_slice(&s->bytes);
    if (st == ST_OK)
        return true;
    lua_pushstring(L, st == ST_SCRIPT ? s->encoder.message : "not enough memory");
    return false;
}

/* check_input(spec), check_output(spec), check_reducer(declaration) → nil, or what is wrong */
static int check_input(lua_State *L)
{
    struct arena arena = ARENA_EMPTY;
    struct input_spec spec;
    struct slice bytes;
    struct err e;
    if (!encode_argument(L, &bytes))
        return 1;
    enum status st = input_spec_parse(bytes, &arena, &spec, &e);
    arena_free(&arena);
    if (st == ST_OK)
        return 0;
    lua_pushstring(L, e.message);
    return 1;
}

static int check_output(lua_State *L)
{
    struct output_spec spec;
    struct slice bytes;
    struct err e;
    if (!encode_argument(L, &bytes))
        return 1;
    if (output_spec_parse(bytes, &spec, &e) != ST_OK) {
        lua_pushstring(L, e.message);
        return 1;
    }
    output_spec_free(&spec);
    return 0;
}

static int check_reducer(lua_State *L)
{
    struct agg *agg;
    struct slice bytes;
    struct err e;
    if (!encode_argument(L, &bytes))
        return 1;
    if (agg_parse(bytes, &agg, &e) != ST_OK) {
        lua_pushstring(L, e.message);
        return 1;
    }
    agg_free(agg);
    return 0;
}

/* embedded(name) → text, or nil */
static int embedded(lua_State *L)
{
    const struct embedded_file *file = embedded_find(luaL_checkstring(L, 1));
    if (!file)
        return 0;
    (void)lua_pushlstring(L, (const char *)file->text.p, file->text.n);
    return 1;
}

/* embedded_names(prefix) → array of names */
static int embedded_names(lua_State *L)
{
    const char *prefix = luaL_checkstring(L, 1);
    size_t count, length = strlen(prefix);
    const struct embedded_file *files = embedded_files(&count);
    lua_newtable(L);
    for (size_t i = 0, n = 0; i < count; i++) {
        if (strncmp(files[i].name, prefix, length) != 0)
            continue;
        lua_pushstring(L, files[i].name);
        lua_rawseti(L, -2, (lua_Integer)++n);
    }
    return 1;
}

/* read(path) → text; or nil and a message */
static int read_text(lua_State *L)
{
    enum { TEXT_MAX = 64 << 20 };
    struct script *s = script_of(L);
    struct err e;
    s->text.n = 0;
    if (sys_read_file(luaL_checkstring(L, 1), TEXT_MAX, &s->text, &e) != ST_OK) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    (void)lua_pushlstring(L, (const char *)s->text.p, s->text.n);
    return 1;
}

/* --- profiles --- */

/* call_profile(chunk) → true and what it returns, or false and a message. A profile is data that somebody else wrote: it gets
 * PROFILE_MEMORY, however much the script has. */
static int call_profile(lua_State *L)
{
    struct memory *m = &script_of(L)->memory;
    size_t cap = m->cap;
    bool capped = !memory_is_hit(m) && (!cap || cap - m->used > PROFILE_MEMORY);
    lua_settop(L, 1);
    if (capped)
        m->cap = m->used + PROFILE_MEMORY;
    int code = lua_pcall(L, 0, 1, 0);
    m->cap = cap;
    if (capped && memory_is_hit(m)) {
        m->hit = false;
        m->refused_size = 0;
        lua_settop(L, 0);
        lua_pushboolean(L, false);
        lua_pushliteral(L, "it needs more than 64 MB of memory; a profile is a table of settings");
        return 2;
    }
    lua_pushboolean(L, code == LUA_OK);
    lua_insert(L, 1);
    return 2;
}

void native_add_check(lua_State *L)
{
    static const luaL_Reg functions[] = { { "nearest", nearest }, { "size", size }, { "duration", duration },
                                          { "check_input", check_input }, { "check_output", check_output },
                                          { "check_reducer", check_reducer }, { "embedded", embedded },
                                          { "embedded_names", embedded_names }, { "read", read_text },
                                          { "call_profile", call_profile }, { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
