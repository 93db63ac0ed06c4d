/* json_text.h: writes JSON objects field by field, in the order given. */
#ifndef LMR_CLI_JSON_TEXT_H
#define LMR_CLI_JSON_TEXT_H

#include "cli/print.h"

/* Opens and closes an object or array (`bracket` is one of "{}[]"). `name` NULL: no name
 * (outermost, or an array's element). */
void json_open(struct text *t, const char *name, char bracket);
void json_close(struct text *t, char bracket);
void json_string(struct text *t, const char *name, const char *value); /* NULL: null */
void json_count(struct text *t, const char *name, uint64_t value);
void json_integer(struct text *t, const char *name, int64_t value);
void json_number(struct text *t, const char *name, double value); /* not finite: null */
/* An encoded value (data/codec.h); an empty slice is an empty object. */
void json_encoded(struct text *t, const char *name, struct slice value);

#endif
