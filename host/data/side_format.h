/* side_format.h: the file behind side.h; private to side*.c.
 *   header   64 bytes: magic "lmrSID1\n", u64 pairs, u64 bytes of the pairs, u64 XXH3-64 of the bytes
 *            after the header, 32 bytes of 0
 *   pairs    in key order: varint key length, varint value length, key, value; then zeros up to a
 *            multiple of 8
 *   order    u64 a pair: its offset in the pairs, ascending
 *   hashes   (u64 XXH3-64 of the key, u64 number of the pair) a pair, ascending
 * All integers little-endian, as are the machines it is mapped on. */
#ifndef LMR_DATA_SIDE_FORMAT_H
#define LMR_DATA_SIDE_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define SIDE_MAGIC "lmrSID1\n"

struct side_header {
    char magic[8];
    uint64_t count, pair_bytes, checksum;
    uint64_t reserved[4];
};

struct side_hash {
    uint64_t hash, number;
};

static_assert(sizeof(struct side_header) == 64, "the header's layout is on disk");
static_assert(sizeof(struct side_hash) == 16, "the hashes' layout is on disk");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is mapped as it is");

#endif
