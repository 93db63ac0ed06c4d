/* Pairs as text lines, JSON lines and raw bytes. */
#include "data/json.h"
#include "output_row.h"

enum status row_failed(enum status status, struct err *e)
{
    if (status == ST_MEMORY)
        return err_set(e, ST_MEMORY, "out of memory for output");
    return status == ST_CORRUPT ? err_set(e, ST_CORRUPT, "an encoded pair does not decode")
                                : status;
}

enum status row_put_scalar(const struct scalar *s, struct buf *out)
{
    enum status status;
    switch (s->kind) {
    case SC_NULL: return buf_append_str(out, "null");
    case SC_FALSE: return buf_append_str(out, "false");
    case SC_TRUE: return buf_append_str(out, "true");
    case SC_INT:
        status = buf_reserve(out, NUMBER_TEXT_MAX);
        if (status == ST_OK)
            out->n += int_format(s->i, (char *)out->p + out->n);
        return status;
    case SC_FLOAT:
        status = buf_reserve(out, NUMBER_TEXT_MAX);
        if (status == ST_OK)
            out->n += float_format(s->f, (char *)out->p + out->n);
        return status;
    default: return ST_CORRUPT;
    }
}

static enum status put_value(struct slice value, struct buf *out, struct err *e)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK)
        return ST_CORRUPT;
    if (s.kind == SC_STRING)
        return buf_append_slice(out, s.s);
    if (s.kind == SC_ARRAY || s.kind == SC_MAP)
        return json_from_value(value, 0, out, e);
    return row_put_scalar(&s, out);
}

static enum status put_key(struct slice key, struct buf *scratch, struct buf *out, struct err *e)
{
    if (key.n > 0 && key.p[0] == KEY_STRING)
        return buf_append(out, key.p + 1, key.n - 1);
    scratch->n = 0;
    enum status status = key_to_value(key, scratch);
    return status == ST_OK ? put_value(buf_slice(scratch), out, e) : status;
}

/* A string and one of the values that most pairs have, into room that is there; false when it is
 * not such. */
static bool put_common(struct slice key, struct slice value, struct buf *out)
{
    if (key.n == 0 || key.p[0] != KEY_STRING || value.n == 0)
        return false;
    uint8_t *p = out->p + out->n + key.n - 1, tag = value.p[0];
    struct scalar s;
    if (tag == VAL_TRUE) {
        /* the key alone */
    } else if (tag >= VAL_INT0 && tag < VAL_INT0 + 16) {
        *p++ = '\t';
        p += int_format(tag - VAL_INT0, (char *)p);
    } else if (tag == VAL_INT) {
        struct val_cursor c = val_cursor(value);
        if (val_next(&c, &s) != ST_OK)
            return false;
        *p++ = '\t';
        p += int_format(s.i, (char *)p);
    } else {
        return false;
    }
    *p++ = '\n';
    memcpy(out->p + out->n, key.p + 1, key.n - 1);
    out->n = (size_t)(p - out->p);
    return true;
}

enum status row_text(const struct output_spec *spec, struct slice key, struct slice value,
                     struct buf *scratch, struct buf *out, struct err *e)
{
    enum status status = buf_reserve(out, key.n + NUMBER_TEXT_MAX + 2);
    if (status != ST_OK)
        return row_failed(status, e);
    if (!spec->write_value_only && put_common(key, value, out))
        return ST_OK;
    bool alone = row_is_true(value) && !spec->write_value_only;
    if (!spec->write_value_only)
        status = put_key(key, scratch, out, e);
    if (status == ST_OK && !spec->write_value_only && !alone)
        status = buf_append_byte(out, '\t');
    if (status == ST_OK && !alone)
        status = put_value(value, out, e);
    if (status == ST_OK)
        status = buf_append_byte(out, '\n');
    return row_failed(status, e);
}

static enum status put_json_key(struct slice key, struct buf *scratch, struct buf *out,
                                struct err *e)
{
    if (key.n > 0 && key.p[0] == KEY_STRING)
        return json_put_string(out, slice_of(key.p + 1, key.n - 1));
    scratch->n = 0;
    enum status status = key_to_value(key, scratch);
    return status == ST_OK ? json_from_value(buf_slice(scratch), 0, out, e) : status;
}

enum status row_json(const struct output_spec *spec, struct slice key, struct slice value,
                     struct buf *scratch, struct buf *out, struct err *e)
{
    enum status status = ST_OK;
    bool pair = !spec->write_value_only;
    if (pair)
        status = buf_append_str(out, "{\"key\":");
    if (pair && status == ST_OK)
        status = put_json_key(key, scratch, out, e);
    if (pair && status == ST_OK)
        status = buf_append_str(out, ",\"value\":");
    if (status == ST_OK)
        status = json_from_value(value, 0, out, e);
    if (status == ST_OK)
        status = buf_append_str(out, pair ? "}\n" : "\n");
    return row_failed(status, e);
}

enum status row_raw(const struct output_spec *spec, struct slice key, struct slice value,
                    struct buf *scratch, struct buf *out, struct err *e)
{
    struct slice s;
    (void)scratch;
    if (val_as_string(value, &s))
        return row_failed(buf_append_slice(out, s), e);
    if (!row_is_true(value) || spec->write_value_only)
        return err_set(e, ST_SCRIPT, "raw output needs strings as values, got %s",
                       val_kind_name(value));
    if (key.n == 0 || key.p[0] != KEY_STRING)
        return err_set(e, ST_SCRIPT, "raw output needs a string; the key stored alone is none");
    return row_failed(buf_append(out, key.p + 1, key.n - 1), e);
}

enum status output_text_of_key(struct slice key, struct buf *out)
{
    struct buf scratch = BUF_EMPTY;
    enum status status = put_key(key, &scratch, out, NULL);
    buf_free(&scratch);
    return status;
}

enum status output_text_of_value(struct slice value, struct buf *out)
{
    return put_value(value, out, NULL);
}
