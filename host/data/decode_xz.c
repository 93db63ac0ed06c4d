#include "base/sys.h"
#include "data/decoder.h"

#include <lzma.h>

static void *xz_open(void)
{
    lzma_stream *z = sys_malloc(sizeof *z);
    if (!z)
        return NULL;
    *z = (lzma_stream)LZMA_STREAM_INIT;
    if (lzma_stream_decoder(z, DECODER_MEMORY, LZMA_CONCATENATED) != LZMA_OK) {
        sys_free(z);
        return NULL;
    }
    return z;
}

static void xz_close(void *state)
{
    lzma_end(state);
    sys_free(state);
}

static const char *xz_why(lzma_ret result)
{
    switch (result) {
    case LZMA_MEMLIMIT_ERROR:
        return "it needs more than 256 MiB to decompress (compress it again with xz -9 or less)";
    case LZMA_FORMAT_ERROR:
        return "this is no xz data";
    case LZMA_OPTIONS_ERROR:
        return "it uses an xz feature that is not known here";
    default:
        return "its xz data do not hold";
    }
}

static enum decoded xz_step(void *state, struct decode_io *io)
{
    lzma_stream *z = state;
    z->next_in = io->in;
    z->avail_in = (size_t)(io->in_end - io->in);
    z->next_out = io->out;
    z->avail_out = (size_t)(io->out_end - io->out);
    lzma_ret result = lzma_code(z, io->last ? LZMA_FINISH : LZMA_RUN);
    io->in = z->next_in;
    io->out = z->next_out;
    if (result == LZMA_STREAM_END)
        return DECODE_WHOLE;
    if (result == LZMA_OK || result == LZMA_BUF_ERROR)
        return DECODE_MORE;
    if (result == LZMA_MEM_ERROR)
        return DECODE_MEMORY;
    io->why = xz_why(result);
    return DECODE_BROKEN;
}

const struct decoder decoder_xz = { "xz", xz_open, xz_step, xz_close };
