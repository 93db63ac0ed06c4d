#include "json_parse.h"

enum { FIELDS_MAX = 256, EXACT_DIGITS = 15, INT_DIGITS = 18, EXACT_POWER = 22 };

/* A field of an object being read: where it stands in the output. */
struct field {
    size_t start, name, name_n, end;
};

struct plain {
    const uint8_t *p, *end;
    struct buf *out;
    struct buf scratch; /* unescaped strings, fields being put in order */
    struct field fields[FIELDS_MAX]; /* of all objects open now */
    size_t field_count;
    unsigned depth;
};

static enum status take_value(struct plain *t);

static void skip_blanks(struct plain *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\t' || *t->p == '\n' || *t->p == '\r'))
        t->p++;
}

/* Takes the byte `c` after blanks; false when something else stands there. */
static bool take_byte(struct plain *t, uint8_t c)
{
    skip_blanks(t);
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

/* --- strings --- */

/* Bytes from t->p to the closing quote, or SIZE_MAX when there is none or a byte may not stand
 * there; *escaped tells whether there are backslashes. */
static size_t string_length(const struct plain *t, bool *escaped)
{
    const uint8_t *p = t->p;
    *escaped = false;
    while (p < t->end && *p != '"') {
        size_t n = 1;
        if (*p < 0x20)
            return SIZE_MAX;
        if (*p >= 0x80 && (n = utf8_length(p, (size_t)(t->end - p))) == 0)
            return SIZE_MAX;
        if (*p == '\\') {
            *escaped = true;
            n = 2;
        }
        if (n > (size_t)(t->end - p))
            return SIZE_MAX;
        p += n;
    }
    return p < t->end ? (size_t)(p - t->p) : SIZE_MAX;
}

/* Four hex digits at `p`; −1 when they are none. */
static int hex4(const uint8_t *p, const uint8_t *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

static uint8_t *put_utf8(uint8_t *to, int c)
{
    if (c < 0x80) {
        *to++ = (uint8_t)c;
    } else if (c < 0x800) {
        *to++ = (uint8_t)(0xC0 | c >> 6);
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (uint8_t)(0xE0 | c >> 12);
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        *to++ = (uint8_t)(0xF0 | c >> 18);
        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *to++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    return to;
}

/* The character of the \uXXXX (or pair of them) whose digits begin at *p; −1 when it is none. */
static int take_unicode(const uint8_t **p, const uint8_t *end)
{
    int c = hex4(*p, end);
    if (c < 0 || (c >= 0xDC00 && c < 0xE000))
        return -1;
    *p += 4;
    if (c < 0xD800 || c >= 0xE000)
        return c;
    int low = end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2, end) : -1;
    if (low < 0xDC00 || low >= 0xE000)
        return -1;
    *p += 6;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

static int simple_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return -1;
    }
}

/* Unescaped text is never longer than the escaped one. */
static enum status unescape(struct slice s, struct buf *out)
{
    const uint8_t *p = s.p, *end = s.p + s.n;
    out->n = 0;
    enum status status = buf_reserve(out, s.n + 1);
    if (status != ST_OK)
        return status;
    uint8_t *to = out->p;
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        uint8_t kind = p[1];
        p += 2;
        int c = kind == 'u' ? take_unicode(&p, end) : simple_escape(kind);
        if (c < 0)
            return ST_END;
        to = put_utf8(to, c);
    }
    out->n = (size_t)(to - out->p);
    return ST_OK;
}

/* The string after its opening quote; *s borrows from the text or from the scratch. */
static enum status take_string(struct plain *t, struct slice *s)
{
    bool escaped;
    size_t n = string_length(t, &escaped);
    if (n == SIZE_MAX)
        return ST_END;
    *s = slice_of(t->p, n);
    t->p += n + 1;
    if (!escaped)
        return ST_OK;
    enum status status = unescape(*s, &t->scratch);
    *s = buf_slice(&t->scratch);
    return status;
}

/* --- numbers --- */

/* Digits at t->p are added to *v while they are few; returns how many stand there. */
static size_t take_digits(struct plain *t, uint64_t *v)
{
    size_t n = 0;
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; n++, t->p++)
        if (n < INT_DIGITS)
            *v = *v * 10 + (uint64_t)(*t->p - '0');
    return n;
}

/* The exponent after e or E; false when it is none or too great for the exact way. */
static bool take_exponent(struct plain *t, int *exponent)
{
    uint64_t v = 0;
    bool negative = t->p < t->end && *t->p == '-';
    if (t->p < t->end && (*t->p == '-' || *t->p == '+'))
        t->p++;
    size_t n = take_digits(t, &v);
    if (n == 0 || n > 3)
        return false;
    *exponent += negative ? -(int)v : (int)v;
    return true;
}

/* digits · 10^exponent. Both factors are doubles exactly (no more than 15 digits, powers up to
 * 10^22), so one operation rounds once, as reading the text exactly does. */
static enum status put_decimal(struct plain *t, uint64_t digits, int exponent, bool negative)
{
    static const double powers[EXACT_POWER + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    if (exponent < -EXACT_POWER || exponent > EXACT_POWER)
        return ST_END;
    double v = (double)digits;
    v = exponent < 0 ? v / powers[-exponent] : v * powers[exponent];
    return val_put_float(t->out, negative ? -v : v);
}

static enum status take_number(struct plain *t)
{
    uint64_t digits = 0;
    int exponent = 0;
    bool negative = *t->p == '-', is_float = false;
    t->p += negative;
    const uint8_t *start = t->p;
    size_t n = take_digits(t, &digits);
    if (n == 0 || n > INT_DIGITS || (n > 1 && *start == '0'))
        return ST_END;
    if (t->p < t->end && *t->p == '.') {
        t->p++;
        size_t places = take_digits(t, &digits);
        if (places == 0 || n + places > EXACT_DIGITS)
            return ST_END;
        n += places;
        exponent = -(int)places;
        is_float = true;
    }
    if (t->p < t->end && (*t->p == 'e' || *t->p == 'E')) {
        t->p++;
        if (!take_exponent(t, &exponent))
            return ST_END;
        is_float = true;
    }
    if (!is_float)
        return val_put_int(t->out, negative ? -(int64_t)digits : (int64_t)digits);
    return n > EXACT_DIGITS ? ST_END : put_decimal(t, digits, exponent, negative);
}

/* --- containers --- */

/* Writes the count of the container whose head (tag, one byte of room) is at `head`. */
static enum status put_count(struct plain *t, size_t head, uint64_t count)
{
    uint8_t bytes[VARINT_MAX];
    size_t n = varint_put(bytes, count), body = head + 2;
    enum status status = buf_reserve(t->out, n);
    if (status != ST_OK)
        return status;
    if (n > 1)
        memmove(t->out->p + body + n - 1, t->out->p + body, t->out->n - body);
    memcpy(t->out->p + head + 1, bytes, n);
    t->out->n += n - 1;
    return ST_OK;
}

static enum status put_head(struct plain *t, enum val_tag tag)
{
    const uint8_t head[2] = { (uint8_t)tag, 0 };
    return ++t->depth > CODEC_DEPTH_MAX ? ST_END : buf_append(t->out, head, sizeof head);
}

static enum status take_array(struct plain *t)
{
    size_t head = t->out->n;
    uint64_t count = 0;
    enum status status = put_head(t, VAL_ARRAY);
    bool more = status == ST_OK && !take_byte(t, ']');
    while (status == ST_OK && more) {
        status = take_value(t);
        count++;
        more = take_byte(t, ',');
        if (status == ST_OK && !more && !take_byte(t, ']'))
            return ST_END;
    }
    t->depth--;
    return status == ST_OK ? put_count(t, head, count) : status;
}

static struct slice name_of(const struct plain *t, const struct field *field)
{
    return slice_of(t->out->p + field->name, field->name_n);
}

static enum status take_field(struct plain *t)
{
    struct slice name;
    if (t->field_count == FIELDS_MAX || !take_byte(t, '"'))
        return ST_END;
    size_t start = t->out->n;
    enum status status = take_string(t, &name);
    if (status == ST_OK && name.n > 0 && memchr(name.p, 0, name.n))
        return ST_END;
    if (status == ST_OK)
        status = val_put_string(t->out, name);
    if (status != ST_OK)
        return status;
    size_t at = t->field_count++, name_n = name.n, name_at = t->out->n - name_n;
    if (!take_byte(t, ':'))
        return ST_END;
    status = take_value(t);
    t->fields[at] = (struct field){ start, name_at, name_n, t->out->n };
    return status;
}

/* Sorts fields by name (insertion: they are few, and often in order already); of equal names only
 * the last stays. Returns how many are left. */
static size_t sort_fields(const struct plain *t, struct field *fields, size_t n, bool *moved)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct field field = fields[i];
        size_t at = kept;
        int order = -1;
        while (at > 0 &&
               (order = slice_compare(name_of(t, &fields[at - 1]), name_of(t, &field))) > 0)
            at--;
        *moved = *moved || at < kept || order == 0;
        if (at > 0 && order == 0) {
            fields[at - 1] = field;
            continue;
        }
        memmove(fields + at + 1, fields + at, (kept - at) * sizeof *fields);
        fields[at] = field;
        kept++;
    }
    return kept;
}

/* Puts the fields whose bytes begin at `body` in the order of their names. */
static enum status order_fields(struct plain *t, size_t body, size_t first, uint64_t *count)
{
    bool moved = false;
    struct field *fields = t->fields + first;
    size_t n = sort_fields(t, fields, t->field_count - first, &moved);
    *count = n;
    if (!moved)
        return ST_OK;
    t->scratch.n = 0;
    enum status status = buf_append(&t->scratch, t->out->p + body, t->out->n - body);
    if (status != ST_OK)
        return status;
    t->out->n = body;
    for (size_t i = 0; i < n; i++) {
        size_t length = fields[i].end - fields[i].start;
        memcpy(t->out->p + t->out->n, t->scratch.p + fields[i].start - body, length);
        t->out->n += length;
    }
    return ST_OK;
}

static enum status take_object(struct plain *t)
{
    size_t head = t->out->n, first = t->field_count;
    uint64_t count = 0;
    enum status status = put_head(t, VAL_MAP);
    bool more = status == ST_OK && !take_byte(t, '}');
    while (status == ST_OK && more) {
        status = take_field(t);
        more = take_byte(t, ',');
        if (status == ST_OK && !more && !take_byte(t, '}'))
            return ST_END;
    }
    if (status == ST_OK)
        status = order_fields(t, head + 2, first, &count);
    t->field_count = first;
    t->depth--;
    return status == ST_OK ? put_count(t, head, count) : status;
}

/* --- values --- */

static enum status take_word(struct plain *t, const char *word, enum val_tag tag)
{
    size_t n = strlen(word);
    if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
        return ST_END;
    t->p += n;
    return buf_append_byte(t->out, (uint8_t)tag);
}

static enum status take_value(struct plain *t)
{
    struct slice s;
    enum status status;
    skip_blanks(t);
    if (t->p == t->end)
        return ST_END;
    switch (*t->p) {
    case '"':
        t->p++;
        status = take_string(t, &s);
        return status == ST_OK ? val_put_string(t->out, s) : status;
    case '{': t->p++; return take_object(t);
    case '[': t->p++; return take_array(t);
    case 'n': return take_word(t, "null", VAL_NULL);
    case 't': return take_word(t, "true", VAL_TRUE);
    case 'f': return take_word(t, "false", VAL_FALSE);
    default: return *t->p == '-' || (*t->p >= '0' && *t->p <= '9') ? take_number(t) : ST_END;
    }
}

enum status json_parse_plain(struct slice text, struct buf *out)
{
    struct plain t;
    size_t before = out->n;
    if (text.n == 0)
        return ST_END;
    t.p = text.p;
    t.end = text.p + text.n;
    t.out = out;
    t.scratch = BUF_EMPTY;
    t.field_count = t.depth = 0;
    enum status status = take_value(&t);
    skip_blanks(&t);
    if (status == ST_OK && t.p != t.end)
        status = ST_END;
    if (status != ST_OK)
        out->n = before;
    buf_free(&t.scratch);
    return status;
}
