#include "data/csv.h"

/* A quoted field at p; sets what follows it in *rest. Only a field with doubled quotes is copied:
 * what it holds fits into `unquoted`, which csv_split has made as large as the row. */
static bool quoted_field(struct csv_row *row, const uint8_t *p, const uint8_t *end,
                         struct slice *field, const uint8_t **rest)
{
    const uint8_t *from = ++p;
    uint8_t *copy = row->unquoted.p + row->unquoted.n;
    size_t copied = 0;
    for (;;) {
        const uint8_t *quote = p < end ? memchr(p, row->quote, (size_t)(end - p)) : NULL;
        if (!quote)
            return false;
        bool doubled = quote + 1 < end && quote[1] == (uint8_t)row->quote;
        if (!doubled && copied == 0) {
            *field = slice_of(from, (size_t)(quote - from));
            *rest = quote + 1;
            return true;
        }
        size_t n = (size_t)(quote - p) + doubled;
        memcpy(copy + copied, p, n);
        copied += n;
        p = quote + 1 + doubled;
        if (!doubled) {
            row->unquoted.n += copied;
            *field = slice_of(copy, copied);
            *rest = p;
            return true;
        }
    }
}

static enum status bad(struct csv_row *row, const char *why)
{
    row->why = why;
    return ST_BAD_RECORD;
}

enum status csv_split(struct csv_row *row, struct slice text)
{
    row->fields.n = row->unquoted.n = 0;
    if (buf_reserve(&row->unquoted, text.n + 1) != ST_OK)
        return ST_MEMORY;
    static const uint8_t nothing[1];
    const uint8_t *p = text.n ? text.p : nothing, *end = p + text.n;
    for (;;) {
        struct slice field;
        if (csv_count(row) == CSV_FIELDS_MAX)
            return bad(row, "the row has more than 65536 fields");
        if (row->quote && p < end && *p == (uint8_t)row->quote) {
            if (!quoted_field(row, p, end, &field, &p))
                return bad(row, "unclosed quote");
            if (p < end && *p != (uint8_t)row->separator)
                return bad(row, "text after a closing quote");
        } else {
            const uint8_t *stop = p < end ? memchr(p, row->separator, (size_t)(end - p)) : NULL;
            field = slice_of(p, (size_t)((stop ? stop : end) - p));
            p += field.n;
        }
        if (buf_append(&row->fields, &field, sizeof field) != ST_OK)
            return ST_MEMORY;
        if (p == end)
            return ST_OK;
        p++;
    }
}

void csv_row_free(struct csv_row *row)
{
    buf_free(&row->fields);
    buf_free(&row->unquoted);
}

static enum csv_state next_state(const struct csv_scan *scan, uint8_t byte)
{
    if (byte == (uint8_t)scan->separator)
        return CSV_BEGIN;
    if (scan->quote && byte == (uint8_t)scan->quote && scan->state != CSV_PLAIN)
        return CSV_QUOTED; /* opened, or opened again by a doubled quote */
    return scan->state == CSV_CLOSED && byte == '\r' ? CSV_CLOSED : CSV_PLAIN;
}

const uint8_t *csv_scan(struct csv_scan *scan, const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (scan->state == CSV_QUOTED) {
            p = memchr(p, scan->quote, (size_t)(end - p));
            if (!p)
                return NULL;
            scan->state = CSV_CLOSED;
        } else if (*p == '\n') {
            return p;
        } else {
            scan->state = next_state(scan, *p);
        }
        p++;
    }
    return NULL;
}
