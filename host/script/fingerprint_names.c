/* fingerprint_names.c: see fingerprint_names.h. */
#include "script/fingerprint_names.h"

#include "data/input.h"
#include "script/state.h"

#include <lualib.h>

static const char REGISTRY[] = "lmr.fingerprint";

static void push_field(lua_State *L, const char *field)
{
    (void)lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY);
    (void)lua_getfield(L, -1, field);
    lua_remove(L, -2);
}

void names_push(lua_State *L)
{
    push_field(L, "names");
}

void names_push_copies(lua_State *L)
{
    push_field(L, "copies");
}

void names_push_modules(lua_State *L)
{
    push_field(L, "modules");
}

bool names_is_host(const char *module)
{
    return strcmp(module, "mr") == 0 || strncmp(module, "mr.", 3) == 0;
}

static bool is_standard(const char *module)
{
    static const char *const names[] = { LUA_GNAME, LUA_COLIBNAME, LUA_TABLIBNAME, LUA_IOLIBNAME, LUA_OSLIBNAME, LUA_STRLIBNAME,
                                         LUA_UTF8LIBNAME, LUA_MATHLIBNAME, LUA_DBLIBNAME, LUA_LOADLIBNAME };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(module, names[i]) == 0)
            return true;
    return false;
}

/* --- names --- */

/* names[value] = name, unless a name that is less stands there. Pops nothing. */
static void give_name(lua_State *L, int names, int value, const char *name)
{
    lua_pushvalue(L, value);
    bool is_named = lua_rawget(L, names) == LUA_TSTRING && strcmp(lua_tostring(L, -1), name) <= 0;
    lua_pop(L, 1);
    if (is_named)
        return;
    lua_pushvalue(L, value);
    lua_pushstring(L, name);
    lua_rawset(L, names);
}

static bool is_nameable(lua_State *L, int index)
{
    int type = lua_type(L, index);
    return type == LUA_TFUNCTION || type == LUA_TTABLE || type == LUA_TUSERDATA || type == LUA_TLIGHTUSERDATA;
}

/* A library's table: copies it, and names what it holds, too, unless that has names of its own. */
static void take_library(lua_State *L, int names, int copies, int library, const char *name, bool names_all)
{
    bool is_globals = strcmp(name, LUA_GNAME) == 0;
    if (!is_globals)
        give_name(L, names, library, name);
    lua_pushvalue(L, library);
    lua_newtable(L);
    int copy = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, library); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, copy);
        if (!names_all || lua_type(L, -2) != LUA_TSTRING || !is_nameable(L, -1) || (is_globals && lua_istable(L, -1)))
            continue;
        const char *key = lua_tostring(L, -2);
        give_name(L, names, copy + 2, is_globals ? key : lua_pushfstring(L, "%s.%s", name, key));
        lua_settop(L, copy + 2);
    }
    lua_rawset(L, copies);
}

static void name_natives(lua_State *L, int names)
{
    static const char *const marks[] = { "Reducer", "Job", "Iterate", "failure" };
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    int natives = lua_gettop(L);
    give_name(L, names, natives, "mr.native");
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    give_name(L, names, natives + 1, "registry");
    lua_settop(L, natives);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (lua_getfield(L, natives, marks[i]) != LUA_TNIL)
            give_name(L, names, natives + 1, lua_pushfstring(L, "mr.native.%s", marks[i]));
        lua_settop(L, natives);
    }
    lua_pop(L, 1);
}

static void take_strings(lua_State *L, int names, int copies)
{
    lua_pushliteral(L, "");
    if (lua_getmetatable(L, -1))
        take_library(L, names, copies, lua_gettop(L), "metatable of strings", false);
    lua_pop(L, 2);
}

/* Those whose contents may differ from job to job for reasons of their own are not compared. */
static void forget_copies(lua_State *L, int copies)
{
    (void)lua_getglobal(L, LUA_LOADLIBNAME);
    lua_pushnil(L);
    lua_rawset(L, copies);
}

void names_begin(lua_State *L)
{
    static const char *const fields[] = { "names", "copies", "modules" };
    int top = lua_gettop(L);
    script_require(L, "mr");
    lua_settop(L, top);
    lua_newtable(L);
    for (int i = 0; i < 3; i++) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, top + 1, fields[i]);
    }
    int names = top + 2, copies = top + 3;
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    int loaded = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, loaded); lua_settop(L, loaded + 1))
        if (lua_istable(L, -1))
            take_library(L, names, copies, loaded + 2, lua_tostring(L, -2), true);
    take_strings(L, names, copies);
    name_natives(L, names);
    forget_copies(L, copies);
    lua_settop(L, top + 1);
    lua_setfield(L, LUA_REGISTRYINDEX, REGISTRY);
}

/* --- modules --- */

bool names_find_module(lua_State *L, const char *module, bool in_c)
{
    int top = lua_gettop(L);
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    bool found = lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE && lua_getfield(L, top + 2, "searchpath") == LUA_TFUNCTION;
    if (found) {
        lua_pushstring(L, module);
        found = lua_getfield(L, top + 2, in_c ? "cpath" : "path") == LUA_TSTRING;
    }
    if (found) {
        lua_call(L, 2, 1);
        found = lua_type(L, -1) == LUA_TSTRING;
    }
    if (found)
        lua_replace(L, top + 1);
    lua_settop(L, found ? top + 1 : top);
    return found;
}

void names_push_stamp(lua_State *L, const char *path)
{
    struct arena arena = ARENA_EMPTY;
    struct input_files files = { NULL, 0 };
    struct input_name name = { path, 0 };
    int64_t size = -1, mtime = 0;
    if (inputs_expand(&name, 1, &arena, &files, NULL) == ST_OK && files.count == 1) {
        size = (int64_t)files.files[0].size;
        mtime = files.files[0].mtime;
    }
    arena_free(&arena);
    (void)lua_pushfstring(L, "%I %I", (LUAI_UACINT)size, (LUAI_UACINT)mtime);
}

/* Pushes the file of a module in C ("a.b" may be in that of "a"), or nothing and false. */
static bool find_c_module(lua_State *L, const char *module)
{
    const char *dot = strchr(module, '.');
    if (names_find_module(L, module, false)) {
        lua_pop(L, 1);
        return false;
    }
    if (names_find_module(L, module, true))
        return true;
    if (!dot)
        return false;
    (void)lua_pushlstring(L, module, (size_t)(dot - module));
    bool found = names_find_module(L, lua_tostring(L, -1), true);
    lua_remove(L, found ? -2 : -1);
    return found;
}

/* A mark before the names of what modules in C brought: these may get a lesser name, those of libraries not. */
enum { MODULE_MARK = '~' };

/* It holds what may be of a module in C: a function in C or a userdata that has no name; in a living state, one that keeps something. */
static bool is_foreign(lua_State *L, int names, int value, bool only_closures)
{
    int top = lua_gettop(L);
    bool is_c = lua_isuserdata(L, value) || (lua_iscfunction(L, value) && (!only_closures || lua_getupvalue(L, value, 1)));
    lua_settop(L, top);
    if (!is_c)
        return false;
    lua_pushvalue(L, value);
    bool is_named = lua_rawget(L, names) != LUA_TNIL;
    lua_settop(L, top);
    return !is_named;
}

static bool holds_foreign(lua_State *L, int names, int table, bool only_closures)
{
    int top = lua_gettop(L);
    bool found = false;
    for (lua_pushnil(L); !found && lua_next(L, table); lua_settop(L, top + 1))
        found = is_foreign(L, names, top + 2, only_closures);
    lua_settop(L, top);
    return found;
}

/* Names the functions and userdata of a module in C. */
static void take_c_module(lua_State *L, int names, int table, const char *module, const char *stamp)
{
    int top = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, top + 1)) {
        bool is_c = lua_iscfunction(L, -1) || lua_isuserdata(L, -1);
        if (!is_c || lua_type(L, -2) != LUA_TSTRING)
            continue;
        lua_pushvalue(L, top + 2);
        if (lua_rawget(L, names) == LUA_TSTRING && *lua_tostring(L, -1) != MODULE_MARK)
            continue;
        give_name(L, names, top + 2, lua_pushfstring(L, "%c%s.%s %s", MODULE_MARK, module, lua_tostring(L, top + 1), stamp));
    }
}

/* The module whose name and table are at the indexes is not the host's. */
static void learn_module(lua_State *L, int names, int modules, int name, int table)
{
    const char *module = lua_tostring(L, name);
    if (holds_foreign(L, names, table, false) && find_c_module(L, module)) {
        if (strncmp(module, "cjson", 5) == 0) /* by name alone: it comes with the system, and is mended now and then */
            lua_pushliteral(L, "");
        else
            names_push_stamp(L, lua_tostring(L, -1));
        take_c_module(L, names, table, module, lua_tostring(L, -1));
    } else {
        give_name(L, modules, table, module);
    }
}

/* True from the second time on. */
static bool has_learned(lua_State *L)
{
    (void)lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY);
    bool learned = lua_getfield(L, -1, "learned") != LUA_TNIL;
    lua_pushboolean(L, 1);
    lua_setfield(L, -3, "learned");
    lua_pop(L, 2);
    return learned;
}

void names_learn(lua_State *L)
{
    if (has_learned(L))
        return;
    int top = lua_gettop(L), names = top + 1, modules = top + 2, loaded = top + 3;
    names_push(L);
    names_push_modules(L);
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (lua_pushnil(L); lua_next(L, loaded); lua_settop(L, loaded + 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
            continue;
        const char *module = lua_tostring(L, -2);
        lua_pushvalue(L, -1);
        bool is_known = lua_rawget(L, names) == LUA_TSTRING || is_standard(module);
        if (names_is_host(module))
            give_name(L, names, loaded + 2, module);
        else if (!is_known)
            learn_module(L, names, modules, loaded + 1, loaded + 2);
    }
    lua_settop(L, top);
}

/* --- of a living state --- */

static void keep(lua_State *L, int kept, int value)
{
    lua_pushvalue(L, value);
    lua_pushboolean(L, 1);
    lua_rawset(L, kept);
}

/* Closures in C and userdata of the standard library. */
static void keep_standard(lua_State *L, int kept)
{
    static const char *const fields[][2] = { { LUA_GNAME, "load" }, { LUA_GNAME, "loadfile" }, { LUA_STRLIBNAME, "gmatch" },
                                             { LUA_IOLIBNAME, "stdin" }, { LUA_IOLIBNAME, "stdout" }, { LUA_IOLIBNAME, "stderr" } };
    int top = lua_gettop(L);
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (lua_getfield(L, top + 1, fields[i][0]) == LUA_TTABLE && lua_getfield(L, top + 2, fields[i][1]) != LUA_TNIL)
            keep(L, kept, top + 3);
        lua_settop(L, top + 1);
    }
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->natives);
    keep(L, kept, top + 2);
    lua_pushvalue(L, LUA_REGISTRYINDEX);
    keep(L, kept, top + 3);
    lua_settop(L, top);
}

static void keep_c_module(lua_State *L, int kept, int table)
{
    int top = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, table); lua_settop(L, top + 1))
        if (lua_iscfunction(L, -1) || lua_isuserdata(L, -1))
            keep(L, kept, top + 2);
}

void names_push_kept(lua_State *L)
{
    int top = lua_gettop(L), kept = top + 1, modules = top + 2, loaded = top + 3;
    lua_newtable(L);
    lua_newtable(L);
    keep_standard(L, kept);
    (void)lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (lua_pushnil(L); lua_next(L, loaded); lua_settop(L, loaded + 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1) || is_standard(lua_tostring(L, -2)))
            continue;
        const char *module = lua_tostring(L, -2);
        if (names_is_host(module))
            keep(L, kept, loaded + 2);
        else if (holds_foreign(L, kept, loaded + 2, true) && find_c_module(L, module))
            keep_c_module(L, kept, loaded + 2);
        else
            give_name(L, modules, loaded + 2, module);
    }
    lua_settop(L, modules);
}
