/* job.c: see job.h. */
#include "script/job.h"

#include "script/mr.h"

/* "dir/job.lua" → "dir"; "job.lua" → "." */
static void push_directory(lua_State *L, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        lua_pushliteral(L, ".");
    else
        (void)lua_pushlstring(L, path, slash == path ? 1 : (size_t)(slash - path));
}

/* The arguments after `--`: pushed as an array, and kept for mr.args. */
static void push_args(lua_State *L, struct task *t)
{
    struct slice args;
    if (!val_get(t->assignment, "args", &args) || !value_push(L, args))
        lua_newtable(L);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->script->natives);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "args");
    lua_pop(L, 1);
}

static int unpack_args(lua_State *L, int args)
{
    int n = (int)lua_rawlen(L, args);
    luaL_checkstack(L, n, "too many arguments");
    for (int i = 1; i <= n; i++)
        (void)lua_rawgeti(L, args, i);
    return n;
}

/* Whoever forgets the job, or -m, names an input first. */
static const char *hint_for(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && strcmp(path + n - 4, ".lua") == 0
               ? "" : "; the first word is the job, a Lua file (without one: lmr run -m CODE INPUT…)";
}

/* An error while the job file runs is a wrong job, unless a limit was hit or it was raised with a type. */
static int run_chunk(lua_State *L, const char *path, int args)
{
    script_load_file(L, path, hint_for(path));
    int n = unpack_args(L, args);
    lua_call(L, n, 1);
    return 1;
}

static void load_file(lua_State *L, const char *path, int args)
{
    push_directory(L, path);
    script_add_path(L, lua_tostring(L, -1));
    lua_pop(L, 1);
    (void)run_chunk(L, path, args);
    script_require(L, "mr.job");
    (void)lua_getfield(L, -1, "check");
    lua_pushvalue(L, -3);
    lua_pushstring(L, path);
    lua_call(L, 2, 1);
}

static void load_one_liner(lua_State *L, struct task *t)
{
    struct slice code;
    script_require(L, "mr.job");
    (void)lua_getfield(L, -1, "one_liner");
    if (!val_get(t->assignment, "one_liner", &code) || !value_push(L, code))
        (void)script_usage(L, "no job file and no one-liner");
    lua_call(L, 1, 1);
}

void job_load(lua_State *L, struct task *t)
{
    int top = lua_gettop(L);
    const char *path = task_string(t, "job");
    POSITION_SET(t->script->page, phase, POS_LOAD);
    push_args(L, t);
    if (path)
        load_file(L, path, top + 1);
    else
        load_one_liner(L, t);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
}

void job_push_step(lua_State *L, struct task *t)
{
    if (t->step_ref != LUA_NOREF) {
        (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->step_ref);
        return;
    }
    job_load(L, t);
    script_require(L, "mr.job");
    (void)lua_getfield(L, -1, "resolve");
    lua_pushvalue(L, -3);
    lua_pushinteger(L, t->step);
    lua_call(L, 2, 1);
    lua_replace(L, -3);
    lua_pop(L, 1);
    if (job_field(L, -1, "output"))
        t->output_spec_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    else
        lua_pop(L, 1);
}

bool job_field(lua_State *L, int index, const char *name)
{
    return lua_getfield(L, index, name) != LUA_TNIL;
}

void job_init(lua_State *L, struct task *t, int step)
{
    POSITION_SET(t->script->page, phase, POS_INIT);
    if (!job_field(L, step, "init"))
        return; /* the nil that was pushed is the state */
    mr_push_task(L, t);
    lua_call(L, 1, 1);
}
