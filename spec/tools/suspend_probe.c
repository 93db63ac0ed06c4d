/* suspend_probe: saves what a task checkpoint saves, throws the thing away, goes on from the state,
 * and compares what comes out with what comes of one that was never disturbed.
 *
 *   collect KIND EVERY RECORDS BUFFER PARTITIONS [compress] [group_by=N] [distinct=N]
 *        the runs of a pseudo-random stream, suspended after every EVERYth record. KIND: "pile",
 *        "combiner", or an aggregate's declaration (JSON). Writes into the working directory.
 *        "same BYTES SEGMENTS SAVES STAGED": STAGED of the saves had pairs in the stage.
 *   damage KIND 0 RECORDS BUFFER PARTITIONS
 *        a collector's state, cut at every byte, and every byte of it changed: "refused CUTS", when each
 *        cut is ST_CORRUPT, and each change that, or what goes on to its end
 *   read SPEC FROM TO PATH [SIZE]
 *        the records of one part (of an address: with its SIZE, or "unknown"); saved after each, also
 *        after bad ones and at the end: "same RECORDS"
 *   cuts SPEC STEP PATH          the same for both parts of every STEPth cut: "same CUTS"
 *   pairs COUNT PATH             writes a pair run of some segments, to be read
 *   output SPEC EVERY PAIRS      a part, suspended: "same BYTES SAVES", or why it cannot be
 *
 * What differs is said in one line; the exit code is 1 then. */
#include "base/sys.h"
#include "data/collect_internal.h"
#include "data/input.h"
#include "data/json.h"
#include "data/output.h"
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { FILE_MAX = 1 << 30, LARGE = 100000 };

static int fail(const struct err *e)
{
    printf("error %s: %s\n", status_type(e->status), e->message);
    return 1;
}

static struct buf encoded(const char *text)
{
    struct buf value = BUF_EMPTY;
    bool is_name = *text >= 'a' && *text <= 'z';
    CHECK((is_name ? val_put_str(&value, text)
                   : json_to_value(slice_str(text), &value, NULL)) == ST_OK);
    return value;
}

/* True when two files hold the same bytes; *bytes becomes how many. */
static bool same_files(const char *a, const char *b, size_t *bytes)
{
    struct buf x = BUF_EMPTY, y = BUF_EMPTY;
    struct err e;
    CHECK(sys_read_file(a, FILE_MAX, &x, &e) == ST_OK && sys_read_file(b, FILE_MAX, &y, &e) == ST_OK);
    bool same = slice_equal(buf_slice(&x), buf_slice(&y));
    *bytes = x.n;
    buf_free(&x);
    buf_free(&y);
    return same;
}

/* --- collectors --- */

struct trial {
    struct collect_config config;
    struct stream stream;
    uint64_t records, every;
    uint64_t saves, staged; /* counted */
    struct agg *agg;
    char paths[2][32];
};

/* One value for a group, in which each of them and their order count. */
static enum status combine(void *context, struct slice key, const struct group_values *values,
                           combine_put put, void *put_context, struct err *e)
{
    (void)context;
    (void)e;
    uint8_t bytes[16];
    struct buf value = { bytes, 0, sizeof bytes };
    uint64_t hash = XXH3_64bits(key.p, key.n);
    for (uint64_t i = 0; i < values->count; i++)
        hash = XXH3_64bits_withSeed(values->values[i].p, values->values[i].n, hash);
    CHECK(val_put_int(&value, (int64_t)(hash >> 8)) == ST_OK);
    return put(put_context, buf_slice(&value));
}

static enum stream_values values_of(const struct agg *agg, const char *kind)
{
    const char *name = agg ? agg_name(agg) : "";
    if (strcmp(name, "sum") == 0 || strcmp(name, "mean") == 0 || strcmp(name, "quantiles") == 0)
        return NUMBERS;
    if (strcmp(name, "all") == 0)
        return FIELDS;
    if (strcmp(name, "top") == 0)
        return strstr(kind, "by") ? RANKED : ORDERED;
    bool any = !agg || strcmp(name, "list") == 0 || strcmp(name, "first") == 0 ||
               strcmp(name, "last") == 0 || strcmp(name, "count") == 0;
    return any ? ANY_VALUES : ORDERED;
}

/* Where collectors get names from: a fresh copy, so that nobody relies on the old one. */
static const char *file_of(uint64_t record)
{
    static const char *const files[] = { "a/one", "b/two", "b/two", NULL };
    return files[record / 7 % 4];
}

static enum status feed(struct trial *t, struct collect *c, uint64_t from, uint64_t to,
                        struct err *e)
{
    enum status status = ST_OK;
    for (uint64_t i = from; i < to && i < t->records && status == ST_OK; i++)
        status = stream_record(&t->stream, i, c, file_of(i), e);
    return status;
}

/* The collector dies some records behind its save; another goes on from there. */
static enum status suspend(struct trial *t, struct collect **c, uint64_t done, struct err *e)
{
    struct buf state = BUF_EMPTY, again = BUF_EMPTY;
    const char *from = t->config.run_path;
    t->saves++;
    t->staged += (*c)->committed > 0;
    enum status status = collect_save(*c, t->saves % 64 == 0, &state, e);
    if (status == ST_OK)
        status = collect_save(*c, false, &again, e);
    CHECK(slice_equal(buf_slice(&state), buf_slice(&again)));
    if (status == ST_OK)
        status = feed(t, *c, done, done + t->saves % 4 * t->every / 2, e);
    collect_close(*c);
    *c = NULL;
    t->config.run_path = t->paths[t->saves % 2];
    if (status == ST_OK)
        status = sys_unlink(t->config.run_path, e); /* a file that is cut to nothing is flushed on close */
    if (status == ST_OK)
        status = collect_restore(&t->config, from, buf_slice(&state), c, e);
    again.n = 0;
    if (status == ST_OK)
        status = collect_save(*c, false, &again, e);
    CHECK(status != ST_OK || slice_equal(buf_slice(&state), buf_slice(&again)));
    buf_free(&state);
    buf_free(&again);
    return status;
}

static enum status collect_all(struct trial *t, struct collect_stats *stats, struct err *e)
{
    struct collect *c = NULL;
    enum status status = collect_open(&t->config, &c, e);
    for (uint64_t done = 0; status == ST_OK && done < t->records;) {
        uint64_t next = t->every ? done + t->every : t->records;
        status = feed(t, c, done, next, e);
        done = next;
        if (status == ST_OK && t->every)
            status = suspend(t, &c, done < t->records ? done : t->records, e);
    }
    if (status == ST_OK)
        status = collect_finish(c, false, stats, e);
    collect_close(c);
    return status;
}

static void take_options(struct trial *t, char **argv, int argc)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "compress") == 0)
            t->config.compress = true;
        if (strncmp(argv[i], "group_by=", 9) == 0)
            t->config.group_by = (uint32_t)strtoul(argv[i] + 9, NULL, 10);
        if (strncmp(argv[i], "distinct=", 9) == 0)
            t->stream.distinct = (uint32_t)strtoul(argv[i] + 9, NULL, 10);
    }
}

static int compare_runs(struct trial *t, struct err *e)
{
    struct collect_stats plain = { 0 }, cut = { 0 };
    uint64_t every = t->every;
    size_t bytes = 0;
    t->every = 0;
    t->config.run_path = "plain.run";
    if (collect_all(t, &plain, e) != ST_OK)
        return fail(e);
    t->every = every;
    t->config.run_path = "first.run";
    if (collect_all(t, &cut, e) != ST_OK)
        return fail(e);
    bool same = same_files("plain.run", t->config.run_path, &bytes);
    bool same_stats = memcmp(&plain, &cut, sizeof plain) == 0;
    printf("%s %zu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
           !same ? "other bytes" : !same_stats ? "other statistics" : "same", bytes,
           plain.run.segments, t->saves, t->staged);
    return !(same && same_stats);
}

/* The status with which a state is taken, and if it is, with which its collector ends. */
static enum status try_state(struct trial *t, struct slice state, struct err *e)
{
    struct collect *c = NULL;
    err_clear(e);
    enum status status = sys_unlink("again.run", e);
    if (status == ST_OK)
        status = collect_restore(&t->config, "first.run", state, &c, e);
    if (status == ST_OK)
        status = collect_finish(c, false, NULL, e);
    collect_close(c);
    return status;
}

static int damage(struct trial *t, struct err *e)
{
    struct collect *c = NULL;
    struct buf state = BUF_EMPTY;
    t->config.run_path = "first.run";
    enum status status = collect_open(&t->config, &c, e);
    if (status == ST_OK)
        status = feed(t, c, 0, t->records, e);
    if (status == ST_OK)
        status = collect_save(c, false, &state, e);
    collect_close(c);
    t->config.run_path = "again.run";
    if (status != ST_OK || try_state(t, buf_slice(&state), e) != ST_OK)
        return fail(e);
    for (size_t i = 0; i < state.n; i++) {
        bool cut = try_state(t, slice_of(state.p, i), e) == ST_CORRUPT && e->message[0];
        state.p[i] ^= 0x55;
        status = try_state(t, buf_slice(&state), e);
        state.p[i] ^= 0x55;
        if (!cut || (status != ST_OK && status != ST_CORRUPT && status != ST_SCRIPT)) {
            printf("taken: cut or changed at %zu\n", i);
            return 1;
        }
    }
    printf("refused %zu\n", state.n);
    buf_free(&state);
    return 0;
}

static int run_collect(char **argv, int argc, bool damaged, struct err *e)
{
    if (argc < 5)
        return 2;
    struct trial t = { .paths = { "even.run", "odd.run" } };
    bool is_agg = strcmp(argv[0], "pile") != 0 && strcmp(argv[0], "combiner") != 0;
    struct buf declaration = is_agg ? encoded(argv[0]) : BUF_EMPTY;
    if (is_agg && agg_parse(buf_slice(&declaration), &t.agg, e) != ST_OK)
        return fail(e);
    t.every = strtoull(argv[1], NULL, 10);
    t.records = strtoull(argv[2], NULL, 10);
    t.config.sort_buffer = strtoull(argv[3], NULL, 10);
    t.config.partitions = (uint32_t)strtoul(argv[4], NULL, 10);
    t.config.agg = t.agg;
    t.config.combiner.combine = strcmp(argv[0], "combiner") == 0 ? combine : NULL;
    t.stream = (struct stream){ t.records * 31 + t.config.sort_buffer, 300, t.config.partitions,
                                values_of(t.agg, argv[0]) };
    take_options(&t, argv + 5, argc - 5);
    int code = damaged ? damage(&t, e) : compare_runs(&t, e);
    agg_free(t.agg);
    buf_free(&declaration);
    return code;
}

/* --- readers --- */

/* What reader_next gave, as bytes. */
static void note_record(enum status status, const struct record *rec, const struct err *e,
                        struct buf *out)
{
    CHECK(buf_printf(out, "%d %" PRIu64 " %" PRIu64 " %d ", (int)status, rec->offset, rec->number,
                     rec->is_raw) == ST_OK);
    if (status == ST_OK && rec->has_key)
        CHECK(buf_append_slice(out, rec->key) == ST_OK);
    if (status == ST_OK)
        CHECK(buf_append_slice(out, rec->value) == ST_OK);
    else
        CHECK(buf_printf(out, "%s %" PRId64 " %" PRId64, e->message, e->offset, e->record) == ST_OK);
    CHECK(buf_append_slice(out, rec->raw) == ST_OK && buf_append_byte(out, '\n') == ST_OK);
}

/* Closes the reader; another goes on where it stood. */
static enum status reopen(const struct split_part *part, const struct input_spec *spec,
                          struct reader **r, struct err *e)
{
    struct buf state = BUF_EMPTY, again = BUF_EMPTY;
    enum status status = reader_save(*r, &state);
    reader_close(*r);
    *r = NULL;
    if (status == ST_OK)
        status = reader_restore(part, spec, buf_slice(&state), r, e);
    if (status == ST_OK)
        CHECK(reader_save(*r, &again) == ST_OK && slice_equal(buf_slice(&state), buf_slice(&again)));
    buf_free(&state);
    buf_free(&again);
    return status;
}

/* All records of a part into `out`; an error other than of a record ends it. */
static uint64_t read_part(const struct split_part *part, const struct input_spec *spec, bool saved,
                          struct buf *out)
{
    struct reader *r = NULL;
    struct record rec = { 0 };
    struct err e;
    uint64_t records = 0;
    int ends = 0;
    err_clear(&e);
    enum status status = reader_open(part, spec, &r, &e);
    while (status == ST_OK && ends < 2) {
        if (saved)
            status = reopen(part, spec, &r, &e);
        if (status != ST_OK)
            break;
        status = reader_next(r, &rec, &e);
        ends += status == ST_END;
        if (status == ST_OK || status == ST_BAD_RECORD)
            note_record(status, &rec, &e, out);
        records += status == ST_OK;
        if (status == ST_BAD_RECORD || status == ST_END)
            status = ST_OK;
    }
    if (status != ST_OK)
        CHECK(buf_printf(out, "%s %s %" PRId64 "\n", status_type(status), e.message, e.offset) ==
              ST_OK);
    reader_close(r);
    return records;
}

static bool same_records(const struct split_part *part, const struct input_spec *spec,
                         uint64_t *records)
{
    struct buf plain = BUF_EMPTY, cut = BUF_EMPTY;
    *records += read_part(part, spec, false, &plain);
    (void)read_part(part, spec, true, &cut);
    bool same = slice_equal(buf_slice(&plain), buf_slice(&cut));
    if (!same)
        printf("[%" PRIu64 ", %" PRIu64 "): other records\n%.*s---\n%.*s", part->from, part->to,
               (int)plain.n, (const char *)plain.p, (int)cut.n, (const char *)cut.p);
    buf_free(&plain);
    buf_free(&cut);
    return same;
}

static bool take_spec(const char *text, struct arena *a, struct input_spec *spec, struct err *e)
{
    struct buf description = encoded(text);
    bool good = input_spec_parse(buf_slice(&description), a, spec, e) == ST_OK;
    buf_free(&description);
    return good;
}

static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int run_read(char **argv, int argc, struct arena *a, struct err *e)
{
    struct input_spec spec;
    uint64_t records = 0;
    if (argc != 4 && argc != 5)
        return 2;
    if (!take_spec(argv[0], a, &spec, e))
        return fail(e);
    struct split_part part = { .path = argv[3], .size = size_of(argv[3]) };
    if (argc == 5)
        part.size = *argv[4] == 'u' ? INPUT_SIZE_UNKNOWN : strtoull(argv[4], NULL, 10);
    part.from = strtoull(argv[1], NULL, 10);
    part.to = strcmp(argv[2], "end") == 0 ? part.size : strtoull(argv[2], NULL, 10);
    if (!same_records(&part, &spec, &records))
        return 1;
    printf("same %" PRIu64 "\n", records);
    return 0;
}

static int run_cuts(char **argv, int argc, struct arena *a, struct err *e)
{
    struct input_spec spec;
    uint64_t cuts = 0, records = 0;
    if (argc != 3)
        return 2;
    if (!take_spec(argv[0], a, &spec, e))
        return fail(e);
    uint64_t size = size_of(argv[2]), step = strtoull(argv[1], NULL, 10);
    for (uint64_t at = 1; at < size; at += step, cuts++) {
        struct split_part left = { .path = argv[2], .to = at, .size = size };
        struct split_part right = { .path = argv[2], .from = at, .to = size, .size = size };
        if (!same_records(&left, &spec, &records) || !same_records(&right, &spec, &records))
            return 1;
    }
    printf("same %" PRIu64 "\n", cuts);
    return 0;
}

/* --- pairs and outputs --- */

static void make_pair(uint64_t i, struct buf *key, struct buf *value)
{
    uint64_t state = i;
    key->n = value->n = 0;
    stream_key(&state, 1000, key);
    stream_value(&state, ANY_VALUES, value);
    if (i % 500 == 499) { /* larger than a block */
        struct buf text = BUF_EMPTY;
        CHECK(buf_reserve(&text, LARGE) == ST_OK);
        memset(text.p, 'x', LARGE);
        value->n = 0;
        CHECK(val_put_string(value, slice_of(text.p, LARGE)) == ST_OK);
        buf_free(&text);
    }
}

static int run_pairs(char **argv, int argc, struct err *e)
{
    struct run_writer *w = NULL;
    struct buf key = BUF_EMPTY, value = BUF_EMPTY;
    if (argc != 2)
        return 2;
    uint64_t count = strtoull(argv[0], NULL, 10);
    enum status status = run_create(argv[1], 1, true, &w, e);
    for (uint64_t segment = 0; status == ST_OK && segment < 3; segment++) {
        status = run_segment_begin(w, e);
        uint64_t n = segment == 1 ? 0 : count;
        for (uint64_t i = 0; status == ST_OK && i < n; i++) {
            make_pair(i + segment * count, &key, &value);
            status = run_put(w, 0, buf_slice(&key), buf_slice(&value), e);
        }
        if (status == ST_OK)
            status = run_segment_end(w, e);
    }
    if (status == ST_OK)
        status = run_finish(w, false, NULL, e);
    buf_free(&key);
    buf_free(&value);
    return status == ST_OK ? 0 : fail(e);
}

struct part {
    struct output_spec spec;
    uint64_t pairs, every, saves;
    struct output_stats stats;
    char path[32];
};

/* Writes more pairs; one that the format refuses leaves nothing. */
static enum status put_pairs(struct output *o, uint64_t from, uint64_t to, struct err *e)
{
    struct buf key = BUF_EMPTY, value = BUF_EMPTY;
    enum status status = ST_OK;
    for (uint64_t i = from; i < to && status == ST_OK; i++) {
        make_pair(i, &key, &value);
        status = output_pair(o, buf_slice(&key), buf_slice(&value), e);
        if (status == ST_SCRIPT)
            status = ST_OK;
    }
    buf_free(&key);
    buf_free(&value);
    return status;
}

static enum status suspend_output(struct part *p, struct output **o, uint64_t done, struct err *e)
{
    struct buf state = BUF_EMPTY;
    char from[sizeof p->path];
    memcpy(from, p->path, sizeof from);
    enum status status = output_suspend(*o, p->saves % 64 == 0, &state, e);
    if (status == ST_OK)
        status = put_pairs(*o, done, done + p->saves % 3 * 1000, e);
    output_abandon(*o);
    *o = NULL;
    p->saves++;
    (void)snprintf(p->path, sizeof p->path, "part-%" PRIu64, p->saves % 2);
    if (status == ST_OK)
        status = sys_unlink(p->path, e);
    if (status == ST_OK)
        status = output_resume(from, buf_slice(&state), p->path, &p->spec, o, e);
    buf_free(&state);
    return status;
}

static enum status write_part(struct part *p, const char *path, struct err *e)
{
    struct output *o = NULL;
    (void)snprintf(p->path, sizeof p->path, "%s", path);
    enum status status = output_open(path, &p->spec, &o, e);
    for (uint64_t done = 0; status == ST_OK && done < p->pairs;) {
        uint64_t next = p->every ? done + p->every : p->pairs;
        status = put_pairs(o, done, next < p->pairs ? next : p->pairs, e);
        done = next;
        if (status == ST_OK && p->every)
            status = suspend_output(p, &o, done, e);
    }
    if (status == ST_OK)
        return output_close(o, false, &p->stats, e);
    output_abandon(o);
    return status;
}

static int run_output(char **argv, int argc, struct err *e)
{
    struct part p = { .pairs = 0 };
    size_t bytes = 0;
    if (argc != 3)
        return 2;
    struct buf description = encoded(argv[0]);
    if (output_spec_parse(buf_slice(&description), &p.spec, e) != ST_OK)
        return fail(e);
    p.pairs = strtoull(argv[2], NULL, 10);
    enum status status = write_part(&p, "plain", e);
    struct output_stats plain = p.stats;
    p.every = strtoull(argv[1], NULL, 10);
    if (status == ST_OK)
        status = write_part(&p, "first", e);
    output_spec_free(&p.spec);
    buf_free(&description);
    if (status != ST_OK)
        return fail(e);
    bool same = same_files("plain", p.path, &bytes);
    bool same_stats = memcmp(&plain, &p.stats, sizeof plain) == 0;
    printf("%s %zu %" PRIu64 "\n", !same ? "other bytes" : !same_stats ? "other statistics" : "same",
           bytes, p.saves);
    return !(same && same_stats);
}

int main(int argc, char **argv)
{
    struct arena a = ARENA_EMPTY;
    struct err e;
    int code = 2;
    err_clear(&e);
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "collect") == 0)
        code = run_collect(argv + 2, argc - 2, false, &e);
    else if (strcmp(command, "damage") == 0)
        code = run_collect(argv + 2, argc - 2, true, &e);
    else if (strcmp(command, "read") == 0)
        code = run_read(argv + 2, argc - 2, &a, &e);
    else if (strcmp(command, "cuts") == 0)
        code = run_cuts(argv + 2, argc - 2, &a, &e);
    else if (strcmp(command, "pairs") == 0)
        code = run_pairs(argv + 2, argc - 2, &e);
    else if (strcmp(command, "output") == 0)
        code = run_output(argv + 2, argc - 2, &e);
    arena_free(&a);
    return code;
}
