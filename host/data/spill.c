#include "data/collect_internal.h"

#include "base/sys.h"

#include <assert.h>

/* Entries are fetched this many places ahead of their being written. */
enum { AHEAD = 12 };

/* Entry of item i. (A function that only prefetches and returns nothing is dropped by gcc 12.) */
static inline uint8_t *entry_at(const struct pile *p, const struct sort_item *items, size_t i,
                                size_t n)
{
    const uint8_t *ahead = pile_entry(p, items[i + AHEAD < n ? i + AHEAD : i].ref);
    __builtin_prefetch(ahead, 0, 3);
    __builtin_prefetch(ahead + 64, 0, 3);
    return pile_entry(p, items[i].ref);
}

static inline uint32_t partition_of(const uint8_t *entry)
{
    struct pile_head head;
    memcpy(&head, entry, sizeof head);
    return head.partition;
}

static enum status write_pairs(struct collect *c, const struct sort_item *items, size_t n,
                               struct err *e)
{
    const struct pile *p = &c->pile;
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < n; i++) {
        const uint8_t *entry = entry_at(p, items, i, n);
        status = run_put(c->run, partition_of(entry), pile_key_slice(p, entry),
                         pile_value(p, entry), e);
    }
    return status;
}

/* --- the combiner of the caller --- */

struct put_target {
    struct run_writer *run;
    uint32_t partition;
    struct slice key;
    struct err *e;
};

static enum status put_combined(void *context, struct slice value)
{
    const struct put_target *target = context;
    return run_put(target->run, target->partition, target->key, value, target->e);
}

/* Gathers the values of the entries from items[0] on that share its partition and key. */
static uint64_t gather_group(const struct pile *p, const struct sort_item *items, size_t n,
                             struct slice *values)
{
    const uint8_t *first = pile_entry(p, items[0].ref);
    struct slice key = pile_key_slice(p, first);
    uint32_t partition = partition_of(first);
    size_t i = 0;
    for (; i < n; i++) {
        const uint8_t *entry = entry_at(p, items, i, n);
        if (i > 0 &&
            (partition_of(entry) != partition || !slice_equal(key, pile_key_slice(p, entry))))
            break;
        values[i] = pile_value(p, entry);
    }
    return i;
}

/* `values` is the sort's scratch: a slice is as large as an item, so there is room for the largest
 * group. */
static enum status write_combined(struct collect *c, const struct sort_item *items, size_t n,
                                  struct slice *values, struct err *e)
{
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < n;) {
        struct group_values group = { gather_group(&c->pile, items + i, n - i, values), values };
        const uint8_t *entry = pile_entry(&c->pile, items[i].ref);
        struct put_target target = { c->run, partition_of(entry), pile_key_slice(&c->pile, entry),
                                     e };
        status = c->combiner.combine(c->combiner.context, target.key, &group, put_combined, &target,
                                     e);
        i += group.count;
    }
    return status;
}

static enum status spill_pile(struct collect *c, struct err *e)
{
    struct sort_item *items, *scratch;
    size_t n = (size_t)c->pile.count;
    enum status status = pile_sort(&c->pile, &items, &scratch, e);
    if (status != ST_OK)
        return status;
    static_assert(sizeof(struct slice) <= sizeof(struct sort_item), "values fit into the scratch");
    if (c->combiner.combine)
        status = write_combined(c, items, n, (struct slice *)(void *)scratch, e);
    else
        status = write_pairs(c, items, n, e);
    pile_clear(&c->pile);
    c->charged = 0;
    return status;
}

/* --- the aggregate --- */

/* A scratch grown beyond this is given back at the end of the spill. */
enum { SCRATCH_KEEP = 1 << 20 };

static enum status write_state(struct collect *c, uint32_t partition, struct slice key,
                               const void *state, struct err *e)
{
    c->scratch.n = 0;
    if (agg_partial(c->agg, state, &c->scratch) != ST_OK)
        return err_memory(e, "a combined value", c->scratch.n);
    return run_put(c->run, partition, key, buf_slice(&c->scratch), e);
}

static enum status spill_table(struct collect *c, struct err *e)
{
    struct sort_item *items;
    const struct pile *p = &c->table.pile;
    size_t n = (size_t)p->count;
    enum status status = combine_sort(&c->table, &items, e);
    for (size_t i = 0; status == ST_OK && i < n; i++) {
        uint8_t *entry = entry_at(p, items, i, n);
        status = write_state(c, partition_of(entry), pile_key_slice(p, entry), combine_state(entry),
                             e);
    }
    combine_clear(&c->table);
    if (c->scratch.cap > SCRATCH_KEEP)
        buf_free(&c->scratch);
    return status;
}

enum status collect_spill(struct collect *c, struct err *e)
{
    if ((c->agg ? c->table.pile.count : c->pile.count) == 0)
        return ST_OK;
    enum status status = run_segment_begin(c->run, e);
    if (status == ST_OK)
        status = c->agg ? spill_table(c, e) : spill_pile(c, e);
    if (status == ST_OK)
        status = run_segment_end(c->run, e);
    c->stats.spills++;
    return status;
}

/* --- a pair larger than the sort buffer --- */

static enum status write_folded(struct collect *c, uint32_t partition, struct slice key,
                                struct slice value, struct err *e)
{
    size_t size = agg_state_size(c->agg);
    void *state = sys_malloc(size);
    if (!state)
        return err_memory(e, "a combined value", size);
    agg_init(c->agg, state);
    enum status status = agg_add(c->agg, state, value, e);
    if (status == ST_OK)
        status = write_state(c, partition, key, state, e);
    agg_drop(c->agg, state);
    sys_free(state);
    return status;
}

enum status collect_spill_pair(struct collect *c, uint32_t partition, struct slice key,
                               struct slice value, struct err *e)
{
    enum status status = run_segment_begin(c->run, e);
    if (status != ST_OK)
        return status;
    if (c->agg) {
        status = write_folded(c, partition, key, value, e);
    } else if (c->combiner.combine) {
        struct group_values group = { 1, &value };
        struct put_target target = { c->run, partition, key, e };
        status = c->combiner.combine(c->combiner.context, key, &group, put_combined, &target, e);
    } else {
        status = run_put(c->run, partition, key, value, e);
    }
    if (status == ST_OK)
        status = run_segment_end(c->run, e);
    c->stats.spills++;
    return status;
}
