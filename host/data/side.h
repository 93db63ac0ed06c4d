/* side.h: side files: a small file indexed once, mapped read-only by every worker.
 *
 * side_build reads records through a reader, takes each record's key (a field, or a column) and
 * writes an index file: a sorted array of (hash, offset) plus the encoded pairs, checksummed.
 * side_open maps it; lookups never allocate. The last record of a key that comes twice wins. */
#ifndef LMR_DATA_SIDE_H
#define LMR_DATA_SIDE_H

#include "data/codec.h"
#include "data/input.h"

struct side;

/* Builds the index of the files in `parts` (read whole) at `index_path`. `key` names the field of a
 * csv/tsv/jsonl record that is the key; for text records NULL: the key is the line up to the first
 * TAB and the value the rest. For pair runs (the previous round's output) NULL: keys and values as
 * they are. A record without that field: ST_BAD_RECORD with its place. */
enum status side_build(const struct split *parts, const struct input_spec *specs, const char *key,
                       const char *index_path, bool durable, uint64_t *records, struct err *e);
/* Maps an index; its checksum is verified once here. ST_CORRUPT when it does not hold. */
enum status side_open(const char *index_path, struct side **out, struct err *e);
/* The encoded value of an encoded key (as a whole key), borrowed from the map; false when there is
 * none. */
bool side_lookup(const struct side *s, struct slice key, struct slice *value);
/* Pair number `i` in key order (0 … side_count−1), borrowed. */
uint64_t side_count(const struct side *s);
void side_pair(const struct side *s, uint64_t i, struct slice *key, struct slice *value);
void side_close(struct side *s);

#endif
