/* worker_probe: is the driver of one real worker, for specs.
 *
 *   worker_probe LMR <assignments   starts `LMR worker` and hands it each line of standard input, an assignment as JSON. What the worker
 *                                   sends is printed as it comes, a line of JSON each: { "type": 3, "payload": … }. A question
 *                                   (WIRE_ASK) is dealt with as the assignment's "reply" says: true or false: answered so; "stale": an answer
 *                                   yes for another attempt goes before a no; "interrupt": the attempt is interrupted instead;
 *                                   "die": the driver is gone.
 */
#include "base/position.h"
#include "base/sys.h"
#include "data/json.h"
#include "schedule/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SPARE_FD = 10, SILENCE_MS = 60000 };

static _Noreturn void fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "worker_probe: %s: %s\n", what, e ? e->message : "");
    exit(2);
}

static _Noreturn void become_worker(const char *lmr, int socket_fd, int page_fd)
{
    int s = fcntl(socket_fd, F_DUPFD, SPARE_FD), p = fcntl(page_fd, F_DUPFD, SPARE_FD);
    if (s < 0 || p < 0 || dup2(s, 3) < 0 || dup2(p, 4) < 0)
        _exit(126);
    (void)close(s);
    (void)close(p);
    (void)execl(lmr, lmr, "worker", (char *)NULL);
    _exit(127);
}

static int start(const char *lmr, pid_t *pid)
{
    int pair[2], page = memfd_create("page", 0);
    if (page < 0 || ftruncate(page, (off_t)sizeof(struct position)) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        fail("socket", NULL);
    *pid = fork();
    if (*pid == 0)
        become_worker(lmr, pair[1], page);
    (void)close(pair[1]);
    (void)close(page);
    return pair[0];
}

static void print(const struct wire_message *m)
{
    struct buf text = BUF_EMPTY;
    struct err e;
    if (json_from_value(m->payload, 0, &text, &e) != ST_OK)
        fail("payload", &e);
    (void)printf("{\"type\":%d,\"payload\":%.*s}\n", (int)m->type, (int)text.n, (const char *)text.p);
    (void)fflush(stdout);
    buf_free(&text);
}

static void post(int fd, enum wire_type type, struct slice payload)
{
    struct buf out = BUF_EMPTY;
    struct err e;
    size_t sent = 0;
    if (wire_put(&out, type, payload, &e) != ST_OK || wire_send(fd, &out, &sent, &e) != ST_OK)
        fail("send", &e);
    buf_free(&out);
}

static void answer(int fd, int64_t serial, bool put_aside)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf payload = BUF_EMPTY;
    val_map_int(&m, "serial", serial);
    val_map_bool(&m, "put_aside", put_aside);
    if (val_map_end(&m, &payload) != ST_OK)
        fail("memory", NULL);
    post(fd, WIRE_ANSWER, buf_slice(&payload));
    buf_free(&payload);
}

static void reply(int fd, struct slice assignment, int64_t serial)
{
    struct slice how = slice_of("", 0);
    (void)val_get_string(assignment, "reply", &how);
    if (slice_equal(how, slice_str("die")))
        exit(0);
    if (slice_equal(how, slice_str("interrupt"))) {
        post(fd, WIRE_INTERRUPT, slice_of("\x01", 1));
        return;
    }
    if (slice_equal(how, slice_str("stale")))
        answer(fd, serial + 1, true);
    answer(fd, serial, val_get_bool(assignment, "reply", false));
}

/* Prints and answers until a message of type `last` came. */
static void listen_for(int fd, struct wire_reader *in, struct slice assignment, enum wire_type last)
{
    for (;;) {
        struct wire_message m;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        bool closed = false;
        enum status st = wire_take(in, &m, NULL);
        if (st == ST_OK) {
            print(&m);
            if (m.type == WIRE_ASK)
                reply(fd, assignment, val_get_int(m.payload, "serial", -1));
            if (m.type == last)
                return;
        } else if (st != ST_END || poll(&p, 1, SILENCE_MS) != 1 || wire_fill(in, fd, &closed, NULL) != ST_OK || closed) {
            fail("the worker is not heard", NULL);
        }
    }
}

int main(int argc, char **argv)
{
    struct wire_reader in = WIRE_READER_EMPTY;
    struct buf assignment = BUF_EMPTY;
    struct err e;
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    pid_t pid = 0;
    if (argc != 2)
        fail("usage: worker_probe LMR", NULL);
    int fd = start(argv[1], &pid);
    listen_for(fd, &in, slice_of("\x01", 1), WIRE_HELLO);
    while ((n = getline(&line, &room, stdin)) > 0) {
        assignment.n = 0;
        if (json_to_value(slice_of(line, (size_t)n), &assignment, &e) != ST_OK)
            fail("JSON", &e);
        post(fd, WIRE_ASSIGN, buf_slice(&assignment));
        listen_for(fd, &in, buf_slice(&assignment), WIRE_RESULT);
    }
    (void)close(fd);
    (void)waitpid(pid, NULL, 0);
    wire_reader_free(&in);
    buf_free(&assignment);
    free(line);
    return 0;
}
