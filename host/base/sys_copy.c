#include "base/sys.h"

#include "base/failpoint.h"

#include <errno.h>
#include <unistd.h>

enum { COPY_MAX = 1 << 30, COPY_BUFFER = 256 * 1024 };

static enum status too_short(const char *from, uint64_t missing, struct err *e)
{
    return err_set(e, ST_CORRUPT, "%s is %llu bytes shorter than it was", from,
                   (unsigned long long)missing);
}

/* True when another way may do what copy_file_range could not. */
static bool is_refused(int os_error)
{
    return os_error == EXDEV || os_error == EINVAL || os_error == ENOSYS || os_error == EPERM ||
           os_error == EOPNOTSUPP || os_error == EBADF || os_error == ETXTBSY;
}

/* Copies in the kernel: *left goes down by what is done. ST_END when the rest is to be read and
 * written. */
static enum status copy_range(int in, uint64_t *left, int out, const char *path, struct err *e)
{
    while (*left > 0) {
        size_t want = *left < COPY_MAX ? (size_t)*left : COPY_MAX;
        ssize_t done = copy_file_range(in, NULL, out, NULL, want, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && !is_refused(errno))
            return err_sys(e, errno, "write", path);
        if (done <= 0)
            return ST_END;
        *left -= (uint64_t)done;
    }
    return ST_OK;
}

static enum status copy_bytes(int in, const char *from, uint64_t left, int out, const char *path,
                              const char *site, struct err *e)
{
    uint8_t *buffer = sys_malloc(COPY_BUFFER);
    if (!buffer)
        return err_memory(e, "copying a file", COPY_BUFFER);
    enum status status = ST_OK;
    while (status == ST_OK && left > 0) {
        size_t got = 0, want = left < COPY_BUFFER ? (size_t)left : COPY_BUFFER;
        status = sys_read(in, buffer, want, &got, from, e);
        if (status == ST_OK && got == 0)
            status = too_short(from, left, e);
        if (status == ST_OK)
            status = sys_write(out, buffer, got, path, site, e);
        left -= got;
    }
    sys_free(buffer);
    return status;
}

enum status sys_copy(const char *from, uint64_t n, int fd, const char *path, const char *site,
                     struct err *e)
{
    int in = -1;
    enum status status = sys_open_read(from, &in, e);
    if (status != ST_OK)
        return status;
    failpoint_at(site, ":before");
    status = copy_range(in, &n, fd, path, e);
    if (status == ST_END)
        status = copy_bytes(in, from, n, fd, path, NULL, e);
    failpoint_at(site, ":after");
    (void)close(in);
    return status;
}
