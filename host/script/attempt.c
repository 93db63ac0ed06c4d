/* attempt.c: see attempt.h: an assignment to the room that does it. */
#include "script/attempt.h"

#include "base/sys.h"
#include "script/fingerprint.h"
#include "script/job.h"
#include "script/map_task.h"
#include "script/mr.h"
#include "script/reduce_task.h"
#include "script/remote_task.h"
#include "script/sample_task.h"
#include "script/side_task.h"

/* What a protected body needs beside the task. */
struct call {
    struct task *task;
    struct buf *result;
    enum status status;
};

/* --- describe --- */

static int describe_body(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    struct task *t = call->task;
    lua_settop(L, 0);
    fingerprint_begin(L);
    job_load(L, t);
    script_require(L, "mr.describe");
    (void)lua_getfield(L, -1, "describe");
    lua_pushvalue(L, 1);
    if (!value_push(L, t->assignment))
        return luaL_error(L, "the assignment does not decode");
    lua_call(L, 2, 1);
    call->status = value_encode(&t->script->encoder, L, -1, call->result);
    return call->status == ST_SCRIPT ? luaL_error(L, "the job's description: %s", t->script->encoder.message) : 0;
}

static enum status run_body(lua_CFunction body, struct task *t, struct buf *result, struct err *e)
{
    struct call call = { t, result, ST_OK };
    size_t start = result->n;
    enum status st = script_protect(t->script, body, &call, e);
    if (st == ST_OK && call.status != ST_OK)
        st = err_memory(e, "a result", result->n);
    if (st != ST_OK)
        result->n = start;
    return st;
}

/* --- stop --- */

static void push_assigned(lua_State *L, struct task *t, const char *name)
{
    struct slice value;
    if (!val_get(t->assignment, name, &value) || !value_push(L, value))
        lua_pushnil(L);
}

static int stop_body(lua_State *L)
{
    struct call *call = lua_touserdata(L, 1);
    struct task *t = call->task;
    struct val_map result = VAL_MAP_EMPTY;
    lua_settop(L, 0);
    job_push_step(L, t);
    POSITION_SET(t->script->page, phase, POS_FINISH);
    if (!job_field(L, 1, "stop_when"))
        return luaL_error(L, "the step has no stop_when");
    lua_pushinteger(L, t->round);
    push_assigned(L, t, "counters");
    push_assigned(L, t, "previous");
    lua_call(L, 3, 1);
    val_map_bool(&result, "stop", lua_toboolean(L, -1));
    call->status = val_map_end(&result, call->result);
    return 0;
}

/* --- dispatch --- */

static enum status run_describe(struct task *t, struct buf *result, struct err *e)
{
    return run_body(describe_body, t, result, e);
}

static enum status run_stop(struct task *t, struct buf *result, struct err *e)
{
    return run_body(stop_body, t, result, e);
}

static const struct kind {
    const char *name;
    enum task_kind kind;
    bool needs_script;
    enum status (*run)(struct task *t, struct buf *result, struct err *e);
} kinds[] = {
    { "map", TASK_MAP, true, map_task_run },
    { "reduce", TASK_REDUCE, true, reduce_task_run },
    { "describe", TASK_OTHER, true, run_describe },
    { "sample", TASK_SAMPLE, true, sample_task_run },
    { "stop", TASK_OTHER, true, run_stop },
    { "side", TASK_OTHER, false, side_task_run },
    { "remote", TASK_OTHER, false, remote_task_run },
};

static const struct kind *find_kind(struct slice assignment)
{
    struct slice name;
    if (!val_get_string(assignment, "kind", &name))
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (slice_equal(name, slice_str(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

/* What fails while the job file runs is the job's own mistake, found before anything was started. */
static enum status settle(struct position *page, enum status st, struct err *e)
{
    if (st == ST_SCRIPT && POSITION_GET(page, phase) == POS_LOAD)
        st = ST_USAGE;
    if (st != ST_OK && st != ST_DECLARED) {
        e->status = st;
        memcpy(e->type, status_type(st), strlen(status_type(st)) + 1);
    }
    return st;
}

static enum status run_scripted(const struct kind *kind, struct slice assignment, struct position *page,
                                const struct attempt_host *host, struct buf *result, struct err *e)
{
    struct task t;
    struct script *s;
    task_init(&t, NULL, assignment, kind->kind);
    struct script_config config = { .memory_limit = (size_t)val_get_int(assignment, "memory_limit", 0),
                                    .deadline = val_get_float(assignment, "deadline", 0), .page = page,
                                    .seed = (uint64_t)val_get_int(assignment, "seed", 0), .seed_task = t.id };
    enum status st = script_open(&config, &s, e);
    if (st != ST_OK)
        return st;
    t.script = s;
    t.host = host;
    s->task = &t;
    st = kind->run(&t, result, e);
    st = settle(page, st, e);
    if (st != ST_OK)
        task_measure(&t, e);
    s->task = NULL;
    task_free(&t);
    script_close(s);
    return st;
}

static enum status run_plain(const struct kind *kind, struct slice assignment, struct position *page, struct buf *result, struct err *e)
{
    struct task t;
    struct script none = { .page = page };
    task_init(&t, &none, assignment, kind->kind);
    enum status st = kind->run(&t, result, e);
    st = settle(page, st, e);
    if (st != ST_OK)
        task_measure(&t, e);
    task_free(&t);
    return st;
}

enum status script_attempt(struct slice assignment, struct position *page, const struct attempt_host *host, struct buf *result,
                           struct err *e)
{
    err_clear(e);
    if (val_check(assignment) != ST_OK)
        return err_set(e, ST_CORRUPT, "an assignment that does not decode");
    const struct kind *kind = find_kind(assignment);
    if (!kind)
        return err_set(e, ST_USAGE, "an assignment of no known kind");
    position_begin(page, (uint64_t)val_get_int(assignment, "serial", 0));
    enum status st = kind->needs_script ? run_scripted(kind, assignment, page, host, result, e)
                                        : run_plain(kind, assignment, page, result, e);
    POSITION_SET(page, phase, POS_IDLE);
    return st;
}
