#include "base/sys.h"
#include "data/input.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { SPOOL_CHUNK = 256 * 1024 };

static enum status copy_all(int from, int to, const char *path, uint8_t *chunk, uint64_t *bytes,
                            struct err *e)
{
    for (;;) {
        size_t got = 0;
        struct err failure;
        enum status status = sys_read(from, chunk, SPOOL_CHUNK, &got, "standard input", &failure);
        if (status != ST_OK && failure.os_error == EAGAIN) { /* it was made non-blocking */
            sys_wait(from, POLLIN);
            continue;
        }
        if (status != ST_OK && e)
            *e = failure;
        if (status != ST_OK || got == 0)
            return status;
        status = sys_write(to, chunk, got, path, "spool.write", e);
        if (status != ST_OK)
            return status;
        *bytes += got;
    }
}

enum status input_spool(int fd, const char *path, bool durable, uint64_t *bytes, struct err *e)
{
    *bytes = 0;
    uint8_t *chunk = sys_malloc(SPOOL_CHUNK);
    if (!chunk)
        return err_memory(e, "reading standard input", SPOOL_CHUNK);
    int to = -1;
    enum status status = sys_create(path, &to, e);
    if (status == ST_OK)
        status = copy_all(fd, to, path, chunk, bytes, e);
    if (status == ST_OK && durable)
        status = sys_fsync(to, path, "spool.fsync", e);
    if (status == ST_OK && durable)
        status = sys_fsync_parent(path, "spool.fsync", e);
    if (to >= 0) {
        (void)close(to);
        if (status != ST_OK)
            (void)sys_unlink(path, NULL);
    }
    sys_free(chunk);
    return status;
}
