/* shuffle_bench: what the shuffle costs by itself, without Lua, scheduler or processes. Not part of make test.
 *
 *   shuffle_bench text FILE MEGABYTES DISTINCT       writes lines of words whose frequencies follow Zipf's law
 *   shuffle_bench records FILE MEGABYTES             writes lines of 99 random printable bytes
 *   shuffle_bench words FILE DIR [SPLIT_MB] [BUFFER_MB] [PARTITIONS]   word count: map tasks, then the reduces
 *   shuffle_bench sort FILE DIR [SPLIT_MB] [BUFFER_MB] [PARTITIONS]    sort of its 100-byte lines, total order */
#include "base/sys.h"
#include "data/collect.h"
#include "data/merge.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS_MAX = 4096, RECORD = 100, PARTITIONS_MAX = 256 };

struct bench {
    struct buf text;
    const char *dir;
    size_t split;
    uint64_t buffer;
    uint32_t partitions;
    char *runs[TASKS_MAX];
    size_t tasks;
    uint64_t emits;
    struct slice boundaries[PARTITIONS_MAX];
    uint8_t boundary_bytes[PARTITIONS_MAX][2];
    struct agg *agg;
};

static void check(enum status status, const struct err *e)
{
    if (status == ST_OK)
        return;
    fprintf(stderr, "shuffle_bench: %s: %s\n", status_type(status), e->message);
    exit(1);
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    return f;
}

/* Letters of word number `rank`: the more frequent, the shorter. */
static size_t spell(uint64_t rank, char *out)
{
    size_t n = 0;
    uint64_t seed = rank;
    do
        out[n++] = (char)('a' + (rank + next_random(&seed)) % 26);
    while ((rank /= 8) > 0);
    return n;
}

static void make_text(const char *path, size_t bytes, double distinct)
{
    FILE *f = create(path);
    uint64_t random = 1;
    size_t column = 0;
    char word[64];
    for (size_t done = 0; done < bytes;) {
        double u = (double)(next_random(&random) >> 11) / 9007199254740992.0;
        size_t n = spell((uint64_t)exp(u * log(distinct)), word);
        column += n + 1;
        word[n] = column > 60 ? '\n' : ' ';
        column = column > 60 ? 0 : column;
        done += fwrite(word, 1, n + 1, f);
    }
    putc('\n', f);
    fclose(f);
}

static void make_records(const char *path, size_t bytes)
{
    FILE *f = create(path);
    uint64_t random = 2;
    for (size_t done = 0; done + RECORD <= bytes; done += RECORD) {
        char line[RECORD];
        for (size_t i = 0; i + 1 < RECORD; i++)
            line[i] = (char)(' ' + next_random(&random) % 95);
        line[RECORD - 1] = '\n';
        fwrite(line, 1, RECORD, f);
    }
    fclose(f);
}

static double seconds_since(int64_t start)
{
    return (double)(sys_cpu_time() - start) / 1e9;
}

/* Emits the words of [p, end); with no collector only finds them. */
static uint64_t map_words(struct collect *c, const char *p, const char *end)
{
    uint64_t words = 0, sum = 0;
    int64_t record = 0;
    struct err e;
    err_clear(&e);
    while (p < end) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        line = line ? line : end;
        while (p < line) {
            const char *start = p;
            while (p < line && *p != ' ')
                p++;
            if (p > start) {
                words++;
                if (c)
                    check(collect_string_int(c, start, (size_t)(p - start), 1, &e), &e);
                else
                    sum += (size_t)(p - start);
            }
            p++;
        }
        if (c)
            check(collect_commit(c, &(struct collect_place){ NULL, -1, record++ }, &e), &e);
        p = line + 1;
    }
    return c ? words : words + (sum == 0);
}

static void map_records(struct collect *c, const uint8_t *p, const uint8_t *end)
{
    struct err e;
    err_clear(&e);
    for (int64_t record = 0; p + RECORD <= end; p += RECORD) {
        struct buf *stage = collect_stage(c);
        check(key_put_string(stage, slice_of(p, RECORD - 1), false), &e);
        collect_staged_key(c);
        check(val_put_bool(stage, true), &e);
        check(collect_staged(c, PARTITION_BY_KEY, &e), &e);
        check(collect_commit(c, &(struct collect_place){ NULL, -1, record++ }, &e), &e);
    }
}

static void open_task(struct bench *b, bool words, struct collect **c)
{
    struct err e;
    struct buf path = BUF_EMPTY;
    CHECK(buf_printf(&path, "%s/bench-run-%zu", b->dir, b->tasks) == ST_OK && b->tasks < TASKS_MAX);
    b->runs[b->tasks++] = (char *)path.p;
    struct collect_config config = { .run_path = (char *)path.p,
                                     .partitions = b->partitions,
                                     .sort_buffer = b->buffer,
                                     .agg = words ? b->agg : NULL,
                                     .boundaries = words ? NULL : b->boundaries };
    err_clear(&e);
    check(collect_open(&config, c, &e), &e);
}

static void run_map(struct bench *b, bool words)
{
    struct err e;
    struct collect_stats stats, total = { 0 };
    err_clear(&e);
    int64_t start = sys_cpu_time(), wall = sys_now();
    for (size_t at = 0; at < b->text.n;) {
        size_t end = at + b->split < b->text.n ? at + b->split : b->text.n;
        while (end < b->text.n && b->text.p[end - 1] != '\n')
            end++;
        struct collect *c;
        open_task(b, words, &c);
        if (words)
            b->emits += map_words(c, (char *)b->text.p + at, (char *)b->text.p + end);
        else
            map_records(c, b->text.p + at, b->text.p + end);
        check(collect_finish(c, false, &stats, &e), &e);
        collect_close(c);
        total.run.pairs += stats.run.pairs;
        total.run.bytes += stats.run.bytes;
        total.spills += stats.spills;
        total.staged_pairs += stats.staged_pairs;
        at = end;
    }
    double cpu = seconds_since(start);
    printf("map: %zu tasks, %.3f s CPU, %.3f s wall, %.1f ns an emit, %.0f MB/s; %llu emits, %llu "
           "pairs, %.1f MB runs, %llu spills\n",
           b->tasks, cpu, (double)(sys_now() - wall) / 1e9, cpu * 1e9 / (double)total.staged_pairs,
           (double)b->text.n / 1e6 / cpu, (unsigned long long)total.staged_pairs,
           (unsigned long long)total.run.pairs, (double)total.run.bytes / 1e6,
           (unsigned long long)total.spills);
}

/* Merges and writes "key LF" of each group or pair, as a text part would be. */
static void run_reduce(struct bench *b, bool words)
{
    struct err e;
    err_clear(&e);
    int64_t start = sys_cpu_time(), wall = sys_now();
    uint64_t pairs = 0, groups = 0;
    struct buf last = BUF_EMPTY, out = BUF_EMPTY;
    CHECK(buf_reserve(&out, 1 << 20) == ST_OK);
    for (uint32_t p = 0; p < b->partitions; p++) {
        struct buf path = BUF_EMPTY;
        CHECK(buf_printf(&path, "%s/bench-part-%u", b->dir, p) == ST_OK);
        int fd;
        check(sys_create((char *)path.p, &fd, &e), &e);
        struct merge_config config = { (const char *const *)b->runs, b->tasks, p, 0,
                                       (char *)path.p, NULL };
        struct merge *m;
        check(merge_open(&config, &m, &e), &e);
        struct slice key, value;
        while (merge_next(m, &key, &value, &e) == ST_OK) {
            pairs++;
            if (words) {
                groups += !slice_equal(key, buf_slice(&last));
                last.n = 0;
                CHECK(buf_append_slice(&last, key) == ST_OK);
            }
            CHECK(buf_append(&out, key.p + 1, key.n - 1) == ST_OK &&
                  buf_append_byte(&out, '\n') == ST_OK);
            if (out.n > 256 * 1024) {
                check(sys_write(fd, out.p, out.n, (char *)path.p, "bench", &e), &e);
                out.n = 0;
            }
        }
        check(e.status, &e);
        check(sys_write(fd, out.p, out.n, (char *)path.p, "bench", &e), &e);
        out.n = 0;
        merge_close(m);
        buf_free(&path);
    }
    double cpu = seconds_since(start);
    printf("reduce: %.3f s CPU, %.3f s wall, %.1f ns a pair; %llu pairs, %llu groups; peak %.0f MB "
           "less %.0f MB of text\n",
           cpu, (double)(sys_now() - wall) / 1e9, cpu * 1e9 / (double)pairs,
           (unsigned long long)pairs, (unsigned long long)groups, (double)sys_peak_memory() / 1e6,
           (double)b->text.n / 1e6);
}

static void bench(struct bench *b, bool words)
{
    struct err e;
    err_clear(&e);
    if (words) {
        int64_t start = sys_cpu_time();
        uint64_t n = map_words(NULL, (char *)b->text.p, (char *)b->text.p + b->text.n);
        double cpu = seconds_since(start);
        printf("finding %llu words: %.3f s CPU, %.1f ns a word\n", (unsigned long long)n, cpu,
               cpu * 1e9 / (double)n);
    }
    for (uint32_t i = 0; i + 1 < b->partitions; i++) {
        b->boundary_bytes[i][0] = KEY_STRING;
        b->boundary_bytes[i][1] = (uint8_t)(' ' + 95 * (i + 1) / b->partitions);
        b->boundaries[i] = slice_of(b->boundary_bytes[i], 2);
    }
    run_map(b, words);
    run_reduce(b, words);
    for (size_t i = 0; i < b->tasks; i++)
        (void)sys_unlink(b->runs[i], NULL);
}

static long number(int argc, char **argv, int i, long fallback)
{
    return i < argc ? strtol(argv[i], NULL, 10) : fallback;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct err e;
    struct buf sum = BUF_EMPTY;
    err_clear(&e);
    if (argc > 4 && strcmp(argv[1], "text") == 0) {
        make_text(argv[2], (size_t)number(argc, argv, 3, 0) << 20,
                  (double)number(argc, argv, 4, 0));
        return 0;
    }
    if (argc > 3 && strcmp(argv[1], "records") == 0) {
        make_records(argv[2], (size_t)number(argc, argv, 3, 0) << 20);
        return 0;
    }
    if (argc < 4) {
        fprintf(stderr, "usage: shuffle_bench text|records|words|sort FILE …\n");
        return 2;
    }
    CHECK(val_put_str(&sum, "sum") == ST_OK);
    check(agg_parse(buf_slice(&sum), &b.agg, &e), &e);
    check(sys_read_file(argv[2], (size_t)4 << 30, &b.text, &e), &e);
    b.dir = argv[3];
    b.split = (size_t)number(argc, argv, 4, 32) << 20;
    b.buffer = (uint64_t)number(argc, argv, 5, 64) << 20;
    b.partitions = (uint32_t)number(argc, argv, 6, 2);
    CHECK(b.partitions >= 1 && b.partitions <= PARTITIONS_MAX);
    bench(&b, strcmp(argv[1], "words") == 0);
    return 0;
}
