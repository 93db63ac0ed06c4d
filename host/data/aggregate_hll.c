/* approx_distinct: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007) over 64-bit XXH3 hashes of
 * encoded keys, with a sparse start (as Heule, Nunkesser, Hall 2013 have one) and the estimator of
 * Ertl ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no
 * correction tables. The registers are a function of the set of values alone, whatever their order
 * or grouping. */
#include "aggregate_ops.h"

#include "base/sys.h"

#include <math.h>
#include <xxhash.h>

struct hll {
    struct buf sparse;  /* while few: u32 entries, register << 8 | rank, ascending, a register once */
    uint8_t *registers; /* else: 2^precision ranks */
    struct buf key;     /* of the value being added */
};

enum { SPARSE = 0, DENSE = 1, ENTRY = 4 };

static size_t register_count(const struct agg *a)
{
    return (size_t)1 << a->precision;
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < ENTRY; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void raise(uint8_t *rank, uint8_t to)
{
    if (*rank < to)
        *rank = to;
}

/* The dense form takes a byte a register; the sparse one is given up at half of that. */
static enum status make_dense(const struct agg *a, struct hll *hll)
{
    hll->registers = sys_calloc(register_count(a), 1);
    if (!hll->registers)
        return ST_MEMORY;
    for (size_t at = 0; at < hll->sparse.n; at += ENTRY) {
        uint32_t entry = load_u32(hll->sparse.p + at);
        hll->registers[entry >> 8] = (uint8_t)entry;
    }
    buf_free(&hll->sparse);
    return ST_OK;
}

/* Where the entry of `reg` is, or would be. */
static size_t find_entry(const struct hll *hll, uint32_t reg)
{
    size_t low = 0, high = hll->sparse.n / ENTRY;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (load_u32(hll->sparse.p + middle * ENTRY) >> 8 < reg)
            low = middle + 1;
        else
            high = middle;
    }
    return low * ENTRY;
}

static enum status set_sparse(struct hll *hll, uint32_t reg, uint8_t rank)
{
    size_t at = find_entry(hll, reg);
    enum status status = buf_reserve(&hll->sparse, ENTRY);
    if (status != ST_OK)
        return status;
    uint8_t *entry = hll->sparse.p + at;
    if (at < hll->sparse.n && load_u32(entry) >> 8 == reg) {
        raise(entry, rank); /* the rank is the lowest byte */
        return ST_OK;
    }
    memmove(entry + ENTRY, entry, hll->sparse.n - at);
    store_u32(entry, reg << 8 | rank);
    hll->sparse.n += ENTRY;
    return ST_OK;
}

static enum status set_register(const struct agg *a, struct hll *hll, uint32_t reg, uint8_t rank)
{
    if (!hll->registers && hll->sparse.n >= register_count(a) / 2) {
        enum status status = make_dense(a, hll);
        if (status != ST_OK)
            return status;
    }
    if (!hll->registers)
        return set_sparse(hll, reg, rank);
    raise(&hll->registers[reg], rank);
    return ST_OK;
}

/* The register is the hash's first `precision` bits; the rank is one more than the zeros after
 * them. */
static enum status add_key(const struct agg *a, struct hll *hll, struct slice key)
{
    uint64_t hash = XXH3_64bits(key.p, key.n);
    uint64_t rest = hash << a->precision;
    int zeros = rest ? __builtin_clzll(rest) : 64 - (int)a->precision;
    return set_register(a, hll, (uint32_t)(hash >> (64 - a->precision)), (uint8_t)(zeros + 1));
}

static enum status hll_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    struct hll *hll = state;
    hll->key.n = 0;
    enum status status = value_to_key(value, &hll->key, NULL);
    if (status == ST_OK)
        status = add_key(a, hll, buf_slice(&hll->key));
    return agg_refuse_order(a, status, value, e);
}

/* --- partials: a string of the form, the precision, then entries or registers --- */

static enum status hll_partial(const struct agg *a, const void *state, struct buf *out)
{
    const struct hll *hll = state;
    struct slice body =
        hll->registers ? slice_of(hll->registers, register_count(a)) : buf_slice(&hll->sparse);
    uint8_t head[2] = { hll->registers ? DENSE : SPARSE, (uint8_t)a->precision };
    enum status status = buf_reserve(out, 1 + VARINT_MAX + sizeof head + body.n);
    if (status != ST_OK)
        return status;
    uint8_t *p = out->p + out->n;
    *p++ = VAL_STRING;
    p += varint_put(p, sizeof head + body.n);
    memcpy(p, head, sizeof head);
    if (body.n)
        memcpy(p + sizeof head, body.p, body.n);
    out->n = (size_t)(p + sizeof head + body.n - out->p);
    return ST_OK;
}

static bool is_rank(const struct agg *a, uint8_t rank)
{
    return rank <= 64 - a->precision + 1;
}

static enum status merge_sparse(const struct agg *a, struct hll *hll, struct slice body)
{
    if (body.n % ENTRY != 0)
        return ST_CORRUPT;
    for (size_t at = 0; at < body.n; at += ENTRY) {
        uint32_t entry = load_u32(body.p + at);
        uint8_t rank = (uint8_t)entry;
        if (entry >> 8 >= register_count(a) || rank == 0 || !is_rank(a, rank))
            return ST_CORRUPT;
        enum status status = set_register(a, hll, entry >> 8, rank);
        if (status != ST_OK)
            return status;
    }
    return ST_OK;
}

static enum status merge_dense(const struct agg *a, struct hll *hll, struct slice body)
{
    if (body.n != register_count(a))
        return ST_CORRUPT;
    enum status status = hll->registers ? ST_OK : make_dense(a, hll);
    if (status != ST_OK)
        return status;
    for (size_t i = 0; i < body.n; i++) {
        if (!is_rank(a, body.p[i]))
            return ST_CORRUPT;
        raise(&hll->registers[i], body.p[i]);
    }
    return ST_OK;
}

static enum status hll_merge(const struct agg *a, void *state, struct slice partial)
{
    struct slice s;
    if (val_check(partial) != ST_OK || !val_as_string(partial, &s) || s.n < 2 ||
        s.p[1] != a->precision)
        return ST_CORRUPT;
    struct slice body = slice_of(s.p + 2, s.n - 2);
    if (s.p[0] == SPARSE)
        return merge_sparse(a, state, body);
    return s.p[0] == DENSE ? merge_dense(a, state, body) : ST_CORRUPT;
}

/* --- the estimate: Ertl's improved raw estimator --- */

static double sigma(double x)
{
    double y = 1, z = x, last;
    if (x == 1)
        return INFINITY;
    do {
        x *= x;
        last = z;
        z += x * y;
        y += y;
    } while (z != last);
    return z;
}

static double tau(double x)
{
    if (x == 0 || x == 1)
        return 0;
    double y = 1, z = 1 - x, last;
    do {
        x = sqrt(x);
        last = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z != last);
    return z / 3;
}

enum { RANKS = 66 };

static void count_ranks(const struct agg *a, const struct hll *hll, double counts[RANKS])
{
    size_t m = register_count(a), entries = hll->sparse.n / ENTRY;
    memset(counts, 0, RANKS * sizeof *counts);
    if (hll->registers) {
        for (size_t i = 0; i < m; i++)
            counts[hll->registers[i]]++;
        return;
    }
    counts[0] = (double)(m - entries);
    for (size_t i = 0; i < entries; i++)
        counts[hll->sparse.p[i * ENTRY]]++;
}

static double estimate(const struct agg *a, const struct hll *hll)
{
    const double half_over_ln2 = 0.72134752044448170368;
    double counts[RANKS], m = (double)register_count(a);
    unsigned q = 64 - a->precision;
    count_ranks(a, hll, counts);
    double z = m * tau(1 - counts[q + 1] / m);
    for (unsigned k = q; k >= 1; k--)
        z = (z + counts[k]) / 2;
    z += m * sigma(counts[0] / m);
    return half_over_ln2 * m * m / z;
}

static enum status hll_finish(const struct agg *a, const void *state, struct buf *out)
{
    return val_put_int(out, (int64_t)llround(estimate(a, state)));
}

static size_t hll_weight(const struct agg *a, const void *state)
{
    const struct hll *hll = state;
    return hll->registers ? register_count(a) : hll->sparse.n;
}

static void hll_drop(const struct agg *a, void *state)
{
    (void)a;
    struct hll *hll = state;
    buf_free(&hll->sparse);
    buf_free(&hll->key);
    sys_free(hll->registers);
}

static void hll_save(const struct agg *a, const void *state, struct saver *to)
{
    const struct hll *hll = state;
    save_uint(to, a->precision);
    save_uint(to, hll->registers ? DENSE : SPARSE);
    if (hll->registers)
        save_bytes(to, hll->registers, register_count(a));
    else
        save_slice(to, buf_slice(&hll->sparse));
}

static enum status load_sparse(const struct agg *a, struct hll *hll, struct slice body)
{
    if (body.n % ENTRY != 0 || body.n >= register_count(a) / 2 + ENTRY)
        return ST_CORRUPT;
    for (size_t at = 0; at < body.n; at += ENTRY) {
        uint32_t entry = load_u32(body.p + at);
        uint8_t rank = (uint8_t)entry;
        if (entry >> 8 >= register_count(a) || rank == 0 || !is_rank(a, rank) ||
            (at > 0 && load_u32(body.p + at - ENTRY) >> 8 >= entry >> 8))
            return ST_CORRUPT;
    }
    return buf_append_slice(&hll->sparse, body);
}

static enum status hll_load(const struct agg *a, void *state, struct saved *from)
{
    struct hll *hll = state;
    saved_expect(from, a->precision);
    if (saved_uint(from, DENSE) == SPARSE)
        return load_sparse(a, hll, saved_slice(from));
    return merge_dense(a, hll, saved_bytes(from, register_count(a)));
}

const struct agg_ops agg_ops_approx = {
    .name = "approx_distinct", .needs = NEEDS_ORDER, .size = sizeof(struct hll),
    .add = hll_add, .merge = hll_merge, .weight = hll_weight,
    .partial = hll_partial, .finish = hll_finish, .drop = hll_drop,
    .save = hll_save, .load = hll_load,
};
