/* reduce_task.c: see reduce_task.h. Declared reducers and the identity make no Lua value; a Lua reduce is called a group at a time. */
#include "script/reduce_task.h"

#include "base/sys.h"
#include "data/aggregate.h"
#include "script/emit.h"
#include "script/groups.h"
#include "script/job.h"

#include <stdio.h>

enum { REPORT_EVERY = 256, REPORT_PAIRS = 65536 }; /* groups, pairs; unless a heartbeat comes first */

struct reduce_task {
    struct task *task;
    struct groups groups;
    struct agg *agg;      /* declared reduce, or NULL */
    void *agg_state;      /* between init and drop; NULL when there is none */
    struct buf agg_bytes; /* memory of the state */
    bool merges;          /* values are partials of a declared combine */
    struct output_spec spec;
    bool has_spec;
    struct buf out;       /* scratch: an encoded result */
    struct err err;
    uint64_t beat;        /* the heartbeat of the last report */
    lua_Integer serial;   /* of the group that reduce is working on: tells a stale iterator */
    int step, emit, state, reduce, args, by; /* stack indexes; number of reduce's arguments */
};

/* --- where it stands --- */

static void report(struct reduce_task *r)
{
    struct position *page = r->task->script->page;
    r->beat = POSITION_GET(page, heartbeat);
    if (r->groups.merge)
        POSITION_SET(page, bytes_in, merge_bytes_done(r->groups.merge));
    POSITION_SET(page, pairs_out, r->task->pairs_out);
    POSITION_SET(page, script_memory, r->task->script->memory.used);
    POSITION_SET(page, script_memory_peak, r->task->script->memory.peak);
}

static inline bool is_due(const struct reduce_task *r)
{
    return POSITION_GET(r->task->script->page, heartbeat) != r->beat;
}

/* A group may be large, and its reduce slow: each of its pairs is progress. */
static inline enum status take_pair(struct reduce_task *r)
{
    struct groups *g = &r->groups;
    enum status st = groups_pair(g, &r->err);
    POSITION_SET(r->task->script->page, offset, g->pairs);
    if (g->pairs % REPORT_PAIRS == 0 || is_due(r))
        report(r);
    return st;
}

/* The page's key: raw bytes of a string key, cut; a torn look at it does no harm. */
static void at_group(struct reduce_task *r)
{
    struct position *page = r->task->script->page;
    struct slice key = buf_slice(&r->groups.group_key);
    size_t skip = key.n > 0 && key.p[0] == KEY_STRING ? 1 : 0;
    size_t n = key.n - skip < POSITION_KEY_MAX - 1 ? key.n - skip : POSITION_KEY_MAX - 1;
    r->task->record = (int64_t)r->groups.groups - 1;
    POSITION_SET(page, record, r->groups.groups - 1);
    memcpy(page->key, key.p + skip, n);
    page->key[n] = '\0';
    if (r->groups.groups % REPORT_EVERY == 0 || is_due(r))
        report(r);
}

static void place_key(struct reduce_task *r, struct err *e)
{
    struct buf text = BUF_EMPTY;
    if (r->groups.groups > 0 && !*e->key && output_text_of_key(buf_slice(&r->groups.group_key), &text) == ST_OK) {
        size_t n = text.n < sizeof e->key - 1 ? text.n : sizeof e->key - 1;
        memcpy(e->key, text.p, n);
        e->key[n] = '\0';
    }
    buf_free(&text);
}

static int raise(lua_State *L, struct reduce_task *r)
{
    return script_raise(L, &r->err);
}

static void write_pair(lua_State *L, struct reduce_task *r, struct slice key, struct slice value)
{
    r->task->pairs_out++;
    r->task->bytes_out += key.n + value.n;
    if (output_pair(r->task->part, key, value, &r->err) != ST_OK)
        (void)raise(L, r);
}

/* --- identity --- */

static void reduce_identity(lua_State *L, struct reduce_task *r)
{
    struct groups *g = &r->groups;
    enum status st;
    while ((st = take_pair(r)) == ST_OK)
        write_pair(L, r, g->key, g->value);
    if (st != ST_END)
        (void)raise(L, r);
}

/* --- declared --- */

/* mr.top with `by`, without combine: the value becomes { rank, value }. */
static struct slice ranked(lua_State *L, struct reduce_task *r, struct slice value)
{
    struct encoder *enc = &r->task->script->encoder;
    if (!r->by)
        return value;
    if (!value_push(L, value))
        (void)luaL_error(L, "a value does not decode");
    int at = lua_gettop(L);
    emit_push_rank(L, r->by, at);
    r->out.n = 0;
    enum status st = val_put_array(&r->out, 2);
    if (st == ST_OK)
        st = value_encode(enc, L, -1, &r->out);
    if (st == ST_OK)
        st = buf_append_slice(&r->out, value);
    lua_settop(L, at - 1);
    if (st == ST_SCRIPT)
        emit_refuse_rank(L, enc);
    if (st != ST_OK) {
        (void)err_memory(&r->err, "a value", value.n);
        (void)raise(L, r);
    }
    return buf_slice(&r->out);
}

static void fold(lua_State *L, struct reduce_task *r)
{
    struct groups *g = &r->groups;
    enum status st, folded = ST_OK;
    while ((st = take_pair(r)) == ST_OK) {
        folded = r->merges ? agg_merge(r->agg, r->agg_state, g->value, &r->err)
                           : agg_add(r->agg, r->agg_state, ranked(L, r, g->value), &r->err);
        if (folded != ST_OK)
            (void)raise(L, r);
    }
    if (st != ST_END)
        (void)raise(L, r);
}

static void reduce_declared(lua_State *L, struct reduce_task *r)
{
    r->agg_state = r->agg_bytes.p;
    agg_init(r->agg, r->agg_state);
    fold(L, r);
    r->out.n = 0;
    if (agg_finish(r->agg, r->agg_state, &r->out, &r->err) != ST_OK)
        (void)raise(L, r);
    agg_drop(r->agg, r->agg_state);
    r->agg_state = NULL;
    write_pair(L, r, buf_slice(&r->groups.group_key), buf_slice(&r->out));
}

/* --- Lua --- */

static struct reduce_task *reduce_of(lua_State *L, const char *what)
{
    struct task *t = script_of(L)->task;
    if (!t || t->kind != TASK_REDUCE || !t->emitter)
        (void)luaL_error(L, "%s: the task it belongs to is over", what);
    return t->emitter;
}

/* Upvalues: the group's number, its key. */
static int next_value(lua_State *L)
{
    struct reduce_task *r = reduce_of(L, "values");
    struct groups *g = &r->groups;
    if (lua_tointeger(L, lua_upvalueindex(1)) != r->serial)
        return luaL_error(L, "values of a group that is over: use them while its reduce runs");
    enum status st = take_pair(r);
    if (st == ST_END)
        return 0;
    if (st != ST_OK)
        return raise(L, r);
    script_check(L, r->task->script);
    bool good = value_push(L, g->value);
    if (good && g->group_by)
        good = key_push(L, &r->task->script->cursor, g->key);
    else
        lua_pushvalue(L, lua_upvalueindex(2));
    return good ? 2 : luaL_error(L, "a pair of a run does not decode");
}

static int reduce_emit(lua_State *L)
{
    struct reduce_task *r = reduce_of(L, "emit");
    int n = lua_gettop(L);
    if (n == 0 || n > 2)
        return luaL_error(L, "emit takes a key and a value, got %d arguments", n);
    task_stage(L, r->task, 0, 1, n == 1 ? 0 : 2, "emit");
    return 0;
}

static void reduce_lua(lua_State *L, struct reduce_task *r)
{
    struct script *s = r->task->script;
    r->serial++;
    lua_pushvalue(L, r->reduce);
    if (!key_push(L, &s->cursor, buf_slice(&r->groups.group_key)))
        (void)luaL_error(L, "a key of a run does not decode");
    lua_pushinteger(L, r->serial);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, next_value, 2);
    lua_pushvalue(L, r->emit);
    if (r->args == 4)
        lua_pushvalue(L, r->state);
    lua_call(L, r->args, 0);
}

/* --- the attempt --- */

static enum status parse_agg(lua_State *L, struct reduce_task *r)
{
    struct script *s = r->task->script;
    s->bytes.n = 0;
    enum status st = value_encode(&s->encoder, L, -1, &s->bytes);
    if (st == ST_OK)
        st = agg_parse(buf_slice(&s->bytes), &r->agg, &r->err);
    if (st == ST_OK)
        st = buf_reserve(&r->agg_bytes, agg_state_size(r->agg) + 16);
    return st == ST_OK ? st : r->err.status != ST_OK ? r->err.status : err_memory(&r->err, "a reducer", 0);
}

/* Which of the three ways: r->reduce is the function's index, or 0; r->agg the declaration, or NULL. */
static void choose(lua_State *L, struct reduce_task *r)
{
    r->merges = job_field(L, r->step, "combine") && !job_field(L, r->step, "combine_function");
    lua_settop(L, r->state);
    if (job_field(L, r->step, "reduce_function")) {
        r->reduce = lua_gettop(L);
        return;
    }
    if (job_field(L, r->step, "reduce") && parse_agg(L, r) != ST_OK)
        (void)raise(L, r);
    lua_settop(L, r->state);
    if (job_field(L, r->step, "by") && r->agg && !r->merges)
        r->by = lua_gettop(L);
}

static enum status open_part(struct reduce_task *r)
{
    struct task *t = r->task;
    struct slice spec = slice_of("\x01", 1); /* VAL_NULL */
    const char *path = task_string(t, "part");
    (void)val_get(t->assignment, "output", &spec);
    if (!path)
        return err_set(&r->err, ST_USAGE, "a reduce task without a part to write");
    enum status st = output_spec_parse(spec, &r->spec, &r->err);
    if (st != ST_OK)
        return st;
    r->has_spec = true;
    return output_open(path, &r->spec, &t->part, &r->err);
}

static void reduce_groups(lua_State *L, struct reduce_task *r)
{
    struct script *s = r->task->script;
    enum status st;
    POSITION_SET(s->page, phase, POS_REDUCE);
    while ((st = groups_next(&r->groups, &r->err)) == ST_OK) {
        at_group(r);
        if (r->reduce)
            reduce_lua(L, r);
        else if (r->agg)
            reduce_declared(L, r);
        else
            reduce_identity(L, r);
        script_check(L, s);
    }
    if (st != ST_END)
        (void)raise(L, r);
}

static void finish(lua_State *L, struct reduce_task *r)
{
    POSITION_SET(r->task->script->page, phase, POS_FINISH);
    r->task->record = -1;
    r->serial++; /* values of the last group are over */
    if (!job_field(L, r->step, "finish"))
        return;
    lua_pushvalue(L, r->emit);
    lua_pushvalue(L, r->state);
    lua_call(L, 2, 0);
    script_check(L, r->task->script);
}

static int reduce_body(lua_State *L)
{
    struct reduce_task *r = lua_touserdata(L, 1);
    struct task *t = r->task;
    lua_settop(L, 0);
    job_push_step(L, t);
    r->step = lua_gettop(L);
    if (open_part(r) != ST_OK || groups_open(&r->groups, t, &r->err) != ST_OK)
        return raise(L, r);
    t->emitter = r;
    lua_pushcfunction(L, reduce_emit);
    r->emit = lua_gettop(L);
    job_init(L, t, r->step);
    r->state = lua_gettop(L);
    r->args = job_field(L, r->step, "init") ? 4 : 3;
    choose(L, r);
    reduce_groups(L, r);
    finish(L, r);
    task_seal(L, t);
    return 0;
}

static enum status put_result(struct reduce_task *r, const struct output_stats *part, uint64_t bytes_in, struct buf *out)
{
    struct val_map result = VAL_MAP_EMPTY;
    task_result(r->task, &result);
    val_map_int(&result, "records_in", (int64_t)r->groups.pairs);
    val_map_int(&result, "bytes_in", (int64_t)bytes_in);
    val_map_int(&result, "groups", (int64_t)r->groups.groups);
    val_map_int(&result, "pairs_out", (int64_t)r->task->pairs_out);
    val_map_int(&result, "bytes_out", (int64_t)r->task->bytes_out);
    val_map_int(&result, "spills", 0);
    val_map_int(&result, "segments", 0);
    emit_put_part(part, &result);
    return val_map_end(&result, out);
}

static enum status close_part(struct reduce_task *r, struct output_stats *stats, struct err *e)
{
    struct output *part = r->task->part;
    r->task->part = NULL;
    POSITION_SET(r->task->script->page, phase, POS_WRITE);
    return output_close(part, r->task->durable, stats, e);
}

static void close_task(struct reduce_task *r)
{
    r->task->emitter = NULL;
    if (r->agg_state)
        agg_drop(r->agg, r->agg_state);
    agg_free(r->agg);
    groups_close(&r->groups);
    if (r->has_spec)
        output_spec_free(&r->spec);
    buf_free(&r->agg_bytes);
    buf_free(&r->out);
}

enum status reduce_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct reduce_task r = { .task = t };
    struct output_stats part;
    err_clear(&r.err);
    POSITION_SET(t->script->page, part, (uint32_t)val_get_int(t->assignment, "partition", 0));
    enum status st = script_protect(t->script, reduce_body, &r, e);
    report(&r);
    uint64_t bytes_in = r.groups.merge ? merge_bytes_done(r.groups.merge) : 0;
    if (st == ST_OK)
        st = close_part(&r, &part, e);
    if (st == ST_OK)
        st = task_close_outputs(t, e);
    if (st == ST_OK)
        st = put_result(&r, &part, bytes_in, result);
    if (st != ST_OK) {
        place_key(&r, e);
        task_place(t, e);
    }
    close_task(&r);
    return st;
}
