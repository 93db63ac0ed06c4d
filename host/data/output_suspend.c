/* Outputs of which a task checkpoint knows the beginning. */
#include "output_internal.h"

#include "base/sys.h"
#include "data/run_writer.h"
#include "data/saved.h"

#include <unistd.h>

enum { STATE_VERSION = 1, COPY_BUFFER = 256 * 1024 };

bool output_can_suspend(const struct output *o, const char **why)
{
    if (!o->compressor)
        return true;
    if (why)
        *why = "a compressed part cannot be continued in the middle of a member";
    return false;
}

static enum status suspend_rows(struct output *o, bool durable, struct err *e)
{
    enum status status = output_flush(o, e);
    if (status == ST_OK && durable)
        status = sys_fsync(o->fd, o->path, "output.fsync", e);
    return status;
}

enum status output_suspend(struct output *o, bool durable, struct buf *out, struct err *e)
{
    const char *why;
    if (!output_can_suspend(o, &why))
        return err_set(e, ST_USAGE, "%s: %s", o->path, why);
    enum status status = o->run ? ST_OK : suspend_rows(o, durable, e);
    if (status != ST_OK)
        return status;
    struct saver to = saver_of(out);
    save_uint(&to, STATE_VERSION);
    save_uint(&to, o->spec.format);
    save_uint(&to, o->spec.compress);
    save_uint(&to, o->stats.records);
    if (!o->run) {
        save_uint(&to, o->stats.raw_bytes);
        save_uint(&to, o->stats.bytes);
        save_word(&to, XXH3_64bits_digest(o->hash));
    }
    if (to.status != ST_OK)
        return err_memory(e, "a task checkpoint", out->n);
    return o->run ? run_suspend(o->run, durable, out, e) : ST_OK;
}

/* --- going on --- */

static enum status is_another(const struct output *o, const char *from, struct err *e)
{
    enum status status = err_set(e, ST_CORRUPT,
                                 "%s does not begin with the %llu bytes that it had", from,
                                 (unsigned long long)o->stats.bytes);
    err_at(e, from, -1, -1);
    return status;
}

/* Copies `left` bytes of `in`, which are hashed on the way. */
static enum status copy(struct output *o, int in, const char *from, uint64_t left, struct err *e)
{
    uint8_t *buffer = sys_malloc(COPY_BUFFER);
    enum status status = buffer ? ST_OK : err_memory(e, "copying a file", COPY_BUFFER);
    while (status == ST_OK && left > 0) {
        size_t got = 0, want = left < COPY_BUFFER ? (size_t)left : COPY_BUFFER;
        status = sys_read(in, buffer, want, &got, from, e);
        if (status == ST_OK && got == 0)
            status = is_another(o, from, e);
        if (status == ST_OK)
            status = output_write(o, slice_of(buffer, got), e);
        left -= got;
    }
    sys_free(buffer);
    return status;
}

static enum status resume_rows(struct output *o, const char *from_path, struct saved *from,
                               struct err *e)
{
    uint64_t raw_bytes = saved_uint(from, INT64_MAX), bytes = saved_uint(from, INT64_MAX);
    uint64_t digest = saved_word(from);
    int in = -1;
    if (!saved_ended(from) || o->spec.compress != COMPRESS_NONE)
        return saved_broken("an output", e);
    enum status status = output_open_rows(o, e);
    if (status == ST_OK)
        status = sys_open_read(from_path, &in, e);
    if (status == ST_OK)
        status = copy(o, in, from_path, bytes, e);
    if (in >= 0)
        (void)close(in);
    o->stats.raw_bytes = raw_bytes;
    if (status == ST_OK && XXH3_64bits_digest(o->hash) != digest)
        status = is_another(o, from_path, e);
    return status;
}

static enum status resume(struct output *o, const char *from_path, struct slice state,
                          struct err *e)
{
    struct saved from = saved_of(state);
    saved_expect(&from, STATE_VERSION);
    saved_expect(&from, o->spec.format);
    saved_expect(&from, o->spec.compress);
    o->stats.records = saved_uint(&from, INT64_MAX);
    if (from.failed)
        return err_set(e, ST_CORRUPT,
                       "the saved state of an output is of another format or of another version");
    if (o->spec.format != OUT_PAIRS)
        return resume_rows(o, from_path, &from, e);
    enum status status = run_resume(from_path, from.rest, o->path, 1,
                                    o->spec.compress == COMPRESS_LZ4, &o->run, e);
    if (status == ST_OK && !run_in_segment(o->run))
        status = saved_broken("an output", e);
    return status;
}

enum status output_resume(const char *from_path, struct slice state, const char *path,
                          const struct output_spec *spec, struct output **out, struct err *e)
{
    struct output *o = NULL;
    enum status status = output_prepare(path, spec, &o, e);
    if (status == ST_OK)
        status = resume(o, from_path, state, e);
    if (status != ST_OK) {
        output_abandon(o);
        return status;
    }
    *out = o;
    return ST_OK;
}
