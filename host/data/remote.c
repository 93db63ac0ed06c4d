/* remote.c: the bytes of a file as a stream of answers to GET. */
#include "data/remote_call.h"

#include "base/sys.h"
#include "data/input.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    SLACK = 64 * 1024,      /* asked for behind `until`: the end of the last record */
    MORE = 4 * 1024 * 1024, /* asked for when that was not enough */
};

struct remote {
    struct remote_call call;
    uint64_t position; /* of the next byte to be given */
    uint64_t until;    /* where the first request should end */
    uint64_t end;      /* where the running request ends, or INPUT_SIZE_UNKNOWN */
    uint64_t skip;     /* bytes of the body that come before `position` */
    uint64_t got;      /* bytes this request has brought */
    bool checked;      /* its headers were looked at */
    int64_t last_read; /* sys_now, at the end of the last call */
    bool excused;      /* the reader was away long since the request was made */
};

/* --- what the answer says of the file --- */

static enum status changed(const struct remote *r, struct err *e, const char *what,
                           const char *then, const char *now)
{
    enum status status =
        err_set(e, ST_CORRUPT,
                "%.600s changed since the plan: its %s was %.200s and is %.200s now; run the job "
                "again from the start",
                r->call.file.url, what, then, now);
    err_at(e, r->call.file.url, -1, -1);
    return status;
}

static enum status check_size(const struct remote *r, uint64_t now, struct err *e)
{
    char before[32], after[32];
    if (r->call.file.size == INPUT_SIZE_UNKNOWN || now == r->call.file.size)
        return ST_OK;
    (void)snprintf(before, sizeof before, "%" PRIu64, r->call.file.size);
    (void)snprintf(after, sizeof after, "%" PRIu64, now);
    return changed(r, e, "size", before, after);
}

/* A weak validator ("W/…") is compared like a strong one: gzip on the fly, which makes the
 * difference, is not asked for. */
static const char *strong(const char *tag)
{
    return strncasecmp(tag, "W/", 2) == 0 ? tag + 2 : tag;
}

static enum status check_validator(const struct remote *r, struct err *e)
{
    const char *planned = r->call.file.validator, *colon = planned ? strchr(planned, ':') : NULL;
    if (!colon)
        return ST_OK;
    bool is_tag = strncmp(planned, "ETag:", 5) == 0;
    const char *now = is_tag ? r->call.answer.etag : r->call.answer.date;
    const char *then = colon + 1 + strspn(colon + 1, " ");
    if (!*now || strcmp(strong(now), strong(then)) == 0)
        return ST_OK;
    return changed(r, e, is_tag ? "ETag" : "date (Last-Modified)", then, now);
}

/* 206: the range that was asked for, and of the file that was planned. */
static enum status check_part(struct remote *r, struct err *e)
{
    const struct remote_answer *a = &r->call.answer;
    if (!a->has_range || a->first != r->position)
        return remote_call_fail(&r->call, e,
                                "the server was asked for byte %" PRIu64
                                " and sends another part of the file; its ranges do not work",
                                r->position);
    r->skip = 0;
    return a->has_total ? check_size(r, a->total, e) : ST_OK;
}

/* Any other success is the whole file. */
static enum status check_whole(struct remote *r, struct err *e)
{
    const struct remote_answer *a = &r->call.answer;
    r->skip = r->position;
    r->end = r->call.file.size;
    return a->has_length ? check_size(r, a->length, e) : ST_OK;
}

static enum status check_answer(struct remote *r, struct err *e)
{
    const struct remote_answer *a = &r->call.answer;
    r->checked = true;
    if (a->status == 416 && a->has_total)
        return check_size(r, a->total, e);
    enum status status = remote_call_check(&r->call, e);
    if (status == ST_OK)
        status = check_validator(r, e);
    if (status == ST_OK)
        status = a->status == 206 ? check_part(r, e) : check_whole(r, e);
    return status;
}

/* --- requests --- */

/* Of a file that cannot be cut there is only one part, and no range is asked for. */
static enum status ask_for_more(struct remote *r, struct err *e)
{
    char range[64];
    uint64_t size = r->call.file.size, least = r->position + (r->got ? MORE : SLACK);
    uint64_t end = r->until > UINT64_MAX - SLACK ? UINT64_MAX : r->until + SLACK;
    end = end < least ? least : end;
    r->end = end < size ? end : size;
    r->checked = false;
    r->excused = false;
    r->skip = r->got = 0;
    if (r->position == 0 && r->end == size)
        return remote_call_get(&r->call, NULL, e);
    if (r->end == INPUT_SIZE_UNKNOWN)
        (void)snprintf(range, sizeof range, "%" PRIu64 "-", r->position);
    else
        (void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, r->position, r->end - 1);
    return remote_call_get(&r->call, range, e);
}

enum status remote_open(const struct remote_file *file, uint64_t from, uint64_t until,
                        struct remote **out, struct err *e)
{
    struct remote *r = sys_calloc(1, sizeof *r);
    if (!r)
        return err_memory(e, "a connection", sizeof *r);
    r->position = from < file->size ? from : file->size;
    r->until = until;
    r->last_read = sys_now();
    enum status status = remote_call_open(&r->call, file, e);
    if (status == ST_OK && r->position < file->size)
        status = ask_for_more(r, e);
    if (status != ST_OK) {
        remote_close(r);
        return status;
    }
    *out = r;
    return ST_OK;
}

void remote_close(struct remote *r)
{
    if (!r)
        return;
    remote_call_close(&r->call);
    sys_free(r);
}

/* --- reading --- */

static enum status ended_early(const struct remote *r, struct err *e)
{
    if (r->call.file.size == INPUT_SIZE_UNKNOWN)
        return remote_call_fail(&r->call, e,
                                "the server ended after byte %" PRIu64
                                ", in the middle of its answer",
                                r->position);
    return remote_call_fail(&r->call, e,
                            "the server ended after byte %" PRIu64 " of %" PRIu64
                            ", short of what it promised",
                            r->position, r->call.file.size);
}

/* The request is over and all it brought is taken: the end of the file, a failure, or the next
 * request. */
static enum status go_on(struct remote *r, bool *at_end, struct err *e)
{
    const struct remote_call *c = &r->call;
    if (c->code != CURLE_OK) {
        if (r->excused)
            return ask_for_more(r, e);
        return c->code == CURLE_PARTIAL_FILE ? ended_early(r, e) : remote_call_failed(c, e);
    }
    if (c->answer.status == 206 && r->position < c->file.size && r->got > 0)
        return ask_for_more(r, e);
    if (c->file.size == INPUT_SIZE_UNKNOWN)
        r->call.file.size = r->position;
    *at_end = r->position == c->file.size;
    return *at_end ? ST_OK : ended_early(r, e);
}

/* Bytes before the place that was asked for. */
static void pass_over(struct remote *r)
{
    size_t n = remote_call_ready(&r->call);
    if (n > r->skip)
        n = (size_t)r->skip;
    remote_call_take(&r->call, NULL, n);
    r->skip -= n;
}

static void give(struct remote *r, void *p, size_t n, size_t *got)
{
    size_t ready = remote_call_ready(&r->call);
    uint64_t left = r->call.file.size - r->position;
    n = n < ready ? n : ready;
    n = n < left ? n : (size_t)left;
    remote_call_take(&r->call, p, n);
    r->position += n;
    r->got += n;
    *got = n;
}

static enum status read_some(struct remote *r, void *p, size_t n, size_t *got, struct err *e)
{
    bool at_end = r->position == r->call.file.size;
    enum status status =
        at_end ? check_size(r, r->position + remote_call_ready(&r->call), e) : ST_OK;
    while (status == ST_OK && *got == 0 && !at_end) {
        status = remote_call_wait(&r->call, e);
        if (status == ST_OK && !r->checked)
            status = check_answer(r, e);
        if (status != ST_OK)
            break;
        pass_over(r);
        if (remote_call_ready(&r->call) > 0)
            give(r, p, n, got);
        else if (!r->call.running)
            status = go_on(r, &at_end, e);
    }
    return status;
}

/* A reader that was away for a third of what we would call a stall may have been hung up on. That is
 * no failure of the network: the rest is asked for anew, once for each time. */
enum status remote_read(struct remote *r, void *p, size_t n, size_t *got, struct err *e)
{
    *got = 0;
    if ((double)(sys_now() - r->last_read) / 1e9 > remote_call_timeout(&r->call) / 3)
        r->excused = true;
    enum status status = read_some(r, p, n, got, e);
    r->last_read = sys_now();
    return status;
}
