#include "schedule/counters.h"

#include "base/sys.h"

struct slice counter_group(const struct counter *c)
{
    return slice_of(c->key.p, c->group_length);
}

struct slice counter_name(const struct counter *c)
{
    return slice_of(c->key.p + c->group_length + 1, c->key.n - c->group_length - 1);
}

static int compare(const struct counter *c, struct slice group, struct slice name)
{
    int order = slice_compare(counter_group(c), group);
    return order ? order : slice_compare(counter_name(c), name);
}

static enum status insert(struct counters *c, size_t at, struct slice group, struct slice name)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 16;
        struct counter *items = sys_realloc(c->items, capacity * sizeof *items);
        if (!items)
            return ST_MEMORY;
        c->items = items;
        c->capacity = capacity;
    }
    struct counter fresh = { .key = BUF_EMPTY, .group_length = group.n };
    if (buf_append_slice(&fresh.key, group) != ST_OK || buf_append_byte(&fresh.key, 0) != ST_OK ||
        buf_append_slice(&fresh.key, name) != ST_OK) {
        buf_free(&fresh.key);
        return ST_MEMORY;
    }
    memmove(c->items + at + 1, c->items + at, (c->count - at) * sizeof *c->items);
    c->items[at] = fresh;
    c->count++;
    return ST_OK;
}

static enum status find(struct counters *c, struct slice group, struct slice name,
                        struct counter **out)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&c->items[middle], group, name);
        if (order == 0) {
            *out = &c->items[middle];
            return ST_OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    enum status st = insert(c, low, group, name);
    *out = st == ST_OK ? &c->items[low] : NULL;
    return st;
}

static double as_float(const struct counter *c)
{
    return c->is_float ? c->f : (double)c->i;
}

static void add_number(struct counter *c, const struct scalar *number)
{
    int64_t sum = 0;
    if (number->kind == SC_INT && !c->is_float && !__builtin_add_overflow(c->i, number->i, &sum)) {
        c->i = sum;
        return;
    }
    c->f = as_float(c) + (number->kind == SC_INT ? (double)number->i : number->f);
    c->is_float = true;
}

static enum status add_group(struct counters *c, struct slice group, struct slice names)
{
    struct val_cursor cursor;
    struct slice key, value, name;
    struct scalar number;
    uint64_t n = val_map_open(names, &cursor);
    for (uint64_t i = 0; i < n; i++) {
        if (val_skip(&cursor, &key) != ST_OK || val_skip(&cursor, &value) != ST_OK)
            return ST_OK;
        struct val_cursor inner = val_cursor(value);
        bool is_number = val_next(&inner, &number) == ST_OK &&
                         (number.kind == SC_INT || number.kind == SC_FLOAT);
        if (!is_number || !val_as_string(key, &name))
            continue;
        struct counter *counter;
        if (find(c, group, name, &counter) != ST_OK)
            return ST_MEMORY;
        add_number(counter, &number);
    }
    return ST_OK;
}

enum status counters_add(struct counters *c, struct slice map)
{
    struct val_cursor cursor;
    struct slice key, value, group;
    enum status st = ST_OK;
    uint64_t n = val_map_open(map, &cursor);
    for (uint64_t i = 0; i < n && st == ST_OK; i++) {
        if (val_skip(&cursor, &key) != ST_OK || val_skip(&cursor, &value) != ST_OK)
            return ST_OK;
        if (val_as_string(key, &group))
            st = add_group(c, group, value);
    }
    return st;
}

/* Groups and names come in bytewise order, which is the order of encoded keys. */
static size_t group_end(const struct counters *c, size_t from)
{
    size_t to = from;
    while (to < c->count &&
           slice_equal(counter_group(&c->items[to]), counter_group(&c->items[from])))
        to++;
    return to;
}

static enum status put_counter(const struct counter *c, struct buf *out)
{
    enum status st = val_put_string(out, counter_name(c));
    if (st == ST_OK)
        st = c->is_float ? val_put_float(out, c->f) : val_put_int(out, c->i);
    return st;
}

enum status counters_put(const struct counters *c, struct buf *out)
{
    uint64_t groups = 0;
    for (size_t i = 0; i < c->count; i = group_end(c, i))
        groups++;
    enum status st = val_put_map(out, groups);
    for (size_t i = 0; i < c->count && st == ST_OK;) {
        size_t end = group_end(c, i);
        st = val_put_string(out, counter_group(&c->items[i]));
        if (st == ST_OK)
            st = val_put_map(out, end - i);
        for (; i < end && st == ST_OK; i++)
            st = put_counter(&c->items[i], out);
    }
    return st;
}

void counters_free(struct counters *c)
{
    for (size_t i = 0; i < c->count; i++)
        buf_free(&c->items[i].key);
    sys_free(c->items);
    *c = COUNTERS_EMPTY;
}
