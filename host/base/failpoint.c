#include "base/failpoint.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 256 };

/* As signal flags are: one a process, set before anything can look at it. */
bool failpoint_armed;

static struct {
    const char *process;
    uint64_t at;      /* dies there; 0: nowhere */
    const char *mark; /* NULL: without one */
    int log;          /* −1: none */
    _Atomic uint64_t count;
} points = { .log = -1 };

/* The rest of `text` behind "PROCESS:"; NULL: it is about another process. */
static const char *rest_for(const char *text, const char *process)
{
    size_t n = strlen(process);
    return strncmp(text, process, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

static enum status wrong(const char *text, struct err *e)
{
    return err_set(e, ST_USAGE,
                   "LMR_FAILPOINT is PROCESS:N or PROCESS:N:MARK, such as driver:12 (the 12th "
                   "failpoint), and not \"%s\"",
                   text);
}

static enum status read_point(const char *text, const char *process, struct err *e)
{
    const char *number = strchr(text, ':');
    char *end = NULL;
    if (!number || number == text || number[1] < '0' || number[1] > '9')
        return wrong(text, e);
    errno = 0;
    unsigned long long n = strtoull(number + 1, &end, 10);
    if (n == 0 || errno != 0 || (*end != '\0' && (*end != ':' || end[1] == '\0')))
        return wrong(text, e);
    if (!rest_for(text, process))
        return ST_OK;
    points.at = n;
    points.mark = *end == ':' ? end + 1 : NULL;
    return ST_OK;
}

static enum status open_log(const char *path, struct err *e)
{
    points.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return points.log >= 0 ? ST_OK : err_sys(e, errno, "open the log of failpoints", path);
}

enum status failpoint_start(const char *process, struct err *e)
{
    const char *point = getenv("LMR_FAILPOINT"), *log = getenv("LMR_FAILPOINT_LOG");
    enum status st = ST_OK;
    points.process = process;
    if (point && point[0])
        st = read_point(point, process, e);
    if (st == ST_OK && log && log[0])
        st = open_log(log, e);
    failpoint_armed = st == ST_OK && (points.at > 0 || points.log >= 0);
    return st;
}

/* The file that only one process can create. */
static bool take_mark(void)
{
    int fd = points.mark ? open(points.mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (fd >= 0)
        (void)close(fd);
    return !points.mark || fd >= 0;
}

void failpoint_hit(const char *site, const char *when)
{
    uint64_t n = atomic_fetch_add(&points.count, 1) + 1;
    char line[LINE_MAX_BYTES];
    if (points.log >= 0) { /* one write each, so that lines of several processes do not mix */
        int length = snprintf(line, sizeof line, "%s %" PRIu64 " %s%s\n", points.process, n, site, when);
        if (length > 0 && (size_t)length < sizeof line)
            (void)!write(points.log, line, (size_t)length);
    }
    if (n != points.at || !take_mark())
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;) /* another thread than the one that the signal meets first */
        (void)pause();
}
