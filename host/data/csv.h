/* csv.h: rows of separated values: where a row ends, and the fields in it. RFC 4180 with any
 * separator; a quote in the middle of an unquoted field stands for itself. Private to the input
 * half of this room. */
#ifndef LMR_DATA_CSV_H
#define LMR_DATA_CSV_H

#include "base/bytes.h"

enum { CSV_FIELDS_MAX = 65536 };

struct csv_row {
    char separator, quote; /* quote '\0': none */
    struct buf fields;     /* struct slice: borrowed from the row, or from `unquoted` */
    struct buf unquoted;
    const char *why; /* of a ST_BAD_RECORD */
};

static inline size_t csv_count(const struct csv_row *row)
{
    return row->fields.n / sizeof(struct slice);
}

static inline struct slice csv_field(const struct csv_row *row, size_t i)
{
    return ((const struct slice *)(const void *)row->fields.p)[i];
}

/* Splits a whole row (its line end cut off) into fields. ST_OK, ST_BAD_RECORD (row->why),
 * ST_MEMORY. Slices are valid until the next call and as long as `text`. */
enum status csv_split(struct csv_row *row, struct slice text);
void csv_row_free(struct csv_row *row);

/* Finds the LF that ends a row whose quoted fields may hold line ends. */
enum csv_state { CSV_BEGIN, CSV_PLAIN, CSV_QUOTED, CSV_CLOSED };

struct csv_scan {
    char separator, quote;
    enum csv_state state; /* of the byte to come; starts as CSV_BEGIN */
};

/* Goes on at p; a pointer to the LF, or NULL when `end` comes first. */
const uint8_t *csv_scan(struct csv_scan *scan, const uint8_t *p, const uint8_t *end);

#endif
