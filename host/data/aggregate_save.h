/* aggregate_save.h: agg_save and agg_load of a state that stands among others. Private to this
 * room. */
#ifndef LMR_DATA_AGGREGATE_SAVE_H
#define LMR_DATA_AGGREGATE_SAVE_H

#include "data/aggregate.h"
#include "data/saved.h"

void agg_save_to(const struct agg *a, const void *state, struct saver *to);
/* ST_CORRUPT also when `from` failed. */
enum status agg_load_from(const struct agg *a, void *state, struct saved *from);

#endif
