/* output_row.h: one pair as text, a csv or tsv row, a JSON line or raw bytes; private to output*.c.
 * Each appends to `out` (which it may leave longer when it fails: the caller cuts it back).
 * `scratch` is working memory that is kept from pair to pair. */
#ifndef LMR_DATA_OUTPUT_ROW_H
#define LMR_DATA_OUTPUT_ROW_H

#include "data/output.h"

typedef enum status (*row_writer)(const struct output_spec *spec, struct slice key,
                                  struct slice value, struct buf *scratch, struct buf *out,
                                  struct err *e);

enum status row_text(const struct output_spec *spec, struct slice key, struct slice value,
                     struct buf *scratch, struct buf *out, struct err *e);
enum status row_fields(const struct output_spec *spec, struct slice key, struct slice value,
                       struct buf *scratch, struct buf *out, struct err *e);
enum status row_json(const struct output_spec *spec, struct slice key, struct slice value,
                     struct buf *scratch, struct buf *out, struct err *e);
enum status row_raw(const struct output_spec *spec, struct slice key, struct slice value,
                    struct buf *scratch, struct buf *out, struct err *e);
/* The header line of csv and tsv. */
enum status row_header(const struct output_spec *spec, struct buf *out);

/* The error behind a status of the codec: what was it doing, to how many bytes. ST_OK is given
 * back. */
enum status row_failed(enum status status, struct err *e);
/* A scalar that is no string, as text: null, true, false, numbers. */
enum status row_put_scalar(const struct scalar *s, struct buf *out);

static inline bool row_is_true(struct slice value)
{
    return value.n == 1 && value.p[0] == VAL_TRUE;
}

#endif
