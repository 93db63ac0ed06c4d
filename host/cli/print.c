#include "cli/print.h"

#include "base/log.h"
#include "base/sys.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void text_add_bytes(struct text *t, const char *bytes, size_t n)
{
    if (t->status == ST_OK)
        t->status = buf_append(&t->buf, bytes, n);
}

void text_add(struct text *t, const char *words)
{
    text_add_bytes(t, words, strlen(words));
}

void text_spaces(struct text *t, size_t count)
{
    while (count-- > 0)
        text_add_bytes(t, " ", 1);
}

/* For short texts: what is longer than the line here is cut. */
void text_printf(struct text *t, const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    text_add(t, line);
}

void text_wrap(struct text *t, const char *words, size_t n, size_t column, size_t indent,
               size_t width)
{
    bool fresh = true; /* no word on this line yet */
    for (size_t at = 0; at < n;) {
        size_t word = 0;
        while (at + word < n && words[at + word] != ' ')
            word++;
        size_t columns = columns_of(words + at, word);
        if (!fresh && column + 1 + columns > width) {
            text_add(t, "\n");
            text_spaces(t, indent);
            column = indent;
            fresh = true;
        }
        if (!fresh)
            text_add(t, " ");
        text_add_bytes(t, words + at, word);
        column += columns + !fresh;
        fresh = false;
        at += word + (at + word < n);
    }
}

void text_free(struct text *t)
{
    buf_free(&t->buf);
    *t = TEXT_EMPTY;
}

int text_print(struct text *t, int fd)
{
    struct err e;
    err_clear(&e);
    if (t->status != ST_OK)
        (void)err_set(&e, t->status, "no memory left for the text to print");
    else
        (void)sys_write(fd, t->buf.p, t->buf.n, fd == STDOUT_FILENO ? "standard output"
                        : "standard error", NULL, &e);
    text_free(t);
    if (e.status == ST_OK || e.os_error == EPIPE)
        return EXIT_COMPLETE;
    log_err(&e);
    return EXIT_FAILED;
}

/* Bytes of the character that starts `s`, and its code point; of a broken one: one byte, BROKEN. */
#define BROKEN UINT32_MAX

static size_t character_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static size_t character(const char *s, size_t n, uint32_t *point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const uint8_t *p = (const uint8_t *)s;
    size_t length = character_length(p[0]);
    *point = BROKEN;
    if (length == 0 || length > n)
        return 1;
    uint32_t value = length == 1 ? p[0] : p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (p[i] & 0x3fU);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 1;
    *point = value;
    return length;
}

/* The ranges that matter for what people write: combining marks, East Asian wide forms, emoji. */
static size_t point_columns(uint32_t c)
{
    static const struct {
        uint32_t from, to;
        size_t columns;
    } ranges[] = {
        { 0x0300, 0x036f, 0 },   { 0x200b, 0x200f, 0 },   { 0x20d0, 0x20ff, 0 },
        { 0xfe00, 0xfe0f, 0 },   { 0x1100, 0x115f, 2 },   { 0x2e80, 0x303e, 2 },
        { 0x3041, 0xa4cf, 2 },   { 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 },
        { 0xfe30, 0xfe6f, 2 },   { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },
        { 0x1f300, 0x1f64f, 2 }, { 0x1f900, 0x1f9ff, 2 }, { 0x20000, 0x3fffd, 2 },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return ranges[i].columns;
    return 1;
}

size_t columns_cut(const char *s, size_t n, size_t columns)
{
    size_t at = 0, used = 0;
    while (at < n) {
        uint32_t point;
        size_t length = character(s + at, n - at, &point);
        used += point_columns(point);
        if (used > columns)
            break;
        at += length;
    }
    return at;
}

size_t columns_of(const char *s, size_t n)
{
    size_t used = 0;
    for (size_t at = 0; at < n;) {
        uint32_t point;
        at += character(s + at, n - at, &point);
        used += point_columns(point);
    }
    return used;
}

static bool steers_terminal(uint32_t c)
{
    bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    bool direction = (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    return control || direction || c == BROKEN;
}

void columns_disarm(char *s)
{
    size_t n = strlen(s);
    for (size_t at = 0; at < n;) {
        uint32_t point;
        size_t length = character(s + at, n - at, &point);
        if (steers_terminal(point))
            memset(s + at, '?', length);
        at += length;
    }
}
