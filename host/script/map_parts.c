/* map_parts.c: see map_parts.h. */
#include "script/map_parts.h"

#include "base/sys.h"

static enum status no_memory(struct err *e, uint64_t n)
{
    return err_memory(e, "the parts of a task", (size_t)n);
}

static enum status read_inputs(struct map_parts *p, struct err *e)
{
    struct slice list, one;
    struct val_cursor c;
    enum status st = ST_OK;
    bool pairs = val_get_bool(p->task->assignment, "pairs", false);
    uint64_t n = val_get(p->task->assignment, "inputs", &list) ? val_array(list, &c) : 0;
    p->inputs = arena_alloc(&p->task->arena, (n + 1) * sizeof *p->inputs);
    if (!p->inputs)
        return no_memory(e, n);
    struct slice null = slice_of("\x01", 1);
    for (uint64_t i = 0; i <= n && st == ST_OK; i++) {
        struct map_input *in = &p->inputs[i];
        *in = (struct map_input){ .entry = -1 };
        struct slice spec = null;
        if (i < n && val_skip(&c, &one) == ST_OK) {
            (void)val_get(one, "input", &spec);
            (void)val_get_string(one, "tag", &in->tag);
            in->entry = val_get_int(one, "entry", -1);
        }
        st = input_spec_parse(spec, &p->task->arena, &in->spec, e);
        if (pairs)
            in->spec.format = IN_PAIRS;
    }
    p->input_count = n ? n : 1;
    return st;
}

/* A field in the task's arena; NULL when it is not there. */
static enum status part_string(struct map_parts *p, struct slice one, const char *name, const char **out, struct err *e)
{
    struct slice s;
    if (!val_get_string(one, name, &s))
        return ST_OK;
    *out = arena_strndup(&p->task->arena, (const char *)s.p, s.n);
    return *out ? ST_OK : no_memory(e, s.n);
}

static enum status read_part(struct map_parts *p, struct slice one, struct split_part *part, struct err *e)
{
    int64_t size = val_get_int(one, "size", 0);
    *part = (struct split_part){ .from = (uint64_t)val_get_int(one, "from", 0),
                                 .to = (uint64_t)val_get_int(one, "to", size),
                                 .size = (uint64_t)size,
                                 .input = (uint32_t)val_get_int(one, "input", 0),
                                 .whole = val_get_bool(one, "whole", false),
                                 .watch = &p->watch };
    enum status st = part_string(p, one, "path", &part->path, e);
    if (st == ST_OK)
        st = part_string(p, one, "secret", &part->secret, e);
    if (st == ST_OK)
        st = part_string(p, one, "validator", &part->validator, e);
    if (st != ST_OK)
        return st;
    if (!part->path)
        return err_set(e, ST_USAGE, "a part without a path");
    return part->input < p->input_count ? ST_OK : err_set(e, ST_USAGE, "a part of input %u, which is not there", part->input);
}

enum status map_parts_init(struct map_parts *p, struct task *t, struct err *e)
{
    struct slice list, one;
    struct val_cursor c;
    *p = (struct map_parts){ .task = t };
    p->watch = task_watch(t);
    enum status st = read_inputs(p, e);
    if (st != ST_OK)
        return st;
    p->count = val_get(t->assignment, "parts", &list) ? val_array(list, &c) : 0;
    p->parts = arena_alloc(&t->arena, (p->count + 1) * sizeof *p->parts);
    if (!p->parts)
        return no_memory(e, p->count);
    for (size_t i = 0; st == ST_OK && i < p->count; i++) {
        (void)val_skip(&c, &one);
        st = read_part(p, one, &p->parts[i], e);
    }
    return st;
}

void map_parts_close(struct map_parts *p)
{
    if (p->part && p->part->size == INPUT_SIZE_UNKNOWN)
        p->bytes_before += p->reader ? reader_position(p->reader) : 0;
    else if (p->part)
        p->bytes_before += p->part->to - p->part->from;
    reader_close(p->reader);
    p->reader = NULL;
    p->part = NULL;
}

void map_parts_free(struct map_parts *p)
{
    map_parts_close(p);
}

/* The next part is the open one. */
static void go_to(struct map_parts *p)
{
    struct task *t = p->task;
    p->part = &p->parts[p->next++];
    p->input = &p->inputs[p->part->input];
    t->file = p->part->path;
    t->offset = (int64_t)p->part->from;
    t->tag = p->input->tag;
    POSITION_SET(t->script->page, part, (uint32_t)(p->next - 1));
}

enum status map_parts_open(struct map_parts *p, struct err *e)
{
    struct task *t = p->task;
    map_parts_close(p);
    if (p->next == p->count) {
        t->file = NULL;
        t->offset = -1;
        return ST_END;
    }
    go_to(p);
    if (p->input->spec.format == IN_LUA)
        return ST_OK;
    return reader_open(p->part, &p->input->spec, &p->reader, e);
}

enum status map_parts_go(struct map_parts *p, size_t part, struct slice saved, struct err *e)
{
    p->next = part;
    go_to(p);
    if (p->input->spec.format == IN_LUA)
        return ST_OK;
    return reader_restore(p->part, &p->input->spec, saved, &p->reader, e);
}

uint64_t map_parts_bytes(const struct map_parts *p)
{
    uint64_t here = p->reader ? reader_position(p->reader) : 0;
    return p->bytes_before + here;
}

static void broken(lua_State *L, const struct map_parts *p)
{
    struct err e;
    (void)err_set(&e, ST_CORRUPT, "a record of %s does not decode", p->part->path);
    (void)script_raise(L, &e);
}

void map_parts_push(lua_State *L, const struct map_parts *p, const struct record *rec)
{
    struct script *s = p->task->script;
    if (!rec->has_key)
        lua_pushinteger(L, (lua_Integer)rec->offset);
    else if (p->input->spec.format != IN_PAIRS)
        (void)lua_pushlstring(L, (const char *)rec->key.p, rec->key.n);
    else if (!key_push(L, &s->cursor, rec->key))
        broken(L, p);
    if (rec->is_raw)
        (void)lua_pushlstring(L, (const char *)rec->value.p, rec->value.n);
    else if (!value_push(L, rec->value))
        broken(L, p);
}
