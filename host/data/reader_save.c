/* Readers in task checkpoints: a mark in the file, from which the part is opened again. */
#include "data/reader.h"

enum { STATE_VERSION = 1 };

/* The end of the part has moved behind a byte order mark. */
static bool has_passed_bom(const struct reader *r)
{
    return !r->file.compressed && r->to < BOM_TO && r->lines.to == BOM_TO;
}

enum status reader_save(const struct reader *r, struct buf *out)
{
    struct saver to = saver_of(out);
    save_uint(&to, STATE_VERSION);
    save_uint(&to, r->spec.format);
    save_uint(&to, r->from);
    save_uint(&to, r->to);
    save_uint(&to, window_offset(&r->lines.w));
    save_uint(&to, r->number);
    save_uint(&to, has_passed_bom(r));
    if (r->save)
        r->save(r, &to);
    return to.status;
}

/* All but what is of the format. */
static enum status take_mark(const struct split_part *part, const struct input_spec *spec,
                             struct slice state, struct reader_mark *mark, uint64_t *number,
                             struct err *e)
{
    struct saved *from = &mark->rest;
    *from = saved_of(state);
    saved_expect(from, STATE_VERSION);
    saved_expect(from, spec->format);
    saved_expect(from, part->from);
    saved_expect(from, part->to < part->size ? part->to : part->size);
    if (from->failed)
        return err_set(e, ST_CORRUPT,
                       "the saved state of the reader is of another part or of another version");
    mark->at = saved_uint(from, INT64_MAX);
    *number = saved_uint(from, INT64_MAX);
    mark->passed_bom = saved_bool(from);
    saved_check(from, mark->at >= part->from || spec->format == IN_WHOLE ||
                          spec->format == IN_PAIRS || input_is_compressed(part->path));
    return from->failed ? saved_broken("the reader", e) : ST_OK;
}

enum status reader_restore(const struct split_part *part, const struct input_spec *spec,
                           struct slice state, struct reader **out, struct err *e)
{
    struct reader_mark mark;
    struct reader *r = NULL;
    uint64_t number = 0;
    enum status status = take_mark(part, spec, state, &mark, &number, e);
    if (status == ST_OK)
        status = reader_start(part, spec, &mark, &r, e);
    if (status != ST_OK)
        return status;
    if (!saved_ended(&mark.rest)) {
        reader_close(r);
        return saved_broken("the reader", e);
    }
    r->number = number;
    *out = r;
    return ST_OK;
}
