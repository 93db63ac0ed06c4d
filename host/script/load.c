/* load.c: see load.h and state.h. */
#include "script/load.h"

#include "base/sys.h"
#include "script/embedded.h"
#include "script/failure.h"

#include <stdio.h>

enum { SOURCE_MAX = 64 << 20 };

/* --- files --- */

/* As Lua does: a byte order mark is left out, and a first line that starts with '#', but for its line end. */
static struct slice skip_first(struct slice text)
{
    static const char MARK[] = "\xEF\xBB\xBF";
    size_t n = 0;
    if (text.n >= 3 && memcmp(text.p, MARK, 3) == 0)
        text = slice_of(text.p + 3, text.n - 3);
    if (text.n == 0 || text.p[0] != '#')
        return text;
    while (n < text.n && text.p[n] != '\n')
        n++;
    return slice_of(text.p + n, text.n - n);
}

static bool is_bytecode(struct slice text)
{
    return text.n > 0 && text.p[0] == (uint8_t)LUA_SIGNATURE[0];
}

/* Errors of the compiler are the user's: "job.lua:3: '=' expected near 'x'". `hint` follows them. */
static void compile(lua_State *L, struct slice text, const char *chunk_name, const char *hint)
{
    if (luaL_loadbufferx(L, (const char *)text.p, text.n, chunk_name, "t") == LUA_OK)
        return;
    if (lua_type(L, -1) == LUA_TSTRING)
        (void)script_usage(L, "%s%s", lua_tostring(L, -1), hint);
    (void)lua_error(L);
}

void script_load_file(lua_State *L, const char *path, const char *hint)
{
    struct script *s = script_of(L);
    struct err e;
    s->text.n = 0;
    enum status st = sys_read_file(path, SOURCE_MAX, &s->text, &e);
    if (st != ST_OK)
        (void)script_usage(L, "%s", e.message);
    struct slice text = skip_first(buf_slice(&s->text));
    if (is_bytecode(text))
        (void)script_usage(L, "%s is Lua bytecode; lmr runs source text only: name the .lua file it was compiled from", path);
    compile(L, text, lua_pushfstring(L, "@%s", path), hint);
    lua_remove(L, -2);
}

void script_load_embedded(lua_State *L, const char *name)
{
    const struct embedded_file *file = embedded_find(name);
    const char *base = strrchr(name, '/');
    CHECK(file);
    compile(L, file->text, lua_pushfstring(L, "=" HOST_CHUNK "%s", base ? base + 1 : name), "");
    lua_remove(L, -2);
}

/* --- modules --- */

void script_require(lua_State *L, const char *module)
{
    (void)lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
}

/* "mr" is scripts/mr.lua, "mr.job" is scripts/job.lua. Loaders get the module's name and the host's C functions. */
static int search_host(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    if (strcmp(module, "mr") != 0 && strncmp(module, "mr.", 3) != 0)
        return 0;
    const char *name = lua_pushfstring(L, "scripts/%s.lua", module[2] ? module + 3 : "mr");
    if (!embedded_find(name)) {
        (void)lua_pushfstring(L, "no host module '%s'", module);
        return 1;
    }
    script_load_embedded(L, name);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    return 2;
}

/* A Lua file found along package.path, loaded as text. */
static int search_path(lua_State *L)
{
    (void)lua_getglobal(L, "package");
    (void)lua_getfield(L, -1, "searchpath");
    lua_pushvalue(L, 1);
    (void)lua_getfield(L, -3, "path");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return 1;
    lua_pop(L, 1);
    const char *path = lua_tostring(L, -1);
    if (luaL_loadfilex(L, path, "t") != LUA_OK)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", lua_tostring(L, 1), path, lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
}

/* package.searchers becomes { preload, host, path, C, all-in-one C }. */
static void setup_searchers(lua_State *L)
{
    (void)lua_getglobal(L, "package");
    (void)lua_getfield(L, -1, "searchers");
    for (lua_Integer i = 4; i >= 3; i--) {
        (void)lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushcfunction(L, search_host);
    lua_rawseti(L, -2, 2);
    lua_pushcfunction(L, search_path);
    lua_rawseti(L, -2, 3);
    lua_pop(L, 2);
}

void script_add_path(lua_State *L, const char *directory)
{
    (void)lua_getglobal(L, "package");
    (void)lua_getfield(L, -1, "path");
    (void)lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", directory, directory, lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

/* --- load, loadfile, dofile --- */

/* Upvalues: the library's function, and which argument is the mode: "t" unless something is given, and never bytecode. */
static int text_only(lua_State *L)
{
    int mode = (int)lua_tointeger(L, lua_upvalueindex(2));
    int n = lua_gettop(L);
    bool has_mode = n >= mode && !lua_isnil(L, mode);
    if (has_mode && strchr(luaL_checkstring(L, mode), 't') == NULL)
        return luaL_error(L, "lmr runs source text only, not Lua bytecode");
    if (n < mode)
        lua_settop(L, mode);
    lua_pushliteral(L, "t");
    lua_replace(L, mode);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int do_file(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    lua_settop(L, 1);
    if (luaL_loadfilex(L, path, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, LUA_MULTRET);
    return lua_gettop(L) - 1;
}

static void wrap(lua_State *L, const char *name, int mode)
{
    (void)lua_getglobal(L, name);
    lua_pushinteger(L, mode);
    lua_pushcclosure(L, text_only, 2);
    lua_setglobal(L, name);
}

void load_setup(lua_State *L)
{
    setup_searchers(L);
    wrap(L, "load", 3);
    wrap(L, "loadfile", 2);
    lua_pushcfunction(L, do_file);
    lua_setglobal(L, "dofile");
}
