#include "base/bytes.h"

#include "base/sys.h"

#include <stdarg.h>
#include <stdio.h>

enum status buf_reserve(struct buf *b, size_t more)
{
    if (b->cap - b->n >= more)
        return ST_OK;
    if (more > SIZE_MAX / 2 - b->n)
        return ST_MEMORY;
    size_t need = b->n + more;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    uint8_t *p = sys_realloc(b->p, cap);
    if (!p)
        return ST_MEMORY;
    b->p = p;
    b->cap = cap;
    return ST_OK;
}

enum status buf_append(struct buf *b, const void *p, size_t n)
{
    enum status status = buf_reserve(b, n);
    if (status == ST_OK && n > 0) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
    return status;
}

enum status buf_append_byte(struct buf *b, uint8_t byte)
{
    return buf_append(b, &byte, 1);
}

enum status buf_append_slice(struct buf *b, struct slice s)
{
    return buf_append(b, s.p, s.n);
}

enum status buf_append_str(struct buf *b, const char *text)
{
    return buf_append(b, text, strlen(text));
}

enum status buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    enum status status = buf_reserve(b, (size_t)n + 1);
    if (status != ST_OK)
        return status;
    va_start(args, format);
    (void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
    return ST_OK;
}

enum status buf_terminate(struct buf *b)
{
    enum status status = buf_reserve(b, 1);
    if (status == ST_OK)
        b->p[b->n] = '\0';
    return status;
}

void buf_free(struct buf *b)
{
    sys_free(b->p);
    *b = BUF_EMPTY;
}

size_t varint_get(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
    uint64_t value = 0;
    for (size_t n = 0; n < VARINT_MAX && p + n < end; n++) {
        uint8_t byte = p[n];
        if (n == VARINT_MAX - 1 && byte > 1)
            return 0;
        value |= (uint64_t)(byte & 0x7f) << (7 * n);
        if (byte < 0x80) {
            *v = value;
            return n + 1;
        }
    }
    return 0;
}

enum status buf_append_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    return buf_append(b, bytes, varint_put(bytes, v));
}
