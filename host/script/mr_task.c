/* mr_task.c: what a running task may ask and tell: task, increment, status, progress, sleep, output. */
#include "script/mr.h"

#include "base/sys.h"

#include <errno.h>
#include <time.h>

static const char HANDLE[] = "lmr.task";
static const double COUNTER_MAX = 1e300;

/* --- mr.task() --- */

static void push_previous(lua_State *L, struct task *t)
{
    struct slice previous;
    if (!val_get(t->assignment, "previous", &previous) || !value_push(L, previous))
        lua_pushnil(L);
}

static void push_int_or_nil(lua_State *L, int64_t v)
{
    if (v < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, v);
}

static void push_text_or_nil(lua_State *L, struct slice s)
{
    if (s.n == 0)
        lua_pushnil(L);
    else
        (void)lua_pushlstring(L, (const char *)s.p, s.n);
}

static bool push_field(lua_State *L, struct task *t, const char *name)
{
    if (strcmp(name, "id") == 0)
        lua_pushstring(L, t->id);
    else if (strcmp(name, "attempt") == 0)
        lua_pushinteger(L, t->attempt);
    else if (strcmp(name, "step") == 0)
        lua_pushinteger(L, t->step);
    else if (strcmp(name, "round") == 0)
        lua_pushinteger(L, t->round);
    else if (strcmp(name, "file") == 0)
        push_text_or_nil(L, t->file ? slice_str(t->file) : slice_of(NULL, 0));
    else if (strcmp(name, "offset") == 0)
        push_int_or_nil(L, t->offset);
    else if (strcmp(name, "record") == 0)
        push_int_or_nil(L, t->record);
    else if (strcmp(name, "tag") == 0)
        push_text_or_nil(L, t->tag);
    else if (strcmp(name, "previous") == 0)
        push_previous(L, t);
    else
        return false;
    return true;
}

static int task_index(lua_State *L)
{
    struct task *t = mr_task(L, "mr.task()");
    const char *name = luaL_checkstring(L, 2);
    if (!push_field(L, t, name))
        return luaL_error(L, "mr.task() has no field '%s'; it has id, attempt, step, round, file, offset, record, tag and previous",
                          name);
    return 1;
}

static int task_newindex(lua_State *L)
{
    return luaL_error(L, "mr.task() is read-only");
}

void mr_push_task(lua_State *L, struct task *t)
{
    (void)t;
    (void)lua_newuserdatauv(L, 0, 0);
    if (luaL_newmetatable(L, HANDLE)) {
        lua_pushcfunction(L, task_index);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, task_newindex);
        lua_setfield(L, -2, "__newindex");
    }
    lua_setmetatable(L, -2);
}

static int get_task(lua_State *L)
{
    struct task *t = mr_task(L, "mr.task()");
    if (t->handle_ref == LUA_NOREF) {
        mr_push_task(L, t);
        t->handle_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->handle_ref);
    return 1;
}

/* --- mr.increment --- */

static void push_counters(lua_State *L, struct task *t)
{
    if (t->counters_ref == LUA_NOREF) {
        lua_newtable(L);
        t->counters_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->counters_ref);
}

/* The table of a group (its name is at 1), made when it is not there. */
static void push_group(lua_State *L)
{
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
}

static bool holds_nul(lua_State *L, int index)
{
    size_t n;
    const char *s = lua_tolstring(L, index, &n);
    return memchr(s, 0, n) != NULL;
}

/* The sum of what stands at two indexes: integers become a float when theirs is no integer any more, as in the driver. */
static void push_sum(lua_State *L, int a, int b)
{
    lua_Integer sum;
    if (!lua_isinteger(L, a) || !lua_isinteger(L, b))
        lua_pushnumber(L, lua_tonumber(L, a) + lua_tonumber(L, b));
    else if (__builtin_add_overflow(lua_tointeger(L, a), lua_tointeger(L, b), &sum))
        lua_pushnumber(L, (double)lua_tointeger(L, a) + (double)lua_tointeger(L, b));
    else
        lua_pushinteger(L, sum);
}

/* Refuses what the manifest could not hold: NaN, and what might add up to infinity over all tasks. */
static void check_counter(lua_State *L, const char *what, int index)
{
    double n = lua_tonumber(L, index);
    if (!(n >= -COUNTER_MAX && n <= COUNTER_MAX))
        (void)luaL_error(L, "mr.increment: %s is %s; a counter goes from -1e300 to 1e300", what,
                         n != n ? "NaN" : luaL_tolstring(L, index, NULL));
}

static int increment(lua_State *L)
{
    struct task *t = mr_task(L, "mr.increment");
    if (lua_type(L, 1) != LUA_TSTRING || lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "mr.increment takes a group, a name and a number: mr.increment(\"words\", \"long\", 1)");
    if (holds_nul(L, 1) || holds_nul(L, 2))
        return luaL_error(L, "mr.increment: a group or name holds a NUL byte; the manifest could not be read back");
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_pushinteger(L, 1);
    }
    if (lua_type(L, 3) != LUA_TNUMBER)
        return luaL_error(L, "mr.increment: the amount is a %s; it must be a number", luaL_typename(L, 3));
    check_counter(L, "the amount", 3);
    lua_settop(L, 3);
    push_counters(L, t);
    push_group(L);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 2);
    bool is_new = lua_rawget(L, 5) == LUA_TNIL;
    if (t->undo.active)
        undo_note_counter(L, &t->undo, 7);
    if (is_new) {
        lua_pop(L, 1);
        lua_pushvalue(L, 3);
    } else {
        push_sum(L, 7, 3);
        lua_remove(L, 7);
        check_counter(L, "the sum", 7);
    }
    lua_rawset(L, 5);
    return 0;
}

/* --- mr.status, mr.progress, mr.sleep --- */

static int progress(lua_State *L)
{
    struct position *page = mr_task(L, "mr.progress")->script->page;
    POSITION_SET(page, progress, POSITION_GET(page, progress) + 1);
    return 0;
}

static int status(lua_State *L)
{
    struct position *page = mr_task(L, "mr.status")->script->page;
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    n = n < POSITION_STATUS_MAX - 1 ? n : POSITION_STATUS_MAX - 1;
    memcpy(page->status, text, n);
    page->status[n] = '\0';
    return progress(L);
}

static int sleep_seconds(lua_State *L)
{
    struct script *s = script_of(L);
    double seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 1, "seconds from 0 on");
    int64_t until = sys_now() + (int64_t)(seconds * 1e9);
    for (;;) {
        script_check(L, s);
        int64_t left = until - sys_now();
        if (left <= 0)
            return 0;
        struct timespec nap = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
        if (nanosleep(&nap, NULL) != 0 && errno != EINTR)
            return luaL_error(L, "mr.sleep: %s", strerror(errno));
    }
}

/* --- mr.output --- */

static int output(lua_State *L)
{
    struct task *t = mr_task(L, "mr.output");
    int n = lua_gettop(L);
    if (lua_type(L, 1) != LUA_TSTRING || n < 2 || n > 3)
        return luaL_error(L, "mr.output takes a name, a key and a value");
    if (t->kind == TASK_SAMPLE)
        return 0;
    uint32_t target = task_side_output(L, t, lua_tostring(L, 1));
    task_stage(L, t, target, 2, n == 3 ? 3 : 0, "mr.output");
    return 0;
}

void mr_add_task(lua_State *L)
{
    static const luaL_Reg functions[] = { { "task", get_task }, { "increment", increment }, { "progress", progress },
                                          { "status", status }, { "sleep", sleep_seconds }, { "output", output },
                                          { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
