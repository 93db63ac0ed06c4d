/* state.c: making, entering and closing a Lua state. */
#include "script/state.h"

#include "base/sys.h"
#include "data/side.h"
#include "script/failure.h"
#include "script/gmatch.h"
#include "script/interrupt.h"
#include "script/load.h"
#include "script/mr.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

struct protected_call {
    lua_CFunction fn;
    void *context;
};

/* --- opening --- */

static int setup(lua_State *L)
{
    struct script *s = lua_touserdata(L, 1);
    luaL_openlibs(L);
    gmatch_setup(L);
    value_setup(L);
    rng_setup(L);
    load_setup(L);
    mr_setup(L);
    s->mr = LUA_NOREF;
    (void)lua_gc(L, LUA_GCGEN, 0, 0);
    return 0;
}

static void init(struct script *s, const struct script_config *config)
{
    memory_init(&s->memory, config->memory_limit);
    s->deadline = config->deadline;
    s->page = config->page ? config->page : &s->own_page;
    err_clear(&s->failure);
    err_clear(&s->fatal);
    rng_seed(&s->rng, config->seed, slice_str(config->seed_task));
    key_cursor_init(&s->cursor, slice_of(NULL, 0));
    s->natives = LUA_NOREF;
}

enum status script_open(const struct script_config *config, struct script **out, struct err *e)
{
    struct script *s = sys_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return err_memory(e, "a Lua state", sizeof *s);
    init(s, config);
    s->L = lua_newstate(memory_allocate, &s->memory);
    if (!s->L) {
        script_close(s);
        return err_memory(e, "a Lua state", sizeof *s);
    }
    memcpy(lua_getextraspace(s->L), &s, sizeof(struct script *));
    enum status st = interrupt_begin(s, e);
    if (st == ST_OK)
        st = script_protect(s, setup, s, e);
    if (st != ST_OK) {
        script_close(s);
        return st;
    }
    *out = s;
    return ST_OK;
}

void script_close(struct script *s)
{
    if (!s)
        return;
    interrupt_end(s);
    if (s->L)
        lua_close(s->L);
    for (unsigned i = 0; i < s->side_count; i++)
        side_close(s->sides[i].side);
    encoder_free(&s->encoder);
    key_cursor_free(&s->cursor);
    buf_free(&s->text);
    buf_free(&s->bytes);
    buf_free(&s->more);
    memory_free(&s->memory);
    sys_free(s);
}

/* --- entering --- */

enum status script_protect(struct script *s, lua_CFunction fn, void *context, struct err *e)
{
    lua_State *L = s->L;
    int top = lua_gettop(L);
    if (!lua_checkstack(L, LUA_MINSTACK))
        return err_memory(e, "the Lua stack", LUA_MINSTACK);
    lua_pushcfunction(L, failure_handler);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, context);
    int code = lua_pcall(L, 1, 0, top + 1);
    enum status st = failure_status(s, code, e);
    lua_settop(L, top);
    return st;
}

int script_raise(lua_State *L, const struct err *e)
{
    struct script *s = script_of(L);
    if (s->fatal.status == ST_OK && e != &s->fatal)
        s->fatal = *e;
    lua_pushstring(L, s->fatal.message);
    return lua_error(L);
}

int script_usage(lua_State *L, const char *format, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    failure_push(L, status_type(ST_USAGE), message);
    return lua_error(L);
}

int script_stopped(lua_State *L, struct script *s)
{
    return s->fatal.status != ST_OK ? script_raise(L, &s->fatal) : luaL_error(L, "the attempt was stopped");
}
