/* codec.h: how keys and values are turned into bytes.
 *
 * KEYS: memcmp order of two encoded keys is key order:
 *     null < false < true < numbers < strings (bytewise) < arrays (element by element, the shorter
 *     first)
 *   tag byte, then
 *     number: the greatest double ≤ the number, 8 bytes big-endian with the sign folded in so that
 *             bytes sort like numbers; when its magnitude is ≥ 2^53, two more bytes: what is left of
 *             a 64-bit integer. So integers of 64 bits and floats share one order, exactly; 1 and
 *             1.0 are one key; a float with an integer value in int64 range decodes as an integer;
 *             −0.0 is 0.
 *     string, when it is the whole key: its bytes, nothing else.
 *     string inside an array: its bytes with 00 → 00 FF, then 00 01.
 *     array: its elements, then KEY_END.
 *   NaN cannot be a key (key_put_float returns ST_SCRIPT).
 *
 * VALUES: exact Lua types (integer ≠ float), self-delimiting: tag byte, then
 *     integer: zigzag varint · float: 8 bytes little-endian · string: varint length, bytes
 *     array: varint count, values · map: varint count, then (value, value) pairs in encoded-KEY
 *     order of their keys; map keys are booleans, numbers and strings.
 *   VAL_INT0 … VAL_INT0+15 are the integers 0…15 in one byte.
 *
 * A cursor walks encoded bytes without allocating. Whatever bytes it is given, it never reads past
 * the end: a frame that does not hold gives ST_CORRUPT. Depth (containers open at once) is limited
 * to CODEC_DEPTH_MAX when reading; writers do not check it. Key bytes other than those a writer
 * makes (−0.0, NaN, a remainder that does not fit) are corrupt too, so that equal keys are equal
 * bytes. */
#ifndef LMR_DATA_CODEC_H
#define LMR_DATA_CODEC_H

#include "base/bytes.h"

enum { CODEC_DEPTH_MAX = 100 };

enum key_tag {
    KEY_END = 0x00, /* closes an array */
    KEY_NULL = 0x08,
    KEY_FALSE = 0x10,
    KEY_TRUE = 0x11,
    KEY_NUMBER = 0x20,
    KEY_STRING = 0x30,
    KEY_ARRAY = 0x40
};

enum val_tag {
    VAL_NULL = 0x01,
    VAL_FALSE = 0x02,
    VAL_TRUE = 0x03,
    VAL_INT = 0x04,
    VAL_FLOAT = 0x05,
    VAL_STRING = 0x06,
    VAL_ARRAY = 0x07,
    VAL_MAP = 0x08,
    VAL_INT0 = 0x20
};

enum scalar_kind {
    SC_NULL, SC_FALSE, SC_TRUE, SC_INT, SC_FLOAT, SC_STRING, SC_ARRAY, SC_MAP, SC_END
};

/* One step of a cursor. SC_ARRAY and SC_MAP of a value: `count` elements (pairs) follow (never more
 * than there are bytes left, so that it may be trusted for an allocation). SC_ARRAY of a key:
 * elements follow up to SC_END. A string's slice borrows from the encoded bytes, or from the
 * cursor's scratch buffer (escaped key strings): valid until the next step. */
struct scalar {
    enum scalar_kind kind;
    int64_t i;
    double f;
    struct slice s;
    uint64_t count;
};

/* --- keys: writing. `nested` is true inside an array. --- */
enum status key_put_null(struct buf *out);
enum status key_put_bool(struct buf *out, bool v);
enum status key_put_int(struct buf *out, int64_t v);
enum status key_put_float(struct buf *out, double v); /* NaN: ST_SCRIPT, nothing written */
enum status key_put_nested_string(struct buf *out, struct slice s);
static inline enum status key_put_string(struct buf *out, struct slice s, bool nested)
{
    if (nested)
        return key_put_nested_string(out, s);
    if (out->cap - out->n <= s.n) {
        enum status status = buf_reserve(out, s.n + 1);
        if (status != ST_OK)
            return status;
    }
    uint8_t *p = out->p + out->n;
    *p = KEY_STRING;
    if (s.n)
        memcpy(p + 1, s.p, s.n);
    out->n += s.n + 1;
    return ST_OK;
}
enum status key_array_begin(struct buf *out);
enum status key_array_end(struct buf *out);
enum { KEY_NUMBER_MAX = 11 };
/* The encoding of an integer at `p` (room for KEY_NUMBER_MAX bytes); returns the bytes written. */
size_t key_write_int(uint8_t *p, int64_t v);
/* The same for a float that is no NaN. */
size_t key_write_float(uint8_t *p, double v);

/* --- keys: reading --- */
struct key_cursor {
    struct slice rest;
    unsigned depth;
    bool begun;
    struct buf scratch; /* owned; key_cursor_free */
};
void key_cursor_init(struct key_cursor *c, struct slice key);
/* Starts over with another key; the scratch is kept. */
static inline void key_cursor_reset(struct key_cursor *c, struct slice key)
{
    c->rest = key;
    c->depth = 0;
    c->begun = false;
}
void key_cursor_free(struct key_cursor *c);
/* Next element: ST_OK, ST_END when the key is used up, ST_CORRUPT, ST_MEMORY (the scratch). */
enum status key_next(struct key_cursor *c, struct scalar *out);
/* Bytes of `key` that hold its group: an array key's tag and first `n` elements; the whole key when
 * n is 0, or it is no array, or has fewer elements. ST_CORRUPT when it does not decode. */
enum status key_group_length(struct slice key, unsigned n, size_t *length);
/* For group_by = 1: the encoded key that is the first element itself (a string there is unescaped),
 * so that it equals that element emitted as a whole key; a key that is no array, or an empty one,
 * is taken whole. Appends to `out`. */
enum status key_first_element(struct slice key, struct buf *out);
/* For group_by n > 1: the array key of the first n elements (the whole key as in key_group_length).
 * Appends to `out`. */
enum status key_prefix(struct slice key, unsigned n, struct buf *out);
/* A value from a key, a key from a value (maps, NaN and too deep nesting: ST_SCRIPT with a message
 * in `e`). Appended; nothing is appended when they fail. */
enum status key_to_value(struct slice key, struct buf *out);
enum status value_to_key(struct slice value, struct buf *out, struct err *e);
/* The order of two encoded values as keys: −1, 0 or 1 in *order. Errors as value_to_key. */
enum status value_order(struct slice a, struct slice b, int *order, struct err *e);

/* --- values: writing --- */
enum status val_put_null(struct buf *out);
enum status val_put_bool(struct buf *out, bool v);
/* Any integer; val_put_int is the one to call. */
enum status val_put_big_int(struct buf *out, int64_t v);
static inline enum status val_put_int(struct buf *out, int64_t v)
{
    if ((uint64_t)v < 16 && out->n < out->cap) {
        out->p[out->n++] = (uint8_t)(VAL_INT0 + v);
        return ST_OK;
    }
    return val_put_big_int(out, v);
}
enum status val_put_float(struct buf *out, double v);
enum status val_put_string(struct buf *out, struct slice s);
enum status val_put_str(struct buf *out, const char *s);
enum status val_put_array(struct buf *out, uint64_t count); /* then its values */
enum status val_put_map(struct buf *out, uint64_t count);   /* then key, value, … in key order */

/* Builds a map whose size and order are not known beforehand: fields are added in any order, then
 * written sorted by encoded key. For messages and descriptions, not for hot paths.
 *   struct val_map m = VAL_MAP_EMPTY; val_map_int(&m, "task", 3); …; status = val_map_end(&m, out);
 * A name given twice: the last one holds.
 * A failed allocation is remembered and returned by val_map_end, which also frees the builder. */
struct val_map {
    struct buf fields; /* (varint key length, key bytes, varint value length, value bytes)* */
    uint64_t count;
    enum status status;
};
#define VAL_MAP_EMPTY ((struct val_map){ BUF_EMPTY, 0, ST_OK })
void val_map_null(struct val_map *m, const char *name);
void val_map_bool(struct val_map *m, const char *name, bool v);
void val_map_int(struct val_map *m, const char *name, int64_t v);
void val_map_float(struct val_map *m, const char *name, double v);
/* NULL: the field is left out. */
void val_map_str(struct val_map *m, const char *name, const char *v);
void val_map_string(struct val_map *m, const char *name, struct slice v);
/* Any encoded value. */
void val_map_value(struct val_map *m, const char *name, struct slice encoded);
enum status val_map_end(struct val_map *m, struct buf *out);

/* --- values: reading --- */
struct val_cursor {
    struct slice rest;
};
static inline struct val_cursor val_cursor(struct slice value)
{
    return (struct val_cursor){ value };
}
/* Next scalar or container head: ST_OK, ST_END at the end of the bytes, ST_CORRUPT. */
enum status val_next(struct val_cursor *c, struct scalar *out);
/* Steps over one whole value (containers with all they hold); its bytes are set in `*value`. */
enum status val_skip(struct val_cursor *c, struct slice *value);
/* What a value is, in a user's words: "null", "a boolean", "a number", "a string", "a table". */
const char *val_kind_name(struct slice value);
/* ST_OK when `value` is exactly one whole, well-formed value (depth checked); else ST_CORRUPT.
 * Whatever came over a wire is checked once with this before val_get looks into it. */
enum status val_check(struct slice value);

/* Looking into a map by field name: convenient for descriptions and messages. Absent fields, and
 * fields of another type, give false / the fallback. */
bool val_get(struct slice map, const char *name, struct slice *value);
bool val_get_bool(struct slice map, const char *name, bool fallback);
int64_t val_get_int(struct slice map, const char *name, int64_t fallback);
double val_get_float(struct slice map, const char *name, double fallback); /* integers too */
bool val_get_string(struct slice map, const char *name, struct slice *s);
/* Copies a string field into `out` (cut at `cap`, NUL-terminated; "" when absent); returns false
 * when absent or cut. */
bool val_get_cstr(struct slice map, const char *name, char *out, size_t cap);
/* A value that is itself a scalar. */
bool val_as_int(struct slice value, int64_t *v);
bool val_as_string(struct slice value, struct slice *s);
bool val_is_map(struct slice value);
/* Array access: number of elements (0 when it is no array), and walking:
 *   struct val_cursor c; uint64_t n = val_array(value, &c); for (i < n) val_skip(&c, &element); */
uint64_t val_array(struct slice value, struct val_cursor *c);
/* Map walking: n pairs; each val_skip gives key, then value. */
uint64_t val_map_open(struct slice value, struct val_cursor *c);

#endif
