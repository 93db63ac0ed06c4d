/* source.h: the bytes of an input file as one stream, plain or decompressed, from this machine or
 * from a server. Private to the input half of this room.
 *
 * A source owns its descriptor or connection. A plain file that ends before its planned size, and a
 * compressed stream that is cut or broken, give ST_CORRUPT; err.offset is the uncompressed offset
 * reached. Whatever was read before the damage has been delivered by then. */
#ifndef LMR_DATA_SOURCE_H
#define LMR_DATA_SOURCE_H

#include "base/bytes.h"

struct input_watch;

/* A file as it was planned. All but the path is borrowed for as long as the source is open. */
struct source_file {
    const char *path; /* or an address (data/url.h) */
    uint64_t size;    /* of the file as it is stored; INPUT_SIZE_UNKNOWN only of an address */
    bool compressed;
    /* The rest is of addresses alone. */
    uint64_t until;        /* what lies behind may not be needed */
    const char *secret;    /* or NULL */
    const char *validator; /* or NULL */
    const struct input_watch *watch; /* or NULL */
};

struct source;

/* Opens the file (another size now: ST_CORRUPT, "changed since the plan"). A plain file starts at
 * byte `from`; a compressed one always at its beginning. */
enum status source_open(const struct source_file *file, uint64_t from, struct source **out,
                        struct err *e);
/* Up to `n` (> 0) bytes; *got is 0 only at the end. After an error every later call gives it
 * again. */
enum status source_read(struct source *s, void *p, size_t n, size_t *got, struct err *e);
/* Bytes of the file on disk taken in so far. */
uint64_t source_taken(const struct source *s);
/* NULL is accepted. */
void source_close(struct source *s);

#endif
