/* combine.h: the hash table in which a declared aggregate is folded, one entry a (partition, key).
 *
 * Open addressing; a slot holds 32 bits of hash and a reference to the entry, so that a probe
 * touches an entry only when it is (almost surely) the right one. Entries are a pile: a head, the
 * aggregate's state, the key. Doubling the table streams from the old slots into the new ones and
 * touches no entry. Nothing of the hash reaches the output. */
#ifndef LMR_DATA_COMBINE_H
#define LMR_DATA_COMBINE_H

#include "data/aggregate.h"
#include "data/pile.h"

struct combine {
    struct pile pile;
    const struct agg *agg;
    bool is_sum, is_count; /* the state is a struct agg_number, which owns nothing */
    uint32_t state_size;
    struct region slots;
    unsigned bits;  /* log2 of the number of slots */
    uint64_t limit; /* entries from which on the table doubles */
    uint64_t charged, budget;
};

/* Keys of up to this many bytes are hashed and compared as two words; reads may pass a key's end by
 * as much. */
enum { COMBINE_WORDS = 16 };

/* A pair to fold. `key.p` may be read COMBINE_WORDS bytes beyond its end. */
struct combine_pair {
    struct slice key, value;
    uint32_t hash;
    uint32_t partition; /* the user's, or COMBINE_ANY */
};
enum { COMBINE_ANY = UINT32_MAX };

enum status combine_open(struct combine *t, const struct agg *agg, uint64_t budget,
                         uint32_t partitions, struct err *e);
void combine_close(struct combine *t);
/* Drops all entries and their states. */
void combine_clear(struct combine *t);

/* Hashes `n` pairs and asks the caches for their slots, then for their entries: done for a few
 * dozen pairs at a time, so that the misses of a batch overlap. */
void combine_prepare(const struct combine *t, struct combine_pair *pairs, size_t n);
/* Folds pairs whose keys have an entry, in order, up to the first that has none, or until `charged`
 * passes the budget; *done becomes the number of pairs folded. On an error, pairs[*done] is the one
 * refused. */
enum status combine_fold(struct combine *t, const struct combine_pair *pairs, size_t n,
                         size_t *done, struct err *e);
/* Bytes a new entry of this key is charged. */
uint64_t combine_cost(const struct combine *t, size_t key_length);
/* Adds an entry with an empty state for a pair that has none. The caller has made room in the
 * budget. */
enum status combine_insert(struct combine *t, const struct combine_pair *pair, uint32_t partition,
                           struct err *e);
/* The state of an entry. */
static inline void *combine_state(uint8_t *entry)
{
    return entry + sizeof(struct pile_head);
}

/* The hash of a pair; `key.p` may be read COMBINE_WORDS bytes beyond its end. */
uint32_t combine_hash(struct slice key, uint32_t partition);
/* True when the entry is found by pairs of this hash (which is not of the same partition as theirs
 * when that was the user's choice). */
bool combine_has_slot(const struct combine *t, const uint8_t *entry, uint32_t hash);

/* Task checkpoints: the entries in their order, and a table made anew of them (collect_save.c). */
struct saver;
struct saved;
void combine_save(const struct combine *t, struct saver *to);
/* Into an empty table. ST_CORRUPT when the state does not hold, or is more than the budget. */
enum status combine_load(struct combine *t, struct saved *from, struct err *e);

/* Sorts the entries (giving the slots' pages back first); the table is to be cleared afterwards. */
enum status combine_sort(struct combine *t, struct sort_item **items, struct err *e);

#endif
