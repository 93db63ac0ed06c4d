/* run_file.c: `lmr lua FILE ARG…`. */
#include "script/attempt.h"

#include "script/job.h"

struct run_file {
    const char *path;
    int argc;
    char *const *argv;
};

/* The global `arg` as lua has it: the file at 0, arguments from 1. */
static void set_arg(lua_State *L, const struct run_file *run)
{
    lua_createtable(L, run->argc, 1);
    lua_pushstring(L, run->path);
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < run->argc; i++) {
        lua_pushstring(L, run->argv[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setglobal(L, "arg");
}

static int run_body(lua_State *L)
{
    const struct run_file *run = lua_touserdata(L, 1);
    const char *slash = strrchr(run->path, '/');
    lua_settop(L, 0);
    script_add_path(L, slash ? lua_pushlstring(L, run->path, slash == run->path ? 1 : (size_t)(slash - run->path)) : ".");
    set_arg(L, run);
    script_require(L, "mr");
    lua_setglobal(L, "mr");
    script_load_file(L, run->path, "");
    luaL_checkstack(L, run->argc, "too many arguments");
    for (int i = 0; i < run->argc; i++)
        lua_pushstring(L, run->argv[i]);
    lua_call(L, run->argc, 0);
    return 0;
}

enum status script_run_file(const char *path, int argc, char *const *argv, struct err *e)
{
    struct run_file run = { path, argc, argv };
    struct script_config config = { .seed_task = "lua" };
    struct script *s = NULL;
    err_clear(e);
    enum status st = script_open(&config, &s, e);
    if (st == ST_OK)
        st = script_protect(s, run_body, &run, e);
    script_close(s);
    return st;
}
