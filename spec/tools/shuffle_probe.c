/* shuffle_probe: drives collector, runs and merge from a script on standard input, for the specs.
 *
 *   open PATH PARTITIONS BUFFER [group_by=N] [compress] [agg=HEX] [combiner] [boundaries=HEX,HEX…]
 *   emit KEY VALUE [PARTITION]
 *   word KEY INTEGER                    a string key, told without its tag, by the short way
 *   half KEY [ended]                    built, then dropped
 *   flood COUNT DISTINCT VALUE_BYTES    random string keys, 10 a record; of 0 bytes: the integer 1
 *   commit RECORD    undo    finish    close    memory
 *   dump PATH
 *   merge TEMPORARY PARTITION FAN_IN PATH…
 *   partition KEY PARTITIONS
 *   cut PATH    flip PATH               damages a copy in every place and reads it
 *
 * Keys and values are encoded bytes in hex, or COUNTxHEX for so many times the same byte. What fails
 * prints "error: TYPE RECORD: MESSAGE". */
#include "base/sys.h"
#include "data/collect.h"
#include "data/merge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORDS_MAX = 2048, BOUNDARIES_MAX = 64 };

struct probe {
    struct collect *collect;
    struct agg *agg;
    struct buf declaration;
    struct buf boundaries[BOUNDARIES_MAX];
    struct slice boundary_slices[BOUNDARIES_MAX];
    char *words[WORDS_MAX];
    size_t n;
};

static uint32_t small_number(const char *text)
{
    return (uint32_t)strtoul(text, NULL, 10);
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint8_t hex_byte(const char *p)
{
    return (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
}

static void unhex(const char *text, struct buf *out)
{
    const char *times = strchr(text, 'x');
    if (times) {
        size_t count = strtoull(text, NULL, 10);
        CHECK(buf_reserve(out, count + 1) == ST_OK);
        memset(out->p + out->n, hex_byte(times + 1), count);
        out->n += count;
        return;
    }
    for (; text[0] && text[1]; text += 2)
        CHECK(buf_append_byte(out, hex_byte(text)) == ST_OK);
}

static void print_hex(struct slice s)
{
    size_t same = 0;
    while (same < s.n && s.p[same] == s.p[0])
        same++;
    if (s.n > 64 && same == s.n) {
        printf(" %zux%02x", s.n, s.p[0]);
        return;
    }
    putchar(' ');
    for (size_t i = 0; i < s.n; i++)
        printf("%02x", s.p[i]);
}

static void print_error(const struct err *e)
{
    printf("error: %s %lld: %s\n", status_type(e->status), (long long)e->record, e->message);
}

/* Joins the values of a group: 07, their number as a byte, then each. Puts the last by itself when
 * there are more than 3. */
static enum status join_values(void *context, struct slice key, const struct group_values *values,
                               combine_put put, void *put_context, struct err *e)
{
    (void)context;
    (void)key;
    (void)e;
    struct buf out = BUF_EMPTY;
    uint64_t n = values->count > 3 ? values->count - 1 : values->count;
    CHECK(buf_append_byte(&out, 0x07) == ST_OK && buf_append_byte(&out, (uint8_t)n) == ST_OK);
    for (uint64_t i = 0; i < n; i++)
        CHECK(buf_append_slice(&out, values->values[i]) == ST_OK);
    enum status status = put(put_context, buf_slice(&out));
    if (status == ST_OK && n < values->count)
        status = put(put_context, values->values[n]);
    buf_free(&out);
    return status;
}

static void read_boundaries(struct probe *p, char *list, struct collect_config *config)
{
    size_t n = 0;
    for (char *item = strtok(list, ","); item && n < BOUNDARIES_MAX; item = strtok(NULL, ",")) {
        p->boundaries[n].n = 0;
        unhex(item, &p->boundaries[n]);
        p->boundary_slices[n] = buf_slice(&p->boundaries[n]);
        n++;
    }
    CHECK(n == config->partitions - 1);
    config->boundaries = p->boundary_slices;
}

static enum status do_open(struct probe *p, struct err *e)
{
    struct collect_config config = { .run_path = p->words[1],
                                     .partitions = small_number(p->words[2]),
                                     .sort_buffer = strtoull(p->words[3], NULL, 10) };
    for (size_t i = 4; i < p->n; i++) {
        char *word = p->words[i];
        if (strncmp(word, "group_by=", 9) == 0)
            config.group_by = small_number(word + 9);
        else if (strcmp(word, "compress") == 0)
            config.compress = true;
        else if (strcmp(word, "combiner") == 0)
            config.combiner.combine = join_values;
        else if (strncmp(word, "boundaries=", 11) == 0)
            read_boundaries(p, word + 11, &config);
        else if (strncmp(word, "agg=", 4) == 0) {
            p->declaration.n = 0;
            unhex(word + 4, &p->declaration);
            agg_free(p->agg);
            p->agg = NULL;
            enum status status = agg_parse(buf_slice(&p->declaration), &p->agg, e);
            if (status != ST_OK)
                return status;
            config.agg = p->agg;
        }
    }
    return collect_open(&config, &p->collect, e);
}

static enum status do_emit(struct probe *p, struct err *e)
{
    unhex(p->words[1], collect_stage(p->collect));
    collect_staged_key(p->collect);
    unhex(p->words[2], collect_stage(p->collect));
    uint32_t partition = p->n > 3 ? small_number(p->words[3]) : PARTITION_BY_KEY;
    return collect_staged(p->collect, partition, e);
}

static enum status do_word(struct probe *p, struct err *e)
{
    struct buf word = BUF_EMPTY;
    unhex(p->words[1], &word);
    /* A tight copy, so that a read beyond the word is seen. */
    char *tight = sys_malloc(word.n);
    if (word.n)
        memcpy(tight, word.p, word.n);
    enum status status = collect_string_int(p->collect, tight, word.n,
                                            strtoll(p->words[2], NULL, 10), e);
    sys_free(tight);
    buf_free(&word);
    return status;
}

static enum status commit(struct probe *p, int64_t record, struct err *e)
{
    return collect_commit(p->collect, &(struct collect_place){ NULL, -1, record }, e);
}

static enum status do_flood(struct probe *p, struct err *e)
{
    uint64_t count = strtoull(p->words[1], NULL, 10), distinct = strtoull(p->words[2], NULL, 10);
    size_t value = strtoull(p->words[3], NULL, 10);
    uint64_t state = 88172645463325252u;
    uint8_t bytes[4096] = { VAL_TRUE };
    enum status status = ST_OK;
    CHECK(value <= sizeof bytes);
    for (uint64_t i = 0; status == ST_OK && i < count; i++) {
        char key[32];
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t number = state % distinct * UINT64_C(0x9e3779b97f4a7c15);
        int n = snprintf(key, sizeof key, "%" PRIx64, number);
        if (value == 0) {
            status = collect_string_int(p->collect, key, (size_t)n, 1, e);
        } else {
            CHECK(key_put_string(collect_stage(p->collect), slice_of(key, (size_t)n), false) ==
                  ST_OK);
            collect_staged_key(p->collect);
            CHECK(buf_append(collect_stage(p->collect), bytes, value) == ST_OK);
            status = collect_staged(p->collect, PARTITION_BY_KEY, e);
        }
        if (status == ST_OK && i % 10 == 9)
            status = commit(p, (int64_t)(i / 10), e);
    }
    return status;
}

static void do_half(struct probe *p)
{
    unhex(p->words[1], collect_stage(p->collect));
    if (p->n > 2)
        collect_staged_key(p->collect);
    collect_stage_drop(p->collect);
}

static enum status do_finish(struct probe *p, struct err *e)
{
    struct collect_stats s;
    enum status status = collect_finish(p->collect, false, &s, e);
    if (status == ST_OK)
        printf("staged %llu %llu combined %llu spills %llu segments %llu pairs %llu bytes %llu sum "
               "%016llx\n",
               (unsigned long long)s.staged_pairs, (unsigned long long)s.staged_bytes,
               (unsigned long long)s.combined_pairs, (unsigned long long)s.spills,
               (unsigned long long)s.run.segments, (unsigned long long)s.run.pairs,
               (unsigned long long)s.run.bytes, (unsigned long long)s.run.checksum);
    return status;
}

static void do_close(struct probe *p)
{
    collect_close(p->collect);
    agg_free(p->agg);
    p->collect = NULL;
    p->agg = NULL;
}

/* Reads one partition of one segment; prints its pairs, or only hashes them into *sum when that is
 * given. */
static enum status read_part(struct run *r, uint64_t segment, uint32_t partition, uint64_t *sum,
                             struct err *e)
{
    struct run_cursor *c = NULL;
    struct slice key, value;
    enum status status = run_cursor_open(r, segment, partition, &c, e);
    while (status == ST_OK && (status = run_cursor_next(c, &key, &value, e)) == ST_OK) {
        if (sum) {
            for (size_t i = 0; i < key.n; i++)
                *sum = *sum * 31 + key.p[i];
            for (size_t i = 0; i < value.n; i++)
                *sum = *sum * 37 + value.p[i];
            continue;
        }
        printf("%llu %u", (unsigned long long)segment, partition);
        print_hex(key);
        print_hex(value);
        putchar('\n');
    }
    run_cursor_close(c);
    return status == ST_END ? ST_OK : status;
}

static enum status read_run(const char *path, uint64_t *sum, struct err *e)
{
    struct run *r = NULL;
    enum status status = run_open(path, &r, e);
    for (uint64_t s = 0; status == ST_OK && s < run_segments(r); s++)
        for (uint32_t p = 0; status == ST_OK && p < run_partitions(r); p++)
            status = read_part(r, s, p, sum, e);
    run_close(r);
    return status;
}

static enum status do_merge(struct probe *p, struct err *e)
{
    struct merge_config config = { .run_paths = (const char *const *)(p->words + 4),
                                   .runs = p->n - 4,
                                   .partition = small_number(p->words[2]),
                                   .fan_in = small_number(p->words[3]),
                                   .temporary_path = p->words[1] };
    struct merge *m = NULL;
    struct slice key, value;
    enum status status = merge_open(&config, &m, e);
    while (status == ST_OK && (status = merge_next(m, &key, &value, e)) == ST_OK) {
        printf("%u", config.partition);
        print_hex(key);
        print_hex(value);
        putchar('\n');
    }
    if (status == ST_END)
        printf("merged %llu bytes %llu\n", (unsigned long long)merge_pairs(m),
               (unsigned long long)merge_bytes_done(m));
    merge_close(m);
    return status == ST_END ? ST_OK : status;
}

/* Counts what reading a damaged copy gives. */
struct verdicts {
    unsigned corrupt, same, different, other;
};

static void try_damaged(const char *path, const uint8_t *bytes, size_t n, uint64_t wanted,
                        struct verdicts *v)
{
    struct err e;
    uint64_t sum = 0;
    err_clear(&e);
    int fd = -1;
    CHECK(sys_create(path, &fd, &e) == ST_OK &&
          sys_write(fd, bytes, n, path, "probe", &e) == ST_OK);
    CHECK(close(fd) == 0);
    enum status status = read_run(path, &sum, &e);
    if (status == ST_OK)
        sum == wanted ? v->same++ : v->different++;
    else if (status == ST_CORRUPT && strcmp(e.file, path) == 0 && e.offset >= 0)
        v->corrupt++;
    else
        v->other++;
}

static enum status do_damage(const char *path, bool flip, struct err *e)
{
    struct buf bytes = BUF_EMPTY, copy = BUF_EMPTY;
    int memory = memfd_create("damaged", MFD_CLOEXEC);
    struct verdicts v = { 0, 0, 0, 0 };
    uint64_t wanted = 0;
    enum status status = sys_read_file(path, 1 << 20, &bytes, e);
    if (status == ST_OK)
        status = read_run(path, &wanted, e);
    CHECK(memory >= 0 && buf_printf(&copy, "/proc/self/fd/%d", memory) == ST_OK);
    for (size_t i = 0; status == ST_OK && i < bytes.n; i++) {
        if (!flip) {
            try_damaged((char *)copy.p, bytes.p, i, wanted, &v);
            continue;
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.p[i] ^= (uint8_t)(1u << bit);
            try_damaged((char *)copy.p, bytes.p, bytes.n, wanted, &v);
            bytes.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    if (status == ST_OK)
        printf("%s %zu corrupt %u same %u different %u other %u\n", flip ? "flip" : "cut",
               flip ? 8 * bytes.n : bytes.n, v.corrupt, v.same, v.different, v.other);
    CHECK(close(memory) == 0);
    buf_free(&bytes);
    buf_free(&copy);
    return status;
}

static void do_partition(struct probe *p)
{
    struct buf key = BUF_EMPTY;
    unhex(p->words[1], &key);
    printf("%u\n", collect_partition(buf_slice(&key), small_number(p->words[2])));
    buf_free(&key);
}

/* Verbs that cannot fail; false when it is none of them. */
static bool run_plain(struct probe *p, const char *verb)
{
    if (strcmp(verb, "undo") == 0)
        collect_undo(p->collect);
    else if (strcmp(verb, "close") == 0)
        do_close(p);
    else if (strcmp(verb, "half") == 0)
        do_half(p);
    else if (strcmp(verb, "partition") == 0)
        do_partition(p);
    else if (strcmp(verb, "memory") == 0)
        printf("peak %lld\n", (long long)sys_peak_memory());
    else
        return false;
    return true;
}

static enum status run_line(struct probe *p, struct err *e)
{
    const char *verb = p->words[0];
    if (strcmp(verb, "emit") == 0)
        return do_emit(p, e);
    if (strcmp(verb, "word") == 0)
        return do_word(p, e);
    if (strcmp(verb, "flood") == 0)
        return do_flood(p, e);
    if (strcmp(verb, "commit") == 0)
        return commit(p, strtoll(p->words[1], NULL, 10), e);
    if (strcmp(verb, "open") == 0)
        return do_open(p, e);
    if (strcmp(verb, "finish") == 0)
        return do_finish(p, e);
    if (strcmp(verb, "dump") == 0)
        return read_run(p->words[1], NULL, e);
    if (strcmp(verb, "merge") == 0)
        return do_merge(p, e);
    if (strcmp(verb, "cut") == 0 || strcmp(verb, "flip") == 0)
        return do_damage(p->words[1], verb[0] == 'f', e);
    if (run_plain(p, verb))
        return ST_OK;
    return err_set(e, ST_USAGE, "no such command: %s", verb);
}

int main(void)
{
    static struct probe p;
    char *line = NULL;
    size_t cap = 0;
    struct err e;
    while (getline(&line, &cap, stdin) > 0) {
        p.n = 0;
        for (char *word = strtok(line, " \n"); word && p.n < WORDS_MAX; word = strtok(NULL, " \n"))
            p.words[p.n++] = word;
        if (p.n == 0)
            continue;
        err_clear(&e);
        if (run_line(&p, &e) != ST_OK)
            print_error(&e);
    }
    do_close(&p);
    for (size_t i = 0; i < BOUNDARIES_MAX; i++)
        buf_free(&p.boundaries[i]);
    buf_free(&p.declaration);
    free(line);
    return 0;
}
