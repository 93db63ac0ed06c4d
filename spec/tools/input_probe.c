/* input_probe: the input half of the data room, from a command line, for the specs.
 *
 *   expand NAME…                 size TAB path, a file a line
 *   plan SPEC SIZE NAME…         a split a line: part "path from to", more parts behind ";"
 *   read SPEC FROM TO PATH       the records of one part
 *   each SPEC PATH…              the records of each file behind a line "== PATH"; goes on after an
 *                                error
 *   cat SPEC SIZE NAME…          the records of all splits, one after another
 *   cuts SPEC PATH               reads the file in two parts for every cut, and in splits of every
 *                                size: "same" when each gives the records of the file in one part
 *   shrink SPEC SIZE PATH        the records of a file that is cut to SIZE once it is open
 *   spool PATH                   standard input into PATH; prints the bytes
 *   pairs PATH                   JSON arrays [key, value] on standard input, one a line, into a
 *                                pair run; an empty line begins a new segment
 *   bench SPEC PATH              records, value bytes, seconds
 *
 * SPEC is JSON, or a format's name. A record is printed as "offset TAB value"; the value raw, or as
 * JSON (of pairs: key TAB value); a bad one as "bad offset number raw-length: message". An error
 * ends with exit code 1. */
#include "base/sys.h"
#include "data/input.h"
#include "data/json.h"
#include "data/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const struct err *e)
{
    (void)fflush(stdout);
    (void)printf("error %s %" PRId64 " %" PRId64 ": %s\n", status_type(e->status), e->offset,
                 e->record, e->message);
    return 1;
}

static struct split_part whole_file(const char *path, uint64_t size)
{
    return (struct split_part){ .path = path, .to = size, .size = size };
}

static enum status parse_spec(const char *text, struct arena *a, struct input_spec *spec,
                              struct err *e)
{
    struct buf value = BUF_EMPTY;
    bool is_name =
        *text >= 'a' && *text <= 'z' && strcmp(text, "null") != 0 && strcmp(text, "true") != 0;
    enum status status =
        is_name ? val_put_str(&value, text) : json_to_value(slice_str(text), &value, e);
    if (status == ST_OK)
        status = input_spec_parse(buf_slice(&value), a, spec, e);
    buf_free(&value);
    return status;
}

static enum status print_json(struct slice value, bool is_key, struct buf *out, struct err *e)
{
    return is_key ? json_from_key(value, out, e) : json_from_value(value, 0, out, e);
}

static enum status print_record(const struct record *rec, struct buf *out, struct err *e)
{
    enum status status = buf_printf(out, "%" PRIu64 "\t", rec->offset);
    if (rec->is_raw)
        return buf_append_slice(out, rec->value) == ST_OK ? buf_append_byte(out, '\n') : ST_MEMORY;
    if (rec->has_key) {
        status = print_json(rec->key, true, out, e);
        (void)buf_append_byte(out, '\t');
    }
    if (status == ST_OK)
        status = print_json(rec->value, false, out, e);
    return status == ST_OK ? buf_append_byte(out, '\n') : status;
}

/* Prints all records and closes the reader. */
static enum status read_all(struct reader *r, struct buf *out, struct err *e)
{
    struct record rec;
    enum status status;
    uint64_t before = 0;
    for (;;) {
        status = reader_next(r, &rec, e);
        CHECK(reader_position(r) >= before);
        before = reader_position(r);
        if (status == ST_OK)
            status = print_record(&rec, out, e);
        else if (status == ST_BAD_RECORD)
            status = buf_printf(out, "bad %" PRIu64 " %" PRIu64 " %zu: %s\n", rec.offset,
                                rec.number, rec.raw.n, e->message);
        if (status != ST_OK)
            break;
    }
    if (status == ST_END || status == ST_CORRUPT)
        CHECK(reader_next(r, &rec, e) == status);
    reader_close(r);
    return status == ST_END ? ST_OK : status;
}

static enum status read_part(const struct split_part *part, const struct input_spec *spec,
                             struct buf *out, struct err *e)
{
    struct reader *r;
    enum status status = reader_open(part, spec, &r, e);
    return status == ST_OK ? read_all(r, out, e) : status;
}

static void print_all(const struct buf *out)
{
    if (out->n > 0)
        (void)fwrite(out->p, 1, out->n, stdout);
}

static enum status find_files(char **names, int count, struct arena *a, struct input_files *files,
                              struct err *e)
{
    struct input_name *given = arena_alloc(a, sizeof *given * (size_t)count);
    CHECK(given != NULL);
    for (int i = 0; i < count; i++)
        given[i] = (struct input_name){ names[i], 0 };
    return inputs_expand(given, (size_t)count, a, files, e);
}

static int run_expand(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_files files;
    if (find_files(argv, argc, a, &files, e) != ST_OK)
        return fail(e);
    for (size_t i = 0; i < files.count; i++)
        (void)printf("%" PRIu64 "\t%s\n", files.files[i].size, files.files[i].path);
    return 0;
}

static enum status make_plan(char **argv, int argc, struct arena *a, struct input_spec *spec,
                             struct splits *splits, struct err *e)
{
    struct input_files files;
    enum status status = argc > 2 ? parse_spec(argv[0], a, spec, e) : err_set(e, ST_USAGE, "what?");
    if (status == ST_OK)
        status = find_files(argv + 2, argc - 2, a, &files, e);
    return status == ST_OK ? splits_plan(&files, spec, strtoull(argv[1], NULL, 10), a, splits, e)
                           : status;
}

static int run_plan(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct splits splits;
    if (make_plan(argv, argc, a, &spec, &splits, e) != ST_OK)
        return fail(e);
    for (size_t i = 0; i < splits.count; i++) {
        uint64_t bytes = 0;
        for (size_t j = 0; j < splits.splits[i].count; j++) {
            const struct split_part *p = &splits.splits[i].parts[j];
            (void)printf("%s%s %" PRIu64 " %" PRIu64, j ? "; " : "", p->path, p->from, p->to);
            bytes += p->to - p->from;
        }
        CHECK(bytes == splits.splits[i].bytes);
        (void)printf("\n");
    }
    return 0;
}

static enum status read_splits(const struct splits *splits, const struct input_spec *spec,
                               struct buf *out, struct err *e)
{
    enum status status = ST_OK;
    for (size_t i = 0; i < splits->count; i++)
        for (size_t j = 0; status == ST_OK && j < splits->splits[i].count; j++)
            status = read_part(&splits->splits[i].parts[j], spec, out, e);
    return status;
}

static int run_cat(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct splits splits;
    struct buf out = BUF_EMPTY;
    enum status status = make_plan(argv, argc, a, &spec, &splits, e);
    if (status == ST_OK)
        status = read_splits(&splits, &spec, &out, e);
    print_all(&out);
    buf_free(&out);
    return status == ST_OK ? 0 : fail(e);
}

static int run_read(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct input_files files = { NULL, 0 };
    struct buf out = BUF_EMPTY;
    enum status status =
        argc == 4 ? parse_spec(argv[0], a, &spec, e) : err_set(e, ST_USAGE, "what?");
    if (status == ST_OK)
        status = find_files(argv + 3, 1, a, &files, e);
    if (status == ST_OK) {
        uint64_t size = files.files[0].size;
        uint64_t to = strcmp(argv[2], "end") == 0 ? size : strtoull(argv[2], NULL, 10);
        const char *planned = getenv("PLANNED_SIZE");
        struct split_part part = { .path = argv[3],
                                   .from = strtoull(argv[1], NULL, 10),
                                   .to = to,
                                   .size = planned ? strtoull(planned, NULL, 10) : size };
        status = read_part(&part, &spec, &out, e);
    }
    print_all(&out);
    buf_free(&out);
    return status == ST_OK ? 0 : fail(e);
}

static int run_each(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct buf out = BUF_EMPTY;
    if (argc < 1 || parse_spec(argv[0], a, &spec, e) != ST_OK)
        return fail(e);
    for (int i = 1; i < argc; i++) {
        struct input_files files;
        (void)printf("== %s\n", argv[i]);
        enum status status = find_files(argv + i, 1, a, &files, e);
        out.n = 0;
        if (status == ST_OK) {
            struct split_part part = whole_file(argv[i], files.files[0].size);
            status = read_part(&part, &spec, &out, e);
        }
        print_all(&out);
        if (status != ST_OK)
            (void)fail(e);
    }
    buf_free(&out);
    return 0;
}

static int run_shrink(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct input_files files = { NULL, 0 };
    struct reader *r = NULL;
    struct buf out = BUF_EMPTY;
    enum status status =
        argc == 3 ? parse_spec(argv[0], a, &spec, e) : err_set(e, ST_USAGE, "what?");
    if (status == ST_OK)
        status = find_files(argv + 2, 1, a, &files, e);
    if (status == ST_OK) {
        struct split_part part = whole_file(argv[2], files.files[0].size);
        status = reader_open(&part, &spec, &r, e);
    }
    if (status == ST_OK) {
        CHECK(truncate(argv[2], (off_t)strtoull(argv[1], NULL, 10)) == 0);
        status = read_all(r, &out, e);
    }
    print_all(&out);
    buf_free(&out);
    return status == ST_OK ? 0 : fail(e);
}

/* Numbers of bad records are counted a part, so they are left out of what is compared. */
static void drop_numbers(struct buf *out)
{
    uint8_t *to = out->p;
    bool at_start = true, dropping = false;
    int spaces = 0;
    for (size_t i = 0; i < out->n; i++) {
        uint8_t c = out->p[i];
        if (at_start)
            dropping = out->n - i > 4 && memcmp(out->p + i, "bad ", 4) == 0, spaces = 0;
        at_start = c == '\n';
        spaces += c == ' ';
        if (!dropping || spaces != 2)
            *to++ = c;
    }
    out->n = (size_t)(to - out->p);
}

static int differs(const struct buf *got, const struct buf *want, const char *how, uint64_t n)
{
    if (slice_equal(buf_slice(got), buf_slice(want)))
        return 0;
    (void)printf("%s %" PRIu64 " differs:\n", how, n);
    print_all(got);
    (void)printf("--- instead of:\n");
    print_all(want);
    return 1;
}

static int run_cuts(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct input_files files = { NULL, 0 };
    struct buf want = BUF_EMPTY, got = BUF_EMPTY;
    enum status status =
        argc == 2 ? parse_spec(argv[0], a, &spec, e) : err_set(e, ST_USAGE, "what?");
    if (status == ST_OK)
        status = find_files(argv + 1, 1, a, &files, e);
    uint64_t size = status == ST_OK ? files.files[0].size : 0;
    struct split_part whole = whole_file(argv[1], size);
    if (status == ST_OK)
        status = read_part(&whole, &spec, &want, e);
    drop_numbers(&want);
    int bad = 0;
    for (uint64_t cut = 0; status == ST_OK && !bad && cut <= size; cut++) {
        struct split_part first = { .path = argv[1], .to = cut, .size = size },
                          second = { .path = argv[1], .from = cut, .to = size, .size = size };
        got.n = 0;
        status = read_part(&first, &spec, &got, e);
        if (status == ST_OK)
            status = read_part(&second, &spec, &got, e);
        drop_numbers(&got);
        bad = status == ST_OK && differs(&got, &want, "cut", cut);
    }
    for (uint64_t n = 1; status == ST_OK && !bad && n <= size; n++) {
        struct splits splits;
        got.n = 0;
        status = splits_plan(&files, &spec, n, a, &splits, e);
        if (status == ST_OK)
            status = read_splits(&splits, &spec, &got, e);
        drop_numbers(&got);
        bad = status == ST_OK && differs(&got, &want, "split size", n);
    }
    if (status == ST_OK && !bad)
        (void)printf("same\n");
    buf_free(&want);
    buf_free(&got);
    return status == ST_OK ? bad : fail(e);
}

static int run_spool(int argc, char **argv, struct arena *a, struct err *e)
{
    (void)a;
    uint64_t bytes;
    if (argc != 1 || input_spool(0, argv[0], true, &bytes, e) != ST_OK)
        return fail(e);
    (void)printf("%" PRIu64 "\n", bytes);
    return 0;
}

/* One line of a pair run's text. */
static enum status put_pair(struct run_writer *w, struct slice line, struct err *e)
{
    struct buf value = BUF_EMPTY, key = BUF_EMPTY;
    struct val_cursor c;
    struct slice first, second;
    if (line.n == 0) {
        enum status status = run_segment_end(w, e);
        return status == ST_OK ? run_segment_begin(w, e) : status;
    }
    enum status status = json_to_value(line, &value, e);
    if (status == ST_OK) {
        CHECK(val_array(buf_slice(&value), &c) == 2);
        CHECK(val_skip(&c, &first) == ST_OK && val_skip(&c, &second) == ST_OK);
        status = value_to_key(first, &key, e);
    }
    if (status == ST_OK)
        status = run_put(w, 0, buf_slice(&key), second, e);
    buf_free(&value);
    buf_free(&key);
    return status;
}

static int run_pairs(int argc, char **argv, struct arena *a, struct err *e)
{
    (void)a;
    struct run_writer *w;
    if (argc != 1 || run_create(argv[0], 1, false, &w, e) != ST_OK)
        return fail(e);
    enum status status = run_segment_begin(w, e);
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while (status == ST_OK && (n = getline(&line, &cap, stdin)) > 0)
        status = put_pair(w, slice_of(line, (size_t)n - 1), e);
    free(line);
    if (status == ST_OK)
        status = run_segment_end(w, e);
    if (status == ST_OK)
        status = run_finish(w, false, NULL, e);
    return status == ST_OK ? 0 : fail(e);
}

static int run_bench(int argc, char **argv, struct arena *a, struct err *e)
{
    struct input_spec spec;
    struct input_files files = { NULL, 0 };
    if (argc != 2 || parse_spec(argv[0], a, &spec, e) != ST_OK ||
        find_files(argv + 1, 1, a, &files, e) != ST_OK)
        return fail(e);
    struct split_part part = whole_file(argv[1], files.files[0].size);
    struct reader *r;
    struct record rec;
    uint64_t records = 0, bytes = 0;
    int64_t start = sys_now(), cpu = sys_cpu_time();
    enum status status = reader_open(&part, &spec, &r, e);
    if (status != ST_OK)
        return fail(e);
    while ((status = reader_next(r, &rec, e)) == ST_OK) {
        records++;
        bytes += rec.value.n;
    }
    reader_close(r);
    (void)printf("%" PRIu64 " records %" PRIu64 " bytes %.3f s, %.3f s cpu\n", records, bytes,
                 (double)(sys_now() - start) / 1e9, (double)(sys_cpu_time() - cpu) / 1e9);
    return status == ST_END ? 0 : fail(e);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv, struct arena *a, struct err *e);
} commands[] = {
    { "expand", run_expand }, { "plan", run_plan },   { "cat", run_cat },
    { "read", run_read },     { "each", run_each },   { "cuts", run_cuts },
    { "spool", run_spool },   { "pairs", run_pairs }, { "bench", run_bench },
    { "shrink", run_shrink },
};

int main(int argc, char **argv)
{
    struct arena a = ARENA_EMPTY;
    struct err e;
    err_clear(&e);
    int code = 2;
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            code = commands[i].run(argc - 2, argv + 2, &a, &e);
    arena_free(&a);
    if (code == 2)
        (void)fprintf(
            stderr,
            "usage: input_probe expand|plan|each|cat|read|cuts|shrink|spool|pairs|bench …\n");
    return code;
}
