#include "data/json.h"

#include <jansson.h>
#include <stdlib.h>

/* --- JSON text → value --- */

static enum status put_json(json_t *j, unsigned depth, struct buf *out, struct err *e);

static enum status put_json_array(json_t *j, unsigned depth, struct buf *out, struct err *e)
{
    size_t count = json_array_size(j);
    enum status status = val_put_array(out, count);
    for (size_t i = 0; i < count && status == ST_OK; i++)
        status = put_json(json_array_get(j, i), depth + 1, out, e);
    return status;
}

struct member {
    struct slice name;
    json_t *value;
};

static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    return slice_compare(x->name, y->name);
}

static void list_members(json_t *j, struct member *members)
{
    for (void *i = json_object_iter(j); i; i = json_object_iter_next(j, i))
        *members++ =
            (struct member){ slice_str(json_object_iter_key(i)), json_object_iter_value(i) };
}

enum { FEW_MEMBERS = 64 };

static enum status put_json_object(json_t *j, unsigned depth, struct buf *out, struct err *e)
{
    struct member few[FEW_MEMBERS], *members = few;
    struct buf many = BUF_EMPTY;
    size_t count = json_object_size(j);
    enum status status = ST_OK;
    if (count > FEW_MEMBERS) {
        status = buf_reserve(&many, count * sizeof *members);
        members = (struct member *)(void *)many.p;
    }
    if (status == ST_OK) {
        list_members(j, members);
        qsort(members, count, sizeof *members, compare_members);
        status = val_put_map(out, count);
    }
    for (size_t i = 0; i < count && status == ST_OK; i++) {
        status = val_put_string(out, members[i].name);
        if (status == ST_OK)
            status = put_json(members[i].value, depth + 1, out, e);
    }
    buf_free(&many);
    return status;
}

static enum status put_json(json_t *j, unsigned depth, struct buf *out, struct err *e)
{
    if (depth >= CODEC_DEPTH_MAX && (json_is_array(j) || json_is_object(j)))
        return err_set(e, ST_BAD_RECORD, "JSON nested deeper than %d", CODEC_DEPTH_MAX);
    switch (json_typeof(j)) {
    case JSON_NULL: return val_put_null(out);
    case JSON_FALSE: return val_put_bool(out, false);
    case JSON_TRUE: return val_put_bool(out, true);
    case JSON_INTEGER: return val_put_int(out, json_integer_value(j));
    case JSON_REAL: return val_put_float(out, json_real_value(j));
    case JSON_STRING:
        return val_put_string(out, slice_of(json_string_value(j), json_string_length(j)));
    case JSON_ARRAY: return put_json_array(j, depth, out, e);
    case JSON_OBJECT: return put_json_object(j, depth, out, e);
    }
    return ST_CORRUPT;
}

static enum status parse_error(const json_error_t *error, struct err *e)
{
    if (json_error_code(error) == json_error_out_of_memory)
        return err_memory(e, "a JSON value", 0);
    if (error->line > 1)
        return err_set(e, ST_BAD_RECORD, "not valid JSON: %s (line %d, column %d)", error->text,
                       error->line, error->column);
    return err_set(e, ST_BAD_RECORD, "not valid JSON: %s (column %d)", error->text, error->column);
}

enum status json_to_value(struct slice text, struct buf *out, struct err *e)
{
    json_error_t error;
    size_t before = out->n;
    const char *start = text.n ? (const char *)text.p : "";
    json_t *j = json_loadb(start, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!j)
        return parse_error(&error, e);
    enum status status = put_json(j, 0, out, e);
    json_decref(j);
    if (status != ST_OK)
        out->n = before;
    if (status == ST_MEMORY)
        return err_memory(e, "a JSON value", text.n);
    return status;
}

/* --- value → JSON text --- */

/* Length of the valid UTF-8 sequence at `p` (1–4), or 0 when it is none (cut, overlong, a
 * surrogate, beyond U+10FFFF). */
static size_t utf8_length(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    size_t length = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool bad = (c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F) ||
               (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F);
    return bad ? 0 : length;
}

size_t json_text_length(struct slice s)
{
    size_t at = 0, length = 1;
    while (at < s.n && length > 0) {
        length = s.p[at] ? utf8_length(s.p + at, s.n - at) : 0;
        at += length;
    }
    return at;
}

/* The escape of a byte that may not stand in a string as it is. */
static enum status put_escape(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"': return buf_append_str(out, "\\\"");
    case '\\': return buf_append_str(out, "\\\\");
    case '\n': return buf_append_str(out, "\\n");
    case '\r': return buf_append_str(out, "\\r");
    case '\t': return buf_append_str(out, "\\t");
    case '\b': return buf_append_str(out, "\\b");
    case '\f': return buf_append_str(out, "\\f");
    default: return buf_printf(out, "\\u%04x", c);
    }
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Appends what starts at `p`: a run of plain bytes, one UTF-8 sequence, or one escape; *used is its
 * length. */
static enum status put_string_piece(struct buf *out, const uint8_t *p, size_t n, size_t *used)
{
    size_t plain = 0;
    while (plain < n && is_plain(p[plain]))
        plain++;
    if (plain > 0) {
        *used = plain;
        return buf_append(out, p, plain);
    }
    *used = 1;
    if (p[0] < 0x80)
        return put_escape(out, p[0]);
    size_t length = utf8_length(p, n);
    if (length == 0)
        return buf_append_str(out, "\xEF\xBF\xBD");
    *used = length;
    return buf_append(out, p, length);
}

enum status json_put_string(struct buf *out, struct slice s)
{
    enum status status = buf_append_byte(out, '"');
    size_t used = 0;
    for (size_t at = 0; at < s.n && status == ST_OK; at += used)
        status = put_string_piece(out, s.p + at, s.n - at, &used);
    return status == ST_OK ? buf_append_byte(out, '"') : status;
}

struct printer {
    struct val_cursor c;
    struct buf *out;
    struct err *e;
    unsigned indent;
};

static enum status print_value(struct printer *p, unsigned depth);

static enum status new_line(struct printer *p, unsigned depth)
{
    if (p->indent == 0)
        return ST_OK;
    size_t n = (size_t)p->indent * depth;
    enum status status = buf_reserve(p->out, n + 1);
    if (status != ST_OK)
        return status;
    p->out->p[p->out->n] = '\n';
    memset(p->out->p + p->out->n + 1, ' ', n);
    p->out->n += n + 1;
    return ST_OK;
}

static enum status put_number(struct buf *out, const struct scalar *s)
{
    char text[NUMBER_TEXT_MAX];
    return buf_append(out, text,
                      s->kind == SC_INT ? int_format(s->i, text) : float_format(s->f, text));
}

static enum status print_scalar(struct printer *p, const struct scalar *s)
{
    switch (s->kind) {
    case SC_NULL: return buf_append_str(p->out, "null");
    case SC_FALSE: return buf_append_str(p->out, "false");
    case SC_TRUE: return buf_append_str(p->out, "true");
    case SC_STRING: return json_put_string(p->out, s->s);
    default: break;
    }
    if (s->kind == SC_FLOAT && (s->f - s->f) != 0)
        return err_set(p->e, ST_SCRIPT, "JSON cannot hold %s",
                       s->f != s->f ? "nan (not a number)" : "an infinite number");
    return put_number(p->out, s);
}

/* A map's key, as a string literal with its colon. */
static enum status print_name(struct printer *p)
{
    struct scalar s;
    enum status status = ST_CORRUPT;
    if (val_next(&p->c, &s) != ST_OK)
        return ST_CORRUPT;
    if (s.kind == SC_STRING) {
        status = json_put_string(p->out, s.s);
    } else if (s.kind == SC_INT || s.kind == SC_FLOAT) {
        char text[NUMBER_TEXT_MAX];
        size_t n = s.kind == SC_INT ? int_format(s.i, text) : float_format(s.f, text);
        status = json_put_string(p->out, slice_of(text, n));
    } else if (s.kind == SC_TRUE || s.kind == SC_FALSE) {
        status = json_put_string(p->out, slice_str(s.kind == SC_TRUE ? "true" : "false"));
    }
    return status == ST_OK ? buf_append_str(p->out, p->indent ? ": " : ":") : status;
}

static enum status print_container(struct printer *p, const struct scalar *head, unsigned depth)
{
    bool is_map = head->kind == SC_MAP;
    if (depth >= CODEC_DEPTH_MAX)
        return ST_CORRUPT;
    enum status status = buf_append_byte(p->out, is_map ? '{' : '[');
    for (uint64_t i = 0; i < head->count && status == ST_OK; i++) {
        if (i > 0)
            status = buf_append_byte(p->out, ',');
        if (status == ST_OK)
            status = new_line(p, depth + 1);
        if (status == ST_OK && is_map)
            status = print_name(p);
        if (status == ST_OK)
            status = print_value(p, depth + 1);
    }
    if (status == ST_OK && head->count > 0)
        status = new_line(p, depth);
    return status == ST_OK ? buf_append_byte(p->out, is_map ? '}' : ']') : status;
}

static enum status print_value(struct printer *p, unsigned depth)
{
    struct scalar s;
    if (val_next(&p->c, &s) != ST_OK)
        return ST_CORRUPT;
    if (s.kind == SC_ARRAY || s.kind == SC_MAP)
        return print_container(p, &s, depth);
    return print_scalar(p, &s);
}

enum status json_from_value(struct slice value, unsigned indent, struct buf *out, struct err *e)
{
    struct printer p = { val_cursor(value), out, e, indent };
    size_t before = out->n;
    enum status status = print_value(&p, 0);
    if (status == ST_OK && p.c.rest.n > 0)
        status = ST_CORRUPT;
    if (status != ST_OK)
        out->n = before;
    if (status == ST_CORRUPT)
        return err_set(e, ST_CORRUPT, "an encoded value does not decode");
    return status == ST_MEMORY ? err_memory(e, "JSON text", value.n) : status;
}

enum status json_from_key(struct slice key, struct buf *out, struct err *e)
{
    struct buf value = BUF_EMPTY;
    enum status status = key_to_value(key, &value);
    if (status == ST_OK)
        status = json_from_value(buf_slice(&value), 0, out, e);
    else
        status = err_set(e, status, "an encoded key does not decode");
    buf_free(&value);
    return status;
}
