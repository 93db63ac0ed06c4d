#include "data/reader.h"

#include "base/sys.h"

#include <inttypes.h>

static enum status open_format(struct reader *r, struct err *e)
{
    switch (r->spec.format) {
    case IN_TEXT:
        return reader_text_open(r, e);
    case IN_JSONL:
        return reader_json_open(r, e);
    case IN_CSV:
    case IN_TSV:
        return reader_csv_open(r, e);
    case IN_WHOLE:
        return reader_whole_open(r, e);
    case IN_FIXED:
        return reader_fixed_open(r, e);
    case IN_PAIRS:
        return reader_pairs_open(r, e);
    case IN_LUA:
        break;
    }
    return err_set(e, ST_SCRIPT, "%s: an input of format \"lua\" is read by its Lua reader",
                   r->path);
}

enum status reader_open(const struct split_part *part, const struct input_spec *spec,
                        struct reader **out, struct err *e)
{
    return reader_start(part, spec, NULL, out, e);
}

enum status reader_start(const struct split_part *part, const struct input_spec *spec,
                         struct reader_mark *mark, struct reader **out, struct err *e)
{
    struct reader *r = sys_calloc(1, sizeof *r);
    if (!r)
        return err_memory(e, "a record reader", sizeof *r);
    r->path = sys_strdup(part->path);
    r->spec = *spec;
    r->mark = mark;
    r->from = part->from;
    r->to = part->to < part->size ? part->to : part->size;
    r->file = (struct source_file){
        .path = r->path,
        .size = part->size,
        .compressed = spec->format != IN_PAIRS && input_is_compressed(part->path),
        .secret = part->secret,
        .validator = part->validator,
        .watch = part->watch,
    };
    enum status status = r->path
                           ? open_format(r, e)
                           : err_memory(e, "the name of an input file", strlen(part->path) + 1);
    r->mark = NULL;
    if (status != ST_OK) {
        reader_close(r);
        return status;
    }
    *out = r;
    return ST_OK;
}

enum status reader_next(struct reader *r, struct record *rec, struct err *e)
{
    return r->next(r, rec, e);
}

uint64_t reader_position(const struct reader *r)
{
    if (r->position)
        return r->position(r);
    const struct window *w = &r->lines.w;
    if (r->file.compressed)
        return source_taken(w->source);
    uint64_t at = window_offset(w);
    return (at < r->from ? r->from : at > r->to ? r->to : at) - r->from;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    if (r->close)
        r->close(r);
    lines_close(&r->lines);
    buf_free(&r->value);
    sys_free(r->path);
    sys_free(r);
}

/* A file that ends before the mark. */
static enum status at_mark(const struct reader *r, enum status status, struct err *e)
{
    if (status != ST_END)
        return status;
    status = err_set(e, ST_CORRUPT, "%s ends before byte %" PRIu64 ", where it was read up to",
                     r->path, r->mark->at);
    err_at(e, r->path, (int64_t)r->mark->at, -1);
    return status;
}

enum status reader_open_window(struct reader *r, uint64_t from, uint64_t until, struct err *e)
{
    r->file.until = until;
    if (r->mark)
        from = r->mark->at;
    enum status status = window_open(&r->lines.w, &r->file, from, e);
    if (status == ST_OK && r->mark)
        status = at_mark(r, window_go_to(&r->lines.w, from, e), e);
    return status;
}

/* Who begins before the part wants the header only. */
enum status reader_open_lines(struct reader *r, uint64_t from, struct err *e)
{
    if (r->mark) {
        r->file.until = r->to;
        return at_mark(r,
                       lines_open_at(&r->lines, &r->file, r->mark->at, r->to, r->spec.max_record, e),
                       e);
    }
    r->file.until = from < r->from ? from : r->to;
    return lines_open(&r->lines, &r->file, from, r->to, r->spec.max_record, e);
}

enum status reader_skip_bom(struct reader *r, struct err *e)
{
    struct window *w = &r->lines.w;
    if (r->mark && r->mark->passed_bom)
        r->lines.to = BOM_TO;
    if (window_offset(w) != 0 || r->mark)
        return ST_OK;
    /* A damaged stream says so when its records are asked for. */
    enum status status = window_fill(w, 3, e);
    if (status == ST_OK && w->end - w->start >= 3 &&
        memcmp(w->p + w->start, "\xef\xbb\xbf", 3) == 0) {
        w->start += 3;
        /* The first line still belongs to the part that has byte 0, also when it is cut within the
         * mark. */
        if (r->lines.to > 0 && r->lines.to < BOM_TO)
            r->lines.to = BOM_TO;
    }
    return status == ST_CORRUPT ? ST_OK : status;
}

void reader_place(struct reader *r, struct record *rec, uint64_t offset, struct slice raw)
{
    *rec = (struct record){ .offset = offset, .number = r->number++, .raw = raw };
}

enum status reader_bad(const struct reader *r, const struct record *rec, enum status status,
                       struct err *e)
{
    err_at(e, r->path, (int64_t)rec->offset, (int64_t)rec->number);
    return status;
}
