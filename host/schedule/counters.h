/* counters.h: named counters of a job: integers stay integers (overflow becomes a float), and sums
 * are made in the order of counters_add, so that a float sum is the same in every run. Start as
 * COUNTERS_EMPTY. */
#ifndef LMR_SCHEDULE_COUNTERS_H
#define LMR_SCHEDULE_COUNTERS_H

#include "data/codec.h"

struct counter {
    struct buf key; /* group, NUL, name */
    size_t group_length;
    bool is_float;
    int64_t i;
    double f;
};

struct counters {
    struct counter *items; /* sorted by group, then name */
    size_t count, capacity;
};

#define COUNTERS_EMPTY ((struct counters){ NULL, 0, 0 })

/* Adds an encoded { group = { name = number } }; what is no number is skipped. ST_MEMORY only. */
enum status counters_add(struct counters *c, struct slice map);
/* Appends the encoded map; an empty one when there are none. */
enum status counters_put(const struct counters *c, struct buf *out);
struct slice counter_group(const struct counter *c);
struct slice counter_name(const struct counter *c);
void counters_free(struct counters *c);

#endif
