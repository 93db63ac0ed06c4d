#include "data/json.h"
#include "data/reader.h"

#include <stdio.h>

static bool is_blank(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return true;
}

/* A record is a line; who has one value over many lines is told so. */
static void add_hint(struct slice line, struct err *e)
{
    uint8_t last = 0, first = 0;
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == ' ' || line.p[i] == '\t' || line.p[i] == '\r')
            continue;
        first = first ? first : line.p[i];
        last = line.p[i];
    }
    size_t n = strlen(e->message);
    if ((first == '[' && last != ']') || (first == '{' && last != '}'))
        (void)snprintf(e->message + n, sizeof e->message - n,
                       "; each line must be one value (jq -c . FILE puts a value on a line, jq -c "
                       "'.[]' FILE the elements of an array)");
}

static enum status json_next(struct reader *r, struct record *rec, struct err *e)
{
    struct line line;
    enum status status;
    do
        status = lines_next(&r->lines, &line, e);
    while (status == ST_OK && is_blank(line.bytes));
    if (status != ST_OK && status != ST_BAD_RECORD)
        return status;
    reader_place(r, rec, line.offset, line.bytes);
    if (status == ST_OK) {
        r->value.n = 0;
        status = json_to_value(line.bytes, &r->value, e);
        if (status == ST_BAD_RECORD)
            add_hint(line.bytes, e);
    }
    if (status != ST_OK)
        return reader_bad(r, rec, status, e);
    rec->value = buf_slice(&r->value);
    return ST_OK;
}

enum status reader_json_open(struct reader *r, struct err *e)
{
    r->next = json_next;
    enum status status = reader_open_lines(r, r->from, e);
    return status == ST_OK ? reader_skip_bom(r, e) : status;
}
