/* wire.h: messages between driver and worker over one stream socket.
 *
 * A message is a header of 8 bytes (little-endian: u32 payload length, u16 version, u16 type) and a
 * payload, which is one encoded value (data/codec.h), checked whole before anyone looks into it.
 * Both sides are the same binary, but neither trusts the other: a wrong version, type or length, or
 * a payload that is no value, is ST_CORRUPT. */
#ifndef LMR_SCHEDULE_WIRE_H
#define LMR_SCHEDULE_WIRE_H

#include "data/codec.h"

enum { WIRE_VERSION = 1, WIRE_HEADER = 8, WIRE_PAYLOAD_MAX = 256 << 20 };

enum wire_type {
    WIRE_HELLO =
        1, /* worker → driver: { lmr = version text, pid, page = bytes of struct position } */
    WIRE_ASSIGN = 2, /* driver → worker: an assignment (script/attempt.h) */
    WIRE_RESULT = 3, /* worker → driver: { serial, cpu_ns, result = value } or { serial, cpu_ns,
                        error = {…} } */
    WIRE_INTERRUPT = 4, /* driver → worker: { status }: the running attempt shall end with it */
    /* Between driver and policy host (schedule/policy.h). */
    WIRE_POLICY_LOAD = 7, /* driver → host, once, first: { config = {…}, previous = encoded profile
                             or absent } (script/policy.h) */
    WIRE_POLICY_LOADED = 8, /* host → driver: what policy_script_open gave, or { error = {…} } */
    WIRE_POLICY_ASK = 9, /* driver → host: { id, function, for_delay, err = {…}, ctx = {…} } */
    WIRE_POLICY_ANSWER = 10, /* host → driver: { id, answer = value } or { id, error = {…}, spoiled
                                = bool }: a spoiled host takes no more questions */
    /* Between a command and a running driver (schedule/control.h). */
    WIRE_REQUEST = 11,
    WIRE_REPLY = 12,
    WIRE_TYPE_MAX = 12
};

struct wire_message {
    enum wire_type type;
    struct slice payload; /* borrowed from the reader, valid until the next wire_fill */
};

/* Collects bytes as they come; start as WIRE_READER_EMPTY, end with wire_reader_free. */
struct wire_reader {
    struct buf in;
    size_t taken; /* bytes of `in` already handed out */
};
#define WIRE_READER_EMPTY ((struct wire_reader){ BUF_EMPTY, 0 })

/* Reads once from `fd` what there is. ST_OK: something came; ST_END: nothing there now
 * (non-blocking); *closed: the other side is gone (also after a reset). */
enum status wire_fill(struct wire_reader *r, int fd, bool *closed, struct err *e);
/* Adds bytes that came by other means (a fuzzer). */
enum status wire_feed(struct wire_reader *r, struct slice bytes);
/* The next whole message: ST_OK, ST_END when more bytes are needed, ST_CORRUPT. */
enum status wire_take(struct wire_reader *r, struct wire_message *out, struct err *e);
void wire_reader_free(struct wire_reader *r);

/* Appends a message. ST_USAGE when the payload is over WIRE_PAYLOAD_MAX. */
enum status wire_put(struct buf *out, enum wire_type type, struct slice payload, struct err *e);
/* Sends from *sent up to the end of `out`, raising *sent; a blocking socket takes all, a
 * non-blocking one what fits (ST_END when some is left). Never raises SIGPIPE: a closed socket is
 * ST_INTERRUPTED. */
enum status wire_send(int fd, const struct buf *out, size_t *sent, struct err *e);

/* An error as an encoded map, and back (fields that are absent or of a wrong type stay empty). */
enum status wire_put_err(const struct err *err, struct buf *out);
void wire_get_err(struct slice value, struct err *err);

#endif
