/* dryrun.c: the plan as --dry-run shows it. */
#include "schedule/driver.h"

#include "base/sys.h"

/* Laid out like the elements of job_plan_view.inputs. */
struct planned_input {
    const char *path;
    uint64_t size, splits;
};

/* Counts the splits that read each file. Parts come in the order of the files; the start of a file
 * that comes again is its next listing. */
static void count_splits(const struct driver *d, struct planned_input *inputs)
{
    size_t file = 0;
    for (size_t s = 0; s < d->plan.splits.count; s++) {
        const struct split *split = &d->plan.splits.splits[s];
        for (size_t p = 0; p < split->count; p++) {
            const struct split_part *part = &split->parts[p];
            if (part->from == 0 && file < d->files.count && inputs[file].splits > 0)
                file++;
            while (file < d->files.count && strcmp(inputs[file].path, part->path) != 0)
                file++;
            if (file == d->files.count)
                return;
            inputs[file].splits++;
        }
    }
}

static enum status list_inputs(struct driver *d, struct planned_input **out, size_t *count,
                               struct err *e)
{
    size_t n = d->files.count;
    struct planned_input *inputs = arena_alloc(&d->arena, (n + 1) * sizeof *inputs);
    if (!inputs)
        return err_memory(e, "the plan", n * sizeof *inputs);
    for (size_t i = 0; i < n; i++)
        inputs[i] = (struct planned_input){ d->files.files[i].path, d->files.files[i].size, 0 };
    count_splits(d, inputs);
    if (d->has_stdin)
        inputs[n++] =
            (struct planned_input){ "standard input (its size is not known before it ends)", 0, 0 };
    *out = inputs;
    *count = n;
    return ST_OK;
}

static const char *work_base(const struct driver *d)
{
    const struct place *p = &d->place;
    return p->work_base ? p->work_base : p->output_dir ? p->output_dir : p->state_dir;
}

enum status dryrun_show(struct driver *d, struct err *e)
{
    struct planned_input *inputs = NULL;
    struct job_plan_view view = { .job_name = d->job.job_name };
    enum status st = list_inputs(d, &inputs, &view.input_count, e);
    if (st != ST_OK || !d->observer->plan)
        return st;
    view.inputs = (const void *)inputs;
    view.files = d->files.count;
    for (size_t i = 0; i < d->files.count; i++)
        if (d->files.files[i].size != INPUT_SIZE_UNKNOWN)
            view.bytes += d->files.files[i].size;
    view.splits = view.map_tasks = d->plan.splits.count;
    view.reduce_tasks = d->plan.partitions;
    view.split_size = d->split_size;
    view.sort_buffer = d->sort_buffer;
    view.seed = d->seed;
    view.steps = d->job.step_count;
    view.workers = d->workers;
    view.work_dir = work_base(d);
    view.output_dir = d->place.output_dir ? d->place.output_dir : "";
    view.state_dir = d->place.state_dir;
    view.profile = d->options->profile ? d->options->profile : "production";
    view.space_needed = plan_space(d);
    (void)sys_free_space(view.work_dir, &view.space_free, NULL);
    if (d->place.output_dir) {
        view.output_needed = plan_output_space(d);
        (void)sys_free_space(d->place.output_dir, &view.output_free, NULL);
        view.one_disk = plan_shares_disk(d, view.work_dir);
    }
    d->observer->plan(d->observer->context, &view);
    return ST_OK;
}
