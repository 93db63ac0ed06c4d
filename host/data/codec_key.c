/* Keys: bytes whose memcmp order is key order. */
#include "data/codec.h"

enum { EXACT_BITS = 53 }; /* integers below 2^53 in magnitude are doubles exactly */
static const double exact_limit = 9007199254740992.0;   /* 2^53 */
static const double int_limit = 9223372036854775808.0;  /* 2^63 */
static const uint64_t sign_bit = UINT64_C(1) << 63;

/* --- writing --- */

static size_t write_double(uint8_t *p, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    bits = bits & sign_bit ? ~bits : bits | sign_bit;
    p[0] = KEY_NUMBER;
    for (int i = 0; i < 8; i++)
        p[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
    return 9;
}

static size_t write_remainder(uint8_t *p, uint64_t remainder)
{
    p[0] = (uint8_t)(remainder >> 8);
    p[1] = (uint8_t)remainder;
    return 2;
}

/* The greatest double ≤ v, and what is left: v's lowest bits beyond the 53 a double holds. */
static size_t write_wide_int(uint8_t *p, int64_t v)
{
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int shift = 64 - __builtin_clzll(magnitude) - EXACT_BITS;
    uint64_t unit = UINT64_C(1) << shift;
    uint64_t low = magnitude & (unit - 1);
    magnitude -= low;
    if (v < 0 && low > 0) {
        magnitude += unit;
        low = unit - low;
    }
    double d = (double)magnitude;
    size_t n = write_double(p, v < 0 ? -d : d);
    return n + write_remainder(p + n, low);
}

size_t key_write_int(uint8_t *p, int64_t v)
{
    const int64_t limit = INT64_C(1) << EXACT_BITS;
    if (v > -limit && v < limit)
        return write_double(p, (double)v);
    return write_wide_int(p, v);
}

size_t key_write_float(uint8_t *p, double v)
{
    if (v == 0)
        v = 0; /* −0.0 too */
    size_t n = write_double(p, v);
    if (v >= exact_limit || v <= -exact_limit)
        n += write_remainder(p + n, 0);
    return n;
}

enum status key_put_null(struct buf *out)
{
    return buf_append_byte(out, KEY_NULL);
}

enum status key_put_bool(struct buf *out, bool v)
{
    return buf_append_byte(out, v ? KEY_TRUE : KEY_FALSE);
}

enum status key_put_int(struct buf *out, int64_t v)
{
    enum status status = buf_reserve(out, KEY_NUMBER_MAX);
    if (status == ST_OK)
        out->n += key_write_int(out->p + out->n, v);
    return status;
}

enum status key_put_float(struct buf *out, double v)
{
    if (v != v)
        return ST_SCRIPT;
    enum status status = buf_reserve(out, KEY_NUMBER_MAX);
    if (status == ST_OK)
        out->n += key_write_float(out->p + out->n, v);
    return status;
}

enum status key_put_nested_string(struct buf *out, struct slice s)
{
    if (s.n > SIZE_MAX / 4)
        return ST_MEMORY;
    enum status status = buf_reserve(out, 2 * s.n + 3);
    if (status != ST_OK)
        return status;
    uint8_t *p = out->p + out->n;
    *p++ = KEY_STRING;
    for (size_t i = 0; i < s.n; i++) {
        *p++ = s.p[i];
        if (s.p[i] == 0)
            *p++ = 0xFF;
    }
    *p++ = 0;
    *p++ = 1;
    out->n = (size_t)(p - out->p);
    return ST_OK;
}

enum status key_array_begin(struct buf *out)
{
    return buf_append_byte(out, KEY_ARRAY);
}

enum status key_array_end(struct buf *out)
{
    return buf_append_byte(out, KEY_END);
}

/* --- reading --- */

static uint64_t read_be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

/* A number of magnitude ≥ 2^53: `d` and two bytes of remainder at `p`. */
static enum status read_wide(double d, const uint8_t *start, struct scalar *out)
{
    uint64_t remainder = (uint64_t)start[9] << 8 | start[10];
    if (d >= int_limit || d < -int_limit) {
        out->kind = SC_FLOAT;
        out->f = d;
        return remainder == 0 ? ST_OK : ST_CORRUPT;
    }
    int64_t base = (int64_t)d;
    if (base > INT64_MAX - (int64_t)remainder)
        return ST_CORRUPT;
    out->kind = SC_INT;
    out->i = base + (int64_t)remainder;
    uint8_t again[KEY_NUMBER_MAX];
    size_t n = key_write_int(again, out->i);
    return n == KEY_NUMBER_MAX && memcmp(again, start, n) == 0 ? ST_OK : ST_CORRUPT;
}

/* Reads the number whose tag is at rest->p. */
static enum status take_number(struct slice *rest, struct scalar *out)
{
    if (rest->n < 9)
        return ST_CORRUPT;
    uint64_t bits = read_be64(rest->p + 1);
    bits = bits & sign_bit ? bits & ~sign_bit : ~bits;
    double d;
    memcpy(&d, &bits, sizeof d);
    size_t n = 9;
    enum status status = ST_OK;
    if (d != d || bits == sign_bit) {
        return ST_CORRUPT; /* NaN, −0.0: no key holds them */
    } else if (d >= exact_limit || d <= -exact_limit) {
        n = KEY_NUMBER_MAX;
        status = rest->n < n ? ST_CORRUPT : read_wide(d, rest->p, out);
    } else if ((double)(int64_t)d == d) {
        out->kind = SC_INT;
        out->i = (int64_t)d;
    } else {
        out->kind = SC_FLOAT;
        out->f = d;
    }
    if (status == ST_OK)
        *rest = slice_of(rest->p + n, rest->n - n);
    return status;
}

/* Bytes of the escaped string at `p` without its end mark, or SIZE_MAX when it is cut or badly
 * escaped; *escapes is the number of 00 FF in it. */
static size_t nested_length(const uint8_t *p, size_t n, size_t *escapes)
{
    size_t at = 0;
    *escapes = 0;
    while (at < n) {
        const uint8_t *zero = memchr(p + at, 0, n - at);
        if (!zero || zero + 1 >= p + n)
            return SIZE_MAX;
        at = (size_t)(zero - p);
        if (zero[1] == 1)
            return at;
        if (zero[1] != 0xFF)
            return SIZE_MAX;
        (*escapes)++;
        at += 2;
    }
    return SIZE_MAX;
}

static void unescape(const uint8_t *p, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        *out++ = p[i];
        if (p[i] == 0)
            i++;
    }
}

/* Takes the string inside an array whose tag is at rest->p; borrowed where it has no escapes, else
 * put into `scratch`. */
static enum status take_nested_string(struct slice *rest, struct buf *scratch, struct slice *out)
{
    const uint8_t *p = rest->p + 1;
    size_t escapes;
    size_t n = nested_length(p, rest->n - 1, &escapes);
    if (n == SIZE_MAX)
        return ST_CORRUPT;
    *rest = slice_of(p + n + 2, rest->n - 1 - n - 2);
    if (escapes == 0) {
        *out = slice_of(p, n);
        return ST_OK;
    }
    scratch->n = 0;
    enum status status = buf_reserve(scratch, n - escapes);
    if (status != ST_OK)
        return status;
    unescape(p, n, scratch->p);
    scratch->n = n - escapes;
    *out = buf_slice(scratch);
    return ST_OK;
}

void key_cursor_init(struct key_cursor *c, struct slice key)
{
    *c = (struct key_cursor){ key, 0, false, BUF_EMPTY };
}

void key_cursor_free(struct key_cursor *c)
{
    buf_free(&c->scratch);
}

static enum status next_string(struct key_cursor *c, struct scalar *out)
{
    out->kind = SC_STRING;
    if (c->depth > 0)
        return take_nested_string(&c->rest, &c->scratch, &out->s);
    out->s = slice_of(c->rest.p + 1, c->rest.n - 1);
    c->rest = slice_of(c->rest.p + c->rest.n, 0);
    return ST_OK;
}

/* Tags that are an element by themselves, or open and close an array. */
static enum status next_mark(struct key_cursor *c, struct scalar *out)
{
    uint8_t tag = c->rest.p[0];
    c->rest = slice_of(c->rest.p + 1, c->rest.n - 1);
    switch (tag) {
    case KEY_NULL: out->kind = SC_NULL; return ST_OK;
    case KEY_FALSE: out->kind = SC_FALSE; return ST_OK;
    case KEY_TRUE: out->kind = SC_TRUE; return ST_OK;
    case KEY_ARRAY:
        out->kind = SC_ARRAY;
        return ++c->depth > CODEC_DEPTH_MAX ? ST_CORRUPT : ST_OK;
    case KEY_END:
        out->kind = SC_END;
        if (c->depth == 0)
            return ST_CORRUPT;
        c->depth--;
        return ST_OK;
    default: return ST_CORRUPT;
    }
}

enum status key_next(struct key_cursor *c, struct scalar *out)
{
    if (c->begun && c->depth == 0)
        return c->rest.n == 0 ? ST_END : ST_CORRUPT;
    if (c->rest.n == 0)
        return ST_CORRUPT;
    c->begun = true;
    switch (c->rest.p[0]) {
    case KEY_NUMBER: return take_number(&c->rest, out);
    case KEY_STRING: return next_string(c, out);
    default: return next_mark(c, out);
    }
}

/* --- groups --- */

/* Steps over one element inside an array. */
static enum status skip_nested(struct slice *rest)
{
    unsigned depth = 0;
    do {
        struct scalar s;
        size_t escapes, n;
        if (rest->n == 0)
            return ST_CORRUPT;
        switch (rest->p[0]) {
        case KEY_NUMBER:
            if (take_number(rest, &s) != ST_OK)
                return ST_CORRUPT;
            continue;
        case KEY_STRING:
            n = nested_length(rest->p + 1, rest->n - 1, &escapes);
            if (n == SIZE_MAX)
                return ST_CORRUPT;
            n += 3;
            break;
        case KEY_ARRAY:
            depth++;
            n = 1;
            break;
        case KEY_END:
            if (depth-- == 0)
                return ST_CORRUPT;
            n = 1;
            break;
        case KEY_NULL:
        case KEY_FALSE:
        case KEY_TRUE: n = 1; break;
        default: return ST_CORRUPT;
        }
        if (depth >= CODEC_DEPTH_MAX)
            return ST_CORRUPT;
        *rest = slice_of(rest->p + n, rest->n - n);
    } while (depth > 0);
    return ST_OK;
}

enum status key_group_length(struct slice key, unsigned n, size_t *length)
{
    *length = key.n;
    if (key.n == 0)
        return ST_CORRUPT;
    if (n == 0 || key.p[0] != KEY_ARRAY)
        return ST_OK;
    struct slice rest = slice_of(key.p + 1, key.n - 1);
    for (; n > 0; n--) {
        if (rest.n == 0)
            return ST_CORRUPT;
        if (rest.p[0] == KEY_END)
            return rest.n == 1 ? ST_OK : ST_CORRUPT;
        if (skip_nested(&rest) != ST_OK)
            return ST_CORRUPT;
    }
    *length = key.n - rest.n;
    return ST_OK;
}

enum status key_first_element(struct slice key, struct buf *out)
{
    size_t length;
    enum status status = key_group_length(key, 1, &length);
    if (status != ST_OK)
        return status;
    if (key.p[0] != KEY_ARRAY || key.p[1] == KEY_END)
        return buf_append_slice(out, key);
    if (key.p[1] != KEY_STRING)
        return buf_append(out, key.p + 1, length - 1);
    size_t escapes, n = nested_length(key.p + 2, length - 2, &escapes);
    status = buf_reserve(out, 1 + n - escapes);
    if (status != ST_OK)
        return status;
    out->p[out->n] = KEY_STRING;
    unescape(key.p + 2, n, out->p + out->n + 1);
    out->n += 1 + n - escapes;
    return ST_OK;
}

enum status key_prefix(struct slice key, unsigned n, struct buf *out)
{
    size_t length;
    enum status status = key_group_length(key, n, &length);
    if (status == ST_OK)
        status = buf_reserve(out, length + 1);
    if (status != ST_OK)
        return status;
    bool whole = length == key.n;
    status = buf_append(out, key.p, length);
    return status == ST_OK && !whole ? key_array_end(out) : status;
}
