/* distinct: a set of encoded keys. */
#include "aggregate_ops.h"

#include "base/sys.h"

#include <stdlib.h>
#include <xxhash.h>

struct set {
    struct buf keys;      /* (varint length, key)* */
    uint64_t *slots;      /* open addressing: offset in keys, plus 1; NULL while the set is small */
    uint64_t count, mask; /* mask: slots − 1 */
    struct buf scratch;   /* the key being looked up */
};

enum { SMALL_SET = 8, FIRST_SLOTS = 32, ENTRY_CHARGE = 16 };

static struct slice key_at(const struct set *set, uint64_t offset)
{
    uint64_t n = 0;
    const uint8_t *p = set->keys.p + offset;
    size_t head = varint_get(p, set->keys.p + set->keys.n, &n);
    CHECK(head > 0);
    return slice_of(p + head, (size_t)n);
}

/* The offset after the key at `offset`. */
static uint64_t key_after(const struct set *set, uint64_t offset)
{
    struct slice key = key_at(set, offset);
    return (uint64_t)(key.p + key.n - set->keys.p);
}

/* The slot of `key`: the one that holds it, or the empty one where it belongs. */
static uint64_t *find_slot(const struct set *set, struct slice key)
{
    uint64_t at = XXH3_64bits(key.p, key.n) & set->mask;
    while (set->slots[at] != 0 && !slice_equal(key_at(set, set->slots[at] - 1), key))
        at = (at + 1) & set->mask;
    return &set->slots[at];
}

static bool in_small_set(const struct set *set, struct slice key)
{
    for (uint64_t at = 0; at < set->keys.n; at = key_after(set, at))
        if (slice_equal(key_at(set, at), key))
            return true;
    return false;
}

static enum status grow_slots(struct set *set)
{
    uint64_t slots = set->slots ? 2 * (set->mask + 1) : FIRST_SLOTS;
    uint64_t *fresh = sys_calloc((size_t)slots, sizeof *fresh);
    if (!fresh)
        return ST_MEMORY;
    sys_free(set->slots);
    set->slots = fresh;
    set->mask = slots - 1;
    for (uint64_t at = 0; at < set->keys.n; at = key_after(set, at))
        *find_slot(set, key_at(set, at)) = at + 1;
    return ST_OK;
}

static enum status append_key(struct set *set, struct slice key)
{
    size_t before = set->keys.n;
    enum status status = buf_append_varint(&set->keys, key.n);
    if (status == ST_OK)
        status = buf_append_slice(&set->keys, key);
    if (status == ST_OK)
        set->count++;
    else
        set->keys.n = before;
    return status;
}

static enum status insert(struct set *set, struct slice key)
{
    if (!set->slots && in_small_set(set, key))
        return ST_OK;
    bool full = set->slots ? set->count * 2 > set->mask : set->count == SMALL_SET;
    if (full) {
        enum status status = grow_slots(set);
        if (status != ST_OK)
            return status;
    }
    if (!set->slots)
        return append_key(set, key);
    uint64_t *slot = find_slot(set, key);
    if (*slot != 0)
        return ST_OK;
    uint64_t offset = set->keys.n;
    enum status status = append_key(set, key);
    if (status == ST_OK)
        *slot = offset + 1;
    return status;
}

static enum status insert_value(struct set *set, struct slice value)
{
    set->scratch.n = 0;
    enum status status = value_to_key(value, &set->scratch, NULL);
    return status == ST_OK ? insert(set, buf_slice(&set->scratch)) : status;
}

static enum status set_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    return agg_refuse_order(a, insert_value(state, value), value, e);
}

static enum status set_merge(const struct agg *a, void *state, struct slice partial)
{
    (void)a;
    struct val_cursor c;
    struct slice value;
    uint64_t count = 0;
    enum status status = agg_open_array(partial, &c, &count);
    for (; count > 0 && status == ST_OK; count--) {
        status = val_skip(&c, &value);
        if (status == ST_OK)
            status = insert_value(state, value);
    }
    return status == ST_SCRIPT ? ST_CORRUPT : status;
}

static size_t set_weight(const struct agg *a, const void *state)
{
    (void)a;
    const struct set *set = state;
    return set->keys.n + (size_t)set->count * ENTRY_CHARGE;
}

static int compare_slices(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

static enum status set_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    const struct set *set = state;
    struct slice *sorted = sys_malloc(((size_t)set->count + 1) * sizeof *sorted);
    if (!sorted)
        return ST_MEMORY;
    size_t n = 0;
    for (uint64_t at = 0; at < set->keys.n; at = key_after(set, at))
        sorted[n++] = key_at(set, at);
    if (n > 1)
        qsort(sorted, n, sizeof *sorted, compare_slices);
    enum status status = val_put_array(out, set->count);
    for (size_t i = 0; i < n && status == ST_OK; i++)
        status = key_to_value(sorted[i], out);
    sys_free(sorted);
    return status;
}

static void set_drop(const struct agg *a, void *state)
{
    (void)a;
    struct set *set = state;
    buf_free(&set->keys);
    buf_free(&set->scratch);
    sys_free(set->slots);
}

/* The keys in the order they came in: what is made of them anew is what there was. */
static void set_save(const struct agg *a, const void *state, struct saver *to)
{
    (void)a;
    const struct set *set = state;
    save_uint(to, set->count);
    save_bytes(to, set->keys.p, set->keys.n);
}

/* A key as value_to_key makes it. */
static enum status check_key(struct set *set, struct slice key)
{
    set->scratch.n = 0;
    return key.n == 0 ? ST_CORRUPT : key_to_value(key, &set->scratch);
}

static enum status set_load(const struct agg *a, void *state, struct saved *from)
{
    (void)a;
    struct set *set = state;
    uint64_t count = saved_uint(from, UINT64_MAX);
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK && !from->failed; i++) {
        struct slice key = saved_slice(from);
        status = check_key(set, key);
        if (status == ST_OK)
            status = insert(set, key);
    }
    if (status != ST_OK)
        return status == ST_MEMORY ? status : ST_CORRUPT;
    return set->count == count ? ST_OK : ST_CORRUPT;
}

const struct agg_ops agg_ops_distinct = {
    .name = "distinct", .needs = NEEDS_ORDER, .size = sizeof(struct set),
    .add = set_add, .merge = set_merge, .weight = set_weight,
    .partial = set_finish, .finish = set_finish, .drop = set_drop,
    .save = set_save, .load = set_load,
};
