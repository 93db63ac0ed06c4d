#include "data/pile.h"

#include "base/sys.h"

/* References count in units of 32 bits. */
#define PILE_MAX ((uint64_t)UINT32_MAX * SORT_UNIT)

/* Bytes behind the last item: reads of whole words may pass the end of a key. */
enum { PILE_SLACK = 4096 };

enum status pile_open(struct pile *p, uint64_t budget, uint32_t head, bool has_values,
                      uint32_t partitions, struct err *e)
{
    CHECK(budget <= PILE_MAX - PILE_SLACK);
    *p = (struct pile){ .head = head, .has_values = has_values, .partitions = partitions };
    p->counts = sys_calloc((size_t)partitions + 1, sizeof *p->counts);
    if (!p->counts)
        return err_memory(e, "the sort buffer", sizeof *p->counts * (partitions + 1));
    if (region_open(&p->region, (size_t)budget + PILE_SLACK) != ST_OK)
        return err_memory(e, "the sort buffer", (size_t)budget);
    return ST_OK;
}

void pile_close(struct pile *p)
{
    region_close(&p->region);
    sys_free(p->counts);
    p->counts = NULL;
}

void pile_clear(struct pile *p)
{
    p->used = 0;
    p->count = 0;
    memset(p->counts, 0, ((size_t)p->partitions + 1) * sizeof *p->counts);
}

/* Lowers `common` to what `key` shares with the first key. */
static void note_common(struct pile *p, struct slice key)
{
    if (p->count == 0) {
        p->common = key.n;
        return;
    }
    const uint8_t *first = p->region.p + p->head;
    size_t limit = key.n < p->common ? key.n : p->common, at = 0;
    while (at < limit && first[at] == key.p[at])
        at++;
    p->common = at;
}

static size_t padded(size_t n)
{
    return (n + SORT_UNIT - 1) / SORT_UNIT * SORT_UNIT;
}

uint8_t *pile_add(struct pile *p, struct slice key, uint32_t partition, size_t tail)
{
    uint8_t *entry = p->region.p + p->used;
    struct pile_head head = { (uint32_t)key.n, partition };
    note_common(p, key);
    p->used += padded(p->head + key.n + tail);
    CHECK(p->used <= p->region.size);
    memcpy(entry, &head, sizeof head);
    memcpy(entry + p->head, key.p, key.n);
    p->count++;
    p->counts[partition]++;
    return entry;
}

/* Where the length of a value is kept. */
enum { VALUE_LENGTH_AT = sizeof(struct pile_head) };

struct slice pile_value(const struct pile *p, const uint8_t *entry)
{
    uint32_t length;
    memcpy(&length, entry + VALUE_LENGTH_AT, sizeof length);
    struct slice key = pile_key_slice(p, entry);
    return slice_of(key.p + key.n, length);
}

size_t pile_entry_size(const struct pile *p, const uint8_t *entry)
{
    size_t n = p->head + pile_key_slice(p, entry).n;
    return padded(p->has_values ? n + pile_value(p, entry).n : n);
}

/* Lays an item for each entry, the partitions one after the other; counts[i] becomes where
 * partition i ends. */
static void lay_items(struct pile *p, struct sort_item *items)
{
    uint64_t begin = 0;
    for (uint32_t i = 0; i < p->partitions; i++) {
        uint64_t count = p->counts[i];
        p->counts[i] = begin;
        begin += count;
    }
    for (size_t at = 0; at < p->used;) {
        const uint8_t *entry = p->region.p + at;
        struct pile_head head;
        memcpy(&head, entry, sizeof head);
        items[p->counts[head.partition]++] =
            (struct sort_item){ sort_prefix(entry + p->head, head.key_length, p->common),
                                (uint32_t)(at / SORT_UNIT), head.key_length };
        at += pile_entry_size(p, entry);
    }
}

enum status pile_sort(struct pile *p, struct sort_item **items, struct sort_item **scratch,
                      struct err *e)
{
    size_t behind = (p->used + 15) / 16 * 16, n = (size_t)p->count;
    CHECK(behind + 2 * n * sizeof **items <= p->region.size);
    *items = (struct sort_item *)(void *)(p->region.p + behind);
    *scratch = *items + n;
    lay_items(p, *items);
    enum status status = ST_OK;
    uint64_t begin = 0;
    for (uint32_t i = 0; status == ST_OK && i < p->partitions; begin = p->counts[i++])
        if (p->counts[i] - begin > 1)
            status = sort_items(*items + begin, *scratch + begin, (size_t)(p->counts[i] - begin),
                                p->region.p + p->head, p->common, e);
    return status;
}
