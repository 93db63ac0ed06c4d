/* http_server: a web server on 127.0.0.1 that fails as it is told to, for the specs.
 *
 *   http_server DIR LOG
 *
 * Prints its port, serves the files of DIR until it is killed (or nobody has come for ten minutes),
 * and appends a line to LOG for each request that it has answered: method, target, Range, status,
 * nanoseconds (monotonic), Authorization, bytes sent.
 *
 * The target is /WORD/…/FILE; each word says how this file is served (in T, _ stands for a blank and
 * ~ for a slash):
 *
 *   norange          ranges are ignored, and not promised     silent   promised by nobody, but served
 *   ignore           ranges are promised, and ignored         wrong    another range than was asked for
 *   nohead           HEAD is refused with 405                 nosize   no Content-Length, chunked
 *   status=N         an answer of status N                    retry=T  with Retry-After: T
 *   reset            half of the body, then a reset           stall    half of the body, then nothing
 *   silence          no answer at all                         hangup   closes without an answer
 *   short            half of the body, then an end            cut      the same of a chunked one
 *   etag=T           with ETag: T                             date=T   with Last-Modified: T
 *   newtag=T         the ETag that GET gives instead          newdate=T  likewise
 *   coding=T         with Content-Encoding: T                 grown    as if FILE had a byte more
 *   slow=MS          a pause of so many ms before each 16 KiB
 *   auth=BASE64      401 unless Authorization: Basic BASE64   moved=N  N redirects first
 *   elsewhere=URL    a redirect to URL                        nonsense what is not HTTP
 *
 * What fails, fails for GET and not for HEAD, unless
 *   all              is a word: for both                      heads    for HEAD only
 *   first=N          only the first N times (of this target)  after=N  not the first N times
 */
#include "base/sys.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_MAX = 16 * 1024,
    TEXT_MAX = 1024,
    TARGETS_MAX = 1024,
    CHUNK = 16 * 1024,
    IDLE_MS = 600 * 1000
};

struct server {
    const char *dir;
    int log;
    pthread_mutex_t lock;
    struct {
        char target[TEXT_MAX];
        unsigned long count;
    } targets[TARGETS_MAX];
    size_t target_count;
};

struct client {
    struct server *server;
    int fd;
};

struct request {
    char method[16], target[TEXT_MAX], range[64], authorization[TEXT_MAX];
    bool is_head;
};

/* What the words of the target say. */
struct manner {
    bool norange, silent, ignore, wrong, nohead, nosize, reset, stall, silence, hangup, short_, cut;
    bool grown, nonsense, all, heads;
    long status, moved, slow, first, after;
    char newtag[TEXT_MAX], newdate[TEXT_MAX];
    char retry[TEXT_MAX], etag[TEXT_MAX], date[TEXT_MAX], coding[TEXT_MAX], auth[TEXT_MAX];
    char elsewhere[TEXT_MAX], file[TEXT_MAX];
};

/* --- the target --- */

static bool read_flag(struct manner *m, const char *word)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {
        { "norange", &m->norange },   { "silent", &m->silent }, { "ignore", &m->ignore },
        { "wrong", &m->wrong },       { "nohead", &m->nohead }, { "nosize", &m->nosize },
        { "reset", &m->reset },       { "stall", &m->stall },   { "silence", &m->silence },
        { "hangup", &m->hangup },     { "short", &m->short_ },  { "cut", &m->cut },
        { "grown", &m->grown },       { "all", &m->all },       { "heads", &m->heads },
        { "nonsense", &m->nonsense },
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(word, flags[i].name) == 0)
            return *flags[i].flag = true;
    return false;
}

static void put_text(char *out, const char *value)
{
    (void)snprintf(out, TEXT_MAX, "%s", value);
    for (char *p = out; *p; p++)
        *p = (char)(*p == '_' ? ' ' : *p == '~' ? '/' : *p);
}

static void read_setting(struct manner *m, const char *name, const char *value)
{
    const struct {
        const char *name;
        long *number;
    } numbers[] = { { "status", &m->status },
                    { "moved", &m->moved },
                    { "slow", &m->slow },
                    { "first", &m->first },
                    { "after", &m->after } };
    const struct {
        const char *name;
        char *text;
    } texts[] = { { "retry", m->retry },        { "etag", m->etag },     { "date", m->date },
                  { "coding", m->coding },      { "auth", m->auth },     { "newtag", m->newtag },
                  { "elsewhere", m->elsewhere }, { "newdate", m->newdate } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0)
            *numbers[i].number = strtol(value, NULL, 10);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0)
            put_text(texts[i].text, value);
}

static void read_target(const char *target, struct manner *m)
{
    char text[TEXT_MAX], *save = NULL;
    *m = (struct manner){ .first = -1 };
    (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(target, "?"), target);
    for (char *word = strtok_r(text, "/", &save); word; word = strtok_r(NULL, "/", &save)) {
        char *equals = strchr(word, '=');
        if (equals) {
            *equals = '\0';
            read_setting(m, word, equals + 1);
        } else if (!read_flag(m, word)) {
            (void)snprintf(m->file, sizeof m->file, "%s", word);
        }
    }
}

/* How often this target was asked for with this kind of method, this time included. */
static unsigned long count_request(struct server *s, const struct request *r)
{
    char name[TEXT_MAX];
    unsigned long count = 1;
    (void)snprintf(name, sizeof name, "%s %.1000s", r->is_head ? "HEAD" : "GET", r->target);
    (void)pthread_mutex_lock(&s->lock);
    size_t i = 0;
    while (i < s->target_count && strcmp(s->targets[i].target, name) != 0)
        i++;
    if (i == s->target_count && i < TARGETS_MAX)
        (void)snprintf(s->targets[s->target_count++].target, TEXT_MAX, "%s", name);
    if (i < s->target_count)
        count = ++s->targets[i].count;
    (void)pthread_mutex_unlock(&s->lock);
    return count;
}

/* Leaves of the manner what holds for this request: what fails, or not. */
static void settle(struct server *s, const struct request *r, struct manner *m)
{
    unsigned long n = count_request(s, r);
    bool here = m->all || m->heads == r->is_head;
    bool now = (m->first < 0 || n <= (unsigned long)m->first) && n > (unsigned long)m->after;
    if (here && now)
        return;
    m->reset = m->stall = m->silence = m->hangup = m->short_ = m->cut = m->grown = m->wrong = false;
    m->nonsense = false;
    m->status = 0;
    m->retry[0] = '\0';
}

/* --- reading requests --- */

static void keep_header(struct request *r, char *line)
{
    char *value = strchr(line, ':');
    if (!value)
        return;
    *value++ = '\0';
    value += strspn(value, " ");
    if (strcasecmp(line, "Range") == 0)
        (void)snprintf(r->range, sizeof r->range, "%s", value);
    else if (strcasecmp(line, "Authorization") == 0)
        (void)snprintf(r->authorization, sizeof r->authorization, "%s", value);
}

static bool parse_request(char *head, struct request *r)
{
    char *save = NULL, *line = strtok_r(head, "\r\n", &save);
    *r = (struct request){ .is_head = false };
    if (!line || sscanf(line, "%15s %1023s", r->method, r->target) != 2)
        return false;
    r->is_head = strcmp(r->method, "HEAD") == 0;
    while ((line = strtok_r(NULL, "\r\n", &save)))
        keep_header(r, line);
    return true;
}

static bool send_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Clients of ours send nothing behind a request before its answer; one that begins with TLS is told at
 * once that this is not spoken here. */
static bool read_request(int fd, struct request *r)
{
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    char head[HEAD_MAX];
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        head[n] = '\0';
        if (head[0] < 'A' || head[0] > 'Z')
            return send_all(fd, bad, sizeof bad - 1) && false;
        if (strstr(head, "\r\n\r\n"))
            return parse_request(head, r);
        if (n == sizeof head - 1)
            return false;
    }
}

/* --- answers --- */

struct answer {
    long status;
    uint64_t first, end, size; /* the bytes sent: [first, end) of a file of `size` */
    uint64_t sent;
    bool keep; /* the connection stays */
};

static void choose_range(const struct request *r, const struct manner *m, struct answer *a)
{
    uint64_t first = 0, last = a->size ? a->size - 1 : 0;
    a->first = 0;
    a->end = a->size;
    if (m->norange || m->ignore || strncmp(r->range, "bytes=", 6) != 0)
        return;
    if (sscanf(r->range + 6, "%" SCNu64 "-%" SCNu64, &first, &last) < 1)
        return;
    if (first >= a->size) {
        a->status = 416;
        a->end = 0;
        return;
    }
    if (m->wrong && first > 0)
        first--;
    a->status = 206;
    a->first = first;
    a->end = last + 1 < a->size ? last + 1 : a->size;
}

static void put_headers(const struct request *r, const struct manner *m, const struct answer *a,
                        struct buf *out)
{
    (void)buf_printf(out, "HTTP/1.1 %ld X\r\n", a->status);
    if (a->status == 206)
        (void)buf_printf(out, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
                         a->first, a->end - 1, a->size);
    if (a->status == 416)
        (void)buf_printf(out, "Content-Range: bytes */%" PRIu64 "\r\n", a->size);
    if (!m->norange && !m->silent)
        (void)buf_append_str(out, "Accept-Ranges: bytes\r\n");
    const char *tag = m->newtag[0] && !r->is_head ? m->newtag : m->etag;
    const char *date = m->newdate[0] && !r->is_head ? m->newdate : m->date;
    if (*tag)
        (void)buf_printf(out, "ETag: %s\r\n", tag);
    if (*date)
        (void)buf_printf(out, "Last-Modified: %s\r\n", date);
    if (m->coding[0])
        (void)buf_printf(out, "Content-Encoding: %s\r\n", m->coding);
    if (m->retry[0])
        (void)buf_printf(out, "Retry-After: %s\r\n", m->retry);
    if (!m->nosize || a->status / 100 != 2)
        (void)buf_printf(out, "Content-Length: %" PRIu64 "\r\n", a->end - a->first);
    else if (!r->is_head)
        (void)buf_append_str(out, "Transfer-Encoding: chunked\r\n");
    (void)buf_append_str(out, "\r\n");
}

static bool send_piece(int fd, const struct manner *m, const char *p, size_t n)
{
    char head[32];
    if (m->slow > 0)
        (void)poll(NULL, 0, (int)m->slow);
    if (!m->nosize)
        return send_all(fd, p, n);
    (void)snprintf(head, sizeof head, "%zx\r\n", n);
    return send_all(fd, head, strlen(head)) && send_all(fd, p, n) && send_all(fd, "\r\n", 2);
}

static bool send_body(int fd, const struct manner *m, struct answer *a, int file)
{
    char piece[CHUNK];
    uint64_t end = a->end;
    if (m->reset || m->stall || m->short_ || m->cut)
        end = a->first + (a->end - a->first) / 2;
    for (uint64_t at = a->first; at < end;) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        memset(piece, '\n', n);
        if (pread(file, piece, n, (off_t)at) < 0 || !send_piece(fd, m, piece, n))
            return false;
        at += n;
        a->sent += n;
    }
    return end == a->end && (!m->nosize || send_all(fd, "0\r\n\r\n", 5));
}

/* Nothing more comes, until the client goes. */
static void stall(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        continue;
}

static void reset(int fd)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void send_file(int fd, const struct request *r, const struct manner *m, struct answer *a,
                      int file)
{
    struct buf head = BUF_EMPTY;
    put_headers(r, m, a, &head);
    a->keep = send_all(fd, head.p, head.n);
    buf_free(&head);
    if (a->keep && !r->is_head && a->status / 100 == 2)
        a->keep = send_body(fd, m, a, file);
    if (m->stall && !r->is_head)
        stall(fd);
    if (m->reset && !r->is_head)
        reset(fd);
}

static void send_status(int fd, const struct request *r, const struct manner *m, struct answer *a,
                        const char *location)
{
    struct buf head = BUF_EMPTY;
    const char body[] = "no\n";
    (void)buf_printf(&head, "HTTP/1.1 %ld X\r\nContent-Length: %zu\r\n", a->status,
                     sizeof body - 1);
    if (location)
        (void)buf_printf(&head, "Location: %s\r\n", location);
    if (m->retry[0])
        (void)buf_printf(&head, "Retry-After: %s\r\n", m->retry);
    (void)buf_append_str(&head, "\r\n");
    if (!r->is_head)
        (void)buf_append_str(&head, body);
    a->keep = send_all(fd, head.p, head.n);
    buf_free(&head);
}

/* Where a redirect leads: the same target with one redirect less, or the URL of `elsewhere`. */
static void redirect(const struct request *r, const struct manner *m, char out[TEXT_MAX])
{
    const char *word = strstr(r->target, "moved=");
    if (m->elsewhere[0])
        (void)snprintf(out, TEXT_MAX, "%s", m->elsewhere);
    else
        (void)snprintf(out, TEXT_MAX, "%.*smoved=%ld%.500s", (int)(word - r->target), r->target,
                       m->moved - 1, word + strcspn(word, "/"));
}

static bool is_allowed(const struct request *r, const struct manner *m)
{
    return !m->auth[0] || (strncmp(r->authorization, "Basic ", 6) == 0 &&
                           strcmp(r->authorization + 6, m->auth) == 0);
}

static void answer(const struct client *c, const struct request *r, const struct manner *m,
                   struct answer *a)
{
    char path[2 * TEXT_MAX + 8], location[TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", c->server->dir, m->file);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool leads = m->moved > 0 || m->elsewhere[0];
    a->status = m->status                   ? m->status
              : !is_allowed(r, m)           ? 401
              : r->is_head && m->nohead     ? 405
              : leads                       ? 302
              : file < 0                    ? 404
                                            : 200;
    if (leads && a->status == 302)
        redirect(r, m, location);
    if (m->silence)
        stall(c->fd);
    else if (m->nonsense)
        (void)send_all(c->fd, "hello\n", 6);
    else if (a->status != 200)
        send_status(c->fd, r, m, a, a->status == 302 ? location : NULL);
    else if (!m->hangup) {
        a->size = (uint64_t)lseek(file, 0, SEEK_END) + m->grown;
        choose_range(r, m, a);
        send_file(c->fd, r, m, a, file);
    }
    if (file >= 0)
        (void)close(file);
}

static void log_request(const struct server *s, const struct request *r, const struct answer *a)
{
    struct buf line = BUF_EMPTY;
    (void)buf_printf(&line, "%s\t%s\t%s\t%ld\t%" PRId64 "\t%s\t%" PRIu64 "\n", r->method, r->target,
                     r->range, a->status, sys_now(), r->authorization, a->sent);
    (void)sys_write(s->log, line.p, line.n, "the log", "http_server.log", NULL);
    buf_free(&line);
}

static void *serve(void *context)
{
    struct client c = *(struct client *)context;
    struct request r;
    struct answer a = { .keep = true };
    sys_free(context);
    while (a.keep && read_request(c.fd, &r)) {
        struct manner m;
        a = (struct answer){ .keep = false };
        read_target(r.target, &m);
        settle(c.server, &r, &m);
        answer(&c, &r, &m, &a);
        log_request(c.server, &r, &a);
    }
    (void)close(c.fd);
    return NULL;
}

/* --- the server --- */

static int listen_here(unsigned *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) != 0)
        return -1;
    *port = ntohs(at.sin_port);
    return fd;
}

static void take(struct server *s, int listener)
{
    struct client *c = sys_malloc(sizeof *c);
    pthread_t thread;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    if (fd < 0 || !c) {
        sys_free(c);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *c = (struct client){ s, fd };
    if (pthread_create(&thread, NULL, serve, c) == 0)
        (void)pthread_detach(thread);
    else
        sys_free(c);
}

int main(int argc, char **argv)
{
    unsigned port = 0;
    if (argc != 3)
        return 2;
    (void)signal(SIGPIPE, SIG_IGN);
    struct server *s = sys_calloc(1, sizeof *s);
    int listener = listen_here(&port);
    if (!s || listener < 0)
        return 1;
    s->dir = argv[1];
    s->log = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)printf("%u\n", port);
    (void)fflush(stdout);
    struct pollfd waiting = { .fd = listener, .events = POLLIN };
    while (poll(&waiting, 1, IDLE_MS) > 0)
        take(s, listener);
    /* Threads may still be at work: what they use stays until the process ends. */
    _exit(0);
}
