#include "data/window.h"

#include "base/sys.h"

#include <inttypes.h>

enum { WINDOW_BYTES = 256 * 1024 };

enum status window_open(struct window *w, const struct source_file *file, uint64_t from,
                        struct err *e)
{
    *w = (struct window){ NULL, NULL, 0, 0, 0, file->compressed ? 0 : from };
    uint64_t left = from < file->size ? file->size - from : 0;
    /* One byte more than a small file has, so that its end is seen without growing. */
    w->cap = !file->compressed && left < WINDOW_BYTES ? (size_t)left + 1 : WINDOW_BYTES;
    w->p = sys_malloc(w->cap);
    if (!w->p)
        return err_memory(e, "reading an input file", w->cap);
    return source_open(file, from, &w->source, e);
}

void window_close(struct window *w)
{
    source_close(w->source);
    sys_free(w->p);
    *w = (struct window){ NULL, NULL, 0, 0, 0, 0 };
}

static void move_to_front(struct window *w)
{
    if (w->start == 0)
        return;
    memmove(w->p, w->p + w->start, w->end - w->start);
    w->base += w->start;
    w->end -= w->start;
    w->start = 0;
}

static enum status grow(struct window *w, struct err *e)
{
    if (w->cap > SIZE_MAX / 2)
        return err_memory(e, "a long record", SIZE_MAX);
    uint8_t *p = sys_realloc(w->p, w->cap * 2);
    if (!p)
        return err_memory(e, "a long record", w->cap * 2);
    w->p = p;
    w->cap *= 2;
    return ST_OK;
}

enum status window_more(struct window *w, struct err *e)
{
    move_to_front(w);
    enum status status = w->end == w->cap ? grow(w, e) : ST_OK;
    size_t got = 0;
    if (status == ST_OK)
        status = source_read(w->source, w->p + w->end, w->cap - w->end, &got, e);
    w->end += got;
    return status == ST_OK && got == 0 ? ST_END : status;
}

enum status window_fill(struct window *w, size_t n, struct err *e)
{
    enum status status = ST_OK;
    while (status == ST_OK && w->end - w->start < n)
        status = window_more(w, e);
    return status == ST_END ? ST_OK : status;
}

enum status window_go_to(struct window *w, uint64_t offset, struct err *e)
{
    enum status status = ST_OK;
    while (status == ST_OK && window_offset(w) < offset) {
        uint64_t ahead = offset - window_offset(w), have = w->end - w->start;
        w->start += (size_t)(ahead < have ? ahead : have);
        if (ahead > have)
            status = window_more(w, e);
    }
    return status;
}

enum status window_skip_line(struct window *w, uint64_t limit, struct err *e)
{
    enum status status = ST_OK;
    while (status == ST_OK && window_offset(w) < limit) {
        const uint8_t *p = w->p + w->start;
        const uint8_t *lf = memchr(p, '\n', w->end - w->start);
        if (lf) {
            w->start += (size_t)(lf - p) + 1;
            return ST_OK;
        }
        w->start = w->end;
        status = window_more(w, e);
    }
    return status == ST_END ? ST_OK : status;
}

enum status lines_open_at(struct lines *l, const struct source_file *file, uint64_t at, uint64_t to,
                          uint64_t max_record, struct err *e)
{
    l->head = NULL;
    l->max_record = max_record;
    l->to = file->compressed ? UINT64_MAX : to;
    enum status status = window_open(&l->w, file, at, e);
    return status == ST_OK ? window_go_to(&l->w, at, e) : status;
}

enum status lines_open(struct lines *l, const struct source_file *file, uint64_t from, uint64_t to,
                       uint64_t max_record, struct err *e)
{
    bool compressed = file->compressed;
    l->head = NULL;
    l->max_record = max_record;
    l->to = compressed ? UINT64_MAX : to;
    /* One byte earlier: only if that is a LF does a line start at `from` itself. */
    uint64_t at = compressed || from == 0 ? 0 : from - 1;
    enum status status = window_open(&l->w, file, at, e);
    if (status == ST_OK && !compressed && from > 0)
        status = window_skip_line(&l->w, to, e);
    return status;
}

void lines_close(struct lines *l)
{
    window_close(&l->w);
    sys_free(l->head);
    l->head = NULL;
}

enum status lines_too_long(struct lines *l, struct line *line, struct err *e)
{
    struct window *w = &l->w;
    line->offset = window_offset(w);
    if (!l->head && !(l->head = sys_malloc(RECORD_HEAD)))
        return err_memory(e, "the beginning of a long record", RECORD_HEAD);
    enum status status = window_fill(w, RECORD_HEAD, e);
    if (status != ST_OK)
        return status;
    size_t n = w->end - w->start;
    const uint8_t *lf = memchr(w->p + w->start, '\n', n < RECORD_HEAD ? n : RECORD_HEAD);
    n = lf ? (size_t)(lf - w->p) - w->start : n < RECORD_HEAD ? n : RECORD_HEAD;
    memcpy(l->head, w->p + w->start, n);
    line->bytes = slice_of(l->head, n);
    status = window_skip_line(w, UINT64_MAX, e);
    if (status != ST_OK)
        return status;
    return err_set(e, ST_BAD_RECORD, "the record is longer than max_record (%" PRIu64 " bytes)",
                   l->max_record);
}

/* The last line of the source, which no LF ends. */
static enum status unended_line(struct lines *l, struct line *line)
{
    struct window *w = &l->w;
    if (w->start == w->end)
        return ST_END;
    line->bytes = slice_of(w->p + w->start, w->end - w->start);
    w->start = w->end;
    return ST_OK;
}

enum status lines_next_slow(struct lines *l, struct line *line, struct err *e)
{
    struct window *w = &l->w;
    for (;;) {
        size_t searched = w->end - w->start;
        /* One more than allowed may still be the CR of a CRLF. */
        if (searched > l->max_record && searched - l->max_record > 1)
            return lines_too_long(l, line, e);
        enum status status = window_more(w, e);
        if (status == ST_END && searched > l->max_record)
            return lines_too_long(l, line, e);
        if (status == ST_END)
            return unended_line(l, line);
        if (status != ST_OK)
            return status;
        const uint8_t *p = w->p + w->start + searched;
        if (memchr(p, '\n', w->end - w->start - searched))
            return lines_next(l, line, e);
    }
}
