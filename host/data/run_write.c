#include "data/run_writer.h"

#include "base/sys.h"

#include <errno.h>
#include <lz4.h>
#include <unistd.h>

/* Blocks are gathered until this many bytes stand ready for one write. */
enum { WRITE_SIZE = 192 * 1024, WRITE_ROOM = WRITE_SIZE + RUN_BLOCK + 8 * 1024 };

enum status run_write_out(struct run_writer *w, const void *p, size_t n, struct err *e)
{
    enum status status = sys_write(w->fd, p, n, w->path, "run.write", e);
    if (status == ST_OK) {
        w->written += n;
        sys_write_behind(w->fd, w->written, &w->behind);
    }
    return status;
}

enum status run_make_room(struct run_writer *w, size_t need, struct err *e)
{
    struct buf *out = &w->out;
    if (out->cap - out->n >= need)
        return ST_OK;
    size_t cap = out->n + need + WRITE_ROOM;
    uint8_t *p = sys_realloc(out->p, cap);
    if (!p)
        return err_memory(e, "a block of a run file", cap);
    out->p = p;
    out->cap = cap;
    return ST_OK;
}

/* Gives back what one huge block needed; a failure leaves the buffer as it is. */
static void shrink(struct run_writer *w)
{
    if (w->out.cap <= 4 * (size_t)WRITE_ROOM)
        return;
    uint8_t *p = sys_realloc(w->out.p, WRITE_ROOM);
    if (p) {
        w->out.p = p;
        w->out.cap = WRITE_ROOM;
    }
    buf_free(&w->packed);
}

static enum status put_header(struct run_writer *w, struct err *e)
{
    memcpy(w->header, RUN_MAGIC, RUN_MAGIC_SIZE);
    run_store32(w->header + 8, RUN_VERSION);
    run_store32(w->header + 12, w->partitions);
    run_store32(w->header + 16, w->compress ? RUN_FLAG_LZ4 : 0);
    run_store32(w->header + 20, 0);
    enum status status = run_make_room(w, WRITE_ROOM, e);
    if (status != ST_OK)
        return status;
    memcpy(w->out.p, w->header, RUN_HEADER_SIZE);
    w->block = RUN_HEADER_SIZE;
    w->out.n = w->block + RUN_BLOCK_HEADER_SIZE;
    return ST_OK;
}

enum status run_create(const char *path, uint32_t partitions, bool compress,
                       struct run_writer **out, struct err *e)
{
    CHECK(partitions >= 1 && partitions <= RUN_PARTITIONS_MAX);
    struct run_writer *w = sys_calloc(1, sizeof *w);
    if (!w)
        return err_memory(e, "a run file", sizeof *w);
    w->fd = -1;
    w->partitions = partitions;
    w->compress = compress;
    w->path = sys_strdup(path);
    enum status status = w->path ? ST_OK : err_memory(e, "a path", strlen(path));
    if (status == ST_OK)
        status = sys_create(path, &w->fd, e);
    if (status == ST_OK)
        status = put_header(w, e);
    if (status != ST_OK) {
        run_abandon(w);
        return status;
    }
    *out = w;
    return ST_OK;
}

/* Offset in the file of the block being built. */
static uint64_t block_offset(const struct run_writer *w)
{
    return w->written + w->block;
}

/* Packs the block's raw bytes in place when that makes them fewer; returns what is stored. */
static enum status pack_block(struct run_writer *w, uint32_t raw, uint32_t *stored, struct err *e)
{
    *stored = raw;
    if (!w->compress)
        return ST_OK;
    w->packed.n = 0;
    int bound = LZ4_compressBound((int)raw);
    if (buf_reserve(&w->packed, (size_t)bound) != ST_OK)
        return err_memory(e, "an LZ4 block", (size_t)bound);
    uint8_t *bytes = w->out.p + w->block + RUN_BLOCK_HEADER_SIZE;
    int n = LZ4_compress_default((const char *)bytes, (char *)w->packed.p, (int)raw, bound);
    if (n > 0 && (uint32_t)n < raw) {
        memcpy(bytes, w->packed.p, (size_t)n);
        *stored = (uint32_t)n;
    }
    return ST_OK;
}

/* Ends the block being built, if it holds anything, and begins the next behind it. */
static enum status close_block(struct run_writer *w, struct err *e)
{
    size_t raw = w->out.n - w->block - RUN_BLOCK_HEADER_SIZE;
    if (raw == 0)
        return ST_OK;
    uint32_t stored = 0;
    enum status status = pack_block(w, (uint32_t)raw, &stored, e);
    if (status != ST_OK)
        return status;
    uint8_t *head = w->out.p + w->block;
    uint64_t sum = run_block_sum(head + RUN_BLOCK_HEADER_SIZE, stored, (uint32_t)raw);
    run_store32(head, stored);
    run_store32(head + 4, (uint32_t)raw);
    run_store64(head + 8, sum);
    w->entry_chain = run_chain(w->entry_chain, sum);
    w->block += RUN_BLOCK_HEADER_SIZE + stored;
    if (w->block >= WRITE_SIZE) {
        status = run_write_out(w, w->out.p, w->block, e);
        w->block = 0;
    }
    w->out.n = w->block + RUN_BLOCK_HEADER_SIZE;
    if (w->block == 0)
        shrink(w);
    return status;
}

/* Writes the entry of the current partition and moves to the next. */
static enum status close_partition(struct run_writer *w, struct err *e)
{
    enum status status = close_block(w, e);
    if (status != ST_OK)
        return status;
    if (buf_reserve(&w->index, RUN_ENTRY_SIZE) != ST_OK)
        return err_memory(e, "the index of a run file", w->index.n);
    uint8_t *entry = w->index.p + w->index.n;
    run_store64(entry, w->entry_offset);
    run_store64(entry + 8, block_offset(w) - w->entry_offset);
    run_store64(entry + 16, w->entry_pairs);
    run_store64(entry + 24, w->entry_chain);
    w->index.n += RUN_ENTRY_SIZE;
    w->pairs += w->entry_pairs;
    w->partition++;
    w->entry_offset = block_offset(w);
    w->entry_pairs = w->entry_chain = 0;
    return ST_OK;
}

static enum status go_to_partition(struct run_writer *w, uint32_t partition, struct err *e)
{
    enum status status = ST_OK;
    while (status == ST_OK && w->partition < partition)
        status = close_partition(w, e);
    return status;
}

enum status run_segment_begin(struct run_writer *w, struct err *e)
{
    (void)e;
    CHECK(!w->in_segment);
    w->in_segment = true;
    w->partition = 0;
    w->entry_offset = block_offset(w);
    w->entry_pairs = w->entry_chain = 0;
    return ST_OK;
}

enum status run_segment_end(struct run_writer *w, struct err *e)
{
    CHECK(w->in_segment);
    enum status status = go_to_partition(w, w->partitions, e);
    w->in_segment = false;
    w->segments++;
    return status;
}

static inline size_t put_length(uint8_t *p, size_t n)
{
    if (n < 0x80) {
        *p = (uint8_t)n;
        return 1;
    }
    return varint_put(p, n);
}

enum status run_put(struct run_writer *w, uint32_t partition, struct slice key, struct slice value,
                    struct err *e)
{
    enum status status = ST_OK;
    if (partition != w->partition) {
        CHECK(w->in_segment && partition > w->partition && partition < w->partitions);
        status = go_to_partition(w, partition, e);
        if (status != ST_OK)
            return status;
    }
    if (key.n > RUN_PAIR_MAX || value.n > RUN_PAIR_MAX - key.n)
        return err_set(e, ST_SCRIPT, "a pair of %zu bytes is too large", key.n + value.n);
    size_t need = key.n + value.n + 2 * (size_t)VARINT_MAX;
    /* A pair that would make the block much larger gets its own. */
    if (need > RUN_BLOCK)
        status = close_block(w, e);
    if (status == ST_OK)
        status = run_make_room(w, need, e);
    if (status != ST_OK)
        return status;
    uint8_t *p = w->out.p + w->out.n;
    p += put_length(p, key.n);
    p += put_length(p, value.n);
    if (key.n)
        memcpy(p, key.p, key.n);
    if (value.n)
        memcpy(p + key.n, value.p, value.n);
    w->out.n = (size_t)(p - w->out.p) + key.n + value.n;
    w->entry_pairs++;
    if (w->out.n - w->block >= RUN_BLOCK)
        return close_block(w, e);
    return ST_OK;
}

/* The footer, from the index to the end magic, into `index`. */
static enum status build_footer(struct run_writer *w, uint64_t offset, uint64_t *sum, struct err *e)
{
    if (buf_reserve(&w->index, RUN_TAIL_SIZE) != ST_OK)
        return err_memory(e, "the index of a run file", w->index.n);
    uint8_t *tail = w->index.p + w->index.n;
    run_store64(tail, w->segments);
    run_store64(tail + 8, w->pairs);
    run_store64(tail + 16, offset);
    *sum = run_footer_sum(w->header, w->index.p, w->index.n + 24);
    run_store64(tail + 24, *sum);
    memcpy(tail + 32, RUN_END_MAGIC, RUN_MAGIC_SIZE);
    w->index.n += RUN_TAIL_SIZE;
    return ST_OK;
}

enum status run_finish(struct run_writer *w, bool durable, struct run_stats *stats, struct err *e)
{
    CHECK(!w->in_segment);
    uint64_t sum = 0;
    enum status status = build_footer(w, block_offset(w), &sum, e);
    if (status == ST_OK)
        status = run_write_out(w, w->out.p, w->block, e);
    if (status == ST_OK)
        status = run_write_out(w, w->index.p, w->index.n, e);
    if (status == ST_OK && durable)
        status = sys_fsync(w->fd, w->path, "run.fsync", e);
    if (status == ST_OK && stats)
        *stats = (struct run_stats){ w->segments, w->pairs, w->written, sum };
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) != 0 && status == ST_OK)
        status = err_sys(e, errno, "close", w->path);
    run_abandon(w);
    return status;
}

void run_abandon(struct run_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    buf_free(&w->out);
    buf_free(&w->packed);
    buf_free(&w->index);
    sys_free(w->path);
    sys_free(w);
}
