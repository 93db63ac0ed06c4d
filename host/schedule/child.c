#include "schedule/child.h"

#include "base/log.h"
#include "base/sys.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OOM_SCORE_RAISE = 500, OOM_SCORE_MAX = 1000 };

/* Dies with the driver, whose pid the socket knows. PDEATHSIG is set too late when the driver was
 * gone before: then the parent is another. */
static bool bind_to_driver(void)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (getsockopt(CHILD_SOCKET_FD, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
        return false;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == peer.pid;
}

static void close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void child_misused(const char *command)
{
    log_error("lmr %s is started by lmr run, not by hand", command);
}

bool child_begin(const char *command)
{
    if (!bind_to_driver()) {
        child_misused(command);
        return false;
    }
    (void)setpgid(0, 0);
    close_on_exec(CHILD_SOCKET_FD);
    close_on_exec(CHILD_PAGE_FD);
    return true;
}

void child_raise_oom_score(void)
{
    const char *path = "/proc/self/oom_score_adj";
    struct buf text = BUF_EMPTY;
    int fd = -1;
    if (sys_read_file(path, 64, &text, NULL) == ST_OK && buf_terminate(&text) == ST_OK) {
        long score = strtol((const char *)text.p, NULL, 10) + OOM_SCORE_RAISE;
        text.n = 0;
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 &&
            buf_printf(&text, "%ld", score < OOM_SCORE_MAX ? score : OOM_SCORE_MAX) == ST_OK)
            (void)sys_write(fd, text.p, text.n, path, NULL, NULL);
    }
    if (fd >= 0)
        (void)close(fd);
    buf_free(&text);
}

void child_send(enum wire_type type, struct slice payload)
{
    struct buf out = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    size_t sent = 0;
    if (wire_put(&out, type, payload, &e) != ST_OK ||
        wire_send(CHILD_SOCKET_FD, &out, &sent, &e) != ST_OK) {
        if (e.status != ST_INTERRUPTED)
            log_err(&e);
        _exit(1);
    }
    buf_free(&out);
}
