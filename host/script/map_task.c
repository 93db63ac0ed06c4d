/* map_task.c: see map_task.h. The loop over records is one protected call; what it touches a record is kept to the stack. When a record
 * fails, the call is left, the record is put aside, and the call is entered again where the reader stands: so good records pay nothing for
 * those that are bad. What the loop needs of Lua is kept in a table meanwhile. */
#include "script/map_task.h"

#include "base/sys.h"
#include "data/json.h"
#include "script/job.h"
#include "script/lua_reader.h"
#include "script/map_internal.h"
#include "script/only.h"
#include "script/words.h"

#include <stdio.h>

enum { REPORT_EVERY = 256 }; /* records between two looks at bytes and memory, unless a heartbeat comes first */

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

/* A record begins. */
static inline void at_record(struct map_task *m, uint64_t offset, enum place place)
{
    struct task *t = m->task;
    struct position *page = t->script->page;
    t->offset = (int64_t)offset;
    t->record = (int64_t)m->records;
    m->place = place;
    m->pairs_before = m->emitter.pairs;
    task_mark(t);
    POSITION_SET(page, offset, offset);
    POSITION_SET(page, record, m->records);
}

static __attribute__((noinline)) void look(lua_State *L, struct map_task *m)
{
    report(m);
    checkpoint_look(L, m);
}

/* Between two records. */
static inline void at_boundary(lua_State *L, struct map_task *m)
{
    if (m->records % REPORT_EVERY == 0 || POSITION_GET(m->task->script->page, heartbeat) != m->beat)
        look(L, m);
}

static int raise(lua_State *L, struct map_task *m)
{
    return script_raise(L, &m->err);
}

/* --- records put aside --- */

/* A pair of the step before is shown as text and JSON, as nobody reads its bytes. */
static void show_pair(struct map_task *m, struct culprit *c)
{
    m->key.n = m->bytes.n = 0;
    c->bytes = m->record.value;
    if (json_from_value(m->record.value, 0, &m->bytes, NULL) == ST_OK)
        c->bytes = buf_slice(&m->bytes);
    if (output_text_of_key(m->record.key, &m->key) == ST_OK)
        c->key = buf_slice(&m->key);
}

static struct culprit describe(struct map_task *m)
{
    struct culprit c = { "record", m->task->file, m->task->offset, m->task->record, { NULL, 0 }, { NULL, 0 } };
    enum input_format format = m->parts.input->spec.format;
    if (format == IN_LUA)
        c.bytes = buf_slice(&m->bytes);
    else if (format == IN_PAIRS)
        show_pair(m, &c);
    else
        c.bytes = m->record.raw;
    return c;
}

/* The record at hand failed with m->err: ST_OK when it is aside. */
static enum status put_aside(struct map_task *m)
{
    m->place = OUTSIDE;
    task_place(m->task, &m->err);
    struct culprit c = describe(m);
    enum status st = quarantine_put(&m->aside, &c, &m->err);
    if (st == ST_OK && m->records == m->skip_at) { /* a reader in Lua raised before it was known */
        m->done = !quarantine_pass(&m->aside);
        m->skip_at = m->aside.skip_at;
    }
    m->records += st == ST_OK;
    return st;
}

static void bad_record(lua_State *L, struct map_task *m)
{
    at_record(m, m->record.offset, OUTSIDE);
    m->err.record = (int64_t)m->records; /* the reader counts in the part */
    if (put_aside(m) != ST_OK)
        (void)raise(L, m);
}

/* The record at hand is not for map. False: none that comes is. */
static bool skip_record(lua_State *L, struct map_task *m)
{
    m->place = OUTSIDE;
    if (m->aside.is_only) {
        m->done = !quarantine_pass(&m->aside);
    } else {
        struct culprit c = describe(m);
        if (quarantine_skip(&m->aside, &c, &m->err) != ST_OK)
            (void)raise(L, m);
    }
    m->skip_at = m->aside.skip_at;
    m->records++;
    return !m->done;
}

/* The value at `index`, which a reader in Lua gave, into m->bytes: a string as it is, else as JSON. */
static void keep_bytes(lua_State *L, struct map_task *m, int index)
{
    struct script *s = m->task->script;
    size_t n;
    m->bytes.n = s->bytes.n = 0;
    if (lua_type(L, index) == LUA_TSTRING) {
        const char *p = lua_tolstring(L, index, &n);
        (void)buf_append(&m->bytes, p, n);
    } else if (value_encode(&s->encoder, L, index, &s->bytes) == ST_OK) {
        (void)json_from_value(buf_slice(&s->bytes), 0, &m->bytes, NULL);
    }
}

/* Protected: looks up what the reader in Lua gave. */
static int find_bytes_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, m->kept);
    (void)lua_rawgeti(L, -1, KEPT_VALUE);
    keep_bytes(L, m, lua_gettop(L));
    return 0;
}

/* The protected call ended with `st` and `e`. ST_OK: the record is aside and the loop may go on; else what the attempt ends with. */
static enum status recover(struct map_task *m, enum status st, struct err *e)
{
    struct task *t = m->task;
    bool is_own = m->place == IN_RECORD || (m->place == READING && st == ST_BAD_RECORD);
    m->err = *e;
    if (!is_own || !quarantine_is_for(st) || !task_can_take_back(t))
        return st;
    m->bytes.n = 0;
    st = task_take_back(t, e);
    if (st == ST_OK && m->place == IN_RECORD && m->reader_open)
        st = script_protect(t->script, find_bytes_body, m, e);
    if (st != ST_OK)
        return st;
    if (m->emitter.collect)
        collect_undo(m->emitter.collect);
    m->emitter.pairs = m->pairs_before;
    st = put_aside(m);
    if (st != ST_OK)
        *e = m->err;
    return st;
}

/* --- one record --- */

/* A refused value of the part or a side output may be the record's fault as long as nothing of it is written; what is folded stays. */
static inline void commit(lua_State *L, struct map_task *m)
{
    struct map_emitter *em = &m->emitter;
    script_check(L, m->task->script);
    em->L = L; /* not the coroutine that emitted: it may be gone */
    if (m->task->staged.n && task_commit(m->task, &m->err) != ST_OK)
        (void)raise(L, m);
    m->place = OUTSIDE;
    if (em->collect) {
        struct collect_place place = { m->task->file, m->task->offset, (int64_t)m->records };
        if (collect_commit(em->collect, &place, &m->err) != ST_OK)
            (void)raise(L, m);
        if (m->task->staged.n && task_commit(m->task, &m->err) != ST_OK) /* side outputs of combine */
            (void)raise(L, m);
    }
    m->records++;
}

/* Calls map on the record whose key and value are on top of the function. */
static inline void call_map(lua_State *L, struct map_task *m)
{
    lua_pushvalue(L, AT_EMIT);
    if (m->args == 4)
        lua_pushvalue(L, AT_STATE);
    lua_call(L, m->args, 0);
    commit(L, m);
}

/* What the reader gave is no record for map. False: none that comes is. */
static __attribute__((noinline)) bool pass_over(lua_State *L, struct map_task *m, enum status st)
{
    if (st == ST_END)
        return false;
    if (st != ST_OK && st != ST_BAD_RECORD)
        (void)raise(L, m);
    if (m->records == m->skip_at) {
        at_record(m, m->record.offset, OUTSIDE);
        return skip_record(L, m);
    }
    bad_record(L, m);
    return true;
}

/* Steps to the next record that is for map; those that do not decode or are to be skipped are put aside on the way. Inlined, for it
 * stands in the innermost loops. */
static inline __attribute__((always_inline)) bool next_record(lua_State *L, struct map_task *m)
{
    for (;;) {
        at_boundary(L, m);
        enum status st = reader_next(m->parts.reader, &m->record, &m->err);
        if (__builtin_expect(st == ST_OK && m->records != m->skip_at, 1)) {
            at_record(m, m->record.offset, IN_RECORD);
            return true;
        }
        if (!pass_over(L, m, st))
            return false;
    }
}

/* --- one part --- */

static void map_reader(lua_State *L, struct map_task *m)
{
    while (next_record(L, m)) {
        lua_pushvalue(L, AT_MAP);
        map_parts_push(L, &m->parts, &m->record);
        call_map(L, m);
    }
}

/* mr.word_mapper: the words of raw records, without a Lua value. */
static void map_words(lua_State *L, struct map_task *m)
{
    struct record *rec = &m->record;
    struct collect *c = m->emitter.collect;
    enum input_format format = m->parts.input->spec.format;
    if (format != IN_TEXT && format != IN_WHOLE && format != IN_FIXED)
        (void)luaL_error(L, "mr.word_mapper reads text; use a map function for this input");
    while (next_record(L, m)) {
        const uint8_t *p = rec->value.p, *end = p + rec->value.n, *word;
        while (words_next(words_class, &p, end, &word)) {
            if (collect_string_int(c, (const char *)word, (size_t)(p - word), 1, &m->err) != ST_OK)
                (void)raise(L, m);
            m->emitter.pairs++;
        }
        commit(L, m);
    }
}

/* The reader and its handle are on the stack and, for another call, in the table. */
static void open_lua_reader(lua_State *L, struct map_task *m, struct lua_reader *reader)
{
    if (m->reader_open) {
        for (int i = AT_READER; i <= AT_HANDLE; i++)
            (void)lua_rawgeti(L, AT_KEPT, i);
        reader->base = AT_READER;
        return;
    }
    lua_reader_open(L, reader, AT_STEP, &m->parts);
    CHECK(reader->base == AT_READER);
    for (int i = AT_READER; i <= AT_HANDLE; i++) {
        lua_pushvalue(L, i);
        lua_rawseti(L, AT_KEPT, i);
    }
    m->reader_open = true;
    checkpoint_restore_reader(L, m);
}

/* Reads a record into the stack above the map function; keeps its value for the quarantine. */
static bool read_lua_record(lua_State *L, struct map_task *m, struct lua_reader *reader)
{
    at_boundary(L, m);
    at_record(m, (uint64_t)m->task->offset, READING);
    lua_pushvalue(L, AT_MAP);
    if (!lua_reader_next(L, reader))
        return false;
    m->place = IN_RECORD;
    if (m->task->undo.active) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, AT_KEPT, KEPT_VALUE);
    }
    return true;
}

static void map_lua_reader(lua_State *L, struct map_task *m)
{
    struct lua_reader reader;
    open_lua_reader(L, m, &reader);
    while (read_lua_record(L, m, &reader)) {
        if (m->records != m->skip_at) {
            call_map(L, m);
            continue;
        }
        keep_bytes(L, m, lua_gettop(L));
        lua_settop(L, AT_HANDLE);
        if (!skip_record(L, m))
            break;
    }
    m->place = OUTSIDE;
    m->reader_open = false;
    lua_reader_close(L, &reader);
}

/* The map function of the part's input goes to its place on the stack. */
static void choose_map(lua_State *L, struct map_task *m)
{
    m->word_mapper = false;
    (void)lua_getfield(L, AT_STEP, "maps");
    if (m->parts.input->entry < 0 || lua_rawgeti(L, -1, m->parts.input->entry + 1) == LUA_TNIL) {
        m->word_mapper = job_field(L, AT_STEP, "word_mapper") && lua_toboolean(L, -1);
        lua_pop(L, 1);
        (void)lua_getfield(L, AT_STEP, "map");
    }
    lua_replace(L, AT_MAP);
    lua_settop(L, AT_MAP);
    if (!m->word_mapper && lua_isnil(L, AT_MAP))
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
    if (!m->aside.is_only && job_field(L, AT_STEP, "finish")) {
        lua_pushvalue(L, AT_EMIT);
        lua_pushvalue(L, AT_STATE);
        lua_call(L, 2, 0);
        commit(L, m);
        m->records--;
    }
    lua_settop(L, AT_MAP);
}

/* The protected body before the first record: load and init. What the loop needs goes into the table. */
static int open_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    struct task *t = m->task;
    lua_settop(L, 0);
    lua_createtable(L, KEPT_VALUE, 0);
    lua_pushvalue(L, AT_KEPT);
    m->kept = luaL_ref(L, LUA_REGISTRYINDEX);
    job_push_step(L, t);
    checkpoint_loaded(L, m);
    bool goes_on = checkpoint_go_on(L, m);
    if (!goes_on && emit_open(L, &m->emitter, t, AT_STEP, NULL, &m->err) != ST_OK)
        return raise(L, m);
    emit_push_map(L, &m->emitter, AT_STEP);
    if (goes_on)
        checkpoint_push_state(L, m);
    else
        job_init(L, t, AT_STEP);
    m->args = job_field(L, AT_STEP, "init") ? 4 : 3;
    lua_settop(L, AT_STATE);
    for (int i = AT_STATE; i > AT_KEPT; i--)
        lua_rawseti(L, AT_KEPT, i);
    if (goes_on) {
        checkpoint_went_on(m);
        report(m);
    }
    return 0;
}

/* The protected body: every part, from where it stands, and finish. */
static int loop_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    enum status st = ST_OK;
    lua_settop(L, 0);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, m->kept);
    for (int i = AT_STEP; i <= AT_STATE; i++)
        (void)lua_rawgeti(L, AT_KEPT, i);
    lua_pushnil(L);
    if (m->parts.part && !m->done)
        map_part(L, m);
    while (!m->done && (st = map_parts_open(&m->parts, &m->err)) == ST_OK)
        map_part(L, m);
    if (st != ST_END && !m->done)
        return raise(L, m);
    finish(L, m);
    return 0;
}

/* The protected body after the last spill, whose combine may count and write side files too. */
static int seal_body(lua_State *L)
{
    struct map_task *m = lua_touserdata(L, 1);
    if (m->task->staged.n && task_commit(m->task, &m->err) != ST_OK)
        return raise(L, m);
    task_seal(L, m->task);
    return 0;
}

static enum status map_records(struct map_task *m, struct err *e)
{
    struct script *s = m->task->script;
    enum status st = script_protect(s, open_body, m, e);
    if (st != ST_OK)
        return st;
    do {
        st = script_protect(s, loop_body, m, e);
        if (st == ST_OK)
            return st;
        st = recover(m, st, e);
    } while (st == ST_OK);
    return st;
}

static enum status put_result(struct map_task *m, const struct map_result *r, struct buf *out)
{
    struct val_map result = VAL_MAP_EMPTY;
    task_result(m->task, &result);
    val_map_int(&result, "records_in", (int64_t)m->records);
    val_map_int(&result, "bytes_in", (int64_t)map_parts_bytes(&m->parts));
    quarantine_result(&m->aside, &result);
    if (m->aside.is_only)
        only_result(m->task, r->has_run ? m->emitter.agg : NULL, &result);
    emit_result(r, &result);
    return val_map_end(&result, out);
}

static void close_task(struct map_task *m)
{
    luaL_unref(m->task->script->L, LUA_REGISTRYINDEX, m->kept);
    emit_close(&m->emitter);
    map_parts_free(&m->parts);
    quarantine_free(&m->aside);
    checkpoint_free(&m->checkpoint);
    buf_free(&m->key);
    buf_free(&m->bytes);
}

enum status map_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct map_task m = { .task = t, .kept = LUA_NOREF };
    struct map_result r = { .has_run = false };
    err_clear(&m.err);
    enum status st = map_parts_init(&m.parts, t, e);
    if (st == ST_OK)
        st = quarantine_open(&m.aside, t, e);
    m.skip_at = m.aside.skip_at;
    if (st == ST_OK)
        st = checkpoint_open(&m.checkpoint, t, e);
    if (st == ST_OK)
        st = map_records(&m, e);
    report(&m);
    if (st == ST_OK)
        st = emit_finish(&m.emitter, &r, e);
    if (st == ST_OK)
        st = script_protect(t->script, seal_body, &m, e);
    if (st == ST_OK)
        st = task_close_outputs(t, e);
    if (st == ST_OK)
        st = quarantine_close(&m.aside, e);
    if (st == ST_OK)
        st = put_result(&m, &r, result);
    if (st != ST_OK && !m.emitter.combine_failed)
        task_place(t, e);
    if (st != ST_OK && m.checkpoint.restoring)
        err_detail(e, "checkpoint_refused", "%d", 1);
    close_task(&m);
    return st;
}
