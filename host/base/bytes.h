/* bytes.h: slices (borrowed) and buffers (owned) of any bytes, NUL included; varints.
 *
 * A `struct slice` owns nothing and is valid as long as what it points into. A `struct buf` owns its
 * memory: start it as BUF_EMPTY, end it with buf_free. Appending to a buffer that cannot grow returns
 * ST_MEMORY and leaves it as it was. */
#ifndef LMR_BASE_BYTES_H
#define LMR_BASE_BYTES_H

#include "base/status.h"

#include <string.h>

struct slice {
    const uint8_t *p;
    size_t n;
};

struct buf {
    uint8_t *p;
    size_t n, cap;
};

#define BUF_EMPTY ((struct buf){ NULL, 0, 0 })

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){ (const uint8_t *)p, n };
}

static inline struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}

/* Bytewise order, a prefix before what it is a prefix of: the order of encoded keys. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Makes room for `more` bytes after b->n, so that they may be written at b->p + b->n and b->n raised. */
enum status buf_reserve(struct buf *b, size_t more);
enum status buf_append(struct buf *b, const void *p, size_t n);
enum status buf_append_byte(struct buf *b, uint8_t byte);
enum status buf_append_slice(struct buf *b, struct slice s);
enum status buf_append_str(struct buf *b, const char *text);
enum status buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A NUL after the last byte (not counted in n), so that b->p is a C string. */
enum status buf_terminate(struct buf *b);
void buf_free(struct buf *b);

enum { VARINT_MAX = 10 };

/* Writes `v` as LEB128 at `p` (room for VARINT_MAX bytes); returns the bytes written. */
static inline size_t varint_put(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

/* Reads a varint from [p, end); returns the bytes read, or 0 when it is cut or longer than 64 bits. */
size_t varint_get(const uint8_t *p, const uint8_t *end, uint64_t *v);
enum status buf_append_varint(struct buf *b, uint64_t v);

static inline uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0);
}

static inline int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
