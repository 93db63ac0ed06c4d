#include "output_internal.h"

#include "base/sys.h"

#include <unistd.h>

enum { TEXT_BUFFER = 256 * 1024, TEXT_SLACK = 4096, TEXT_KEPT = 4 * 1024 * 1024 };

static void free_output(struct output *o)
{
    if (o->fd >= 0)
        (void)close(o->fd);
    compressor_free(o->compressor);
    (void)XXH3_freeState(o->hash);
    buf_free(&o->text);
    buf_free(&o->packed);
    buf_free(&o->scratch);
    output_spec_free(&o->spec);
    sys_free(o->path);
    sys_free(o);
}

void output_abandon(struct output *o)
{
    if (!o)
        return;
    run_abandon(o->run);
    free_output(o);
}

static enum status open_pairs(struct output *o, struct err *e)
{
    enum status status = run_create(o->path, 1, o->spec.compress == COMPRESS_LZ4, &o->run, e);
    return status == ST_OK ? run_segment_begin(o->run, e) : status;
}

enum status output_open_rows(struct output *o, struct err *e)
{
    static const row_writer writers[] = {
        [OUT_TEXT] = row_text,  [OUT_TSV] = row_fields, [OUT_CSV] = row_fields,
        [OUT_JSONL] = row_json, [OUT_RAW] = row_raw,
    };
    enum status status = ST_OK;
    o->write_row = writers[o->spec.format];
    o->hash = XXH3_createState();
    if (!o->hash || XXH3_64bits_reset(o->hash) == XXH_ERROR ||
        buf_reserve(&o->text, TEXT_BUFFER + TEXT_SLACK) != ST_OK)
        return err_memory(e, "output", TEXT_BUFFER);
    if (o->spec.compress != COMPRESS_NONE)
        status = compressor_open(o->spec.compress, &o->compressor, e);
    if (status == ST_OK)
        status = sys_create(o->path, &o->fd, e);
    return status;
}

static enum status begin(struct output *o, struct err *e)
{
    if (o->spec.format == OUT_PAIRS)
        return open_pairs(o, e);
    enum status status = output_open_rows(o, e);
    if (status == ST_OK && o->spec.header)
        status = row_failed(row_header(&o->spec, &o->text), e);
    return status;
}

static enum status copy_spec(struct output_spec *to, const struct output_spec *from)
{
    *to = *from;
    to->ncolumns = 0;
    for (uint32_t i = 0; i < from->ncolumns; i++) {
        to->columns[i] = sys_strdup(from->columns[i]);
        if (!to->columns[i])
            return ST_MEMORY;
        to->ncolumns++;
    }
    return ST_OK;
}

enum status output_prepare(const char *path, const struct output_spec *spec, struct output **out,
                           struct err *e)
{
    struct output *o = sys_calloc(1, sizeof *o);
    if (!o)
        return err_memory(e, "output", sizeof *o);
    o->fd = -1;
    o->path = sys_strdup(path);
    enum status status = o->path ? copy_spec(&o->spec, spec) : ST_MEMORY;
    if (status != ST_OK) {
        output_abandon(o);
        return err_memory(e, "output", strlen(path));
    }
    *out = o;
    return ST_OK;
}

enum status output_open(const char *path, const struct output_spec *spec, struct output **out,
                        struct err *e)
{
    struct output *o = NULL;
    enum status status = output_prepare(path, spec, &o, e);
    if (o && status == ST_OK)
        status = begin(o, e);
    if (status != ST_OK) {
        output_abandon(o);
        return status;
    }
    *out = o;
    return ST_OK;
}

enum status output_write(struct output *o, struct slice s, struct err *e)
{
    if (s.n == 0)
        return ST_OK;
    (void)XXH3_64bits_update(o->hash, s.p, s.n);
    o->stats.bytes += s.n;
    enum status status = sys_write(o->fd, s.p, s.n, o->path, "output.write", e);
    if (status == ST_OK)
        sys_write_behind(o->fd, o->stats.bytes, &o->behind);
    return status;
}

static enum status write_packed(struct output *o, struct err *e)
{
    enum status status = output_write(o, buf_slice(&o->packed), e);
    o->packed.n = 0;
    return status;
}

enum status output_flush(struct output *o, struct err *e)
{
    enum status status;
    o->stats.raw_bytes += o->text.n;
    if (o->compressor) {
        status = compressor_write(o->compressor, buf_slice(&o->text), &o->packed, e);
        if (status == ST_OK)
            status = write_packed(o, e);
    } else {
        status = output_write(o, buf_slice(&o->text), e);
    }
    o->text.n = 0;
    if (o->text.cap > TEXT_KEPT)
        buf_free(&o->text);
    return status;
}

enum status output_pair(struct output *o, struct slice key, struct slice value, struct err *e)
{
    enum status status;
    if (o->run) {
        status = run_put(o->run, 0, key, value, e);
    } else {
        size_t before = o->text.n;
        status = o->write_row(&o->spec, key, value, &o->scratch, &o->text, e);
        if (status != ST_OK)
            o->text.n = before;
        else if (o->text.n >= TEXT_BUFFER)
            status = output_flush(o, e);
    }
    o->stats.records += status == ST_OK;
    return status;
}

static enum status finish_rows(struct output *o, bool durable, struct err *e)
{
    enum status status = output_flush(o, e);
    if (status == ST_OK && o->compressor) {
        status = compressor_finish(o->compressor, &o->packed, e);
        if (status == ST_OK)
            status = write_packed(o, e);
    }
    if (status == ST_OK && durable)
        status = sys_fsync(o->fd, o->path, "output.fsync", e);
    o->stats.checksum = XXH3_64bits_digest(o->hash);
    return status;
}

static enum status finish_pairs(struct output *o, bool durable, struct err *e)
{
    struct run_stats run = { 0, 0, 0, 0 };
    enum status status = run_segment_end(o->run, e);
    if (status != ST_OK) {
        run_abandon(o->run);
        return status;
    }
    status = run_finish(o->run, durable, &run, e);
    o->stats.bytes = o->stats.raw_bytes = run.bytes;
    o->stats.checksum = run.checksum;
    return status;
}

enum status output_close(struct output *o, bool durable, struct output_stats *stats, struct err *e)
{
    enum status status = o->run ? finish_pairs(o, durable, e) : finish_rows(o, durable, e);
    if (stats)
        *stats = o->stats;
    free_output(o);
    return status;
}
