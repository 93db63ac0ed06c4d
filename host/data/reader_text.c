#include "data/reader.h"

static enum status text_next(struct reader *r, struct record *rec, struct err *e)
{
    struct line line;
    enum status status = lines_next(&r->lines, &line, e);
    if (status == ST_OK) {
        rec->offset = line.offset;
        rec->number = r->number++;
        rec->is_raw = true;
        rec->has_key = false;
        rec->value = rec->raw = line.bytes;
        return ST_OK;
    }
    if (status != ST_BAD_RECORD)
        return status;
    reader_place(r, rec, line.offset, line.bytes);
    return reader_bad(r, rec, status, e);
}

enum status reader_text_open(struct reader *r, struct err *e)
{
    r->next = text_next;
    return reader_open_lines(r, r->from, e);
}
