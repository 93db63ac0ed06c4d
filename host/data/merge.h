/* merge.h: the reduce side: one sorted stream out of many run segments.
 *
 * A loser tree (Knuth, TAOCP 3, 5.4.1) over one cursor a (run, segment), with the next 8 key bytes cached in each leaf. Order among equal keys is
 * the order of the runs given, then of segments, then within the segment. When there are more cursors than `fan_in`, groups of
 * neighbours are first merged into intermediate runs beside `temporary_path` (so the order holds). Memory: fan_in blocks. */
#ifndef LMR_DATA_MERGE_H
#define LMR_DATA_MERGE_H

#include "data/run.h"

#include <stdatomic.h>

enum { MERGE_FAN_IN = 256 };

struct merge;

struct merge_config {
    const char *const *run_paths; /* map-task order; borrowed while open */
    size_t runs;
    uint32_t partition;
    uint32_t fan_in;              /* 0: MERGE_FAN_IN */
    const char *temporary_path;   /* prefix for intermediate runs; removed by merge_close */
    _Atomic uint64_t *alive;      /* or NULL: raised now and then while intermediate runs are written */
};

/* Opens all runs (merging down to fan_in first). ST_CORRUPT names the run; a run without the partition is ST_CORRUPT too. */
enum status merge_open(const struct merge_config *config, struct merge **out, struct err *e);
/* ST_OK, ST_END, ST_CORRUPT (err.file names the run). Slices are valid until the next call. */
enum status merge_next(struct merge *m, struct slice *key, struct slice *value, struct err *e);
/* Pairs in all, and bytes of run files taken in so far by this last pass: progress. */
uint64_t merge_pairs(const struct merge *m);
uint64_t merge_bytes_done(const struct merge *m);
void merge_close(struct merge *m); /* NULL accepted */

#endif
