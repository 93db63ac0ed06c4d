/* remote_ask.c: what a server tells of a file before it is read. */
#include "data/remote_call.h"

#include "data/input.h"

#include <stdio.h>
#include <strings.h>

/* Waits for the end of the request; of a body nothing is kept. */
static enum status finish(struct remote_call *c, struct err *e)
{
    enum status status = ST_OK;
    while (status == ST_OK && c->running) {
        status = remote_call_wait(c, e);
        remote_call_take(c, NULL, remote_call_ready(c));
    }
    return status;
}

/* Servers that do not know HEAD, and addresses that are signed for GET alone. */
static bool refuses_head(long status)
{
    return status == 403 || status == 405 || status == 501;
}

/* A GET of the first byte leaves an answer open only when the server knows no ranges. */
static bool leaves_open(const struct remote_answer *a)
{
    if (!a->has_length)
        return true;
    return a->length > 0 && !a->says_ranges;
}

/* That a body that was not wanted was cut off is no failure. */
static enum status check(struct remote_call *c, struct err *e)
{
    if (c->code == CURLE_WRITE_ERROR)
        c->code = CURLE_OK;
    enum status status = remote_call_check(c, e);
    return status == ST_OK && c->code != CURLE_OK ? remote_call_failed(c, e) : status;
}

/* Bytes that are compressed for the way, though nobody asked, are not those of the file; unless it is
 * a compressed one that the server describes like that. */
static void keep_coding(const struct remote_call *c, struct remote_facts *out)
{
    const char *coding = c->answer.coding;
    if (strcasecmp(coding, "identity") != 0 && !input_is_compressed(c->file.url))
        (void)snprintf(out->coding, sizeof out->coding, "%s", coding);
}

static enum status keep(const struct remote_answer *a, bool ranges, uint64_t size,
                        struct remote_facts *out, struct err *e)
{
    const char *value = *a->etag ? a->etag : a->date;
    out->size = size;
    out->ranges = ranges && size != INPUT_SIZE_UNKNOWN;
    if (!*value)
        return ST_OK;
    out->validator.n = 0;
    if (buf_append_str(&out->validator, *a->etag ? "ETag: " : "Last-Modified: ") != ST_OK ||
        buf_append_str(&out->validator, value) != ST_OK || buf_terminate(&out->validator) != ST_OK)
        return err_memory(e, "an address", strlen(value));
    return ST_OK;
}

static enum status by_head(struct remote_call *c, bool *open, struct remote_facts *out,
                           struct err *e)
{
    const struct remote_answer *a = &c->answer;
    enum status status = remote_call_head(c, e);
    if (status == ST_OK)
        status = finish(c, e);
    *open = refuses_head(a->status);
    if (status != ST_OK || *open)
        return status;
    status = check(c, e);
    if (status != ST_OK)
        return status;
    *open = leaves_open(a);
    return keep(a, a->takes_ranges, a->has_length ? a->length : INPUT_SIZE_UNKNOWN, out, e);
}

static enum status by_first_byte(struct remote_call *c, struct remote_facts *out, struct err *e)
{
    const struct remote_answer *a = &c->answer;
    enum status status = remote_call_get(c, "0-0", e);
    if (status == ST_OK)
        status = finish(c, e);
    if (status == ST_OK && a->status == 416 && a->has_total && a->total == 0)
        return keep(a, false, 0, out, e);
    if (status == ST_OK)
        status = check(c, e);
    if (status != ST_OK)
        return status;
    if (a->status == 206)
        return keep(a, true, a->has_total ? a->total : INPUT_SIZE_UNKNOWN, out, e);
    return keep(a, false, a->has_length ? a->length : INPUT_SIZE_UNKNOWN, out, e);
}

enum status remote_ask(const struct remote_file *file, struct remote_facts *out, struct err *e)
{
    struct remote_call call;
    bool open = false;
    enum status status = remote_call_open(&call, file, e);
    if (status != ST_OK)
        return status;
    call.header_only = true;
    status = by_head(&call, &open, out, e);
    if (status == ST_OK && open)
        status = by_first_byte(&call, out, e);
    keep_coding(&call, out);
    remote_call_close(&call);
    return status;
}
