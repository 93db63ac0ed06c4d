/* explain.h: what a resume will do, in words: which tasks are reused, which run again and why, and the
 * CPU time of both.
 *
 * Pure: tasks and sentences in, groups and a text out. Start zeroed, end with explain_free. A failed
 * allocation is remembered and given by explain_end. */
#ifndef LMR_SCHEDULE_EXPLAIN_H
#define LMR_SCHEDULE_EXPLAIN_H

#include "base/arena.h"
#include "schedule/job.h"

struct explain {
    struct arena arena;
    struct resume_task *tasks;
    size_t task_count, task_capacity;
    struct resume_group *groups;
    size_t group_count, group_capacity;
    const char **notes;
    size_t note_count, note_capacity;
    struct buf text; /* after explain_end; NUL-terminated, lines */
    enum status status;
};

/* A task. Name and reason (or NULL) are copied. */
void explain_task(struct explain *x, const char *name, enum resume_fate fate, double cpu_seconds,
                  const char *reason);
/* A sentence that stands below the numbers. */
void explain_note(struct explain *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes the text: one line, or more when there are several reasons:
 *   9,812 tasks reuse (6.1 CPU-h); 32 run again: reduce changed, job.lua:41 (4.0 CPU-min) */
enum status explain_end(struct explain *x, struct err *e);
void explain_view(const struct explain *x, const char *job_id, struct resume_view *out);
void explain_free(struct explain *x);

enum { EXPLAIN_TIME_MAX = 40 };
/* "0.35 CPU-s", "4.2 CPU-min", "6.1 CPU-h"; returns `out`. */
char *explain_time(double cpu_seconds, char out[EXPLAIN_TIME_MAX]);
/* "reuse", "run again", "never ran", "left out". */
const char *explain_fate(enum resume_fate fate);

#endif
