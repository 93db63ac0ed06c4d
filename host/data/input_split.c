/* Files into splits: big ones cut, small ones combined. A function of sizes and formats alone. */
#include "data/input.h"

#include <inttypes.h>

enum { SPLIT_FILES_MAX = 4096, SPLITS_MAX = 1000 * 1000 };

/* `open`: the last split still takes files. */
struct planner {
    uint64_t split_size;
    struct arena *arena;
    struct buf splits,
        parts; /* struct split (parts unset), struct split_part: all splits' one after another */
    bool open;
};

static bool is_cuttable(const struct input_file *f, const struct input_spec *spec)
{
    if (f->whole)
        return false;
    switch (spec->format) {
    case IN_TEXT:
    case IN_JSONL:
    case IN_FIXED:
        return !input_is_compressed(f->path);
    case IN_CSV:
    case IN_TSV:
        return !spec->multiline && !input_is_compressed(f->path);
    case IN_LUA:
        return spec->lua_resumable && !input_is_compressed(f->path);
    case IN_WHOLE:
    case IN_PAIRS:
        break;
    }
    return false;
}

static enum status add_part(struct planner *p, const struct input_file *f, uint64_t from,
                            uint64_t to, bool joins)
{
    struct split_part part = { .path = f->path,
                               .from = from,
                               .to = to,
                               .size = f->size,
                               .mtime = f->mtime,
                               .input = f->input,
                               .whole = f->whole,
                               .secret = f->secret,
                               .validator = f->validator };
    enum status status = buf_append(&p->parts, &part, sizeof part);
    if (status != ST_OK)
        return status;
    if (joins) {
        struct split *last = (struct split *)(void *)(p->splits.p + p->splits.n) - 1;
        last->count++;
        last->bytes += to - from;
        return ST_OK;
    }
    struct split split = { NULL, 1, f->size == INPUT_SIZE_UNKNOWN ? 0 : to - from };
    return buf_append(&p->splits, &split, sizeof split);
}

static enum status add_whole(struct planner *p, const struct input_file *f)
{
    const struct split *last =
        p->open ? (struct split *)(void *)(p->splits.p + p->splits.n) - 1 : NULL;
    if (f->size == INPUT_SIZE_UNKNOWN) {
        p->open = false;
        return add_part(p, f, 0, f->size, false);
    }
    bool joins = last && last->count < SPLIT_FILES_MAX && f->size <= p->split_size &&
                 last->bytes <= p->split_size - f->size;
    p->open = true;
    return add_part(p, f, 0, f->size, joins);
}

/* n even pieces, in units (a byte, or a record of a fixed size). */
static enum status cut_file(struct planner *p, const struct input_file *f, uint64_t unit,
                            struct err *e)
{
    uint64_t units = f->size / unit + (f->size % unit > 0);
    uint64_t most = p->split_size / unit > 0 ? p->split_size / unit : 1;
    uint64_t n = units / most + (units % most > 0);
    uint64_t count = p->splits.n / sizeof(struct split);
    if (n > SPLITS_MAX - count)
        return err_set(e, ST_USAGE,
                       "%s would be cut into %" PRIu64 " splits; more than %d in all are too "
                       "many: raise the split size",
                       f->path, n, SPLITS_MAX);
    uint64_t each = units / n, over = units % n, from = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t to = i + 1 == n ? f->size : from + (each + (i < over)) * unit;
        if (add_part(p, f, from, to, false) != ST_OK)
            return err_memory(e, "the plan", p->parts.n);
        from = to;
    }
    p->open = false;
    return ST_OK;
}

static enum status add_file(struct planner *p, const struct input_file *f,
                            const struct input_spec *spec, struct err *e)
{
    if (spec->format == IN_LUA && input_is_remote(f->path))
        return err_set(e, ST_USAGE,
                       "%.900s is an address, and a reader in Lua opens files: fetch it first",
                       f->path);
    if (f->size == 0 && spec->format != IN_WHOLE)
        return ST_OK;
    if (f->size != INPUT_SIZE_UNKNOWN && f->size > p->split_size && is_cuttable(f, spec))
        return cut_file(p, f, spec->format == IN_FIXED ? spec->record_size : 1, e);
    if (p->splits.n / sizeof(struct split) >= SPLITS_MAX)
        return err_set(e, ST_USAGE, "the inputs make more than %d splits: raise the split size",
                       SPLITS_MAX);
    if (add_whole(p, f) != ST_OK)
        return err_memory(e, "the plan", p->parts.n);
    return ST_OK;
}

/* Copies splits and parts into the arena and joins them. */
static enum status finish(struct planner *p, struct splits *out, struct err *e)
{
    out->count = p->splits.n / sizeof(struct split);
    out->splits = arena_alloc(p->arena, p->splits.n);
    struct split_part *parts = arena_alloc(p->arena, p->parts.n);
    if (!out->splits || !parts)
        return err_memory(e, "the plan", p->splits.n + p->parts.n);
    if (out->count > 0) {
        memcpy(out->splits, p->splits.p, p->splits.n);
        memcpy(parts, p->parts.p, p->parts.n);
    }
    for (size_t i = 0; i < out->count; i++) {
        out->splits[i].parts = parts;
        parts += out->splits[i].count;
    }
    return ST_OK;
}

enum status splits_plan(const struct input_files *files, const struct input_spec *specs,
                        uint64_t split_size, struct arena *a, struct splits *out, struct err *e)
{
    if (split_size == 0)
        return err_set(e, ST_USAGE, "the split size must be at least 1 byte");
    struct planner p = { split_size, a, BUF_EMPTY, BUF_EMPTY, false };
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < files->count; i++)
        status = add_file(&p, &files->files[i], &specs[files->files[i].input], e);
    if (status == ST_OK)
        status = finish(&p, out, e);
    buf_free(&p.splits);
    buf_free(&p.parts);
    return status;
}
