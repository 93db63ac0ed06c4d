/* emit.c: see emit.h. */
#include "script/emit.h"

#include "base/sys.h"
#include "script/combine.h"
#include "script/job.h"

#include <stdio.h>

/* Upvalues of the emit function. */
enum { UP_PARTITION = 1, UP_BY, UP_COUNT = UP_BY };

static struct map_emitter *emitter_of(lua_State *L)
{
    struct task *t = script_of(L)->task;
    if (__builtin_expect(!t || t->kind != TASK_MAP || !t->emitter, 0))
        (void)luaL_error(L, "emit: the task it belongs to is over");
    return t->emitter;
}

/* --- trial of values --- */

enum { TRIAL_MAX = 64 * 1024 }; /* weight of the trial's state, when it begins anew */

static bool takes_everything(const struct agg *agg)
{
    static const char *const names[] = { "count", "first", "last", "list" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(agg_name(agg), names[i]) == 0)
            return true;
    return false;
}

/* A trial costs as much as folding, so the first attempt has none: a value that is refused there ends it, and its record is known. */
static enum status open_trial(struct map_emitter *em, struct err *e)
{
    struct err refused;
    const uint8_t one[] = { VAL_INT0 + 1 };
    if (!em->task->undo.active || em->task->attempt == 0 || takes_everything(em->agg))
        return ST_OK;
    if (buf_reserve(&em->trial, agg_state_size(em->agg) + 16) != ST_OK)
        return err_memory(e, "a reducer", agg_state_size(em->agg));
    agg_init(em->agg, em->trial.p);
    em->checks = true;
    em->takes_integers = agg_add(em->agg, em->trial.p, slice_of(one, sizeof one), &refused) == ST_OK;
    return ST_OK;
}

static void close_trial(struct map_emitter *em)
{
    if (em->checks)
        agg_drop(em->agg, em->trial.p);
    em->checks = false;
    buf_free(&em->trial);
}

/* Raises when the combiner would refuse the value that was staged. */
static void try_value(lua_State *L, struct map_emitter *em, struct slice value)
{
    enum status st = agg_add(em->agg, em->trial.p, value, &em->err);
    if (st == ST_OK && agg_weight(em->agg, em->trial.p) > TRIAL_MAX) {
        agg_drop(em->agg, em->trial.p);
        agg_init(em->agg, em->trial.p);
    }
    if (st == ST_OK)
        return;
    collect_stage_drop(em->collect);
    if (st == ST_SCRIPT)
        (void)luaL_error(L, "emit: %s", em->err.message);
    (void)script_raise(L, &em->err);
}

/* --- partition and rank --- */

static uint32_t choose_partition(lua_State *L, const struct map_emitter *em)
{
    if (!em->has_partition)
        return PARTITION_BY_KEY;
    lua_pushvalue(L, lua_upvalueindex(UP_PARTITION));
    lua_pushvalue(L, 1);
    lua_pushinteger(L, em->partitions);
    lua_call(L, 2, 1);
    int is_integer;
    lua_Integer p = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || lua_type(L, -1) != LUA_TNUMBER)
        (void)luaL_error(L, "partition returned a %s; it must return an integer from 0 to %d", luaL_typename(L, -1),
                         (int)em->partitions - 1);
    if (p < 0 || p >= (lua_Integer)em->partitions)
        (void)luaL_error(L, "partition returned %I; it must return an integer from 0 to %d", (LUAI_UACINT)p,
                         (int)em->partitions - 1);
    lua_pop(L, 1);
    return (uint32_t)p;
}

void emit_push_rank(lua_State *L, int by, int value)
{
    if (lua_isfunction(L, by)) {
        lua_pushvalue(L, by);
        lua_pushvalue(L, value);
        lua_call(L, 1, 1);
        return;
    }
    if (!lua_istable(L, value))
        (void)luaL_error(L, "mr.top by '%s' needs a table as value, got a %s", lua_tostring(L, by), luaL_typename(L, value));
    lua_pushvalue(L, by);
    (void)lua_gettable(L, value);
}

void emit_refuse_rank(lua_State *L, const struct encoder *enc)
{
    (void)luaL_error(L, "mr.top: what it ranks by cannot be compared: %s", enc->message);
}

/* --- one pair into the collector --- */

static int encode_failed(lua_State *L, struct map_emitter *em, enum status st)
{
    struct script *s = em->task->script;
    collect_stage_drop(em->collect);
    if (st == ST_SCRIPT)
        return luaL_error(L, "emit: %s", s->encoder.message);
    (void)err_memory(&em->err, "a pair", 0);
    return script_raise(L, &em->err);
}

/* The value at 2, as { rank, value } when mr.top asks for it (the rank is on top of the stack then). */
static enum status put_value(lua_State *L, struct map_emitter *em, struct buf *out, bool alone)
{
    struct encoder *enc = &em->task->script->encoder;
    if (alone)
        return val_put_bool(out, true);
    if (!em->has_by)
        return value_encode(enc, L, 2, out);
    enum status st = val_put_array(out, 2);
    if (st == ST_OK)
        st = value_encode(enc, L, 3, out);
    if (st == ST_SCRIPT) {
        collect_stage_drop(em->collect);
        emit_refuse_rank(L, enc);
    }
    return st == ST_OK ? value_encode(enc, L, 2, out) : st;
}

static void collect_pair(lua_State *L, struct map_emitter *em, bool alone)
{
    uint32_t partition = choose_partition(L, em);
    if (em->has_by && !alone)
        emit_push_rank(L, lua_upvalueindex(UP_BY), 2);
    struct buf *out = collect_stage(em->collect);
    size_t key_end = out->n;
    enum status st = key_encode(&em->task->script->encoder, L, 1, out);
    if (st == ST_OK) {
        collect_staged_key(em->collect);
        key_end = out->n;
        st = put_value(L, em, out, alone);
    }
    if (st != ST_OK)
        (void)encode_failed(L, em, st);
    if (em->checks && !(em->takes_integers && !em->has_by && lua_isinteger(L, 2)))
        try_value(L, em, slice_of(out->p + key_end, out->n - key_end));
    if (collect_staged(em->collect, partition, &em->err) != ST_OK)
        (void)script_raise(L, &em->err);
}

static int emit_any(lua_State *L, struct map_emitter *em)
{
    int n = lua_gettop(L);
    if (n == 0 || n > 2)
        return luaL_error(L, "emit takes a key and a value, got %d arguments", n);
    if (em->combining)
        return luaL_error(L, "emit: this is map's emit; combine has one of its own");
    if (em->collect)
        collect_pair(L, em, n == 1);
    else
        task_stage(L, em->task, 0, 1, n == 1 ? 0 : 2, "emit");
    em->pairs++;
    return 0;
}

static int map_emit(lua_State *L)
{
    struct map_emitter *em = emitter_of(L);
    if (!em->fast || lua_gettop(L) != 2 || lua_type(L, 1) != LUA_TSTRING || !lua_isinteger(L, 2) || em->combining)
        return emit_any(L, em);
    size_t n;
    const char *key = lua_tolstring(L, 1, &n);
    em->pairs++;
    if (collect_string_int(em->collect, key, n, lua_tointeger(L, 2), &em->err) != ST_OK)
        return script_raise(L, &em->err);
    return 0;
}

void emit_push_map(lua_State *L, struct map_emitter *em, int step)
{
    em->has_partition = job_field(L, step, "partition");
    em->has_by = job_field(L, step, "by") && em->agg;
    em->fast = em->collect && !em->has_partition && !em->has_by && (!em->checks || em->takes_integers);
    lua_pushcclosure(L, map_emit, UP_COUNT);
}

/* --- opening --- */

static enum status read_boundaries(struct map_emitter *em, struct slice list, struct err *e)
{
    struct val_cursor c;
    struct slice one;
    uint64_t n = val_array(list, &c);
    em->boundaries = arena_alloc(&em->task->arena, (n + 1) * sizeof *em->boundaries);
    if (!em->boundaries)
        return err_memory(e, "boundaries", n * sizeof *em->boundaries);
    for (uint64_t i = 0; i < n; i++)
        if (val_skip(&c, &one) != ST_OK || !val_as_string(one, &em->boundaries[i]))
            return err_set(e, ST_USAGE, "a boundary that is no key");
    return n + 1 == em->partitions ? ST_OK : err_set(e, ST_USAGE, "%llu boundaries for %u partitions", (unsigned long long)n, em->partitions);
}

/* combine: "lua" keeps the function, a declaration makes an aggregate. */
static enum status open_combine(lua_State *L, struct map_emitter *em, int step, struct err *e)
{
    struct script *s = em->task->script;
    enum status st = ST_OK;
    if (job_field(L, step, "combine_function")) {
        em->combine_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        return ST_OK;
    }
    if (job_field(L, step, "combine")) {
        s->bytes.n = 0;
        st = value_encode(&s->encoder, L, -1, &s->bytes);
        st = st == ST_OK ? agg_parse(buf_slice(&s->bytes), &em->agg, e) : err_memory(e, "a combiner", s->bytes.n);
        if (st == ST_OK)
            st = open_trial(em, e);
    }
    lua_pop(L, 2);
    return st;
}

static enum status open_part(struct map_emitter *em, const struct emit_past *past, struct err *e)
{
    struct task *t = em->task;
    struct slice spec = slice_of("\x01", 1); /* VAL_NULL */
    const char *path = task_string(t, "part");
    (void)val_get(t->assignment, "output", &spec);
    if (!path)
        return err_set(e, ST_USAGE, "a map task without a part to write");
    enum status st = output_spec_parse(spec, &em->spec, e);
    if (st != ST_OK)
        return st;
    em->has_spec = true;
    return past ? output_resume(past->path, past->saved, path, &em->spec, &t->part, e)
                : output_open(path, &em->spec, &t->part, e);
}

static enum status open_collector(lua_State *L, struct map_emitter *em, int step, const struct emit_past *past, struct err *e)
{
    struct task *t = em->task;
    struct slice boundaries;
    enum status st = open_combine(L, em, step, e);
    if (st == ST_OK && val_get(t->assignment, "boundaries", &boundaries))
        st = read_boundaries(em, boundaries, e);
    const char *path = task_string(t, "run");
    if (st == ST_OK && !path)
        st = err_set(e, ST_USAGE, "a map task without a run to write");
    if (st != ST_OK)
        return st;
    struct collect_config config = { .run_path = path, .partitions = em->partitions,
                                     .sort_buffer = (uint64_t)val_get_int(t->assignment, "sort_buffer", 64 << 20),
                                     .group_by = t->group_by,
                                     .compress = val_get_bool(t->assignment, "compress", false),
                                     .agg = em->agg, .boundaries = em->boundaries };
    if (em->combine_ref != LUA_NOREF)
        config.combiner = (struct combiner){ combine_group, em };
    return past ? collect_restore(&config, past->path, past->saved, &em->collect, e) : collect_open(&config, &em->collect, e);
}

enum status emit_open(lua_State *L, struct map_emitter *em, struct task *t, int step, const struct emit_past *past, struct err *e)
{
    em->task = t;
    em->L = L;
    em->combine_ref = LUA_NOREF;
    em->partitions = (uint32_t)val_get_int(t->assignment, "partitions", 1);
    err_clear(&em->err);
    t->emitter = em;
    return em->partitions == 0 ? open_part(em, past, e) : open_collector(L, em, step, past, e);
}

/* --- finishing --- */

enum status emit_finish(struct map_emitter *em, struct map_result *r, struct err *e)
{
    struct task *t = em->task;
    enum status st = ST_OK;
    em->L = t->script->L;
    POSITION_SET(t->script->page, phase, em->collect ? POS_SPILL : POS_WRITE);
    r->pairs = em->pairs;
    r->bytes = t->bytes_out;
    if (em->collect) {
        st = collect_finish(em->collect, t->durable, &r->run, e);
        r->has_run = true;
        r->bytes = r->run.staged_bytes;
    } else {
        struct output *part = t->part;
        t->part = NULL;
        st = output_close(part, t->durable, &r->part, e);
        r->has_part = true;
    }
    return st;
}

static void put_checksum(struct val_map *m, uint64_t checksum)
{
    char text[20];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
    val_map_str(m, "checksum", text);
}

static void put_run(const struct run_stats *run, struct val_map *result)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    val_map_int(&m, "bytes", (int64_t)run->bytes);
    val_map_int(&m, "pairs", (int64_t)run->pairs);
    put_checksum(&m, run->checksum);
    if (val_map_end(&m, &bytes) != ST_OK)
        result->status = ST_MEMORY;
    else
        val_map_value(result, "run", buf_slice(&bytes));
    buf_free(&bytes);
}

void emit_put_part(const struct output_stats *part, struct val_map *result)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    val_map_int(&m, "records", (int64_t)part->records);
    val_map_int(&m, "bytes", (int64_t)part->bytes);
    val_map_int(&m, "raw_bytes", (int64_t)part->raw_bytes);
    put_checksum(&m, part->checksum);
    if (val_map_end(&m, &bytes) != ST_OK)
        result->status = ST_MEMORY;
    else
        val_map_value(result, "part", buf_slice(&bytes));
    buf_free(&bytes);
}

void emit_result(const struct map_result *r, struct val_map *result)
{
    val_map_int(result, "pairs_out", (int64_t)r->pairs);
    val_map_int(result, "bytes_out", (int64_t)r->bytes);
    val_map_int(result, "spills", (int64_t)r->run.spills);
    val_map_int(result, "segments", (int64_t)r->run.run.segments);
    if (r->has_run)
        put_run(&r->run.run, result);
    if (r->has_part)
        emit_put_part(&r->part, result);
}

void emit_close(struct map_emitter *em)
{
    if (em->task) {
        em->task->emitter = NULL;
        luaL_unref(em->task->script->L, LUA_REGISTRYINDEX, em->combine_ref);
    }
    collect_close(em->collect);
    close_trial(em);
    agg_free(em->agg);
    if (em->has_spec)
        output_spec_free(&em->spec);
    buf_free(&em->combine_bytes);
}
