#include "data/codec.h"

/* --- writing --- */

static enum status put_tagged_varint(struct buf *out, enum val_tag tag, uint64_t v)
{
    enum status status = buf_reserve(out, 1 + VARINT_MAX);
    if (status != ST_OK)
        return status;
    out->p[out->n] = (uint8_t)tag;
    out->n += 1 + varint_put(out->p + out->n + 1, v);
    return ST_OK;
}

enum status val_put_null(struct buf *out)
{
    return buf_append_byte(out, VAL_NULL);
}

enum status val_put_bool(struct buf *out, bool v)
{
    return buf_append_byte(out, v ? VAL_TRUE : VAL_FALSE);
}

enum status val_put_big_int(struct buf *out, int64_t v)
{
    if ((uint64_t)v < 16)
        return buf_append_byte(out, (uint8_t)(VAL_INT0 + v));
    return put_tagged_varint(out, VAL_INT, zigzag(v));
}

enum status val_put_float(struct buf *out, double v)
{
    enum status status = buf_reserve(out, 9);
    if (status != ST_OK)
        return status;
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint8_t *p = out->p + out->n;
    *p++ = VAL_FLOAT;
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(bits >> (8 * i));
    out->n += 9;
    return ST_OK;
}

enum status val_put_string(struct buf *out, struct slice s)
{
    if (s.n > SIZE_MAX / 2)
        return ST_MEMORY;
    enum status status = buf_reserve(out, 1 + VARINT_MAX + s.n);
    if (status != ST_OK)
        return status;
    uint8_t *p = out->p + out->n;
    *p = VAL_STRING;
    size_t head = 1 + varint_put(p + 1, s.n);
    if (s.n)
        memcpy(p + head, s.p, s.n);
    out->n += head + s.n;
    return ST_OK;
}

enum status val_put_str(struct buf *out, const char *s)
{
    return val_put_string(out, slice_str(s));
}

enum status val_put_array(struct buf *out, uint64_t count)
{
    return put_tagged_varint(out, VAL_ARRAY, count);
}

enum status val_put_map(struct buf *out, uint64_t count)
{
    return put_tagged_varint(out, VAL_MAP, count);
}

/* --- reading --- */

static enum status take_varint(struct slice *rest, uint64_t *v)
{
    size_t n = rest->n ? varint_get(rest->p, rest->p + rest->n, v) : 0;
    if (n == 0)
        return ST_CORRUPT;
    rest->p += n;
    rest->n -= n;
    return ST_OK;
}

static enum status take_int(struct slice *rest, struct scalar *out)
{
    uint64_t bits = 0;
    enum status status = take_varint(rest, &bits);
    out->kind = SC_INT;
    out->i = unzigzag(bits);
    return status;
}

static enum status take_float(struct slice *rest, struct scalar *out)
{
    if (rest->n < 8)
        return ST_CORRUPT;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)rest->p[i] << (8 * i);
    out->kind = SC_FLOAT;
    memcpy(&out->f, &bits, sizeof bits);
    rest->p += 8;
    rest->n -= 8;
    return ST_OK;
}

static enum status take_string(struct slice *rest, struct scalar *out)
{
    uint64_t n = 0;
    enum status status = take_varint(rest, &n);
    if (status != ST_OK || n > rest->n)
        return ST_CORRUPT;
    out->kind = SC_STRING;
    out->s = slice_of(rest->p, (size_t)n);
    rest->p += n;
    rest->n -= (size_t)n;
    return ST_OK;
}

/* Every element takes a byte at least, so a count beyond the bytes left is a lie. */
static enum status take_count(struct slice *rest, enum scalar_kind kind, struct scalar *out)
{
    enum status status = take_varint(rest, &out->count);
    size_t most = kind == SC_MAP ? rest->n / 2 : rest->n;
    out->kind = kind;
    return status == ST_OK && out->count <= most ? ST_OK : ST_CORRUPT;
}

enum status val_next(struct val_cursor *c, struct scalar *out)
{
    struct slice *rest = &c->rest;
    if (rest->n == 0)
        return ST_END;
    uint8_t tag = *rest->p++;
    rest->n--;
    if (tag >= VAL_INT0 && tag < VAL_INT0 + 16) {
        out->kind = SC_INT;
        out->i = tag - VAL_INT0;
        return ST_OK;
    }
    switch (tag) {
    case VAL_NULL: out->kind = SC_NULL; return ST_OK;
    case VAL_FALSE: out->kind = SC_FALSE; return ST_OK;
    case VAL_TRUE: out->kind = SC_TRUE; return ST_OK;
    case VAL_INT: return take_int(rest, out);
    case VAL_FLOAT: return take_float(rest, out);
    case VAL_STRING: return take_string(rest, out);
    case VAL_ARRAY: return take_count(rest, SC_ARRAY, out);
    case VAL_MAP: return take_count(rest, SC_MAP, out);
    default: return ST_CORRUPT;
    }
}

enum status val_skip(struct val_cursor *c, struct slice *value)
{
    const uint8_t *start = c->rest.p;
    uint64_t pending = 1;
    if (c->rest.n == 0)
        return ST_END;
    while (pending > 0) {
        struct scalar s;
        if (val_next(c, &s) != ST_OK)
            return ST_CORRUPT;
        pending--;
        if (s.kind == SC_ARRAY)
            pending += s.count;
        else if (s.kind == SC_MAP)
            pending += 2 * s.count;
        if (pending > c->rest.n)
            return ST_CORRUPT;
    }
    *value = slice_of(start, (size_t)(c->rest.p - start));
    return ST_OK;
}

static bool may_be_map_key(enum scalar_kind kind)
{
    return kind == SC_FALSE || kind == SC_TRUE || kind == SC_INT || kind == SC_FLOAT ||
           kind == SC_STRING;
}

static enum status check_one(struct val_cursor *c, unsigned depth);

static enum status check_pairs(struct val_cursor *c, uint64_t count, unsigned depth)
{
    for (; count > 0; count--) {
        struct scalar key;
        if (val_next(c, &key) != ST_OK || !may_be_map_key(key.kind))
            return ST_CORRUPT;
        if (check_one(c, depth) != ST_OK)
            return ST_CORRUPT;
    }
    return ST_OK;
}

static enum status check_one(struct val_cursor *c, unsigned depth)
{
    struct scalar s;
    if (val_next(c, &s) != ST_OK)
        return ST_CORRUPT;
    if (s.kind != SC_ARRAY && s.kind != SC_MAP)
        return ST_OK;
    if (depth == CODEC_DEPTH_MAX)
        return ST_CORRUPT;
    if (s.kind == SC_MAP)
        return check_pairs(c, s.count, depth + 1);
    for (; s.count > 0; s.count--)
        if (check_one(c, depth + 1) != ST_OK)
            return ST_CORRUPT;
    return ST_OK;
}

enum status val_check(struct slice value)
{
    struct val_cursor c = val_cursor(value);
    enum status status = check_one(&c, 0);
    return status == ST_OK && c.rest.n == 0 ? ST_OK : ST_CORRUPT;
}

const char *val_kind_name(struct slice value)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK)
        return "a broken value";
    switch (s.kind) {
    case SC_NULL: return "null";
    case SC_FALSE:
    case SC_TRUE: return "a boolean";
    case SC_INT:
    case SC_FLOAT: return "a number";
    case SC_STRING: return "a string";
    default: return "a table";
    }
}

/* --- looking into values --- */

uint64_t val_map_open(struct slice value, struct val_cursor *c)
{
    struct scalar s;
    *c = val_cursor(value);
    return val_next(c, &s) == ST_OK && s.kind == SC_MAP ? s.count : 0;
}

uint64_t val_array(struct slice value, struct val_cursor *c)
{
    struct scalar s;
    *c = val_cursor(value);
    return val_next(c, &s) == ST_OK && s.kind == SC_ARRAY ? s.count : 0;
}

bool val_get(struct slice map, const char *name, struct slice *value)
{
    struct val_cursor c;
    struct slice wanted = slice_str(name);
    for (uint64_t n = val_map_open(map, &c); n > 0; n--) {
        struct scalar key;
        struct slice found;
        if (val_next(&c, &key) != ST_OK || val_skip(&c, &found) != ST_OK)
            return false;
        if (key.kind == SC_STRING && slice_equal(key.s, wanted)) {
            *value = found;
            return true;
        }
    }
    return false;
}

static bool get_scalar(struct slice map, const char *name, struct scalar *out)
{
    struct slice value;
    if (!val_get(map, name, &value))
        return false;
    struct val_cursor c = val_cursor(value);
    return val_next(&c, out) == ST_OK;
}

bool val_get_bool(struct slice map, const char *name, bool fallback)
{
    struct scalar s;
    if (!get_scalar(map, name, &s) || (s.kind != SC_TRUE && s.kind != SC_FALSE))
        return fallback;
    return s.kind == SC_TRUE;
}

int64_t val_get_int(struct slice map, const char *name, int64_t fallback)
{
    struct scalar s;
    return get_scalar(map, name, &s) && s.kind == SC_INT ? s.i : fallback;
}

double val_get_float(struct slice map, const char *name, double fallback)
{
    struct scalar s;
    if (!get_scalar(map, name, &s))
        return fallback;
    if (s.kind == SC_INT)
        return (double)s.i;
    return s.kind == SC_FLOAT ? s.f : fallback;
}

bool val_get_string(struct slice map, const char *name, struct slice *s)
{
    struct slice value;
    return val_get(map, name, &value) && val_as_string(value, s);
}

bool val_get_cstr(struct slice map, const char *name, char *out, size_t cap)
{
    struct slice s = slice_of("", 0);
    CHECK(cap > 0);
    bool found = val_get_string(map, name, &s);
    size_t n = s.n < cap ? s.n : cap - 1;
    memcpy(out, s.p, n);
    out[n] = '\0';
    return found && s.n < cap;
}

bool val_as_int(struct slice value, int64_t *v)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK || s.kind != SC_INT)
        return false;
    *v = s.i;
    return true;
}

bool val_as_string(struct slice value, struct slice *out)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK || s.kind != SC_STRING)
        return false;
    *out = s.s;
    return true;
}

bool val_is_map(struct slice value)
{
    return value.n > 0 && value.p[0] == VAL_MAP;
}
