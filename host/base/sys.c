#include "base/sys.h"

#include "base/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One read or write moves at most this much, well within what Linux takes at once. */
enum { TRANSFER_MAX = 1 << 30 };

static int64_t clock_nanoseconds(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t sys_now(void)
{
    return clock_nanoseconds(CLOCK_MONOTONIC);
}

int64_t sys_wall_clock(void)
{
    return clock_nanoseconds(CLOCK_REALTIME);
}

static int64_t usage_nanoseconds(int who)
{
    struct rusage usage;
    CHECK(getrusage(who, &usage) == 0);
    int64_t seconds = (int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec;
    int64_t micros = (int64_t)usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return seconds * 1000000000 + micros * 1000;
}

int64_t sys_cpu_time(void)
{
    return usage_nanoseconds(RUSAGE_SELF);
}

int64_t sys_children_cpu_time(void)
{
    return usage_nanoseconds(RUSAGE_CHILDREN);
}

int64_t sys_peak_memory(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (int64_t)usage.ru_maxrss * 1024;
}

/* A request for no bytes still gets a pointer, so that NULL always means that memory is out. */
void *sys_malloc(size_t n)
{
    return malloc(n ? n : 1);
}

void *sys_calloc(size_t count, size_t size)
{
    return count && size ? calloc(count, size) : calloc(1, 1);
}

void *sys_realloc(void *p, size_t n)
{
    return realloc(p, n ? n : 1);
}

void sys_free(void *p)
{
    free(p);
}

char *sys_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = sys_malloc(n);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

static enum status open_file(const char *path, int flags, const char *what, int *fd, struct err *e)
{
    int opened;
    do
        opened = open(path, flags | O_CLOEXEC, 0666);
    while (opened < 0 && errno == EINTR);
    if (opened < 0)
        return err_sys(e, errno, what, path);
    *fd = opened;
    return ST_OK;
}

void sys_open_standard(void)
{
    static const int modes[3] = { O_RDONLY, O_RDONLY, O_WRONLY };
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", modes[fd]) != fd)
            abort(); /* the lowest number is free: only a system without /dev/null comes here */
}

enum status sys_open_read(const char *path, int *fd, struct err *e)
{
    return open_file(path, O_RDONLY, "open", fd, e);
}

enum status sys_create(const char *path, int *fd, struct err *e)
{
    return open_file(path, O_WRONLY | O_CREAT | O_TRUNC, "create", fd, e);
}

enum status sys_read(int fd, void *p, size_t n, size_t *got, const char *path, struct err *e)
{
    ssize_t done;
    do
        done = read(fd, p, n < TRANSFER_MAX ? n : TRANSFER_MAX);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return err_sys(e, errno, "read", path);
    *got = (size_t)done;
    return ST_OK;
}

enum status sys_pread(int fd, void *p, size_t n, uint64_t offset, size_t *got, const char *path,
                      struct err *e)
{
    size_t total = 0;
    while (total < n) {
        size_t want = n - total < TRANSFER_MAX ? n - total : TRANSFER_MAX;
        if (offset > INT64_MAX - total)
            return err_sys(e, EOVERFLOW, "read", path);
        ssize_t done = pread(fd, (uint8_t *)p + total, want, (off_t)(offset + total));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_sys(e, errno, "read", path);
        if (done == 0)
            break;
        total += (size_t)done;
    }
    *got = total;
    return ST_OK;
}

void sys_wait(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    (void)poll(&p, 1, -1);
}

static enum status write_all(int fd, const uint8_t *next, size_t n, const char *path, struct err *e)
{
    while (n > 0) {
        ssize_t done = write(fd, next, n < TRANSFER_MAX ? n : TRANSFER_MAX);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            sys_wait(fd, POLLOUT);
            continue;
        }
        if (done < 0)
            return err_sys(e, errno, "write", path);
        next += done;
        n -= (size_t)done;
    }
    return ST_OK;
}

enum status sys_write(int fd, const void *p, size_t n, const char *path, const char *site,
                      struct err *e)
{
    enum status status = ST_OK;
    size_t first = 0;
    failpoint_at(site, ":before");
    if (failpoint_armed && site && n > 1) { /* a process may die in the middle of it, too */
        first = n / 2;
        status = write_all(fd, p, first, path, e);
        failpoint_at(site, ":half");
    }
    if (status == ST_OK)
        status = write_all(fd, (const uint8_t *)p + first, n - first, path, e);
    failpoint_at(site, ":after");
    return status;
}

void sys_write_behind(int fd, uint64_t written, uint64_t *begun)
{
    enum { LEAST = 4 << 20 };
    if (written - *begun < LEAST)
        return;
    (void)sync_file_range(fd, (off_t)*begun, (off_t)(written - *begun), SYNC_FILE_RANGE_WRITE);
    *begun = written;
}

enum status sys_fsync(int fd, const char *path, const char *site, struct err *e)
{
    failpoint_at(site, ":before");
    if (fsync(fd) != 0)
        return err_sys(e, errno, "fsync", path);
    failpoint_at(site, ":after");
    return ST_OK;
}
