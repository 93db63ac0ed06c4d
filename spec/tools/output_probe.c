/* output_probe: one command a line on standard input; no blanks in paths. Values as in notation.h.
 *   spec DESCRIPTION             parses an output's description: "ok SUFFIX", or why not
 *   open PATH DESCRIPTION        opens a part
 *   pair KEY VALUE               writes a pair; says nothing, or why not
 *   fill N                       writes N pairs "key-I", I
 *   pad N BYTES                  writes N pairs of a key of BYTES letters, alone
 *   stream N STEP                writes the same N bytes for any STEP, as values of STEP bytes each
 *   close                        "RECORDS BYTES RAW CHECKSUM"
 *   abandon
 *   hash PATH                    XXH3-64 of a file
 *   textkey VALUE · textval VALUE   as the text format prints it
 *   pairs PATH                   the pairs of a pair run
 *   side PATH INDEX KEY SPEC     builds a side file of one input file; KEY "-": none; "RECORDS", or
 *                                why not
 *   map INDEX                    opens it: "COUNT", or why not
 *   lookup VALUE                 in the one open: the value, or "none"
 *   entries                      all its pairs */
#include "base/arena.h"
#include "base/sys.h"
#include "data/output.h"
#include "data/run.h"
#include "data/side.h"
#include "notation.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <xxhash.h>

struct probe {
    struct output *output;
    struct side *side;
};

static enum status report(enum status status, const struct err *e)
{
    if (status != ST_OK)
        notation_print_error(status, e);
    return status;
}

static enum status parse_spec(char *line, struct output_spec *spec)
{
    struct buf description = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    notation_value(&line, &description);
    enum status status = report(output_spec_parse(buf_slice(&description), spec, &e), &e);
    buf_free(&description);
    return status;
}

static void spec(char *line)
{
    struct output_spec parsed;
    if (parse_spec(line, &parsed) == ST_OK)
        printf("ok%s\n", output_suffix(&parsed));
    output_spec_free(&parsed);
}

static void open_output(struct probe *p, char *line)
{
    struct err e;
    char *path = notation_word(&line);
    struct output_spec parsed;
    err_clear(&e);
    if (parse_spec(line, &parsed) == ST_OK)
        (void)report(output_open(path, &parsed, &p->output, &e), &e);
    output_spec_free(&parsed);
}

static void key_of(char **line, struct buf *key)
{
    struct buf value = BUF_EMPTY;
    notation_value(line, &value);
    CHECK(value_to_key(buf_slice(&value), key, NULL) == ST_OK);
    buf_free(&value);
}

static void pair(struct probe *p, char *line)
{
    struct buf key = BUF_EMPTY, value = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    key_of(&line, &key);
    notation_value(&line, &value);
    (void)report(output_pair(p->output, buf_slice(&key), buf_slice(&value), &e), &e);
    buf_free(&key);
    buf_free(&value);
}

static void fill(struct probe *p, char *line)
{
    struct buf key = BUF_EMPTY, value = BUF_EMPTY;
    struct err e;
    long n = strtol(line, NULL, 10);
    err_clear(&e);
    CHECK(buf_reserve(&key, 64) == ST_OK && key.p);
    for (long i = 0; i < n; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "key-%ld", i);
        key.n = value.n = 0;
        CHECK(key_put_string(&key, slice_of(name, (size_t)length), false) == ST_OK);
        CHECK(val_put_int(&value, i) == ST_OK);
        CHECK(output_pair(p->output, buf_slice(&key), buf_slice(&value), &e) == ST_OK);
    }
    buf_free(&key);
    buf_free(&value);
}

static void pad(struct probe *p, char *line)
{
    long n = strtol(line, &line, 10), bytes = strtol(line, NULL, 10);
    struct buf key = BUF_EMPTY;
    uint8_t alone = VAL_TRUE;
    struct err e;
    CHECK(buf_append_byte(&key, KEY_STRING) == ST_OK);
    for (long i = 0; i < bytes; i++)
        CHECK(buf_append_byte(&key, (uint8_t)('a' + i * i % 23)) == ST_OK);
    for (; n > 0; n--)
        CHECK(output_pair(p->output, buf_slice(&key), slice_of(&alone, 1), &e) == ST_OK);
    buf_free(&key);
}

static void stream(struct probe *p, char *line)
{
    long left = strtol(line, &line, 10), step = strtol(line, NULL, 10);
    struct buf value = BUF_EMPTY, bytes = BUF_EMPTY;
    uint8_t key = KEY_TRUE;
    uint32_t state = 1;
    struct err e;
    for (; left > 0; left -= step) {
        bytes.n = value.n = 0;
        for (long i = 0; i < step && i < left; i++) {
            state = state * 1664525 + 1013904223;
            CHECK(buf_append_byte(&bytes, (uint8_t)('a' + (state >> 24) % 23)) == ST_OK);
        }
        CHECK(val_put_string(&value, buf_slice(&bytes)) == ST_OK);
        CHECK(output_pair(p->output, slice_of(&key, 1), buf_slice(&value), &e) == ST_OK);
    }
    buf_free(&bytes);
    buf_free(&value);
}

static void hash(const char *path)
{
    struct buf bytes = BUF_EMPTY;
    CHECK(sys_read_file(path, SIZE_MAX / 2, &bytes, NULL) == ST_OK);
    printf("%016" PRIx64 "\n", (uint64_t)XXH3_64bits(bytes.p, bytes.n));
    buf_free(&bytes);
}

static void close_output(struct probe *p)
{
    struct output_stats stats;
    struct err e;
    err_clear(&e);
    if (report(output_close(p->output, true, &stats, &e), &e) == ST_OK)
        printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 "\n", stats.records, stats.bytes,
               stats.raw_bytes, stats.checksum);
    p->output = NULL;
}

static void text(const char *command, char *line)
{
    struct buf in = BUF_EMPTY, out = BUF_EMPTY;
    bool is_key = strcmp(command, "textkey") == 0;
    if (is_key)
        key_of(&line, &in);
    else
        notation_value(&line, &in);
    CHECK((is_key ? output_text_of_key : output_text_of_value)(buf_slice(&in), &out) == ST_OK);
    printf("%.*s\n", (int)out.n, (const char *)out.p);
    buf_free(&in);
    buf_free(&out);
}

static void print_pair(struct slice key, struct slice value)
{
    struct buf v = BUF_EMPTY;
    CHECK(key_to_value(key, &v) == ST_OK);
    notation_print(buf_slice(&v));
    printf(" = ");
    notation_print(value);
    printf("\n");
    buf_free(&v);
}

static void pairs(const char *path)
{
    struct run *run = NULL;
    struct run_cursor *c = NULL;
    struct slice key, value;
    struct err e;
    err_clear(&e);
    if (report(run_open(path, &run, &e), &e) != ST_OK)
        return;
    printf("%" PRIu64 " segments, %u partitions\n", run_segments(run), run_partitions(run));
    enum status status = run_cursor_open(run, 0, 0, &c, &e);
    while (status == ST_OK && (status = run_cursor_next(c, &key, &value, &e)) == ST_OK)
        print_pair(key, value);
    (void)report(status == ST_END ? ST_OK : status, &e);
    run_cursor_close(c);
    run_close(run);
}

static enum status build(const char *path, const char *index, const char *key,
                         struct slice description, struct err *e)
{
    struct arena a = ARENA_EMPTY;
    struct input_spec spec_of_input;
    struct stat st;
    uint64_t records = 0;
    enum status status = input_spec_parse(description, &a, &spec_of_input, e);
    if (status == ST_OK && stat(path, &st) == 0) {
        struct split_part part = { .path = path,
                                   .to = (uint64_t)st.st_size,
                                   .size = (uint64_t)st.st_size };
        struct split parts = { &part, 1, part.size };
        status = side_build(&parts, &spec_of_input, key, index, true, &records, e);
    }
    if (status == ST_OK)
        printf("%" PRIu64 "\n", records);
    arena_free(&a);
    return status;
}

static void side(char *line)
{
    struct buf description = BUF_EMPTY;
    struct err e;
    const char *path = notation_word(&line), *index = notation_word(&line),
               *key = notation_word(&line);
    err_clear(&e);
    notation_value(&line, &description);
    (void)report(
        build(path, index, strcmp(key, "-") == 0 ? NULL : key, buf_slice(&description), &e), &e);
    buf_free(&description);
}

static void map(struct probe *p, const char *index)
{
    struct err e;
    err_clear(&e);
    side_close(p->side);
    p->side = NULL;
    if (report(side_open(index, &p->side, &e), &e) == ST_OK)
        printf("%" PRIu64 "\n", side_count(p->side));
}

static void lookup(const struct probe *p, char *line)
{
    struct buf key = BUF_EMPTY;
    struct slice value;
    key_of(&line, &key);
    if (side_lookup(p->side, buf_slice(&key), &value))
        notation_print(value);
    else
        printf("none");
    printf("\n");
    buf_free(&key);
}

static void entries(const struct probe *p)
{
    for (uint64_t i = 0; i < side_count(p->side); i++) {
        struct slice key, value;
        side_pair(p->side, i, &key, &value);
        print_pair(key, value);
    }
}

static void side_command(struct probe *p, const char *command, char *line)
{
    if (strcmp(command, "pairs") == 0)
        pairs(notation_word(&line));
    else if (strcmp(command, "side") == 0)
        side(line);
    else if (strcmp(command, "map") == 0)
        map(p, notation_word(&line));
    else if (!p->side)
        printf("no side file\n");
    else if (strcmp(command, "lookup") == 0)
        lookup(p, line);
    else if (strcmp(command, "entries") == 0)
        entries(p);
    else
        printf("unknown command %s\n", command);
}

static void run_command(struct probe *p, const char *command, char *line)
{
    if (strcmp(command, "spec") == 0)
        spec(line);
    else if (strcmp(command, "open") == 0)
        open_output(p, line);
    else if (strcmp(command, "pair") == 0)
        pair(p, line);
    else if (strcmp(command, "fill") == 0)
        fill(p, line);
    else if (strcmp(command, "pad") == 0)
        pad(p, line);
    else if (strcmp(command, "stream") == 0)
        stream(p, line);
    else if (strcmp(command, "hash") == 0)
        hash(notation_word(&line));
    else if (strcmp(command, "close") == 0)
        close_output(p);
    else if (strcmp(command, "abandon") == 0) {
        output_abandon(p->output);
        p->output = NULL;
    } else if (strncmp(command, "text", 4) == 0)
        text(command, line);
    else
        side_command(p, command, line);
}

int main(void)
{
    struct probe p;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    memset(&p, 0, sizeof p);
    while ((n = getline(&line, &cap, stdin)) > 0) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        char *rest = line;
        char *command = notation_word(&rest);
        if (command)
            run_command(&p, command, rest);
    }
    free(line);
    output_abandon(p.output);
    side_close(p.side);
    return 0;
}
