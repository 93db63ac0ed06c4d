/* native_run.c: what mr.run is made of: the attempts of a worker, run in the state that asks for them, over files in a temporary directory. */
#include "script/mr.h"

#include "base/sys.h"
#include "data/run.h"
#include "script/failure.h"
#include "script/map_task.h"
#include "script/reduce_task.h"
#include "script/side_task.h"

#include <stdio.h>
#include <stdlib.h>

static int raise_failure(lua_State *L, const struct err *e)
{
    failure_push(L, *e->type ? e->type : status_type(e->status), e->message);
    return lua_error(L);
}

static int raise_text(lua_State *L, const char *message)
{
    failure_push(L, status_type(ST_SCRIPT), message);
    return lua_error(L);
}

/* --- attempts --- */

static void keep_step(lua_State *L, struct task *t)
{
    lua_pushvalue(L, 2);
    t->step_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    (void)lua_getfield(L, 2, "output");
    t->output_spec_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum status run_here(lua_State *L, struct script *s, struct slice assignment, enum task_kind kind, struct buf *result, struct err *e)
{
    struct task t;
    struct rng rng = s->rng;
    lua_State *outer = s->L;
    task_init(&t, s, assignment, kind);
    keep_step(L, &t);
    s->task = &t;
    s->L = L;
    rng_seed(&s->rng, (uint64_t)val_get_int(assignment, "seed", 0), slice_str(t.id));
    enum status st = kind == TASK_MAP ? map_task_run(&t, result, e) : kind == TASK_REDUCE ? reduce_task_run(&t, result, e)
                                                                                          : side_task_run(&t, result, e);
    s->rng = rng;
    s->L = outer;
    s->task = NULL;
    err_clear(&s->fatal);
    luaL_unref(L, LUA_REGISTRYINDEX, t.step_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, t.output_spec_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, t.counters_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, t.handle_ref);
    task_free(&t);
    return st;
}

/* run_map(assignment, step), run_reduce, run_side → result */
static int run_task(lua_State *L, enum task_kind kind)
{
    struct script *s = script_of(L);
    struct buf assignment = BUF_EMPTY;
    struct err e;
    if (s->task)
        return raise_text(L, "mr.run cannot be called inside a running task");
    enum status st = value_encode(&s->encoder, L, 1, &assignment);
    if (st != ST_OK) {
        buf_free(&assignment);
        return luaL_error(L, "mr.run: %s", st == ST_SCRIPT ? s->encoder.message : "not enough memory");
    }
    err_clear(&e);
    s->more.n = 0;
    struct buf result = BUF_EMPTY;
    st = run_here(L, s, buf_slice(&assignment), kind, &result, &e);
    buf_free(&assignment);
    if (st == ST_OK)
        st = buf_append_slice(&s->more, buf_slice(&result));
    buf_free(&result);
    if (st != ST_OK)
        return raise_failure(L, &e);
    return value_push(L, buf_slice(&s->more)) ? 1 : luaL_error(L, "mr.run: a result does not decode");
}

static int run_map(lua_State *L)
{
    return run_task(L, TASK_MAP);
}

static int run_reduce(lua_State *L)
{
    return run_task(L, TASK_REDUCE);
}

static int run_side(lua_State *L)
{
    return run_task(L, TASK_OTHER);
}

/* --- pairs --- */

static enum status put_pair(lua_State *L, struct script *s, struct run_writer *w, struct err *e)
{
    int pair = lua_gettop(L);
    (void)lua_rawgeti(L, pair, 1);
    (void)lua_rawgeti(L, pair, 2);
    s->bytes.n = s->more.n = 0;
    enum status st = key_encode(&s->encoder, L, pair + 1, &s->bytes);
    if (st == ST_OK)
        st = value_encode(&s->encoder, L, pair + 2, &s->more);
    lua_settop(L, pair);
    if (st == ST_SCRIPT)
        return err_set(e, st, "mr.run: inputs: %s", s->encoder.message);
    return st == ST_OK ? run_put(w, 0, buf_slice(&s->bytes), buf_slice(&s->more), e) : err_memory(e, "a pair", 0);
}

/* write_pairs(path, { { key, value }, … }): a pair run, as the step before would leave it */
static int write_pairs(lua_State *L)
{
    struct script *s = script_of(L);
    struct run_writer *w = NULL;
    struct run_stats stats;
    struct err e;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    luaL_checkstack(L, 8, "pairs");
    enum status st = run_create(luaL_checkstring(L, 1), 1, false, &w, &e);
    if (st == ST_OK)
        st = run_segment_begin(w, &e);
    for (lua_Integer i = 1; st == ST_OK && i <= n; i++) {
        if (lua_rawgeti(L, 2, i) != LUA_TTABLE)
            st = err_set(&e, ST_SCRIPT, "mr.run: inputs are lines, or all of them { key, value } pairs");
        else
            st = put_pair(L, s, w, &e);
        lua_pop(L, 1);
    }
    if (st == ST_OK)
        st = run_segment_end(w, &e);
    if (st != ST_OK) {
        run_abandon(w);
        return raise_failure(L, &e);
    }
    return run_finish(w, false, &stats, &e) == ST_OK ? 0 : raise_failure(L, &e);
}

struct pair_reader {
    struct run *run;
    struct run_cursor *cursor;
};

static int close_pairs(lua_State *L)
{
    struct pair_reader *r = lua_touserdata(L, 1);
    run_cursor_close(r->cursor);
    run_close(r->run);
    r->cursor = NULL;
    r->run = NULL;
    return 0;
}

static struct pair_reader *new_pair_reader(lua_State *L)
{
    struct pair_reader *r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = (struct pair_reader){ NULL, NULL };
    if (luaL_newmetatable(L, "lmr.pair_reader")) {
        lua_pushcfunction(L, close_pairs);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return r;
}

/* The pair that stands in key and value becomes element n + 1 of the array at `pairs`. */
static void add_pair(lua_State *L, int pairs, lua_Integer n, struct slice key, struct slice value)
{
    lua_createtable(L, 2, 0);
    if (!key_push(L, &script_of(L)->cursor, key) || !value_push(L, value))
        (void)luaL_error(L, "a pair of a run does not decode");
    lua_rawseti(L, -3, 2);
    lua_rawseti(L, -2, 1);
    lua_rawseti(L, pairs, n + 1);
}

/* read_pairs(path, array): appends the pairs of a pair run */
static int read_pairs(lua_State *L)
{
    struct err e;
    struct slice key, value;
    lua_settop(L, 2);
    lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
    struct pair_reader *r = new_pair_reader(L);
    enum status st = run_open(luaL_checkstring(L, 1), &r->run, &e);
    for (uint64_t i = 0; st == ST_OK && i < run_segments(r->run); i++) {
        st = run_cursor_open(r->run, i, 0, &r->cursor, &e);
        while (st == ST_OK && (st = run_cursor_next(r->cursor, &key, &value, &e)) == ST_OK)
            add_pair(L, 2, n++, key, value);
        run_cursor_close(r->cursor);
        r->cursor = NULL;
        st = st == ST_END ? ST_OK : st;
    }
    if (st != ST_OK)
        return raise_failure(L, &e);
    lua_pushcfunction(L, close_pairs);
    lua_pushvalue(L, 3);
    lua_call(L, 1, 0);
    return 0;
}

/* --- files --- */

/* temporary() → a new directory */
static int temporary(lua_State *L)
{
    char path[512];
    const char *base = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/lmr-run-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path))
        return luaL_error(L, "mr.run: cannot make a directory in %s", base && *base ? base : "/tmp");
    lua_pushstring(L, path);
    return 1;
}

static int remove_directory(lua_State *L)
{
    struct err e;
    return sys_remove_tree(luaL_checkstring(L, 1), &e) == ST_OK ? 0 : raise_failure(L, &e);
}

/* plan(names, inputs) → { { path, from, to, size, input }, … }: whole files, as lmr run would find them */
struct plan {
    struct arena arena;
    struct input_files files;
};

static int close_plan(lua_State *L)
{
    struct plan *p = lua_touserdata(L, 1);
    arena_free(&p->arena);
    p->arena = ARENA_EMPTY;
    return 0;
}

static struct plan *new_plan(lua_State *L)
{
    struct plan *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct plan){ .arena = ARENA_EMPTY };
    if (luaL_newmetatable(L, "lmr.plan")) {
        lua_pushcfunction(L, close_plan);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return p;
}

static void push_part(lua_State *L, const struct input_file *file)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, file->path);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "from");
    lua_pushinteger(L, (lua_Integer)file->size);
    lua_setfield(L, -2, "to");
    lua_pushinteger(L, (lua_Integer)file->size);
    lua_setfield(L, -2, "size");
    lua_pushstring(L, file->secret); /* NULL: nil */
    lua_setfield(L, -2, "secret");
    lua_pushboolean(L, file->whole);
    lua_setfield(L, -2, "whole");
    lua_pushinteger(L, file->input);
    lua_setfield(L, -2, "input");
}

/* plan({ path, … }) → parts; the part's input is the index of its path */
static int plan(lua_State *L)
{
    struct err e;
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_rawlen(L, 1);
    struct plan *p = new_plan(L);
    struct input_name *names = arena_alloc(&p->arena, (n + 1) * sizeof *names);
    if (!names)
        return luaL_error(L, "not enough memory");
    for (size_t i = 0; i < n; i++) {
        (void)lua_rawgeti(L, 1, (lua_Integer)i + 1);
        names[i] = (struct input_name){ luaL_checkstring(L, -1), (uint32_t)i }; /* anchored by the table */
        lua_pop(L, 1);
    }
    if (inputs_expand(names, n, &p->arena, &p->files, &e) != ST_OK)
        return raise_failure(L, &e);
    lua_createtable(L, (int)p->files.count, 0);
    for (size_t i = 0; i < p->files.count; i++) {
        push_part(L, &p->files.files[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void native_add_run(lua_State *L)
{
    static const luaL_Reg functions[] = { { "run_map", run_map }, { "run_reduce", run_reduce }, { "run_side", run_side },
                                          { "write_pairs", write_pairs }, { "read_pairs", read_pairs },
                                          { "temporary", temporary }, { "remove", remove_directory },
                                          { "plan", plan }, { NULL, NULL } };
    luaL_setfuncs(L, functions, 0);
}
