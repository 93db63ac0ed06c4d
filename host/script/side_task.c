/* side_task.c: see side_task.h. */
#include "script/side_task.h"

#include "script/map_parts.h"

static enum status build_side(struct task *t, const struct map_parts *parts, struct buf *result, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    const char *key = task_string(t, "key"), *index = task_string(t, "index");
    uint64_t records = 0, bytes = 0;
    struct split split = { parts->parts, parts->count, 0 };
    struct input_spec *specs = arena_alloc(&t->arena, (parts->input_count + 1) * sizeof *specs);
    if (!specs || !index)
        return specs ? err_set(e, ST_USAGE, "a side task without an index to write") : err_memory(e, "a side file", 0);
    for (size_t i = 0; i < parts->input_count; i++)
        specs[i] = parts->inputs[i].spec;
    for (size_t i = 0; i < parts->count; i++)
        bytes += parts->parts[i].to - parts->parts[i].from;
    enum status st = side_build(&split, specs, key, index, t->durable, &records, e);
    if (st != ST_OK)
        return st;
    val_map_int(&m, "records", (int64_t)records);
    val_map_int(&m, "bytes", (int64_t)bytes);
    return val_map_end(&m, result);
}

enum status side_task_run(struct task *t, struct buf *result, struct err *e)
{
    struct map_parts parts;
    enum status st = map_parts_init(&parts, t, e);
    return st == ST_OK ? build_side(t, &parts, result, e) : st;
}
