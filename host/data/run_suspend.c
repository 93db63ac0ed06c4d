/* Run files of which a task checkpoint knows the beginning. */
#include "data/run_writer.h"

#include "base/sys.h"
#include "data/saved.h"

#include <unistd.h>

enum { STATE_VERSION = 1 };

/* Finished blocks go to the file; the one being built moves to the front. */
static enum status write_blocks(struct run_writer *w, struct err *e)
{
    enum status status = ST_OK;
    if (w->block > 0)
        status = run_write_out(w, w->out.p, w->block, e);
    if (status != ST_OK)
        return status;
    memmove(w->out.p, w->out.p + w->block, w->out.n - w->block);
    w->out.n -= w->block;
    w->block = 0;
    return ST_OK;
}

static void save_segment(const struct run_writer *w, struct saver *s)
{
    save_uint(s, w->in_segment);
    if (!w->in_segment)
        return;
    save_uint(s, w->partition);
    save_uint(s, w->entry_offset);
    save_uint(s, w->entry_pairs);
    save_word(s, w->entry_chain);
    save_slice(s, slice_of(w->out.p + RUN_BLOCK_HEADER_SIZE, w->out.n - RUN_BLOCK_HEADER_SIZE));
}

enum status run_suspend(struct run_writer *w, bool durable, struct buf *out, struct err *e)
{
    enum status status = write_blocks(w, e);
    if (status == ST_OK && durable)
        status = sys_fsync(w->fd, w->path, "run.fsync", e);
    if (status != ST_OK)
        return status;
    struct saver s = saver_of(out);
    save_uint(&s, STATE_VERSION);
    save_uint(&s, w->partitions);
    save_uint(&s, w->compress);
    save_uint(&s, w->written);
    save_uint(&s, w->segments);
    save_uint(&s, w->pairs);
    save_segment(w, &s);
    save_slice(&s, buf_slice(&w->index));
    return s.status == ST_OK ? ST_OK : err_memory(e, "a task checkpoint", w->index.n);
}

/* --- going on --- */

static void take_segment(struct run_writer *w, struct saved *s, struct slice *raw)
{
    *raw = slice_of("", 0);
    w->in_segment = saved_bool(s);
    if (!w->in_segment)
        return;
    w->partition = (uint32_t)saved_uint(s, w->partitions - 1);
    w->entry_offset = saved_uint(s, w->written);
    w->entry_pairs = saved_uint(s, UINT64_MAX);
    w->entry_chain = saved_word(s);
    *raw = saved_slice(s);
    saved_check(s, raw->n <= RUN_PAIR_MAX + (size_t)2 * VARINT_MAX + RUN_BLOCK);
}

/* As run_open checks them: the entries tile the file up to where it is written. */
static bool entries_hold(const struct run_writer *w, struct slice index)
{
    uint64_t entries = index.n / RUN_ENTRY_SIZE, offset = RUN_HEADER_SIZE, pairs = 0;
    uint64_t open = w->in_segment ? w->partition : 0;
    if (index.n % RUN_ENTRY_SIZE != 0 || open > entries || (entries - open) % w->partitions != 0 ||
        (entries - open) / w->partitions != w->segments)
        return false;
    for (uint64_t i = 0; i < entries; i++) {
        const uint8_t *entry = index.p + i * RUN_ENTRY_SIZE;
        uint64_t bytes = run_load64(entry + 8);
        if (run_load64(entry) != offset || bytes > w->written - offset ||
            (bytes == 0) != (run_load64(entry + 16) == 0))
            return false;
        offset += bytes;
        pairs += run_load64(entry + 16);
    }
    return pairs == w->pairs && offset == (w->in_segment ? w->entry_offset : w->written);
}

/* Everything but the file. */
static enum status take_state(struct run_writer *w, struct slice state, struct err *e)
{
    struct saved s = saved_of(state);
    struct slice raw, index;
    saved_expect(&s, STATE_VERSION);
    saved_expect(&s, w->partitions);
    saved_expect(&s, w->compress);
    w->written = saved_uint(&s, INT64_MAX);
    w->segments = saved_uint(&s, UINT64_MAX);
    w->pairs = saved_uint(&s, UINT64_MAX);
    take_segment(w, &s, &raw);
    index = saved_slice(&s);
    if (!saved_ended(&s) || w->written < RUN_HEADER_SIZE || !entries_hold(w, index))
        return saved_broken("a run file", e);
    w->block = 0;
    w->out.n = RUN_BLOCK_HEADER_SIZE;
    enum status status = run_make_room(w, raw.n, e);
    if (status == ST_OK && buf_append_slice(&w->index, index) != ST_OK)
        status = err_memory(e, "the index of a run file", index.n);
    if (status != ST_OK)
        return status;
    if (raw.n)
        memcpy(w->out.p + w->out.n, raw.p, raw.n);
    w->out.n += raw.n;
    return ST_OK;
}

/* A file of ours that was made with the same options. */
static enum status check_header(const struct run_writer *w, const char *from, struct err *e)
{
    uint8_t header[RUN_HEADER_SIZE];
    size_t got = 0;
    int fd = -1;
    enum status status = sys_open_read(from, &fd, e);
    if (status == ST_OK)
        status = sys_pread(fd, header, sizeof header, 0, &got, from, e);
    if (fd >= 0)
        (void)close(fd);
    if (status != ST_OK || (got == sizeof header && memcmp(header, w->header, got) == 0))
        return status;
    status = err_set(e, ST_CORRUPT, "%s is not the run file it was", from);
    err_at(e, from, 0, -1);
    return status;
}

enum status run_resume(const char *from_path, struct slice state, const char *new_path,
                       uint32_t partitions, bool compress, struct run_writer **out, struct err *e)
{
    struct run_writer *w = NULL;
    enum status status = run_create(new_path, partitions, compress, &w, e);
    if (status != ST_OK)
        return status;
    status = take_state(w, state, e);
    if (status == ST_OK)
        status = check_header(w, from_path, e);
    if (status == ST_OK)
        status = sys_copy(from_path, w->written, w->fd, new_path, "run.copy", e);
    if (status != ST_OK) {
        run_abandon(w);
        return status;
    }
    *out = w;
    return ST_OK;
}
