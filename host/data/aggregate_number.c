/* sum, count and mean. */
#include "aggregate_ops.h"

/* Integers stay integers until a float comes or 64 bits are too few. */
static void add_int(struct agg_number *sum, int64_t v)
{
    int64_t total;
    if (sum->is_float) {
        sum->f += (double)v;
    } else if (__builtin_add_overflow(sum->i, v, &total)) {
        sum->f = (double)sum->i + (double)v;
        sum->is_float = 1;
    } else {
        sum->i = total;
    }
}

static void add_float(struct agg_number *sum, double v)
{
    sum->f = (sum->is_float ? sum->f : (double)sum->i) + v;
    sum->is_float = 1;
}

static enum status add_number(struct agg_number *sum, struct slice value)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK || c.rest.n > 0)
        return ST_CORRUPT;
    if (s.kind == SC_INT)
        add_int(sum, s.i);
    else if (s.kind == SC_FLOAT)
        add_float(sum, s.f);
    else
        return ST_CORRUPT;
    return ST_OK;
}

static enum status put_number(const struct agg_number *sum, struct buf *out)
{
    return sum->is_float ? val_put_float(out, sum->f) : val_put_int(out, sum->i);
}

static enum status sum_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    if (value.n == 1 && value.p[0] >= VAL_INT0 && value.p[0] < VAL_INT0 + 16) {
        add_int(state, value.p[0] - VAL_INT0);
        return ST_OK;
    }
    return add_number(state, value) == ST_OK ? ST_OK : agg_refuse(a, "a number", value, e);
}

static enum status sum_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    return add_number(state, partial);
}

static enum status sum_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    return put_number(state, out);
}

static void sum_save(const struct agg *a, const void *state, struct saver *to)
{
    (void)a;
    const struct agg_number *sum = state;
    save_uint(to, sum->is_float);
    save_int(to, sum->i);
    if (sum->is_float)
        save_float(to, sum->f);
}

static enum status sum_load(const struct agg *a, void *state, struct saved *from)
{
    (void)a;
    struct agg_number *sum = state;
    sum->is_float = saved_bool(from);
    sum->i = saved_int(from);
    if (sum->is_float)
        sum->f = saved_float(from);
    return ST_OK;
}

const struct agg_ops agg_ops_sum = {
    .name = "sum", .needs = NEEDS_NUMBER, .size = sizeof(struct agg_number),
    .add = sum_add, .merge = sum_merge, .partial = sum_finish, .finish = sum_finish,
    .save = sum_save, .load = sum_load,
};

static enum status count_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    (void)a;
    (void)value;
    (void)e;
    ((struct agg_number *)state)->i++;
    return ST_OK;
}

/* A count as we write it: an integer that is not negative and leaves the total one. */
static enum status take_count(struct slice value, int64_t *total)
{
    int64_t n;
    if (!val_as_int(value, &n) || n < 0 || __builtin_add_overflow(*total, n, total))
        return ST_CORRUPT;
    return ST_OK;
}

static enum status count_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    struct agg_number *count = state;
    int64_t total = count->i;
    enum status status = take_count(partial, &total);
    if (status == ST_OK)
        count->i = total;
    return status;
}

static enum status count_load(const struct agg *a, void *state, struct saved *from)
{
    struct agg_number *count = state;
    (void)sum_load(a, state, from);
    saved_check(from, !count->is_float && count->i >= 0);
    return ST_OK;
}

const struct agg_ops agg_ops_count = {
    .name = "count", .needs = NEEDS_ANY, .size = sizeof(struct agg_number),
    .add = count_add, .merge = count_merge, .partial = sum_finish, .finish = sum_finish,
    .save = sum_save, .load = count_load,
};

struct mean {
    struct agg_number sum;
    int64_t count;
};

static enum status mean_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    struct mean *mean = state;
    if (add_number(&mean->sum, value) != ST_OK)
        return agg_refuse(a, "a number", value, e);
    mean->count++;
    return ST_OK;
}

static enum status mean_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    struct mean *mean = state;
    struct slice sum, count;
    int64_t total = mean->count;
    if (val_check(partial) != ST_OK || !agg_cut_ranked(partial, &sum, &count))
        return ST_CORRUPT;
    if (take_count(count, &total) != ST_OK || add_number(&mean->sum, sum) != ST_OK)
        return ST_CORRUPT;
    mean->count = total;
    return ST_OK;
}

static enum status mean_partial(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct mean *mean = state;
    enum status status = val_put_array(out, 2);
    if (status == ST_OK)
        status = put_number(&mean->sum, out);
    return status == ST_OK ? val_put_int(out, mean->count) : status;
}

static enum status mean_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct mean *mean = state;
    if (mean->count == 0)
        return val_put_null(out);
    double sum = mean->sum.is_float ? mean->sum.f : (double)mean->sum.i;
    return val_put_float(out, sum / (double)mean->count);
}

static void mean_save(const struct agg *a, const void *state, struct saver *to)
{
    const struct mean *mean = state;
    sum_save(a, &mean->sum, to);
    save_int(to, mean->count);
}

static enum status mean_load(const struct agg *a, void *state, struct saved *from)
{
    struct mean *mean = state;
    (void)sum_load(a, &mean->sum, from);
    mean->count = saved_int(from);
    saved_check(from, mean->count >= 0);
    return ST_OK;
}

const struct agg_ops agg_ops_mean = {
    .name = "mean", .needs = NEEDS_NUMBER, .size = sizeof(struct mean),
    .add = mean_add, .merge = mean_merge, .partial = mean_partial, .finish = mean_finish,
    .save = mean_save, .load = mean_load,
};
