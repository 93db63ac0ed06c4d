#include "data/collect_internal.h"

/* Pairs hashed and prefetched together. */
enum { GROUP = 64 };

static uint32_t by_boundaries(const struct collect *c, struct slice group)
{
    uint32_t low = 0, high = c->partitions - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slice_compare(group, c->boundaries[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The partition of a pair staged with `chosen`. */
static enum status find_partition(const struct collect *c, struct slice key, uint32_t chosen,
                                  uint32_t *partition, struct err *e)
{
    if (chosen != PARTITION_BY_KEY || c->partitions == 1) {
        *partition = c->partitions == 1 ? 0 : chosen;
        return ST_OK;
    }
    if (c->group_by > 0 && key_group_length(key, c->group_by, &key.n) != ST_OK)
        return err_set(e, ST_SCRIPT, "a key does not decode");
    *partition = c->boundaries ? by_boundaries(c, key) : collect_partition(key, c->partitions);
    return ST_OK;
}

static enum status fold_into_pile(struct collect *c, struct slice key, struct slice value,
                                  uint32_t chosen, struct err *e)
{
    uint32_t partition = 0;
    uint64_t cost = key.n + value.n + PILE_CHARGE;
    enum status status = find_partition(c, key, chosen, &partition, e);
    if (status != ST_OK)
        return status;
    if (c->charged + cost > c->budget) {
        status = collect_spill(c, e);
        if (status != ST_OK)
            return status;
        if (cost > c->budget)
            return collect_spill_pair(c, partition, key, value, e);
    }
    uint8_t *entry = pile_add(&c->pile, key, partition, value.n);
    uint32_t length = (uint32_t)value.n;
    memcpy(entry + sizeof(struct pile_head), &length, sizeof length);
    memcpy(entry + c->pile.head + key.n, value.p, value.n);
    c->charged += cost;
    return ST_OK;
}

/* Adds the entry of a key that has none yet, after a spill when there is no room for it. True in
 * *written when the pair was too large for that and went to the run by itself. */
static enum status add_entry(struct collect *c, const struct combine_pair *pair, bool *written,
                             struct err *e)
{
    uint32_t partition = 0;
    struct combine *t = &c->table;
    uint64_t cost = combine_cost(t, pair->key.n);
    enum status status = find_partition(c, pair->key, pair->partition, &partition, e);
    if (status == ST_OK && t->charged + cost > t->budget)
        status = collect_spill(c, e);
    if (status != ST_OK)
        return status;
    *written = cost > t->budget;
    if (*written)
        return collect_spill_pair(c, partition, pair->key, pair->value, e);
    return combine_insert(t, pair, partition, e);
}

/* Folds prepared pairs; *done as combine_fold has it. */
static enum status fold_pairs(struct collect *c, const struct combine_pair *pairs, size_t n,
                              size_t *done, struct err *e)
{
    enum status status = ST_OK;
    *done = 0;
    while (status == ST_OK && *done < n) {
        size_t folded = 0;
        status = combine_fold(&c->table, pairs + *done, n - *done, &folded, e);
        *done += folded;
        if (status != ST_OK)
            break;
        if (c->table.charged > c->table.budget) {
            status = collect_spill(c, e);
        } else if (*done < n) {
            bool written = false;
            status = add_entry(c, &pairs[*done], &written, e);
            *done += written;
        }
    }
    return status;
}

static enum status fold_into_table(struct collect *c, size_t *done, struct err *e)
{
    struct combine_pair pairs[GROUP];
    const uint8_t *p = c->stage.p;
    enum status status = ST_OK;
    while (status == ST_OK && *done < c->committed) {
        size_t left = c->committed - *done, n = left < GROUP ? left : GROUP, folded = 0;
        for (size_t i = 0; i < n; i++) {
            const struct staged *s = &c->pairs[*done + i];
            const uint8_t *value = p + s->key_length;
            pairs[i].key = slice_of(p, s->key_length);
            pairs[i].value = slice_of(value, s->value_length);
            pairs[i].partition = s->partition;
            p = value + s->value_length;
        }
        combine_prepare(&c->table, pairs, n);
        status = fold_pairs(c, pairs, n, &folded, e);
        *done += folded;
    }
    return status;
}

static enum status fold_all_into_pile(struct collect *c, size_t *done, struct err *e)
{
    const uint8_t *p = c->stage.p;
    enum status status = ST_OK;
    for (; *done < c->committed; ++*done) {
        const struct staged *s = &c->pairs[*done];
        const uint8_t *value = p + s->key_length;
        status = fold_into_pile(c, slice_of(p, s->key_length), slice_of(value, s->value_length),
                                s->partition, e);
        if (status != ST_OK)
            break;
        p = value + s->value_length;
    }
    return status;
}

/* Gives an error the number of the record whose pair it is about. */
static void name_record(const struct collect *c, size_t pair, struct err *e)
{
    for (size_t i = 0; i < c->mark_count; i++)
        if (pair < c->marks[i].end) {
            const struct collect_place *place = &c->marks[i].place;
            err_at(e, place->file, place->offset, place->record);
            return;
        }
}

enum status collect_fold(struct collect *c, struct err *e)
{
    size_t done = 0;
    enum status status = c->agg ? fold_into_table(c, &done, e) : fold_all_into_pile(c, &done, e);
    if (status != ST_OK && e)
        name_record(c, done, e);
    return status;
}
