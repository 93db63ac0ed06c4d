/* map_task.c: see map_task.h. The loop over records is one protected call; what it touches a record is kept to the stack. */
#include "script/map_task.h"

#include "base/sys.h"
#include "script/emit.h"
#include "script/job.h"
#include "script/lua_reader.h"
#include "script/map_parts.h"
#include "script/words.h"

#include <stdio.h>

enum { REPORT_EVERY = 256 }; /* records between two looks at bytes and memory, unless a heartbeat comes first */

struct map_task {
    struct task *task;
    struct map_emitter emitter; /* the collector and what stands around it */
    struct map_parts parts;
    struct record record;
    struct err err;
    uint64_t records;
    uint64_t beat; /* the heartbeat of the last report */
    bool word_mapper;
    /* stack indexes */
    int step, emit, state, map;
    int args; /* of map: 3, or 4 with a state */
};

/* --- reports --- */

static void report(struct map_task *m)
{
    struct position *page = m->task->script->page;
    m->beat = POSITION_GET(page, heartbeat);
    POSITION_SET(page, bytes_in, map_parts_bytes(&m->parts));
    POSITION_SET(page, pairs_out, m->emitter.pairs);
    POSITION_SET(page, script_memory, m->task->script->memory.used);
    POSITION_SET(page, script_memory_peak, m->task->script->memory.peak);
    if (m->emitter.collect)
        POSITION_SET(page, spills, collect_spills(m->emitter.collect));
}

static inline void at_record(struct map_task *m, uint64_t offset)
{
    struct task *t = m->task;
    struct position *page = t->script->page;
    t->offset = (int64_t)offset;
    t->record = (int64_t)m->records;
    POSITION_SET(page, offset, offset);
    POSITION_SET(page, record, m->records);
    if (m->records % REPORT_EVERY == 0 || POSITION_GET(page, heartbeat) != m->beat)
        report(m);
}

/* --- one record --- */

static int raise_status(lua_State *L, struct map_task *m)
{
    if (m->err.record >= 0 && m->err.status == ST_BAD_RECORD)
        m->err.record = (int64_t)m->records; /* the reader counts in the part */
    return script_raise(L, &m->err);
}

static inline void commit(lua_State *L, struct map_task *m)
{
    struct map_emitter *em = &m->emitter;
    script_check(L, m->task->script);
    em->L = L; /* not the coroutine that emitted: it may be gone */
    if (em->collect) {
        struct collect_place place = { m->task->file, m->task->offset, (int64_t)m->records };
        if (collect_commit(em->collect, &place, &m->err) != ST_OK)
            (void)raise_status(L, m);
    }
    if (m->task->staged.n && task_commit(m->task, &m->err) != ST_OK)
        (void)raise_status(L, m);
    m->records++;
}

/* Calls map on the record whose key and value are on top of the function. */
static inline void call_map(lua_State *L, struct map_task *m)
{
    lua_pushvalue(L, m->emit);
    if (m->args == 4)
        lua_pushvalue(L, m->state);
    lua_call(L, m->args, 0);
    commit(L, m);
}

/* --- one part --- */

static void map_reader(lua_State *L, struct map_task *m)
{
    struct record *rec = &m->record;
    enum status st;
    while ((st = reader_next(m->parts.reader, rec, &m->err)) == ST_OK) {
        at_record(m, rec->offset);
        lua_pushvalue(L, m->map);
        map_parts_push(L, &m->parts, rec);
        call_map(L, m);
    }
    if (st != ST_END)
        (void)raise_status(L, m);
}

/* mr.word_mapper: the words of raw records, without a Lua value. */
static void map_words(lua_State *L, struct map_task *m)
{
    struct record *rec = &m->record;
    struct collect *c = m->emitter.collect;
    enum status st;
    while ((st = reader_next(m->parts.reader, rec, &m->err)) == ST_OK) {
        if (!rec->is_raw)
            (void)luaL_error(L, "mr.word_mapper reads text; use a map function for this input");
        const uint8_t *p = rec->value.p, *end = p + rec->value.n, *word;
        at_record(m, rec->offset);
        while (words_next(words_class, &p, end, &word)) {
            if (collect_string_int(c, (const char *)word, (size_t)(p - word), 1, &m->err) != ST_OK)
                (void)raise_status(L, m);
            m->emitter.pairs++;
        }
        commit(L, m);
    }
    if (st != ST_END)
        (void)raise_status(L, m);
}

static void map_lua_reader(lua_State *L, struct map_task *m)
{
    struct lua_reader reader;
    lua_reader_open(L, &reader, m->step, &m->parts);
    for (;;) {
        at_record(m, (uint64_t)m->task->offset);
        lua_pushvalue(L, m->map);
        if (!lua_reader_next(L, &reader))
            break;
        call_map(L, m);
    }
    lua_reader_close(L, &reader);
}

/* The map function of the part's input goes to its place on the stack. */
static void choose_map(lua_State *L, struct map_task *m)
{
    (void)lua_getfield(L, m->step, "maps");
    if (m->parts.input->entry < 0 || lua_rawgeti(L, -1, m->parts.input->entry + 1) == LUA_TNIL) {
        m->word_mapper = job_field(L, m->step, "word_mapper");
        lua_pop(L, 1);
        (void)lua_getfield(L, m->step, "map");
    }
    lua_replace(L, m->map);
    lua_settop(L, m->map);
    if (!m->word_mapper && lua_isnil(L, m->map))
        (void)luaL_error(L, "no map for this input: give the job a map, or this entry of input_files one of its own");
}

static void map_part(lua_State *L, struct map_task *m)
{
    choose_map(L, m);
    POSITION_SET(m->task->script->page, phase, POS_MAP);
    if (m->parts.input->spec.format == IN_LUA)
        map_lua_reader(L, m);
    else if (m->word_mapper && m->emitter.fast)
        map_words(L, m);
    else
        map_reader(L, m);
}

/* --- the attempt --- */

static void finish(lua_State *L, struct map_task *m)
{
    POSITION_SET(m->task->script->page, phase, POS_FINISH);
    m->task->file = NULL;
    m->task->offset = m->task->record = -1;
    if (job_field(L, m->step, "finish")) {
        lua_pushvalue(L, m->emit);
        lua_pushvalue(L, m->state);
        lua_call(L, 2, 0);
        commit(L, m);
        m->records--;
    }
    lua_settop(L, m->map);
}

/* The protected body: load, init, every part, finish. */
static int map_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    struct task *t = m->task;
    lua_settop(L, 0);
    job_push_step(L, t);
    m->step = lua_gettop(L);
    if (emit_open(L, &m->emitter, t, m->step, &m->err) != ST_OK)
        return script_raise(L, &m->err);
    emit_push_map(L, &m->emitter, m->step);
    m->emit = lua_gettop(L);
    job_init(L, t, m->step);
    m->state = lua_gettop(L);
    m->args = job_field(L, m->step, "init") ? 4 : 3;
    m->map = lua_gettop(L);
    enum status st;
    while ((st = map_parts_open(&m->parts, &m->err)) == ST_OK)
        map_part(L, m);
    if (st != ST_END)
        return raise_status(L, m);
    finish(L, m);
    return 0;
}

/* The protected body after the last spill, whose combine may count and write side files too. */
static int seal_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    if (m->task->staged.n && task_commit(m->task, &m->err) != ST_OK)
        return raise_status(L, m);
    task_seal(L, m->task);
    return 0;
}

static enum status put_result(struct map_task *m, const struct map_result *r, struct buf *out)
{
    struct val_map result = VAL_MAP_EMPTY;
    task_result(m->task, &result);
    val_map_int(&result, "records_in", (int64_t)m->records);
    val_map_int(&result, "bytes_in", (int64_t)map_parts_bytes(&m->parts));
    emit_result(r, &result);
    return val_map_end(&result, out);
}

enum status map_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct map_task m = { .task = t };
    struct map_result r = { .has_run = false };
    err_clear(&m.err);
    enum status st = map_parts_init(&m.parts, t, e);
    if (st == ST_OK)
        st = script_protect(t->script, map_body, &m, e);
    report(&m);
    if (st == ST_OK)
        st = emit_finish(&m.emitter, &r, e);
    if (st == ST_OK)
        st = script_protect(t->script, seal_body, &m, e);
    if (st == ST_OK)
        st = task_close_outputs(t, e);
    if (st == ST_OK)
        st = put_result(&m, &r, result);
    if (st != ST_OK)
        task_place(t, e);
    emit_close(&m.emitter);
    map_parts_free(&m.parts);
    return st;
}
