/* States of task checkpoints: whatever bytes they are, what is restored from them goes on to its end, or
 * they are refused.
 *
 * The first byte says of what: a collector (16 kinds of what it folds into), a run, an output, or a
 * reader. The second is even: the rest is the state; odd: a real state is made, the rest changes it: each
 * four bytes are an offset (2), what it is raised by, and a length that is cut out behind it. */
#include "base/sys.h"
#include "data/collect.h"
#include "data/input.h"
#include "data/output.h"
#include "../tools/stream.h"

#include <sys/mman.h>
#include <unistd.h>

enum { BUDGET = 64 * 1024, PARTITIONS = 3, RECORDS = 60, KINDS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct files {
    int from, to;
    char from_path[64], to_path[64];
};

static void open_files(struct files *f)
{
    f->from = memfd_create("from", MFD_CLOEXEC);
    f->to = memfd_create("to", MFD_CLOEXEC);
    CHECK(f->from >= 0 && f->to >= 0);
    (void)snprintf(f->from_path, sizeof f->from_path, "/proc/self/fd/%d", f->from);
    (void)snprintf(f->to_path, sizeof f->to_path, "/proc/self/fd/%d", f->to);
}

static void close_files(const struct files *f)
{
    CHECK(close(f->from) == 0 && close(f->to) == 0);
}

/* Nothing but these may come of it. */
static void check_end(enum status status)
{
    CHECK(status == ST_OK || status == ST_CORRUPT || status == ST_SCRIPT || status == ST_MEMORY ||
          status == ST_CRASH);
}

static void change(struct buf *state, const uint8_t *data, size_t n)
{
    for (; n >= 4 && state->n > 0; data += 4, n -= 4) {
        size_t at = ((size_t)data[0] << 8 | data[1]) % state->n, cut = data[3] % 4 == 0 ? data[3] : 0;
        state->p[at] = (uint8_t)(state->p[at] + data[2]);
        cut = cut < state->n - at ? cut : 0;
        memmove(state->p + at, state->p + at + cut, state->n - at - cut);
        state->n -= cut;
    }
}

/* --- collectors --- */

static enum status combine(void *context, struct slice key, const struct group_values *values,
                           combine_put put, void *put_context, struct err *e)
{
    (void)context;
    (void)e;
    return put(put_context, values->count > 1 ? key : values->values[0]);
}

static void declare(uint8_t kind, struct buf *out, enum stream_values *values)
{
    static const char *const names[] = { "sum", "count", "min", "max", "mean", "first", "last", "list",
                                         "distinct", "approx_distinct" };
    struct val_map m = VAL_MAP_EMPTY, of = VAL_MAP_EMPTY;
    struct buf fields = BUF_EMPTY;
    *values = kind == 0 || kind == 4 || kind == 11 ? NUMBERS : kind == 12 ? FIELDS : ORDERED;
    if (kind < 10) {
        CHECK(val_put_str(out, names[kind]) == ST_OK);
        return;
    }
    if (kind == 10) {
        val_map_str(&m, "agg", "top");
        val_map_int(&m, "n", 4);
    } else if (kind == 11) {
        uint8_t at[16];
        struct buf list = { at, 0, sizeof at };
        CHECK(val_put_array(&list, 1) == ST_OK && val_put_float(&list, 0.5) == ST_OK);
        val_map_str(&m, "agg", "quantiles");
        val_map_value(&m, "at", buf_slice(&list));
    } else {
        val_map_str(&of, "n", "sum");
        val_map_str(&of, "o", "distinct");
        val_map_str(&of, "v", "list");
        CHECK(val_map_end(&of, &fields) == ST_OK);
        val_map_str(&m, "agg", "all");
        val_map_value(&m, "of", buf_slice(&fields));
    }
    CHECK(val_map_end(&m, out) == ST_OK);
    buf_free(&fields);
}

static void make_state(struct collect_config config, const char *path, const struct stream *stream,
                       struct buf *state)
{
    struct collect *c = NULL;
    struct err e;
    config.run_path = path;
    enum status status = collect_open(&config, &c, &e);
    for (uint64_t i = 0; i < RECORDS && status == ST_OK; i++)
        status = stream_record(stream, i, c, "file", &e);
    if (status == ST_OK)
        status = collect_save(c, false, state, &e);
    CHECK(status == ST_OK);
    collect_close(c);
}

static void finish_collector(const struct collect_config *config, const struct files *f,
                             const struct stream *stream, struct slice state)
{
    struct collect *c = NULL;
    struct err e;
    err_clear(&e);
    enum status status = collect_restore(config, f->from_path, state, &c, &e);
    for (uint64_t i = RECORDS; i < RECORDS + 5 && status == ST_OK; i++)
        status = stream_record(stream, i, c, "file", &e);
    if (status == ST_OK)
        status = collect_finish(c, false, NULL, &e);
    check_end(status);
    collect_close(c);
}

static void try_collector(uint8_t kind, bool real, const uint8_t *data, size_t n)
{
    struct collect_config config = { .partitions = PARTITIONS, .sort_buffer = BUDGET };
    struct stream stream = { 1, 20, PARTITIONS, ANY_VALUES };
    struct buf declaration = BUF_EMPTY, state = BUF_EMPTY;
    struct agg *agg = NULL;
    struct files f;
    open_files(&f);
    if (kind < 13) {
        declare(kind, &declaration, &stream.values);
        CHECK(agg_parse(buf_slice(&declaration), &agg, NULL) == ST_OK);
    }
    config.agg = agg;
    config.run_path = f.to_path;
    config.combiner.combine = kind == 13 ? combine : NULL;
    if (real)
        make_state(config, f.from_path, &stream, &state);
    if (real)
        change(&state, data, n);
    else
        CHECK(buf_append(&state, data, n) == ST_OK);
    finish_collector(&config, &f, &stream, buf_slice(&state));
    close_files(&f);
    agg_free(agg);
    buf_free(&declaration);
    buf_free(&state);
}

/* --- outputs: text, and pairs, which are runs --- */

static enum status put_pairs(struct output *o, struct err *e)
{
    struct buf key = BUF_EMPTY, value = BUF_EMPTY;
    uint64_t state = 5;
    enum status status = ST_OK;
    for (int i = 0; i < 30 && status == ST_OK; i++) {
        key.n = value.n = 0;
        stream_key(&state, 20, &key);
        stream_value(&state, ANY_VALUES, &value);
        status = output_pair(o, buf_slice(&key), buf_slice(&value), e);
    }
    buf_free(&key);
    buf_free(&value);
    return status;
}

static void try_output(bool pairs, bool real, const uint8_t *data, size_t n)
{
    struct output_spec spec = { .format = pairs ? OUT_PAIRS : OUT_TEXT };
    struct output *o = NULL;
    struct buf state = BUF_EMPTY;
    struct files f;
    struct err e;
    open_files(&f);
    CHECK(output_open(f.from_path, &spec, &o, &e) == ST_OK && put_pairs(o, &e) == ST_OK);
    CHECK(output_suspend(o, false, &state, &e) == ST_OK);
    output_abandon(o);
    o = NULL;
    if (real) {
        change(&state, data, n);
    } else {
        state.n = 0;
        CHECK(buf_append(&state, data, n) == ST_OK);
    }
    enum status status = output_resume(f.from_path, buf_slice(&state), f.to_path, &spec, &o, &e);
    if (status == ST_OK)
        status = put_pairs(o, &e);
    if (status == ST_OK)
        status = output_close(o, false, NULL, &e);
    else
        output_abandon(o);
    check_end(status);
    buf_free(&state);
    close_files(&f);
}

/* --- readers --- */

static void read_on(const struct split_part *part, const struct input_spec *spec, struct slice state)
{
    struct reader *r = NULL;
    struct record rec;
    struct err e;
    err_clear(&e);
    enum status status = reader_restore(part, spec, state, &r, &e);
    for (int i = 0; i < 400 && (status == ST_OK || status == ST_BAD_RECORD); i++)
        status = reader_next(r, &rec, &e);
    CHECK(status == ST_BAD_RECORD || status == ST_END || r == NULL || status == ST_CORRUPT ||
          status == ST_OK);
    reader_close(r);
}

static void write_pairs(const char *path)
{
    struct run_writer *w = NULL;
    struct err e;
    uint64_t state = 3;
    CHECK(run_create(path, 1, true, &w, &e) == ST_OK);
    for (int segment = 0; segment < 2; segment++) {
        CHECK(run_segment_begin(w, &e) == ST_OK);
        for (int i = 0; i < 20; i++) {
            struct buf key = BUF_EMPTY, value = BUF_EMPTY;
            stream_key(&state, 20, &key);
            stream_value(&state, ANY_VALUES, &value);
            CHECK(run_put(w, 0, buf_slice(&key), buf_slice(&value), &e) == ST_OK);
            buf_free(&key);
            buf_free(&value);
        }
        CHECK(run_segment_end(w, &e) == ST_OK);
    }
    CHECK(run_finish(w, false, NULL, &e) == ST_OK);
}

static void try_reader(enum input_format format, bool real, const uint8_t *data, size_t n)
{
    static const char text[] = "\xef\xbb\xbf" "a,b\n1,2\n\"x\ny\",3\n[1]\n{\"a\":2}\n4\n5,6\n";
    struct input_spec spec = { .format = format, .separator = ',', .quote = '"', .header = true,
                               .multiline = true, .record_size = 7, .max_record = 1000 };
    struct split_part part = { .size = sizeof text - 1 };
    struct buf state = BUF_EMPTY;
    struct reader *r = NULL;
    struct record rec;
    struct files f;
    struct err e;
    open_files(&f);
    if (format == IN_PAIRS)
        write_pairs(f.from_path);
    else
        CHECK(sys_write(f.from, text, sizeof text - 1, f.from_path, "fuzz", &e) == ST_OK);
    part.path = f.from_path;
    part.to = part.size = (uint64_t)lseek(f.from, 0, SEEK_END);
    if (real) {
        CHECK(reader_open(&part, &spec, &r, &e) == ST_OK);
        for (int i = 0; i < (n ? data[0] % 5 : 0); i++)
            (void)reader_next(r, &rec, &e);
        CHECK(reader_save(r, &state) == ST_OK);
        reader_close(r);
        change(&state, data, n);
    } else {
        CHECK(buf_append(&state, data, n) == ST_OK);
    }
    read_on(&part, &spec, buf_slice(&state));
    buf_free(&state);
    close_files(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum input_format formats[] = { IN_TEXT, IN_JSONL, IN_CSV, IN_WHOLE, IN_FIXED,
                                                 IN_PAIRS };
    enum { FORMATS = sizeof formats / sizeof *formats };
    if (n < 2)
        return 0;
    uint8_t what = data[0] % (KINDS + 2 + FORMATS);
    bool real = data[1] % 2 == 1;
    if (what < KINDS)
        try_collector(what, real, data + 2, n - 2);
    else if (what < KINDS + 2)
        try_output(what == KINDS, real, data + 2, n - 2);
    else
        try_reader(formats[what - KINDS - 2], real, data + 2, n - 2);
    return 0;
}
