/* run.h: run files: sorted, checksummed key/value pairs, written by one attempt.
 *
 * File layout (all integers little-endian; every byte is covered by a check):
 *   header  "lmrRUN1\n" magic, u32 version, u32 partitions, u32 flags (bit 0: blocks may be LZ4), u32 zero
 *   blocks  a sequence; u32 stored length, u32 raw length, u64 XXH3-64 of the stored bytes, seeded with both
 *           lengths (raw << 32 | stored); the bytes: LZ4 when stored < raw, else as they are.
 *           Raw bytes are pairs: varint key length, varint value length, key, value. A pair may span no two blocks: a block
 *           holds whole pairs and is RUN_BLOCK bytes or a little more, larger when one pair is.
 *   footer  the index: for each segment, for each partition: u64 offset of its first block, u64 bytes, u64 pairs,
 *           u64 chain (XXH3-64 over the checksums of its blocks in order; 0 when there are none); then
 *           u64 segments, u64 pairs in all, u64 footer offset, u64 XXH3-64 of the footer so far, seeded with
 *           the XXH3-64 of the header; end magic "lmrEND1\n".
 * A SEGMENT is what one spill wrote: for each partition in order, its pairs sorted by key (stable: emit order among
 * equal keys). One attempt's spills are the segments of its one run file, so nothing is written twice, and a task
 * checkpoint is a file offset. A merge takes one cursor a (run, segment).
 * A pair run (input of the next step) is a run of one partition whose pairs stand in reduce order, unsorted. */
#ifndef LMR_DATA_RUN_H
#define LMR_DATA_RUN_H

#include "data/codec.h"

enum { RUN_BLOCK = 64 * 1024, RUN_PARTITIONS_MAX = 65536 };
/* Most bytes one pair may have (what one LZ4 block can hold). */
enum { RUN_PAIR_MAX = 0x7e000000 - 64 };

struct run_writer;

struct run_stats {
    uint64_t segments, pairs, bytes; /* bytes of the file */
    uint64_t checksum;               /* XXH3-64 of the footer (which holds every block's position and checksum chain) */
};

enum status run_create(const char *path, uint32_t partitions, bool compress, struct run_writer **out, struct err *e);
/* Pairs come between begin and end, partitions ascending, keys ascending within one. A pair beyond
 * RUN_PAIR_MAX is ST_SCRIPT. */
enum status run_segment_begin(struct run_writer *w, struct err *e);
enum status run_put(struct run_writer *w, uint32_t partition, struct slice key, struct slice value, struct err *e);
enum status run_segment_end(struct run_writer *w, struct err *e);
/* Writes the footer, fsyncs when `durable` (only now: one fsync a file), closes, frees (also when it fails). `stats` may be NULL. */
enum status run_finish(struct run_writer *w, bool durable, struct run_stats *stats, struct err *e);
/* Closes and frees an unfinished one; NULL accepted; the file is left for the caller to remove. */
void run_abandon(struct run_writer *w);

/* Task checkpoints. run_suspend writes out what is finished, fsyncs when `durable` (the file alone: the caller fsyncs its
 * directory), and appends the writer's state to `out`; the writer goes on as if nothing had been. Between segments the state
 * is small; inside one the pairs of the open block are in it. */
enum status run_suspend(struct run_writer *w, bool durable, struct buf *out, struct err *e);
/* A writer for `new_path` that stands where the one of `state` stood: its file is made of the bytes that `from_path` had then (a
 * shorter file: ST_CORRUPT), and ends up as that one would have. `from_path`, another name, is only read: it may have grown
 * since, and be written to meanwhile. ST_CORRUPT also when the state does not hold, or is of a run with other partitions or
 * compression. Blocks are not read: who merges the run finds damage in them. */
enum status run_resume(const char *from_path, struct slice state, const char *new_path, uint32_t partitions, bool compress,
                       struct run_writer **out, struct err *e);

struct run;

/* Reads header and footer (checked); blocks are checked when read. ST_CORRUPT names file and what does not hold. The file is
 * opened once; cursors pread from it. */
enum status run_open(const char *path, struct run **out, struct err *e);
void run_close(struct run *r); /* NULL accepted; its cursors are closed before */
const char *run_path(const struct run *r);
uint32_t run_partitions(const struct run *r);
uint64_t run_segments(const struct run *r);
bool run_compressed(const struct run *r);
/* Bytes in the file (block headers included) and pairs of one partition of one segment. */
uint64_t run_partition_bytes(const struct run *r, uint64_t segment, uint32_t partition);
uint64_t run_partition_pairs(const struct run *r, uint64_t segment, uint32_t partition);
/* A hash of what one partition holds: pairs, bytes and checksums of its blocks. Partitions of two runs with the
 * same one give a reduce the same pairs in the same order. */
uint64_t run_partition_digest(const struct run *r, uint32_t partition);
/* The file's checksum, as run_finish gave it. */
uint64_t run_checksum(const struct run *r);

struct run_cursor;

enum status run_cursor_open(struct run *r, uint64_t segment, uint32_t partition, struct run_cursor **out, struct err *e);
/* ST_OK, ST_END, ST_CORRUPT (err.file, err.offset of the block). Slices are valid until the next call. */
enum status run_cursor_next(struct run_cursor *c, struct slice *key, struct slice *value, struct err *e);
/* Bytes of the file taken in so far. */
uint64_t run_cursor_bytes(const struct run_cursor *c);
/* Appends where the cursor stands; run_cursor_restore puts a fresh cursor of the same segment and partition there: it reads one
 * block. ST_CORRUPT when the state does not fit the run. */
enum status run_cursor_save(const struct run_cursor *c, struct buf *out);
enum status run_cursor_restore(struct run_cursor *c, struct slice state, struct err *e);
void run_cursor_close(struct run_cursor *c); /* NULL accepted */

#endif
