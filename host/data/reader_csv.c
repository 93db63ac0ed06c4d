/* Rows of separated values → maps of column → field, or arrays. */
#include "data/csv.h"
#include "data/reader.h"

#include "base/sys.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum field_type { FIELD_STRING, FIELD_NUMBER, FIELD_INTEGER };

/* One column, in the order of the map's keys. */
struct column {
    struct slice name; /* in `names` of struct csv, encoded as a value: a map's key */
    struct slice text; /* the name itself */
    size_t field;      /* its place in the row */
    enum field_type type;
};

struct csv {
    struct csv_row row;
    struct csv_scan scan;
    struct buf names;       /* encoded names, in the order of the row */
    struct column *columns; /* owned; sorted by name */
    size_t count;           /* 0: rows are arrays */
};

static void csv_close(struct reader *r)
{
    struct csv *c = r->state;
    csv_row_free(&c->row);
    buf_free(&c->names);
    sys_free(c->columns);
    sys_free(c);
}

/* --- a row's value --- */

enum { NUMBER_TEXT = 512 };

/* A decimal number: what Lua reads as one, less hexadecimal, infinities and NaN. Cut of blanks,
 * NUL-terminated in `out`; false when it is none. */
static bool number_text(struct slice s, char out[NUMBER_TEXT])
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = slice_of(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    if (s.n == 0 || s.n >= NUMBER_TEXT)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789+-.eE", s.p[i]) || s.p[i] == '\0')
            return false;
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return true;
}

static bool put_integer(const char *text, struct buf *out, enum status *status)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (*end || end == text || errno)
        return false;
    *status = val_put_int(out, v);
    return true;
}

/* False when the field is no number of its type. */
static bool put_number(struct slice field, enum field_type type, struct buf *out,
                       enum status *status)
{
    char text[NUMBER_TEXT], *end;
    if (!number_text(field, text))
        return false;
    if (put_integer(text, out, status))
        return true;
    double v = strtod(text, &end);
    if (type == FIELD_INTEGER || *end || end == text || !isfinite(v))
        return false;
    *status = val_put_float(out, v);
    return true;
}

static enum status put_field(const struct column *column, struct slice field, struct buf *out,
                             struct err *e)
{
    static const char *const names[] = { "a string", "a number", "an integer" };
    enum status status = ST_OK;
    if (column->type == FIELD_STRING)
        return val_put_string(out, field);
    if (put_number(field, column->type, out, &status))
        return status;
    return err_set(e, ST_BAD_RECORD, "column \"%.*s\" is not %s: \"%.*s\"",
                   (int)(column->text.n < 100 ? column->text.n : 100), (const char *)column->text.p,
                   names[column->type], (int)(field.n < 100 ? field.n : 100),
                   (const char *)field.p);
}

static enum status put_map(const struct csv *c, struct buf *out, struct err *e)
{
    size_t n = csv_count(&c->row);
    if (n != c->count)
        return err_set(e, ST_BAD_RECORD, "the row has %zu field%s, and there are %zu columns", n,
                       n == 1 ? "" : "s", c->count);
    enum status status = val_put_map(out, n);
    for (size_t i = 0; status == ST_OK && i < n; i++) {
        const struct column *column = &c->columns[i];
        status = buf_append_slice(out, column->name);
        if (status == ST_OK)
            status = put_field(column, csv_field(&c->row, column->field), out, e);
    }
    return status;
}

static enum status put_array(const struct csv *c, struct buf *out)
{
    size_t n = csv_count(&c->row);
    enum status status = val_put_array(out, n);
    for (size_t i = 0; status == ST_OK && i < n; i++)
        status = val_put_string(out, csv_field(&c->row, i));
    return status;
}

/* The value of a row that has been split. */
static enum status make_value(struct reader *r, struct record *rec, struct err *e)
{
    struct csv *c = r->state;
    r->value.n = 0;
    enum status status = c->count > 0 ? put_map(c, &r->value, e) : put_array(c, &r->value);
    if (status == ST_MEMORY)
        return err_memory(e, "a row", rec->raw.n);
    rec->value = buf_slice(&r->value);
    return status;
}

/* --- a row's bytes --- */

/* Leaves a row behind that is not well-formed: only its first line, so that one stray quote does
 * not swallow the lines that follow. The window stands at the row, and does not move before the
 * next call. */
static void pass_first_line(struct window *w, struct line *row)
{
    const uint8_t *p = w->p + w->start, *lf = memchr(p, '\n', w->end - w->start);
    size_t n = lf ? (size_t)(lf - p) : w->end - w->start;
    row->bytes = slice_of(p, n < RECORD_HEAD ? n : RECORD_HEAD);
    w->start += n + (lf != NULL);
}

/* Bytes in which a row with its line end has to be complete. What is said of a row that is not must
 * not depend on how much of the file happens to be in the window. */
static size_t row_limit(const struct reader *r)
{
    return (size_t)r->lines.max_record + 2;
}

/* The same for a row that is not complete within the limit. ST_BAD_RECORD, or an error. */
static enum status unfinished_row(struct reader *r, struct line *row, const char *why,
                                  struct err *e)
{
    struct window *w = &r->lines.w;
    size_t n = w->end - w->start, limit = row_limit(r);
    if (n >= limit && !memchr(w->p + w->start, '\n', limit))
        return lines_too_long(&r->lines, row, e);
    pass_first_line(w, row);
    return err_set(e, ST_BAD_RECORD, "%s", why);
}

/* Brings the row that starts in the window into it: *n bytes, then a LF unless it is not *ended. */
static enum status take_in_row(struct reader *r, size_t *n, bool *ended, struct err *e)
{
    struct csv *c = r->state;
    struct window *w = &r->lines.w;
    size_t limit = row_limit(r);
    c->scan.state = CSV_BEGIN;
    for (*n = 0;;) {
        size_t have = w->end - w->start;
        const uint8_t *p = w->p + w->start, *end = p + (have < limit ? have : limit);
        const uint8_t *lf = csv_scan(&c->scan, p + *n, end);
        *ended = lf != NULL;
        *n = (size_t)((lf ? lf : end) - p);
        if (lf || *n == limit)
            return ST_OK;
        enum status status = window_more(w, e);
        if (status == ST_END)
            return *n == 0 ? ST_END : ST_OK;
        if (status != ST_OK)
            return status;
    }
}

/* The next row that may span lines. As lines_next; a row whose quote is not closed is a
 * ST_BAD_RECORD. */
static enum status next_multiline(struct reader *r, struct line *row, struct err *e)
{
    struct csv *c = r->state;
    struct window *w = &r->lines.w;
    size_t n;
    bool ended;
    enum status status = take_in_row(r, &n, &ended, e);
    row->offset = window_offset(w);
    if (status != ST_OK)
        return status;
    if (c->scan.state == CSV_QUOTED)
        return unfinished_row(r, row, "unclosed quote", e);
    const uint8_t *p = w->p + w->start;
    size_t cr = ended && n > 0 && p[n - 1] == '\r';
    if (n - cr > r->lines.max_record)
        return unfinished_row(r, row, "the record is longer than max_record", e);
    row->bytes = slice_of(p, n - cr);
    w->start += n + ended;
    return ST_OK;
}

/* The next row that is not empty, split into fields. */
static enum status next_row(struct reader *r, struct line *row, struct err *e)
{
    struct csv *c = r->state;
    enum status status;
    do
        status = r->spec.multiline ? next_multiline(r, row, e) : lines_next(&r->lines, row, e);
    while (status == ST_OK && row->bytes.n == 0);
    if (status != ST_OK)
        return status;
    status = csv_split(&c->row, row->bytes);
    if (status == ST_MEMORY)
        return err_memory(e, "a row", row->bytes.n);
    if (status == ST_BAD_RECORD && r->spec.multiline) {
        r->lines.w.start = (size_t)(row->offset - r->lines.w.base);
        pass_first_line(&r->lines.w, row);
    }
    if (status == ST_BAD_RECORD)
        return err_set(e, status, "%s (field %zu)", c->row.why, csv_count(&c->row) + 1);
    return status;
}

static enum status csv_next(struct reader *r, struct record *rec, struct err *e)
{
    struct line row = { 0, { NULL, 0 } };
    enum status status = next_row(r, &row, e);
    if (status != ST_OK && status != ST_BAD_RECORD)
        return status;
    reader_place(r, rec, row.offset, row.bytes);
    if (status == ST_OK)
        status = make_value(r, rec, e);
    return status == ST_OK ? ST_OK : reader_bad(r, rec, status, e);
}

/* --- columns --- */

static int compare_columns(const void *a, const void *b)
{
    const struct column *x = a, *y = b;
    return slice_compare(x->text, y->text);
}

static enum status bad_header(const struct reader *r, struct err *e, const char *what,
                              struct slice name)
{
    enum status status = err_set(e, ST_CORRUPT, "%s: %s \"%.*s\"", r->path, what,
                                 (int)(name.n < 200 ? name.n : 200), (const char *)name.p);
    err_at(e, r->path, 0, -1);
    return status;
}

static enum status set_types(struct reader *r, struct err *e)
{
    struct csv *c = r->state;
    struct val_cursor at;
    struct slice key, value, type;
    uint64_t n = val_map_open(r->spec.types, &at);
    for (uint64_t i = 0; i < n; i++) {
        struct column wanted = { .field = 0 };
        if (val_skip(&at, &key) != ST_OK || val_skip(&at, &value) != ST_OK ||
            !val_as_string(key, &wanted.text) || !val_as_string(value, &type))
            return err_set(e, ST_CORRUPT, "%s: the types of its columns do not decode", r->path);
        struct column *column =
            bsearch(&wanted, c->columns, c->count, sizeof wanted, compare_columns);
        if (!column)
            return bad_header(r, e, "types names a column that is not in the header:", wanted.text);
        column->type = slice_equal(type, slice_str("number"))  ? FIELD_NUMBER
                     : slice_equal(type, slice_str("integer")) ? FIELD_INTEGER
                                                               : FIELD_STRING;
    }
    return ST_OK;
}

/* Makes columns of the `count` encoded names in c->names. */
static enum status set_columns(struct reader *r, size_t count, struct err *e)
{
    struct csv *c = r->state;
    c->columns = sys_calloc(count, sizeof *c->columns);
    if (!c->columns)
        return err_memory(e, "the columns of a file", count * sizeof *c->columns);
    c->count = count;
    struct val_cursor at = val_cursor(buf_slice(&c->names));
    for (size_t i = 0; i < count; i++) {
        struct column *column = &c->columns[i];
        column->field = i;
        if (val_skip(&at, &column->name) != ST_OK || !val_as_string(column->name, &column->text))
            return err_set(e, ST_CORRUPT, "%s: the names of its columns do not decode", r->path);
    }
    qsort(c->columns, count, sizeof *c->columns, compare_columns);
    for (size_t i = 1; i < count; i++)
        if (slice_equal(c->columns[i - 1].text, c->columns[i].text))
            return bad_header(
                r, e, "two columns have the same name (give other names with columns = {…}):",
                c->columns[i].text);
    return set_types(r, e);
}

static enum status columns_of_spec(struct reader *r, struct err *e)
{
    struct csv *c = r->state;
    struct val_cursor at;
    uint64_t n = val_array(r->spec.columns, &at);
    enum status status = buf_append_slice(&c->names, at.rest);
    return status == ST_OK ? set_columns(r, (size_t)n, e)
                           : err_memory(e, "the columns of a file", at.rest.n);
}

/* The names of the header, which is not read again. */
static void csv_save(const struct reader *r, struct saver *to)
{
    const struct csv *c = r->state;
    save_slice(to, buf_slice(&c->names));
    save_uint(to, c->count);
}

static enum status columns_of_mark(struct reader *r, struct err *e)
{
    struct csv *c = r->state;
    struct slice names = saved_slice(&r->mark->rest);
    uint64_t count = saved_uint(&r->mark->rest, names.n);
    if (r->mark->rest.failed || r->spec.columns.n > 0 || count == 0)
        return ST_OK;
    enum status status = buf_append_slice(&c->names, names);
    return status == ST_OK ? set_columns(r, (size_t)count, e)
                           : err_memory(e, "the columns of a file", names.n);
}

static enum status columns_of_row(struct reader *r, struct err *e)
{
    struct csv *c = r->state;
    size_t n = csv_count(&c->row);
    for (size_t i = 0; i < n; i++)
        if (val_put_string(&c->names, csv_field(&c->row, i)) != ST_OK)
            return err_memory(e, "the columns of a file", c->names.n);
    return set_columns(r, n, e);
}

/* Reads the first row of the file, whatever part of it is ours. ST_END: there is none. */
static enum status read_header(struct reader *r, struct err *e)
{
    struct line row;
    uint64_t to = r->lines.to;
    r->lines.to = UINT64_MAX;
    enum status status = next_row(r, &row, e);
    r->lines.to = to;
    if (status == ST_BAD_RECORD && e) {
        char why[ERR_MESSAGE_MAX];
        memcpy(why, e->message, sizeof why);
        status = err_set(e, ST_CORRUPT, "%.900s: its header row is broken: %.500s", r->path, why);
        err_at(e, r->path, (int64_t)row.offset, -1);
    }
    if (status != ST_OK || r->spec.columns.n > 0)
        return status;
    return columns_of_row(r, e);
}

/* Stands at the first row of the part, behind the header. */
static enum status open_rows(struct reader *r, struct err *e)
{
    enum status status = reader_open_lines(r, r->spec.header ? 0 : r->from, e);
    if (status == ST_OK)
        status = reader_skip_bom(r, e);
    if (status != ST_OK || !r->spec.header || r->mark)
        return status;
    status = read_header(r, e);
    if (status != ST_OK || window_offset(&r->lines.w) >= r->from)
        return status == ST_END ? ST_OK : status;
    lines_close(&r->lines);
    return reader_open_lines(r, r->from, e);
}

enum status reader_csv_open(struct reader *r, struct err *e)
{
    struct csv *c = sys_calloc(1, sizeof *c);
    if (!c)
        return err_memory(e, "a reader of rows", sizeof *c);
    r->state = c;
    r->next = csv_next;
    r->close = csv_close;
    r->save = csv_save;
    c->row.separator = c->scan.separator = r->spec.separator;
    c->row.quote = c->scan.quote = r->spec.quote;
    enum status status = r->spec.columns.n > 0 ? columns_of_spec(r, e) : ST_OK;
    if (status == ST_OK && r->mark)
        status = columns_of_mark(r, e);
    return status == ST_OK ? open_rows(r, e) : status;
}
