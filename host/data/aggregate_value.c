/* Aggregates that keep values as they came: min, max, first, last, list. */
#include "aggregate_ops.h"

/* min, max, first, last: one value. Integers, the most common, stand outside the buffer. */
struct kept {
    struct buf value;
    int64_t i;
    bool has, is_int;
};

static enum status keep(struct kept *kept, struct slice value)
{
    int64_t i;
    enum status status = ST_OK;
    bool is_int = val_as_int(value, &i);
    kept->value.n = 0;
    if (is_int)
        kept->i = i;
    else
        status = buf_append_slice(&kept->value, value);
    kept->is_int = is_int;
    kept->has = status == ST_OK;
    return status;
}

static enum status put_kept(const struct kept *kept, struct buf *out)
{
    return kept->is_int ? val_put_int(out, kept->i)
                        : buf_append_slice(out, buf_slice(&kept->value));
}

/* A partial: an array of the value, or of none. */
static enum status kept_partial(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct kept *kept = state;
    enum status status = val_put_array(out, kept->has);
    return status == ST_OK && kept->has ? put_kept(kept, out) : status;
}

static enum status open_kept(struct slice partial, bool *has, struct slice *value)
{
    struct val_cursor c;
    uint64_t count;
    if (agg_open_array(partial, &c, &count) != ST_OK || count > 1)
        return ST_CORRUPT;
    *has = count == 1;
    return *has ? val_skip(&c, value) : ST_OK;
}

static enum status kept_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct kept *kept = state;
    return kept->has ? put_kept(kept, out) : val_put_null(out);
}

static size_t kept_weight(const struct agg *a, const void *state)
{
    (void)a;
    return ((const struct kept *)state)->value.n;
}

static void kept_drop(const struct agg *a, void *state)
{
    (void)a;
    buf_free(&((struct kept *)state)->value);
}

enum { KEPT_NONE, KEPT_INT, KEPT_VALUE };

static void kept_save(const struct agg *a, const void *state, struct saver *to)
{
    (void)a;
    const struct kept *kept = state;
    save_uint(to, !kept->has ? KEPT_NONE : kept->is_int ? KEPT_INT : KEPT_VALUE);
    if (kept->has && kept->is_int)
        save_int(to, kept->i);
    else if (kept->has)
        save_slice(to, buf_slice(&kept->value));
}

static enum status kept_load(const struct agg *a, void *state, struct saved *from)
{
    (void)a;
    struct kept *kept = state;
    uint64_t what = saved_uint(from, KEPT_VALUE);
    kept->has = what != KEPT_NONE;
    kept->is_int = what == KEPT_INT;
    if (kept->is_int)
        kept->i = saved_int(from);
    if (what != KEPT_VALUE)
        return ST_OK;
    struct slice value = saved_slice(from);
    return val_check(value) == ST_OK ? buf_append_slice(&kept->value, value) : ST_CORRUPT;
}

/* The order of `value` against what is kept, or against itself (that refuses what has no order). */
static enum status order_against(const struct kept *kept, struct slice value, int *order)
{
    uint8_t bytes[1 + VARINT_MAX];
    struct buf own = { bytes, 0, sizeof bytes };
    struct slice other = value;
    if (kept->has && kept->is_int) {
        CHECK(val_put_int(&own, kept->i) == ST_OK);
        other = buf_slice(&own);
    } else if (kept->has) {
        other = buf_slice(&kept->value);
    }
    return value_order(value, other, order, NULL);
}

/* Of equal values the first one stays. */
static enum status keep_extreme(struct kept *kept, struct slice value, int sign)
{
    int64_t i;
    int order;
    if (kept->is_int && val_as_int(value, &i)) {
        if (sign * ((i > kept->i) - (i < kept->i)) > 0)
            kept->i = i;
        return ST_OK;
    }
    enum status status = order_against(kept, value, &order);
    if (status == ST_OK && (!kept->has || sign * order > 0))
        status = keep(kept, value);
    return status;
}

static int extreme_sign(const struct agg *a)
{
    return a->ops == &agg_ops_max ? 1 : -1;
}

static enum status extreme_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    return agg_refuse_order(a, keep_extreme(state, value, extreme_sign(a)), value, e);
}

static enum status extreme_merge(const struct agg *a, void *state, struct slice partial)
{
    struct slice value;
    bool has;
    enum status status = open_kept(partial, &has, &value);
    if (status == ST_OK && has)
        status = keep_extreme(state, value, extreme_sign(a));
    return status == ST_SCRIPT ? ST_CORRUPT : status;
}

const struct agg_ops agg_ops_min = {
    .name = "min", .needs = NEEDS_ORDER, .size = sizeof(struct kept),
    .add = extreme_add, .merge = extreme_merge, .weight = kept_weight,
    .partial = kept_partial, .finish = kept_finish, .drop = kept_drop,
    .save = kept_save, .load = kept_load,
};

const struct agg_ops agg_ops_max = {
    .name = "max", .needs = NEEDS_ORDER, .size = sizeof(struct kept),
    .add = extreme_add, .merge = extreme_merge, .weight = kept_weight,
    .partial = kept_partial, .finish = kept_finish, .drop = kept_drop,
    .save = kept_save, .load = kept_load,
};

static enum status keep_end(const struct agg *a, struct kept *kept, struct slice value)
{
    return a->ops == &agg_ops_first && kept->has ? ST_OK : keep(kept, value);
}

static enum status end_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    enum status status = keep_end(a, state, value);
    return status == ST_OK ? status : err_memory(e, "a reducer's value", value.n);
}

static enum status end_merge(const struct agg *a, void *state, struct slice partial)
{
    struct slice value;
    bool has;
    enum status status = open_kept(partial, &has, &value);
    return status == ST_OK && has ? keep_end(a, state, value) : status;
}

const struct agg_ops agg_ops_first = {
    .name = "first", .needs = NEEDS_ANY, .size = sizeof(struct kept),
    .add = end_add, .merge = end_merge, .weight = kept_weight,
    .partial = kept_partial, .finish = kept_finish, .drop = kept_drop,
    .save = kept_save, .load = kept_load,
};

const struct agg_ops agg_ops_last = {
    .name = "last", .needs = NEEDS_ANY, .size = sizeof(struct kept),
    .add = end_add, .merge = end_merge, .weight = kept_weight,
    .partial = kept_partial, .finish = kept_finish, .drop = kept_drop,
    .save = kept_save, .load = kept_load,
};

struct list {
    struct buf values;
    uint64_t count;
};

static enum status list_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    (void)a;
    struct list *list = state;
    if (buf_append_slice(&list->values, value) != ST_OK)
        return err_memory(e, "a list", list->values.n + value.n);
    list->count++;
    return ST_OK;
}

static enum status list_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    struct list *list = state;
    struct val_cursor c;
    uint64_t count;
    enum status status = agg_open_array(partial, &c, &count);
    if (status == ST_OK)
        status = buf_append_slice(&list->values, c.rest);
    if (status == ST_OK)
        list->count += count;
    return status;
}

static size_t list_weight(const struct agg *a, const void *state)
{
    (void)a;
    return ((const struct list *)state)->values.n;
}

static enum status list_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct list *list = state;
    enum status status = val_put_array(out, list->count);
    return status == ST_OK ? buf_append_slice(out, buf_slice(&list->values)) : status;
}

static void list_drop(const struct agg *a, void *state)
{
    (void)a;
    buf_free(&((struct list *)state)->values);
}

static void list_save(const struct agg *a, const void *state, struct saver *to)
{
    (void)a;
    const struct list *list = state;
    save_uint(to, list->count);
    save_slice(to, buf_slice(&list->values));
}

static enum status list_load(const struct agg *a, void *state, struct saved *from)
{
    (void)a;
    struct list *list = state;
    list->count = saved_uint(from, UINT64_MAX);
    struct slice values = saved_slice(from), value;
    struct val_cursor c = val_cursor(values);
    if (list->count > values.n)
        return ST_CORRUPT;
    for (uint64_t i = 0; i < list->count; i++)
        if (val_skip(&c, &value) != ST_OK)
            return ST_CORRUPT;
    return c.rest.n == 0 ? buf_append_slice(&list->values, values) : ST_CORRUPT;
}

const struct agg_ops agg_ops_list = {
    .name = "list", .needs = NEEDS_ANY, .size = sizeof(struct list),
    .add = list_add, .merge = list_merge, .weight = list_weight,
    .partial = list_finish, .finish = list_finish, .drop = list_drop,
    .save = list_save, .load = list_load,
};
