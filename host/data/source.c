#include "data/source.h"

#include "base/sys.h"
#include "data/decoder.h"
#include "data/input.h"
#include "data/remote.h"
#include "data/url.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_CHUNK = 256 * 1024, MAGIC_MAX = 6 };

struct source {
    int fd;
    struct remote *remote; /* instead of it, for an address */
    char *path;
    uint64_t size;            /* of the file as it is stored, as planned */
    uint64_t start, position; /* in it: of the first byte read, of the next one to be read */
    const struct decoder *decoder; /* NULL: plain */
    void *state;
    struct decode_io io;
    uint8_t *chunk;
    size_t chunk_cap;
    uint8_t head[MAGIC_MAX]; /* the first bytes of the stored file, of a compressed one */
    size_t head_n;
    uint64_t produced; /* uncompressed bytes so far */
    bool whole;        /* between two compressed streams */
    enum status failed;
    struct err error;
};

static const struct ending {
    const char *ending;
    const struct decoder *decoder;
    const char *magic; /* the first bytes of most such files */
} endings[] = {
    { ".gz", &decoder_gz, "\x1f\x8b" },
    { ".zst", &decoder_zst, "\x28\xb5\x2f\xfd" },
    { ".lz4", &decoder_lz4, "\x04\x22\x4d\x18" },
    { ".bz2", &decoder_bz2, "BZh" },
    { ".xz", &decoder_xz, "\xfd" "7zXZ" },
};

static const struct decoder *decoder_of(const char *path)
{
    size_t n = url_name_length(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i].ending);
        if (n > m && memcmp(path + n - m, endings[i].ending, m) == 0)
            return endings[i].decoder;
    }
    return NULL;
}

bool input_is_compressed(const char *path)
{
    return decoder_of(path) != NULL;
}

static enum status changed(const char *path, uint64_t planned, uint64_t now, struct err *e)
{
    enum status status = err_set(e, ST_CORRUPT,
                                 "%s changed since the plan: it had %" PRIu64
                                 " bytes and has %" PRIu64 " now; run the job again from the start",
                                 path, planned, now);
    err_at(e, path, -1, -1);
    return status;
}

/* A file that is not there any more does not come back by waiting. */
static enum status open_file(struct source *s, struct err *e)
{
    struct err detail;
    enum status status = sys_open_read(s->path, &s->fd, &detail);
    if (status == ST_OK)
        return ST_OK;
    if (detail.os_error == ENOENT || detail.os_error == ENOTDIR)
        (void)err_set(&detail, status = ST_CORRUPT,
                      "%s changed since the plan: it is not there any more; put it back, or run the "
                      "job again from the start",
                      s->path);
    err_at(&detail, s->path, -1, -1);
    if (e)
        *e = detail;
    return status;
}

static enum status check_size(const struct source *s, struct err *e)
{
    struct stat st;
    if (fstat(s->fd, &st) != 0)
        return err_sys(e, errno, "stat", s->path);
    uint64_t now = st.st_size < 0 ? 0 : (uint64_t)st.st_size;
    return now == s->size ? ST_OK : changed(s->path, s->size, now, e);
}

static enum status open_decoder(struct source *s, const char *path, struct err *e)
{
    s->decoder = decoder_of(path);
    if (!s->decoder)
        return ST_OK;
    s->chunk_cap = s->size < SOURCE_CHUNK ? (size_t)s->size + 1 : SOURCE_CHUNK;
    s->chunk = sys_malloc(s->chunk_cap);
    s->state = s->decoder->open();
    if (!s->chunk || !s->state)
        return err_memory(e, "a decompressor", s->chunk_cap);
    s->position = s->start = 0;
    s->io.in = s->io.in_end = s->chunk;
    s->io.last = s->size == 0;
    return ST_OK;
}

static enum status open_remote(struct source *s, const struct source_file *file, struct err *e)
{
    const struct remote_file remote = { s->path, file->secret, file->validator, file->size,
                                        file->watch };
    uint64_t from = file->compressed ? 0 : s->position;
    uint64_t until = file->compressed ? file->size : file->until;
    return remote_open(&remote, from, until, &s->remote, e);
}

static enum status open_stored(struct source *s, const struct source_file *file, struct err *e)
{
    if (url_is(s->path))
        return open_remote(s, file, e);
    enum status status = open_file(s, e);
    return status == ST_OK ? check_size(s, e) : status;
}

enum status source_open(const struct source_file *file, uint64_t from, struct source **out,
                        struct err *e)
{
    struct source *s = sys_calloc(1, sizeof *s);
    if (!s)
        return err_memory(e, "an input file", sizeof *s);
    s->fd = -1;
    s->size = file->size;
    s->position = s->start = from < file->size ? from : file->size;
    s->path = sys_strdup(file->path);
    enum status status = s->path ? open_stored(s, file, e)
                                 : err_memory(e, "the name of an input file",
                                              strlen(file->path) + 1);
    if (status == ST_OK && file->compressed)
        status = open_decoder(s, file->path, e);
    if (status != ST_OK) {
        source_close(s);
        return status;
    }
    *out = s;
    return ST_OK;
}

/* A file whose size nobody told has it where it ends. */
static enum status read_remote(struct source *s, void *p, size_t n, size_t *got, struct err *e)
{
    enum status status = remote_read(s->remote, p, n, got, e);
    s->position += *got;
    if (status == ST_OK && *got == 0)
        s->size = s->position;
    return status;
}

static enum status read_file(struct source *s, void *p, size_t n, size_t *got, struct err *e)
{
    uint64_t left = s->size - s->position;
    if (n > left)
        n = (size_t)left;
    *got = 0;
    if (n == 0)
        return ST_OK;
    if (s->remote)
        return read_remote(s, p, n, got, e);
    enum status status = sys_pread(s->fd, p, n, s->position, got, s->path, e);
    if (status != ST_OK)
        return status;
    s->position += *got;
    return *got == n ? ST_OK : changed(s->path, s->size, s->position, e);
}

/* True when the file does not even begin like one of its ending. */
static bool is_misnamed(const struct source *s)
{
    size_t n = s->produced > 0 ? 0 : s->head_n;
    for (size_t i = 0; n > 0 && i < sizeof endings / sizeof *endings; i++) {
        size_t magic = strlen(endings[i].magic);
        if (endings[i].decoder == s->decoder)
            return memcmp(s->head, endings[i].magic, n < magic ? n : magic) != 0;
    }
    return false;
}

static enum status broken(const struct source *s, const char *how, const char *why, struct err *e)
{
    enum status status = err_set(
        e, ST_CORRUPT, "%s is %s: %s, after %" PRIu64 " uncompressed bytes%s", s->path, how, why,
        s->produced,
        is_misnamed(s) ? "; it does not begin like such a file: rename it if it is something else"
                       : "");
    err_at(e, s->path, (int64_t)s->produced, -1);
    return status;
}

static void keep_head(struct source *s, size_t got)
{
    size_t room = sizeof s->head - s->head_n, n = got < room ? got : room;
    memcpy(s->head + s->head_n, s->chunk, n);
    s->head_n += n;
}

static enum status refill(struct source *s, struct err *e)
{
    size_t got;
    enum status status = read_file(s, s->chunk, s->chunk_cap, &got, e);
    keep_head(s, got);
    s->io.in = s->chunk;
    s->io.in_end = s->chunk + got;
    s->io.last = s->position == s->size;
    return status;
}

/* One step of the decoder; *idle when it neither took nor gave a byte, which at the end of the file
 * means that it waits for bytes that are not there. */
static enum status step(struct source *s, bool *idle, struct err *e)
{
    const uint8_t *in = s->io.in, *out = s->io.out;
    enum decoded decoded = s->decoder->step(s->state, &s->io);
    s->produced += (uint64_t)(s->io.out - out);
    *idle = s->io.in == in && s->io.out == out;
    if (decoded == DECODE_MEMORY)
        return err_memory(e, "a decompressor", 0);
    if (decoded == DECODE_BROKEN)
        return broken(s, "damaged", s->io.why, e);
    if (decoded == DECODE_WHOLE)
        s->whole = true;
    else if (!*idle)
        s->whole = false;
    return ST_OK;
}

static enum status read_decoded(struct source *s, uint8_t *p, size_t n, size_t *got, struct err *e)
{
    s->io.out = p;
    s->io.out_end = p + n;
    enum status status = ST_OK;
    while (status == ST_OK && s->io.out == p) {
        if (s->io.in == s->io.in_end && s->position < s->size)
            status = refill(s, e);
        bool idle = false;
        if (status == ST_OK)
            status = step(s, &idle, e);
        if (status == ST_OK && idle) {
            if (s->io.in < s->io.in_end)
                status = broken(s, "damaged", "its decompressor does not go on", e);
            else if (s->position == s->size && s->whole)
                break;
            else if (s->position == s->size)
                status = broken(s, "cut", "it ends inside a compressed stream", e);
        }
    }
    *got = (size_t)(s->io.out - p);
    return status;
}

enum status source_read(struct source *s, void *p, size_t n, size_t *got, struct err *e)
{
    *got = 0;
    if (s->failed == ST_OK) {
        s->failed = s->decoder ? read_decoded(s, p, n, got, &s->error)
                               : read_file(s, p, n, got, &s->error);
        if (s->failed == ST_OK || *got > 0)
            return ST_OK;
    }
    if (e)
        *e = s->error;
    return s->failed;
}

uint64_t source_taken(const struct source *s)
{
    return s->position - s->start - (uint64_t)(s->io.in_end - s->io.in);
}

void source_close(struct source *s)
{
    if (!s)
        return;
    if (s->state)
        s->decoder->close(s->state);
    if (s->fd >= 0)
        (void)close(s->fd);
    remote_close(s->remote);
    sys_free(s->chunk);
    sys_free(s->path);
    sys_free(s);
}
