/* aggregate_ops.h: what an aggregate is made of; private to aggregate*.c.
 *
 * A state starts as zeros, whatever the aggregate. `add` has refused a value (ST_SCRIPT) before it
 * changed anything. `merge` gets any bytes, and has refused them (ST_CORRUPT) before it changed
 * anything that matters (the attempt ends). `load` finds a state of zeros and any bytes; ST_CORRUPT
 * (or a failed `from`) leaves what `drop` can free. */
#ifndef LMR_DATA_AGGREGATE_OPS_H
#define LMR_DATA_AGGREGATE_OPS_H

#include "data/aggregate_save.h"

enum agg_needs { NEEDS_ANY, NEEDS_NUMBER, NEEDS_ORDER, NEEDS_RANKED, NEEDS_FIELDS };

struct agg_ops {
    const char *name;
    enum agg_needs needs;
    size_t size; /* of the state; `all` has its own */
    enum status (*add)(const struct agg *a, void *state, struct slice value, struct err *e);
    enum status (*merge)(const struct agg *a, void *state, struct slice partial);
    size_t (*weight)(const struct agg *a, const void *state); /* NULL: 0 */
    enum status (*partial)(const struct agg *a, const void *state, struct buf *out);
    enum status (*finish)(const struct agg *a, const void *state, struct buf *out);
    void (*drop)(const struct agg *a, void *state); /* NULL: nothing to free */
    void (*save)(const struct agg *a, const void *state, struct saver *to);
    enum status (*load)(const struct agg *a, void *state, struct saved *from);
};

enum { AGG_FIELDS_MAX = 64 }; /* of `all` */

struct agg_field {
    char *name;
    struct agg *agg;
    size_t offset; /* of its state in the state of `all` */
};

struct agg {
    const struct agg_ops *ops;
    size_t state_size;
    uint32_t top_count;
    bool top_by_rank;
    unsigned precision; /* approx_distinct: log2 of the number of registers */
    double *at;         /* quantiles */
    size_t at_count;
    struct agg_field *fields; /* all: in key order */
    size_t field_count;
};

/* aggregate_number.c */
extern const struct agg_ops agg_ops_sum, agg_ops_count, agg_ops_mean;
/* aggregate_value.c */
extern const struct agg_ops agg_ops_min, agg_ops_max, agg_ops_first, agg_ops_last, agg_ops_list;
/* aggregate_set.c, aggregate_top.c, aggregate_hll.c, aggregate_quantiles.c, aggregate_all.c */
extern const struct agg_ops agg_ops_distinct, agg_ops_top, agg_ops_approx, agg_ops_quantiles,
    agg_ops_all;

/* ST_OK when `value` is one that a->ops->add takes; else ST_SCRIPT with a message. */
enum status agg_accepts(const struct agg *a, struct slice value, struct err *e);
/* ST_SCRIPT: "NAME needs NEEDED, got KIND". */
enum status agg_refuse(const struct agg *a, const char *needed, struct slice value, struct err *e);
/* Turns value_to_key's refusal (ST_SCRIPT) into ours; other statuses are given back as they are. */
enum status agg_refuse_order(const struct agg *a, enum status status, struct slice value,
                             struct err *e);
/* Cuts { rank, value }; false when `value` is no array of two. */
bool agg_cut_ranked(struct slice value, struct slice *rank, struct slice *what);
/* A partial that is an array: checked, `count` elements follow in `c`. */
enum status agg_open_array(struct slice partial, struct val_cursor *c, uint64_t *count);

#endif
