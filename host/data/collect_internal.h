/* collect_internal.h: what the collector's files share: staging (collect.c), folding (fold.c),
 * spilling (spill.c). */
#ifndef LMR_DATA_COLLECT_INTERNAL_H
#define LMR_DATA_COLLECT_INTERNAL_H

#include "data/collect.h"
#include "data/combine.h"
#include "data/pile.h"

/* A staged pair; its key and value stand in the stage behind those of the pair before it. */
struct staged {
    uint32_t key_length, value_length, partition;
};

/* Pairs up to `end` were emitted by records up to `record`. */
struct mark {
    size_t end; /* index of the pair after its last */
    struct collect_place place;
};

struct collect {
    /* staging */
    struct buf stage;
    struct staged *pairs;
    size_t pair_count, pair_cap;
    size_t key_start, key_end; /* of the pair being built; key_end 0: its key is not ended */
    size_t committed, committed_bytes;
    struct mark *marks;
    size_t mark_count, mark_cap;

    /* folding: `table` with an aggregate, `pile` without */
    uint64_t budget, charged; /* charged: of the pile */
    struct combine table;
    struct pile pile;

    /* config */
    uint32_t partitions, group_by;
    const struct agg *agg;
    struct combiner combiner;
    const struct slice *boundaries;

    char *names; /* of the files in marks that were restored; NUL after each */
    struct run_writer *run;
    struct buf scratch; /* a partial being written */
    struct collect_stats stats;
    enum status failed; /* of the first error of a fold or spill: from then on there is nothing to
                           go on with */
};

/* A collector without its run file. */
enum status collect_prepare(const struct collect_config *config, struct collect **out,
                            struct err *e);
/* Makes room in the stage for `more` bytes and one more pair. */
enum status collect_reserve(struct collect *c, size_t more, struct err *e);
/* Notes that the pairs up to pair_count are the record's. */
enum status collect_mark(struct collect *c, const struct collect_place *place, struct err *e);
/* Folds the committed pairs of the stage and empties it. */
enum status collect_fold(struct collect *c, struct err *e);
/* Writes what is folded as one segment; nothing when there is nothing. */
enum status collect_spill(struct collect *c, struct err *e);
/* Writes a pair too large for the sort buffer as a segment of its own. */
enum status collect_spill_pair(struct collect *c, uint32_t partition, struct slice key,
                               struct slice value, struct err *e);

#endif
