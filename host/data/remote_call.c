#include "data/remote_call.h"

#include "base/size.h"
#include "base/sys.h"
#include "data/url.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    BODY_MAX = 1024 * 1024, /* held of a body; the server waits while it is full */
    POLL_MS = 1000,         /* the longest between two looks at the watch, if no signal comes */
    REDIRECTS_MAX = 5,
    SWALLOW_MAX = 64 * 1024 /* bytes of an unwanted body that are let pass to keep the connection */
};

/* --- headers --- */

/* The value of the header `name` in `line` (trimmed) into `out`; false when it is another one. */
static bool header_value(const char *line, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return false;
    const char *p = line + n + 1 + strspn(line + n + 1, " \t");
    size_t length = strcspn(p, "\r\n");
    while (length > 0 && (p[length - 1] == ' ' || p[length - 1] == '\t'))
        length--;
    (void)snprintf(out, cap, "%.*s", (int)(length < cap ? length : cap - 1), p);
    return true;
}

static bool read_number(const char **p, uint64_t *out)
{
    char *end;
    if (**p < '0' || **p > '9')
        return false;
    *out = strtoull(*p, &end, 10);
    *p = end;
    return true;
}

/* "bytes 0-99/1000", "bytes 0-99/" and an asterisk, or (with 416) "bytes", an asterisk and "/1000". */
static void read_range(struct remote_answer *a, const char *value)
{
    uint64_t last;
    if (strncasecmp(value, "bytes", 5) != 0)
        return;
    const char *p = value + 5 + strspn(value + 5, " =");
    if (read_number(&p, &a->first) && *p == '-') {
        p++;
        a->has_range = read_number(&p, &last) && last >= a->first;
    } else if (*p == '*') {
        p++;
    }
    if (*p == '/') {
        p++;
        a->has_total = read_number(&p, &a->total);
    }
}

static void read_header(struct remote_answer *a, const char *line)
{
    char value[REMOTE_VALIDATOR_MAX];
    const char *p = value;
    if (header_value(line, "Content-Length", value, sizeof value))
        a->has_length = read_number(&p, &a->length);
    else if (header_value(line, "Content-Range", value, sizeof value))
        read_range(a, value);
    else if (header_value(line, "Accept-Ranges", value, sizeof value)) {
        a->says_ranges = true;
        a->takes_ranges = strcasecmp(value, "bytes") == 0;
    } else if (header_value(line, "Retry-After", value, sizeof value))
        a->has_retry_after = true;
    else
        (void)(header_value(line, "ETag", a->etag, sizeof a->etag) ||
               header_value(line, "Last-Modified", a->date, sizeof a->date) ||
               header_value(line, "Content-Encoding", a->coding, sizeof a->coding));
}

/* The status line of each answer (redirects have several) forgets the one before. */
static void begin_answer(struct remote_answer *a, const char *line)
{
    const char *p = strchr(line, ' ');
    *a = (struct remote_answer){ .status = p ? strtol(p, NULL, 10) : 0 };
}

static void heard(struct remote_call *c)
{
    const struct input_watch *watch = c->file.watch;
    c->heard = sys_now();
    if (watch && watch->progress)
        (void)atomic_fetch_add_explicit(watch->progress, 1, memory_order_relaxed);
}

static size_t on_header(char *p, size_t size, size_t n, void *context)
{
    struct remote_call *c = context;
    char line[REMOTE_VALIDATOR_MAX + 64];
    (void)snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), p);
    if (strncasecmp(line, "HTTP/", 5) == 0)
        begin_answer(&c->answer, line);
    else
        read_header(&c->answer, line);
    heard(c);
    return size * n;
}

/* --- the body --- */

/* What is not wanted ends the transfer, but for a few bytes, which are cheaper than a new
 * connection. */
static size_t swallow(const struct remote_call *c, size_t n)
{
    bool is_short = c->answer.has_length && c->answer.length <= SWALLOW_MAX;
    return is_short ? n : 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *context)
{
    struct remote_call *c = context;
    n *= size;
    heard(c);
    if (c->header_only || c->answer.status / 100 != 2)
        return swallow(c, n);
    if (remote_call_ready(c) > 0 && remote_call_ready(c) + n > BODY_MAX) {
        c->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    return buf_append(&c->body, p, n) == ST_OK ? n : 0;
}

void remote_call_take(struct remote_call *c, void *p, size_t n)
{
    if (p)
        memcpy(p, c->body.p + c->taken, n);
    c->taken += n;
    if (c->taken == c->body.n)
        c->taken = c->body.n = 0;
}

/* --- the handle --- */

static enum status no_curl(struct err *e)
{
    return err_memory(e, "a connection", sizeof(struct remote_call));
}

static enum status unescape(struct remote_call *c, const char *text, size_t n, char **out)
{
    *out = c->curl.easy_unescape(c->easy, text, (int)n, NULL);
    return *out ? ST_OK : ST_MEMORY;
}

/* "user:password", percent-encoded. */
static enum status read_secret(struct remote_call *c, const char *secret)
{
    size_t n = strcspn(secret, ":");
    const char *password = secret + n + (secret[n] == ':');
    enum status status = unescape(c, secret, n, &c->user);
    return status == ST_OK ? unescape(c, password, strlen(password), &c->password) : status;
}

/* Options of every request. HTTP/1.1 is all that a stream needs, and bounds what curl holds. */
static void set_options(struct remote_call *c)
{
    CURL *easy = c->easy;
    const struct curl_api *curl = &c->curl;
    (void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    (void)curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    (void)curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    (void)curl->easy_setopt(easy, CURLOPT_USERAGENT, "lmr/" LMR_VERSION);
    (void)curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, c->text);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, c);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, c);
    if (!c->user)
        return;
    (void)curl->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl->easy_setopt(easy, CURLOPT_USERNAME, c->user);
    (void)curl->easy_setopt(easy, CURLOPT_PASSWORD, c->password);
}

static enum status set_url(struct remote_call *c)
{
    struct buf bare = BUF_EMPTY;
    enum status status = url_bare(c->file.url, &bare);
    if (status == ST_OK &&
        c->curl.easy_setopt(c->easy, CURLOPT_URL, (const char *)bare.p) != CURLE_OK)
        status = ST_MEMORY;
    buf_free(&bare);
    return status;
}

enum status remote_call_open(struct remote_call *c, const struct remote_file *file, struct err *e)
{
    *c = (struct remote_call){ .file = *file, .body = BUF_EMPTY };
    enum status status = curl_api_load(&c->curl, e);
    if (status != ST_OK)
        return status;
    if (c->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return no_curl(e);
    c->multi = c->curl.multi_init();
    c->easy = c->curl.easy_init();
    if (!c->multi || !c->easy || (file->secret && read_secret(c, file->secret) != ST_OK) ||
        set_url(c) != ST_OK) {
        remote_call_close(c);
        return no_curl(e);
    }
    set_options(c);
    return ST_OK;
}

static void give_up(struct remote_call *c)
{
    if (c->added)
        (void)c->curl.multi_remove_handle(c->multi, c->easy);
    c->added = c->running = c->paused = false;
}

void remote_call_close(struct remote_call *c)
{
    if (!c->multi && !c->easy)
        return;
    give_up(c);
    c->curl.easy_cleanup(c->easy);
    (void)c->curl.multi_cleanup(c->multi);
    c->curl.free(c->user);
    c->curl.free(c->password);
    buf_free(&c->body);
    c->curl.global_cleanup();
    *c = (struct remote_call){ .body = BUF_EMPTY };
}

/* --- requests --- */

static enum status begin(struct remote_call *c, struct err *e)
{
    c->answer = (struct remote_answer){ .status = 0 };
    c->body.n = c->taken = 0;
    c->text[0] = '\0';
    c->code = CURLE_OK;
    if (c->curl.multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return no_curl(e);
    c->added = c->running = true;
    return ST_OK;
}

enum status remote_call_head(struct remote_call *c, struct err *e)
{
    give_up(c);
    (void)c->curl.easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    (void)c->curl.easy_setopt(c->easy, CURLOPT_RANGE, NULL);
    return begin(c, e);
}

enum status remote_call_get(struct remote_call *c, const char *range, struct err *e)
{
    give_up(c);
    (void)c->curl.easy_setopt(c->easy, CURLOPT_NOBODY, 0L);
    (void)c->curl.easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
    if (c->curl.easy_setopt(c->easy, CURLOPT_RANGE, range) != CURLE_OK)
        return no_curl(e);
    return begin(c, e);
}

double remote_call_timeout(const struct remote_call *c)
{
    const struct input_watch *watch = c->file.watch;
    return watch && watch->timeout_seconds > 0 ? watch->timeout_seconds : INPUT_TIMEOUT_SECONDS;
}

static enum status stalled(const struct remote_call *c, struct err *e)
{
    char text[SIZE_TEXT_MAX];
    return remote_call_fail(c, e, "the server sent nothing for %s; is it overloaded, or a firewall "
                            "in between?", duration_format(remote_call_timeout(c), text));
}

/* Lets curl do what it can now, and notes the end. */
static void perform(struct remote_call *c)
{
    int running = 0, left = 0;
    if (c->paused && remote_call_ready(c) == 0) {
        c->paused = false;
        (void)c->curl.easy_pause(c->easy, CURLPAUSE_CONT);
    }
    CURLMcode code = c->curl.multi_perform(c->multi, &running);
    const CURLMsg *m = c->curl.multi_info_read(c->multi, &left);
    if (code != CURLM_OK || (m && m->msg == CURLMSG_DONE)) {
        c->running = false;
        c->code = code != CURLM_OK ? CURLE_FAILED_INIT : m->data.result;
    }
}

/* The watch's interrupt, or a stall; ST_OK when the wait goes on for *ms more. */
static enum status look(const struct remote_call *c, int *ms, struct err *e)
{
    const struct input_watch *watch = c->file.watch;
    enum status stop = watch && watch->stop ? (enum status)atomic_load(watch->stop) : ST_OK;
    if (stop != ST_OK)
        return err_set(e, stop, "the attempt was told to stop while it waited for %.900s",
                       c->file.url);
    double left = remote_call_timeout(c) - (double)(sys_now() - c->heard) / 1e9;
    if (left <= 0)
        return stalled(c, e);
    *ms = left * 1000 < POLL_MS ? (int)(left * 1000) + 1 : POLL_MS;
    return ST_OK;
}

enum status remote_call_wait(struct remote_call *c, struct err *e)
{
    c->heard = sys_now();
    while (c->running && remote_call_ready(c) == 0) {
        int ms = POLL_MS;
        perform(c);
        if (!c->running || remote_call_ready(c) > 0)
            break;
        enum status status = look(c, &ms, e);
        if (status != ST_OK)
            return status;
        (void)c->curl.multi_poll(c->multi, NULL, 0, ms, NULL);
    }
    return ST_OK;
}
