#include "data/run.h"

#include "base/sys.h"
#include "data/run_format.h"
#include "data/saved.h"

#include <errno.h>
#include <lz4.h>
#include <unistd.h>

struct run {
    char *path;
    int fd;
    uint32_t partitions;
    bool compressed;
    uint64_t segments, footer, checksum;
    struct buf index; /* the footer as it is in the file */
};

struct run_cursor {
    const struct run *run;
    const uint8_t *p, *end;      /* what is left of the block at hand */
    const uint8_t *begin;        /* of that block */
    uint64_t first, next, limit; /* file offsets: of the partition, of the next block, of its end */
    uint64_t pairs_left, chain, chain_wanted;
    uint64_t block, chain_before;        /* file offset of the block at hand; the chain up to it */
    uint8_t head[RUN_BLOCK_HEADER_SIZE]; /* header of the next block, when read already */
    bool head_read;
    uint8_t *stored, *raw; /* bytes as stored; unpacked (LZ4 only) */
    size_t stored_cap, raw_cap;
};

static enum status damaged(const char *path, uint64_t offset, const char *what, struct err *e)
{
    enum status status = err_set(e, ST_CORRUPT, "run file %s is damaged: %s", path, what);
    if (e)
        err_at(e, path, (int64_t)offset, -1);
    return status;
}

/* Reads exactly `n` bytes, or the file is cut. */
static enum status read_exactly(const struct run *r, void *p, size_t n, uint64_t offset,
                                struct err *e)
{
    size_t got = 0;
    enum status status = sys_pread(r->fd, p, n, offset, &got, r->path, e);
    if (status == ST_OK && got != n)
        status = damaged(r->path, offset + got, "it ends too early", e);
    return status;
}

static enum status file_size(const struct run *r, uint64_t *size, struct err *e)
{
    off_t end = lseek(r->fd, 0, SEEK_END);
    if (end < 0)
        return err_sys(e, errno, "seek in", r->path);
    *size = (uint64_t)end;
    return ST_OK;
}

static enum status read_header(struct run *r, uint8_t header[RUN_HEADER_SIZE], struct err *e)
{
    enum status status = read_exactly(r, header, RUN_HEADER_SIZE, 0, e);
    if (status != ST_OK)
        return status;
    if (memcmp(header, RUN_MAGIC, RUN_MAGIC_SIZE) != 0)
        return damaged(r->path, 0, "it does not begin like a run file", e);
    if (run_load32(header + 8) != RUN_VERSION)
        return damaged(r->path, 8, "its version is unknown", e);
    r->partitions = run_load32(header + 12);
    r->compressed = (run_load32(header + 16) & RUN_FLAG_LZ4) != 0;
    if (r->partitions < 1 || r->partitions > RUN_PARTITIONS_MAX)
        return damaged(r->path, 12, "its number of partitions is out of range", e);
    return ST_OK;
}

static enum status read_tail(struct run *r, uint64_t size, struct err *e)
{
    uint8_t tail[RUN_TAIL_SIZE];
    if (size < RUN_HEADER_SIZE + RUN_TAIL_SIZE)
        return damaged(r->path, size, "it ends too early", e);
    enum status status = read_exactly(r, tail, sizeof tail, size - sizeof tail, e);
    if (status != ST_OK)
        return status;
    if (memcmp(tail + 32, RUN_END_MAGIC, RUN_MAGIC_SIZE) != 0)
        return damaged(r->path, size, "it does not end like a run file", e);
    r->segments = run_load64(tail);
    r->footer = run_load64(tail + 16);
    r->checksum = run_load64(tail + 24);
    uint64_t room = size - RUN_TAIL_SIZE;
    if (r->footer < RUN_HEADER_SIZE || r->footer > room)
        return damaged(r->path, size, "its index is out of place", e);
    uint64_t segment_size = (uint64_t)r->partitions * RUN_ENTRY_SIZE;
    uint64_t index_size = room - r->footer;
    if (segment_size == 0 || index_size % segment_size != 0 ||
        r->segments != index_size / segment_size)
        return damaged(r->path, size, "its index has a wrong length", e);
    return ST_OK;
}

static const uint8_t *entry_of(const struct run *r, uint64_t segment, uint32_t partition)
{
    CHECK(segment < r->segments && partition < r->partitions);
    return r->index.p + (segment * r->partitions + partition) * RUN_ENTRY_SIZE;
}

/* Entries must tile the file from its header to its footer, and pairs add up. */
static enum status check_entries(const struct run *r, struct err *e)
{
    uint64_t offset = RUN_HEADER_SIZE, pairs = 0;
    size_t n = r->index.n - RUN_TAIL_SIZE;
    for (size_t at = 0; at < n; at += RUN_ENTRY_SIZE) {
        const uint8_t *entry = r->index.p + at;
        uint64_t bytes = run_load64(entry + 8);
        if (run_load64(entry) != offset || bytes > r->footer - offset)
            return damaged(r->path, r->footer + at, "its index does not fit its blocks", e);
        if ((bytes == 0) != (run_load64(entry + 16) == 0))
            return damaged(r->path, r->footer + at, "its index does not fit its pairs", e);
        offset += bytes;
        pairs += run_load64(entry + 16);
    }
    if (offset != r->footer || pairs != run_load64(r->index.p + n + 8))
        return damaged(r->path, r->footer, "its index does not add up", e);
    return ST_OK;
}

static enum status read_footer(struct run *r, uint64_t size, const uint8_t *header, struct err *e)
{
    size_t n = (size_t)(size - r->footer);
    if (buf_reserve(&r->index, n) != ST_OK)
        return err_memory(e, "the index of a run file", n);
    enum status status = read_exactly(r, r->index.p, n, r->footer, e);
    if (status != ST_OK)
        return status;
    r->index.n = n;
    if (run_footer_sum(header, r->index.p, n - 16) != r->checksum)
        return damaged(r->path, r->footer, "its index has a wrong checksum", e);
    return check_entries(r, e);
}

static enum status read_layout(struct run *r, struct err *e)
{
    uint8_t header[RUN_HEADER_SIZE];
    uint64_t size = 0;
    enum status status = file_size(r, &size, e);
    if (status == ST_OK)
        status = read_header(r, header, e);
    if (status == ST_OK)
        status = read_tail(r, size, e);
    if (status == ST_OK)
        status = read_footer(r, size, header, e);
    return status;
}

/* A committed run that is gone is as bad as one that is damaged: only its producer can help. */
static enum status open_file(struct run *r, struct err *e)
{
    struct err why;
    enum status status = sys_open_read(r->path, &r->fd, &why);
    if (status != ST_OK && why.os_error == ENOENT) {
        (void)err_set(e, ST_CORRUPT, "run file %s is gone", r->path);
        err_at(e, r->path, -1, -1);
        return ST_CORRUPT;
    }
    if (status != ST_OK && e)
        *e = why;
    return status;
}

enum status run_open(const char *path, struct run **out, struct err *e)
{
    struct run *r = sys_calloc(1, sizeof *r);
    if (!r)
        return err_memory(e, "a run file", sizeof *r);
    r->fd = -1;
    r->path = sys_strdup(path);
    enum status status = r->path ? ST_OK : err_memory(e, "a path", strlen(path));
    if (status == ST_OK)
        status = open_file(r, e);
    if (status == ST_OK)
        status = read_layout(r, e);
    if (status != ST_OK) {
        run_close(r);
        return status;
    }
    *out = r;
    return ST_OK;
}

void run_close(struct run *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        (void)close(r->fd);
    buf_free(&r->index);
    sys_free(r->path);
    sys_free(r);
}

const char *run_path(const struct run *r)
{
    return r->path;
}

uint32_t run_partitions(const struct run *r)
{
    return r->partitions;
}

uint64_t run_segments(const struct run *r)
{
    return r->segments;
}

bool run_compressed(const struct run *r)
{
    return r->compressed;
}

/* Segments that hold nothing of the partition do not count; where its blocks stand in the file does not. */
uint64_t run_partition_digest(const struct run *r, uint32_t partition)
{
    uint64_t digest = 0;
    for (uint64_t s = 0; s < r->segments; s++) {
        const uint8_t *entry = entry_of(r, s, partition);
        if (run_load64(entry + 16) > 0)
            digest = XXH3_64bits_withSeed(entry + 8, RUN_ENTRY_SIZE - 8, digest);
    }
    return digest;
}

uint64_t run_checksum(const struct run *r)
{
    return r->checksum;
}

uint64_t run_partition_bytes(const struct run *r, uint64_t segment, uint32_t partition)
{
    return run_load64(entry_of(r, segment, partition) + 8);
}

uint64_t run_partition_pairs(const struct run *r, uint64_t segment, uint32_t partition)
{
    return run_load64(entry_of(r, segment, partition) + 16);
}

enum status run_cursor_open(struct run *r, uint64_t segment, uint32_t partition,
                            struct run_cursor **out, struct err *e)
{
    const uint8_t *entry = entry_of(r, segment, partition);
    struct run_cursor *c = sys_calloc(1, sizeof *c);
    if (!c)
        return err_memory(e, "a run cursor", sizeof *c);
    c->run = r;
    c->first = c->next = c->block = run_load64(entry);
    c->limit = c->first + run_load64(entry + 8);
    c->pairs_left = run_load64(entry + 16);
    c->chain_wanted = run_load64(entry + 24);
    *out = c;
    return ST_OK;
}

void run_cursor_close(struct run_cursor *c)
{
    if (!c)
        return;
    sys_free(c->stored);
    sys_free(c->raw);
    sys_free(c);
}

uint64_t run_cursor_bytes(const struct run_cursor *c)
{
    return c->next - c->first;
}

static enum status block_damaged(const struct run_cursor *c, const char *what, struct err *e)
{
    return damaged(c->run->path, c->block, what, e);
}

static enum status fit(uint8_t **p, size_t *cap, size_t need, struct err *e)
{
    if (*cap >= need)
        return ST_OK;
    size_t room = need < RUN_BLOCK + 1024 ? RUN_BLOCK + 1024 : need;
    sys_free(*p);
    *cap = 0;
    *p = sys_malloc(room);
    if (!*p)
        return err_memory(e, "a block of a run file", room);
    *cap = room;
    return ST_OK;
}

/* Lengths of the next block from its header, held against what is left of the partition. */
static enum status block_lengths(struct run_cursor *c, uint32_t *stored, uint32_t *raw,
                                 struct err *e)
{
    if (c->limit - c->next < RUN_BLOCK_HEADER_SIZE)
        return block_damaged(c, "a block is cut", e);
    if (!c->head_read) {
        enum status status = read_exactly(c->run, c->head, sizeof c->head, c->next, e);
        if (status != ST_OK)
            return status;
    }
    c->head_read = false;
    *stored = run_load32(c->head);
    *raw = run_load32(c->head + 4);
    if (*stored == 0 || *stored > c->limit - c->next - RUN_BLOCK_HEADER_SIZE)
        return block_damaged(c, "a block has a wrong length", e);
    /* LZ4 packs 255 bytes into one at best. */
    if (*raw < *stored || (*raw > *stored && (!c->run->compressed || *raw / 255 > *stored)) ||
        *raw > RUN_PAIR_MAX + 64)
        return block_damaged(c, "a block has a wrong length", e);
    return ST_OK;
}

/* Reads a block's bytes, and the header of the block behind it in the same read. */
static enum status read_block(struct run_cursor *c, uint32_t stored, uint32_t raw, struct err *e)
{
    uint64_t at = c->next + RUN_BLOCK_HEADER_SIZE;
    bool more = c->limit - at - stored >= RUN_BLOCK_HEADER_SIZE;
    size_t want = (size_t)stored + (more ? RUN_BLOCK_HEADER_SIZE : 0);
    enum status status = fit(&c->stored, &c->stored_cap, want, e);
    if (status == ST_OK)
        status = read_exactly(c->run, c->stored, want, at, e);
    if (status != ST_OK)
        return status;
    uint64_t sum = run_load64(c->head + 8);
    if (run_block_sum(c->stored, stored, raw) != sum)
        return block_damaged(c, "a block has a wrong checksum", e);
    c->chain_before = c->chain;
    c->chain = run_chain(c->chain, sum);
    c->next = at + stored;
    c->head_read = more;
    if (more)
        memcpy(c->head, c->stored + stored, RUN_BLOCK_HEADER_SIZE);
    return ST_OK;
}

static enum status unpack_block(struct run_cursor *c, uint32_t stored, uint32_t raw, struct err *e)
{
    const uint8_t *bytes = c->stored;
    if (stored < raw) {
        enum status status = fit(&c->raw, &c->raw_cap, raw, e);
        if (status != ST_OK)
            return status;
        int n = LZ4_decompress_safe((const char *)c->stored, (char *)c->raw, (int)stored, (int)raw);
        if (n < 0 || (uint32_t)n != raw)
            return block_damaged(c, "a block does not unpack", e);
        bytes = c->raw;
    }
    c->p = c->begin = bytes;
    c->end = bytes + raw;
    return ST_OK;
}

static enum status next_block(struct run_cursor *c, struct err *e)
{
    if (c->next == c->limit) {
        if (c->pairs_left != 0 || c->chain != c->chain_wanted)
            return block_damaged(c, "its blocks are not those of its index", e);
        return ST_END;
    }
    uint32_t stored = 0, raw = 0;
    c->block = c->next;
    enum status status = block_lengths(c, &stored, &raw, e);
    if (status == ST_OK)
        status = read_block(c, stored, raw, e);
    if (status == ST_OK)
        status = unpack_block(c, stored, raw, e);
    return status;
}

/* A length at *p, which it steps over; false when it does not fit into the block. */
static inline bool take_length(const uint8_t **p, const uint8_t *end, size_t *n)
{
    if (*p < end && **p < 0x80) {
        *n = *(*p)++;
        return true;
    }
    uint64_t v = 0;
    size_t used = varint_get(*p, end, &v);
    *p += used;
    *n = (size_t)v;
    return used > 0;
}

enum status run_cursor_next(struct run_cursor *c, struct slice *key, struct slice *value,
                            struct err *e)
{
    if (c->p == c->end) {
        enum status status = next_block(c, e);
        if (status != ST_OK)
            return status;
    }
    const uint8_t *p = c->p;
    if (!take_length(&p, c->end, &key->n) || !take_length(&p, c->end, &value->n) ||
        key->n > (size_t)(c->end - p) || value->n > (size_t)(c->end - p) - key->n)
        return block_damaged(c, "a pair does not fit its block", e);
    if (c->pairs_left == 0)
        return block_damaged(c, "it has more pairs than its index says", e);
    c->pairs_left--;
    key->p = p;
    value->p = p + key->n;
    c->p = value->p + value->n;
    return ST_OK;
}

/* --- task checkpoints: the block at hand, or else the next one, and how much of it is taken --- */

enum status run_cursor_save(const struct run_cursor *c, struct buf *out)
{
    struct saver to = saver_of(out);
    bool inside = c->p < c->end;
    save_uint(&to, inside ? c->block : c->next);
    save_uint(&to, inside ? (uint64_t)(c->p - c->begin) : 0);
    save_uint(&to, c->pairs_left);
    save_word(&to, inside ? c->chain_before : c->chain);
    return to.status;
}

enum status run_cursor_restore(struct run_cursor *c, struct slice state, struct err *e)
{
    struct saved from = saved_of(state);
    c->next = saved_uint(&from, c->limit);
    uint64_t taken = saved_uint(&from, UINT32_MAX), most = c->pairs_left;
    c->pairs_left = saved_uint(&from, most);
    c->chain = saved_word(&from);
    if (!saved_ended(&from) || c->next < c->first)
        return saved_broken("a reader of pairs", e);
    if (taken == 0)
        return ST_OK;
    enum status status = next_block(c, e);
    if (status != ST_OK && status != ST_END)
        return status;
    if (status == ST_END || taken >= (uint64_t)(c->end - c->p))
        return saved_broken("a reader of pairs", e);
    c->p += taken;
    return ST_OK;
}
