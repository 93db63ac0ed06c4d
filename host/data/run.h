/* run.h: run files: sorted, checksummed key/value pairs, written by one attempt.
 *
 * File layout (all integers little-endian):
 *   header  "lmrRUN1\n" magic, u32 version, u32 partitions, u32 flags (bit 0: blocks are LZ4), u32 reserved
 *   blocks  a sequence; u32 stored length, u32 raw length, u64 XXH3-64 of the stored bytes; the bytes.
 *           Raw bytes are pairs: varint key length, varint value length, key, value. A pair may span no two blocks: a block
 *           holds whole pairs and is RUN_BLOCK bytes or a little more, larger when one pair is.
 *   footer  the index: for each segment, for each partition: offset of its first block, bytes, pairs;
 *           totals; XXH3-64 of the footer; u64 footer offset; end magic.
 * A SEGMENT is what one spill wrote: for each partition in order, its pairs sorted by key (stable: emit order among
 * equal keys). One attempt's spills are the segments of its one run file, so nothing is written twice, and a task
 * checkpoint is a file offset. A merge takes one cursor a (run, segment).
 * A pair run (input of the next step) is a run of one partition whose pairs stand in reduce order, unsorted. */
#ifndef LMR_DATA_RUN_H
#define LMR_DATA_RUN_H

#include "data/codec.h"

enum { RUN_BLOCK = 64 * 1024, RUN_PARTITIONS_MAX = 65536 };

struct run_writer;

struct run_stats {
    uint64_t segments, pairs, bytes; /* bytes of the file */
    uint64_t checksum;               /* XXH3-64 of the footer (which holds every block's position and totals) */
};

enum status run_create(const char *path, uint32_t partitions, bool compress, struct run_writer **out, struct err *e);
/* Pairs come between begin and end, partitions ascending, keys ascending within one. */
enum status run_segment_begin(struct run_writer *w, struct err *e);
enum status run_put(struct run_writer *w, uint32_t partition, struct slice key, struct slice value, struct err *e);
enum status run_segment_end(struct run_writer *w, struct err *e);
/* Writes the footer, fsyncs when `durable` (only now: one fsync a file), closes, frees. */
enum status run_finish(struct run_writer *w, bool durable, struct run_stats *stats, struct err *e);
/* Closes and frees an unfinished one; NULL accepted; the file is left for the caller to remove. */
void run_abandon(struct run_writer *w);

struct run;

/* Reads header and footer (checked); blocks are checked when read. ST_CORRUPT names file and what does not hold. The file is
 * opened once; cursors pread from it. */
enum status run_open(const char *path, struct run **out, struct err *e);
void run_close(struct run *r);
const char *run_path(const struct run *r);
uint32_t run_partitions(const struct run *r);
uint64_t run_segments(const struct run *r);
uint64_t run_partition_bytes(const struct run *r, uint64_t segment, uint32_t partition);
uint64_t run_partition_pairs(const struct run *r, uint64_t segment, uint32_t partition);

struct run_cursor;

enum status run_cursor_open(struct run *r, uint64_t segment, uint32_t partition, struct run_cursor **out, struct err *e);
/* ST_OK, ST_END, ST_CORRUPT (err.file, err.offset of the block). Slices are valid until the next call. */
enum status run_cursor_next(struct run_cursor *c, struct slice *key, struct slice *value, struct err *e);
void run_cursor_close(struct run_cursor *c);

#endif
