/* sort.h: sorts references to keys by key, stably.
 *
 * An item stands for a key of `length` bytes at keys + ref * SORT_UNIT. Its prefix holds the 8 key
 * bytes from some depth on, big-endian and zero-padded, so that most comparisons are one of two
 * integers. */
#ifndef LMR_DATA_SORT_H
#define LMR_DATA_SORT_H

#include "base/bytes.h"

enum { SORT_UNIT = 8, SORT_WINDOW = 8 };
/* sort_prefix may read this many bytes behind the end of a key. */
enum { SORT_OVERREAD = 8 };

struct sort_item {
    uint64_t prefix;
    uint32_t ref;
    uint32_t length;
};

/* The prefix of a key at `depth` bytes from its start. */
static inline uint64_t sort_prefix(const uint8_t *key, size_t length, size_t depth)
{
    if (depth >= length)
        return 0;
    uint64_t bytes;
    memcpy(&bytes, key + depth, sizeof bytes);
    bytes = __builtin_bswap64(bytes);
    size_t rest = length - depth;
    return rest >= SORT_WINDOW ? bytes : bytes & ~(UINT64_MAX >> (8 * rest));
}

static inline const uint8_t *sort_key(const uint8_t *keys, const struct sort_item *item)
{
    return keys + (size_t)item->ref * SORT_UNIT;
}

/* Sorts `n` items whose keys share their first `depth` bytes and whose prefixes are those at
 * `depth`. `scratch` has room for n items too. Prefixes are changed. ST_MEMORY when the list of
 * ties cannot grow. */
enum status sort_items(struct sort_item *items, struct sort_item *scratch, size_t n,
                       const uint8_t *keys, size_t depth, struct err *e);

#endif
