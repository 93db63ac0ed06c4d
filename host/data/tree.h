/* tree.h: a loser tree over run cursors: the k-way merge itself, without files; for merge.c. */
#ifndef LMR_DATA_TREE_H
#define LMR_DATA_TREE_H

#include "data/run.h"

struct tree;

/* Takes `n` cursors (order = order among equal keys), which tree_close closes, also when this
 * fails. n may be 0. */
enum status tree_open_take(struct run_cursor *const *cursors, size_t n, struct tree **out,
                           struct err *e);
/* As merge_next. */
enum status tree_next(struct tree *t, struct slice *key, struct slice *value, struct err *e);
uint64_t tree_bytes(const struct tree *t);
void tree_close(struct tree *t);

#endif
