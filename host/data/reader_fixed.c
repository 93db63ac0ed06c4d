/* Records of a fixed size, and files that are one record. */
#include "data/reader.h"

#include <inttypes.h>

static enum status fixed_next(struct reader *r, struct record *rec, struct err *e)
{
    struct window *w = &r->lines.w;
    size_t size = r->spec.record_size;
    if (window_offset(w) >= r->lines.to)
        return ST_END;
    enum status status = w->end - w->start < size ? window_fill(w, size, e) : ST_OK;
    if (status != ST_OK)
        return status;
    size_t n = w->end - w->start;
    if (n == 0)
        return ST_END;
    if (n > size)
        n = size;
    reader_place(r, rec, window_offset(w), slice_of(w->p + w->start, n));
    w->start += n;
    if (n < size) {
        if (rec->raw.n > RECORD_HEAD)
            rec->raw.n = RECORD_HEAD;
        return reader_bad(
            r, rec,
            err_set(e, ST_BAD_RECORD, "the last record is short: %zu of %zu bytes", n, size), e);
    }
    rec->is_raw = true;
    rec->value = rec->raw;
    return ST_OK;
}

enum status reader_fixed_open(struct reader *r, struct err *e)
{
    r->next = fixed_next;
    r->lines.to = r->file.compressed ? UINT64_MAX : r->to;
    uint64_t size = r->spec.record_size, over = r->from % size;
    uint64_t first = over ? r->from + (size - over) : r->from;
    return reader_open_window(r, first, r->to, e);
}

static enum status whole_next(struct reader *r, struct record *rec, struct err *e)
{
    struct window *w = &r->lines.w;
    uint64_t max = r->spec.max_record;
    if (r->number > 0)
        return ST_END;
    enum status status = ST_OK;
    while (status == ST_OK && w->end - w->start <= max)
        status = window_more(w, e);
    if (status != ST_OK && status != ST_END)
        return status;
    size_t n = w->end - w->start;
    reader_place(r, rec, 0, slice_of(w->p + w->start, n));
    rec->has_key = true;
    rec->key = slice_str(r->path);
    w->start = w->end;
    if (n > max) {
        rec->raw.n = n < RECORD_HEAD ? n : RECORD_HEAD;
        return reader_bad(r, rec,
                          err_set(e, ST_BAD_RECORD,
                                  "the file is longer than max_record (%" PRIu64 " bytes)", max),
                          e);
    }
    rec->is_raw = true;
    rec->value = rec->raw;
    return ST_OK;
}

enum status reader_whole_open(struct reader *r, struct err *e)
{
    r->next = whole_next;
    return reader_open_window(r, 0, r->to, e);
}
