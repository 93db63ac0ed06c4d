/* json_parse.h: the two parsers behind json_to_value; private to json*.c (and their fuzzer).
 *
 * Most records are plain: short numbers, valid UTF-8, few fields. json_parse_plain turns those
 * straight into encoded bytes. Whatever it does not take, broken text above all, it leaves to
 * Jansson, which decides and explains. What both take they take alike, byte for byte. */
#ifndef LMR_DATA_JSON_PARSE_H
#define LMR_DATA_JSON_PARSE_H

#include "data/codec.h"

/* ST_OK, ST_MEMORY, or ST_END: not taken. Appends nothing unless ST_OK. */
enum status json_parse_plain(struct slice text, struct buf *out);
/* As json_to_value. */
enum status json_parse_any(struct slice text, struct buf *out, struct err *e);
/* Length of the valid UTF-8 sequence at `p` (1–4), or 0 when it is none (cut, overlong, a
 * surrogate, beyond U+10FFFF). `n` is at least 1. */
size_t utf8_length(const uint8_t *p, size_t n);

#endif
