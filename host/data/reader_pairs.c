/* A pair run: what a step before wrote, in its own order, segment after segment. */
#include "base/sys.h"
#include "data/reader.h"
#include "data/run.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

struct pairs {
    struct run *run;
    struct run_cursor *cursor; /* in the segment before `segment`; NULL: in none yet */
    uint64_t segment, taken;
};

static void pairs_close(struct reader *r)
{
    struct pairs *p = r->state;
    run_cursor_close(p->cursor);
    run_close(p->run);
    sys_free(p);
}

static enum status next_pair(struct pairs *p, struct record *rec, struct err *e)
{
    for (;;) {
        enum status status =
            p->cursor ? run_cursor_next(p->cursor, &rec->key, &rec->value, e) : ST_END;
        if (status != ST_END)
            return status;
        if (p->segment == run_segments(p->run))
            return ST_END;
        run_cursor_close(p->cursor);
        p->cursor = NULL;
        status = run_cursor_open(p->run, p->segment++, 0, &p->cursor, e);
        if (status != ST_OK)
            return status;
    }
}

static enum status pairs_next(struct reader *r, struct record *rec, struct err *e)
{
    struct pairs *p = r->state;
    reader_place(r, rec, r->number, slice_of(NULL, 0));
    enum status status = next_pair(p, rec, e);
    if (status != ST_OK) {
        r->number--;
        return status;
    }
    rec->has_key = true;
    rec->raw = rec->value;
    p->taken += rec->key.n + rec->value.n;
    return ST_OK;
}

static void pairs_save(const struct reader *r, struct saver *to)
{
    const struct pairs *p = r->state;
    save_uint(to, p->taken);
    save_uint(to, p->segment);
    save_uint(to, p->cursor != NULL);
    if (p->cursor && to->status == ST_OK)
        to->status = run_cursor_save(p->cursor, to->out);
}

static enum status go_to_mark(struct pairs *p, struct saved *from, struct err *e)
{
    p->taken = saved_uint(from, UINT64_MAX);
    p->segment = saved_uint(from, run_segments(p->run));
    bool inside = saved_bool(from);
    saved_check(from, inside == (p->segment > 0));
    if (from->failed || !inside)
        return ST_OK;
    enum status status = run_cursor_open(p->run, p->segment - 1, 0, &p->cursor, e);
    if (status == ST_OK)
        status = run_cursor_restore(p->cursor, from->rest, e);
    from->rest.n = 0;
    return status;
}

/* The share of a compressed run is not known: what its pairs hold stands for it. */
static uint64_t pairs_position(const struct reader *r)
{
    const struct pairs *p = r->state;
    return p->taken < r->file.size ? p->taken : r->file.size;
}

static enum status check_size(const struct reader *r, struct err *e)
{
    struct stat st;
    if (stat(r->path, &st) != 0)
        return err_sys(e, errno, "stat", r->path);
    if ((uint64_t)st.st_size == r->file.size)
        return ST_OK;
    enum status status = err_set(
        e, ST_CORRUPT, "%s changed since the plan: it had %" PRIu64 " bytes and has %lld now",
        r->path, r->file.size, (long long)st.st_size);
    err_at(e, r->path, -1, -1);
    return status;
}

enum status reader_pairs_open(struct reader *r, struct err *e)
{
    struct pairs *p = sys_calloc(1, sizeof *p);
    if (!p)
        return err_memory(e, "a reader of pairs", sizeof *p);
    r->state = p;
    r->next = pairs_next;
    r->position = pairs_position;
    r->close = pairs_close;
    r->save = pairs_save;
    enum status status = check_size(r, e);
    if (status == ST_OK)
        status = run_open(r->path, &p->run, e);
    return status == ST_OK && r->mark ? go_to_mark(p, &r->mark->rest, e) : status;
}
