#include "engine/local.h"

#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READS_A_TURN = 64 };

struct process {
    struct pool *pool;
    uint32_t slot;
    int socket;
    struct position *page;
    struct wire_reader in;
    struct buf out; /* from `sent` on: not taken by the socket yet */
    size_t sent;
    uv_process_t process;
    uv_poll_t poll;
    unsigned handles; /* not yet closed; the last one frees */
    bool socket_open; /* it may still bring messages */
    bool ended;       /* its exit is known: its pid may be another's */
};

struct pool {
    uv_loop_t *loop;
    struct pool_handlers handlers;
    const char *command;
    uint32_t slots, live;
    struct process *processes[]; /* by slot; NULL: empty */
};

enum status pool_open(uv_loop_t *loop, const char *command, uint32_t slots,
                      const struct pool_handlers *handlers, struct pool **out, struct err *e)
{
    size_t size = sizeof(struct pool) + slots * sizeof(struct process *);
    struct pool *p = sys_calloc(1, size);
    if (!p)
        return err_memory(e, "the worker pool", size);
    p->loop = loop;
    p->handlers = *handlers;
    p->command = command;
    p->slots = slots;
    *out = p;
    return ST_OK;
}

/* --- the end of a process --- */

static void process_free(struct process *w)
{
    if (w->page)
        (void)munmap(w->page, sizeof(struct position));
    if (w->socket >= 0)
        (void)close(w->socket);
    wire_reader_free(&w->in);
    buf_free(&w->out);
    sys_free(w);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *w = handle->data;
    if (--w->handles == 0)
        process_free(w);
}

static void socket_shut(struct process *w)
{
    if (!w->socket_open)
        return;
    w->socket_open = false;
    (void)uv_poll_stop(&w->poll);
}

static void describe_end(const struct process *w, int64_t exit_status, int signal_number,
                         struct worker_end *end)
{
    *end = (struct worker_end){
        .exit_status = exit_status, .signal = signal_number, .pid = w->process.pid, .page = w->page
    };
    const char *hint = signal_number == SIGKILL
                           ? "; if nobody did, the kernel may have run out of memory"
                           : "";
    if (signal_number)
        (void)err_set(&end->err, ST_CRASH, "the worker was killed by signal %d (%s%s)",
                      signal_number, strsignal(signal_number), hint);
    else
        (void)err_set(&end->err, ST_CRASH, "the worker ended with exit status %d",
                      (int)exit_status);
}

static void kill_group(const struct process *w)
{
    (void)kill(-w->process.pid, SIGKILL);
    (void)kill(w->process.pid, SIGKILL);
}

/* A worker that cannot be heard any more is of no use. */
static void give_up(struct process *w)
{
    socket_shut(w);
    if (!w->ended)
        kill_group(w);
}

/* --- messages --- */

static void deliver(struct process *w)
{
    struct wire_message m;
    enum status st;
    while ((st = wire_take(&w->in, &m, NULL)) == ST_OK)
        w->pool->handlers.message(w->pool->handlers.context, w->slot, &m);
    if (st != ST_END)
        give_up(w);
}

/* Reads until the socket is empty or closed, or a turn's share is done; false: there may be more.
 */
static bool read_socket(struct process *w)
{
    for (int i = 0; w->socket_open; i++) {
        if (i == READS_A_TURN)
            return false;
        bool closed = false;
        enum status st = wire_fill(&w->in, w->socket, &closed, NULL);
        if (st == ST_END)
            break;
        if (st == ST_OK)
            deliver(w);
        if (st != ST_OK || closed)
            give_up(w);
    }
    return true;
}

static void watch(struct process *w);

static void write_socket(struct process *w)
{
    enum status st = wire_send(w->socket, &w->out, &w->sent, NULL);
    if (st == ST_OK)
        w->out.n = w->sent = 0;
    else if (st != ST_END)
        give_up(w);
    watch(w);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct process *w = poll->data;
    if (status < 0 || (events & UV_READABLE))
        (void)read_socket(w);
    if (w->socket_open && (events & UV_WRITABLE))
        write_socket(w);
}

static void watch(struct process *w)
{
    if (w->socket_open)
        (void)uv_poll_start(&w->poll, UV_READABLE | (w->out.n > w->sent ? UV_WRITABLE : 0),
                            on_ready);
}

static void on_exit(uv_process_t *process, int64_t exit_status, int signal_number)
{
    struct process *w = process->data;
    struct pool *p = w->pool;
    struct worker_end end;
    w->ended = true;
    (void)kill(-process->pid, SIGKILL); /* what user code has started goes with it */
    while (!read_socket(w))             /* all it sent stands in the socket */
        continue;
    socket_shut(w);
    describe_end(w, exit_status, signal_number, &end);
    p->processes[w->slot] = NULL;
    p->live--;
    uv_close((uv_handle_t *)&w->process, on_closed);
    uv_close((uv_handle_t *)&w->poll, on_closed);
    p->handlers.down(p->handlers.context, w->slot, &end);
}

/* --- starting --- */

static enum status make_page(struct position **page, int *fd, struct err *e)
{
    *fd = memfd_create("lmr-position", MFD_CLOEXEC);
    if (*fd < 0)
        return err_sys(e, errno, "create", "a worker's position page");
    if (ftruncate(*fd, sizeof(struct position)) != 0)
        return err_sys(e, errno, "size", "a worker's position page");
    void *map = mmap(NULL, sizeof(struct position), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (map == MAP_FAILED)
        return err_sys(e, errno, "map", "a worker's position page");
    *page = map;
    return ST_OK;
}

static int spawn(struct process *w, int socket_fd, int page_fd)
{
    char name[] = "lmr", command[16];
    char *args[] = { name, command, NULL };
    (void)snprintf(command, sizeof command, "%s", w->pool->command);
    uv_stdio_container_t stdio[] = {
        { .flags = UV_IGNORE },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
        { .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
        { .flags = UV_INHERIT_FD, .data.fd = socket_fd },
        { .flags = UV_INHERIT_FD, .data.fd = page_fd },
    };
    uv_process_options_t options = {
        .exit_cb = on_exit,
        .file = "/proc/self/exe",
        .args = args,
        .stdio = stdio,
        .stdio_count = sizeof stdio / sizeof *stdio,
    };
    return uv_spawn(w->pool->loop, &w->process, &options);
}

/* The handles of a worker that did not start are closed by the loop, which then frees it. */
static enum status start(struct process *w, int socket_fd, int page_fd, struct err *e)
{
    int failed = uv_poll_init_socket(w->pool->loop, &w->poll, w->socket);
    if (failed) {
        process_free(w);
        return err_set(e, ST_CRASH, "cannot watch a worker's socket: %s", uv_strerror(failed));
    }
    w->poll.data = w->process.data = w;
    failed = spawn(w, socket_fd, page_fd);
    w->handles = 2;
    w->socket_open = true;
    if (!failed) {
        watch(w);
        return ST_OK;
    }
    uv_close((uv_handle_t *)&w->process, on_closed);
    uv_close((uv_handle_t *)&w->poll, on_closed);
    return err_set(e, ST_CRASH, "cannot start a worker process: %s", uv_strerror(failed));
}

enum status pool_spawn(struct pool *p, uint32_t slot, struct err *e)
{
    CHECK(slot < p->slots && !p->processes[slot]);
    int sockets[2] = { -1, -1 }, page_fd = -1;
    struct process *w = sys_calloc(1, sizeof *w);
    if (!w)
        return err_memory(e, "a worker", sizeof *w);
    w->pool = p;
    w->slot = slot;
    w->socket = -1;
    enum status st = make_page(&w->page, &page_fd, e);
    if (st == ST_OK && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        st = err_sys(e, errno, "make", "a worker's socket");
    w->socket = sockets[0];
    if (st == ST_OK) {
        st = start(w, sockets[1], page_fd, e);
        if (st == ST_OK) {
            p->processes[slot] = w;
            p->live++;
        }
    } else {
        process_free(w);
    }
    if (sockets[1] >= 0)
        (void)close(sockets[1]);
    if (page_fd >= 0)
        (void)close(page_fd);
    return st;
}

/* --- the rest of the door --- */

enum status pool_send(struct pool *p, uint32_t slot, enum wire_type type, struct slice payload,
                      struct err *e)
{
    struct process *w = p->processes[slot];
    if (!w || !w->socket_open)
        return ST_OK;
    enum status st = wire_put(&w->out, type, payload, e);
    if (st == ST_OK)
        write_socket(w);
    return st;
}

void pool_kill(struct pool *p, uint32_t slot)
{
    if (p->processes[slot])
        kill_group(p->processes[slot]);
}

void pool_drain(struct pool *p)
{
    for (uint32_t i = 0; i < p->slots; i++)
        if (p->processes[i])
            (void)read_socket(p->processes[i]);
}

const struct position *pool_page(const struct pool *p, uint32_t slot)
{
    return p->processes[slot] ? p->processes[slot]->page : NULL;
}

void pool_ask_checkpoint(struct pool *p, uint32_t slot)
{
    if (!p->processes[slot])
        return;
    struct position *page = p->processes[slot]->page;
    POSITION_SET(page, checkpoint_asked, POSITION_GET(page, checkpoint_asked) + 1);
}

long pool_pid(const struct pool *p, uint32_t slot)
{
    return p->processes[slot] ? p->processes[slot]->process.pid : 0;
}

uint32_t pool_live(const struct pool *p)
{
    return p->live;
}

void pool_dismiss(struct pool *p)
{
    for (uint32_t i = 0; i < p->slots; i++)
        if (p->processes[i])
            (void)shutdown(p->processes[i]->socket, SHUT_WR);
}

uint64_t pool_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    CHECK(p->live == 0);
    sys_free(p);
}
