/* The map builder: fields in any order, written sorted by name. */
#include "base/sys.h"
#include "data/codec.h"

#include <stdlib.h>

struct field {
    struct slice name, value;
};

/* Appends a field of `n` encoded value bytes. */
static void add_field(struct val_map *m, const char *name, struct slice value)
{
    struct slice key = slice_str(name);
    if (m->status == ST_OK)
        m->status = buf_append_varint(&m->fields, key.n);
    if (m->status == ST_OK)
        m->status = buf_append_slice(&m->fields, key);
    if (m->status == ST_OK)
        m->status = buf_append_varint(&m->fields, value.n);
    if (m->status == ST_OK)
        m->status = buf_append_slice(&m->fields, value);
    m->count++;
}

void val_map_value(struct val_map *m, const char *name, struct slice encoded)
{
    add_field(m, name, encoded);
}

static void add_built(struct val_map *m, const char *name, struct buf *value, enum status status)
{
    if (status == ST_OK)
        add_field(m, name, buf_slice(value));
    else if (m->status == ST_OK)
        m->status = status;
    buf_free(value);
}

void val_map_null(struct val_map *m, const char *name)
{
    struct buf b = BUF_EMPTY;
    add_built(m, name, &b, val_put_null(&b));
}

void val_map_bool(struct val_map *m, const char *name, bool v)
{
    struct buf b = BUF_EMPTY;
    add_built(m, name, &b, val_put_bool(&b, v));
}

void val_map_int(struct val_map *m, const char *name, int64_t v)
{
    struct buf b = BUF_EMPTY;
    add_built(m, name, &b, val_put_int(&b, v));
}

void val_map_float(struct val_map *m, const char *name, double v)
{
    struct buf b = BUF_EMPTY;
    add_built(m, name, &b, val_put_float(&b, v));
}

void val_map_string(struct val_map *m, const char *name, struct slice v)
{
    struct buf b = BUF_EMPTY;
    add_built(m, name, &b, val_put_string(&b, v));
}

void val_map_str(struct val_map *m, const char *name, const char *v)
{
    if (v)
        val_map_string(m, name, slice_str(v));
}

static struct slice take_slice(const uint8_t **p, const uint8_t *end)
{
    uint64_t n = 0;
    size_t head = varint_get(*p, end, &n);
    CHECK(head > 0 && n <= (uint64_t)(end - *p) - head);
    struct slice s = slice_of(*p + head, (size_t)n);
    *p = s.p + s.n;
    return s;
}

/* By name; fields of one name in the order they were added (they lie so in the buffer). */
static int compare_fields(const void *a, const void *b)
{
    const struct field *x = a, *y = b;
    int order = slice_compare(x->name, y->name);
    return order ? order : (x->name.p > y->name.p) - (x->name.p < y->name.p);
}

static size_t sort_fields(const struct val_map *m, struct field *fields)
{
    const uint8_t *p = m->fields.p, *end = p + m->fields.n;
    for (uint64_t i = 0; i < m->count; i++) {
        fields[i].name = take_slice(&p, end);
        fields[i].value = take_slice(&p, end);
    }
    qsort(fields, (size_t)m->count, sizeof *fields, compare_fields);
    size_t kept = 0;
    for (uint64_t i = 0; i < m->count; i++) {
        if (kept > 0 && slice_equal(fields[kept - 1].name, fields[i].name))
            kept--;
        fields[kept++] = fields[i];
    }
    return kept;
}

static enum status write_fields(const struct val_map *m, struct buf *out)
{
    struct field *fields = sys_malloc((size_t)m->count * sizeof *fields);
    if (!fields)
        return ST_MEMORY;
    size_t count = sort_fields(m, fields);
    enum status status = val_put_map(out, count);
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = val_put_string(out, fields[i].name);
        if (status == ST_OK)
            status = buf_append_slice(out, fields[i].value);
    }
    sys_free(fields);
    return status;
}

enum status val_map_end(struct val_map *m, struct buf *out)
{
    enum status status = m->status;
    size_t before = out->n;
    if (status == ST_OK)
        status = m->count ? write_fields(m, out) : val_put_map(out, 0);
    if (status != ST_OK)
        out->n = before;
    buf_free(&m->fields);
    *m = VAL_MAP_EMPTY;
    return status;
}
