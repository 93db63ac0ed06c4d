/* control_call.c: the command's side of the control socket. */
#include "base/size.h"
#include "base/sys.h"
#include "schedule/control.h"
#include "schedule/control_path.h"
#include "schedule/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum status control_address(const char *job_dir, struct sockaddr_un *address, int *dir_fd,
                            struct err *e)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *dir_fd = open(job_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return err_sys(e, errno, "open the job folder", job_dir);
    (void)snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" CONTROL_NAME,
                   *dir_fd);
    return ST_OK;
}

static enum status reach(const char *job_dir, int *fd, struct err *e)
{
    struct sockaddr_un address;
    int dir_fd;
    enum status st = control_address(job_dir, &address, &dir_fd, e);
    if (st != ST_OK)
        return st;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        st = err_sys(e, errno, "make", "a socket");
    else if (connect(*fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            st = err_set(e, ST_USAGE, "job %s is not running", sys_name(job_dir));
        else
            st = err_sys(e, errno, "reach the control socket in", job_dir);
    }
    (void)close(dir_fd);
    return st;
}

static enum status send_request(int fd, struct slice request, struct err *e)
{
    struct buf out = BUF_EMPTY;
    size_t sent = 0;
    enum status st = wire_put(&out, WIRE_REQUEST, request, e);
    if (st == ST_OK)
        st = wire_send(fd, &out, &sent, e);
    buf_free(&out);
    return st;
}

static enum status ended(const char *job_dir, struct err *e)
{
    return err_set(e, ST_USAGE, "job %s ended before it answered", sys_name(job_dir));
}

/* Waits until the socket has something to read; ST_TIMEOUT past `deadline` (sys_now). */
static enum status wait_readable(int fd, int64_t deadline, const char *job_dir, struct err *e)
{
    for (;;) {
        int64_t left = deadline - sys_now();
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int ready = left > 0 ? poll(&p, 1, (int)(left / 1000000) + 1) : 0;
        if (ready > 0)
            return ST_OK;
        if (ready == 0)
            return err_set(e, ST_TIMEOUT, "job %s did not answer in time; it may be stopped",
                           sys_name(job_dir));
        if (errno != EINTR)
            return err_sys(e, errno, "wait for", "a job's answer");
    }
}

static enum status read_reply(int fd, int64_t deadline, const char *job_dir, struct buf *reply,
                              struct err *e)
{
    struct wire_reader reader = WIRE_READER_EMPTY;
    struct wire_message m = { .payload = { NULL, 0 } };
    bool closed = false;
    enum status st = ST_END;
    while (st == ST_END) {
        st = wait_readable(fd, deadline, job_dir, e);
        if (st == ST_OK)
            st = wire_fill(&reader, fd, &closed, e);
        if (st == ST_OK)
            st = wire_take(&reader, &m, e);
        if (st == ST_END && closed)
            st = ended(job_dir, e);
    }
    if (st == ST_OK && m.type != WIRE_REPLY)
        st = err_set(e, ST_CORRUPT, "job %s answered with something else than a reply",
                     sys_name(job_dir));
    if (st == ST_OK && buf_append_slice(reply, m.payload) != ST_OK)
        st = err_memory(e, "a reply", m.payload.n);
    wire_reader_free(&reader);
    return st;
}

enum status control_call(const char *job_dir, struct slice request, double seconds,
                         struct buf *reply, struct err *e)
{
    int fd = -1;
    int64_t deadline = sys_now() + (int64_t)(seconds * 1e9);
    enum status st = reach(job_dir, &fd, e);
    if (st == ST_OK)
        st = send_request(fd, request, e);
    if (st == ST_INTERRUPTED)
        st = ended(job_dir, e);
    if (st == ST_OK)
        st = read_reply(fd, deadline, job_dir, reply, e);
    if (fd >= 0)
        (void)close(fd);
    return st;
}
