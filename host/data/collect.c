#include "data/collect.h"

#include "base/sys.h"
#include "data/collect_internal.h"

#include <assert.h>
#include <xxhash.h>

static_assert((uint32_t)PARTITION_BY_KEY == (uint32_t)COMBINE_ANY, "one word for both");

/* The stage is folded when it holds this much: enough for the cache misses of folding to overlap,
 * little enough to stay in the nearest caches. */
enum { BATCH_BYTES = 32 * 1024, BATCH_PAIRS = 1024 };

/* A stage grown beyond this is given back once it is folded. */
enum { STAGE_KEEP = 4 << 20 };

/* Budgets are cut to this (references of the sort are 32 bits), which moves spill points and
 * nothing else. */
#define BUDGET_MAX (UINT64_C(24) << 30)

enum status collect_reserve(struct collect *c, size_t more, struct err *e)
{
    if (buf_reserve(&c->stage, more) != ST_OK)
        return err_memory(e, "the emits of a record", c->stage.n + more);
    if (c->pair_count < c->pair_cap)
        return ST_OK;
    size_t cap = c->pair_cap ? 2 * c->pair_cap : 2 * (size_t)BATCH_PAIRS;
    struct staged *pairs = sys_realloc(c->pairs, cap * sizeof *pairs);
    if (!pairs)
        return err_memory(e, "the emits of a record", cap * sizeof *pairs);
    c->pairs = pairs;
    c->pair_cap = cap;
    return ST_OK;
}

static enum status open_parts(struct collect *c, struct err *e)
{
    enum status status = collect_reserve(c, 2 * (size_t)BATCH_BYTES, e);
    uint32_t head = (uint32_t)(sizeof(struct pile_head) + sizeof(uint32_t));
    if (status == ST_OK && c->agg)
        status = combine_open(&c->table, c->agg, c->budget, c->partitions, e);
    else if (status == ST_OK)
        status = pile_open(&c->pile, c->budget, head, true, c->partitions, e);
    return status;
}

enum status collect_prepare(const struct collect_config *config, struct collect **out,
                            struct err *e)
{
    CHECK(config->partitions >= 1 && config->partitions <= RUN_PARTITIONS_MAX);
    CHECK(!config->agg || !config->combiner.combine);
    struct collect *c = sys_calloc(1, sizeof *c);
    if (!c)
        return err_memory(e, "a collector", sizeof *c);
    c->partitions = config->partitions;
    c->group_by = config->group_by;
    c->agg = config->agg;
    c->combiner = config->combiner;
    c->boundaries = config->boundaries;
    c->budget = config->sort_buffer < BUDGET_MAX ? config->sort_buffer : BUDGET_MAX;
    enum status status = open_parts(c, e);
    if (status != ST_OK) {
        collect_close(c);
        return status;
    }
    *out = c;
    return ST_OK;
}

enum status collect_open(const struct collect_config *config, struct collect **out, struct err *e)
{
    struct collect *c = NULL;
    enum status status = collect_prepare(config, &c, e);
    if (c && status == ST_OK)
        status = run_create(config->run_path, c->partitions, config->compress, &c->run, e);
    if (status != ST_OK) {
        collect_close(c);
        return status;
    }
    *out = c;
    return ST_OK;
}

void collect_close(struct collect *c)
{
    if (!c)
        return;
    run_abandon(c->run);
    if (c->agg)
        combine_close(&c->table);
    else
        pile_close(&c->pile);
    buf_free(&c->stage);
    buf_free(&c->scratch);
    sys_free(c->pairs);
    sys_free(c->marks);
    sys_free(c->names);
    sys_free(c);
}

struct buf *collect_stage(struct collect *c)
{
    return &c->stage;
}

void collect_staged_key(struct collect *c)
{
    c->key_end = c->stage.n;
}

void collect_stage_drop(struct collect *c)
{
    c->stage.n = c->key_start;
    c->key_end = 0;
}

/* Notes the pair that ends at stage.n; there is room for it. */
static inline void add_staged(struct collect *c, size_t key_length, size_t value_length,
                              uint32_t partition)
{
    c->pairs[c->pair_count++] = (struct staged){ (uint32_t)key_length, (uint32_t)value_length,
                                                 partition };
    c->key_start = c->stage.n;
    c->key_end = 0;
}

enum status collect_staged(struct collect *c, uint32_t partition, struct err *e)
{
    CHECK(c->key_end > c->key_start && c->stage.n >= c->key_end);
    size_t bytes = c->stage.n - c->key_start;
    enum status status = ST_OK;
    if (bytes > RUN_PAIR_MAX)
        status = err_set(e, ST_SCRIPT, "a pair of %zu bytes is too large", bytes);
    else if (partition >= c->partitions && partition != PARTITION_BY_KEY)
        status = err_set(e, ST_SCRIPT, "partition %u is out of range: there are %u, from 0 on",
                         partition, c->partitions);
    if (status == ST_OK)
        status = collect_reserve(c, COMBINE_WORDS, e);
    if (status == ST_OK)
        add_staged(c, c->key_end - c->key_start, c->stage.n - c->key_end, partition);
    else
        collect_stage_drop(c);
    return status;
}

/* Copies a short string without a call. */
static inline void copy_string(uint8_t *to, const char *s, size_t n)
{
    if (n > 16) {
        memcpy(to, s, n);
    } else if (n >= 8) {
        uint64_t head, tail;
        memcpy(&head, s, 8);
        memcpy(&tail, s + n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + n - 8, &tail, 8);
    } else if (n >= 4) {
        uint32_t head, tail;
        memcpy(&head, s, 4);
        memcpy(&tail, s + n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + n - 4, &tail, 4);
    } else if (n > 0) {
        to[0] = (uint8_t)s[0];
        to[n / 2] = (uint8_t)s[n / 2];
        to[n - 1] = (uint8_t)s[n - 1];
    }
}

/* As val_put_int writes it. */
static inline size_t write_int(uint8_t *p, int64_t v)
{
    if (v >= 0 && v <= 15) {
        *p = (uint8_t)(VAL_INT0 + v);
        return 1;
    }
    *p = VAL_INT;
    return 1 + varint_put(p + 1, zigzag(v));
}

enum status collect_string_int(struct collect *c, const char *s, size_t n, int64_t value,
                               struct err *e)
{
    size_t room = n + 2 + VARINT_MAX + COMBINE_WORDS;
    if (c->stage.cap - c->stage.n < room || c->pair_count == c->pair_cap || n > RUN_BLOCK) {
        if (n > RUN_PAIR_MAX - RUN_BLOCK)
            return err_set(e, ST_SCRIPT, "a pair of %zu bytes is too large", n);
        enum status status = collect_reserve(c, room, e);
        if (status != ST_OK)
            return status;
    }
    uint8_t *p = c->stage.p + c->stage.n;
    p[0] = KEY_STRING;
    copy_string(p + 1, s, n);
    size_t value_length = write_int(p + 1 + n, value);
    c->stage.n += 1 + n + value_length;
    add_staged(c, 1 + n, value_length, PARTITION_BY_KEY);
    return ST_OK;
}

enum status collect_mark(struct collect *c, const struct collect_place *place, struct err *e)
{
    if (c->mark_count == c->mark_cap) {
        size_t cap = c->mark_cap ? 2 * c->mark_cap : BATCH_PAIRS;
        struct mark *marks = sys_realloc(c->marks, cap * sizeof *marks);
        if (!marks)
            return err_memory(e, "the emits of a record", cap * sizeof *marks);
        c->marks = marks;
        c->mark_cap = cap;
    }
    c->marks[c->mark_count++] = (struct mark){ c->pair_count, *place };
    return ST_OK;
}

static enum status fold_stage(struct collect *c, struct err *e)
{
    c->stats.staged_pairs += c->committed;
    c->stats.staged_bytes += c->committed_bytes;
    enum status status = c->failed;
    if (status == ST_OK)
        status = c->failed = collect_fold(c, e);
    else
        (void)err_set(e, status, "the collector has failed before");
    c->pair_count = c->committed = c->mark_count = 0;
    c->stage.n = c->key_start = c->key_end = c->committed_bytes = 0;
    if (c->stage.cap > STAGE_KEEP) {
        buf_free(&c->stage);
        sys_free(c->pairs);
        c->pairs = NULL;
        c->pair_cap = 0;
        if (status == ST_OK)
            status = collect_reserve(c, 2 * (size_t)BATCH_BYTES, e);
    }
    return status;
}

enum status collect_commit(struct collect *c, const struct collect_place *place, struct err *e)
{
    if (c->pair_count == c->committed)
        return ST_OK;
    enum status status = collect_mark(c, place, e);
    if (status != ST_OK)
        return status;
    c->committed = c->pair_count;
    c->committed_bytes = c->stage.n;
    if (c->pair_count >= BATCH_PAIRS || c->stage.n >= BATCH_BYTES)
        status = fold_stage(c, e);
    return status;
}

void collect_undo(struct collect *c)
{
    c->pair_count = c->committed;
    c->stage.n = c->key_start = c->committed_bytes;
    c->key_end = 0;
}

uint64_t collect_spills(const struct collect *c)
{
    return c->stats.spills;
}

enum status collect_finish(struct collect *c, bool durable, struct collect_stats *stats,
                           struct err *e)
{
    CHECK(c->run);
    collect_undo(c);
    enum status status = fold_stage(c, e);
    if (status == ST_OK)
        status = c->failed = collect_spill(c, e);
    if (status != ST_OK)
        return status;
    struct run_writer *run = c->run;
    c->run = NULL;
    status = run_finish(run, durable, &c->stats.run, e);
    c->stats.combined_pairs = c->stats.run.pairs;
    if (stats)
        *stats = c->stats;
    return status;
}

uint32_t collect_partition(struct slice group_bytes, uint32_t partitions)
{
    return (uint32_t)(XXH3_64bits(group_bytes.p, group_bytes.n) % partitions);
}
