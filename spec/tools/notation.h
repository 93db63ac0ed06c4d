/* notation.h: values as words on a line, for the probes in this folder.
 *   n t f            null, true, false
 *   i-12             an integer        d0x1.8p+1  a float (any form strtod reads)
 *   s6162            a string, its bytes in hex
 *   [ … ]            an array          { key value … }  a map, keys in the order they are written in */
#ifndef LMR_SPEC_NOTATION_H
#define LMR_SPEC_NOTATION_H

#include "data/codec.h"

#include <stdio.h>
#include <stdlib.h>

static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends the bytes of the hex digits at `text` (up to a blank or the end). */
static inline void notation_unhex(const char *text, struct buf *out)
{
    for (; hex_digit(text[0]) >= 0 && hex_digit(text[1]) >= 0; text += 2)
        CHECK(buf_append_byte(out, (uint8_t)(hex_digit(text[0]) * 16 + hex_digit(text[1]))) ==
              ST_OK);
}

static inline void notation_hex(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        printf("%02x", s.p[i]);
}

/* Cuts the next word off the line; NULL at its end. */
static inline char *notation_word(char **line)
{
    char *word = *line + strspn(*line, " ");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " ");
    *line = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static inline void notation_container(char **line, char close, struct buf *out);

static inline void notation_scalar(const char *word, struct buf *out)
{
    struct buf s = BUF_EMPTY;
    enum status status = ST_CORRUPT;
    switch (word[0]) {
    case 'n': status = val_put_null(out); break;
    case 't': status = val_put_bool(out, true); break;
    case 'f': status = val_put_bool(out, false); break;
    case 'i': status = val_put_int(out, strtoll(word + 1, NULL, 10)); break;
    case 'd': status = val_put_float(out, strtod(word + 1, NULL)); break;
    case 's':
        notation_unhex(word + 1, &s);
        status = val_put_string(out, buf_slice(&s));
        break;
    default: break;
    }
    buf_free(&s);
    CHECK(status == ST_OK);
}

static inline void notation_word_value(char *word, char **line, struct buf *out)
{
    if (word[0] == '[')
        notation_container(line, ']', out);
    else if (word[0] == '{')
        notation_container(line, '}', out);
    else
        notation_scalar(word, out);
}

static inline void notation_container(char **line, char close, struct buf *out)
{
    struct buf inside = BUF_EMPTY;
    uint64_t count = 0;
    char *word;
    while ((word = notation_word(line)) != NULL && word[0] != close) {
        notation_word_value(word, line, &inside);
        count++;
    }
    CHECK((close == ']' ? val_put_array(out, count) : val_put_map(out, count / 2)) == ST_OK);
    CHECK(buf_append_slice(out, buf_slice(&inside)) == ST_OK);
    buf_free(&inside);
}

/* Appends the next value of the line; false at its end. */
static inline bool notation_value(char **line, struct buf *out)
{
    char *word = notation_word(line);
    if (word)
        notation_word_value(word, line, out);
    return word != NULL;
}

static inline void notation_print_float(double v)
{
    if (v != v)
        printf("dnan");
    else
        printf("d%a", v);
}

static inline enum status notation_print_next(struct val_cursor *c)
{
    struct scalar s;
    enum status status = val_next(c, &s);
    if (status != ST_OK)
        return status;
    uint64_t count = s.kind == SC_MAP ? 2 * s.count : s.count;
    switch (s.kind) {
    case SC_NULL: printf("n"); return ST_OK;
    case SC_FALSE: printf("f"); return ST_OK;
    case SC_TRUE: printf("t"); return ST_OK;
    case SC_INT: printf("i%lld", (long long)s.i); return ST_OK;
    case SC_FLOAT: notation_print_float(s.f); return ST_OK;
    case SC_STRING:
        printf("s");
        notation_hex(s.s);
        return ST_OK;
    default: break;
    }
    printf(s.kind == SC_MAP ? "{" : "[");
    for (; count > 0; count--) {
        printf(" ");
        status = notation_print_next(c);
        if (status != ST_OK)
            return status;
    }
    printf(s.kind == SC_MAP ? " }" : " ]");
    return ST_OK;
}

/* Prints an encoded value in the notation. */
static inline void notation_print(struct slice value)
{
    struct val_cursor c = val_cursor(value);
    if (val_check(value) != ST_OK || notation_print_next(&c) != ST_OK)
        printf("corrupt");
}

static inline void notation_print_error(enum status status, const struct err *e)
{
    printf("%s: %s\n", status_type(status), e->message);
}

#endif
