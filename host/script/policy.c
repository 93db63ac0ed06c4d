/* policy.c: see policy.h. */
#include "script/policy.h"

#include "base/sys.h"
#include "script/interrupt.h"
#include "script/job.h"
#include "script/mr.h"

#include <stdio.h>

enum { LOAD_MEMORY = 512 << 20, COLLECT_AT = POLICY_CALL_MEMORY / 4 };

struct policy_script {
    struct script *s;
    struct task task;    /* what mr.task() and the like see while the job file runs */
    size_t base_memory;  /* bytes the state held after loading */
    struct buf loaded;   /* as the caller got it: places */
};

/* What a protected body needs. */
struct body {
    struct policy_script *p;
    struct slice previous, err, ctx;
    uint32_t function;
    bool for_delay;
    struct buf *out;
    enum status status;
};

/* --- loading --- */

static void encode(lua_State *L, struct body *b, const char *what)
{
    struct script *s = script_of(L);
    b->status = lua_isnil(L, -1) ? val_put_null(b->out) : value_encode(&s->encoder, L, -1, b->out);
    if (b->status == ST_SCRIPT)
        (void)luaL_error(L, "%s: %s", what, s->encoder.message);
}

static void push_policy(lua_State *L, const char *name)
{
    script_require(L, "mr.policy");
    (void)lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static void push_value(lua_State *L, struct slice value)
{
    if (value.n == 0)
        lua_pushnil(L);
    else if (!value_push(L, value))
        (void)luaL_error(L, "a message that does not decode");
}

static int open_body(lua_State *L)
{
    struct body *b = lua_touserdata(L, 1);
    lua_settop(L, 0);
    job_load(L, &b->p->task);
    push_policy(L, "open");
    lua_insert(L, -2);
    push_value(L, b->p->task.assignment);
    push_value(L, b->previous);
    lua_call(L, 3, 1);
    encode(L, b, "the profile");
    lua_settop(L, 0);
    (void)lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

static enum status run_body(lua_CFunction body, struct body *b, struct err *e)
{
    size_t start = b->out->n;
    enum status st = script_protect(b->p->s, body, b, e);
    if (st == ST_OK && b->status != ST_OK)
        st = err_memory(e, "a policy's answer", b->out->n);
    if (st != ST_OK)
        b->out->n = start;
    return st;
}

static enum status load(struct policy_script *p, struct slice config, struct slice previous, struct buf *loaded, struct err *e)
{
    struct script_config limits = { .memory_limit = LOAD_MEMORY, .deadline = POLICY_LOAD_SECONDS, .seed_task = "policy" };
    struct body body = { .p = p, .previous = previous, .out = &p->loaded };
    task_init(&p->task, NULL, config, TASK_OTHER);
    enum status st = script_open(&limits, &p->s, e);
    if (st != ST_OK)
        return st;
    p->task.script = p->s;
    p->s->task = &p->task;
    st = run_body(open_body, &body, e);
    interrupt_end(p->s);
    p->s->task = NULL;
    p->task.assignment = slice_of(NULL, 0);
    p->base_memory = p->s->memory.used;
    p->s->memory.cap = p->base_memory + POLICY_CALL_MEMORY;
    p->s->deadline = POLICY_CALL_SECONDS;
    if (st == ST_OK && buf_append_slice(loaded, buf_slice(&p->loaded)) != ST_OK)
        st = err_memory(e, "a profile", p->loaded.n);
    if (st == ST_TIMEOUT)
        st = err_set(e, st, "the job file and its profile took longer than %d s to load", POLICY_LOAD_SECONDS);
    if (st == ST_SCRIPT)
        st = e->status = ST_USAGE;
    return st;
}

enum status policy_script_open(struct slice config, struct slice previous, struct policy_script **out, struct buf *loaded, struct err *e)
{
    struct policy_script *p = sys_calloc(1, sizeof *p);
    *out = NULL;
    if (!p)
        return err_memory(e, "policy functions", sizeof *p);
    enum status st = load(p, config, previous, loaded, e);
    if (st == ST_OK)
        *out = p;
    else
        policy_script_close(p);
    return st;
}

/* --- calling --- */

static int call_body(lua_State *L)
{
    struct body *b = lua_touserdata(L, 1);
    lua_settop(L, 0);
    if (b->p->s->memory.used > b->p->base_memory + COLLECT_AT)
        (void)lua_gc(L, LUA_GCCOLLECT);
    push_policy(L, "call");
    lua_pushinteger(L, b->function);
    lua_pushboolean(L, b->for_delay);
    push_value(L, b->err);
    push_value(L, b->ctx);
    lua_call(L, 4, 1);
    encode(L, b, "the verdict");
    return 0;
}

/* "my.lua:14" of a function; false: there is no such function. */
static bool place_of(const struct policy_script *p, uint32_t function, struct slice *place)
{
    struct slice places, one;
    struct val_cursor c;
    uint64_t count = val_get(buf_slice(&p->loaded), "places", &places) ? val_array(places, &c) : 0;
    if (function == 0 || function > count)
        return false;
    for (uint32_t i = 0; i < function; i++)
        (void)val_skip(&c, &one);
    return val_as_string(one, place);
}

/* True when `message` says already where in the function's file it is. */
static bool is_placed(const char *message, struct slice place)
{
    size_t n = place.n;
    while (n > 0 && place.p[n - 1] != ':')
        n--;
    return n > 0 && strncmp(message, (const char *)place.p, n) == 0;
}

static void tell_place(struct slice place, struct err *e)
{
    char said[ERR_MESSAGE_MAX];
    (void)snprintf(said, sizeof said, "%s", e->message);
    if (e->status == ST_TIMEOUT)
        (void)snprintf(said, sizeof said, "the policy function took longer than %d s", POLICY_CALL_SECONDS);
    else if (e->status == ST_MEMORY)
        (void)snprintf(said, sizeof said, "the policy function needs more than %d MB of memory", POLICY_CALL_MEMORY >> 20);
    else if (is_placed(said, place))
        return;
    int n = place.n < ERR_FILE_MAX ? (int)place.n : ERR_FILE_MAX;
    (void)snprintf(e->message, sizeof e->message, "%.*s: %.*s", n, (const char *)place.p, ERR_MESSAGE_MAX - ERR_FILE_MAX - 4, said);
}

enum status policy_script_call(struct policy_script *p, uint32_t function, bool for_delay, struct slice err, struct slice ctx,
                               struct buf *answer, struct err *e)
{
    struct body body = { .p = p, .err = err, .ctx = ctx, .function = function, .for_delay = for_delay, .out = answer };
    struct slice place;
    CHECK(!policy_script_is_spoiled(p));
    if (!place_of(p, function, &place))
        return err_set(e, ST_USAGE, "there is no policy function number %u", (unsigned)function);
    enum status st = interrupt_begin(p->s, e);
    if (st == ST_OK)
        st = run_body(call_body, &body, e);
    interrupt_end(p->s);
    if (st == ST_TIMEOUT && memory_is_hit(&p->s->memory)) /* it caught that, and went on */
        st = err_set(e, ST_MEMORY, "memory");
    if (st != ST_OK)
        tell_place(place, e);
    return st;
}

bool policy_script_is_spoiled(const struct policy_script *p)
{
    return script_is_stopped(p->s);
}

void policy_script_close(struct policy_script *p)
{
    if (!p)
        return;
    script_close(p->s);
    task_free(&p->task);
    buf_free(&p->loaded);
    sys_free(p);
}
