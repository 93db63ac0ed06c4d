/* json.h: JSON text ↔ encoded values, exact: 64-bit integers stay integers, floats are written in
 * the shortest form that reads back the same, null is VAL_NULL. Parsing is Jansson's. */
#ifndef LMR_DATA_JSON_H
#define LMR_DATA_JSON_H

#include "data/codec.h"

/* Appends the value of one JSON text to `out`. ST_BAD_RECORD with the parser's message (and column)
 * on broken text, a number beyond 64 bits, or depth over CODEC_DEPTH_MAX. Objects become maps,
 * arrays become arrays. */
enum status json_to_value(struct slice text, struct buf *out, struct err *e);
/* Appends JSON text. Strings that are no valid UTF-8 have each bad byte replaced by U+FFFD. NaN and
 * infinities: ST_SCRIPT (JSON has none). Map keys that are no strings are written as their text
 * form. Map order is the value's own (key order). No spaces; `indent` > 0 pretty-prints. */
enum status json_from_value(struct slice value, unsigned indent, struct buf *out, struct err *e);
enum status json_from_key(struct slice key, struct buf *out, struct err *e);
/* Appends a JSON string literal, quotes included. */
enum status json_put_string(struct buf *out, struct slice s);
/* Bytes at the beginning of `s` that are text: valid UTF-8 without NUL. */
size_t json_text_length(struct slice s);
enum { NUMBER_TEXT_MAX = 40 };
/* Shortest text that reads back as the same double; with a point or exponent ("1.0", "1e+20",
 * "0.1"); "inf", "-inf", "nan". Returns its length. */
size_t float_format(double v, char out[NUMBER_TEXT_MAX]);
size_t int_format(int64_t v, char out[NUMBER_TEXT_MAX]);

#endif
