/* task.c: see task.h. */
#include "script/task.h"

#include "base/sys.h"

#include <stdio.h>

/* --- beginning and end --- */

void task_init(struct task *t, struct script *s, struct slice assignment, enum task_kind kind)
{
    *t = (struct task){ .script = s, .assignment = assignment, .kind = kind, .offset = -1, .record = -1,
                        .step_ref = LUA_NOREF, .counters_ref = LUA_NOREF, .handle_ref = LUA_NOREF,
                        .output_spec_ref = LUA_NOREF };
    (void)val_get_cstr(assignment, "task", t->id, sizeof t->id);
    t->attempt = val_get_int(assignment, "attempt", 0);
    t->serial = val_get_int(assignment, "serial", 0);
    t->step = val_get_int(assignment, "step", 1);
    t->round = val_get_int(assignment, "round", 0);
    t->group_by = (uint32_t)val_get_int(assignment, "group_by", 0);
    t->durable = val_get_bool(assignment, "durable", false);
    t->cpu_start = sys_cpu_time();
    t->started = sys_now();
    t->undo.dirty = true;
}

void task_free(struct task *t)
{
    for (uint32_t i = 0; i < t->side_output_count; i++)
        output_abandon(t->side_outputs[i].output);
    for (uint32_t i = 0; i < t->side_count; i++)
        side_close(t->sides[i].side);
    output_abandon(t->part);
    t->part = NULL;
    buf_free(&t->counters);
    buf_free(&t->staged);
    buf_free(&t->undo.log);
    arena_free(&t->arena);
}

const char *task_string(struct task *t, const char *name)
{
    struct slice s;
    return val_get_string(t->assignment, name, &s) ? arena_strndup(&t->arena, (const char *)s.p, s.n) : NULL;
}

void task_place(const struct task *t, struct err *e)
{
    bool was_placed = *e->file != '\0';
    if (t->file && !*e->file && e->status != ST_USAGE)
        (void)snprintf(e->file, sizeof e->file, "%s", t->file);
    if (e->status == ST_NETWORK && was_placed) /* no record is to blame for what a server does */
        return;
    if (e->offset < 0 && e->record < 0 && e->status != ST_USAGE) {
        e->offset = t->offset;
        e->record = t->record;
    }
}

void task_measure(const struct task *t, struct err *e)
{
    e->elapsed_seconds = (double)(sys_now() - t->started) / 1e9;
    e->memory_peak = t->script->memory.peak;
}

/* --- results --- */

static enum status encode_counters(lua_State *L, struct task *t)
{
    if (t->counters_ref == LUA_NOREF)
        return val_put_map(&t->counters, 0);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->counters_ref);
    enum status st = value_encode(&t->script->encoder, L, -1, &t->counters);
    lua_pop(L, 1);
    return st;
}

void task_seal(lua_State *L, struct task *t)
{
    struct err e;
    t->counters.n = 0;
    if (encode_counters(L, t) != ST_OK) {
        (void)err_memory(&e, "counters", t->counters.n);
        (void)script_raise(L, &e);
    }
}

enum status task_close_outputs(struct task *t, struct err *e)
{
    enum status st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < t->side_output_count; i++) {
        struct side_output *o = &t->side_outputs[i];
        struct output *output = o->output;
        o->output = NULL;
        st = output_close(output, t->durable, &o->stats, e);
        if (st == ST_OK && t->durable)
            st = sys_fsync_parent(o->path, "side_output.fsync", e);
    }
    return st;
}

static void add_checksum(struct val_map *m, uint64_t checksum)
{
    char text[20];
    (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)checksum);
    val_map_str(m, "checksum", text);
}

static enum status put_side_output(const struct side_output *o, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "name", o->name);
    val_map_str(&m, "path", o->path);
    val_map_int(&m, "records", (int64_t)o->stats.records);
    val_map_int(&m, "bytes", (int64_t)o->stats.bytes);
    add_checksum(&m, o->stats.checksum);
    return val_map_end(&m, out);
}

void task_result(struct task *t, struct val_map *result)
{
    struct buf list = BUF_EMPTY;
    enum status st = val_put_array(&list, t->side_output_count);
    for (uint32_t i = 0; st == ST_OK && i < t->side_output_count; i++)
        st = put_side_output(&t->side_outputs[i], &list);
    if (st != ST_OK)
        result->status = st;
    else
        val_map_value(result, "side_outputs", buf_slice(&list));
    buf_free(&list);
    val_map_value(result, "counters", buf_slice(&t->counters));
    val_map_int(result, "cpu_ns", sys_cpu_time() - t->cpu_start);
    val_map_int(result, "script_memory_peak", (int64_t)t->script->memory.peak);
}

/* --- staged pairs: u32 target, varint key length, varint value length, key, value --- */

enum { STAGE_KEEP = 4 << 20 }; /* a stage grown beyond this is given back */

static struct output *target_output(struct task *t, uint32_t target)
{
    return target ? t->side_outputs[target - 1].output : t->part;
}

static enum status write_pair(struct task *t, uint32_t target, struct slice key, struct slice value, struct err *e)
{
    if (target == 0) {
        t->pairs_out++;
        t->bytes_out += key.n + value.n;
    }
    return output_pair(target_output(t, target), key, value, e);
}

enum status task_commit(struct task *t, struct err *e)
{
    const uint8_t *p = t->staged.p, *end = p + t->staged.n;
    enum status st = ST_OK;
    while (st == ST_OK && p < end) {
        uint32_t head[3];
        memcpy(head, p, sizeof head);
        p += sizeof head;
        st = write_pair(t, head[0], slice_of(p, head[1]), slice_of(p + head[1], head[2]), e);
        t->undo.written |= st == ST_OK;
        t->undo.dirty = true;
        p += (size_t)head[1] + head[2];
    }
    t->staged.n = 0;
    if (t->staged.cap > STAGE_KEEP)
        buf_free(&t->staged);
    return st;
}

void task_undo(struct task *t)
{
    t->staged.n = 0;
}

void task_forget(struct task *t)
{
    struct undo *u = &t->undo;
    u->dirty = u->lost = u->written = false;
    u->side_outputs = t->side_output_count;
    u->rng = t->script->rng;
    u->log.n = 0;
}

/* Side outputs that were opened for what is taken back. */
static enum status close_new_outputs(struct task *t, struct err *e)
{
    enum status st = ST_OK;
    while (st == ST_OK && t->side_output_count > t->undo.side_outputs) {
        struct side_output *o = &t->side_outputs[--t->side_output_count];
        output_abandon(o->output);
        o->output = NULL;
        st = sys_unlink(o->path, e);
    }
    return st;
}

static int take_back_body(lua_State *L)
{
    undo_counters(L, lua_touserdata(L, 1));
    return 0;
}

enum status task_take_back(struct task *t, struct err *e)
{
    struct script *s = t->script;
    CHECK(task_can_take_back(t));
    err_clear(&s->fatal);
    task_undo(t);
    s->rng = t->undo.rng;
    enum status st = close_new_outputs(t, e);
    return st == ST_OK && t->undo.log.n > 0 ? script_protect(s, take_back_body, t, e) : st;
}

/* Encodes into `out` what stands at the two indexes; raises on refusal, with `out` cut back. */
static void encode_pair(lua_State *L, struct task *t, struct buf *out, int key, int value, uint32_t *lengths, const char *who)
{
    struct encoder *enc = &t->script->encoder;
    size_t start = out->n - sizeof(uint32_t[3]);
    size_t at = out->n;
    enum status st = key_encode(enc, L, key, out);
    lengths[0] = (uint32_t)(out->n - at);
    at = out->n;
    if (st == ST_OK)
        st = value ? value_encode(enc, L, value, out) : val_put_bool(out, true);
    lengths[1] = (uint32_t)(out->n - at);
    if (st == ST_OK)
        return;
    out->n = start;
    if (st == ST_SCRIPT)
        (void)luaL_error(L, "%s: %s", who, enc->message);
    struct err e;
    (void)err_memory(&e, "a pair", at);
    (void)script_raise(L, &e);
}

void task_stage(lua_State *L, struct task *t, uint32_t target, int key, int value, const char *who)
{
    struct err e;
    uint32_t head[3] = { target, 0, 0 };
    size_t start = t->staged.n;
    if (buf_append(&t->staged, head, sizeof head) != ST_OK) {
        (void)err_memory(&e, "a pair", sizeof head);
        (void)script_raise(L, &e);
    }
    encode_pair(L, t, &t->staged, key, value, head + 1, who);
    memcpy(t->staged.p + start, head, sizeof head);
    bool waits = t->kind != TASK_REDUCE || (task_can_take_back(t) && t->staged.n <= UNDO_STAGE_MAX);
    if (waits || task_commit(t, &e) == ST_OK)
        return;
    if (e.status == ST_SCRIPT)
        (void)luaL_error(L, "%s: %s", who, e.message);
    (void)script_raise(L, &e);
}

/* --- side outputs --- */

static bool is_side_name(const char *name)
{
    size_t n = strlen(name);
    if (n == 0 || n >= SIDE_NAME_MAX || strcmp(name, "part") == 0 || *name == '.' || *name == '_')
        return false;
    for (const char *p = name; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        if (!plain && !strchr("_-.", *p))
            return false;
    }
    return true;
}

/* The output spec of side files: the assignment's unless that is for the next step, else the job's, else text. Encoded into `out`. */
static void side_spec(lua_State *L, struct task *t, struct buf *out)
{
    struct slice spec, name;
    if (val_get(t->assignment, "output", &spec) && !(val_as_string(spec, &name) && slice_equal(name, slice_str("pairs")))) {
        (void)buf_append_slice(out, spec);
        return;
    }
    if (t->output_spec_ref != LUA_NOREF) {
        (void)lua_rawgeti(L, LUA_REGISTRYINDEX, t->output_spec_ref);
        if (!lua_isnil(L, -1) && value_encode(&t->script->encoder, L, -1, out) != ST_OK)
            out->n = 0;
        lua_pop(L, 1);
    }
    if (out->n == 0)
        (void)val_put_null(out);
}

/* Where an earlier attempt has left it. */
struct side_past {
    const char *path;
    struct slice saved;
};

static enum status open_side_output(lua_State *L, struct task *t, struct side_output *o, const struct side_past *past, struct err *e)
{
    const char *prefix = task_string(t, "side_prefix");
    struct output_spec spec;
    size_t room = strlen(prefix ? prefix : "") + SIDE_NAME_MAX;
    o->path = prefix ? arena_alloc(&t->arena, room) : NULL;
    if (!o->path)
        return prefix ? err_memory(e, "a side output", room) : err_set(e, ST_SCRIPT, "mr.output cannot be used in this task");
    (void)snprintf(o->path, room, "%s%s", prefix, o->name);
    t->script->bytes.n = 0;
    side_spec(L, t, &t->script->bytes);
    enum status st = output_spec_parse(buf_slice(&t->script->bytes), &spec, e);
    if (st != ST_OK)
        return st;
    st = past ? output_resume(past->path, past->saved, o->path, &spec, &o->output, e) : output_open(o->path, &spec, &o->output, e);
    output_spec_free(&spec);
    return st;
}

static struct side_output *new_output(struct task *t, const char *name)
{
    if (!t->side_outputs)
        t->side_outputs = arena_alloc(&t->arena, SIDE_OUTPUTS_MAX * sizeof *t->side_outputs);
    if (!t->side_outputs)
        return NULL;
    struct side_output *o = &t->side_outputs[t->side_output_count];
    *o = (struct side_output){ .output = NULL };
    (void)snprintf(o->name, sizeof o->name, "%s", name);
    return o;
}

uint32_t task_side_output(lua_State *L, struct task *t, const char *name)
{
    struct err e;
    for (uint32_t i = 0; i < t->side_output_count; i++)
        if (strcmp(t->side_outputs[i].name, name) == 0)
            return i + 1;
    if (!is_side_name(name))
        (void)luaL_error(L, "mr.output: '%s' is no name for a side file; use letters, digits, '-' and '_' (not \"part\")", name);
    if (val_get_bool(t->assignment, "to_stdout", false))
        (void)luaL_error(L, "mr.output: '%s' has no place, for the result goes to standard output; run the job with -o DIR", name);
    if (t->side_output_count == SIDE_OUTPUTS_MAX)
        (void)luaL_error(L, "mr.output: more than %d side files in one task; put what tells them apart into the key", SIDE_OUTPUTS_MAX);
    struct side_output *o = new_output(t, name);
    if (!o) {
        (void)err_memory(&e, "side outputs", SIDE_OUTPUTS_MAX * sizeof *t->side_outputs);
        (void)script_raise(L, &e);
    }
    if (open_side_output(L, t, o, NULL, &e) != ST_OK)
        (void)script_raise(L, &e);
    t->undo.dirty = true;
    return ++t->side_output_count;
}

/* --- side outputs in checkpoints --- */

static enum status save_output(struct side_output *o, bool durable, struct buf *list, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf saved = BUF_EMPTY;
    enum status st = output_suspend(o->output, durable, &saved, e);
    val_map_str(&m, "name", o->name);
    val_map_string(&m, "saved", buf_slice(&saved));
    enum status end = val_map_end(&m, list);
    buf_free(&saved);
    return st == ST_OK && end != ST_OK ? err_memory(e, "a side output", saved.n) : st;
}

enum status task_save_outputs(struct task *t, struct val_map *first, struct err *e)
{
    struct buf list = BUF_EMPTY;
    enum status st = val_put_array(&list, t->side_output_count);
    if (st != ST_OK)
        return err_memory(e, "side outputs", list.n);
    for (uint32_t i = 0; st == ST_OK && i < t->side_output_count; i++)
        st = save_output(&t->side_outputs[i], t->durable, &list, e);
    if (st == ST_OK && t->durable && t->side_output_count > 0)
        st = sys_fsync_parent(t->side_outputs[0].path, "checkpoint.fsync_side", e);
    if (st == ST_OK)
        val_map_value(first, "outputs", buf_slice(&list));
    buf_free(&list);
    return st;
}

enum status task_restore_output(lua_State *L, struct task *t, const char *name, const char *from_prefix, struct slice saved, struct err *e)
{
    size_t room = strlen(from_prefix) + SIDE_NAME_MAX;
    char *from = arena_alloc(&t->arena, room);
    struct side_output *o = from && t->side_output_count < SIDE_OUTPUTS_MAX ? new_output(t, name) : NULL;
    if (!o)
        return err_memory(e, "side outputs", room);
    if (!is_side_name(name))
        return err_set(e, ST_CORRUPT, "a side file in it has a strange name");
    (void)snprintf(from, room, "%s%s", from_prefix, name);
    struct side_past past = { from, saved };
    enum status st = open_side_output(L, t, o, &past, e);
    t->side_output_count += st == ST_OK;
    t->undo.dirty = true;
    return st;
}

enum status task_drop_outputs(struct task *t, struct err *e)
{
    t->undo.side_outputs = 0;
    return close_new_outputs(t, e);
}

/* --- servers --- */

struct input_watch task_watch(struct task *t)
{
    return (struct input_watch){ .stop = &t->script->interrupted, .progress = &t->script->page->progress,
                                 .timeout_seconds = val_get_float(t->assignment, "network_timeout", 0) };
}

/* --- side files --- */

static const struct side *open_side(lua_State *L, struct task *t, const char *name, struct slice path)
{
    struct err e;
    char *file = arena_strndup(&t->arena, (const char *)path.p, path.n);
    if (!t->sides)
        t->sides = arena_alloc(&t->arena, TASK_SIDES_MAX * sizeof *t->sides);
    char *copy = arena_strdup(&t->arena, name);
    if (!file || !t->sides || !copy) {
        (void)err_memory(&e, "a side file", path.n);
        (void)script_raise(L, &e);
    }
    if (t->side_count == TASK_SIDES_MAX)
        (void)luaL_error(L, "more than %d side files", TASK_SIDES_MAX);
    struct task_side *entry = &t->sides[t->side_count];
    *entry = (struct task_side){ copy, NULL };
    if (side_open(file, &entry->side, &e) != ST_OK)
        (void)script_raise(L, &e);
    t->side_count++;
    return entry->side;
}

const struct side *task_side(lua_State *L, struct task *t, const char *name)
{
    struct slice sides, path;
    for (uint32_t i = 0; i < t->side_count; i++)
        if (strcmp(t->sides[i].name, name) == 0)
            return t->sides[i].side;
    if (val_get(t->assignment, "sides", &sides) && val_get_string(sides, name, &path))
        return open_side(L, t, name, path);
    if (strcmp(name, "previous") != 0)
        (void)luaL_error(L, "no side file '%s': declare it in the job as side_files = { %s = { path = … } }", name, name);
    return NULL;
}
