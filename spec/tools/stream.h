/* stream.h: a pseudo-random stream of records with their pairs, the same for the same seed; for
 * what is suspended and continued. */
#ifndef LMR_SPEC_STREAM_H
#define LMR_SPEC_STREAM_H

#include "data/collect.h"

#include <stdio.h>

/* What the values have to be. */
enum stream_values { ANY_VALUES, NUMBERS, ORDERED, RANKED, FIELDS };

struct stream {
    uint64_t state;
    uint32_t distinct;   /* about so many keys */
    uint32_t partitions; /* > 0: some pairs choose theirs */
    enum stream_values values;
};

static inline uint64_t stream_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Few values often, many seldom. */
static inline uint64_t stream_below(uint64_t *state, uint64_t n)
{
    uint64_t v = stream_next(state), limit = v % 3 == 0 ? n : n / 8 + 1;
    return v / 3 % limit;
}

static inline void stream_key(uint64_t *state, uint32_t distinct, struct buf *out)
{
    uint64_t id = stream_below(state, distinct);
    char text[64];
    size_t n = (size_t)snprintf(text, sizeof text, "%llu%.*s", (unsigned long long)id,
                                (int)(id % 5 * 9), " and more than one hash word holds, at times");
    enum status status;
    CHECK(buf_reserve(out, sizeof text) == ST_OK && out->p);
    if (id % 4 == 0) {
        status = key_put_int(out, (int64_t)id);
    } else if (id % 4 == 1) {
        status = key_array_begin(out);
        if (status == ST_OK)
            status = key_put_string(out, slice_of(text, n), true);
        if (status == ST_OK)
            status = key_array_end(out);
    } else {
        status = key_put_string(out, slice_of(text, n), false);
    }
    CHECK(status == ST_OK);
}

static inline enum status stream_number(uint64_t *state, struct buf *out)
{
    uint64_t v = stream_next(state);
    switch (v % 8) {
    case 0: return val_put_float(out, (double)(v >> 40) / 7);
    case 1: return val_put_float(out, (double)(int64_t)v * 1e-30);
    case 2: return val_put_int(out, (int64_t)(v >> 20));
    case 3: return val_put_int(out, -(int64_t)(v >> 50));
    default: return val_put_int(out, (int64_t)(v >> 60));
    }
}

static inline enum status stream_ordered(uint64_t *state, struct buf *out)
{
    char text[64];
    uint64_t v = stream_next(state);
    if (v % 2 == 0)
        return stream_number(state, out);
    size_t n = (size_t)snprintf(text, sizeof text, "%0*llu", (int)(v % 40),
                                (unsigned long long)(v >> 58));
    return val_put_string(out, slice_of(text, n));
}

static inline enum status stream_any(uint64_t *state, struct buf *out)
{
    if (stream_next(state) % 3 > 0)
        return stream_ordered(state, out);
    enum status status = val_put_array(out, 2);
    if (status == ST_OK)
        status = stream_ordered(state, out);
    return status == ST_OK ? val_put_null(out) : status;
}

static inline enum status stream_ranked(uint64_t *state, struct buf *out)
{
    enum status status = val_put_array(out, 2);
    if (status == ST_OK)
        status = stream_ordered(state, out);
    return status == ST_OK ? stream_any(state, out) : status;
}

/* { n = number, o = ordered, r = { rank, value }, v = any }, in key order; some have no n. */
static inline enum status stream_fields(uint64_t *state, struct buf *out)
{
    bool has_n = stream_next(state) % 4 > 0;
    enum status status = val_put_map(out, has_n ? 4 : 3);
    if (status == ST_OK && has_n && (status = val_put_str(out, "n")) == ST_OK)
        status = stream_number(state, out);
    if (status == ST_OK && (status = val_put_str(out, "o")) == ST_OK)
        status = stream_ordered(state, out);
    if (status == ST_OK && (status = val_put_str(out, "r")) == ST_OK)
        status = stream_ranked(state, out);
    if (status == ST_OK && (status = val_put_str(out, "v")) == ST_OK)
        status = stream_any(state, out);
    return status;
}

static inline void stream_value(uint64_t *state, enum stream_values values, struct buf *out)
{
    enum status status = ST_OK;
    switch (values) {
    case ANY_VALUES: status = stream_any(state, out); break;
    case NUMBERS: status = stream_number(state, out); break;
    case ORDERED: status = stream_ordered(state, out); break;
    case RANKED: status = stream_ranked(state, out); break;
    case FIELDS: status = stream_fields(state, out); break;
    }
    CHECK(status == ST_OK);
}

static inline enum status stream_pair(const struct stream *s, uint64_t *state, struct collect *c,
                                      struct err *e)
{
    uint64_t choice = stream_next(state);
    uint32_t partition = (uint32_t)PARTITION_BY_KEY;
    if (s->partitions > 0 && choice % 3 == 0)
        partition = (uint32_t)(choice >> 8) % s->partitions;
    struct buf *stage = collect_stage(c);
    stream_key(state, s->distinct, stage);
    collect_staged_key(c);
    stream_value(state, s->values, stage);
    return collect_staged(c, partition, e);
}

/* Emits the pairs of record `number` (0 to 6 of them, of one in a thousand 3000) and commits. */
static inline enum status stream_record(const struct stream *s, uint64_t number, struct collect *c,
                                        const char *file, struct err *e)
{
    uint64_t state = s->state ^ (number + 1) * UINT64_C(0xd1342543de82ef95);
    uint64_t pairs = stream_next(&state) % 1000 == 0 ? 3000 : stream_next(&state) % 7;
    enum status status = ST_OK;
    for (uint64_t i = 0; i < pairs && status == ST_OK; i++)
        status = stream_pair(s, &state, c, e);
    struct collect_place place = { file, (int64_t)number * 10, (int64_t)number };
    if (status == ST_OK && stream_next(&state) % 10 == 0) {
        collect_undo(c);
        return ST_OK;
    }
    return status == ST_OK ? collect_commit(c, &place, e) : status;
}

#endif
