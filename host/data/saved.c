#include "data/saved.h"

#include "data/run_format.h"

static void note(struct saver *s, enum status status)
{
    if (s->status == ST_OK)
        s->status = status;
}

void saver_reserve(struct saver *s, size_t more)
{
    note(s, buf_reserve(s->out, more));
}

void save_uint(struct saver *s, uint64_t v)
{
    note(s, buf_append_varint(s->out, v));
}

void save_int(struct saver *s, int64_t v)
{
    save_uint(s, zigzag(v));
}

void save_word(struct saver *s, uint64_t v)
{
    uint8_t bytes[8];
    run_store64(bytes, v);
    save_bytes(s, bytes, sizeof bytes);
}

void save_float(struct saver *s, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    save_word(s, bits);
}

void save_bytes(struct saver *s, const void *p, size_t n)
{
    if (n > 0)
        note(s, buf_append(s->out, p, n));
}

void save_slice(struct saver *s, struct slice bytes)
{
    save_uint(s, bytes.n);
    save_bytes(s, bytes.p, bytes.n);
}

static uint64_t fail(struct saved *s)
{
    s->failed = true;
    s->rest.n = 0;
    return 0;
}

uint64_t saved_uint(struct saved *s, uint64_t max)
{
    uint64_t v = 0;
    size_t n = s->failed || s->rest.n == 0 ? 0 : varint_get(s->rest.p, s->rest.p + s->rest.n, &v);
    if (n == 0 || v > max)
        return fail(s);
    s->rest = slice_of(s->rest.p + n, s->rest.n - n);
    return v;
}

bool saved_bool(struct saved *s)
{
    return saved_uint(s, 1) == 1;
}

int64_t saved_int(struct saved *s)
{
    return unzigzag(saved_uint(s, UINT64_MAX));
}

uint64_t saved_word(struct saved *s)
{
    struct slice bytes = saved_bytes(s, 8);
    return bytes.n == 8 ? run_load64(bytes.p) : 0;
}

double saved_float(struct saved *s)
{
    uint64_t bits = saved_word(s);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

struct slice saved_bytes(struct saved *s, uint64_t n)
{
    if (s->failed || n > s->rest.n) {
        (void)fail(s);
        return slice_of("", 0);
    }
    struct slice bytes = slice_of(s->rest.p, (size_t)n);
    s->rest = slice_of(s->rest.p + n, s->rest.n - (size_t)n);
    return bytes;
}

struct slice saved_slice(struct saved *s)
{
    uint64_t n = saved_uint(s, UINT64_MAX);
    return saved_bytes(s, n);
}

void saved_expect(struct saved *s, uint64_t v)
{
    if (saved_uint(s, UINT64_MAX) != v)
        (void)fail(s);
}

enum status saved_broken(const char *what, struct err *e)
{
    return err_set(e, ST_CORRUPT, "the saved state of %s does not hold", what);
}
