#include "schedule/format.h"

#include "base/sys.h"
#include "data/output.h"
#include "data/run.h"

#include <inttypes.h>
#include <stdio.h>

struct formatting {
    struct output *out;
    struct position *page;
    uint64_t pairs, bytes;
};

static enum status copy_segment(struct formatting *f, struct run *run, uint64_t segment,
                                struct err *e)
{
    struct run_cursor *cursor = NULL;
    struct slice key, value;
    enum status st = run_cursor_open(run, segment, 0, &cursor, e);
    while (st == ST_OK && (st = run_cursor_next(cursor, &key, &value, e)) == ST_OK) {
        st = output_pair(f->out, key, value, e);
        f->bytes += key.n + value.n;
        POSITION_SET(f->page, record, f->pairs++);
    }
    run_cursor_close(cursor);
    return st == ST_END ? ST_OK : st;
}

static enum status copy_run(struct formatting *f, struct slice path, struct err *e)
{
    struct run *run = NULL;
    struct buf name = BUF_EMPTY;
    enum status st = buf_append_slice(&name, path);
    if (st == ST_OK)
        st = buf_terminate(&name);
    if (st == ST_OK)
        st = run_open((const char *)name.p, &run, e);
    for (uint64_t s = 0; st == ST_OK && s < run_segments(run); s++)
        st = copy_segment(f, run, s, e);
    if (run)
        run_close(run);
    buf_free(&name);
    return st;
}

static enum status copy_runs(struct formatting *f, struct slice assignment, struct err *e)
{
    struct slice runs;
    if (!val_get(assignment, "runs", &runs))
        return err_set(e, ST_CORRUPT, "an assignment without runs");
    struct val_cursor c;
    uint64_t n = val_array(runs, &c);
    enum status st = ST_OK;
    for (uint64_t i = 0; i < n && st == ST_OK; i++) {
        struct slice element, path;
        if (val_skip(&c, &element) != ST_OK || !val_as_string(element, &path))
            return err_set(e, ST_CORRUPT, "an assignment whose runs are no paths");
        POSITION_SET(f->page, part, (uint32_t)i);
        st = copy_run(f, path, e);
    }
    return st;
}

static enum status put_result(const struct formatting *f, const struct output_stats *stats,
                              struct buf *result)
{
    char checksum[17];
    (void)snprintf(checksum, sizeof checksum, "%016" PRIx64, stats->checksum);
    struct val_map part = VAL_MAP_EMPTY, m = VAL_MAP_EMPTY;
    struct buf encoded = BUF_EMPTY;
    val_map_int(&part, "records", (int64_t)stats->records);
    val_map_int(&part, "bytes", (int64_t)stats->bytes);
    val_map_int(&part, "raw_bytes", (int64_t)stats->raw_bytes);
    val_map_str(&part, "checksum", checksum);
    enum status st = val_map_end(&part, &encoded);
    val_map_int(&m, "records_in", (int64_t)f->pairs);
    val_map_int(&m, "bytes_in", (int64_t)f->bytes);
    val_map_int(&m, "pairs_out", (int64_t)f->pairs);
    val_map_int(&m, "bytes_out", (int64_t)stats->bytes);
    val_map_value(&m, "part", buf_slice(&encoded));
    enum status ended = val_map_end(&m, result);
    buf_free(&encoded);
    return st != ST_OK ? st : ended;
}

enum status format_attempt(struct slice assignment, struct position *page, struct buf *result,
                           struct err *e)
{
    char path[4096];
    struct slice description = slice_of("\1", 1); /* VAL_NULL: text */
    struct output_spec spec = { 0 };
    struct formatting f = { .page = page };
    struct output_stats stats;
    (void)val_get(assignment, "output", &description);
    if (!val_get_cstr(assignment, "part", path, sizeof path))
        return err_set(e, ST_CORRUPT, "an assignment without a part");
    enum status st = output_spec_parse(description, &spec, e);
    if (st == ST_OK)
        st = output_open(path, &spec, &f.out, e);
    POSITION_SET(page, phase, POS_WRITE);
    if (st == ST_OK)
        st = copy_runs(&f, assignment, e);
    if (st == ST_OK) {
        st = output_close(f.out, val_get_bool(assignment, "durable", true), &stats, e);
        f.out = NULL;
    }
    output_abandon(f.out);
    output_spec_free(&spec);
    return st == ST_OK ? put_result(&f, &stats, result) : st;
}
