/* plan.c: what a job will do, worked out before it does it, from inputs and options alone. */
#include "schedule/driver.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdio.h>
#include <unistd.h>
#include <xxhash.h>

enum { REDUCE_BYTES = 64 << 20, REDUCERS_BY_SIZE_MAX = 64, COMPRESSED_FACTOR = 4 };

static enum status no_memory(struct err *e, size_t bytes)
{
    return err_memory(e, "the plan", bytes);
}

/* --- inputs --- */

static const struct slice text_format = { (const uint8_t *)"\1", 1 }; /* VAL_NULL */

/* The spec of inputs that bring none: --input, else the job's. In the arena or borrowed. */
static enum status default_spec(struct driver *d, struct slice *out)
{
    *out = d->job.default_input.n > 0 ? d->job.default_input : text_format;
    if (!d->options->input_format)
        return ST_OK;
    struct buf value = BUF_EMPTY;
    enum status st = val_put_str(&value, d->options->input_format);
    char *copy = st == ST_OK ? arena_strndup(&d->arena, (const char *)value.p, value.n) : NULL;
    *out = slice_of(copy, value.n);
    buf_free(&value);
    return copy ? ST_OK : ST_MEMORY;
}

/* Entry of the assignments' `inputs`: `entry` is the job's own input_files entry, −1 for a name
 * from the command line. */
static enum status put_input(struct driver *d, size_t i, struct slice spec, struct slice tag,
                             int64_t entry, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_value(&m, "input", spec);
    if (tag.n > 0)
        val_map_value(&m, "tag", tag);
    if (entry >= 0)
        val_map_int(&m, "entry", entry);
    enum status st = val_map_end(&m, &d->inputs);
    return st == ST_OK ? input_spec_parse(spec, &d->arena, &d->specs[i], e) : no_memory(e, spec.n);
}

static enum status take_job_inputs(struct driver *d, struct slice fallback, struct err *e)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < d->job.input_count && st == ST_OK; i++) {
        const struct described_input *in = &d->job.inputs[i];
        d->names[i] = (struct input_name){ in->path, (uint32_t)i };
        st = put_input(d, i, in->spec.n > 0 ? in->spec : fallback, in->tag, (int64_t)i, e);
    }
    return st;
}

static enum status take_given_inputs(struct driver *d, struct slice fallback, struct err *e)
{
    for (size_t i = 0; i < d->options->input_count; i++)
        d->names[i] = (struct input_name){ d->options->inputs[i], 0 };
    if (d->options->input_count == 0)
        d->names[0] = (struct input_name){ "-", 0 };
    return put_input(d, 0, fallback, slice_of(NULL, 0), -1, e);
}

static enum status find_stdin(struct driver *d, struct err *e)
{
    for (size_t i = 0; i < d->name_count; i++) {
        if (strcmp(d->names[i].path, "-") != 0)
            continue;
        if (d->has_stdin)
            return err_set(e, ST_USAGE, "standard input (-) is named twice; it can be read once");
        d->has_stdin = true;
    }
    return ST_OK;
}

/* The names before and after "-" must hold before anything is started. */
static enum status expand(struct driver *d, struct err *e)
{
    if (!d->has_stdin)
        return inputs_expand(d->names, d->name_count, &d->arena, &d->files, e);
    struct arena scratch = ARENA_EMPTY;
    struct input_files files = { NULL, 0 };
    enum status st = ST_OK;
    for (size_t i = 0; i < d->name_count && st == ST_OK; i++)
        if (strcmp(d->names[i].path, "-") != 0)
            st = inputs_expand(&d->names[i], 1, &scratch, &files, e);
    arena_free(&scratch);
    return st;
}

enum status plan_inputs(struct driver *d, struct err *e)
{
    bool given = d->options->input_count > 0 || d->job.input_count == 0;
    struct slice fallback;
    if (!d->restore && d->options->input_count == 0 && d->job.input_count == 0 &&
        isatty(STDIN_FILENO))
        return err_set(
            e, ST_USAGE,
            "no input: name files after the job, give the job input_files, or pipe into it");
    d->name_count = given ? (d->options->input_count ? d->options->input_count : 1)
                          : d->job.input_count;
    d->spec_count = given ? 1 : d->job.input_count;
    d->names = arena_alloc(&d->arena, d->name_count * sizeof *d->names);
    d->specs = arena_alloc(&d->arena, d->spec_count * sizeof *d->specs);
    if (!d->names || !d->specs || default_spec(d, &fallback) != ST_OK ||
        val_put_array(&d->inputs, d->spec_count) != ST_OK)
        return no_memory(e, d->name_count * sizeof *d->names);
    enum status st = given ? take_given_inputs(d, fallback, e) : take_job_inputs(d, fallback, e);
    if (st == ST_OK)
        st = find_stdin(d, e);
    return st == ST_OK ? expand(d, e) : st;
}

enum status plan_settings(struct driver *d, struct err *e)
{
    const struct run_options *o = d->options;
    uint64_t split = o->split_size ? o->split_size : d->job.split_size;
    uint64_t buffer = o->sort_buffer ? o->sort_buffer : d->job.sort_buffer;
    d->split_size = split ? split : SPLIT_SIZE_DEFAULT;
    d->sort_buffer = buffer ? buffer : SORT_BUFFER_DEFAULT;
    d->seed = o->has_seed ? o->seed : d->job.has_seed ? d->job.seed : 0;
    for (uint32_t s = 0; s < d->job.step_count; s++)
        if (d->job.steps[s].total_order && d->job.steps[s].reducers == 0)
            return err_set(e, ST_USAGE, "total_order needs reducers; the job says reducers = 0");
    return ST_OK;
}

/* --- a round --- */

static enum status pair_splits(struct driver *d, const struct kept_files *pairs, struct err *e)
{
    struct round_plan *plan = &d->plan;
    struct input_spec spec = { .format = IN_PAIRS, .max_record = MAX_RECORD_DEFAULT };
    struct input_file *files = arena_alloc(&plan->arena, (pairs->count + 1) * sizeof *files);
    if (!files)
        return no_memory(e, pairs->count * sizeof *files);
    for (size_t i = 0; i < pairs->count; i++)
        files[i] = (struct input_file){ .path = (const char *)pairs->files[i].path.p,
                                        .size = pairs->files[i].bytes };
    struct input_files list = { files, pairs->count };
    plan->reads_pairs = true;
    return splits_plan(&list, &spec, d->split_size, &plan->arena, &plan->splits, e);
}

static uint32_t reducers_by_size(uint64_t bytes)
{
    uint64_t n = (bytes + REDUCE_BYTES - 1) / REDUCE_BYTES;
    return n < 1 ? 1 : n > REDUCERS_BY_SIZE_MAX ? REDUCERS_BY_SIZE_MAX : (uint32_t)n;
}

/* A step that the job made map-only stays so whatever --reducers says. */
static uint32_t choose_partitions(const struct driver *d)
{
    int64_t wanted = d->job.steps[d->step].reducers;
    if (wanted != 0 && d->options->reducers >= 0)
        wanted = d->options->reducers;
    return wanted >= 0 ? (uint32_t)wanted : reducers_by_size(d->plan.input_bytes);
}

void plan_round_free(struct round_plan *plan)
{
    arena_free(&plan->arena);
    buf_free(&plan->boundaries);
    *plan = (struct round_plan){ .arena = ARENA_EMPTY, .boundaries = BUF_EMPTY };
}

static bool is_last_round(const struct driver *d)
{
    const struct described_step *step = &d->job.steps[d->step];
    return d->step + 1 == d->job.step_count && (!step->iterates || d->round == step->max_rounds);
}

enum status plan_round(struct driver *d, struct err *e)
{
    const struct described_step *step = &d->job.steps[d->step];
    bool from_start = d->round <= 1 || step->reread;
    enum status st;
    plan_round_free(&d->plan);
    if (!from_start)
        st = pair_splits(d, &d->pairs, e);
    else if (d->step > 0)
        st = pair_splits(d, &d->step_input, e);
    else
        st = splits_plan(&d->files, d->specs, d->split_size, &d->plan.arena, &d->plan.splits, e);
    for (size_t i = 0; st == ST_OK && i < d->plan.splits.count; i++)
        d->plan.input_bytes += d->plan.splits.splits[i].bytes;
    d->plan.is_last = is_last_round(d);
    d->plan.partitions = choose_partitions(d);
    return st;
}

/* --- the journal --- */

static void journal_splits(struct driver *d, const struct split *split, const char *task)
{
    struct journal_place place = { d->step + 1, d->round, task };
    for (size_t i = 0; i < split->count; i++) {
        const struct split_part *p = &split->parts[i];
        journal_split(d->journal, &place, (uint32_t)i, p->path, p->from, p->to, p->size,
                      p->mtime);
    }
}

/* The description but for the fingerprints: what a function does is none of the plan. */
static void hash_description(XXH3_state_t *state, const struct description *job)
{
    struct slice all = buf_slice(&job->encoded), without = job->fingerprints;
    size_t before = without.n > 0 ? (size_t)(without.p - all.p) : all.n;
    (void)XXH3_64bits_update(state, all.p, before);
    (void)XXH3_64bits_update(state, all.p + before + without.n, all.n - before - without.n);
}

static void hash_plan(struct driver *d)
{
    XXH3_state_t *state = XXH3_createState();
    if (!state || XXH3_64bits_reset(state) != XXH_OK)
        return;
    const uint64_t settings[] = { d->split_size, d->sort_buffer, d->seed, d->plan.partitions,
                                  d->plan.splits.count };
    hash_description(state, &d->job);
    (void)XXH3_64bits_update(state, settings, sizeof settings);
    for (size_t i = 0; i < d->files.count; i++) {
        (void)XXH3_64bits_update(state, d->files.files[i].path, strlen(d->files.files[i].path) + 1);
        (void)XXH3_64bits_update(state, &d->files.files[i].size, sizeof d->files.files[i].size);
        if (d->files.files[i].validator)
            (void)XXH3_64bits_update(state, d->files.files[i].validator,
                                     strlen(d->files.files[i].validator));
    }
    d->plan_hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
}

void plan_journal(struct driver *d)
{
    char name[TASK_NAME_MAX];
    if (d->step == 0 && d->round <= 1) {
        hash_plan(d);
        journal_job_number(d->journal, "plan_hash", d->plan_hash);
    }
    journal_step(d->journal, d->step + 1, d->round, (uint32_t)d->plan.splits.count,
                 d->plan.partitions, buf_slice(&d->plan.boundaries));
    for (size_t i = 0; i < d->plan.splits.count; i++) {
        struct work w = { .kind = WORK_MAP, .index = (uint32_t)i };
        journal_splits(d, &d->plan.splits.splits[i], task_name(d, &w, name));
    }
}

/* --- space --- */

/* Input bytes, compressed ones taken as what they may become; those nobody knows are not there. */
static uint64_t expanded_bytes(const struct driver *d)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < d->files.count; i++) {
        const struct input_file *f = &d->files.files[i];
        if (f->size != INPUT_SIZE_UNKNOWN)
            bytes += f->size * (input_is_compressed(f->path) ? COMPRESSED_FACTOR : 1);
    }
    return bytes;
}

/* What maps emit: half as much again as they read. A map that emits each word of a line with a count
 * comes near that, for a pair has two bytes of lengths, its value and the ends of its key beside the
 * bytes of the word; one that emits whole lines, or less than it reads, stays below. Only a map that
 * gives more than it gets (a line twice, all pairs of its words) needs more, which nobody can know
 * before it runs. A combine often leaves a small part of it, or all: the bound is the same. */
static uint64_t pair_bytes(const struct driver *d)
{
    uint64_t bytes = expanded_bytes(d);
    return bytes + bytes / 2;
}

/* Reduces merge in passes, each of which writes its pairs again, when there are more sorted segments
 * than they open at a time. */
static bool merges_in_passes(const struct driver *d)
{
    uint64_t segment = d->split_size < d->sort_buffer ? d->split_size : d->sort_buffer;
    return pair_bytes(d) / segment > FAN_IN;
}

static bool shuffles(const struct driver *d)
{
    for (uint32_t s = 0; s < d->job.step_count; s++)
        if (d->job.steps[s].reducers != 0 && (s > 0 || d->options->reducers != 0))
            return true;
    return false;
}

/* What stands in the work directory at a time: all runs of a step, once more while they are merged in
 * passes; with several steps or rounds the pairs read and the pairs written; and a result for standard
 * output, before it goes there. Compressed runs are counted as if they were not. */
uint64_t plan_space(const struct driver *d)
{
    uint64_t pairs = pair_bytes(d), bytes = 0;
    if (shuffles(d))
        bytes += merges_in_passes(d) ? 2 * pairs : pairs;
    if (d->job.step_count > 1 || d->job.steps[0].iterates)
        bytes += 2 * pairs;
    return d->options->output_dir ? bytes : bytes + plan_output_space(d);
}

/* A result as large as the input. */
uint64_t plan_output_space(const struct driver *d)
{
    return expanded_bytes(d);
}

bool plan_shares_disk(const struct driver *d, const char *work_dir)
{
    return d->place.output_dir && sys_same_filesystem(work_dir, d->place.output_dir);
}

void plan_warn_of_space(struct driver *d)
{
    char needed[SIZE_TEXT_MAX], there[SIZE_TEXT_MAX];
    bool both = plan_shares_disk(d, d->place.work_dir);
    uint64_t need = plan_space(d) + (both ? plan_output_space(d) : 0), space = 0;
    if (sys_free_space(d->place.work_dir, &space, NULL) == ST_OK && need > space)
        report_warning(d,
                       "the job may need up to %s for its runs%s, and %s has %s free; --work-dir "
                       "names another place for runs",
                       size_format(need, needed), both ? " and its result" : "", d->place.work_dir,
                       size_format(space, there));
}
