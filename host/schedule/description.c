#include "schedule/description.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdlib.h>
#include <xxhash.h>

enum {
    NANOSECONDS = 1000000000,
    GRACE_SECONDS = 1,
    RESTART_WINDOW_SECONDS = 10,
    RESTARTS = 5,
    REDUCERS_MAX = 65536
};

/* Workers beat once a second; with less than two of them a busy machine would look like a death. */
static const int64_t LEAST_HEARTBEAT_TIMEOUT = INT64_C(2) * NANOSECONDS;

static enum status incomplete(struct err *e, const char *what)
{
    return err_set(e, ST_CORRUPT, "the job's description is not whole: %s", what);
}

/* A string field in the arena, NULL when it is absent. */
static enum status text_field(struct description *d, struct slice map, const char *name,
                              const char **out, struct err *e)
{
    struct slice s;
    *out = NULL;
    if (!val_get_string(map, name, &s))
        return ST_OK;
    if (s.n > 0 && memchr(s.p, 0, s.n))
        return err_set(e, ST_USAGE, "%s holds a NUL byte", name);
    *out = arena_strndup(&d->arena, (const char *)s.p, s.n);
    return *out ? ST_OK : err_memory(e, name, s.n);
}

static void value_field(struct slice map, const char *name, struct slice *out)
{
    if (!val_get(map, name, out))
        *out = slice_of(NULL, 0);
}

static enum status read_input(struct description *d, struct slice map, void *out, struct err *e)
{
    struct described_input *input = out;
    value_field(map, "input", &input->spec);
    value_field(map, "tag", &input->tag);
    enum status st = text_field(d, map, "path", &input->path, e);
    if (st == ST_OK && !input->path)
        st = incomplete(e, "an input without a path");
    return st;
}

static enum status read_side(struct description *d, struct slice map, void *out, struct err *e)
{
    struct described_side *side = out;
    value_field(map, "input", &side->spec);
    enum status st = text_field(d, map, "name", &side->name, e);
    if (st == ST_OK)
        st = text_field(d, map, "path", &side->path, e);
    if (st == ST_OK)
        st = text_field(d, map, "key", &side->key, e);
    if (st == ST_OK && (!side->name || !side->path))
        st = incomplete(e, "a side file without name or path");
    return st;
}

static void read_iteration(struct described_step *step, struct slice iterate)
{
    int64_t rounds = val_get_int(iterate, "max_rounds", 1);
    step->iterates = true;
    step->max_rounds = (uint32_t)(rounds < 1 ? 1 : rounds > INT32_MAX ? INT32_MAX : rounds);
    step->has_stop_when = val_get_bool(iterate, "has_stop_when", false);
    step->reread = val_get_bool(iterate, "reread", false);
}

static enum status read_step(struct description *d, struct slice map, void *out, struct err *e)
{
    (void)d;
    struct described_step *step = out;
    struct slice field;
    step->has_combine = val_get(map, "combine", &field);
    step->total_order = val_get_bool(map, "total_order", false);
    step->reducers = val_get_int(map, "reducers", -1);
    if (step->reducers < -1 || step->reducers > REDUCERS_MAX)
        return err_set(e, ST_USAGE, "reducers = %lld: it must be 0 (map only) … %d",
                       (long long)step->reducers, REDUCERS_MAX);
    step->group_by = (uint32_t)val_get_int(map, "group_by", 0);
    if (val_get(map, "iterate", &field) && val_is_map(field))
        read_iteration(step, field);
    return ST_OK;
}

typedef enum status (*read_element)(struct description *d, struct slice map, void *out,
                                    struct err *e);

/* Reads an array of maps into an array of `size` bytes an element. */
static enum status read_array(struct description *d, const char *name, size_t size,
                              read_element read, void **out, size_t *count, struct err *e)
{
    struct slice array = slice_of(NULL, 0), element;
    struct val_cursor c;
    *count = 0;
    if (!val_get(buf_slice(&d->encoded), name, &array))
        return ST_OK;
    uint64_t n = val_array(array, &c);
    char *elements = arena_alloc(&d->arena, (size_t)n * size + 1);
    if (!elements)
        return err_memory(e, name, (size_t)n * size);
    memset(elements, 0, (size_t)n * size + 1);
    for (uint64_t i = 0; i < n; i++) {
        if (val_skip(&c, &element) != ST_OK || !val_is_map(element))
            return incomplete(e, name);
        enum status st = read(d, element, elements + i * size, e);
        if (st != ST_OK)
            return st;
    }
    *out = elements;
    *count = (size_t)n;
    return ST_OK;
}

/* A limit in seconds; false or absent means none. */
static int64_t nanoseconds_field(struct slice map, const char *name, double fallback)
{
    struct slice field;
    if (!val_get(map, name, &field))
        return (int64_t)(fallback * NANOSECONDS);
    double seconds = val_get_float(map, name, 0);
    if (seconds > 1e9)
        seconds = 1e9;
    return seconds > 0 ? (int64_t)(seconds * NANOSECONDS) : 0;
}

static uint64_t size_field(struct slice map, const char *name)
{
    char text[64];
    uint64_t bytes = 0;
    int64_t number = val_get_int(map, name, 0);
    if (number > 0)
        return (uint64_t)number;
    return val_get_cstr(map, name, text, sizeof text) && size_parse(text, &bytes) ? bytes : 0;
}

/* limits.max_quarantined: a count, or a share such as "0.5%". */
static enum status read_quarantined(struct description *d, struct slice limits, struct err *e)
{
    char text[32], *end;
    d->max_quarantined_share = -1;
    int64_t most = val_get_int(limits, "max_quarantined", 0);
    d->max_quarantined = most > 0 ? (uint64_t)most : 0;
    if (!val_get_cstr(limits, "max_quarantined", text, sizeof text))
        return most >= 0 ? ST_OK : incomplete(e, "limits.max_quarantined");
    double percent = strtod(text, &end);
    if (end == text || strcmp(end, "%") != 0 || !(percent >= 0))
        return incomplete(e, "limits.max_quarantined");
    d->max_quarantined_share = percent < 100 ? percent / 100 : 1;
    return ST_OK;
}

static void read_timeouts(struct description *d, struct slice limits)
{
    d->limits.heartbeat_timeout = nanoseconds_field(limits, "heartbeat_timeout_seconds", 30);
    if (d->limits.heartbeat_timeout > 0 && d->limits.heartbeat_timeout < LEAST_HEARTBEAT_TIMEOUT)
        d->limits.heartbeat_timeout = LEAST_HEARTBEAT_TIMEOUT;
    d->limits.progress_timeout = nanoseconds_field(limits, "progress_timeout_seconds", 600);
    d->limits.task_timeout = nanoseconds_field(limits, "task_timeout_seconds", 0);
    d->limits.grace = (int64_t)GRACE_SECONDS * NANOSECONDS;
}

static void read_restarts(struct description *d, struct slice intensity)
{
    int64_t restarts = val_get_int(intensity, "restarts", RESTARTS);
    d->limits.restarts = restarts < 0 ? 0 : restarts > INT32_MAX ? INT32_MAX : (uint32_t)restarts;
    d->limits.restart_window = nanoseconds_field(intensity, "within_seconds",
                                                 RESTART_WINDOW_SECONDS);
}

static enum log_level read_log_level(struct slice profile)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    struct slice log;
    char level[16];
    if (!val_get(profile, "log", &log) || !val_get_cstr(log, "level", level, sizeof level))
        return LOG_NOTES;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(level, names[i]) == 0)
            return (enum log_level)i;
    return LOG_NOTES;
}

static void read_checkpoint(struct described_checkpoint *c, struct slice profile)
{
    enum { KEEP = 5, INTERVAL_SECONDS = 30 };
    struct slice map = slice_of(NULL, 0);
    (void)val_get(profile, "checkpoint", &map);
    int64_t keep = val_get_int(map, "max_checkpoints_to_keep", KEEP);
    c->enabled = val_get_bool(map, "enabled", false);
    c->auto_cleanup = val_get_bool(map, "auto_cleanup", true);
    c->interval = nanoseconds_field(map, "checkpoint_interval_seconds", INTERVAL_SECONDS);
    c->keep = keep < 1 ? 1 : keep > INT32_MAX ? INT32_MAX : (uint32_t)keep;
}

/* What a policy decides: a running job may get it anew. */
static enum status read_policy(struct description *d, struct err *e)
{
    struct slice limits = slice_of(NULL, 0), intensity = limits, speculation = limits;
    (void)val_get(d->profile, "limits", &limits);
    (void)val_get(d->profile, "restart_intensity", &intensity);
    (void)val_get(d->profile, "speculation", &speculation);
    d->profile_hash = XXH3_64bits(d->profile.p, d->profile.n);
    d->memory_limit = size_field(limits, "memory_limit");
    d->limits.speculate = val_get_bool(speculation, "enabled", false);
    d->log_level = read_log_level(d->profile);
    read_timeouts(d, limits);
    read_restarts(d, intensity);
    read_checkpoint(&d->checkpoint, d->profile);
    enum status st = read_quarantined(d, limits, e);
    return st == ST_OK ? rules_read(d->profile, &d->arena, &d->rules, e) : st;
}

static enum status read_profile(struct description *d, struct err *e)
{
    struct slice checkpoint = slice_of(NULL, 0);
    if (!val_get(buf_slice(&d->encoded), "profile", &d->profile))
        d->profile = checkpoint;
    (void)val_get(d->profile, "checkpoint", &checkpoint);
    d->durable = val_get_bool(checkpoint, "durable", true);
    enum status st = text_field(d, checkpoint, "checkpoint_dir", &d->checkpoint.dir, e);
    return st == ST_OK ? read_policy(d, e) : st;
}

enum status description_take_profile(struct description *d, struct slice profile, struct err *e)
{
    uint8_t *copy = arena_alloc(&d->arena, profile.n + 1);
    if (!copy)
        return err_memory(e, "a profile", profile.n);
    if (profile.n > 0)
        memcpy(copy, profile.p, profile.n);
    struct description before = *d;
    d->profile = slice_of(copy, profile.n);
    enum status st = read_policy(d, e);
    if (st != ST_OK) {
        before.arena = d->arena;
        *d = before;
    }
    return st;
}

static enum status read_arrays(struct description *d, struct err *e)
{
    void *inputs = NULL, *sides = NULL, *steps = NULL;
    size_t count = 0;
    enum status st = read_array(d, "inputs", sizeof *d->inputs, read_input, &inputs,
                                &d->input_count, e);
    if (st == ST_OK)
        st = read_array(d, "side_files", sizeof *d->sides, read_side, &sides, &d->side_count, e);
    if (st == ST_OK)
        st = read_array(d, "steps", sizeof *d->steps, read_step, &steps, &count, e);
    d->inputs = inputs;
    d->sides = sides;
    d->steps = steps;
    d->step_count = (uint32_t)count;
    if (st == ST_OK && count == 0)
        st = incomplete(e, "no steps");
    return st;
}

enum status description_read(struct description *d, struct slice encoded, struct err *e)
{
    struct slice field;
    *d = (struct description){ .encoded = BUF_EMPTY, .arena = ARENA_EMPTY, .log_level = LOG_NOTES };
    if (buf_append_slice(&d->encoded, encoded) != ST_OK)
        return err_memory(e, "the job's description", encoded.n);
    struct slice map = buf_slice(&d->encoded);
    if (val_check(map) != ST_OK || !val_is_map(map))
        return incomplete(e, "it is no table");
    enum status st = text_field(d, map, "job_name", &d->job_name, e);
    if (st == ST_OK && !d->job_name)
        st = incomplete(e, "no job_name");
    value_field(map, "default_input", &d->default_input);
    value_field(map, "output", &d->output);
    value_field(map, "fingerprints", &d->fingerprints);
    d->split_size = size_field(map, "split_size");
    d->sort_buffer = size_field(map, "sort_buffer");
    d->has_seed = val_get(map, "seed", &field);
    d->seed = (uint64_t)val_get_int(map, "seed", 0);
    if (st == ST_OK)
        st = read_profile(d, e);
    return st == ST_OK ? read_arrays(d, e) : st;
}

void description_free(struct description *d)
{
    buf_free(&d->encoded);
    arena_free(&d->arena);
}
