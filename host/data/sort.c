#include "data/sort.h"

#include "base/sys.h"

/* Radix sort from the most significant differing bit on, eight bits a pass, between the items and
 * the scratch (McIlroy, Bostic, McIlroy: Engineering Radix Sort, 1993). Small buckets are sorted by
 * insertion. Items that tie on a whole prefix are noted, and sorted again with the prefixes further
 * on. */

enum { SMALL = 24, BUCKETS = 256 };

struct tie {
    struct sort_item *items;
    size_t n, depth;
};

struct sorter {
    struct sort_item *items, *scratch;
    const uint8_t *keys;
    size_t depth; /* of the prefixes at hand */
    struct buf ties;
    bool failed; /* the list of ties could not grow */
};

/* Order of two items with equal prefixes. */
static int compare_rest(const struct sorter *s, const struct sort_item *a,
                        const struct sort_item *b)
{
    size_t done = s->depth + SORT_WINDOW;
    if (a->length <= done || b->length <= done)
        return (a->length > b->length) - (a->length < b->length);
    return slice_compare(slice_of(sort_key(s->keys, a) + done, a->length - done),
                         slice_of(sort_key(s->keys, b) + done, b->length - done));
}

static inline bool comes_before(const struct sorter *s, const struct sort_item *a,
                                const struct sort_item *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix;
    return compare_rest(s, a, b) < 0;
}

static void insertion_sort(const struct sorter *s, struct sort_item *a, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct sort_item item = a[i];
        size_t j = i;
        for (; j > 0 && comes_before(s, &item, &a[j - 1]); j--)
            a[j] = a[j - 1];
        a[j] = item;
    }
}

/* Copies a bucket to where the sorted items belong, when it is not there. */
static struct sort_item *bring_home(const struct sorter *s, struct sort_item *a, size_t n)
{
    if (a >= s->items && a < s->scratch)
        return a;
    struct sort_item *home = s->items + (a - s->scratch);
    memcpy(home, a, n * sizeof *a);
    return home;
}

static void note_tie(struct sorter *s, struct sort_item *a, size_t n)
{
    struct tie tie = { bring_home(s, a, n), n, s->depth };
    if (buf_append(&s->ties, &tie, sizeof tie) != ST_OK)
        s->failed = true;
}

/* Bits in which the prefixes of `n` ≥ 1 items differ. */
static uint64_t differing_bits(const struct sort_item *a, size_t n)
{
    uint64_t first = a[0].prefix, differ = 0;
    for (size_t i = 1; i < n; i++)
        differ |= a[i].prefix ^ first;
    return differ;
}

static inline unsigned digit_of(const struct sort_item *item, unsigned shift)
{
    return (unsigned)(item->prefix >> shift) & (BUCKETS - 1);
}

/* Moves the items of `a` into the buckets of their digits in `to`; `ends` becomes where each bucket
 * ends. */
static void distribute(const struct sort_item *a, struct sort_item *to, size_t n, unsigned shift,
                       size_t ends[BUCKETS])
{
    memset(ends, 0, BUCKETS * sizeof *ends);
    for (size_t i = 0; i < n; i++)
        ends[digit_of(&a[i], shift)]++;
    size_t begin = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        size_t count = ends[i];
        ends[i] = begin;
        begin += count;
    }
    for (size_t i = 0; i < n; i++)
        to[ends[digit_of(&a[i], shift)]++] = a[i];
}

/* Sorts the bucket `a` by prefix, `other` being its place in the other of the two arrays. */
static void sort_bucket(struct sorter *s, struct sort_item *a, struct sort_item *other, size_t n)
{
    if (n <= SMALL) {
        insertion_sort(s, a, n);
        bring_home(s, a, n);
        return;
    }
    uint64_t differ = differing_bits(a, n);
    if (differ == 0) {
        note_tie(s, a, n);
        return;
    }
    unsigned top = 63 - (unsigned)__builtin_clzll(differ);
    unsigned shift = top >= 7 ? top - 7 : 0;
    size_t ends[BUCKETS];
    distribute(a, other, n, shift, ends);
    for (size_t i = 0, begin = 0; i < BUCKETS; begin = ends[i++])
        if (ends[i] > begin)
            sort_bucket(s, other + begin, a + begin, ends[i] - begin);
}

/* Puts the keys that end within the prefix first, by length; what is left ends beyond it, and is
 * returned. */
static struct tie split_short(const struct sorter *s, const struct tie *tie)
{
    size_t done = tie->depth + SORT_WINDOW, counts[SORT_WINDOW + 2] = { 0 };
    struct sort_item *a = tie->items, *scratch = s->scratch + (a - s->items);
    for (size_t i = 0; i < tie->n; i++)
        counts[a[i].length > done ? SORT_WINDOW + 1 : a[i].length - tie->depth]++;
    size_t longer = counts[SORT_WINDOW + 1];
    if (longer != tie->n) {
        size_t begin = 0;
        for (size_t i = 0; i < SORT_WINDOW + 2; i++) {
            size_t count = counts[i];
            counts[i] = begin;
            begin += count;
        }
        for (size_t i = 0; i < tie->n; i++)
            scratch[counts[a[i].length > done ? SORT_WINDOW + 1 : a[i].length - tie->depth]++] =
                a[i];
        memcpy(a, scratch, tie->n * sizeof *a);
    }
    return (struct tie){ a + (tie->n - longer), longer, done };
}

/* How many bytes, from the start, all keys of a tie share. */
static size_t shared_bytes(const struct sorter *s, const struct tie *tie)
{
    const uint8_t *first = sort_key(s->keys, tie->items);
    size_t shared = tie->items[0].length;
    for (size_t i = 1; i < tie->n; i++) {
        const uint8_t *key = sort_key(s->keys, &tie->items[i]);
        size_t limit = tie->items[i].length < shared ? tie->items[i].length : shared;
        size_t at = tie->depth;
        if (memcmp(first + at, key + at, limit - at) != 0)
            while (at < limit && first[at] == key[at])
                at++;
        else
            at = limit;
        shared = at;
    }
    return shared;
}

/* Sorts items that tie on their prefixes by what comes after these. */
static void sort_tie(struct sorter *s, const struct tie *tie)
{
    struct tie rest = split_short(s, tie);
    if (rest.n < 2)
        return;
    s->depth = shared_bytes(s, &rest);
    for (size_t i = 0; i < rest.n; i++)
        rest.items[i].prefix = sort_prefix(sort_key(s->keys, &rest.items[i]), rest.items[i].length,
                                           s->depth);
    sort_bucket(s, rest.items, s->scratch + (rest.items - s->items), rest.n);
}

enum status sort_items(struct sort_item *items, struct sort_item *scratch, size_t n,
                       const uint8_t *keys, size_t depth, struct err *e)
{
    CHECK(scratch >= items + n);
    struct sorter s = { items, scratch, keys, depth, BUF_EMPTY, false };
    if (n > 1)
        sort_bucket(&s, items, scratch, n);
    while (s.ties.n > 0 && !s.failed) {
        struct tie tie;
        s.ties.n -= sizeof tie;
        memcpy(&tie, s.ties.p + s.ties.n, sizeof tie);
        sort_tie(&s, &tie);
    }
    buf_free(&s.ties);
    return s.failed ? err_memory(e, "sorting", n * sizeof *items) : ST_OK;
}
