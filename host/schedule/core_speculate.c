/* core_speculate.c: which attempt gets a backup. The rule stands in core.h. */
#include "schedule/core_internal.h"

#include "base/sys.h"

#include <math.h>

enum { LEAST_TASKS = 3, SLOTS_A_BACKUP = 10 };
static const int64_t least_elapsed = 1000000000;

/* Puts the nth smallest in its place and returns it; smaller ones stand before it. (C. A. R. Hoare,
 * "Algorithm 65: Find", CACM 4(7), 1961.) */
static int64_t find_nth(int64_t *values, uint32_t count, uint32_t nth)
{
    int64_t low = 0, high = (int64_t)count - 1;
    while (low < high) {
        int64_t pivot = values[low + (high - low) / 2], i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i > j)
                break;
            int64_t swapped = values[i];
            values[i++] = values[j];
            values[j--] = swapped;
        }
        if (nth <= j)
            high = j;
        else if (nth >= i)
            low = i;
        else
            break;
    }
    return values[nth];
}

/* Of the durations in the stage; of two in the middle, the greater one. */
static int64_t median(struct core *c)
{
    if (c->median_of != c->duration_count) {
        c->median = find_nth(c->durations, c->duration_count, c->duration_count / 2);
        c->median_of = c->duration_count;
    }
    return c->median;
}

static bool is_due(const struct core *c, int64_t now)
{
    if (c->waiting == 0)
        return false;
    for (uint32_t i = 0; i < c->task_count; i++)
        if (c->tasks[i].state == TASK_BACKOFF && c->tasks[i].due <= now)
            return true;
    return false;
}

/* Nanoseconds, as a double: a slow start gives more than 64 bits hold. */
static double time_left(const struct core_slot *s, int64_t elapsed)
{
    if (s->fraction < 0)
        return (double)elapsed;
    if (s->fraction >= 1)
        return 0;
    return s->fraction > 0 ? (double)elapsed * (1 - s->fraction) / s->fraction : INFINITY;
}

static bool may_have_backup(const struct core *c, const struct core_slot *s)
{
    if (s->state != SLOT_BUSY)
        return false;
    CHECK(s->task < c->task_count);
    const struct core_task *t = &c->tasks[s->task];
    return t->state == TASK_RUNNING && t->stage == c->stage && t->backup == CORE_NONE &&
           !t->backed_up;
}

/* The slot whose attempt has the most time left of those that are too slow, or CORE_NONE. */
static uint32_t slowest(struct core *c, int64_t now)
{
    uint32_t found = CORE_NONE;
    double most = -1;
    for (uint32_t i = 0; i < c->slot_count; i++) {
        const struct core_slot *s = &c->slots[i];
        int64_t elapsed = now - s->since;
        if (!may_have_backup(c, s) || elapsed < least_elapsed || elapsed / 2 < median(c))
            continue;
        double left = time_left(s, elapsed);
        if (left < (double)median(c) || left <= most)
            continue;
        found = i;
        most = left;
    }
    return found;
}

static uint32_t count_backups(const struct core *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->slot_count; i++) {
        uint32_t task = c->slots[i].task;
        count += task != CORE_NONE && c->tasks[task].backup == i;
    }
    return count;
}

static bool has_ground(const struct core *c)
{
    return c->stage_tasks >= LEAST_TASKS &&
           c->duration_count >= c->stage_tasks - c->duration_count;
}

void core_speculate(struct core *c, int64_t now)
{
    if (!c->limits.speculate || c->ready.count > 0 || c->fresh_ready.count > 0 || !has_ground(c))
        return;
    uint32_t most = c->slot_count >= 2 * SLOTS_A_BACKUP ? c->slot_count / SLOTS_A_BACKUP : 1;
    for (uint32_t i = 0; i < c->slot_count; i++) {
        if (c->slots[i].state != SLOT_IDLE)
            continue;
        uint32_t slot = count_backups(c) < most && !is_due(c, now) ? slowest(c, now) : CORE_NONE;
        if (slot == CORE_NONE)
            return;
        core_assign(c, i, c->slots[slot].task, true, now);
    }
}
