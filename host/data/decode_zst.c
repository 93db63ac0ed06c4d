#include "base/sys.h"
#include "data/decoder.h"

#include <zstd.h>
#include <zstd_errors.h>

static void *zst_open(void)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    if (z && ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, DECODER_WINDOW_LOG))) {
        ZSTD_freeDCtx(z);
        return NULL;
    }
    return z;
}

static void zst_close(void *state)
{
    ZSTD_freeDCtx(state);
}

static enum decoded zst_failed(size_t result, struct decode_io *io)
{
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_memory_allocation:
        return DECODE_MEMORY;
    case ZSTD_error_frameParameter_windowTooLarge:
        io->why = "it needs a window of more than 128 MiB to decompress (compress it again with "
                  "zstd --long=27 or less)";
        return DECODE_BROKEN;
    case ZSTD_error_prefix_unknown:
        io->why = "what stands here is no zstd frame";
        return DECODE_BROKEN;
    default:
        io->why = ZSTD_getErrorName(result);
        return DECODE_BROKEN;
    }
}

static enum decoded zst_step(void *state, struct decode_io *io)
{
    ZSTD_inBuffer in = { io->in, (size_t)(io->in_end - io->in), 0 };
    ZSTD_outBuffer out = { io->out, (size_t)(io->out_end - io->out), 0 };
    size_t result = ZSTD_decompressStream(state, &out, &in);
    io->in += in.pos;
    io->out += out.pos;
    if (ZSTD_isError(result))
        return zst_failed(result, io);
    /* Called once more behind the end of a frame, it asks for the header of a next one. */
    bool idle = in.pos == 0 && out.pos == 0;
    return result == 0 && !idle ? DECODE_WHOLE : DECODE_MORE;
}

const struct decoder decoder_zst = { "zstd", zst_open, zst_step, zst_close };
