/* remote.h: the bytes of a file behind http:// or https://, by libcurl. Private to the input half
 * of this room, but for remote_ask.
 *
 * Failures of the network, and a server that refuses, fails, stalls or sends less than it
 * promised, are ST_NETWORK: err.details has url, status (of HTTP) and curl (the name of curl's
 * code) where they are known, err.retry_after what the server asks for. An answer that shows that
 * the file is not the planned one is ST_CORRUPT. The interrupt of the watch ends every wait.
 *
 * No wait is longer than the watch's timeout without a byte; slow is not stalled. Redirects are
 * followed, 5 at most, to http and https only. User and password come from the address, else from
 * ~/.netrc; they are not sent to another host. Proxies are taken from the usual environment. */
#ifndef LMR_DATA_REMOTE_H
#define LMR_DATA_REMOTE_H

#include "base/bytes.h"
#include "data/input.h"

/* What is read, and by whose leave. All borrowed for as long as it is read. */
struct remote_file {
    const char *url;       /* as shown: data/url.h */
    const char *secret;    /* or NULL */
    const char *validator; /* that it must still have, or NULL: struct remote_facts */
    uint64_t size;         /* or INPUT_SIZE_UNKNOWN */
    const struct input_watch *watch; /* or NULL */
};

struct remote;

/* A stream from byte `from`. It asks for little more than the bytes before `until` at first (the
 * next request asks for what is read beyond). */
enum status remote_open(const struct remote_file *file, uint64_t from, uint64_t until,
                        struct remote **out, struct err *e);
/* Up to `n` (> 0) bytes; *got is 0 only at the end of the file. After an error it is not called
 * again. */
enum status remote_read(struct remote *r, void *p, size_t n, size_t *got, struct err *e);
/* NULL is accepted. */
void remote_close(struct remote *r);

/* What a server tells of a file. */
struct remote_facts {
    uint64_t size;        /* or INPUT_SIZE_UNKNOWN */
    bool ranges;          /* parts of it may be asked for; never without a size */
    struct buf validator; /* "ETag: …" or "Last-Modified: …", terminated; empty without one */
    char coding[32];      /* it sends the bytes encoded so, though nobody asked; "": as they are */
};

/* Asks with HEAD and, where that leaves something open or is refused, for the first byte. Only
 * url, secret and watch of `file` are looked at. `out` starts zeroed; the caller frees
 * out->validator. */
enum status remote_ask(const struct remote_file *file, struct remote_facts *out, struct err *e);

#endif
