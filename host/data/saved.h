/* saved.h: how the states of a task checkpoint are written and read. Private to this room.
 *
 * A state is varints, and bytes with their length before them. Both sides keep the first failure, so
 * that a list of fields is written or read without a check each; a reader that has failed gives
 * zeros and empty slices. What a number means, and whether it makes sense, is for the caller to
 * say. */
#ifndef LMR_DATA_SAVED_H
#define LMR_DATA_SAVED_H

#include "base/bytes.h"

struct saver {
    struct buf *out; /* appended to */
    enum status status;
};

static inline struct saver saver_of(struct buf *out)
{
    return (struct saver){ out, ST_OK };
}

/* Makes room for bytes that will come, so that a large state does not double its buffer. */
void saver_reserve(struct saver *s, size_t more);
void save_uint(struct saver *s, uint64_t v);
void save_int(struct saver *s, int64_t v);
/* 8 bytes: what is no small number (a checksum, a float's bits). */
void save_word(struct saver *s, uint64_t v);
void save_float(struct saver *s, double v);
void save_bytes(struct saver *s, const void *p, size_t n); /* without a length */
void save_slice(struct saver *s, struct slice bytes);

struct saved {
    struct slice rest; /* borrowed */
    bool failed;
};

static inline struct saved saved_of(struct slice state)
{
    return (struct saved){ state, false };
}

/* Fails (and gives 0) above `max`. */
uint64_t saved_uint(struct saved *s, uint64_t max);
bool saved_bool(struct saved *s);
int64_t saved_int(struct saved *s);
uint64_t saved_word(struct saved *s);
double saved_float(struct saved *s);
struct slice saved_bytes(struct saved *s, uint64_t n);
struct slice saved_slice(struct saved *s);
/* A number that must be this one. */
void saved_expect(struct saved *s, uint64_t v);
/* Takes notice of a check of the caller's. */
static inline void saved_check(struct saved *s, bool holds)
{
    s->failed = s->failed || !holds;
}

/* True when nothing failed, and nothing is left. */
static inline bool saved_ended(const struct saved *s)
{
    return !s->failed && s->rest.n == 0;
}

/* ST_CORRUPT: "the saved state of WHAT does not hold". */
enum status saved_broken(const char *what, struct err *e);

#endif
