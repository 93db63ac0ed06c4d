/* plan.c: what a dry run prints. */
#include "base/size.h"
#include "cli/json_text.h"
#include "cli/report.h"

#include <inttypes.h>
#include <stdio.h>

enum { INPUTS_SHOWN = 20, LABEL_COLUMN = 14 };

static void add_label(struct text *t, const char *label)
{
    text_printf(t, "%-*s", LABEL_COLUMN, label);
}

static void add_field(struct text *t, const char *label, const char *value)
{
    char shown[1024];
    (void)snprintf(shown, sizeof shown, "%s", value);
    columns_disarm(shown);
    add_label(t, label);
    text_printf(t, "%s\n", shown);
}

static void add_count(struct text *t, const char *label, uint64_t count)
{
    char number[SIZE_TEXT_MAX];
    add_field(t, label, count_format(count, number));
}

static void add_size(struct text *t, const char *label, uint64_t bytes)
{
    char number[SIZE_TEXT_MAX];
    add_field(t, label, size_format(bytes, number));
}

static void add_inputs(struct text *t, const struct job_plan_view *plan)
{
    char number[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX], path[1024];
    add_label(t, "inputs");
    text_printf(t, "%s %s, %s\n", count_format(plan->files, number),
                plan->files == 1 ? "file" : "files", size_format(plan->bytes, size));
    size_t shown = plan->input_count <= INPUTS_SHOWN ? plan->input_count : INPUTS_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        (void)snprintf(path, sizeof path, "%s", plan->inputs[i].path);
        columns_disarm(path);
        bool known = plan->inputs[i].size != UINT64_MAX;
        text_printf(t, "  %9s  %s", known ? size_format(plan->inputs[i].size, size) : "?", path);
        if (plan->inputs[i].splits > 1)
            text_printf(t, "  (%s splits)", count_format(plan->inputs[i].splits, number));
        text_add(t, "\n");
    }
    if (shown < plan->input_count)
        text_printf(t, "             … and %s more\n",
                    count_format(plan->input_count - shown, number));
}

static void add_space(struct text *t, const char *label, const char *where, uint64_t needed,
                      uint64_t space, bool enough)
{
    char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], line[1024];
    (void)snprintf(line, sizeof line, "up to %s needed, %s free in %s%s", size_format(needed, a),
                   size_format(space, b), where, enough ? "" : ": NOT ENOUGH");
    add_field(t, label, line);
}

static bool present(const char *text)
{
    return text && text[0];
}

void plan_write(struct text *t, const struct job_plan_view *plan)
{
    char seed[SIZE_TEXT_MAX];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, plan->seed);
    add_field(t, "job", present(plan->job_name) ? plan->job_name : "(no name)");
    add_inputs(t, plan);
    add_count(t, "splits", plan->splits);
    if (plan->steps > 1)
        add_count(t, "steps", plan->steps);
    add_count(t, "map tasks", plan->map_tasks);
    add_count(t, "reduce tasks", plan->reduce_tasks);
    add_count(t, "workers", plan->workers);
    add_size(t, "split size", plan->split_size);
    add_size(t, "sort buffer", plan->sort_buffer);
    add_field(t, "seed", seed);
    add_field(t, "profile", present(plan->profile) ? plan->profile : "production");
    add_field(t, "state", present(plan->state_dir) ? plan->state_dir : "?");
    uint64_t both = plan->space_needed + plan->output_needed;
    bool runs_fit = (plan->one_disk ? both : plan->space_needed) <= plan->space_free;
    bool output_fits = (plan->one_disk ? both : plan->output_needed) <= plan->output_free;
    add_space(t, "runs", present(plan->work_dir) ? plan->work_dir : "?", plan->space_needed,
              plan->space_free, runs_fit);
    if (present(plan->output_dir))
        add_space(t, "output", plan->output_dir, plan->output_needed, plan->output_free,
                  output_fits);
    else
        add_field(t, "output", "standard output");
    text_add(t, "Dry run: nothing was started. The same command without --dry-run runs the job.\n");
}

static void json_inputs(struct text *t, const struct job_plan_view *plan)
{
    json_open(t, "inputs", '[');
    for (size_t i = 0; i < plan->input_count; i++) {
        json_open(t, NULL, '{');
        json_string(t, "path", plan->inputs[i].path);
        if (plan->inputs[i].size == UINT64_MAX)
            json_string(t, "size", NULL);
        else
            json_count(t, "size", plan->inputs[i].size);
        json_count(t, "splits", plan->inputs[i].splits);
        json_close(t, '}');
    }
    json_close(t, ']');
}

void plan_json(struct text *t, const struct job_plan_view *plan)
{
    json_open(t, NULL, '{');
    json_string(t, "job", plan->job_name);
    json_inputs(t, plan);
    json_count(t, "files", plan->files);
    json_count(t, "bytes", plan->bytes);
    json_count(t, "splits", plan->splits);
    json_count(t, "map_tasks", plan->map_tasks);
    json_count(t, "reduce_tasks", plan->reduce_tasks);
    json_count(t, "steps", plan->steps);
    json_count(t, "workers", plan->workers);
    json_count(t, "split_size", plan->split_size);
    json_count(t, "sort_buffer", plan->sort_buffer);
    json_count(t, "seed", plan->seed);
    json_string(t, "profile", plan->profile);
    json_string(t, "state_dir", plan->state_dir);
    json_string(t, "work_dir", plan->work_dir);
    json_string(t, "output", present(plan->output_dir) ? plan->output_dir : NULL);
    json_count(t, "space_needed", plan->space_needed);
    json_count(t, "space_free", plan->space_free);
    json_count(t, "output_needed", plan->output_needed);
    json_count(t, "output_free", plan->output_free);
    json_close(t, '}');
    text_add(t, "\n");
}
