/* combine.h: a combiner in Lua: combine(key, values, emit), a group at a time, called by the collector when it spills. */
#ifndef LMR_SCRIPT_COMBINE_H
#define LMR_SCRIPT_COMBINE_H

#include "script/emit.h"

/* A combiner.combine of data/collect.h; `context` is the struct map_emitter. A protected call of its own. */
enum status combine_group(void *context, struct slice key, const struct group_values *values, combine_put put,
                          void *put_context, struct err *e);

#endif
