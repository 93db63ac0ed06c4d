#include "schedule/control.h"

#include "base/sys.h"
#include "schedule/control_path.h"
#include "schedule/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS = 8, /* at once; one more takes the place of one that has not asked yet */
    REQUEST_MAX = 1 << 20
};

/* A connection; the handler knows it as the reply it owes. */
struct control_reply {
    struct control *control; /* NULL: closed meanwhile */
    int fd;
    uv_poll_t poll;
    struct wire_reader in;
    struct buf out;
    size_t sent;
    bool asked;    /* the request came: the handler may answer */
    bool answered;
};

struct control {
    uv_poll_t poll;
    int fd;
    char *job_dir;
    ino_t inode; /* of the socket: another driver's is not removed */
    control_handler handler;
    void *context;
    struct control_reply *connections[CONNECTIONS];
    uv_loop_t *loop;
};

/* --- a connection --- */

static void on_connection_closed(uv_handle_t *handle)
{
    struct control_reply *r = handle->data;
    (void)close(r->fd);
    wire_reader_free(&r->in);
    buf_free(&r->out);
    sys_free(r);
}

static void forget(struct control_reply *r)
{
    for (size_t i = 0; r->control && i < CONNECTIONS; i++)
        if (r->control->connections[i] == r)
            r->control->connections[i] = NULL;
    r->control = NULL;
}

/* The handle goes; one whose answer is owed stays in memory until control_answer. */
static void hang_up(struct control_reply *r)
{
    if (uv_is_closing((uv_handle_t *)&r->poll))
        return;
    (void)uv_poll_stop(&r->poll);
    if (r->asked && !r->answered)
        return;
    forget(r);
    uv_close((uv_handle_t *)&r->poll, on_connection_closed);
}

static void take_request(struct control_reply *r)
{
    struct wire_message m;
    enum status st = wire_take(&r->in, &m, NULL);
    if (st == ST_END && r->in.in.n <= REQUEST_MAX)
        return;
    if (st != ST_OK || m.type != WIRE_REQUEST) {
        hang_up(r);
        return;
    }
    (void)uv_poll_stop(&r->poll);
    r->asked = true;
    r->control->handler(r->control->context, r, m.payload);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct control_reply *r = poll->data;
    bool closed = false;
    (void)events;
    enum status st = status < 0 ? ST_CRASH : wire_fill(&r->in, r->fd, &closed, NULL);
    if (st == ST_END)
        return;
    if (st == ST_OK)
        take_request(r);
    if (st != ST_OK || (closed && !r->asked))
        hang_up(r);
}

static void send_answer(struct control_reply *r);

static void on_writable(uv_poll_t *poll, int status, int events)
{
    struct control_reply *r = poll->data;
    (void)events;
    if (status < 0)
        hang_up(r);
    else
        send_answer(r);
}

static void send_answer(struct control_reply *r)
{
    if (wire_send(r->fd, &r->out, &r->sent, NULL) == ST_END)
        (void)uv_poll_start(&r->poll, UV_WRITABLE, on_writable);
    else
        hang_up(r);
}

void control_answer(struct control_reply *r, struct slice answer)
{
    CHECK(r->asked && !r->answered);
    r->answered = true;
    if (wire_put(&r->out, WIRE_REPLY, answer, NULL) == ST_OK)
        send_answer(r);
    else
        hang_up(r);
}

void control_say(struct control_reply *reply, bool ok, const char *message)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf answer = BUF_EMPTY;
    val_map_bool(&m, "ok", ok);
    val_map_str(&m, "message", message);
    (void)val_map_end(&m, &answer);
    control_answer(reply, buf_slice(&answer));
    buf_free(&answer);
}

/* --- new connections --- */

/* A free place, made by hanging up on somebody who says nothing; NULL: all wait for an answer. */
static struct control_reply **place_for_one(struct control *c)
{
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (!c->connections[i])
            return &c->connections[i];
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (!c->connections[i]->asked) {
            hang_up(c->connections[i]);
            return &c->connections[i];
        }
    return NULL;
}

static void welcome(struct control *c, int fd)
{
    struct control_reply **place = place_for_one(c);
    struct control_reply *r = place ? sys_calloc(1, sizeof *r) : NULL;
    if (!r || uv_poll_init_socket(c->loop, &r->poll, fd) != 0) {
        (void)close(fd);
        sys_free(r);
        return;
    }
    r->control = c;
    r->fd = fd;
    r->poll.data = r;
    *place = r;
    (void)uv_poll_start(&r->poll, UV_READABLE, on_readable);
}

static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct control *c = poll->data;
    (void)events;
    int fd = status < 0 ? -1 : accept4(c->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        welcome(c, fd);
}

/* --- open and close --- */

/* Somebody listens there: a connection is taken. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool alive = fd >= 0 &&
                 (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                  errno == EAGAIN);
    if (fd >= 0)
        (void)close(fd);
    return alive;
}

/* The mode of the descriptor is that of the file it is bound to, so there is no moment in which
 * somebody else could connect. */
static enum status listen_at(const char *job_dir, int *fd, struct err *e)
{
    struct sockaddr_un address;
    int dir_fd;
    enum status st = control_address(job_dir, &address, &dir_fd, e);
    if (st == ST_OK && is_alive(&address))
        st = err_set(e, ST_USAGE, "the job in %s is running already", job_dir);
    if (st == ST_OK)
        st = sys_unlink(address.sun_path, e);
    if (st == ST_OK) {
        *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (*fd < 0 || fchmod(*fd, 0600) != 0 ||
            bind(*fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
            listen(*fd, CONNECTIONS) != 0)
            st = err_sys(e, errno, "make the control socket in", job_dir);
    }
    if (dir_fd >= 0)
        (void)close(dir_fd);
    return st;
}

static void control_free(struct control *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    sys_free(c->job_dir);
    sys_free(c);
}

/* 0: there is none. */
static ino_t inode_at(const char *job_dir)
{
    struct sockaddr_un address;
    struct stat info;
    int dir_fd;
    ino_t inode = 0;
    if (control_address(job_dir, &address, &dir_fd, NULL) != ST_OK)
        return 0;
    if (stat(address.sun_path, &info) == 0)
        inode = info.st_ino;
    (void)close(dir_fd);
    return inode;
}

void control_forget(const char *job_dir)
{
    struct sockaddr_un address;
    int dir_fd;
    if (control_address(job_dir, &address, &dir_fd, NULL) != ST_OK)
        return;
    (void)sys_unlink(address.sun_path, NULL);
    (void)close(dir_fd);
}

enum status control_open(uv_loop_t *loop, const char *job_dir, control_handler handler,
                         void *context, struct control **out, struct err *e)
{
    struct control *c = sys_calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return err_memory(e, "the control socket", sizeof *c);
    *c = (struct control){ .fd = -1, .handler = handler, .context = context, .loop = loop };
    c->job_dir = sys_strdup(job_dir);
    enum status st = c->job_dir ? listen_at(job_dir, &c->fd, e)
                                : err_memory(e, "a path", strlen(job_dir));
    if (st == ST_OK && uv_poll_init_socket(loop, &c->poll, c->fd) != 0)
        st = err_set(e, ST_CRASH, "cannot watch the control socket in %s", job_dir);
    if (st != ST_OK) {
        control_free(c);
        return st;
    }
    c->inode = inode_at(job_dir);
    c->poll.data = c;
    (void)uv_poll_start(&c->poll, UV_READABLE, on_connect);
    *out = c;
    return ST_OK;
}

static void on_control_closed(uv_handle_t *handle)
{
    control_free(handle->data);
}

void control_close(struct control *c)
{
    if (!c)
        return;
    if (c->inode == inode_at(c->job_dir))
        control_forget(c->job_dir);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct control_reply *r = c->connections[i];
        if (r) {
            r->answered = true;
            hang_up(r);
        }
    }
    uv_close((uv_handle_t *)&c->poll, on_control_closed);
}
