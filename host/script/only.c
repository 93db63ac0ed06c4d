/* only.c: see only.h. */
#include "script/only.h"

#include "base/sys.h"
#include "data/run.h"

#include <fcntl.h>
#include <unistd.h>

enum { PART_BYTES_MAX = ONLY_SHOWN_MAX * ONLY_LINE_MAX };

struct shown {
    const struct agg *agg;
    struct buf list; /* encoded lines */
    uint64_t count;
    struct buf line, value; /* scratch */
    enum status status;
};

static void keep(struct shown *s, enum status st)
{
    if (s->status == ST_OK)
        s->status = st;
}

static void add_line(struct shown *s, const uint8_t *p, size_t n)
{
    keep(s, val_put_string(&s->list, slice_of(p, n < ONLY_LINE_MAX ? n : ONLY_LINE_MAX)));
    s->count++;
}

/* --- pairs of a run --- */

/* A partial of a declared combine as the value it ends in; anything else as it is. */
static struct slice finished(struct shown *s, struct slice value)
{
    struct err e;
    void *state = s->agg ? sys_malloc(agg_state_size(s->agg) + 1) : NULL;
    if (!state)
        return value;
    s->value.n = 0;
    agg_init(s->agg, state);
    bool good = agg_merge(s->agg, state, value, &e) == ST_OK && agg_finish(s->agg, state, &s->value, &e) == ST_OK;
    agg_drop(s->agg, state);
    sys_free(state);
    return good ? buf_slice(&s->value) : value;
}

static void add_pair(struct shown *s, struct slice key, struct slice value)
{
    struct slice shown = finished(s, value);
    bool alone = shown.n == 1 && shown.p[0] == VAL_TRUE;
    s->line.n = 0;
    keep(s, output_text_of_key(key, &s->line));
    if (!alone) {
        keep(s, buf_append_byte(&s->line, '\t'));
        keep(s, output_text_of_value(shown, &s->line));
    }
    add_line(s, s->line.p, s->line.n);
}

static void add_partition(struct shown *s, struct run *run, uint64_t segment, uint32_t partition)
{
    struct run_cursor *c = NULL;
    struct slice key, value;
    struct err e;
    if (run_partition_pairs(run, segment, partition) == 0 || run_cursor_open(run, segment, partition, &c, &e) != ST_OK)
        return;
    while (s->count < ONLY_SHOWN_MAX && run_cursor_next(c, &key, &value, &e) == ST_OK)
        add_pair(s, key, value);
    run_cursor_close(c);
}

static void add_run(struct shown *s, const char *path)
{
    struct run *run = NULL;
    struct err e;
    if (run_open(path, &run, &e) != ST_OK)
        return;
    for (uint64_t i = 0; i < run_segments(run); i++)
        for (uint32_t k = 0; k < run_partitions(run) && s->count < ONLY_SHOWN_MAX; k++)
            add_partition(s, run, i, k);
    run_close(run);
}

/* --- lines of a part --- */

static void add_part(struct shown *s, const char *path)
{
    size_t got = 0;
    int fd = -1;
    if (buf_reserve(&s->line, PART_BYTES_MAX) != ST_OK || sys_open_read(path, &fd, NULL) != ST_OK)
        return;
    (void)sys_pread(fd, s->line.p, PART_BYTES_MAX, 0, &got, path, NULL);
    (void)close(fd);
    const uint8_t *p = s->line.p, *end = p + got;
    while (p < end && s->count < ONLY_SHOWN_MAX) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        add_line(s, p, n);
        p += n + 1;
    }
}

static bool writes_pairs(struct task *t)
{
    struct slice output;
    return val_get_string(t->assignment, "output", &output) && slice_equal(output, slice_str("pairs"));
}

void only_result(struct task *t, const struct agg *agg, struct val_map *result)
{
    struct shown s = { .agg = agg, .list = BUF_EMPTY, .line = BUF_EMPTY, .value = BUF_EMPTY, .status = ST_OK };
    const char *run = t->kind == TASK_MAP && val_get_int(t->assignment, "partitions", 1) > 0 ? task_string(t, "run") : NULL;
    const char *part = run ? NULL : task_string(t, "part");
    struct buf array = BUF_EMPTY;
    if (run || (part && writes_pairs(t)))
        add_run(&s, run ? run : part);
    else if (part)
        add_part(&s, part);
    keep(&s, val_put_array(&array, s.count));
    keep(&s, buf_append_slice(&array, buf_slice(&s.list)));
    if (s.status == ST_OK)
        val_map_value(result, "shown", buf_slice(&array));
    else
        result->status = s.status;
    buf_free(&array);
    buf_free(&s.list);
    buf_free(&s.line);
    buf_free(&s.value);
}
