/* size.h: sizes ("64M", "1.5G", "4096") and durations ("1.5s", "200ms", "7d"), read and printed;
 * and the nearest known name to a mistyped one. */
#ifndef LMR_BASE_SIZE_H
#define LMR_BASE_SIZE_H

#include "base/bytes.h"

/* Bytes from text: a decimal number, then nothing, B, K, M, G or T (powers of 1024; "KiB", "kb" too).
 * False when it is no size, negative, or beyond 2^63. */
bool size_parse(const char *text, uint64_t *bytes);
/* Seconds from text: a number, then ms, s, m, h or d; a bare number is seconds. */
bool duration_parse(const char *text, double *seconds);
enum { SIZE_TEXT_MAX = 32 };
/* "1.5 MB"-like text (powers of 1024, three significant digits); returns `out`. */
char *size_format(uint64_t bytes, char out[SIZE_TEXT_MAX]);
/* "0.35 s", "2 m 05 s", "1 h 02 m"; returns `out`. */
char *duration_format(double seconds, char out[SIZE_TEXT_MAX]);
/* "12,345,678"; returns `out`. */
char *count_format(uint64_t count, char out[SIZE_TEXT_MAX]);

/* The entry of `names` (NULL ends it) nearest to `name` by edit distance (a swap of two neighbours
 * counts as one), or NULL when none is near (distance over a third of the length, at least 1…3). */
const char *nearest_name(const char *name, const char *const *names);

#endif
