/* collect.h: the map side of the shuffle: staged emits, combining, the sort buffer, spills, one run file.
 *
 * A record's emits are STAGED. collect_commit folds them in when the map function has returned;
 * collect_undo forgets them, so that a record put aside leaves no trace. Folding is into a hash table of aggregate states when an
 * aggregate is given, else into the sort buffer. When the encoded bytes (keys + values or states + a fixed charge a
 * pair) pass `sort_buffer`, the collector SPILLS: sorts by (partition, key), stable, and writes one segment of the run.
 * Spill points depend on the bytes folded and on nothing else. Memory: sort_buffer plus the sort's scratch, within sort_buffer + 32 MiB
 * in all (the fixed charges cover the index entries and the scratch).
 *
 * A pair that is charged more than the whole sort buffer goes to the run as a segment of its own.
 *
 * Partition of a pair: what the caller staged it with, else by boundaries (total order), else XXH3 of its group bytes mod partitions. */
#ifndef LMR_DATA_COLLECT_H
#define LMR_DATA_COLLECT_H

#include "data/aggregate.h"
#include "data/run.h"

/* A combiner outside this room (a Lua function): called at a spill once a group of equal keys; it writes the combined values
 * by put(put_context, value), in order. Returns a status; its error is in `e`. */
struct group_values {
    uint64_t count;
    const struct slice *values;
};
typedef enum status (*combine_put)(void *put_context, struct slice value);
struct combiner {
    enum status (*combine)(void *context, struct slice key, const struct group_values *values, combine_put put, void *put_context, struct err *e);
    void *context;
};

struct collect_config {
    const char *run_path;
    uint32_t partitions;        /* ≥ 1 */
    uint64_t sort_buffer;       /* bytes */
    uint32_t group_by;          /* 0: whole key */
    bool compress;
    const struct agg *agg;      /* declared combine, borrowed; or NULL */
    struct combiner combiner;   /* .combine NULL: none; never together with agg */
    const struct slice *boundaries; /* partitions − 1 encoded group keys, ascending, or NULL; borrowed. Partition i holds group bytes < boundaries[i] */
};

struct collect;

struct collect_stats {
    uint64_t staged_pairs, staged_bytes; /* emitted by committed records */
    uint64_t combined_pairs;             /* written to the run */
    uint64_t spills;                     /* segments */
    struct run_stats run;
};

enum status collect_open(const struct collect_config *config, struct collect **out, struct err *e);

/* Where the next staged pair is built: append the encoded key to it, then call collect_staged_key, append the encoded value, then
 * collect_staged. (The buffer is the collector's own; only append.) */
struct buf *collect_stage(struct collect *c);
/* Marks the end of the key being built. */
void collect_staged_key(struct collect *c);
enum { PARTITION_BY_KEY = UINT32_MAX };
/* Ends the pair; `partition` is the user's choice or PARTITION_BY_KEY. Out of range, or a pair beyond RUN_PAIR_MAX: ST_SCRIPT, and
 * the pair is dropped. */
enum status collect_staged(struct collect *c, uint32_t partition, struct err *e);
/* Forgets a half-built pair (the value could not be encoded). */
void collect_stage_drop(struct collect *c);
/* Fast path: stages a string key with a small integer value, partition by key: mr.words / word_mapper / emit(word, 1). */
enum status collect_string_int(struct collect *c, const char *s, size_t n, int64_t value, struct err *e);

/* Where a record stands, for errors: err_at's arguments. The file's name must stay until the collector is closed. */
struct collect_place {
    const char *file;
    int64_t offset, record;
};

/* Folds the staged pairs of the record that just ended. Folding may be put off and done in batches (it is invisible, except that a
 * value the aggregate refuses is reported by a later call; the error tells the place of its record, as passed here). After an
 * error of this or of collect_finish the collector can only be closed. Until its commit a record's emits are held in memory beside the
 * sort buffer, however many they are. */
enum status collect_commit(struct collect *c, const struct collect_place *place, struct err *e);
void collect_undo(struct collect *c);
/* Spills what is left, finishes the run file (fsync when durable). The collector is still to be closed. */
enum status collect_finish(struct collect *c, bool durable, struct collect_stats *stats, struct err *e);
/* Task checkpoints. collect_save appends the collector as it is: the staged pairs that are committed (others are left out), the
 * sort buffer or the combine table, statistics, and the state of the run file, whose bytes it writes out (and fsyncs when `durable`;
 * the caller fsyncs the directory). Nothing is folded, combined or spilled by it, and the collector goes on as if
 * nothing had been. `out` grows by as much as the sort buffer holds. ST_MEMORY, or an error of writing: then the attempt fails. */
enum status collect_save(struct collect *c, bool durable, struct buf *out, struct err *e);
/* A collector that stands where the one of `state` stood, and ends with the same run, byte for byte. `config` is as it was for that
 * one, but for run_path: the new file, which begins as a copy of what `from_run_path` (another name, only read) had then.
 * ST_CORRUPT when the state does not hold, is of another config (partitions, sort buffer, grouping, aggregate, …), or does not fit the file:
 * then there is no collector, and the new file is for the caller to remove. */
enum status collect_restore(const struct collect_config *config, const char *from_run_path, struct slice state,
                            struct collect **out, struct err *e);
uint64_t collect_spills(const struct collect *c);
void collect_close(struct collect *c); /* abandons an unfinished run; NULL accepted */

/* The partition of an encoded key under the default rule. */
uint32_t collect_partition(struct slice group_bytes, uint32_t partitions);

#endif
