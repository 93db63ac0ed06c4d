/* resume_text.c: what `lmr resume --dry-run` and `--tasks` print. */
#include "cli/json_text.h"
#include "cli/report.h"
#include "schedule/explain.h"

#include <stdio.h>

static size_t longest_name(const struct resume_view *view)
{
    size_t longest = sizeof "task" - 1;
    for (size_t i = 0; i < view->task_count; i++) {
        size_t n = strlen(view->tasks[i].task);
        longest = n > longest ? n : longest;
    }
    return longest;
}

void resume_tasks(struct text *t, const struct resume_view *view)
{
    char took[EXPLAIN_TIME_MAX], reason[1024];
    int width = (int)longest_name(view);
    text_printf(t, "%-*s  %-9s  %13s  %s\n", width, "task", "state", "CPU before", "reason");
    for (size_t i = 0; i < view->task_count; i++) {
        const struct resume_task *task = &view->tasks[i];
        (void)snprintf(reason, sizeof reason, "%s%s", task->reason ? "  " : "",
                       task->reason ? task->reason : "");
        columns_disarm(reason);
        bool ran = task->cpu_seconds > 0;
        text_printf(t, "%-*s  %-9s  %13s%s\n", width, task->task, explain_fate(task->fate),
                    ran ? explain_time(task->cpu_seconds, took) : "-", reason);
    }
}

/* Line by line: a reason may name what a hostile file is called. */
static void add_lines(struct text *t, const char *lines)
{
    char line[2048];
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), lines);
        columns_disarm(line);
        text_printf(t, "%s\n", line);
        lines += n + (lines[n] == '\n');
    }
}

void resume_write(struct text *t, const struct resume_view *view, bool tasks)
{
    text_printf(t, "%s: ", view->job_id);
    add_lines(t, view->text);
    if (tasks) {
        text_add(t, "\n");
        resume_tasks(t, view);
        text_add(t, "\n");
    }
    text_add(t, "Dry run: nothing was changed. The same command without --dry-run goes on with the job.\n");
}

static void json_group(struct text *t, const struct resume_group *g)
{
    json_open(t, NULL, '{');
    json_string(t, "state", explain_fate(g->fate));
    json_string(t, "reason", g->reason);
    json_count(t, "tasks", g->tasks);
    json_number(t, "cpu_seconds", g->cpu_seconds);
    json_close(t, '}');
}

static void json_task(struct text *t, const struct resume_task *task)
{
    json_open(t, NULL, '{');
    json_string(t, "task", task->task);
    json_string(t, "state", explain_fate(task->fate));
    json_string(t, "reason", task->reason);
    json_number(t, "cpu_seconds", task->cpu_seconds);
    json_close(t, '}');
}

static uint64_t count_of(const struct resume_view *view, enum resume_fate fate, double *cpu)
{
    uint64_t tasks = 0;
    *cpu = 0;
    for (size_t i = 0; i < view->group_count; i++)
        if (view->groups[i].fate == fate) {
            tasks += view->groups[i].tasks;
            *cpu += view->groups[i].cpu_seconds;
        }
    return tasks;
}

static void json_totals(struct text *t, const struct resume_view *view)
{
    double cpu;
    json_count(t, "reuse", count_of(view, RESUME_REUSE, &cpu));
    json_number(t, "reuse_cpu_seconds", cpu);
    json_count(t, "run_again", count_of(view, RESUME_AGAIN, &cpu));
    json_number(t, "run_again_cpu_seconds", cpu);
    json_count(t, "never_ran", count_of(view, RESUME_NEVER, &cpu));
    json_count(t, "left_out", count_of(view, RESUME_LEFT_OUT, &cpu));
}

void resume_json(struct text *t, const struct resume_view *view, bool tasks)
{
    json_open(t, NULL, '{');
    json_string(t, "job", view->job_id);
    json_totals(t, view);
    json_open(t, "groups", '[');
    for (size_t i = 0; i < view->group_count; i++)
        json_group(t, &view->groups[i]);
    json_close(t, ']');
    json_open(t, "notes", '[');
    for (size_t i = 0; i < view->note_count; i++)
        json_string(t, NULL, view->notes[i]);
    json_close(t, ']');
    if (tasks) {
        json_open(t, "tasks", '[');
        for (size_t i = 0; i < view->task_count; i++)
            json_task(t, &view->tasks[i]);
        json_close(t, ']');
    }
    json_close(t, '}');
    text_add(t, "\n");
}
