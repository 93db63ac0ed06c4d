#include "base/sys.h"
#include "data/decoder.h"

#include <lz4frame.h>

static void *lz4_open(void)
{
    LZ4F_dctx *z = NULL;
    return LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)) ? NULL : z;
}

static void lz4_close(void *state)
{
    (void)LZ4F_freeDecompressionContext(state);
}

static enum decoded lz4_step(void *state, struct decode_io *io)
{
    size_t taken = (size_t)(io->in_end - io->in), given = (size_t)(io->out_end - io->out);
    size_t result = LZ4F_decompress(state, io->out, &given, io->in, &taken, NULL);
    if (LZ4F_isError(result)) {
        const char *name = LZ4F_getErrorName(result);
        io->why = strcmp(name, "ERROR_frameType_unknown") == 0 ? "what stands here is no lz4 frame"
                                                               : name;
        return DECODE_BROKEN;
    }
    io->in += taken;
    io->out += given;
    return result == 0 && (taken > 0 || given > 0) ? DECODE_WHOLE : DECODE_MORE;
}

const struct decoder decoder_lz4 = { "lz4", lz4_open, lz4_step, lz4_close };
