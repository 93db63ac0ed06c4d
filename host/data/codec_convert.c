/* Keys into values and values into keys. */
#include "data/codec.h"

/* --- a value from a key --- */

/* Elements of the array the cursor has just entered. The cursor is a copy: it is not moved. */
static enum status count_elements(const struct key_cursor *at, uint64_t *count)
{
    struct key_cursor c = *at;
    unsigned inside = c.depth;
    enum status status;
    struct scalar s;
    c.scratch = BUF_EMPTY;
    *count = 0;
    while ((status = key_next(&c, &s)) == ST_OK && c.depth >= inside)
        if (s.kind == SC_ARRAY ? c.depth == inside + 1 : c.depth == inside && s.kind != SC_END)
            ++*count;
    key_cursor_free(&c);
    return status == ST_END ? ST_CORRUPT : status;
}

static enum status put_scalar(struct key_cursor *c, const struct scalar *s, struct buf *out)
{
    uint64_t count;
    enum status status;
    switch (s->kind) {
    case SC_NULL: return val_put_null(out);
    case SC_FALSE:
    case SC_TRUE: return val_put_bool(out, s->kind == SC_TRUE);
    case SC_INT: return val_put_int(out, s->i);
    case SC_FLOAT: return val_put_float(out, s->f);
    case SC_STRING: return val_put_string(out, s->s);
    case SC_ARRAY:
        status = count_elements(c, &count);
        return status == ST_OK ? val_put_array(out, count) : status;
    default: return ST_OK; /* SC_END: values carry counts instead */
    }
}

enum status key_to_value(struct slice key, struct buf *out)
{
    struct key_cursor c;
    struct scalar s;
    enum status status;
    size_t before = out->n;
    key_cursor_init(&c, key);
    while ((status = key_next(&c, &s)) == ST_OK)
        if ((status = put_scalar(&c, &s, out)) != ST_OK)
            break;
    key_cursor_free(&c);
    if (status == ST_END)
        return ST_OK;
    out->n = before;
    return status;
}

/* --- a key from a value --- */

static enum status put_key(struct val_cursor *c, unsigned depth, struct buf *out, struct err *e);

static enum status put_key_array(struct val_cursor *c, uint64_t count, unsigned depth,
                                 struct buf *out, struct err *e)
{
    if (depth >= CODEC_DEPTH_MAX)
        return err_set(e, ST_SCRIPT, "a key cannot be nested deeper than %d", CODEC_DEPTH_MAX);
    enum status status = key_array_begin(out);
    for (; count > 0 && status == ST_OK; count--)
        status = put_key(c, depth + 1, out, e);
    return status == ST_OK ? key_array_end(out) : status;
}

static enum status put_key(struct val_cursor *c, unsigned depth, struct buf *out, struct err *e)
{
    struct scalar s;
    if (val_next(c, &s) != ST_OK)
        return err_set(e, ST_CORRUPT, "an encoded value does not decode");
    switch (s.kind) {
    case SC_NULL: return key_put_null(out);
    case SC_FALSE:
    case SC_TRUE: return key_put_bool(out, s.kind == SC_TRUE);
    case SC_INT: return key_put_int(out, s.i);
    case SC_FLOAT:
        if (s.f != s.f)
            return err_set(e, ST_SCRIPT, "a key cannot be nan (not a number)");
        return key_put_float(out, s.f);
    case SC_STRING: return key_put_string(out, s.s, depth > 0);
    case SC_ARRAY: return put_key_array(c, s.count, depth, out, e);
    default:
        return err_set(e, ST_SCRIPT, "a key cannot be a table with named fields, only an array");
    }
}

enum status value_to_key(struct slice value, struct buf *out, struct err *e)
{
    struct val_cursor c = val_cursor(value);
    size_t before = out->n;
    enum status status = put_key(&c, 0, out, e);
    if (status == ST_OK && c.rest.n > 0)
        status = err_set(e, ST_CORRUPT, "an encoded value does not decode");
    if (status != ST_OK)
        out->n = before;
    return status;
}

/* --- order --- */

static enum status order_by_keys(struct slice a, struct slice b, int *order, struct err *e)
{
    struct buf x = BUF_EMPTY, y = BUF_EMPTY;
    enum status status = value_to_key(a, &x, e);
    if (status == ST_OK)
        status = value_to_key(b, &y, e);
    if (status == ST_OK) {
        int difference = slice_compare(buf_slice(&x), buf_slice(&y));
        *order = (difference > 0) - (difference < 0);
    }
    buf_free(&x);
    buf_free(&y);
    return status;
}

enum status value_order(struct slice a, struct slice b, int *order, struct err *e)
{
    struct val_cursor ca = val_cursor(a), cb = val_cursor(b);
    struct scalar x, y;
    if (val_next(&ca, &x) != ST_OK || val_next(&cb, &y) != ST_OK)
        return err_set(e, ST_CORRUPT, "an encoded value does not decode");
    if (x.kind != y.kind)
        return order_by_keys(a, b, order, e);
    if (x.kind == SC_INT) {
        *order = (x.i > y.i) - (x.i < y.i);
    } else if (x.kind == SC_FLOAT && x.f == x.f && y.f == y.f) {
        *order = (x.f > y.f) - (x.f < y.f);
    } else if (x.kind == SC_STRING) {
        int difference = slice_compare(x.s, y.s);
        *order = (difference > 0) - (difference < 0);
    } else {
        return order_by_keys(a, b, order, e);
    }
    return ST_OK;
}
