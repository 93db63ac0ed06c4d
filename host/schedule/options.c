#include "schedule/options.h"

#include "data/codec.h"

#include <stdio.h>

/* --- writing --- */

static void put_strings(struct val_map *m, const char *name, const char *const *strings,
                        size_t count)
{
    struct buf list = BUF_EMPTY;
    enum status st = val_put_array(&list, count);
    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = val_put_str(&list, strings[i]);
    if (st == ST_OK)
        val_map_value(m, name, buf_slice(&list));
    else
        m->status = st;
    buf_free(&list);
}

static void put_texts(struct val_map *m, const struct run_options *o)
{
    val_map_str(m, "job", o->job_path);
    val_map_str(m, "map", o->map_code);
    val_map_str(m, "reduce", o->reduce_code);
    val_map_str(m, "output_dir", o->output_dir);
    val_map_str(m, "output_format", o->output_format);
    val_map_str(m, "input_format", o->input_format);
    val_map_str(m, "profile", o->profile);
    val_map_str(m, "state_dir", o->state_dir);
    val_map_str(m, "work_dir", o->work_dir);
    put_strings(m, "inputs", (const char *const *)o->inputs, o->input_count);
    put_strings(m, "set", o->set, o->set_count);
    put_strings(m, "args", (const char *const *)o->args, o->arg_count);
}

enum status options_put(const struct run_options *o, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    put_texts(&m, o);
    val_map_int(&m, "workers", o->workers);
    val_map_int(&m, "reducers", o->reducers);
    val_map_int(&m, "split_size", (int64_t)o->split_size);
    val_map_int(&m, "sort_buffer", (int64_t)o->sort_buffer);
    val_map_bool(&m, "compress_runs", o->compress_runs);
    val_map_bool(&m, "overwrite", o->overwrite);
    val_map_bool(&m, "has_seed", o->has_seed);
    val_map_int(&m, "seed", (int64_t)o->seed);
    return val_map_end(&m, out);
}

/* --- reading --- */

struct reading {
    struct slice map;
    struct arena *arena;
    enum status status; /* the first failure */
};

static char *copy(struct reading *r, struct slice text)
{
    char *s = arena_strndup(r->arena, (const char *)text.p, text.n);
    if (!s)
        r->status = ST_MEMORY;
    return s;
}

static const char *get_text(struct reading *r, const char *name)
{
    struct slice s;
    return val_get_string(r->map, name, &s) ? copy(r, s) : NULL;
}

static char **get_strings(struct reading *r, const char *name, size_t *count)
{
    struct slice list = slice_of(NULL, 0), element, text;
    struct val_cursor c;
    (void)val_get(r->map, name, &list);
    *count = (size_t)val_array(list, &c);
    char **strings = arena_alloc(r->arena, (*count + 1) * sizeof *strings);
    if (!strings) {
        r->status = ST_MEMORY;
        return NULL;
    }
    for (size_t i = 0; i < *count; i++) {
        if (val_skip(&c, &element) != ST_OK || !val_as_string(element, &text)) {
            r->status = ST_CORRUPT;
            return NULL;
        }
        strings[i] = copy(r, text);
    }
    strings[*count] = NULL;
    return strings;
}

static void get_texts(struct reading *r, struct run_options *o)
{
    o->job_path = get_text(r, "job");
    o->map_code = get_text(r, "map");
    o->reduce_code = get_text(r, "reduce");
    o->output_dir = get_text(r, "output_dir");
    o->output_format = get_text(r, "output_format");
    o->input_format = get_text(r, "input_format");
    o->profile = get_text(r, "profile");
    o->state_dir = get_text(r, "state_dir");
    o->work_dir = get_text(r, "work_dir");
    o->inputs = get_strings(r, "inputs", &o->input_count);
    o->set = (const char *const *)get_strings(r, "set", &o->set_count);
    o->args = get_strings(r, "args", &o->arg_count);
}

enum status options_get(struct slice encoded, struct arena *arena, struct run_options *out,
                        struct err *e)
{
    struct reading r = { encoded, arena, ST_OK };
    *out = (struct run_options){ .stdout_fd = 1 };
    if (val_check(encoded) != ST_OK || !val_is_map(encoded))
        return err_set(e, ST_CORRUPT, "the options in the job's journal do not decode");
    get_texts(&r, out);
    out->workers = (unsigned)val_get_int(encoded, "workers", 0);
    out->reducers = val_get_int(encoded, "reducers", -1);
    out->split_size = (uint64_t)val_get_int(encoded, "split_size", 0);
    out->sort_buffer = (uint64_t)val_get_int(encoded, "sort_buffer", 0);
    out->compress_runs = val_get_bool(encoded, "compress_runs", false);
    out->overwrite = val_get_bool(encoded, "overwrite", false);
    out->has_seed = val_get_bool(encoded, "has_seed", false);
    out->seed = (uint64_t)val_get_int(encoded, "seed", 0);
    if (r.status == ST_MEMORY)
        return err_memory(e, "the job's options", encoded.n);
    if (r.status != ST_OK || (!out->job_path && !out->map_code))
        return err_set(e, ST_CORRUPT, "the options in the job's journal are not whole");
    return ST_OK;
}
