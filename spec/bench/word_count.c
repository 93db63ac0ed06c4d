/* word_count.c: the reference: a word count by hand, in C, with two threads.
 *
 *    word_count FILE >RESULT
 *
 * A word is a run of ASCII letters, digits and bytes >= 0x80, as mr.words has it. The file is mapped and cut
 * in two at a word's end. Each thread counts its half into two hash tables, one for each half of the hash
 * values; then each thread adds up and sorts one half of the hash values, and the two sorted lists are merged
 * on the way out: word, TAB, count, in byte order. */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 2, FIRST_CAPACITY = 1 << 16, OUT_SIZE = 1 << 20, COUNT_TEXT = 24 };

struct entry {
    const uint8_t *word; /* in the mapped file; NULL: a free slot */
    uint32_t length, hash;
    uint64_t count;
};

struct table {
    struct entry *slots;
    size_t capacity, used; /* capacity: a power of two */
};

struct item {
    uint64_t prefix; /* the first eight bytes, so that numbers sort like words */
    const struct entry *entry;
};

struct worker {
    const uint8_t *from, *to;
    struct table tables[THREADS];
    struct item *sorted;
    size_t count;
    struct worker *all;
    unsigned number;
    pthread_t thread;
};

struct output {
    char *bytes;
    size_t used;
};

static bool word_byte[256];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        die("calloc");
    return memory;
}

static void table_add(struct table *t, const uint8_t *word, uint32_t length, uint32_t hash, uint64_t count);

static void table_grow(struct table *t)
{
    struct table bigger = { NULL, t->capacity == 0 ? FIRST_CAPACITY : t->capacity * 2, 0 };
    bigger.slots = allocate(bigger.capacity, sizeof *bigger.slots);
    for (size_t i = 0; i < t->capacity; i++) {
        const struct entry *e = &t->slots[i];
        if (e->word != NULL)
            table_add(&bigger, e->word, e->length, e->hash, e->count);
    }
    free(t->slots);
    *t = bigger;
}

static void table_add(struct table *t, const uint8_t *word, uint32_t length, uint32_t hash, uint64_t count)
{
    if (t->used * 2 >= t->capacity)
        table_grow(t);
    size_t i = hash & (t->capacity - 1);
    for (;; i = (i + 1) & (t->capacity - 1)) {
        struct entry *e = &t->slots[i];
        if (e->word == NULL) {
            *e = (struct entry){ word, length, hash, count };
            t->used++;
            return;
        }
        if (e->hash == hash && e->length == length && memcmp(e->word, word, length) == 0) {
            e->count += count;
            return;
        }
    }
}

static uint64_t prefix_of(const struct entry *e)
{
    uint64_t prefix = 0;
    for (uint32_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < e->length ? e->word[i] : 0);
    return prefix;
}

static int compare_items(const void *left, const void *right)
{
    const struct item *a = left, *b = right;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    uint32_t shorter = a->entry->length < b->entry->length ? a->entry->length : b->entry->length;
    int order = memcmp(a->entry->word, b->entry->word, shorter);
    if (order != 0)
        return order;
    return (a->entry->length > b->entry->length) - (a->entry->length < b->entry->length);
}

static void *count_words(void *argument)
{
    struct worker *w = argument;
    const uint8_t *p = w->from, *end = w->to;
    for (;;) {
        while (p < end && !word_byte[*p])
            p++;
        if (p == end)
            return NULL;
        const uint8_t *word = p;
        uint32_t hash = 2166136261U;
        for (; p < end && word_byte[*p]; p++)
            hash = (hash ^ *p) * 16777619U;
        hash ^= hash >> 15;
        table_add(&w->tables[hash >> 31], word, (uint32_t)(p - word), hash, 1);
    }
}

/* Adds up what all threads found of this worker's half of the hash values, and sorts it. */
static void *add_and_sort(void *argument)
{
    struct worker *w = argument;
    struct table *mine = &w->tables[w->number];
    for (unsigned other = 0; other < THREADS; other++) {
        const struct table *t = &w->all[other].tables[w->number];
        for (size_t i = 0; other != w->number && i < t->capacity; i++) {
            const struct entry *e = &t->slots[i];
            if (e->word != NULL)
                table_add(mine, e->word, e->length, e->hash, e->count);
        }
    }
    w->sorted = allocate(mine->used + 1, sizeof *w->sorted);
    for (size_t i = 0; i < mine->capacity; i++) {
        const struct entry *e = &mine->slots[i];
        if (e->word != NULL)
            w->sorted[w->count++] = (struct item){ prefix_of(e), e };
    }
    qsort(w->sorted, w->count, sizeof *w->sorted, compare_items);
    return NULL;
}

static void run_threads(struct worker *workers, void *(*work)(void *))
{
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            die("pthread_create");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}

static void output_flush(struct output *o)
{
    for (size_t done = 0; done < o->used;) {
        ssize_t n = write(STDOUT_FILENO, o->bytes + done, o->used - done);
        if (n < 0)
            die("write");
        done += (size_t)n;
    }
    o->used = 0;
}

static void output_bytes(struct output *o, const void *bytes, size_t length)
{
    while (length > OUT_SIZE - o->used) {
        size_t part = OUT_SIZE - o->used;
        memcpy(o->bytes + o->used, bytes, part);
        o->used = OUT_SIZE;
        output_flush(o);
        bytes = (const char *)bytes + part;
        length -= part;
    }
    memcpy(o->bytes + o->used, bytes, length);
    o->used += length;
}

static void output_entry(struct output *o, const struct entry *e)
{
    char text[COUNT_TEXT], *p = text + sizeof text;
    *--p = '\n';
    for (uint64_t n = e->count; n > 0; n /= 10)
        *--p = (char)('0' + n % 10);
    *--p = '\t';
    output_bytes(o, e->word, e->length);
    output_bytes(o, p, (size_t)(text + sizeof text - p));
}

static void write_merged(const struct worker *a, const struct worker *b)
{
    struct output o = { allocate(OUT_SIZE, 1), 0 };
    size_t i = 0, j = 0;
    while (i < a->count || j < b->count) {
        bool first = j == b->count || (i < a->count && compare_items(&a->sorted[i], &b->sorted[j]) < 0);
        output_entry(&o, first ? a->sorted[i++].entry : b->sorted[j++].entry);
    }
    output_flush(&o);
    free(o.bytes);
}

static void count_file(const uint8_t *bytes, size_t size)
{
    const uint8_t *middle = bytes + size / 2, *end = bytes + size;
    while (middle < end && word_byte[*middle])
        middle++;
    struct worker workers[THREADS] = { { .from = bytes, .to = middle }, { .from = middle, .to = end } };
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].all = workers;
        workers[i].number = i;
    }
    run_threads(workers, count_words);
    run_threads(workers, add_and_sort);
    write_merged(&workers[0], &workers[1]);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: word_count FILE\n", stderr);
        return 2;
    }
    for (int c = 0; c < 256; c++)
        word_byte[c] = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        die(argv[1]);
    size_t size = (size_t)status.st_size;
    const uint8_t *bytes = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        die("mmap");
    if (size > 0)
        count_file(bytes, size);
    return 0;
}
