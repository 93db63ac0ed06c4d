/* aggregate_save.h: states in task checkpoints. Private to this room. */
#ifndef LMR_DATA_AGGREGATE_SAVE_H
#define LMR_DATA_AGGREGATE_SAVE_H

#include "data/aggregate.h"
#include "data/saved.h"

/* Appends the state bit for bit: not a partial, whose merge may round. */
void agg_save_to(const struct agg *a, const void *state, struct saver *to);
/* Makes it anew in a state of zeros (after agg_init), so that whatever is folded next gives what it would have
 * given. ST_CORRUPT when the bytes are none of ours or of another declaration, also when `from` failed: the state
 * is then fit for agg_drop only. */
enum status agg_load_from(const struct agg *a, void *state, struct saved *from);

#endif
