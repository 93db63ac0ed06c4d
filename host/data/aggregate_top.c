/* top: the n values of the highest rank, in a heap whose root is the first to go. */
#include "aggregate_ops.h"

#include "base/sys.h"

#include <stdlib.h>

struct entry {
    uint8_t *bytes; /* encoded key of the rank, then the value */
    size_t key_n, value_n;
    uint64_t number; /* of the value, in order of arrival */
};

struct top {
    struct entry *entries;
    size_t count, cap;
    uint64_t next_number;
    size_t bytes;
    struct buf key; /* rank of the value being added */
};

static struct slice entry_key(const struct entry *entry)
{
    return slice_of(entry->bytes, entry->key_n);
}

static struct slice entry_value(const struct entry *entry)
{
    return slice_of(entry->bytes + entry->key_n, entry->value_n);
}

/* > 0 when `a` stands before `b`: a higher rank; of equal ranks, the earlier. */
static int before(const struct entry *a, const struct entry *b)
{
    int order = slice_compare(entry_key(a), entry_key(b));
    return order ? order : (a->number < b->number) - (a->number > b->number);
}

static void swap(struct entry *a, struct entry *b)
{
    struct entry t = *a;
    *a = *b;
    *b = t;
}

static void sift_up(struct entry *heap, size_t at)
{
    for (size_t up; at > 0 && before(&heap[up = (at - 1) / 2], &heap[at]) > 0; at = up)
        swap(&heap[up], &heap[at]);
}

static void sift_down(struct entry *heap, size_t count)
{
    for (size_t at = 0, down; (down = 2 * at + 1) < count; at = down) {
        if (down + 1 < count && before(&heap[down], &heap[down + 1]) > 0)
            down++;
        if (before(&heap[at], &heap[down]) <= 0)
            return;
        swap(&heap[at], &heap[down]);
    }
}

static enum status make_room(struct top *top, uint32_t most)
{
    if (top->count < top->cap)
        return ST_OK;
    size_t cap = top->cap ? 2 * top->cap : 4;
    cap = cap > most ? most : cap;
    struct entry *entries = sys_realloc(top->entries, cap * sizeof *entries);
    if (!entries)
        return ST_MEMORY;
    top->entries = entries;
    top->cap = cap;
    return ST_OK;
}

static enum status make_entry(struct slice key, struct slice value, uint64_t number,
                              struct entry *out)
{
    uint8_t *bytes = sys_malloc(key.n + value.n);
    if (!bytes)
        return ST_MEMORY;
    memcpy(bytes, key.p, key.n);
    memcpy(bytes + key.n, value.p, value.n);
    *out = (struct entry){ bytes, key.n, value.n, number };
    return ST_OK;
}

/* A value no better than the worst of a full heap is let go before anything is copied. */
static enum status add_entry(const struct agg *a, struct top *top, struct slice key,
                             struct slice value)
{
    uint64_t number = top->next_number++;
    bool full = top->count == a->top_count;
    if (full && slice_compare(key, entry_key(&top->entries[0])) <= 0)
        return ST_OK;
    struct entry entry;
    enum status status = full ? ST_OK : make_room(top, a->top_count);
    if (status == ST_OK)
        status = make_entry(key, value, number, &entry);
    if (status != ST_OK)
        return status;
    top->bytes += key.n + value.n;
    if (full) {
        top->bytes -= top->entries[0].key_n + top->entries[0].value_n;
        sys_free(top->entries[0].bytes);
        top->entries[0] = entry;
        sift_down(top->entries, top->count);
    } else {
        top->entries[top->count] = entry;
        sift_up(top->entries, top->count++);
    }
    return ST_OK;
}

static enum status add_ranked(const struct agg *a, struct top *top, struct slice rank,
                              struct slice value)
{
    top->key.n = 0;
    enum status status = value_to_key(rank, &top->key, NULL);
    return status == ST_OK ? add_entry(a, top, buf_slice(&top->key), value) : status;
}

static enum status top_add(const struct agg *a, void *state, struct slice value, struct err *e)
{
    struct slice rank = value, what = value;
    if (a->top_by_rank && !agg_cut_ranked(value, &rank, &what))
        return agg_refuse(a, "{ rank, value }", value, e);
    return agg_refuse_order(a, add_ranked(a, state, rank, what), rank, e);
}

static enum status top_merge(const struct agg *a, void *state, struct slice partial)
{
    struct val_cursor c;
    uint64_t count = 0;
    enum status status = agg_open_array(partial, &c, &count);
    for (; count > 0 && status == ST_OK; count--) {
        struct slice pair, rank, value;
        status = val_skip(&c, &pair);
        if (status == ST_OK)
            status = agg_cut_ranked(pair, &rank, &value) ? add_ranked(a, state, rank, value)
                                                         : ST_CORRUPT;
    }
    return status == ST_SCRIPT ? ST_CORRUPT : status;
}

static size_t top_weight(const struct agg *a, const void *state)
{
    (void)a;
    const struct top *top = state;
    return top->bytes + top->count * sizeof(struct entry);
}

static int compare_entries(const void *a, const void *b)
{
    return -before(a, b);
}

static enum status put_entry(const struct entry *entry, bool with_rank, struct buf *out)
{
    enum status status = ST_OK;
    if (with_rank) {
        status = val_put_array(out, 2);
        if (status == ST_OK)
            status = key_to_value(entry_key(entry), out);
    }
    return status == ST_OK ? buf_append_slice(out, entry_value(entry)) : status;
}

static enum status put_sorted(const struct top *top, bool with_rank, struct buf *out)
{
    enum status status = val_put_array(out, top->count);
    if (top->count == 0 || status != ST_OK)
        return status;
    struct entry *sorted = sys_malloc(top->count * sizeof *sorted);
    if (!sorted)
        return ST_MEMORY;
    memcpy(sorted, top->entries, top->count * sizeof *sorted);
    qsort(sorted, top->count, sizeof *sorted, compare_entries);
    for (size_t i = 0; i < top->count && status == ST_OK; i++)
        status = put_entry(&sorted[i], with_rank, out);
    sys_free(sorted);
    return status;
}

static enum status top_partial(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    return put_sorted(state, true, out);
}

static enum status top_finish(const struct agg *a, const void *state, struct buf *out)
{
    (void)a;
    return put_sorted(state, false, out);
}

static void top_drop(const struct agg *a, void *state)
{
    (void)a;
    struct top *top = state;
    for (size_t i = 0; i < top->count; i++)
        sys_free(top->entries[i].bytes);
    sys_free(top->entries);
    buf_free(&top->key);
}

/* The heap as it stands. */
static void top_save(const struct agg *a, const void *state, struct saver *to)
{
    const struct top *top = state;
    save_uint(to, a->top_count);
    save_uint(to, top->next_number);
    save_uint(to, top->count);
    for (size_t i = 0; i < top->count; i++) {
        save_uint(to, top->entries[i].number);
        save_slice(to, entry_key(&top->entries[i]));
        save_slice(to, entry_value(&top->entries[i]));
    }
}

static enum status load_entry(const struct agg *a, struct top *top, struct saved *from)
{
    uint64_t number = saved_uint(from, UINT64_MAX);
    struct slice key = saved_slice(from), value = saved_slice(from);
    top->key.n = 0;
    if (number >= top->next_number || key.n == 0 || val_check(value) != ST_OK)
        return ST_CORRUPT;
    enum status status = key_to_value(key, &top->key);
    if (status == ST_OK)
        status = make_room(top, a->top_count);
    if (status == ST_OK)
        status = make_entry(key, value, number, &top->entries[top->count]);
    if (status != ST_OK)
        return status;
    top->bytes += key.n + value.n;
    size_t at = top->count++;
    return at == 0 || before(&top->entries[(at - 1) / 2], &top->entries[at]) <= 0 ? ST_OK
                                                                                 : ST_CORRUPT;
}

static enum status top_load(const struct agg *a, void *state, struct saved *from)
{
    struct top *top = state;
    saved_expect(from, a->top_count);
    top->next_number = saved_uint(from, UINT64_MAX);
    uint64_t count = saved_uint(from, a->top_count);
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++)
        status = load_entry(a, top, from);
    return status == ST_OK || status == ST_MEMORY ? status : ST_CORRUPT;
}

const struct agg_ops agg_ops_top = {
    .name = "top", .needs = NEEDS_RANKED, .size = sizeof(struct top),
    .add = top_add, .merge = top_merge, .weight = top_weight,
    .partial = top_partial, .finish = top_finish, .drop = top_drop,
    .save = top_save, .load = top_load,
};
