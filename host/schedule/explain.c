#include "schedule/explain.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdarg.h>
#include <stdio.h>

/* --- lists --- */

static void *grow(struct explain *x, void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    size_t more = *capacity ? 2 * *capacity : 16;
    void *grown = sys_realloc(list, more * size);
    if (grown)
        *capacity = more;
    else
        x->status = ST_MEMORY;
    return grown ? grown : list;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The group of this fate and reason; a new one keeps a copy of the reason. NULL: memory is out. */
static struct resume_group *group_of(struct explain *x, enum resume_fate fate, const char *reason)
{
    for (size_t i = 0; i < x->group_count; i++)
        if (x->groups[i].fate == fate && same_text(x->groups[i].reason, reason))
            return &x->groups[i];
    x->groups = grow(x, x->groups, x->group_count, &x->group_capacity, sizeof *x->groups);
    const char *copy = reason ? arena_strdup(&x->arena, reason) : NULL;
    if (reason && !copy)
        x->status = ST_MEMORY;
    if (x->status != ST_OK)
        return NULL;
    x->groups[x->group_count] = (struct resume_group){ fate, copy, 0, 0 };
    return &x->groups[x->group_count++];
}

void explain_task(struct explain *x, const char *name, enum resume_fate fate, double cpu_seconds,
                  const char *reason)
{
    struct resume_group *g = group_of(x, fate, reason);
    x->tasks = grow(x, x->tasks, x->task_count, &x->task_capacity, sizeof *x->tasks);
    const char *copy = arena_strdup(&x->arena, name);
    if (!copy)
        x->status = ST_MEMORY;
    if (!g || x->status != ST_OK)
        return;
    x->tasks[x->task_count++] = (struct resume_task){ copy, fate, cpu_seconds, g->reason };
    g->tasks++;
    g->cpu_seconds += cpu_seconds;
}

void explain_note(struct explain *x, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    x->notes = grow(x, x->notes, x->note_count, &x->note_capacity, sizeof *x->notes);
    const char *copy = arena_strdup(&x->arena, text);
    if (!copy)
        x->status = ST_MEMORY;
    if (x->status == ST_OK)
        x->notes[x->note_count++] = copy;
}

void explain_free(struct explain *x)
{
    sys_free(x->tasks);
    sys_free(x->groups);
    sys_free(x->notes);
    buf_free(&x->text);
    arena_free(&x->arena);
    *x = (struct explain){ .arena = ARENA_EMPTY };
}

/* --- words --- */

char *explain_time(double cpu_seconds, char out[EXPLAIN_TIME_MAX])
{
    static const struct {
        double least, seconds;
        const char *name;
    } units[] = { { 3600, 3600, "CPU-h" }, { 60, 60, "CPU-min" }, { 0, 1, "CPU-s" } };
    char whole[SIZE_TEXT_MAX];
    size_t u = 0;
    while (cpu_seconds < units[u].least)
        u++;
    double n = cpu_seconds / units[u].seconds;
    if (n >= 100)
        (void)snprintf(out, EXPLAIN_TIME_MAX, "%s %s", count_format((uint64_t)(n + 0.5), whole),
                       units[u].name);
    else
        (void)snprintf(out, EXPLAIN_TIME_MAX, n < 0.1 ? "%.3f %s" : n < 1 ? "%.2f %s" : "%.1f %s", n, units[u].name);
    return out;
}

const char *explain_fate(enum resume_fate fate)
{
    static const char *const names[] = { [RESUME_REUSE] = "reuse",
                                         [RESUME_AGAIN] = "run again",
                                         [RESUME_NEVER] = "never ran",
                                         [RESUME_LEFT_OUT] = "left out" };
    return names[fate];
}

struct total {
    uint64_t tasks;
    double cpu_seconds;
    size_t groups;
};

static struct total total_of(const struct explain *x, enum resume_fate fate)
{
    struct total t = { 0, 0, 0 };
    for (size_t i = 0; i < x->group_count; i++)
        if (x->groups[i].fate == fate) {
            t.tasks += x->groups[i].tasks;
            t.cpu_seconds += x->groups[i].cpu_seconds;
            t.groups++;
        }
    return t;
}

static const char *only_reason(const struct explain *x, enum resume_fate fate)
{
    for (size_t i = 0; i < x->group_count; i++)
        if (x->groups[i].fate == fate)
            return x->groups[i].reason;
    return NULL;
}

static enum status put_time(struct buf *out, double cpu_seconds)
{
    char took[EXPLAIN_TIME_MAX];
    return cpu_seconds > 0 ? buf_printf(out, " (%s)", explain_time(cpu_seconds, took)) : ST_OK;
}

/* "32 run again: reduce changed, job.lua:41 (4.0 CPU-min)" */
static enum status put_total(const struct explain *x, enum resume_fate fate, struct buf *out)
{
    char count[SIZE_TEXT_MAX];
    struct total t = total_of(x, fate);
    if (t.tasks == 0 && fate != RESUME_REUSE)
        return ST_OK;
    bool is_first = fate == RESUME_REUSE;
    enum status st = buf_printf(out, "%s%s%s %s", is_first ? "" : "; ", count_format(t.tasks, count),
                                !is_first ? "" : t.tasks == 1 ? " task" : " tasks", explain_fate(fate));
    const char *reason = t.groups == 1 ? only_reason(x, fate) : NULL;
    if (st == ST_OK && reason)
        st = buf_printf(out, ": %s", reason);
    return st == ST_OK ? put_time(out, t.cpu_seconds) : st;
}

static enum status put_groups(const struct explain *x, enum resume_fate fate, struct buf *out)
{
    char count[SIZE_TEXT_MAX];
    enum status st = ST_OK;
    if (total_of(x, fate).groups < 2)
        return ST_OK;
    for (size_t i = 0; i < x->group_count && st == ST_OK; i++) {
        const struct resume_group *g = &x->groups[i];
        if (g->fate != fate)
            continue;
        st = buf_printf(out, "\n  %s %s: %s", count_format(g->tasks, count), explain_fate(fate),
                        g->reason ? g->reason : "no reason is known");
        if (st == ST_OK)
            st = put_time(out, g->cpu_seconds);
    }
    return st;
}

enum status explain_end(struct explain *x, struct err *e)
{
    enum status st = x->status;
    x->text.n = 0;
    for (int fate = RESUME_REUSE; fate <= RESUME_LEFT_OUT && st == ST_OK; fate++)
        st = put_total(x, (enum resume_fate)fate, &x->text);
    if (st == ST_OK)
        st = put_groups(x, RESUME_AGAIN, &x->text);
    for (size_t i = 0; i < x->note_count && st == ST_OK; i++)
        st = buf_printf(&x->text, "\n  %s", x->notes[i]);
    if (st == ST_OK)
        st = buf_terminate(&x->text);
    return st == ST_OK ? st : err_memory(e, "what a resume does", x->text.n);
}

void explain_view(const struct explain *x, const char *job_id, struct resume_view *out)
{
    *out = (struct resume_view){ .job_id = job_id,
                                 .text = (const char *)x->text.p,
                                 .tasks = x->tasks,
                                 .task_count = x->task_count,
                                 .groups = x->groups,
                                 .group_count = x->group_count,
                                 .notes = (const char *const *)x->notes,
                                 .note_count = x->note_count };
}
