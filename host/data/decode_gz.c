#include "base/sys.h"
#include "data/decoder.h"

#include <limits.h>
#include <zlib.h>

struct gz {
    z_stream z;
    bool open; /* inside a member */
    bool any;  /* a member has ended: what follows may be zero padding */
};

static void *gz_open(void)
{
    struct gz *g = sys_calloc(1, sizeof *g);
    if (g && inflateInit2(&g->z, 15 + 16) != Z_OK) {
        sys_free(g);
        return NULL;
    }
    return g;
}

static void gz_close(void *state)
{
    struct gz *g = state;
    (void)inflateEnd(&g->z);
    sys_free(g);
}

/* Between members: passes over padding; true when a member follows. */
static bool gz_next_member(struct gz *g, struct decode_io *io)
{
    while (g->any && io->in < io->in_end && *io->in == 0)
        io->in++;
    if (io->in == io->in_end)
        return false;
    (void)inflateReset(&g->z);
    g->open = true;
    return true;
}

static enum decoded gz_failed(const struct gz *g, int result, struct decode_io *io)
{
    if (result == Z_MEM_ERROR)
        return DECODE_MEMORY;
    bool garbage = g->any && g->z.total_out == 0;
    io->why = garbage  ? "what follows its last gzip member is none"
            : g->z.msg ? g->z.msg
                       : "this is no gzip data";
    return DECODE_BROKEN;
}

static enum decoded gz_step(void *state, struct decode_io *io)
{
    struct gz *g = state;
    if (!g->open && !gz_next_member(g, io))
        return g->any ? DECODE_WHOLE : DECODE_MORE;
    CHECK(io->in_end - io->in <= INT_MAX);
    size_t room = (size_t)(io->out_end - io->out);
    g->z.next_in = (Bytef *)(uintptr_t)io->in;
    g->z.avail_in = (uInt)(io->in_end - io->in);
    g->z.next_out = io->out;
    g->z.avail_out = room < INT_MAX ? (uInt)room : INT_MAX;
    int result = inflate(&g->z, Z_NO_FLUSH);
    io->in = g->z.next_in;
    io->out = g->z.next_out;
    if (result == Z_STREAM_END) {
        g->open = false;
        g->any = true;
        return DECODE_WHOLE;
    }
    return result == Z_OK || result == Z_BUF_ERROR ? DECODE_MORE : gz_failed(g, result, io);
}

const struct decoder decoder_gz = { "gzip", gz_open, gz_step, gz_close };
