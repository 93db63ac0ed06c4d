/* window.h: a stretch of a source held in memory, moved forward by the readers; and lines in it.
 * Private to the input half of this room.
 *
 * The bytes of a record are [p + start, …) of the window; nothing is copied but the beginning of a
 * record that crosses the end of the buffer. Slices into the window are valid until the next
 * call. */
#ifndef LMR_DATA_WINDOW_H
#define LMR_DATA_WINDOW_H

#include "data/source.h"

/* Bytes kept of a record that is longer than max_record. */
enum { RECORD_HEAD = 64 * 1024 };

struct window {
    struct source *source; /* owned */
    uint8_t *p;            /* owned */
    size_t cap, start, end;
    uint64_t base; /* offset of p[0] in the uncompressed file */
};

/* `size` of the file and whether it is compressed decide how much is read at once. */
enum status window_open(struct window *w, const struct source_file *file, uint64_t from,
                        struct err *e);
void window_close(struct window *w);
/* Moves start to `offset` (behind it), keeping nothing. ST_END when the source ends before. */
enum status window_go_to(struct window *w, uint64_t offset, struct err *e);

static inline uint64_t window_offset(const struct window *w)
{
    return w->base + w->start;
}

/* Takes in more bytes behind `end`, keeping [start, end) (which may move). ST_OK when at least one
 * came, ST_END at the end of the source, or the source's error. */
enum status window_more(struct window *w, struct err *e);
/* Makes [start, …) at least `n` bytes, unless the source ends. ST_OK also at the end. */
enum status window_fill(struct window *w, size_t n, struct err *e);
/* Moves start behind the next LF, keeping nothing; stops early, at or behind `limit` (an offset),
 * and at the end of the source. */
enum status window_skip_line(struct window *w, uint64_t limit, struct err *e);

/* Lines of a window, LF or CRLF cut off. */
struct lines {
    struct window w;
    uint64_t to;         /* lines that start at or behind this offset are not ours */
    uint64_t max_record; /* longest line, in bytes */
    uint8_t *head;       /* owned: beginning of a line longer than that */
};

struct line {
    uint64_t offset;
    struct slice bytes;
};

/* Opens at the first line that starts in [from, to) of the file. */
enum status lines_open(struct lines *l, const struct source_file *file, uint64_t from, uint64_t to,
                       uint64_t max_record, struct err *e);
/* The same at a line of which it is known that it starts at `at`. */
enum status lines_open_at(struct lines *l, const struct source_file *file, uint64_t at, uint64_t to,
                          uint64_t max_record, struct err *e);
void lines_close(struct lines *l);
/* The same for a line that is not in the window as a whole; called by lines_next. */
enum status lines_next_slow(struct lines *l, struct line *line, struct err *e);
/* The line that starts at window_offset is too long: keeps its head in `line`, passes over it.
 * ST_BAD_RECORD. */
enum status lines_too_long(struct lines *l, struct line *line, struct err *e);

/* ST_OK, ST_END, ST_BAD_RECORD (longer than max_record; line->bytes is its beginning), or an
 * error. */
static inline enum status lines_next(struct lines *l, struct line *line, struct err *e)
{
    struct window *w = &l->w;
    line->offset = window_offset(w);
    if (line->offset >= l->to)
        return ST_END;
    const uint8_t *p = w->p + w->start;
    const uint8_t *lf = memchr(p, '\n', w->end - w->start);
    if (!lf)
        return lines_next_slow(l, line, e);
    size_t n = (size_t)(lf - p);
    size_t cr = n > 0 && p[n - 1] == '\r';
    if (n - cr > l->max_record)
        return lines_too_long(l, line, e);
    line->bytes = slice_of(p, n - cr);
    w->start += n + 1;
    return ST_OK;
}

#endif
