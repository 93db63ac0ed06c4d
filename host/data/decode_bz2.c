#include "base/sys.h"
#include "data/decoder.h"

#include <bzlib.h>
#include <limits.h>

struct bz2 {
    bz_stream z;
    bool open; /* z is initialized: inside a stream */
    bool any;
};

static void *bz2_open(void)
{
    return sys_calloc(1, sizeof(struct bz2));
}

static void bz2_close(void *state)
{
    struct bz2 *b = state;
    if (b->open)
        (void)BZ2_bzDecompressEnd(&b->z);
    sys_free(b);
}

static enum decoded bz2_failed(const struct bz2 *b, int result, struct decode_io *io)
{
    if (result == BZ_MEM_ERROR)
        return DECODE_MEMORY;
    bool magic = result == BZ_DATA_ERROR_MAGIC;
    io->why = !magic ? "its bzip2 data do not hold"
            : b->any ? "what follows its last bzip2 stream is none"
                     : "this is no bzip2 data";
    return DECODE_BROKEN;
}

static enum decoded bz2_step(void *state, struct decode_io *io)
{
    struct bz2 *b = state;
    if (!b->open) {
        if (io->in == io->in_end)
            return b->any ? DECODE_WHOLE : DECODE_MORE;
        memset(&b->z, 0, sizeof b->z);
        if (BZ2_bzDecompressInit(&b->z, 0, 0) != BZ_OK)
            return DECODE_MEMORY;
        b->open = true;
    }
    size_t room = (size_t)(io->out_end - io->out);
    b->z.next_in = (char *)(uintptr_t)io->in;
    b->z.avail_in = (unsigned)(io->in_end - io->in);
    b->z.next_out = (char *)io->out;
    b->z.avail_out = room < INT_MAX ? (unsigned)room : INT_MAX;
    int result = BZ2_bzDecompress(&b->z);
    io->in = (const uint8_t *)b->z.next_in;
    io->out = (uint8_t *)b->z.next_out;
    if (result == BZ_OK)
        return DECODE_MORE;
    if (result != BZ_STREAM_END)
        return bz2_failed(b, result, io);
    (void)BZ2_bzDecompressEnd(&b->z);
    b->open = false;
    b->any = true;
    return DECODE_WHOLE;
}

const struct decoder decoder_bz2 = { "bzip2", bz2_open, bz2_step, bz2_close };
