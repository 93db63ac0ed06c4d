/* Pairs as rows of fields: csv and tsv. */
#include "data/json.h"
#include "output_row.h"

/* A row being written. */
struct row {
    const struct output_spec *spec;
    struct buf *out;
    struct err *e;
    size_t start;  /* of the row in `out` */
    uint32_t fields;
};

static enum status put_quoted(struct slice text, struct buf *out)
{
    enum status status = buf_append_byte(out, '"');
    while (text.n > 0 && status == ST_OK) {
        const uint8_t *quote = memchr(text.p, '"', text.n);
        size_t n = quote ? (size_t)(quote - text.p) + 1 : text.n;
        status = buf_append(out, text.p, n);
        if (status == ST_OK && quote)
            status = buf_append_byte(out, '"');
        text = slice_of(text.p + n, text.n - n);
    }
    return status == ST_OK ? buf_append_byte(out, '"') : status;
}

static enum status put_csv(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == ',' || c == '"' || c == '\n' || c == '\r')
            return put_quoted(text, out);
    }
    return buf_append_slice(out, text);
}

static const char *tsv_escape(uint8_t c)
{
    switch (c) {
    case '\t': return "\\t";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\\': return "\\\\";
    default: return NULL;
    }
}

static enum status put_tsv(struct slice text, struct buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < text.n; i++) {
        const char *escape = tsv_escape(text.p[i]);
        if (!escape)
            continue;
        enum status status = buf_append(out, text.p + from, i - from);
        if (status == ST_OK)
            status = buf_append_str(out, escape);
        if (status != ST_OK)
            return status;
        from = i + 1;
    }
    return buf_append(out, text.p + from, text.n - from);
}

static enum status begin_field(struct row *r)
{
    if (r->fields++ == 0)
        return ST_OK;
    return buf_append_byte(r->out, r->spec->format == OUT_CSV ? ',' : '\t');
}

static enum status put_text(struct row *r, struct slice text)
{
    enum status status = begin_field(r);
    if (status != ST_OK)
        return status;
    return r->spec->format == OUT_CSV ? put_csv(text, r->out) : put_tsv(text, r->out);
}

static enum status put_json(struct row *r, struct slice value)
{
    struct buf text = BUF_EMPTY;
    enum status status = json_from_value(value, 0, &text, r->e);
    if (status == ST_OK)
        status = put_text(r, buf_slice(&text));
    buf_free(&text);
    return status;
}

/* One value as one field: null is an empty field, a table is JSON. */
static enum status put_value(struct row *r, struct slice value)
{
    struct val_cursor c = val_cursor(value);
    struct scalar s;
    if (val_next(&c, &s) != ST_OK)
        return ST_CORRUPT;
    if (s.kind == SC_STRING)
        return put_text(r, s.s);
    if (s.kind == SC_ARRAY || s.kind == SC_MAP)
        return put_json(r, value);
    enum status status = begin_field(r);
    return status == ST_OK && s.kind != SC_NULL ? row_put_scalar(&s, r->out) : status;
}

static enum status put_elements(struct row *r, struct slice array)
{
    struct val_cursor c;
    struct slice element;
    enum status status = ST_OK;
    for (uint64_t n = val_array(array, &c); n > 0 && status == ST_OK; n--) {
        status = val_skip(&c, &element);
        if (status == ST_OK)
            status = put_value(r, element);
    }
    return status;
}

static enum status put_map_values(struct row *r, struct slice map)
{
    struct val_cursor c;
    struct slice name, value;
    enum status status = ST_OK;
    for (uint64_t n = val_map_open(map, &c); n > 0 && status == ST_OK; n--) {
        status = val_skip(&c, &name);
        if (status == ST_OK)
            status = val_skip(&c, &value);
        if (status == ST_OK)
            status = put_value(r, value);
    }
    return status;
}

/* The columns the key has not taken, each the map's field of its name; an absent one is empty. */
static enum status put_columns(struct row *r, struct slice map)
{
    enum status status = ST_OK;
    for (uint32_t i = r->fields; i < r->spec->ncolumns && status == ST_OK; i++) {
        struct slice value;
        if (val_get(map, r->spec->columns[i], &value))
            status = put_value(r, value);
        else
            status = begin_field(r);
    }
    return status;
}

static enum status put_flat(struct row *r, struct slice value)
{
    if (value.n > 0 && value.p[0] == VAL_ARRAY)
        return put_elements(r, value);
    if (val_is_map(value))
        return r->spec->ncolumns > 0 ? put_columns(r, value) : put_map_values(r, value);
    return put_value(r, value);
}

static enum status put_key(struct row *r, struct slice key, struct buf *scratch)
{
    if (key.n > 0 && key.p[0] == KEY_STRING)
        return put_text(r, slice_of(key.p + 1, key.n - 1));
    scratch->n = 0;
    enum status status = key_to_value(key, scratch);
    return status == ST_OK ? put_flat(r, buf_slice(scratch)) : status;
}

/* A row of one empty field would read as no row at all. */
static enum status end_row(struct row *r)
{
    bool empty = r->out->n == r->start;
    enum status status = empty && r->fields == 1 && r->spec->format == OUT_CSV
                             ? buf_append_str(r->out, "\"\"")
                             : ST_OK;
    return status == ST_OK ? buf_append_byte(r->out, '\n') : status;
}

enum status row_fields(const struct output_spec *spec, struct slice key, struct slice value,
                       struct buf *scratch, struct buf *out, struct err *e)
{
    struct row r = { spec, out, e, out->n, 0 };
    enum status status = ST_OK;
    if (!spec->write_value_only)
        status = put_key(&r, key, scratch);
    bool alone = row_is_true(value) && !spec->write_value_only && spec->ncolumns <= r.fields;
    if (status == ST_OK && !alone)
        status = put_flat(&r, value);
    return row_failed(status == ST_OK ? end_row(&r) : status, e);
}

enum status row_header(const struct output_spec *spec, struct buf *out)
{
    struct row r = { spec, out, NULL, out->n, 0 };
    enum status status = ST_OK;
    for (uint32_t i = 0; i < spec->ncolumns && status == ST_OK; i++)
        status = put_text(&r, slice_str(spec->columns[i]));
    return status == ST_OK ? end_row(&r) : status;
}
