/* reduce_task.c: see reduce_task.h. Declared reducers and the identity make no Lua value; a Lua reduce is called a group at a time. The
 * loop over groups is one protected call, entered again after a group was put aside, as in map_task.c. */
#include "script/reduce_task.h"

#include "base/sys.h"
#include "data/aggregate.h"
#include "script/emit.h"
#include "script/groups.h"
#include "script/job.h"
#include "script/only.h"
#include "script/quarantine.h"

#include <stdio.h>

enum { REPORT_EVERY = 256, REPORT_PAIRS = 65536 }; /* groups, pairs; unless a heartbeat comes first */

/* Stack indexes in the loop: the table that keeps the rest between two calls (same indexes), and what a group needs. */
enum { AT_KEPT = 1, AT_STEP, AT_EMIT, AT_STATE, AT_CHOSEN };

struct reduce_task {
    struct task *task;
    struct quarantine aside;
    bool in_group;        /* what fails is the group's */
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
    int kept;             /* registry reference of the table */
    int args;             /* of reduce: 3, or 4 with a state */
    int reduce, by;       /* AT_CHOSEN when that is the function, or mr.top's rank; else 0 */
    struct buf key;       /* scratch: the text of a group's key */
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
    task_mark(r->task);
    POSITION_SET(page, record, r->groups.groups - 1);
    memcpy(page->key, key.p + skip, n);
    page->key[n] = '\0';
    if (r->groups.groups % REPORT_EVERY == 0 || is_due(r))
        report(r);
}

static enum status key_text(struct reduce_task *r)
{
    r->key.n = 0;
    return output_text_of_key(buf_slice(&r->groups.group_key), &r->key);
}

static void place_key(struct reduce_task *r, struct err *e)
{
    if (r->task->record >= 0 && !*e->key && key_text(r) == ST_OK && buf_terminate(&r->key) == ST_OK)
        (void)snprintf(e->key, sizeof e->key, "%s", (const char *)r->key.p);
}

static int raise(lua_State *L, struct reduce_task *r)
{
    return script_raise(L, &r->err);
}

static int broken(lua_State *L, struct reduce_task *r, const char *what)
{
    (void)err_set(&r->err, ST_CORRUPT, "%s of a run does not decode", what);
    return raise(L, r);
}

static void write_pair(lua_State *L, struct reduce_task *r, struct slice key, struct slice value)
{
    r->task->pairs_out++;
    r->task->bytes_out += key.n + value.n;
    if (output_pair(r->task->part, key, value, &r->err) != ST_OK)
        (void)raise(L, r);
    r->task->undo.written = r->task->undo.dirty = true;
}

/* --- groups put aside --- */

static struct culprit describe(struct reduce_task *r)
{
    struct culprit c = { "group", NULL, -1, r->task->record, { NULL, 0 }, { NULL, 0 } };
    if (key_text(r) == ST_OK)
        c.key = slice_of(r->key.p ? r->key.p : (const uint8_t *)"", r->key.n);
    return c;
}

/* The group at hand is not for reduce. False: none that comes is. */
static bool skip_group(lua_State *L, struct reduce_task *r)
{
    if (r->aside.is_only)
        return quarantine_pass(&r->aside);
    struct culprit c = describe(r);
    if (quarantine_skip(&r->aside, &c, &r->err) != ST_OK)
        (void)raise(L, r);
    return true;
}

static void drop_state(struct reduce_task *r)
{
    if (r->agg_state)
        agg_drop(r->agg, r->agg_state);
    r->agg_state = NULL;
}

/* The protected call ended with `st` and `e`. ST_OK: the group is aside and the loop may go on; else what the attempt ends with. */
static enum status recover(struct reduce_task *r, enum status st, struct err *e)
{
    struct task *t = r->task;
    if (!r->in_group || !quarantine_is_for(st) || !task_can_take_back(t))
        return st;
    r->in_group = false;
    drop_state(r);
    r->err = *e;
    st = task_take_back(t, e);
    if (st != ST_OK)
        return st;
    place_key(r, &r->err);
    task_place(t, &r->err);
    struct culprit c = describe(r);
    st = quarantine_put(&r->aside, &c, &r->err);
    if (st != ST_OK)
        *e = r->err;
    return st;
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
        (void)broken(L, r, "a value");
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
    return good ? 2 : broken(L, r, "a pair");
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
    lua_pushvalue(L, AT_CHOSEN);
    if (!key_push(L, &s->cursor, buf_slice(&r->groups.group_key)))
        (void)broken(L, r, "a key");
    lua_pushinteger(L, r->serial);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, next_value, 2);
    lua_pushvalue(L, AT_EMIT);
    if (r->args == 4)
        lua_pushvalue(L, AT_STATE);
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

/* Which of the three ways: r->reduce with the function at AT_CHOSEN, r->agg with the declaration (r->by: mr.top's rank at AT_CHOSEN), or
 * neither. */
static void choose(lua_State *L, struct reduce_task *r)
{
    r->merges = job_field(L, AT_STEP, "combine") && !job_field(L, AT_STEP, "combine_function");
    lua_settop(L, AT_STATE);
    if (job_field(L, AT_STEP, "reduce_function")) {
        r->reduce = AT_CHOSEN;
        return;
    }
    if (job_field(L, AT_STEP, "reduce") && parse_agg(L, r) != ST_OK)
        (void)raise(L, r);
    lua_settop(L, AT_STATE);
    if (job_field(L, AT_STEP, "by") && r->agg && !r->merges)
        r->by = AT_CHOSEN;
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

static void reduce_group(lua_State *L, struct reduce_task *r)
{
    r->in_group = true;
    if (r->reduce)
        reduce_lua(L, r);
    else if (r->agg)
        reduce_declared(L, r);
    else
        reduce_identity(L, r);
    script_check(L, r->task->script);
    if (r->task->staged.n && task_commit(r->task, &r->err) != ST_OK)
        (void)raise(L, r);
    r->in_group = false;
}

static void reduce_groups(lua_State *L, struct reduce_task *r)
{
    enum status st;
    POSITION_SET(r->task->script->page, phase, POS_REDUCE);
    for (;;) {
        while (r->groups.in_group) { /* what the group before left */
            st = take_pair(r);
            if (st != ST_OK && st != ST_END)
                (void)raise(L, r);
        }
        st = groups_next(&r->groups, &r->err);
        if (st != ST_OK)
            break;
        at_group(r);
        if ((uint64_t)r->task->record != r->aside.skip_at) {
            reduce_group(L, r);
        } else if (!skip_group(L, r)) {
            st = ST_END;
            break;
        }
    }
    if (st != ST_END)
        (void)raise(L, r);
}

static void finish(lua_State *L, struct reduce_task *r)
{
    POSITION_SET(r->task->script->page, phase, POS_FINISH);
    r->task->record = -1;
    task_mark(r->task);
    r->serial++; /* values of the last group are over */
    if (r->aside.is_only || !job_field(L, AT_STEP, "finish"))
        return;
    lua_pushvalue(L, AT_EMIT);
    lua_pushvalue(L, AT_STATE);
    lua_call(L, 2, 0);
    script_check(L, r->task->script);
    if (r->task->staged.n && task_commit(r->task, &r->err) != ST_OK)
        (void)raise(L, r);
}

/* The protected body before the first group. What the loop needs goes into the table. */
static int open_body(lua_State *L)
{
    struct reduce_task *r = lua_touserdata(L, 1);
    struct task *t = r->task;
    lua_settop(L, 0);
    lua_createtable(L, AT_CHOSEN, 0);
    lua_pushvalue(L, AT_KEPT);
    r->kept = luaL_ref(L, LUA_REGISTRYINDEX);
    job_push_step(L, t);
    if (open_part(r) != ST_OK || groups_open(&r->groups, t, &r->err) != ST_OK)
        return raise(L, r);
    t->emitter = r;
    lua_pushcfunction(L, reduce_emit);
    job_init(L, t, AT_STEP);
    r->args = job_field(L, AT_STEP, "init") ? 4 : 3;
    lua_settop(L, AT_STATE);
    choose(L, r);
    lua_settop(L, AT_CHOSEN);
    for (int i = AT_CHOSEN; i > AT_KEPT; i--)
        lua_rawseti(L, AT_KEPT, i);
    return 0;
}

/* The protected body: every group, from where it stands, and finish. */
static int loop_body(lua_State *L)
{
    struct reduce_task *r = lua_touserdata(L, 1);
    lua_settop(L, 0);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, r->kept);
    for (int i = AT_STEP; i <= AT_CHOSEN; i++)
        (void)lua_rawgeti(L, AT_KEPT, i);
    reduce_groups(L, r);
    finish(L, r);
    task_seal(L, r->task);
    return 0;
}

static enum status reduce_all(struct reduce_task *r, struct err *e)
{
    struct script *s = r->task->script;
    enum status st = script_protect(s, open_body, r, e);
    if (st != ST_OK)
        return st;
    do {
        st = script_protect(s, loop_body, r, e);
        if (st == ST_OK)
            return st;
        st = recover(r, st, e);
    } while (st == ST_OK);
    return st;
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
    quarantine_result(&r->aside, &result);
    if (r->aside.is_only)
        only_result(r->task, NULL, &result);
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
    luaL_unref(r->task->script->L, LUA_REGISTRYINDEX, r->kept);
    r->task->emitter = NULL;
    drop_state(r);
    agg_free(r->agg);
    quarantine_free(&r->aside);
    buf_free(&r->key);
    groups_close(&r->groups);
    if (r->has_spec)
        output_spec_free(&r->spec);
    buf_free(&r->agg_bytes);
    buf_free(&r->out);
}

enum status reduce_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct reduce_task r = { .task = t, .kept = LUA_NOREF };
    struct output_stats part;
    err_clear(&r.err);
    POSITION_SET(t->script->page, part, (uint32_t)val_get_int(t->assignment, "partition", 0));
    enum status st = quarantine_open(&r.aside, t, e);
    if (st == ST_OK)
        st = reduce_all(&r, e);
    report(&r);
    uint64_t bytes_in = r.groups.merge ? merge_bytes_done(r.groups.merge) : 0;
    if (st == ST_OK)
        st = close_part(&r, &part, e);
    if (st == ST_OK)
        st = task_close_outputs(t, e);
    if (st == ST_OK)
        st = quarantine_close(&r.aside, e);
    if (st == ST_OK)
        st = put_result(&r, &part, bytes_in, result);
    if (st != ST_OK) {
        place_key(&r, e);
        task_place(t, e);
    }
    close_task(&r);
    return st;
}
