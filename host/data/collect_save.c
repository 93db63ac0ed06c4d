/* Collectors in task checkpoints: everything as it is, so that nothing is folded or spilled earlier
 * or later than it would have been. */
#include "data/aggregate_save.h"
#include "data/collect_internal.h"
#include "data/run_writer.h"

#include "base/sys.h"

#include <xxhash.h>

enum { STATE_VERSION = 1 };

/* --- the combine table: each entry with its key, state, and how it is found --- */

static bool is_by_key(const struct combine *t, const uint8_t *entry, struct slice key)
{
    return combine_has_slot(t, entry, combine_hash(key, COMBINE_ANY));
}

void combine_save(const struct combine *t, struct saver *to)
{
    save_uint(to, t->pile.count);
    for (size_t at = 0; at < t->pile.used;) {
        const uint8_t *entry = t->pile.region.p + at;
        struct slice key = pile_key_slice(&t->pile, entry);
        struct pile_head head;
        memcpy(&head, entry, sizeof head);
        save_uint(to, head.partition);
        save_uint(to, is_by_key(t, entry, key));
        save_slice(to, key);
        agg_save_to(t->agg, entry + sizeof head, to);
        at += pile_entry_size(&t->pile, entry);
    }
}

/* `key` is scratch with room behind the key's end. */
static enum status load_entry(struct combine *t, struct saved *from, struct buf *key, struct err *e)
{
    uint32_t partition = (uint32_t)saved_uint(from, t->pile.partitions - 1);
    bool by_key = saved_bool(from);
    struct slice bytes = saved_slice(from);
    key->n = 0;
    if (from->failed || bytes.n == 0 || bytes.n > RUN_PAIR_MAX ||
        t->charged + combine_cost(t, bytes.n) > t->budget)
        return ST_CORRUPT;
    if (buf_append_slice(key, bytes) != ST_OK || buf_reserve(key, COMBINE_WORDS) != ST_OK)
        return err_memory(e, "the combine table", bytes.n);
    struct combine_pair pair = { .key = buf_slice(key),
                                 .partition = by_key ? (uint32_t)COMBINE_ANY : partition };
    pair.hash = combine_hash(pair.key, pair.partition);
    uint8_t *entry = t->pile.region.p + t->pile.used;
    enum status status = combine_insert(t, &pair, partition, e);
    if (status != ST_OK)
        return status;
    status = agg_load_from(t->agg, combine_state(entry), from);
    t->charged += agg_weight(t->agg, combine_state(entry));
    if (status == ST_MEMORY)
        return err_memory(e, "the combine table", bytes.n);
    return status == ST_OK && t->charged <= t->budget ? ST_OK : ST_CORRUPT;
}

enum status combine_load(struct combine *t, struct saved *from, struct err *e)
{
    struct buf key = BUF_EMPTY;
    uint64_t count = saved_uint(from, UINT64_MAX);
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK; i++)
        status = load_entry(t, from, &key, e);
    buf_free(&key);
    return status == ST_CORRUPT ? saved_broken("the combine table", e) : status;
}

/* --- the pile --- */

void pile_save(const struct pile *p, struct saver *to)
{
    save_slice(to, slice_of(p->region.p, p->used));
}

/* Adds the entry at bytes.p, padding included; *size becomes its own. */
static bool load_pair(struct pile *p, struct slice bytes, uint64_t room, uint64_t *cost,
                      size_t *size)
{
    struct pile_head head;
    uint32_t length;
    if (bytes.n < p->head)
        return false;
    memcpy(&head, bytes.p, sizeof head);
    memcpy(&length, bytes.p + sizeof head, sizeof length);
    uint64_t key_and_value = (uint64_t)head.key_length + length;
    *cost = key_and_value + PILE_CHARGE;
    if (head.key_length == 0 || head.partition >= p->partitions || *cost > room ||
        key_and_value > bytes.n - p->head)
        return false;
    struct slice key = slice_of(bytes.p + p->head, head.key_length);
    uint8_t *entry = pile_add(p, key, head.partition, length);
    memcpy(entry + sizeof head, &length, sizeof length);
    *size = pile_entry_size(p, entry);
    if (*size > bytes.n)
        return false;
    memcpy(entry + p->head + key.n, key.p + key.n, *size - p->head - key.n);
    return true;
}

enum status pile_load(struct pile *p, struct saved *from, uint64_t budget, uint64_t *charged,
                      struct err *e)
{
    struct slice bytes = saved_slice(from);
    *charged = 0;
    while (bytes.n > 0) {
        uint64_t cost = 0;
        size_t size = 0;
        if (!load_pair(p, bytes, budget - *charged, &cost, &size))
            return saved_broken("the sort buffer", e);
        *charged += cost;
        bytes = slice_of(bytes.p + size, bytes.n - size);
    }
    return ST_OK;
}

/* --- the stage --- */

static void save_pairs(const struct collect *c, struct saver *to)
{
    save_uint(to, c->committed);
    for (size_t i = 0; i < c->committed; i++) {
        const struct staged *pair = &c->pairs[i];
        save_uint(to, pair->key_length);
        save_uint(to, pair->value_length);
        save_uint(to, pair->partition);
    }
    save_slice(to, slice_of(c->stage.p, c->committed_bytes));
}

/* A file's name is written where it is another than that of the mark before. */
static void save_marks(const struct collect *c, struct saver *to)
{
    const char *last = NULL;
    save_uint(to, c->mark_count);
    for (size_t i = 0; i < c->mark_count; i++) {
        const struct mark *mark = &c->marks[i];
        const char *file = mark->place.file;
        bool same = i > 0 && (file == last || (file && last && strcmp(file, last) == 0));
        save_uint(to, mark->end);
        save_int(to, mark->place.offset);
        save_int(to, mark->place.record);
        save_uint(to, same);
        if (!same)
            save_slice(to, file ? slice_of(file, strlen(file) + 1) : slice_of("", 0));
        last = file;
    }
}

/* An aggregate is fed with whole values. (What a pile holds is looked at by who merges the run.) */
static bool values_hold(const struct collect *c, const uint8_t *p)
{
    for (size_t i = 0; i < c->pair_count; i++) {
        const struct staged *pair = &c->pairs[i];
        if (val_check(slice_of(p + pair->key_length, pair->value_length)) != ST_OK)
            return false;
        p += (size_t)pair->key_length + pair->value_length;
    }
    return true;
}

static enum status load_pairs(struct collect *c, struct saved *from, struct err *e)
{
    uint64_t count = saved_uint(from, UINT32_MAX), bytes = 0;
    enum status status = ST_OK;
    for (uint64_t i = 0; i < count && status == ST_OK && !from->failed; i++) {
        struct staged pair = { (uint32_t)saved_uint(from, RUN_PAIR_MAX),
                               (uint32_t)saved_uint(from, RUN_PAIR_MAX),
                               (uint32_t)saved_uint(from, UINT32_MAX) };
        saved_check(from, pair.key_length > 0 && (pair.partition < c->partitions ||
                                                  pair.partition == (uint32_t)PARTITION_BY_KEY));
        bytes += (uint64_t)pair.key_length + pair.value_length;
        status = collect_reserve(c, 0, e);
        if (status == ST_OK)
            c->pairs[c->pair_count++] = pair;
    }
    struct slice stage = saved_slice(from);
    saved_check(from, stage.n == bytes && (!c->agg || values_hold(c, stage.p)));
    if (status == ST_OK && !from->failed)
        status = collect_reserve(c, stage.n + COMBINE_WORDS, e);
    if (status != ST_OK || from->failed)
        return status;
    if (stage.n)
        memcpy(c->stage.p, stage.p, stage.n);
    c->stage.n = c->key_start = c->committed_bytes = stage.n;
    c->committed = c->pair_count;
    return ST_OK;
}

/* One more name, NUL-terminated, at c->names + *used. */
static void take_name(struct collect *c, struct saved *from, size_t *used, const char **name)
{
    struct slice bytes = saved_slice(from);
    *name = NULL;
    if (bytes.n == 0)
        return;
    saved_check(from, bytes.p[bytes.n - 1] == '\0');
    memcpy(c->names + *used, bytes.p, bytes.n);
    *name = c->names + *used;
    *used += bytes.n;
}

/* The names together are shorter than what is left of the state. */
static enum status load_marks(struct collect *c, struct saved *from, struct err *e)
{
    struct collect_place place = { NULL, 0, 0 };
    size_t used = 0, last = 0;
    uint64_t count = saved_uint(from, UINT32_MAX);
    enum status status = ST_OK;
    if (count > 0 && !(c->names = sys_malloc(from->rest.n)))
        return err_memory(e, "the names of input files", from->rest.n);
    for (uint64_t i = 0; i < count && status == ST_OK && !from->failed; i++) {
        uint64_t end = saved_uint(from, c->committed);
        place.offset = saved_int(from);
        place.record = saved_int(from);
        if (!saved_bool(from))
            take_name(c, from, &used, &place.file);
        saved_check(from, end > last);
        c->pair_count = last = (size_t)end;
        status = collect_mark(c, &place, e);
    }
    saved_check(from, last == c->committed);
    c->pair_count = c->committed;
    return status;
}

/* --- the collector --- */

static uint64_t hash_boundaries(const struct collect *c)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; c->boundaries && i + 1 < c->partitions; i++)
        hash = XXH3_64bits_withSeed(c->boundaries[i].p, c->boundaries[i].n, hash + i);
    return hash;
}

/* What must be as it was. (Compression: the run file says it.) */
static void save_config(const struct collect *c, struct saver *to)
{
    save_uint(to, STATE_VERSION);
    save_uint(to, c->partitions);
    save_uint(to, c->budget);
    save_uint(to, c->group_by);
    save_uint(to, c->combiner.combine != NULL);
    save_word(to, hash_boundaries(c));
    save_slice(to, slice_str(c->agg ? agg_name(c->agg) : ""));
}

static void expect_config(const struct collect *c, struct saved *from)
{
    saved_expect(from, STATE_VERSION);
    saved_expect(from, c->partitions);
    saved_expect(from, c->budget);
    saved_expect(from, c->group_by);
    saved_expect(from, c->combiner.combine != NULL);
    saved_check(from, saved_word(from) == hash_boundaries(c));
    saved_check(from, slice_equal(saved_slice(from), slice_str(c->agg ? agg_name(c->agg) : "")));
}

enum status collect_save(struct collect *c, bool durable, struct buf *out, struct err *e)
{
    struct saver to = saver_of(out);
    if (c->failed != ST_OK)
        return err_set(e, c->failed, "the collector has failed before");
    size_t folded = c->agg ? c->table.pile.used : c->pile.used;
    saver_reserve(&to, folded + c->committed_bytes);
    save_config(c, &to);
    save_uint(&to, c->stats.staged_pairs);
    save_uint(&to, c->stats.staged_bytes);
    save_uint(&to, c->stats.spills);
    save_pairs(c, &to);
    save_marks(c, &to);
    if (c->agg)
        combine_save(&c->table, &to);
    else
        pile_save(&c->pile, &to);
    if (to.status != ST_OK)
        return err_memory(e, "a task checkpoint", folded + c->committed_bytes);
    return run_suspend(c->run, durable, out, e);
}

static enum status load(struct collect *c, struct saved *from, struct err *e)
{
    expect_config(c, from);
    if (from->failed)
        return err_set(e, ST_CORRUPT, "the saved state of the pairs is of other options or of another version");
    c->stats.staged_pairs = saved_uint(from, UINT64_MAX);
    c->stats.staged_bytes = saved_uint(from, UINT64_MAX);
    c->stats.spills = saved_uint(from, UINT64_MAX);
    enum status status = load_pairs(c, from, e);
    if (status == ST_OK && !from->failed)
        status = load_marks(c, from, e);
    if (status == ST_OK && !from->failed)
        status = c->agg ? combine_load(&c->table, from, e)
                        : pile_load(&c->pile, from, c->budget, &c->charged, e);
    return status == ST_OK && from->failed ? saved_broken("the pairs", e) : status;
}

enum status collect_restore(const struct collect_config *config, const char *from_run_path,
                            struct slice state, struct collect **out, struct err *e)
{
    struct collect *c = NULL;
    struct saved from = saved_of(state);
    enum status status = collect_prepare(config, &c, e);
    if (status == ST_OK)
        status = load(c, &from, e);
    if (status == ST_OK)
        status = run_resume(from_run_path, from.rest, config->run_path, c->partitions,
                            config->compress, &c->run, e);
    if (status == ST_OK && run_in_segment(c->run))
        status = saved_broken("a run file", e);
    if (status != ST_OK) {
        collect_close(c);
        return status;
    }
    *out = c;
    return ST_OK;
}
