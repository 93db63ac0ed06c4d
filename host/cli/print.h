/* print.h: texts that are built whole and then written at once: help, plans, summaries, JSON.
 *
 * A `struct text` owns its bytes; start it as TEXT_EMPTY. A failed allocation is remembered,
 * makes the calls after it do nothing, and is told by text_print, which also frees. */
#ifndef LMR_CLI_PRINT_H
#define LMR_CLI_PRINT_H

#include "base/bytes.h"

struct text {
    struct buf buf;
    enum status status;
};

#define TEXT_EMPTY ((struct text){ BUF_EMPTY, ST_OK })

void text_add(struct text *t, const char *words);
void text_add_bytes(struct text *t, const char *bytes, size_t n);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_spaces(struct text *t, size_t count);
/* Adds `words` broken at spaces into lines of at most `width` columns. The first line goes on at
 * `column`; further ones start with `indent` spaces. No newline at the end. */
void text_wrap(struct text *t, const char *words, size_t n, size_t column, size_t indent,
               size_t width);
void text_free(struct text *t);
/* Writes to a descriptor and frees. Returns the exit code: 0, also when the reader has gone (a
 * closed pipe is no error of ours); 1 after an error message. */
int text_print(struct text *t, int fd);

/* Columns that UTF-8 takes on a terminal (a wide character takes two, a combining one none). */
size_t columns_of(const char *s, size_t n);
/* Bytes of the longest start of `s` that takes at most `columns`. */
size_t columns_cut(const char *s, size_t n, size_t columns);
/* Replaces what could steer a terminal (control characters, those of two bytes too, and changes of
 * direction) and broken UTF-8 by '?'. */
void columns_disarm(char *s);

#endif
