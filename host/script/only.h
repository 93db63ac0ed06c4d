/* only.h: what an attempt of a few records or groups (the assignment's `only`) gave, for a person to see. */
#ifndef LMR_SCRIPT_ONLY_H
#define LMR_SCRIPT_ONLY_H

#include "data/aggregate.h"
#include "script/task.h"

enum { ONLY_SHOWN_MAX = 20, ONLY_LINE_MAX = 4096 };

/* Once run and part are closed: adds `shown` to a result: an array of the first ONLY_SHOWN_MAX lines of the part in its output format, or
 * pairs of the run as the text format writes them, in key order, as they go to reduce (with a declared combine: `agg`, else NULL, as reduce
 * would finish them). A line is cut at ONLY_LINE_MAX bytes. What cannot be read is left out. */
void only_result(struct task *t, const struct agg *agg, struct val_map *result);

#endif
