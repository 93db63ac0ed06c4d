#include "schedule/wire.h"

#include "base/sys.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 * 1024 };

static void put_le(uint8_t *p, uint32_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_le(const uint8_t *p, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

/* Bytes handed out are dropped before more come in: what a message borrowed ends here. */
static void drop_taken(struct wire_reader *r)
{
    if (r->taken == 0)
        return;
    r->in.n -= r->taken;
    if (r->in.n > 0)
        memmove(r->in.p, r->in.p + r->taken, r->in.n);
    r->taken = 0;
}

enum status wire_fill(struct wire_reader *r, int fd, bool *closed, struct err *e)
{
    *closed = false;
    drop_taken(r);
    if (buf_reserve(&r->in, READ_SIZE) != ST_OK)
        return err_memory(e, "a message", READ_SIZE);
    struct err failure;
    size_t got = 0;
    enum status st = sys_read(fd, r->in.p + r->in.n, READ_SIZE, &got, "the worker's socket",
                              &failure);
    if (st != ST_OK && failure.os_error == EAGAIN)
        return ST_END;
    if (st != ST_OK && failure.os_error != ECONNRESET) {
        if (e)
            *e = failure;
        return st;
    }
    *closed = got == 0;
    r->in.n += got;
    return ST_OK;
}

enum status wire_feed(struct wire_reader *r, struct slice bytes)
{
    drop_taken(r);
    return buf_append_slice(&r->in, bytes);
}

enum status wire_take(struct wire_reader *r, struct wire_message *out, struct err *e)
{
    size_t left = r->in.n - r->taken;
    if (left < WIRE_HEADER)
        return ST_END;
    const uint8_t *p = r->in.p + r->taken;
    uint32_t length = get_le(p, 4), version = get_le(p + 4, 2), type = get_le(p + 6, 2);
    if (version != WIRE_VERSION)
        return err_set(e, ST_CORRUPT, "message of version %u, expected %d", version, WIRE_VERSION);
    if (type == 0 || type > WIRE_TYPE_MAX)
        return err_set(e, ST_CORRUPT, "message of unknown type %u", type);
    if (length > WIRE_PAYLOAD_MAX)
        return err_set(e, ST_CORRUPT, "message of %u bytes, more than the limit of %d", length,
                       WIRE_PAYLOAD_MAX);
    if (left - WIRE_HEADER < length)
        return ST_END;
    *out = (struct wire_message){ (enum wire_type)type, slice_of(p + WIRE_HEADER, length) };
    r->taken += WIRE_HEADER + length;
    if (val_check(out->payload) != ST_OK)
        return err_set(e, ST_CORRUPT, "message of type %u whose payload does not decode", type);
    return ST_OK;
}

void wire_reader_free(struct wire_reader *r)
{
    buf_free(&r->in);
    r->taken = 0;
}

enum status wire_put(struct buf *out, enum wire_type type, struct slice payload, struct err *e)
{
    if (payload.n > WIRE_PAYLOAD_MAX)
        return err_set(e, ST_USAGE,
                       "a message to a worker would be %zu bytes, more than the limit of %d: use "
                       "fewer, larger splits",
                       payload.n, WIRE_PAYLOAD_MAX);
    if (buf_reserve(out, WIRE_HEADER + payload.n) != ST_OK)
        return err_memory(e, "a message", payload.n);
    uint8_t header[WIRE_HEADER];
    put_le(header, (uint32_t)payload.n, 4);
    put_le(header + 4, WIRE_VERSION, 2);
    put_le(header + 6, (uint32_t)type, 2);
    (void)buf_append(out, header, sizeof header);
    return buf_append_slice(out, payload);
}

enum status wire_send(int fd, const struct buf *out, size_t *sent, struct err *e)
{
    while (*sent < out->n) {
        ssize_t n = send(fd, out->p + *sent, out->n - *sent, MSG_NOSIGNAL);
        if (n >= 0)
            *sent += (size_t)n;
        else if (errno == EAGAIN)
            return ST_END;
        else if (errno == EPIPE || errno == ECONNRESET)
            return err_set(e, ST_INTERRUPTED, "the socket is closed");
        else if (errno != EINTR)
            return err_sys(e, errno, "send to", "the worker's socket");
    }
    return ST_OK;
}

enum status wire_put_err(const struct err *err, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_int(&m, "status", err->status);
    val_map_int(&m, "os_error", err->os_error);
    val_map_str(&m, "type", err->type);
    val_map_str(&m, "message", err->message);
    val_map_str(&m, "traceback", err->traceback);
    val_map_str(&m, "file", err->file);
    val_map_int(&m, "offset", err->offset);
    val_map_int(&m, "record", err->record);
    val_map_str(&m, "key", err->key);
    val_map_float(&m, "retry_after", err->retry_after);
    val_map_str(&m, "details", err->details);
    val_map_int(&m, "exit_status", err->exit_status);
    val_map_int(&m, "signal", err->signal);
    val_map_float(&m, "elapsed_seconds", err->elapsed_seconds);
    val_map_int(&m, "memory_peak", (int64_t)err->memory_peak);
    val_map_bool(&m, "simulated", err->simulated);
    return val_map_end(&m, out);
}

/* Details are lines; what is not (a hostile worker's) is left out. */
static void get_details(struct slice value, struct err *err)
{
    (void)val_get_cstr(value, "details", err->details, sizeof err->details);
    size_t n = strlen(err->details);
    if (n > 0 && err->details[n - 1] != '\n')
        err->details[0] = '\0';
}

void wire_get_err(struct slice value, struct err *err)
{
    err_clear(err);
    int64_t status = val_get_int(value, "status", ST_CRASH);
    bool known = status > ST_END && status < ST_COUNT;
    err->status = known ? (enum status)status : ST_CRASH;
    err->os_error = (int)val_get_int(value, "os_error", 0);
    (void)val_get_cstr(value, "type", err->type, sizeof err->type);
    if (err->type[0] == '\0')
        (void)snprintf(err->type, sizeof err->type, "%s", status_type(err->status));
    (void)val_get_cstr(value, "message", err->message, sizeof err->message);
    (void)val_get_cstr(value, "traceback", err->traceback, sizeof err->traceback);
    (void)val_get_cstr(value, "file", err->file, sizeof err->file);
    err->offset = val_get_int(value, "offset", -1);
    err->record = val_get_int(value, "record", -1);
    (void)val_get_cstr(value, "key", err->key, sizeof err->key);
    err->retry_after = val_get_float(value, "retry_after", -1);
    get_details(value, err);
    err->exit_status = (int)val_get_int(value, "exit_status", -1);
    err->signal = (int)val_get_int(value, "signal", 0);
    err->elapsed_seconds = val_get_float(value, "elapsed_seconds", -1);
    int64_t peak = val_get_int(value, "memory_peak", 0);
    err->memory_peak = peak > 0 ? (uint64_t)peak : 0;
    err->simulated = val_get_bool(value, "simulated", false);
}
