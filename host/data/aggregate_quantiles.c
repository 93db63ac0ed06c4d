/* quantiles: a deterministic mergeable sketch, exact below LEVEL_ITEMS values.
 *
 * Level h holds values that stand for 2^h each. A level that is full is sorted, every other value
 * goes up a level, and the rest is let go: the collapse of Manku, Rajagopalan and Lindsay
 * ("Approximate medians and other quantiles in one pass and with limited memory", 1998), with the
 * first and the second of each pair taken in turn instead of at random (as KLL does). One collapse
 * at level h moves a rank by at most 2^h, and of n values a level sees at most n / (LEVEL_ITEMS ·
 * 2^h) of them, so the rank error is at most levels / LEVEL_ITEMS of n, whatever the order of
 * values and merges: below 1 % up to 2·10^9 values.
 *
 * Values are kept as 64-bit integers whose order is theirs: integers as they are; floats (all of
 * them, once one has come) by their bits. */
#include "aggregate_ops.h"

#include "base/sys.h"

#include <math.h>
#include <stdlib.h>

enum { LEVEL_ITEMS = 2048, LEVELS_MAX = 48 };
/* So few that the highest level never fills up: 2^57 is 1024 values of weight 2^47. */
static const uint64_t count_max = UINT64_C(1) << 57;

struct sketch {
    struct buf *levels;  /* LEVELS_MAX, of int64_t; level 0 as values came, the others sorted */
    uint64_t count, odd; /* odd: bit h tells which of a pair level h keeps next */
    int64_t least, greatest;
    uint32_t level_count;
    bool is_float;
};

static size_t item_count(const struct buf *level)
{
    return level->n / sizeof(int64_t);
}

static int64_t *items(const struct buf *level)
{
    return (int64_t *)(void *)level->p;
}

/* A float's bits, in an order of integers; its own inverse. −0.0 is taken as 0. */
static int64_t fold_bits(int64_t bits)
{
    return bits < 0 ? bits ^ INT64_MAX : bits;
}

static int64_t float_item(double v)
{
    int64_t bits;
    if (v == 0)
        v = 0;
    memcpy(&bits, &v, sizeof bits);
    return fold_bits(bits);
}

static double item_float(int64_t item)
{
    double v;
    item = fold_bits(item);
    memcpy(&v, &item, sizeof v);
    return v;
}

static int compare_items(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static enum status push(struct buf *level, int64_t item)
{
    return buf_append(level, &item, sizeof item);
}

/* The levels' array, and a level `height` in it. */
static enum status need_level(struct sketch *s, uint32_t height)
{
    if (!s->levels) {
        s->levels = sys_calloc(LEVELS_MAX, sizeof *s->levels);
        if (!s->levels)
            return ST_MEMORY;
    }
    CHECK(height < LEVELS_MAX);
    if (s->level_count <= height)
        s->level_count = height + 1;
    return ST_OK;
}

/* Merges `n` ascending items, `step` apart, into an ascending level, from the back. */
static enum status merge_items(struct buf *level, const int64_t *from, size_t n, size_t step)
{
    enum status status = buf_reserve(level, n * sizeof *from);
    if (status != ST_OK)
        return status;
    int64_t *to = items(level);
    size_t have = item_count(level), at = have + n;
    level->n += n * sizeof *from;
    while (n > 0) {
        int64_t next = from[(n - 1) * step];
        if (have > 0 && to[have - 1] > next) {
            to[--at] = to[--have];
        } else {
            to[--at] = next;
            n--;
        }
    }
    return ST_OK;
}

static enum status collapse(struct sketch *s, uint32_t height)
{
    enum status status = need_level(s, height + 1);
    struct buf *level = &s->levels[height];
    size_t pairs = item_count(level) / 2;
    if (status != ST_OK)
        return status;
    if (height == 0)
        qsort(level->p, item_count(level), sizeof(int64_t), compare_items);
    size_t odd = s->odd >> height & 1;
    s->odd ^= UINT64_C(1) << height;
    status = merge_items(level + 1, items(level) + odd, pairs, 2);
    if (status != ST_OK)
        return status;
    size_t left = item_count(level) - 2 * pairs;
    if (left > 0)
        items(level)[0] = items(level)[2 * pairs];
    level->n = left * sizeof(int64_t);
    return ST_OK;
}

static enum status collapse_full(struct sketch *s)
{
    for (uint32_t height = 0; height < s->level_count; height++)
        if (item_count(&s->levels[height]) >= LEVEL_ITEMS) {
            enum status status = collapse(s, height);
            if (status != ST_OK)
                return status;
        }
    return ST_OK;
}

static void become_float(struct sketch *s)
{
    if (s->is_float)
        return;
    s->is_float = true;
    s->least = float_item((double)s->least);
    s->greatest = float_item((double)s->greatest);
    for (uint32_t height = 0; height < s->level_count; height++)
        for (size_t i = 0; i < item_count(&s->levels[height]); i++)
            items(&s->levels[height])[i] = float_item((double)items(&s->levels[height])[i]);
}

static void widen(struct sketch *s, int64_t least, int64_t greatest)
{
    if (s->count == 0 || least < s->least)
        s->least = least;
    if (s->count == 0 || greatest > s->greatest)
        s->greatest = greatest;
}

static enum status add_item(struct sketch *s, int64_t item)
{
    enum status status = need_level(s, 0);
    if (status == ST_OK)
        status = push(&s->levels[0], item);
    if (status != ST_OK)
        return status;
    widen(s, item, item);
    s->count++;
    return item_count(&s->levels[0]) < LEVEL_ITEMS ? ST_OK : collapse_full(s);
}

static enum status quantiles_add(const struct agg *a, void *state, struct slice value,
                                 struct err *e)
{
    struct sketch *s = state;
    struct val_cursor c = val_cursor(value);
    struct scalar v;
    enum status status;
    if (val_next(&c, &v) != ST_OK || (v.kind != SC_INT && v.kind != SC_FLOAT))
        return agg_refuse(a, "a number", value, e);
    if (v.kind == SC_FLOAT && v.f != v.f)
        return agg_refuse_order(a, ST_SCRIPT, value, e);
    if (v.kind == SC_FLOAT)
        become_float(s);
    if (s->is_float)
        status = add_item(s, float_item(v.kind == SC_INT ? (double)v.i : v.f));
    else
        status = add_item(s, v.i);
    return status == ST_OK ? ST_OK : err_memory(e, "quantiles", LEVEL_ITEMS * sizeof(int64_t));
}

/* --- partials: { is_float, count, odd, least, greatest, { level 0 }, { level 1 }, … } --- */

static enum status put_item(const struct sketch *s, int64_t item, struct buf *out)
{
    return s->is_float ? val_put_float(out, item_float(item)) : val_put_int(out, item);
}

static enum status put_head(const struct sketch *s, struct buf *out)
{
    enum status status = val_put_array(out, 5 + (uint64_t)s->level_count);
    if (status == ST_OK)
        status = val_put_bool(out, s->is_float);
    if (status == ST_OK)
        status = val_put_int(out, (int64_t)s->count);
    if (status == ST_OK)
        status = val_put_int(out, (int64_t)s->odd);
    if (status == ST_OK)
        status = put_item(s, s->least, out);
    return status == ST_OK ? put_item(s, s->greatest, out) : status;
}

static enum status put_level(const struct sketch *s, const struct buf *level, struct buf *out)
{
    size_t n = item_count(level);
    enum status status = val_put_array(out, n);
    for (size_t i = 0; i < n && status == ST_OK; i++)
        status = put_item(s, items(level)[i], out);
    return status;
}

static enum status quantiles_partial(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct sketch *s = state;
    enum status status = put_head(s, out);
    for (uint32_t height = 0; height < s->level_count && status == ST_OK; height++)
        status = put_level(s, &s->levels[height], out);
    return status;
}

static enum status take_item(struct val_cursor *c, bool is_float, int64_t *item)
{
    struct scalar s;
    if (val_next(c, &s) != ST_OK || s.kind != (is_float ? SC_FLOAT : SC_INT) ||
        (is_float && s.f != s.f))
        return ST_CORRUPT;
    *item = is_float ? float_item(s.f) : s.i;
    return ST_OK;
}

static enum status take_head(struct val_cursor *c, struct sketch *s)
{
    struct scalar is_float, count, odd;
    if (val_next(c, &is_float) != ST_OK || (is_float.kind != SC_TRUE && is_float.kind != SC_FALSE))
        return ST_CORRUPT;
    if (val_next(c, &count) != ST_OK || count.kind != SC_INT || count.i < 0 ||
        (uint64_t)count.i > count_max)
        return ST_CORRUPT;
    if (val_next(c, &odd) != ST_OK || odd.kind != SC_INT)
        return ST_CORRUPT;
    s->is_float = is_float.kind == SC_TRUE;
    s->count = (uint64_t)count.i;
    s->odd = (uint64_t)odd.i;
    enum status status = take_item(c, s->is_float, &s->least);
    return status == ST_OK ? take_item(c, s->is_float, &s->greatest) : status;
}

static enum status take_level(struct val_cursor *c, struct sketch *s, uint32_t height)
{
    struct scalar head;
    if (val_next(c, &head) != ST_OK || head.kind != SC_ARRAY || head.count >= LEVEL_ITEMS)
        return ST_CORRUPT;
    enum status status = need_level(s, height);
    struct buf *level = &s->levels[height];
    for (uint64_t i = 0; i < head.count && status == ST_OK; i++) {
        int64_t item;
        status = take_item(c, s->is_float, &item);
        if (status == ST_OK && height > 0 && i > 0 && items(level)[i - 1] > item)
            status = ST_CORRUPT;
        if (status == ST_OK)
            status = push(level, item);
    }
    return status;
}

/* The weights of the values kept add up to the number of values that came. */
static enum status check_weights(const struct sketch *s)
{
    uint64_t total = 0;
    for (uint32_t height = 0; height < s->level_count; height++)
        total += (uint64_t)item_count(&s->levels[height]) << height;
    return total == s->count ? ST_OK : ST_CORRUPT;
}

static enum status parse_partial(struct slice partial, struct sketch *s)
{
    struct val_cursor c;
    uint64_t count;
    if (agg_open_array(partial, &c, &count) != ST_OK || count < 5 || count > 5 + LEVELS_MAX - 1)
        return ST_CORRUPT;
    enum status status = take_head(&c, s);
    for (uint32_t height = 0; height < count - 5 && status == ST_OK; height++)
        status = take_level(&c, s, height);
    return status == ST_OK ? check_weights(s) : status;
}

static void drop(struct sketch *s)
{
    for (uint32_t height = 0; height < s->level_count; height++)
        buf_free(&s->levels[height]);
    sys_free(s->levels);
}

static enum status merge_levels(struct sketch *s, const struct sketch *other)
{
    enum status status = ST_OK;
    for (uint32_t height = 0; height < other->level_count && status == ST_OK; height++) {
        const struct buf *from = &other->levels[height];
        status = need_level(s, height);
        if (status == ST_OK && height == 0)
            status = buf_append_slice(&s->levels[0], buf_slice(from));
        else if (status == ST_OK)
            status = merge_items(&s->levels[height], items(from), item_count(from), 1);
    }
    return status == ST_OK ? collapse_full(s) : status;
}

static enum status quantiles_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    struct sketch *s = state, other = { NULL, 0, 0, 0, 0, 0, false };
    enum status status = parse_partial(partial, &other);
    if (status == ST_OK && s->count + other.count > count_max)
        status = ST_CORRUPT;
    if (status == ST_OK && other.count > 0) {
        if (other.is_float)
            become_float(s);
        else if (s->is_float)
            become_float(&other);
        widen(s, other.least, other.greatest);
        s->odd ^= other.odd;
        status = merge_levels(s, &other);
        s->count += other.count;
    }
    drop(&other);
    return status;
}

/* --- results --- */

struct weighted {
    int64_t item;
    uint64_t weight;
};

static int compare_weighted(const void *a, const void *b)
{
    return compare_items(&((const struct weighted *)a)->item, &((const struct weighted *)b)->item);
}

static size_t list_weighted(const struct sketch *s, struct weighted *out)
{
    size_t n = 0;
    for (uint32_t height = 0; height < s->level_count; height++)
        for (size_t i = 0; i < item_count(&s->levels[height]); i++)
            out[n++] = (struct weighted){ items(&s->levels[height])[i], UINT64_C(1) << height };
    qsort(out, n, sizeof *out, compare_weighted);
    return n;
}

/* The value whose rank is the first at or above q · count (nearest rank); the ends are exact. */
static int64_t quantile(const struct sketch *s, const struct weighted *sorted, size_t n, double q)
{
    double rank = ceil(q * (double)s->count);
    uint64_t below = 0;
    if (rank <= 1)
        return s->least;
    if (rank >= (double)s->count)
        return s->greatest;
    for (size_t i = 0; i < n; i++) {
        below += sorted[i].weight;
        if ((double)below >= rank)
            return sorted[i].item;
    }
    return s->greatest;
}

static enum status put_nulls(size_t count, struct buf *out)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < count && status == ST_OK; i++)
        status = val_put_null(out);
    return status;
}

static enum status quantiles_finish(const struct agg *a, const void *state, struct buf *out)
{
    const struct sketch *s = state;
    size_t kept = 0;
    enum status status = val_put_array(out, a->at_count);
    if (status != ST_OK || s->count == 0)
        return status == ST_OK ? put_nulls(a->at_count, out) : status;
    for (uint32_t height = 0; height < s->level_count; height++)
        kept += item_count(&s->levels[height]);
    struct weighted *sorted = sys_malloc((kept + 1) * sizeof *sorted);
    if (!sorted)
        return ST_MEMORY;
    size_t n = list_weighted(s, sorted);
    for (size_t i = 0; i < a->at_count && status == ST_OK; i++)
        status = put_item(s, quantile(s, sorted, n, a->at[i]), out);
    sys_free(sorted);
    return status;
}

static size_t quantiles_weight(const struct agg *a, const void *state)
{
    (void)a;
    const struct sketch *s = state;
    if (!s->levels)
        return 0;
    size_t bytes = LEVELS_MAX * sizeof *s->levels;
    for (uint32_t height = 0; height < s->level_count; height++)
        bytes += s->levels[height].n;
    return bytes;
}

static void quantiles_drop(const struct agg *a, void *state)
{
    (void)a;
    drop(state);
}

/* --- task checkpoints: the sketch as it is; items by their bits --- */

static void quantiles_save(const struct agg *a, const void *state, struct saver *to)
{
    (void)a;
    const struct sketch *s = state;
    save_uint(to, s->is_float);
    save_uint(to, s->count);
    save_word(to, s->odd);
    save_word(to, (uint64_t)s->least);
    save_word(to, (uint64_t)s->greatest);
    save_uint(to, s->level_count);
    for (uint32_t height = 0; height < s->level_count; height++) {
        const struct buf *level = &s->levels[height];
        save_uint(to, item_count(level));
        for (size_t i = 0; i < item_count(level); i++)
            save_word(to, (uint64_t)items(level)[i]);
    }
}

static enum status load_level(struct sketch *s, uint32_t height, struct saved *from)
{
    uint64_t count = saved_uint(from, LEVEL_ITEMS - 1);
    enum status status = need_level(s, height);
    struct buf *level = &s->levels[height];
    for (uint64_t i = 0; i < count && status == ST_OK && !from->failed; i++) {
        int64_t item = (int64_t)saved_word(from);
        if ((s->is_float && isnan(item_float(item))) ||
            (height > 0 && i > 0 && items(level)[i - 1] > item))
            return ST_CORRUPT;
        status = push(level, item);
    }
    return status;
}

static enum status quantiles_load(const struct agg *a, void *state, struct saved *from)
{
    (void)a;
    struct sketch *s = state;
    s->is_float = saved_bool(from);
    s->count = saved_uint(from, count_max);
    s->odd = saved_word(from);
    s->least = (int64_t)saved_word(from);
    s->greatest = (int64_t)saved_word(from);
    uint64_t levels = saved_uint(from, LEVELS_MAX - 1);
    enum status status = ST_OK;
    for (uint32_t height = 0; height < levels && status == ST_OK; height++)
        status = load_level(s, height, from);
    return status == ST_OK ? check_weights(s) : status;
}

const struct agg_ops agg_ops_quantiles = {
    .name = "quantiles", .needs = NEEDS_NUMBER, .size = sizeof(struct sketch),
    .add = quantiles_add, .merge = quantiles_merge, .weight = quantiles_weight,
    .partial = quantiles_partial, .finish = quantiles_finish, .drop = quantiles_drop,
    .save = quantiles_save, .load = quantiles_load,
};
