#include "data/combine.h"

#include "base/sys.h"

#include <xxhash.h>

enum { FIRST_BITS = 12, MOST_BITS = 31 };

/* What an entry whose state owns memory is charged for the allocator's own needs. */
enum { HEAP_CHARGE = 32 };

static uint64_t limit_of(unsigned bits)
{
    return (UINT64_C(5) << bits) / 8;
}

enum status combine_open(struct combine *t, const struct agg *agg, uint64_t budget,
                         uint32_t partitions, struct err *e)
{
    size_t size = (agg_state_size(agg) + 7) / 8 * 8;
    uint32_t head = (uint32_t)(sizeof(struct pile_head) + size);
    *t = (struct combine){ .agg = agg, .budget = budget, .bits = FIRST_BITS };
    t->is_sum = agg_is_sum(agg);
    t->is_count = strcmp(agg_name(agg), "count") == 0;
    t->state_size = (uint32_t)size;
    t->limit = limit_of(t->bits);
    enum status status = pile_open(&t->pile, budget, head, false, partitions, e);
    if (status == ST_OK && region_open(&t->slots, sizeof(uint64_t) << t->bits) != ST_OK)
        status = err_memory(e, "the combine table", sizeof(uint64_t) << t->bits);
    return status;
}

static void drop_states(struct combine *t)
{
    if (t->is_sum || t->is_count)
        return;
    for (size_t at = 0; at < t->pile.used;) {
        uint8_t *entry = t->pile.region.p + at;
        agg_drop(t->agg, combine_state(entry));
        at += pile_entry_size(&t->pile, entry);
    }
}

void combine_close(struct combine *t)
{
    if (t->pile.region.p)
        drop_states(t);
    pile_close(&t->pile);
    region_close(&t->slots);
}

void combine_clear(struct combine *t)
{
    drop_states(t);
    /* The pages of the sort make room for the slots to come. */
    region_clear(&t->pile.region, t->pile.used);
    pile_clear(&t->pile);
    region_clear(&t->slots, 0);
    t->charged = 0;
}

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* The first 8 and the next 8 bytes of a key of at most 16, zero behind its end; branchless. */
static inline void load_words(const uint8_t *p, size_t n, uint64_t words[2])
{
    static const uint64_t mask[9] = { 0,          0xff,         0xffff,         0xffffff,
                                      0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
                                      UINT64_MAX };
    size_t low = n < 8 ? n : 8;
    words[0] = load_word(p) & mask[low];
    words[1] = load_word(p + 8) & mask[n - low];
}

__extension__ typedef unsigned __int128 wide;

static inline uint64_t multiply(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint32_t hash_of(struct slice key, uint32_t partition)
{
    uint64_t seed = ((uint64_t)partition << 32 | (uint32_t)key.n) * UINT64_C(0x9e3779b97f4a7c15);
    if (key.n > COMBINE_WORDS)
        return (uint32_t)(XXH3_64bits_withSeed(key.p, key.n, seed) >> 32);
    uint64_t words[2];
    load_words(key.p, key.n, words);
    return (uint32_t)multiply(words[0] ^ UINT64_C(0xd6e8feb86659fd93) ^ seed,
                              words[1] ^ UINT64_C(0xa0761d6478bd642f));
}

static inline bool same_key(const uint8_t *stored, struct slice key)
{
    if (key.n > COMBINE_WORDS)
        return memcmp(stored, key.p, key.n) == 0;
    uint64_t a[2], b[2];
    load_words(stored, key.n, a);
    load_words(key.p, key.n, b);
    return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

static inline uint8_t *find(const struct combine *t, const struct combine_pair *pair)
{
    const uint64_t *slots = (const uint64_t *)(const void *)t->slots.p;
    size_t mask = ((size_t)1 << t->bits) - 1;
    for (size_t i = pair->hash >> (32 - t->bits);; i = (i + 1) & mask) {
        uint64_t slot = slots[i];
        if (slot == 0)
            return NULL;
        if ((uint32_t)(slot >> 32) != pair->hash)
            continue;
        uint8_t *entry = pile_entry(&t->pile, (uint32_t)slot - 1);
        struct pile_head head;
        memcpy(&head, entry, sizeof head);
        if (head.key_length == pair->key.n && same_key(entry + t->pile.head, pair->key) &&
            (pair->partition == COMBINE_ANY || pair->partition == head.partition))
            return entry;
    }
}

uint64_t combine_cost(const struct combine *t, size_t key_length)
{
    return key_length + t->state_size + PILE_CHARGE + (t->is_sum || t->is_count ? 0 : HEAP_CHARGE);
}

static void put_slot(uint64_t *slots, unsigned bits, uint64_t slot)
{
    size_t mask = ((size_t)1 << bits) - 1, i = (size_t)(slot >> 32) >> (32 - bits);
    while (slots[i])
        i = (i + 1) & mask;
    slots[i] = slot;
}

uint32_t combine_hash(struct slice key, uint32_t partition)
{
    return hash_of(key, partition);
}

bool combine_has_slot(const struct combine *t, const uint8_t *entry, uint32_t hash)
{
    const uint64_t *slots = (const uint64_t *)(const void *)t->slots.p;
    size_t ref = (size_t)(entry - t->pile.region.p) / SORT_UNIT + 1;
    uint64_t wanted = (uint64_t)hash << 32 | ref;
    size_t mask = ((size_t)1 << t->bits) - 1;
    for (size_t i = hash >> (32 - t->bits); slots[i] != 0; i = (i + 1) & mask)
        if (slots[i] == wanted)
            return true;
    return false;
}

static enum status double_slots(struct combine *t, struct err *e)
{
    struct region wider;
    unsigned bits = t->bits + 1;
    if (bits > MOST_BITS || region_open(&wider, sizeof(uint64_t) << bits) != ST_OK)
        return err_memory(e, "the combine table", sizeof(uint64_t) << bits);
    const uint64_t *old = (const uint64_t *)(const void *)t->slots.p;
    for (size_t i = 0; i < (size_t)1 << t->bits; i++)
        if (old[i])
            put_slot((uint64_t *)(void *)wider.p, bits, old[i]);
    region_close(&t->slots);
    t->slots = wider;
    t->bits = bits;
    t->limit = limit_of(bits);
    return ST_OK;
}

enum status combine_insert(struct combine *t, const struct combine_pair *pair, uint32_t partition,
                           struct err *e)
{
    if (t->pile.count >= t->limit) {
        enum status status = double_slots(t, e);
        if (status != ST_OK)
            return status;
    }
    uint8_t *entry = pile_add(&t->pile, pair->key, partition, 0);
    agg_init(t->agg, combine_state(entry));
    size_t ref = (size_t)(entry - t->pile.region.p) / SORT_UNIT + 1;
    put_slot((uint64_t *)(void *)t->slots.p, t->bits, (uint64_t)pair->hash << 32 | ref);
    t->charged += combine_cost(t, pair->key.n);
    return ST_OK;
}

/* An integer of one byte, or of a varint of one byte: what nearly every sum is fed with. */
static inline bool small_int(struct slice value, int64_t *v)
{
    if (value.n == 1 && (value.p[0] & 0xf0) == VAL_INT0) {
        *v = value.p[0] & 0x0f;
        return true;
    }
    if (value.n == 2 && value.p[0] == VAL_INT && value.p[1] < 0x80) {
        *v = unzigzag(value.p[1]);
        return true;
    }
    return false;
}

static enum status fold_weighed(struct combine *t, uint8_t *entry, struct slice value,
                                struct err *e)
{
    void *state = combine_state(entry);
    size_t before = agg_weight(t->agg, state);
    enum status status = agg_add(t->agg, state, value, e);
    t->charged += agg_weight(t->agg, state) - before;
    return status;
}

static inline enum status fold_value(struct combine *t, uint8_t *entry, struct slice value,
                                     struct err *e)
{
    if (!t->is_sum && !t->is_count)
        return fold_weighed(t, entry, value, e);
    struct agg_number *number = combine_state(entry);
    int64_t v = 1;
    if ((t->is_count || small_int(value, &v)) && !number->is_float && number->i < INT64_MAX - 64 &&
        number->i > INT64_MIN + 64) {
        number->i += v;
        return ST_OK;
    }
    return agg_add(t->agg, number, value, e);
}

static inline const uint64_t *home_of(const struct combine *t, uint32_t hash)
{
    return (const uint64_t *)(const void *)t->slots.p + (hash >> (32 - t->bits));
}

void combine_prepare(const struct combine *t, struct combine_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pairs[i].hash = hash_of(pairs[i].key, pairs[i].partition);
        __builtin_prefetch(home_of(t, pairs[i].hash), 0, 3);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t slot = *home_of(t, pairs[i].hash);
        if (slot == 0)
            continue;
        const uint8_t *entry = pile_entry(&t->pile, (uint32_t)slot - 1);
        __builtin_prefetch(entry, 1, 3);
        __builtin_prefetch(entry + t->pile.head + SORT_UNIT, 1, 3);
    }
}

enum status combine_fold(struct combine *t, const struct combine_pair *pairs, size_t n,
                         size_t *done, struct err *e)
{
    enum status status = ST_OK;
    size_t i = 0;
    while (i < n && t->charged <= t->budget) {
        uint8_t *entry = find(t, &pairs[i]);
        if (!entry)
            break;
        status = fold_value(t, entry, pairs[i].value, e);
        if (status != ST_OK)
            break;
        i++;
    }
    *done = i;
    return status;
}

enum status combine_sort(struct combine *t, struct sort_item **items, struct err *e)
{
    struct sort_item *scratch;
    region_clear(&t->slots, 0);
    return pile_sort(&t->pile, items, &scratch, e);
}
