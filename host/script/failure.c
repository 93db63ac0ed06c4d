/* failure.c: see failure.h. The handler writes into C memory only: it works also when Lua's is used up. */
#include "script/failure.h"

#include "base/size.h"

#include <stdio.h>

static const char METATABLE[] = "lmr.failure";

static int failure_text(lua_State *L)
{
    lua_settop(L, 1);
    (void)lua_getfield(L, 1, "message");
    return 1;
}

void failure_push_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, METATABLE))
        return;
    lua_pushcfunction(L, failure_text);
    lua_setfield(L, -2, "__tostring");
}

void failure_push(lua_State *L, const char *type, const char *message)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    failure_push_metatable(L);
    lua_setmetatable(L, -2);
}

bool failure_is_host_chunk(const char *source)
{
    return strncmp(source, "=" HOST_CHUNK, sizeof HOST_CHUNK) == 0;
}

/* --- traceback --- */

struct trace {
    char *p;
    size_t n, cap;
};

static void __attribute__((format(printf, 2, 3))) trace_say(struct trace *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->p + t->n, t->cap - t->n, format, args);
    va_end(args);
    if (n < 0)
        return;
    t->n = t->n + (size_t)n < t->cap ? t->n + (size_t)n : t->cap - 1;
}

static bool is_user_frame(const lua_Debug *ar)
{
    return ar->what[0] != 'C' && !failure_is_host_chunk(ar->source);
}

static void trace_frame(struct trace *t, const lua_Debug *ar)
{
    trace_say(t, "%s  ", t->n ? "\n" : "");
    if (ar->currentline > 0)
        trace_say(t, "%s:%d: ", ar->short_src, ar->currentline);
    else
        trace_say(t, "%s: ", ar->short_src);
    if (*ar->namewhat)
        trace_say(t, "in %s '%s'", ar->namewhat, ar->name);
    else if (*ar->what == 'm')
        trace_say(t, "in main chunk");
    else if (*ar->what == 'C')
        trace_say(t, "in a C function");
    else
        trace_say(t, "in function <%s:%d>", ar->short_src, ar->linedefined);
}

/* The outermost level. Lua finds a level by walking to it, and there may be 200,000: so by halves. */
static int last_level(lua_State *L)
{
    lua_Debug ar;
    int there = 0, beyond = 1;
    while (lua_getstack(L, beyond, &ar)) {
        there = beyond;
        beyond *= 2;
    }
    while (beyond - there > 1) {
        int middle = there + (beyond - there) / 2;
        if (lua_getstack(L, middle, &ar))
            there = middle;
        else
            beyond = middle;
    }
    return there;
}

static bool is_user_level(lua_State *L, int level)
{
    lua_Debug ar;
    if (!lua_getstack(L, level, &ar))
        return false;
    (void)lua_getinfo(L, "S", &ar);
    return is_user_frame(&ar);
}

/* Levels of the innermost and the outermost user frame; false when there is none. Only a few frames
 * of the host or of C stand outside of each. */
static bool user_levels(lua_State *L, int *inner, int *outer)
{
    int last = last_level(L);
    *inner = 0;
    *outer = last;
    while (*inner <= last && !is_user_level(L, *inner))
        ++*inner;
    while (*outer > *inner && !is_user_level(L, *outer))
        --*outer;
    return *inner <= last;
}

/* From the user's innermost line to the outermost; frames of the host in between are left out. */
static void traceback(lua_State *L, char *out, size_t cap)
{
    enum { HEAD = 12, TAIL = 8 };
    struct trace t = { out, 0, cap };
    int inner, outer;
    *out = '\0';
    if (!user_levels(L, &inner, &outer))
        return;
    for (int level = inner; level <= outer; level++) {
        lua_Debug ar;
        if (level == inner + HEAD && outer - TAIL > level) {
            trace_say(&t, "\n  … %d more", outer - TAIL - level);
            level = outer - TAIL;
        }
        if (!lua_getstack(L, level, &ar))
            return;
        (void)lua_getinfo(L, "Sln", &ar);
        if (!failure_is_host_chunk(ar.source))
            trace_frame(&t, &ar);
    }
}

/* --- error objects --- */

static void copy_text(char *out, size_t cap, const char *s, size_t n)
{
    size_t length = n < cap ? n : cap - 1;
    memcpy(out, s, length);
    out[length] = '\0';
}

static void copy_field(lua_State *L, int object, const char *name, char *out, size_t cap)
{
    size_t n;
    lua_pushstring(L, name);
    (void)lua_rawget(L, object);
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    if (s)
        copy_text(out, cap, s, n);
    lua_pop(L, 1);
}

static bool is_failure(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index))
        return false;
    (void)luaL_getmetatable(L, METATABLE);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* The object's details: an array of name, text, name, text, … */
static void read_details(lua_State *L, int object, struct err *f)
{
    lua_pushliteral(L, "details");
    if (lua_rawget(L, object) == LUA_TTABLE) {
        int details = lua_gettop(L);
        for (lua_Integer i = 1; lua_rawgeti(L, details, i) == LUA_TSTRING && lua_rawgeti(L, details, i + 1) == LUA_TSTRING; i += 2) {
            err_detail(f, lua_tostring(L, -2), "%s", lua_tostring(L, -1));
            lua_pop(L, 2);
        }
        lua_settop(L, details);
    }
    lua_pop(L, 1);
}

static void read_failure(lua_State *L, int object, struct err *f)
{
    char type[ERR_TYPE_MAX] = "script_error";
    copy_field(L, object, "type", type, sizeof type);
    f->status = status_from_type(type);
    copy_text(f->type, sizeof f->type, type, strlen(type));
    copy_field(L, object, "message", f->message, sizeof f->message);
    lua_pushliteral(L, "retry_after");
    (void)lua_rawget(L, object);
    if (lua_type(L, -1) == LUA_TNUMBER)
        f->retry_after = lua_tonumber(L, -1);
    lua_pop(L, 1);
    read_details(L, object, f);
}

static void read_error(lua_State *L, struct err *f)
{
    size_t n;
    int type = lua_type(L, 1);
    if (is_failure(L, 1)) {
        read_failure(L, 1, f);
        return;
    }
    (void)err_set(f, ST_SCRIPT, "(error object is a %s value)", lua_typename(L, type));
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        lua_pushvalue(L, 1);
        const char *s = lua_tolstring(L, -1, &n);
        copy_text(f->message, sizeof f->message, s, n);
        lua_pop(L, 1);
    } else if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        lua_pop(L, 1);
        const char *s = luaL_tolstring(L, 1, &n);
        copy_text(f->message, sizeof f->message, s, n);
        lua_pop(L, 1);
    }
}

int failure_handler(lua_State *L)
{
    struct script *s = script_of(L);
    err_clear(&s->failure);
    read_error(L, &s->failure);
    if (s->failure.status != ST_USAGE) /* what is wrong there the message tells; no call led to it */
        traceback(L, s->failure.traceback, sizeof s->failure.traceback);
    lua_settop(L, 1);
    return 1;
}

/* --- the end of a call --- */

static enum status memory_failure(struct script *s, struct err *e)
{
    char cap[SIZE_TEXT_MAX];
    if (!s->memory.cap)
        return err_set(e, ST_MEMORY, "the script needs more memory than the system gives");
    return err_set(e, ST_MEMORY, "the script needs more memory than its limit of %s: keep less in tables, or raise it with "
                   "--set limits.memory_limit=SIZE", size_format(s->memory.cap, cap));
}

static enum status interrupt_failure(struct script *s, enum status why, struct err *e)
{
    char time[SIZE_TEXT_MAX];
    if (why != ST_TIMEOUT)
        return err_set(e, why, "the attempt was told to stop");
    if (s->deadline > 0)
        return err_set(e, why, "the attempt took longer than its deadline of %s", duration_format(s->deadline, time));
    return err_set(e, why, "the attempt took too long");
}

enum status failure_status(struct script *s, int code, struct err *e)
{
    enum status why = (enum status)atomic_load(&s->interrupted);
    if (why != ST_OK)
        (void)interrupt_failure(s, why, e);
    else if (s->fatal.status != ST_OK)
        *e = s->fatal;
    else if (memory_is_hit(&s->memory) || code == LUA_ERRMEM)
        (void)memory_failure(s, e);
    else if (code == LUA_OK)
        return ST_OK;
    else if (code == LUA_ERRERR)
        return err_set(e, ST_SCRIPT, "an error in the error's own __tostring");
    else
        *e = s->failure;
    if (code == LUA_ERRRUN && !*e->traceback)
        memcpy(e->traceback, s->failure.traceback, sizeof e->traceback);
    return e->status;
}
