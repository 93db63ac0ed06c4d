/* aggregate.h: the declared reducers (mr.sum, mr.count, …), folded in C over encoded values.
 *
 * An `agg` is a parsed declaration. A state is agg_state_size bytes of the caller's memory, aligned
 * to 8, between agg_init and agg_drop; it may own heap memory. `add` folds one raw (emitted) value,
 * `merge` folds what agg_partial wrote in another state, so combine → run → reduce is add… partial,
 * merge…, finish. Order of calls is the order of values, and every result is a function of that
 * order alone.
 *
 * A declaration is an encoded value (what scripts/mr.lua makes of mr.sum and so on):
 *   "sum" | "count" | "min" | "max" | "mean" | "first" | "last" | "list" | "distinct"
 *   { agg = "top", n = 10, by = true|nil }
 *       by: values arrive as the array { rank, value }; order is rank (as keys order) descending,
 *       ties: earlier first
 *   { agg = "approx_distinct", error = 0.01 }
 *       HyperLogLog over 64-bit XXH3 (see aggregate_hll.c); error 0.002 … 0.3
 *   { agg = "quantiles", at = { 0.5, 0.95 } }
 *       a deterministic mergeable sketch: exact below 2048 values, rank error ≤ 1 % of the values up
 *       to 2·10^9 of them (see aggregate_quantiles.c)
 *   { agg = "all", of = { n = "count", bytes = "sum" } }
 *       values are tables; `count` counts every value, the others take the field of their own name,
 *       absent fields are skipped; no `all` inside `all`
 *
 * Results: sum keeps integers while all are integers (overflow becomes a float); of none: 0.
 * min/max order as keys do, over any key-able value; of equal ones (1 and 1.0) the first stays.
 * mean is a float. list is an array in order; distinct an array in key order; top an array of
 * values; quantiles an array beside `at`: integers while all values are integers, else floats
 * (nearest rank: the value at ceil(q · n); 0 and 1 are the exact ends). Of no value at all: min,
 * max, mean, first, last and each quantile are null. */
#ifndef LMR_DATA_AGGREGATE_H
#define LMR_DATA_AGGREGATE_H

#include "data/codec.h"

struct agg;

/* ST_USAGE with a message when the declaration is none. agg_free accepts NULL. */
enum status agg_parse(struct slice declaration, struct agg **out, struct err *e);
void agg_free(struct agg *a);
const char *agg_name(const struct agg *a);
size_t agg_state_size(const struct agg *a);
/* A state of zeros; nothing else, so that memory that is zero already needs no call. */
void agg_init(const struct agg *a, void *state);
/* Folds a raw value. A value of a wrong type is ST_SCRIPT with a message ("sum needs a number, got
 * a string"), and the state is as it was. */
enum status agg_add(const struct agg *a, void *state, struct slice value, struct err *e);
/* Folds a partial; ST_CORRUPT when it is none of ours (the state is then fit for agg_drop only). */
enum status agg_merge(const struct agg *a, void *state, struct slice partial, struct err *e);
/* Encoded size of the state beyond agg_state_size, in bytes, a function of the values folded alone
 * (not of malloc): what the sort buffer's budget is charged with. */
size_t agg_weight(const struct agg *a, const void *state);
enum status agg_partial(const struct agg *a, const void *state, struct buf *out);
enum status agg_finish(const struct agg *a, const void *state, struct buf *out, struct err *e);
void agg_drop(const struct agg *a, void *state);
/* True when the aggregate is the plain sum, whose state is a struct agg_number, so that the
 * collector can add integers without a call: while is_float is 0 and no overflow comes, i += value.
 * (A count's state is one too, but it adds 1 whatever the value.) */
struct agg_number {
    int64_t i;
    double f;
    uint8_t is_float;
};
bool agg_is_sum(const struct agg *a);

#endif
