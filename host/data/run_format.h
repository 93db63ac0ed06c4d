/* run_format.h: the layout of run files, shared by run_write.c and run_read.c and by nobody else. */
#ifndef LMR_DATA_RUN_FORMAT_H
#define LMR_DATA_RUN_FORMAT_H

#include "base/bytes.h"

#include <xxhash.h>

#define RUN_MAGIC "lmrRUN1\n"
#define RUN_END_MAGIC "lmrEND1\n"

enum {
    RUN_VERSION = 1,
    RUN_MAGIC_SIZE = 8,
    RUN_HEADER_SIZE = 24,       /* magic, version, partitions, flags, zero */
    RUN_BLOCK_HEADER_SIZE = 16, /* stored length, raw length, checksum */
    RUN_ENTRY_SIZE = 32,        /* offset, bytes, pairs, chain */
    RUN_TAIL_SIZE = 40          /* segments, pairs, footer offset, checksum, end magic */
};

enum { RUN_FLAG_LZ4 = 1 };

static inline void run_store32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void run_store64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t run_load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t run_load64(const uint8_t *p)
{
    return (uint64_t)run_load32(p) | (uint64_t)run_load32(p + 4) << 32;
}

/* Checksum of a block: its stored bytes and both its lengths. */
static inline uint64_t run_block_sum(const uint8_t *p, uint32_t stored, uint32_t raw)
{
    return XXH3_64bits_withSeed(p, stored, (uint64_t)raw << 32 | stored);
}

/* The chain of a partition after one more block. */
static inline uint64_t run_chain(uint64_t chain, uint64_t block_sum)
{
    uint8_t bytes[8];
    run_store64(bytes, block_sum);
    return XXH3_64bits_withSeed(bytes, sizeof bytes, chain);
}

/* Checksum of a footer (up to its own checksum) and of the file's header. */
static inline uint64_t run_footer_sum(const uint8_t *header, const uint8_t *footer, size_t n)
{
    return XXH3_64bits_withSeed(footer, n, XXH3_64bits(header, RUN_HEADER_SIZE));
}

#endif
