/* sample_task.c: see sample_task.h. */
#include "script/sample_task.h"

#include "base/sys.h"
#include "script/job.h"
#include "script/lua_reader.h"
#include "script/map_parts.h"
#include "script/quarantine.h"

#include <stdlib.h>

enum { PLACES = 32, RECORDS_DEFAULT = 8192, SIZE_GUESS = 32 << 20 };

/* What the sample may hold; with more, about every second key is let go. */
enum { KEYS_MAX = 256 * 1024, KEYS_MIN = 4096, BYTES_MAX = 32 << 20 };

struct sample_key {
    size_t at, n; /* in `bytes` */
    uint64_t emit; /* its number */
};

struct sample_task {
    struct task *task;
    struct map_parts parts;
    struct split_part *all; /* as assigned; parts.parts is the one looked at */
    size_t all_count;
    struct record record;
    struct buf bytes, keys; /* group bytes; struct sample_key of them */
    uint64_t total, stride; /* bytes of the input; bytes from one place to the next */
    uint64_t each;          /* records a place */
    uint64_t records;       /* given to map, or passed over */
    uint64_t skip_at;       /* the next one that is not for map */
    struct val_cursor skips;
    uint64_t skips_left;
    uint64_t emits;         /* so far */
    uint64_t every;         /* one in so many is kept: a power of two */
    struct err err;
    int step, emit, state, map, args;
};

static int raise(lua_State *L, struct sample_task *s)
{
    return script_raise(L, &s->err);
}

/* --- keys --- */

/* Which ones is as good as chance, as records may emit in a rhythm, but the same each time (the finalizer of SplitMix64). */
static bool is_chosen(const struct sample_task *s, uint64_t emit)
{
    uint64_t x = emit + UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return ((x ^ (x >> 31)) & (s->every - 1)) == 0;
}

static void thin(struct sample_task *s)
{
    struct sample_key *keys = (struct sample_key *)(void *)s->keys.p;
    size_t n = s->keys.n / sizeof *keys, kept = 0, end = 0;
    s->every *= 2;
    for (size_t i = 0; i < n; i++) {
        if (!is_chosen(s, keys[i].emit))
            continue;
        struct sample_key key = { end, keys[i].n, keys[i].emit };
        memmove(s->bytes.p + end, s->bytes.p + keys[i].at, key.n);
        end += key.n;
        keys[kept++] = key;
    }
    s->keys.n = kept * sizeof *keys;
    s->bytes.n = end;
}

static bool is_full(const struct sample_task *s)
{
    size_t n = s->keys.n / sizeof(struct sample_key);
    return n >= KEYS_MAX || (s->bytes.n >= BYTES_MAX && n >= KEYS_MIN);
}

/* Of the bytes at the end, the group's stay. */
static enum status keep_key(struct sample_task *s, struct sample_key key)
{
    s->bytes.n = key.at + key.n;
    return buf_append(&s->keys, &key, sizeof key);
}

static int sample_emit(lua_State *L)
{
    struct task *t = script_of(L)->task;
    if (!t || t->kind != TASK_SAMPLE || !t->emitter)
        return luaL_error(L, "emit: the task it belongs to is over");
    struct sample_task *s = t->emitter;
    if (is_full(s))
        thin(s);
    struct sample_key key = { s->bytes.n, 0, s->emits++ };
    enum status st = key_encode(&t->script->encoder, L, 1, &s->bytes);
    if (st == ST_SCRIPT) {
        s->bytes.n = key.at;
        return luaL_error(L, "emit: %s", t->script->encoder.message);
    }
    key.n = s->bytes.n - key.at;
    if (st == ST_OK && t->group_by)
        st = key_group_length(slice_of(s->bytes.p + key.at, key.n), t->group_by, &key.n);
    if (st == ST_OK && !is_chosen(s, key.emit))
        s->bytes.n = key.at;
    else if (st == ST_OK)
        st = keep_key(s, key);
    if (st == ST_OK)
        return 0;
    (void)err_memory(&s->err, "a sampled key", key.n);
    return raise(L, s);
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct sample_key *x = a, *y = b;
    const uint8_t *bytes = context;
    return slice_compare(slice_of(bytes + x->at, x->n), slice_of(bytes + y->at, y->n));
}

static enum status put_boundaries(struct sample_task *s, struct buf *out)
{
    struct sample_key *keys = (struct sample_key *)(void *)s->keys.p;
    uint64_t n = s->keys.n / sizeof *keys, count = 0;
    uint64_t partitions = (uint64_t)val_get_int(s->task->assignment, "partitions", 1);
    struct buf list = BUF_EMPTY;
    enum status st = ST_OK;
    if (n)
        qsort_r(keys, n, sizeof *keys, compare_keys, s->bytes.p);
    struct slice last = n ? slice_of(s->bytes.p + keys[0].at, keys[0].n) : slice_of(NULL, 0);
    for (uint64_t i = 1; n && st == ST_OK && i < partitions; i++) {
        const struct sample_key *key = &keys[i * n / partitions];
        struct slice bytes = slice_of(s->bytes.p + key->at, key->n);
        if (slice_compare(bytes, last) <= 0)
            continue;
        st = val_put_string(&list, bytes);
        last = bytes;
        count++;
    }
    if (st == ST_OK)
        st = val_put_array(out, count);
    if (st == ST_OK)
        st = buf_append_slice(out, buf_slice(&list));
    buf_free(&list);
    return st;
}

/* --- records --- */

static void at_record(struct sample_task *s, uint64_t offset)
{
    struct task *t = s->task;
    t->offset = (int64_t)offset;
    t->record = (int64_t)s->records;
    POSITION_SET(t->script->page, offset, offset);
    POSITION_SET(t->script->page, record, s->records);
}

/* Those that killed attempts before. */
static void next_skip(struct sample_task *s)
{
    struct slice element = slice_of(NULL, 0);
    s->skip_at = UINT64_MAX;
    if (s->skips_left == 0 || val_skip(&s->skips, &element) != ST_OK)
        return;
    s->skips_left--;
    int64_t record = val_get_int(element, "record", -1);
    s->skip_at = record >= 0 ? (uint64_t)record : UINT64_MAX;
}

/* The function, key and value on top are not for a call. */
static void pass_over(lua_State *L, struct sample_task *s)
{
    lua_pop(L, 3);
    s->records++;
    next_skip(s);
}

/* A record that fails is passed over: the map task that reads it says what becomes of it. */
static void call_map(lua_State *L, struct sample_task *s)
{
    struct script *script = s->task->script;
    if (s->records == s->skip_at) {
        pass_over(L, s);
        return;
    }
    lua_pushvalue(L, s->emit);
    if (s->args == 4)
        lua_pushvalue(L, s->state);
    if (lua_pcall(L, s->args, 0, 0) != LUA_OK) {
        lua_pop(L, 1);
        if (quarantine_is_for(script->fatal.status))
            err_clear(&script->fatal);
    }
    task_undo(s->task);
    s->records++;
    script_check(L, script);
}

/* The next record goes through map; false at the end of the part. */
static bool map_record(lua_State *L, struct sample_task *s, bool wanted)
{
    struct task *t = s->task;
    enum status st = reader_next(s->parts.reader, &s->record, &s->err);
    if (st == ST_END)
        return false;
    if (st != ST_OK && st != ST_BAD_RECORD)
        (void)raise(L, s);
    at_record(s, s->record.offset);
    script_check(L, t->script);
    if (!wanted || st != ST_OK)
        return true;
    lua_pushvalue(L, s->map);
    map_parts_push(L, &s->parts, &s->record);
    call_map(L, s);
    return true;
}

static bool is_cuttable(const struct sample_task *s, const struct split_part *part)
{
    const struct input_spec *spec = &s->parts.inputs[part->input].spec;
    bool lines = spec->format == IN_TEXT || spec->format == IN_JSONL || spec->format == IN_FIXED ||
                 ((spec->format == IN_CSV || spec->format == IN_TSV) && !spec->multiline);
    return lines && !part->whole && !input_is_compressed(part->path);
}

/* Of a file whose size nobody knows, a guess. */
static uint64_t part_bytes(const struct split_part *part)
{
    return part->size == INPUT_SIZE_UNKNOWN ? SIZE_GUESS : part->to - part->from;
}

static void open_part(lua_State *L, struct sample_task *s, struct split_part *part)
{
    s->parts.parts = part;
    s->parts.count = 1;
    s->parts.next = 0;
    if (map_parts_open(&s->parts, &s->err) != ST_OK)
        (void)raise(L, s);
    (void)lua_getfield(L, s->step, "maps");
    if (s->parts.input->entry < 0 || lua_rawgeti(L, -1, s->parts.input->entry + 1) == LUA_TNIL)
        (void)lua_getfield(L, s->step, "map");
    lua_replace(L, s->map);
    lua_settop(L, s->map);
}

/* A place in a file that may be cut: from there, some records in a row. */
static void sample_place(lua_State *L, struct sample_task *s, const struct split_part *part, uint64_t at)
{
    struct split_part from = *part;
    const struct input_spec *spec = &s->parts.inputs[part->input].spec;
    from.from = part->from + at;
    if (spec->format == IN_FIXED && spec->record_size)
        from.from -= from.from % spec->record_size;
    if (from.from < part->from)
        from.from = part->from;
    open_part(L, s, &from);
    for (uint64_t i = 0; i < s->each; i++)
        if (!map_record(L, s, true))
            break;
    map_parts_close(&s->parts);
}

/* Others are read through; records are taken where a place is passed. */
static void sample_through(lua_State *L, struct sample_task *s, struct split_part *part, uint64_t first)
{
    uint64_t place = first, taken = s->each;
    open_part(L, s, part);
    for (;;) {
        if (taken == s->each && reader_position(s->parts.reader) >= place) {
            taken = 0;
            place += s->stride;
        }
        bool wanted = taken < s->each;
        if (!map_record(L, s, wanted))
            break;
        taken += wanted;
    }
    map_parts_close(&s->parts);
}

static void sample_lua_reader(lua_State *L, struct sample_task *s, struct split_part *part)
{
    struct lua_reader reader;
    open_part(L, s, part);
    lua_reader_open(L, &reader, s->step, &s->parts);
    for (uint64_t i = 0; i < s->each; i++) {
        at_record(s, part->from);
        lua_pushvalue(L, s->map);
        if (!lua_reader_next(L, &reader))
            break;
        call_map(L, s);
    }
    lua_reader_close(L, &reader);
    map_parts_close(&s->parts);
}

/* Places stand `stride` bytes apart over all the parts laid end to end. */
static void sample_parts(lua_State *L, struct sample_task *s)
{
    uint64_t start = 0, place = 0;
    for (size_t i = 0; i < s->all_count; i++) {
        struct split_part *part = &s->all[i];
        uint64_t n = part_bytes(part), end = start + n;
        bool cuttable = is_cuttable(s, part);
        if (s->parts.inputs[part->input].spec.format == IN_LUA)
            sample_lua_reader(L, s, part);
        else if (!cuttable && place < end)
            sample_through(L, s, part, place - start);
        for (; place < end; place += s->stride)
            if (cuttable)
                sample_place(L, s, part, place - start);
        start = end;
    }
}

static int sample_body(lua_State *L)
{
    struct sample_task *s = lua_touserdata(L, 1);
    struct task *t = s->task;
    lua_settop(L, 0);
    job_push_step(L, t);
    s->step = lua_gettop(L);
    lua_pushcfunction(L, sample_emit);
    s->emit = lua_gettop(L);
    t->emitter = s;
    job_init(L, t, s->step);
    s->state = lua_gettop(L);
    s->args = job_field(L, s->step, "init") ? 4 : 3;
    s->map = lua_gettop(L);
    POSITION_SET(t->script->page, phase, POS_MAP);
    sample_parts(L, s);
    return 0;
}

static void plan_places(struct sample_task *s)
{
    int64_t records = val_get_int(s->task->assignment, "sample_records", RECORDS_DEFAULT);
    s->all = s->parts.parts;
    s->all_count = s->parts.count;
    for (size_t i = 0; i < s->all_count; i++)
        s->total += part_bytes(&s->all[i]);
    s->stride = s->total / PLACES + 1;
    s->each = records > PLACES ? (uint64_t)records / PLACES : 1;
}

static enum status put_result(struct sample_task *s, struct buf *out)
{
    struct val_map result = VAL_MAP_EMPTY;
    struct buf list = BUF_EMPTY;
    enum status st = put_boundaries(s, &list);
    val_map_value(&result, "boundaries", buf_slice(&list));
    enum status ended = val_map_end(&result, out);
    buf_free(&list);
    return st ? st : ended;
}

enum status sample_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct sample_task s = { .task = t, .every = 1 };
    struct slice skip;
    err_clear(&s.err);
    if (val_get(t->assignment, "skip", &skip))
        s.skips_left = val_array(skip, &s.skips);
    next_skip(&s);
    enum status st = map_parts_init(&s.parts, t, e);
    if (st == ST_OK) {
        plan_places(&s);
        st = script_protect(t->script, sample_body, &s, e);
    }
    if (st == ST_OK)
        st = put_result(&s, result);
    else
        task_place(t, e);
    t->emitter = NULL;
    map_parts_free(&s.parts);
    buf_free(&s.bytes);
    buf_free(&s.keys);
    return st;
}
