/* assign.c: assignments for workers; their fields are defined in script/attempt.h. */
#include "schedule/driver.h"

#include "data/output.h"

#include <stdio.h>

enum { SAMPLE_RECORDS = 10000 };

/* --- names --- */

static const char *kind_name(enum work_kind kind)
{
    static const char *const names[] = {
        [WORK_DESCRIBE] = "describe", [WORK_SIDE] = "side",     [WORK_PREVIOUS] = "previous",
        [WORK_SAMPLE] = "sample",     [WORK_MAP] = "map",       [WORK_REDUCE] = "reduce",
        [WORK_STOP] = "stop",         [WORK_FORMAT] = "format", [WORK_REMOTE] = "remote",
    };
    return names[kind];
}

/* The step's and round's number before a name, ending in `mark`; nothing in the first step of a job
 * without rounds. */
static int put_prefix(const struct driver *d, char mark, char *out, size_t cap)
{
    out[0] = '\0';
    if (d->round > 0)
        return snprintf(out, cap, "%u.%u%c", d->step + 1, d->round, mark);
    return d->step > 0 ? snprintf(out, cap, "%u%c", d->step + 1, mark) : 0;
}

static void put_name(const struct driver *d, const struct work *w, char mark, char *out, size_t cap)
{
    size_t n = (size_t)put_prefix(d, mark, out, cap);
    bool numbered = w->kind == WORK_MAP || w->kind == WORK_REDUCE || w->kind == WORK_SIDE ||
                    w->kind == WORK_FORMAT || w->kind == WORK_REMOTE;
    if (numbered)
        (void)snprintf(out + n, cap - n, "%s_%u", kind_name(w->kind), w->index);
    else
        (void)snprintf(out + n, cap - n, "%s", kind_name(w->kind));
}

const char *task_name(const struct driver *d, const struct work *w, char out[TASK_NAME_MAX])
{
    put_name(d, w, ':', out, TASK_NAME_MAX);
    return out;
}

const char *attempt_file_name(const struct driver *d, const struct work *w, struct attempt_id id,
                              char out[ATTEMPT_NAME_MAX])
{
    char name[TASK_NAME_MAX];
    put_name(d, w, '-', name, sizeof name);
    (void)snprintf(out, ATTEMPT_NAME_MAX, "%s.%u%s", name, id.number, id.speculative ? "s" : "");
    return out;
}

enum status attempt_path(const struct driver *d, const struct work *w, struct attempt_id id,
                         const char *dir, const char *ending, struct buf *out)
{
    char name[ATTEMPT_NAME_MAX];
    out->n = 0;
    enum status st = buf_printf(out, "%s/%s%s", dir, attempt_file_name(d, w, id, name),
                                ending);
    return st == ST_OK ? buf_terminate(out) : st;
}

const char *part_dir(const struct driver *d)
{
    return d->plan.is_last || d->at == AT_FORMAT ? d->place.stage_dir : d->place.work_dir;
}

/* --- fields --- */

struct assignment {
    struct driver *d;
    const struct running *attempt;
    const struct work *work;
    struct val_map map;
    struct buf scratch; /* reused for paths and values */
    enum status status; /* first failure */
};

static void keep(struct assignment *a, enum status st)
{
    if (a->status == ST_OK)
        a->status = st;
}

static void field_value(struct assignment *a, const char *name)
{
    val_map_value(&a->map, name, buf_slice(&a->scratch));
    a->scratch.n = 0;
}

static void field_path(struct assignment *a, const char *name, const char *dir, const char *ending)
{
    keep(a, attempt_path(a->d, a->work, a->attempt->id, dir, ending, &a->scratch));
    val_map_string(&a->map, name, buf_slice(&a->scratch));
    a->scratch.n = 0;
}

static void put_strings(struct assignment *a, const char *name, const char *const *strings,
                        size_t count)
{
    keep(a, val_put_array(&a->scratch, count));
    for (size_t i = 0; i < count; i++)
        keep(a, val_put_str(&a->scratch, strings[i]));
    field_value(a, name);
}

static void field_job(struct assignment *a)
{
    const struct run_options *o = a->d->options;
    if (o->job_path) {
        val_map_str(&a->map, "job", o->job_path);
        return;
    }
    struct val_map one = VAL_MAP_EMPTY;
    val_map_str(&one, "map", o->map_code);
    val_map_str(&one, "reduce", o->reduce_code);
    keep(a, val_map_end(&one, &a->scratch));
    field_value(a, "one_liner");
}

/* name → path of every index there is; "previous" is that of the round before. */
static void field_sides(struct assignment *a)
{
    const struct kept_files *k = &a->d->indexes;
    struct val_map sides = VAL_MAP_EMPTY;
    for (size_t i = 0; i < k->count; i++)
        val_map_str(&sides, (const char *)k->files[i].name.p, (const char *)k->files[i].path.p);
    keep(a, val_map_end(&sides, &a->scratch));
    field_value(a, "sides");
}

static void field_previous(struct assignment *a)
{
    struct driver *d = a->d;
    if (d->round < 2)
        return;
    struct val_map previous = VAL_MAP_EMPTY;
    keep(a, counters_put(&d->round_counters, &a->scratch));
    val_map_int(&previous, "round", d->round - 1);
    val_map_value(&previous, "counters", buf_slice(&a->scratch));
    a->scratch.n = 0;
    keep(a, val_map_end(&previous, &a->scratch));
    field_value(a, "previous");
}

/* A stalled server shall be told as such, and not as an attempt without progress. */
static double network_timeout(const struct driver *d)
{
    double half = (double)d->core.limits.progress_timeout / 2e9;
    return half > 0 && half < INPUT_TIMEOUT_SECONDS ? half : INPUT_TIMEOUT_SECONDS;
}

static void common_fields(struct assignment *a)
{
    struct driver *d = a->d;
    char name[TASK_NAME_MAX];
    const struct work *w = a->work;
    double deadline = (double)d->core.limits.task_timeout / 1e9;
    if (deadline > 0 && w->judged.timeout_seconds > deadline)
        deadline = w->judged.timeout_seconds;
    val_map_str(&a->map, "task", task_name(d, a->work, name));
    val_map_int(&a->map, "attempt", a->attempt->id.number);
    val_map_bool(&a->map, "speculative", a->attempt->id.speculative);
    val_map_int(&a->map, "serial", (int64_t)a->attempt->serial);
    val_map_int(&a->map, "step", d->step + 1);
    val_map_int(&a->map, "round", d->round);
    val_map_int(&a->map, "seed", (int64_t)d->seed);
    val_map_int(&a->map, "memory_limit", (int64_t)(w->judged.memory_limit ? w->judged.memory_limit : d->job.memory_limit));
    val_map_float(&a->map, "deadline", deadline);
    val_map_float(&a->map, "network_timeout", network_timeout(d));
    val_map_bool(&a->map, "durable", d->job.durable);
    val_map_bool(&a->map, "to_stdout", d->options->output_dir == NULL);
    field_job(a);
    put_strings(a, "args", (const char *const *)d->options->args, d->options->arg_count);
    field_sides(a);
    if (a->work->kind != WORK_STOP)
        field_previous(a);
}

/* --- parts and runs --- */

static void put_part(struct assignment *a, const struct split_part *p)
{
    struct val_map part = VAL_MAP_EMPTY;
    val_map_str(&part, "path", p->path);
    val_map_int(&part, "from", (int64_t)p->from);
    val_map_int(&part, "to", (int64_t)p->to);
    val_map_int(&part, "size", (int64_t)p->size);
    val_map_int(&part, "input", p->input);
    if (p->whole)
        val_map_bool(&part, "whole", true);
    val_map_str(&part, "secret", p->secret);
    val_map_str(&part, "validator", p->validator);
    keep(a, val_map_end(&part, &a->scratch));
}

static void put_parts(struct assignment *a, const struct split *split)
{
    for (size_t i = 0; i < split->count; i++)
        put_part(a, &split->parts[i]);
}

/* Parts of splits first … first + count − 1. */
static void field_parts(struct assignment *a, size_t first, size_t count)
{
    const struct round_plan *plan = &a->d->plan;
    uint64_t parts = 0;
    for (size_t i = first; i < first + count; i++)
        parts += plan->splits.splits[i].count;
    keep(a, val_put_array(&a->scratch, parts));
    for (size_t i = first; i < first + count; i++)
        put_parts(a, &plan->splits.splits[i]);
    field_value(a, "parts");
    if (plan->reads_pairs) {
        static const uint8_t one_pair_input[] = { VAL_ARRAY, 1, VAL_MAP, 0 };
        val_map_bool(&a->map, "pairs", true);
        val_map_value(&a->map, "inputs", slice_of(one_pair_input, sizeof one_pair_input));
    } else {
        val_map_value(&a->map, "inputs", buf_slice(&a->d->inputs));
    }
}

static void field_kept_parts(struct assignment *a, const struct kept_files *k)
{
    keep(a, val_put_array(&a->scratch, k->count));
    for (size_t i = 0; i < k->count; i++)
        put_part(a, &(struct split_part){ .path = (const char *)k->files[i].path.p,
                                          .to = k->files[i].bytes,
                                          .size = k->files[i].bytes });
    field_value(a, "parts");
}

/* The winning runs of all map tasks but dropped ones, in task order. */
static void field_runs(struct assignment *a)
{
    struct driver *d = a->d;
    struct buf path = BUF_EMPTY;
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->maps; i++)
        count += !d->work[i].dropped;
    keep(a, val_put_array(&a->scratch, count));
    for (uint32_t i = 0; i < d->maps; i++) {
        if (d->work[i].dropped)
            continue;
        keep(a, attempt_path(d, &d->work[i], d->work[i].winner, d->place.work_dir, ".run", &path));
        keep(a, val_put_string(&a->scratch, buf_slice(&path)));
    }
    buf_free(&path);
    field_value(a, "runs");
}

/* The job's output format: of parts, and of mr.output files in every step. */
static void field_format(struct assignment *a)
{
    struct driver *d = a->d;
    if (d->options->output_format)
        val_map_str(&a->map, "output", d->options->output_format);
    else if (d->job.output.n > 0)
        val_map_value(&a->map, "output", d->job.output);
}

/* Where a map-only map or a reduce writes: a part of the output, or typed pairs for the next step
 * or round. */
static void field_output(struct assignment *a)
{
    struct driver *d = a->d;
    field_path(a, "part", part_dir(d), ".part");
    if (!d->plan.is_last && d->at != AT_FORMAT)
        val_map_str(&a->map, "output", "pairs");
    else
        field_format(a);
}

static void field_side_prefix(struct assignment *a)
{
    field_path(a, "side_prefix", a->d->place.stage_dir, "-");
}

static uint32_t group_by(const struct driver *d)
{
    return d->job.steps[d->step].group_by;
}

/* --- kinds --- */

static void put_profile(struct assignment *a, const char *profile)
{
    const struct run_options *o = a->d->options;
    val_map_str(&a->map, "profile", profile);
    put_strings(a, "set", o->set, o->set_count);
}

static void put_describe(struct assignment *a)
{
    put_profile(a, a->d->options->profile);
}

static void put_remote(struct assignment *a)
{
    keep(a, remote_put_files(a->d, a->work->index, &a->scratch));
    field_value(a, "files");
}

static void put_side(struct assignment *a)
{
    struct driver *d = a->d;
    const struct kept_file *index = &d->indexes.files[a->work->index];
    const struct described_side *side = &d->job.sides[a->work->index];
    val_map_str(&a->map, "name", side->name);
    val_map_str(&a->map, "key", side->key);
    val_map_str(&a->map, "index", (const char *)index->path.p);
    keep(a, val_put_array(&a->scratch, 1));
    put_part(a, &(struct split_part){ .path = side->path,
                                      .to = index->bytes,
                                      .size = index->bytes });
    field_value(a, "parts");
    struct val_map input = VAL_MAP_EMPTY;
    if (side->spec.n > 0)
        val_map_value(&input, "input", side->spec);
    keep(a, val_put_array(&a->scratch, 1));
    keep(a, val_map_end(&input, &a->scratch));
    field_value(a, "inputs");
}

static void put_previous(struct assignment *a)
{
    struct driver *d = a->d;
    val_map_str(&a->map, "name", "previous");
    val_map_bool(&a->map, "pairs", true);
    field_path(a, "index", d->place.work_dir, ".index");
    field_kept_parts(a, &d->pairs);
}

static void put_sample(struct assignment *a)
{
    field_parts(a, 0, a->d->plan.splits.count);
    val_map_int(&a->map, "partitions", a->d->plan.partitions);
    val_map_int(&a->map, "group_by", group_by(a->d));
    val_map_int(&a->map, "sample_records", SAMPLE_RECORDS);
}

static void put_map(struct assignment *a)
{
    struct driver *d = a->d;
    field_parts(a, a->work->index, 1);
    val_map_int(&a->map, "partitions", d->plan.partitions);
    val_map_int(&a->map, "sort_buffer", (int64_t)d->sort_buffer);
    val_map_int(&a->map, "group_by", group_by(d));
    val_map_bool(&a->map, "compress", d->options->compress_runs);
    if (d->plan.boundaries.n > 0)
        val_map_value(&a->map, "boundaries", buf_slice(&d->plan.boundaries));
    if (d->plan.partitions > 0) {
        field_path(a, "run", d->place.work_dir, ".run");
        field_format(a);
    } else {
        field_output(a);
    }
    field_side_prefix(a);
    keep(a, task_checkpoint_put(d, (uint32_t)(a->work - d->work), a->attempt, &a->map));
}

static void put_reduce(struct assignment *a)
{
    struct driver *d = a->d;
    field_runs(a);
    val_map_int(&a->map, "partition", a->work->index);
    val_map_int(&a->map, "group_by", group_by(d));
    val_map_int(&a->map, "fan_in", FAN_IN);
    field_path(a, "temporary", d->place.work_dir, ".merge-");
    field_output(a);
    field_side_prefix(a);
}

static void put_stop(struct assignment *a)
{
    struct driver *d = a->d;
    keep(a, counters_put(&d->round_counters, &a->scratch));
    field_value(a, "counters");
    if (d->previous.n > 0)
        val_map_value(&a->map, "previous", buf_slice(&d->previous));
}

/* One task a file of pairs: part numbers stay those of the reduces. */
static void put_format(struct assignment *a)
{
    keep(a, val_put_array(&a->scratch, 1));
    keep(a, val_put_str(&a->scratch, (const char *)a->d->pairs.files[a->work->index].path.p));
    field_value(a, "runs");
    field_output(a);
}

enum status assign_put(struct driver *d, uint32_t task, const struct running *attempt,
                       struct buf *out, struct err *e)
{
    static const struct {
        const char *kind;
        void (*put)(struct assignment *a);
    } kinds[] = {
        [WORK_DESCRIBE] = { "describe", put_describe },
        [WORK_REMOTE] = { "remote", put_remote },
        [WORK_SIDE] = { "side", put_side },
        [WORK_PREVIOUS] = { "side", put_previous },
        [WORK_SAMPLE] = { "sample", put_sample },
        [WORK_MAP] = { "map", put_map },
        [WORK_REDUCE] = { "reduce", put_reduce },
        [WORK_STOP] = { "stop", put_stop },
        [WORK_FORMAT] = { "format", put_format },
    };
    struct assignment a = { d, attempt, &d->work[task], VAL_MAP_EMPTY, BUF_EMPTY, ST_OK };
    val_map_str(&a.map, "kind", kinds[a.work->kind].kind);
    common_fields(&a);
    kinds[a.work->kind].put(&a);
    if (work_is_counted(a.work))
        keep(&a, aside_put(d, a.work, attempt->id, &a.map, e));
    else if (work_has_units(a.work))
        keep(&a, aside_put_skip(a.work, &a.map));
    enum status st = val_map_end(&a.map, out);
    buf_free(&a.scratch);
    st = a.status != ST_OK ? a.status : st;
    return st == ST_OK ? ST_OK : err_memory(e, "an assignment", out->n);
}

enum status assign_policy(struct driver *d, const char *profile, struct buf *out, struct err *e)
{
    const struct run_options *o = d->options;
    struct assignment a = { .d = d, .map = VAL_MAP_EMPTY, .scratch = BUF_EMPTY };
    field_job(&a);
    put_strings(&a, "args", (const char *const *)o->args, o->arg_count);
    put_profile(&a, profile);
    enum status st = val_map_end(&a.map, out);
    buf_free(&a.scratch);
    st = a.status != ST_OK ? a.status : st;
    return st == ST_OK ? ST_OK : err_memory(e, "what the policy host loads", out->n);
}
