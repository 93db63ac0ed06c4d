#include "data/compress.h"

#include "base/sys.h"

#include <assert.h>
#include <bzlib.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

/* CHUNK: what a codec is given at once, counted from a member's start, for some libraries' output
 * depends on how input is cut. */
enum {
    CHUNK = 256 * 1024,
    OUT_STEP = 64 * 1024,
    XZ_PRESET = 3,
    GZ_WINDOW = 15 + 16 /* a gzip header, not zlib's */
};

static_assert(COMPRESS_MEMBER % CHUNK == 0, "a member is a whole number of chunks");

/* One library each. A codec is begun before a member's first byte; `put` takes all of `raw`; `end`
 * writes what is left and closes the member. `drop` frees whatever state there is, in any
 * condition. */
struct codec {
    const char *name;
    enum status (*begin)(struct compressor *c, struct buf *out);
    enum status (*put)(struct compressor *c, struct slice raw, struct buf *out);
    enum status (*end)(struct compressor *c, struct buf *out);
    void (*drop)(struct compressor *c);
};

struct compressor {
    const struct codec *codec;
    uint8_t *chunk;
    size_t chunk_n;
    uint64_t member; /* bytes the codec was given since the open member began */
    bool open, any;
    union {
        z_stream gz;
        bz_stream bz2;
        lzma_stream xz;
        ZSTD_CCtx *zst;
        LZ4F_cctx *lz4;
    } u;
};

/* --- gz --- */

static enum status gz_begin(struct compressor *c, struct buf *out)
{
    (void)out;
    memset(&c->u.gz, 0, sizeof c->u.gz);
    int code =
        deflateInit2(&c->u.gz, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZ_WINDOW, 8, Z_DEFAULT_STRATEGY);
    return code == Z_OK ? ST_OK : ST_MEMORY;
}

static enum status gz_run(struct compressor *c, int flush, struct buf *out)
{
    int code;
    do {
        if (buf_reserve(out, OUT_STEP) != ST_OK)
            return ST_MEMORY;
        c->u.gz.next_out = out->p + out->n;
        c->u.gz.avail_out = OUT_STEP;
        code = deflate(&c->u.gz, flush);
        out->n += OUT_STEP - c->u.gz.avail_out;
        if (code == Z_STREAM_ERROR)
            return ST_CRASH;
    } while (c->u.gz.avail_out == 0 || (flush == Z_FINISH && code != Z_STREAM_END));
    return ST_OK;
}

static enum status gz_put(struct compressor *c, struct slice raw, struct buf *out)
{
    c->u.gz.next_in = (z_const Bytef *)raw.p;
    c->u.gz.avail_in = (uInt)raw.n;
    return gz_run(c, Z_NO_FLUSH, out);
}

static void gz_drop(struct compressor *c)
{
    (void)deflateEnd(&c->u.gz);
}

static enum status gz_end(struct compressor *c, struct buf *out)
{
    return gz_run(c, Z_FINISH, out);
}

/* --- bz2 --- */

static enum status bz2_begin(struct compressor *c, struct buf *out)
{
    (void)out;
    memset(&c->u.bz2, 0, sizeof c->u.bz2);
    return BZ2_bzCompressInit(&c->u.bz2, 9, 0, 0) == BZ_OK ? ST_OK : ST_MEMORY;
}

static enum status bz2_run(struct compressor *c, int action, struct buf *out)
{
    int code;
    do {
        if (buf_reserve(out, OUT_STEP) != ST_OK)
            return ST_MEMORY;
        c->u.bz2.next_out = (char *)out->p + out->n;
        c->u.bz2.avail_out = OUT_STEP;
        code = BZ2_bzCompress(&c->u.bz2, action);
        out->n += OUT_STEP - c->u.bz2.avail_out;
        if (code < 0)
            return ST_CRASH;
    } while (action == BZ_FINISH ? code != BZ_STREAM_END : c->u.bz2.avail_in > 0);
    return ST_OK;
}

static enum status bz2_put(struct compressor *c, struct slice raw, struct buf *out)
{
    c->u.bz2.next_in = (char *)(uintptr_t)raw.p; /* only read; the library predates const */
    c->u.bz2.avail_in = (unsigned)raw.n;
    return bz2_run(c, BZ_RUN, out);
}

static enum status bz2_end(struct compressor *c, struct buf *out)
{
    return bz2_run(c, BZ_FINISH, out);
}

static void bz2_drop(struct compressor *c)
{
    (void)BZ2_bzCompressEnd(&c->u.bz2);
}

/* --- xz --- */

static enum status xz_begin(struct compressor *c, struct buf *out)
{
    (void)out;
    c->u.xz = (lzma_stream)LZMA_STREAM_INIT;
    return lzma_easy_encoder(&c->u.xz, XZ_PRESET, LZMA_CHECK_CRC64) == LZMA_OK ? ST_OK : ST_MEMORY;
}

static enum status xz_run(struct compressor *c, lzma_action action, struct buf *out)
{
    lzma_ret code;
    do {
        if (buf_reserve(out, OUT_STEP) != ST_OK)
            return ST_MEMORY;
        c->u.xz.next_out = out->p + out->n;
        c->u.xz.avail_out = OUT_STEP;
        code = lzma_code(&c->u.xz, action);
        out->n += OUT_STEP - c->u.xz.avail_out;
        if (code != LZMA_OK && code != LZMA_STREAM_END)
            return code == LZMA_MEM_ERROR ? ST_MEMORY : ST_CRASH;
    } while (action == LZMA_FINISH ? code != LZMA_STREAM_END : c->u.xz.avail_in > 0);
    return ST_OK;
}

static enum status xz_put(struct compressor *c, struct slice raw, struct buf *out)
{
    c->u.xz.next_in = raw.p;
    c->u.xz.avail_in = raw.n;
    return xz_run(c, LZMA_RUN, out);
}

static enum status xz_end(struct compressor *c, struct buf *out)
{
    return xz_run(c, LZMA_FINISH, out);
}

static void xz_drop(struct compressor *c)
{
    lzma_end(&c->u.xz);
}

/* --- zst --- */

static enum status zst_begin(struct compressor *c, struct buf *out)
{
    (void)out;
    c->u.zst = ZSTD_createCCtx();
    if (!c->u.zst || ZSTD_isError(ZSTD_CCtx_setParameter(c->u.zst, ZSTD_c_checksumFlag, 1)))
        return ST_MEMORY;
    return ST_OK;
}

static enum status zst_run(struct compressor *c, struct slice raw, ZSTD_EndDirective mode,
                           struct buf *out)
{
    ZSTD_inBuffer in = { raw.p, raw.n, 0 };
    size_t left;
    do {
        if (buf_reserve(out, OUT_STEP) != ST_OK)
            return ST_MEMORY;
        ZSTD_outBuffer to = { out->p + out->n, OUT_STEP, 0 };
        left = ZSTD_compressStream2(c->u.zst, &to, &in, mode);
        if (ZSTD_isError(left))
            return ST_CRASH;
        out->n += to.pos;
    } while (mode == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return ST_OK;
}

static enum status zst_put(struct compressor *c, struct slice raw, struct buf *out)
{
    return zst_run(c, raw, ZSTD_e_continue, out);
}

static enum status zst_end(struct compressor *c, struct buf *out)
{
    return zst_run(c, slice_of(NULL, 0), ZSTD_e_end, out);
}

static void zst_drop(struct compressor *c)
{
    (void)ZSTD_freeCCtx(c->u.zst);
}

/* --- lz4 --- */

static LZ4F_preferences_t lz4_preferences(void)
{
    LZ4F_preferences_t p;
    memset(&p, 0, sizeof p);
    p.frameInfo.blockSizeID = LZ4F_max256KB;
    p.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    return p;
}

static enum status lz4_took(struct buf *out, size_t n)
{
    if (LZ4F_isError(n))
        return ST_CRASH;
    out->n += n;
    return ST_OK;
}

static enum status lz4_begin(struct compressor *c, struct buf *out)
{
    LZ4F_preferences_t p = lz4_preferences();
    c->u.lz4 = NULL;
    if (LZ4F_isError(LZ4F_createCompressionContext(&c->u.lz4, LZ4F_VERSION)) ||
        buf_reserve(out, LZ4F_HEADER_SIZE_MAX) != ST_OK)
        return ST_MEMORY;
    return lz4_took(out, LZ4F_compressBegin(c->u.lz4, out->p + out->n, LZ4F_HEADER_SIZE_MAX, &p));
}

static enum status lz4_put(struct compressor *c, struct slice raw, struct buf *out)
{
    LZ4F_preferences_t p = lz4_preferences();
    size_t bound = LZ4F_compressBound(raw.n, &p);
    if (buf_reserve(out, bound) != ST_OK)
        return ST_MEMORY;
    return lz4_took(out, LZ4F_compressUpdate(c->u.lz4, out->p + out->n, bound, raw.p, raw.n, NULL));
}

static enum status lz4_end(struct compressor *c, struct buf *out)
{
    LZ4F_preferences_t p = lz4_preferences();
    size_t bound = LZ4F_compressBound(0, &p);
    if (buf_reserve(out, bound) != ST_OK)
        return ST_MEMORY;
    return lz4_took(out, LZ4F_compressEnd(c->u.lz4, out->p + out->n, bound, NULL));
}

static void lz4_drop(struct compressor *c)
{
    (void)LZ4F_freeCompressionContext(c->u.lz4);
}

/* --- members --- */

static const struct codec codecs[] = {
    [COMPRESS_GZ] = { "gz", gz_begin, gz_put, gz_end, gz_drop },
    [COMPRESS_ZST] = { "zst", zst_begin, zst_put, zst_end, zst_drop },
    [COMPRESS_LZ4] = { "lz4", lz4_begin, lz4_put, lz4_end, lz4_drop },
    [COMPRESS_BZ2] = { "bz2", bz2_begin, bz2_put, bz2_end, bz2_drop },
    [COMPRESS_XZ] = { "xz", xz_begin, xz_put, xz_end, xz_drop },
};

static enum status failed(const struct compressor *c, enum status status, struct err *e)
{
    if (status == ST_MEMORY)
        return err_set(e, ST_MEMORY, "out of memory for %s compression", c->codec->name);
    return status == ST_OK ? ST_OK : err_set(e, status, "%s compression failed", c->codec->name);
}

enum status compressor_open(enum output_compress kind, struct compressor **out, struct err *e)
{
    CHECK(kind > COMPRESS_NONE && kind <= COMPRESS_XZ);
    struct compressor *c = sys_calloc(1, sizeof *c);
    uint8_t *chunk = sys_malloc(CHUNK);
    if (!c || !chunk) {
        sys_free(c);
        sys_free(chunk);
        return err_memory(e, "compression", CHUNK);
    }
    c->codec = &codecs[kind];
    c->chunk = chunk;
    *out = c;
    return ST_OK;
}

static enum status begin_member(struct compressor *c, struct buf *out)
{
    c->open = c->any = true;
    c->member = 0;
    return c->codec->begin(c, out);
}

static enum status end_member(struct compressor *c, struct buf *out)
{
    enum status status = c->codec->end(c, out);
    c->codec->drop(c);
    c->open = false;
    return status;
}

/* Gives the chunk to the codec; a member is a whole number of chunks. */
static enum status put_chunk(struct compressor *c, struct buf *out)
{
    enum status status = c->open ? ST_OK : begin_member(c, out);
    if (status == ST_OK)
        status = c->codec->put(c, slice_of(c->chunk, c->chunk_n), out);
    c->member += c->chunk_n;
    c->chunk_n = 0;
    return status == ST_OK && c->member == COMPRESS_MEMBER ? end_member(c, out) : status;
}

enum status compressor_write(struct compressor *c, struct slice raw, struct buf *out, struct err *e)
{
    enum status status = ST_OK;
    while (raw.n > 0 && status == ST_OK) {
        size_t room = CHUNK - c->chunk_n;
        size_t n = raw.n < room ? raw.n : room;
        memcpy(c->chunk + c->chunk_n, raw.p, n);
        c->chunk_n += n;
        raw = slice_of(raw.p + n, raw.n - n);
        if (c->chunk_n == CHUNK)
            status = put_chunk(c, out);
    }
    return failed(c, status, e);
}

enum status compressor_finish(struct compressor *c, struct buf *out, struct err *e)
{
    enum status status = ST_OK;
    if (c->chunk_n > 0)
        status = put_chunk(c, out);
    else if (!c->any)
        status = begin_member(c, out);
    if (status == ST_OK && c->open)
        status = end_member(c, out);
    return failed(c, status, e);
}

void compressor_free(struct compressor *c)
{
    if (!c)
        return;
    if (c->open)
        c->codec->drop(c);
    sys_free(c->chunk);
    sys_free(c);
}
