/* pile.h: pairs or combine entries back to back in one region, and their sort by (partition, key).
 *
 * An entry begins at a multiple of SORT_UNIT with a struct pile_head, then `head` − 8 bytes of the
 * pile's owner, then the key, then `tail` bytes (the value). The sort's items and scratch are laid
 * behind the entries in the same region, so that entries and sort together never touch more than
 * what was charged. A pile never moves its entries. */
#ifndef LMR_DATA_PILE_H
#define LMR_DATA_PILE_H

#include "data/region.h"
#include "data/sort.h"

struct pile_head {
    uint32_t key_length;
    uint32_t partition;
};

/* What an entry is charged beyond its key, its value or state: its head and padding (≤ 19 bytes),
 * and 32 for two sort items, or up to 38 for its slots in the table at the moment it doubles. */
enum { PILE_CHARGE = 56 };

struct pile {
    struct region region;
    size_t used;
    uint32_t head;   /* bytes from the start of an entry to its key */
    bool has_values; /* the 4 bytes behind the head are the length of the value that follows the key
                      */
    uint32_t partitions;
    uint64_t count;
    uint64_t *counts; /* entries of each partition; partitions + 1 of them */
    size_t common;    /* bytes all keys share */
};

/* Room for entries that were charged `budget` bytes in all. */
enum status pile_open(struct pile *p, uint64_t budget, uint32_t head, bool has_values,
                      uint32_t partitions, struct err *e);
void pile_close(struct pile *p);
void pile_clear(struct pile *p);

/* A new entry with its key in place; its owner fills the rest of the head, and the value behind the
 * key. */
static inline uint8_t *pile_key(const struct pile *p, uint8_t *entry)
{
    return entry + p->head;
}

static inline struct slice pile_key_slice(const struct pile *p, const uint8_t *entry)
{
    return slice_of(entry + p->head, ((const struct pile_head *)(const void *)entry)->key_length);
}

static inline uint8_t *pile_entry(const struct pile *p, uint32_t ref)
{
    return p->region.p + (size_t)ref * SORT_UNIT;
}

/* Adds an entry of `key` with room for `tail` bytes behind it. The caller has charged it. */
uint8_t *pile_add(struct pile *p, struct slice key, uint32_t partition, size_t tail);
/* The value of an entry of a pile that has values. */
struct slice pile_value(const struct pile *p, const uint8_t *entry);
/* Bytes from one entry to the next. */
size_t pile_entry_size(const struct pile *p, const uint8_t *entry);

/* Task checkpoints, of a pile that has values: its entries as they lie there, and a pile made of
 * them. *charged becomes what they cost; ST_CORRUPT when the state does not hold, or that is above
 * `budget`. */
struct saver;
struct saved;
void pile_save(const struct pile *p, struct saver *to);
enum status pile_load(struct pile *p, struct saved *from, uint64_t budget, uint64_t *charged,
                      struct err *e);

/* Sorts: *items becomes all entries in the order of (partition, key), stable; *scratch is as large
 * and free. */
enum status pile_sort(struct pile *p, struct sort_item **items, struct sort_item **scratch,
                      struct err *e);

#endif
