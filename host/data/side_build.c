/* Building a side file: read all records, sort by key, write the index. */
#include "base/sys.h"
#include "data/side.h"
#include "side_format.h"

#include <stdlib.h>
#include <xxhash.h>

struct entry {
    size_t offset; /* of the pair in `pairs` */
    size_t key_n, value_n;
};

struct builder {
    const char *field; /* name of the key's field, or NULL */
    struct buf pairs;  /* keys and values as they came, one after the other */
    struct buf entries;
    struct buf key, value; /* of the record at hand */
};

/* An entry once all pairs are read and `pairs` moves no more. */
struct sorted {
    struct slice key, value;
};

static void free_builder(struct builder *b)
{
    buf_free(&b->pairs);
    buf_free(&b->entries);
    buf_free(&b->key);
    buf_free(&b->value);
}

static enum status out_of_memory(struct err *e)
{
    return err_set(e, ST_MEMORY, "out of memory for a side file");
}

static enum status take_pair(struct builder *b, struct slice key, struct slice value)
{
    struct entry entry = { b->pairs.n, key.n, value.n };
    enum status status = buf_append_slice(&b->pairs, key);
    if (status == ST_OK)
        status = buf_append_slice(&b->pairs, value);
    return status == ST_OK ? buf_append(&b->entries, &entry, sizeof entry) : status;
}

/* --- the key and value of a record --- */

/* A line: what stands before the first TAB, and what after; a line alone has the value true. */
static enum status cut_line(struct builder *b, struct slice line)
{
    const uint8_t *tab = line.n ? memchr(line.p, '\t', line.n) : NULL;
    size_t n = tab ? (size_t)(tab - line.p) : line.n;
    enum status status = key_put_string(&b->key, slice_of(line.p, n), false);
    if (status != ST_OK)
        return status;
    return tab ? val_put_string(&b->value, slice_of(tab + 1, line.n - n - 1))
               : val_put_bool(&b->value, true);
}

/* Rows without column names are arrays: their fields are named "1", "2" and so on. */
static bool array_field(struct slice row, const char *name, struct slice *out)
{
    struct val_cursor c;
    char *end;
    unsigned long wanted = strtoul(name, &end, 10);
    if (*end != '\0' || wanted == 0 || wanted > val_array(row, &c))
        return false;
    for (; wanted > 0; wanted--)
        if (val_skip(&c, out) != ST_OK)
            return false;
    return true;
}

static enum status refuse(const struct builder *b, const char *why, struct err *e)
{
    return err_set(e, ST_BAD_RECORD, "a side file's record has %s \"%.200s\"", why, b->field);
}

static enum status cut_fields(struct builder *b, struct slice row, struct err *e)
{
    struct slice field;
    if (!b->field)
        return err_set(e, ST_USAGE,
                       "a side file of records with fields needs the name of its key field");
    if (!val_get(row, b->field, &field) && !array_field(row, b->field, &field))
        return refuse(b, "no field", e);
    enum status status = value_to_key(field, &b->key, e);
    if (status == ST_SCRIPT)
        return refuse(b, "no usable key in its field", e);
    return status == ST_OK ? buf_append_slice(&b->value, row) : status;
}

static enum status cut_raw(struct builder *b, const struct record *rec, struct err *e)
{
    if (b->field)
        return err_set(e, ST_USAGE,
                       "a side file of plain text has no field \"%.200s\": its key is what stands "
                       "before the first TAB",
                       b->field);
    if (!rec->has_key)
        return cut_line(b, rec->value);
    enum status status = key_put_string(&b->key, rec->key, false);
    return status == ST_OK ? val_put_string(&b->value, rec->value) : status;
}

static enum status take_record(struct builder *b, const struct record *rec, struct err *e)
{
    enum status status;
    b->key.n = b->value.n = 0;
    if (!rec->is_raw && rec->has_key)
        return take_pair(b, rec->key, rec->value) == ST_OK ? ST_OK : out_of_memory(e);
    status = rec->is_raw ? cut_raw(b, rec, e) : cut_fields(b, rec->value, e);
    if (status == ST_OK)
        status = take_pair(b, buf_slice(&b->key), buf_slice(&b->value));
    return status == ST_MEMORY ? out_of_memory(e) : status;
}

static enum status read_part(struct builder *b, const struct split_part *part,
                             const struct input_spec *spec, struct err *e)
{
    struct reader *reader = NULL;
    struct record rec;
    enum status status = reader_open(part, spec, &reader, e);
    if (status != ST_OK)
        return status;
    while ((status = reader_next(reader, &rec, e)) == ST_OK) {
        status = take_record(b, &rec, e);
        if (status != ST_OK) {
            err_at(e, part->path, (int64_t)rec.offset, (int64_t)rec.number);
            break;
        }
    }
    reader_close(reader);
    return status == ST_END ? ST_OK : status;
}

/* --- sorting and writing --- */

/* By key; pairs of one key in the order they came (they lie so in memory). */
static int compare_sorted(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    int order = slice_compare(x->key, y->key);
    return order ? order : (x->key.p > y->key.p) - (x->key.p < y->key.p);
}

/* Sorts, and keeps the last pair of each key. */
static size_t sort_pairs(const struct builder *b, struct sorted *sorted)
{
    size_t n = b->entries.n / sizeof(struct entry), kept = 0;
    const struct entry *entries = (const struct entry *)(const void *)b->entries.p;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = b->pairs.p + entries[i].offset;
        sorted[i] = (struct sorted){ slice_of(p, entries[i].key_n),
                                     slice_of(p + entries[i].key_n, entries[i].value_n) };
    }
    if (n > 1)
        qsort(sorted, n, sizeof *sorted, compare_sorted);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && slice_equal(sorted[kept - 1].key, sorted[i].key))
            kept--;
        sorted[kept++] = sorted[i];
    }
    return kept;
}

static int compare_hashes(const void *a, const void *b)
{
    const struct side_hash *x = a, *y = b;
    int order = (x->hash > y->hash) - (x->hash < y->hash);
    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static enum status put_pair(struct buf *file, const struct sorted *pair)
{
    enum status status = buf_append_varint(file, pair->key.n);
    if (status == ST_OK)
        status = buf_append_varint(file, pair->value.n);
    if (status == ST_OK)
        status = buf_append_slice(file, pair->key);
    return status == ST_OK ? buf_append_slice(file, pair->value) : status;
}

/* Appends pairs, order and hashes after the header's room. `order` and `hashes` have `n` entries of
 * room. */
static enum status put_body(const struct sorted *sorted, size_t n, uint64_t *order,
                            struct side_hash *hashes, struct buf *file, uint64_t *pair_bytes)
{
    static const uint8_t zeros[8] = { 0 };
    enum status status = ST_OK;
    for (size_t i = 0; i < n && status == ST_OK; i++) {
        order[i] = file->n - sizeof(struct side_header);
        hashes[i] = (struct side_hash){ XXH3_64bits(sorted[i].key.p, sorted[i].key.n), i };
        status = put_pair(file, &sorted[i]);
    }
    *pair_bytes = file->n - sizeof(struct side_header);
    if (n > 1)
        qsort(hashes, n, sizeof *hashes, compare_hashes);
    if (status == ST_OK)
        status = buf_append(file, zeros, (8 - file->n % 8) % 8);
    if (status == ST_OK)
        status = buf_append(file, order, n * sizeof *order);
    return status == ST_OK ? buf_append(file, hashes, n * sizeof *hashes) : status;
}

static void put_header(struct buf *file, uint64_t count, uint64_t pair_bytes)
{
    struct side_header h;
    memset(&h, 0, sizeof h);
    memcpy(h.magic, SIDE_MAGIC, sizeof h.magic);
    h.count = count;
    h.checksum = XXH3_64bits(file->p + sizeof h, file->n - sizeof h);
    h.pair_bytes = pair_bytes;
    memcpy(file->p, &h, sizeof h);
}

static enum status put_file(const struct builder *b, struct buf *file, uint64_t *records)
{
    size_t n = b->entries.n / sizeof(struct entry);
    uint64_t pair_bytes = 0;
    struct sorted *sorted = sys_malloc((n + 1) * sizeof *sorted);
    uint64_t *order = sys_malloc((n + 1) * sizeof *order);
    struct side_hash *hashes = sys_malloc((n + 1) * sizeof *hashes);
    enum status status =
        sorted && order && hashes ? buf_reserve(file, sizeof(struct side_header)) : ST_MEMORY;
    if (status == ST_OK) {
        file->n = sizeof(struct side_header);
        n = sort_pairs(b, sorted);
        status = put_body(sorted, n, order, hashes, file, &pair_bytes);
    }
    if (status == ST_OK)
        put_header(file, n, pair_bytes);
    *records = n;
    sys_free(sorted);
    sys_free(order);
    sys_free(hashes);
    return status;
}

static enum status write_index(const struct builder *b, const char *path, bool durable,
                               uint64_t *records, struct err *e)
{
    struct buf file = BUF_EMPTY;
    enum status status = put_file(b, &file, records);
    if (status == ST_OK)
        status = sys_write_file(path, buf_slice(&file), durable, "side", e);
    else
        status = out_of_memory(e);
    buf_free(&file);
    return status;
}

enum status side_build(const struct split *parts, const struct input_spec *specs, const char *key,
                       const char *index_path, bool durable, uint64_t *records, struct err *e)
{
    struct builder b = { key, BUF_EMPTY, BUF_EMPTY, BUF_EMPTY, BUF_EMPTY };
    enum status status = ST_OK;
    uint64_t count = 0;
    for (size_t i = 0; i < parts->count && status == ST_OK; i++)
        status = read_part(&b, &parts->parts[i], &specs[parts->parts[i].input], e);
    if (status == ST_OK)
        status = write_index(&b, index_path, durable, &count, e);
    if (records)
        *records = count;
    free_builder(&b);
    return status;
}
