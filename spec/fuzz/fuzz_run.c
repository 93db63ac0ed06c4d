/* Run files: whatever bytes a file holds, reading it ends in its pairs or in ST_CORRUPT.
 *
 * The first byte of the input says what the rest is: 0 the file itself; else a part of one whose
 * checksums are made to hold, so that what lies behind them is reached too: 1 the raw bytes of a
 * block, 2 an LZ4 block, 3 the index. */
#include "base/sys.h"
#include "data/merge.h"
#include "data/run_format.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum shape { WHOLE_FILE, RAW_BLOCK, PACKED_BLOCK, INDEX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void put(struct buf *out, const void *p, size_t n)
{
    CHECK(buf_append(out, p, n) == ST_OK);
}

static void put_number(struct buf *out, uint64_t v, size_t n)
{
    uint8_t bytes[8];
    run_store64(bytes, v);
    put(out, bytes, n);
}

static void put_header(struct buf *out, uint32_t partitions, uint32_t flags)
{
    put(out, RUN_MAGIC, RUN_MAGIC_SIZE);
    put_number(out, RUN_VERSION, 4);
    put_number(out, partitions, 4);
    put_number(out, flags, 4);
    put_number(out, 0, 4);
}

/* The footer behind `footer`, where its entries begin. */
static void put_tail(struct buf *out, size_t footer, uint64_t segments, uint64_t pairs)
{
    put_number(out, segments, 8);
    put_number(out, pairs, 8);
    put_number(out, footer, 8);
    put_number(out, run_footer_sum(out->p, out->p + footer, out->n - footer), 8);
    put(out, RUN_END_MAGIC, RUN_MAGIC_SIZE);
}

/* A file of one block; the first three bytes of `data` are its number of pairs and what its raw
 * length is beyond the stored one. */
static void make_block(struct buf *out, const uint8_t *data, size_t n, bool packed)
{
    if (n < 4)
        return;
    uint64_t pairs = data[0];
    uint32_t more = packed ? (uint32_t)data[1] << 8 | data[2] : 0;
    data += 3;
    n -= 3;
    put_header(out, 1, packed ? RUN_FLAG_LZ4 : 0);
    uint64_t sum = run_block_sum(data, (uint32_t)n, (uint32_t)n + more);
    put_number(out, n, 4);
    put_number(out, n + more, 4);
    put_number(out, sum, 8);
    put(out, data, n);
    size_t footer = out->n;
    put_number(out, RUN_HEADER_SIZE, 8);
    put_number(out, RUN_BLOCK_HEADER_SIZE + n, 8);
    put_number(out, pairs, 8);
    put_number(out, run_chain(0, sum), 8);
    put_tail(out, footer, 1, pairs);
}

/* A file whose index is `data`, behind some bytes for its entries to point at. */
static void make_index(struct buf *out, const uint8_t *data, size_t n)
{
    if (n < 2)
        return;
    uint32_t partitions = data[0];
    uint64_t pairs = data[1];
    put_header(out, partitions, RUN_FLAG_LZ4);
    put(out, data, n);
    size_t footer = out->n;
    put(out, data + 2, n - 2);
    put_tail(out, footer, partitions ? (n - 2) / RUN_ENTRY_SIZE / partitions : 0, pairs);
}

static void make_file(struct buf *out, const uint8_t *data, size_t n)
{
    enum shape shape = data[0];
    if (shape == RAW_BLOCK || shape == PACKED_BLOCK)
        make_block(out, data + 1, n - 1, shape == PACKED_BLOCK);
    else if (shape == INDEX)
        make_index(out, data + 1, n - 1);
    else
        put(out, data + 1, n - 1);
}

/* Touches every byte, so that a sanitizer sees those that are not ours. */
static uint64_t look_at(struct slice s)
{
    return XXH3_64bits(s.p, s.n);
}

/* Reads the first partitions of a file through merges of it with itself. */
static void read_file(const char *path)
{
    const char *paths[] = { path, path };
    struct err e;
    enum status status = ST_OK;
    for (uint32_t p = 0; status == ST_OK && p < 4; p++) {
        struct merge_config config = { paths, 2, p, 0, path };
        struct merge *m = NULL;
        struct slice key, value;
        volatile uint64_t seen = 0;
        err_clear(&e);
        status = merge_open(&config, &m, &e);
        while (status == ST_OK && (status = merge_next(m, &key, &value, &e)) == ST_OK) {
            seen = seen ^ look_at(key) ^ look_at(value);
        }
        merge_close(m);
        CHECK(status == ST_END || status == ST_CORRUPT || status == ST_MEMORY);
        status = status == ST_END ? ST_OK : status;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct buf file = BUF_EMPTY;
    struct err e;
    char path[64];
    int fd = memfd_create("run", MFD_CLOEXEC);
    CHECK(fd >= 0);
    make_file(&file, data, n);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(sys_write(fd, file.p, file.n, path, "fuzz", &e) == ST_OK);
    read_file(path);
    buf_free(&file);
    CHECK(close(fd) == 0);
    return 0;
}
