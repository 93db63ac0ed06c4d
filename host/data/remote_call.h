/* remote_call.h: one request after the other over one curl handle, driven by who waits for it.
 * Private to remote.c and remote_ask.c. */
#ifndef LMR_DATA_REMOTE_CALL_H
#define LMR_DATA_REMOTE_CALL_H

#include "data/curl_api.h"
#include "data/remote.h"

enum { REMOTE_VALIDATOR_MAX = 512, REMOTE_CODING_MAX = 32 };

/* What the headers of the answer said; of several answers (redirects) the last. */
struct remote_answer {
    long status; /* of HTTP; 0: none yet */
    bool has_length, has_range, has_total, has_retry_after;
    bool says_ranges, takes_ranges;            /* Accept-Ranges is there; is "bytes" */
    uint64_t length, first, total;             /* Content-Length; Content-Range: first-…/total */
    char etag[REMOTE_VALIDATOR_MAX], date[REMOTE_VALIDATOR_MAX]; /* Last-Modified */
    char coding[REMOTE_CODING_MAX];            /* Content-Encoding */
};

struct remote_call {
    struct remote_file file;
    struct curl_api curl;
    CURLM *multi;
    CURL *easy;
    char *user, *password; /* curl's; NULL: the address shows all there is */
    struct remote_answer answer;
    bool running, paused, added;
    bool header_only; /* the body is not wanted */
    CURLcode code;    /* how it ended, when it is not running */
    struct buf body;  /* bounded: what came and is not yet taken */
    size_t taken;
    int64_t heard; /* sys_now of the last byte, or of the beginning of a wait */
    char text[CURL_ERROR_SIZE];
};

enum status remote_call_open(struct remote_call *c, const struct remote_file *file, struct err *e);
void remote_call_close(struct remote_call *c);

/* Begins a request: HEAD, or GET of bytes first … last (`range` NULL: of all). The one before is
 * given up. */
enum status remote_call_head(struct remote_call *c, struct err *e);
enum status remote_call_get(struct remote_call *c, const char *range, struct err *e);
/* Seconds without a byte that are a stall. */
double remote_call_timeout(const struct remote_call *c);
/* Waits until there are bytes of the body or the request is over (c->running is false). ST_OK, the
 * watch's interrupt, or ST_NETWORK for a stall. How the request ended is not looked at. */
enum status remote_call_wait(struct remote_call *c, struct err *e);
/* Bytes of the body that came and are not taken. */
static inline size_t remote_call_ready(const struct remote_call *c)
{
    return c->body.n - c->taken;
}
/* Takes `n` of them (p may be NULL). */
void remote_call_take(struct remote_call *c, void *p, size_t n);

/* ST_OK when the answer is one of 2xx; else the failure that a status, or an end without an
 * answer, is. */
enum status remote_call_check(const struct remote_call *c, struct err *e);
/* The failure that curl's code is. */
enum status remote_call_failed(const struct remote_call *c, struct err *e);
/* Fills `e` with ST_NETWORK, the message behind the address, and all details. */
enum status remote_call_fail(const struct remote_call *c, struct err *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
