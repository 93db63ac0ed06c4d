#include "recover/statistics.h"

#include "data/codec.h"

#include <stdio.h>

static const char OTHER_TYPES[] = "other";

/* --- counting --- */

static struct statistics_type *add_type(struct statistics *s, struct slice name)
{
    struct statistics_type *t = &s->types[s->type_count++];
    *t = (struct statistics_type){ .failures = 0 };
    (void)snprintf(t->type, sizeof t->type, "%.*s", (int)name.n, (const char *)name.p);
    return t;
}

static struct statistics_type *find_type(struct statistics *s, struct slice name)
{
    for (uint32_t i = 0; i < s->type_count; i++)
        if (slice_equal(name, slice_str(s->types[i].type)))
            return &s->types[i];
    return NULL;
}

/* Room for "other" is kept until it is there (read back, it need not come last). */
static struct statistics_type *type_of(struct statistics *s, struct slice name)
{
    struct slice other = slice_str(OTHER_TYPES);
    name.n = name.n < ERR_TYPE_MAX ? name.n : ERR_TYPE_MAX - 1;
    struct statistics_type *t = find_type(s, name), *rest = find_type(s, other);
    if (t)
        return t;
    if (s->type_count + (rest ? 0 : 1) < STATISTICS_TYPES_MAX || slice_equal(name, other))
        return add_type(s, name);
    return rest ? rest : add_type(s, other);
}

void statistics_attempt(struct statistics *s, bool speculative)
{
    s->attempts++;
    s->speculative.started += speculative;
}

void statistics_commit(struct statistics *s, bool speculative, bool had_failed, double cpu_seconds)
{
    s->committed++;
    s->speculative.won += speculative;
    s->recovered += had_failed;
    s->cpu_seconds += cpu_seconds;
}

static struct statistics_type *count_failure(struct statistics *s, const struct err *err,
                                             double cpu_seconds)
{
    struct statistics_type *t = type_of(s, slice_str(err->type));
    t->failures++;
    t->simulated += err->simulated;
    s->cpu_seconds += cpu_seconds;
    s->cpu_wasted += cpu_seconds;
    return t;
}

void statistics_failure(struct statistics *s, const struct err *err, const struct verdict *verdict,
                        double cpu_seconds)
{
    struct statistics_type *t = count_failure(s, err, cpu_seconds);
    t->verdicts[verdict->action]++;
    switch (verdict->action) {
    case VERDICT_RETRY:
    case VERDICT_QUARANTINE:
        t->retries++;
        s->seconds_waited += verdict->delay_seconds;
        break;
    case VERDICT_DROP_TASK:
        s->dropped++;
        break;
    case VERDICT_FAIL:
    case VERDICT_ABORT:
        s->failed_tasks++;
        break;
    case VERDICT_RECOMPUTE:
    case VERDICT_STOP:
    case VERDICT_ACTIONS:
        break;
    }
}

void statistics_backup_failure(struct statistics *s, const struct err *err,
                               double cpu_seconds)
{
    (void)count_failure(s, err, cpu_seconds);
}

void statistics_lost(struct statistics *s, bool speculative, double cpu_seconds)
{
    s->speculative.lost += speculative;
    s->cpu_seconds += cpu_seconds;
    s->cpu_wasted += cpu_seconds;
}

void statistics_recomputed(struct statistics *s)
{
    s->recomputed++;
}

void statistics_quarantined(struct statistics *s, bool groups, int64_t count)
{
    uint64_t *at = groups ? &s->quarantined_groups : &s->quarantined_records;
    uint64_t less = count < 0 ? (uint64_t)-count : 0;
    *at = less > *at ? 0 : *at - less + (count > 0 ? (uint64_t)count : 0);
}

/* --- sums --- */

uint64_t statistics_failures(const struct statistics *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->type_count; i++)
        sum += s->types[i].failures;
    return sum;
}

uint64_t statistics_retries(const struct statistics *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->type_count; i++)
        sum += s->types[i].retries;
    return sum;
}

static uint64_t simulated(const struct statistics *s)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->type_count; i++)
        sum += s->types[i].simulated;
    return sum;
}

double statistics_recovery_rate(const struct statistics *s)
{
    uint64_t ended = s->recovered + s->failed_tasks + s->dropped;
    return ended > 0 ? (double)s->recovered / (double)ended : -1;
}

/* --- encoding --- */

/* Ends `part` and puts it into `m` under `name`. */
static void put_part(struct val_map *m, const char *name, struct val_map *part)
{
    struct buf encoded = BUF_EMPTY;
    enum status st = val_map_end(part, &encoded);
    if (st == ST_OK)
        val_map_value(m, name, buf_slice(&encoded));
    else
        m->status = st;
    buf_free(&encoded);
}

static void put_count(struct val_map *m, const char *name, uint64_t count)
{
    val_map_int(m, name, count < INT64_MAX ? (int64_t)count : INT64_MAX);
}

static void put_verdicts(struct val_map *m, const uint64_t verdicts[VERDICT_ACTIONS])
{
    struct val_map part = VAL_MAP_EMPTY;
    for (int i = 0; i < VERDICT_ACTIONS; i++)
        if (verdicts[i] > 0)
            put_count(&part, verdict_name((enum verdict_action)i), verdicts[i]);
    put_part(m, "by_verdict", &part);
}

static void put_types(struct val_map *m, const struct statistics *s)
{
    struct val_map types = VAL_MAP_EMPTY;
    uint64_t verdicts[VERDICT_ACTIONS] = { 0 };
    for (uint32_t i = 0; i < s->type_count; i++) {
        const struct statistics_type *t = &s->types[i];
        struct val_map part = VAL_MAP_EMPTY;
        put_count(&part, "failures", t->failures);
        put_count(&part, "retries", t->retries);
        put_count(&part, "simulated", t->simulated);
        put_verdicts(&part, t->verdicts);
        put_part(&types, t->type, &part);
        for (int j = 0; j < VERDICT_ACTIONS; j++)
            verdicts[j] += t->verdicts[j];
    }
    put_part(m, "by_type", &types);
    put_verdicts(m, verdicts);
}

static void put_speculative(struct val_map *m, const struct statistics_speculative *s)
{
    struct val_map part = VAL_MAP_EMPTY;
    put_count(&part, "started", s->started);
    put_count(&part, "won", s->won);
    put_count(&part, "lost", s->lost);
    put_part(m, "speculative", &part);
}

enum status statistics_put(const struct statistics *s, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    double rate = statistics_recovery_rate(s);
    put_count(&m, "attempts", s->attempts);
    put_count(&m, "committed", s->committed);
    put_count(&m, "failures", statistics_failures(s));
    put_count(&m, "retries", statistics_retries(s));
    put_count(&m, "simulated", simulated(s));
    put_count(&m, "recovered_tasks", s->recovered);
    put_count(&m, "failed_tasks", s->failed_tasks);
    put_count(&m, "dropped_tasks", s->dropped);
    put_count(&m, "recomputed_tasks", s->recomputed);
    put_count(&m, "quarantined_records", s->quarantined_records);
    put_count(&m, "quarantined_groups", s->quarantined_groups);
    val_map_float(&m, "seconds_waited", s->seconds_waited);
    val_map_float(&m, "cpu_seconds", s->cpu_seconds);
    val_map_float(&m, "cpu_seconds_wasted", s->cpu_wasted);
    if (rate < 0)
        val_map_null(&m, "recovery_rate");
    else
        val_map_float(&m, "recovery_rate", rate);
    put_speculative(&m, &s->speculative);
    put_types(&m, s);
    return val_map_end(&m, out);
}

enum status statistics_put_failures(const struct statistics *s, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    for (uint32_t i = 0; i < s->type_count; i++)
        put_count(&m, s->types[i].type, s->types[i].failures);
    return val_map_end(&m, out);
}

/* --- decoding --- */

static uint64_t get_count(struct slice map, const char *name, bool *holds)
{
    int64_t v = val_get_int(map, name, 0);
    struct slice value;
    if (v < 0 || (v == 0 && val_get(map, name, &value) && val_get_int(map, name, -1) != 0))
        *holds = false;
    return v > 0 ? (uint64_t)v : 0;
}

static double get_seconds(struct slice map, const char *name, bool *holds)
{
    double v = val_get_float(map, name, 0);
    if (!(v >= 0))
        *holds = false;
    return v >= 0 ? v : 0;
}

static struct slice get_part(struct slice map, const char *name, bool *holds)
{
    struct slice part = slice_of(NULL, 0);
    if (val_get(map, name, &part) && !val_is_map(part))
        *holds = false;
    return part;
}

static void get_type(struct statistics_type *t, struct slice map, bool *holds)
{
    struct slice verdicts = get_part(map, "by_verdict", holds);
    t->failures += get_count(map, "failures", holds);
    t->retries += get_count(map, "retries", holds);
    t->simulated += get_count(map, "simulated", holds);
    for (int i = 0; i < VERDICT_ACTIONS; i++)
        t->verdicts[i] += get_count(verdicts, verdict_name((enum verdict_action)i), holds);
}

static void get_types(struct statistics *s, struct slice map, bool *holds)
{
    struct val_cursor c;
    struct slice key, value, name;
    for (uint64_t n = map.n > 0 ? val_map_open(map, &c) : 0; n > 0 && *holds; n--) {
        (void)val_skip(&c, &key);
        (void)val_skip(&c, &value);
        if (val_as_string(key, &name) && val_is_map(value))
            get_type(type_of(s, name), value, holds);
        else
            *holds = false;
    }
}

static void get_totals(struct statistics *s, struct slice map, bool *holds)
{
    struct slice speculative = get_part(map, "speculative", holds);
    s->attempts = get_count(map, "attempts", holds);
    s->committed = get_count(map, "committed", holds);
    s->recovered = get_count(map, "recovered_tasks", holds);
    s->failed_tasks = get_count(map, "failed_tasks", holds);
    s->dropped = get_count(map, "dropped_tasks", holds);
    s->recomputed = get_count(map, "recomputed_tasks", holds);
    s->quarantined_records = get_count(map, "quarantined_records", holds);
    s->quarantined_groups = get_count(map, "quarantined_groups", holds);
    s->seconds_waited = get_seconds(map, "seconds_waited", holds);
    s->cpu_seconds = get_seconds(map, "cpu_seconds", holds);
    s->cpu_wasted = get_seconds(map, "cpu_seconds_wasted", holds);
    s->speculative.started = get_count(speculative, "started", holds);
    s->speculative.won = get_count(speculative, "won", holds);
    s->speculative.lost = get_count(speculative, "lost", holds);
}

enum status statistics_get(struct slice encoded, struct statistics *out, struct err *e)
{
    bool holds = val_check(encoded) == ST_OK && val_is_map(encoded);
    *out = (struct statistics){ .type_count = 0 };
    if (holds) {
        get_totals(out, encoded, &holds);
        get_types(out, get_part(encoded, "by_type", &holds), &holds);
    }
    if (holds)
        return ST_OK;
    *out = (struct statistics){ .type_count = 0 };
    return err_set(e, ST_CORRUPT, "the job's statistics in its journal do not hold");
}
