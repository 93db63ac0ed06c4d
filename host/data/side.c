/* Reading a side file: mapped, checked once, then looked up without a check. */
#include "data/side.h"

#include "base/sys.h"
#include "side_format.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct side {
    void *map;
    size_t size;
    uint64_t count;
    const uint8_t *pairs, *pairs_end;
    const uint64_t *order;
    const struct side_hash *hashes;
};

/* Cuts the pair at `p`; false when it does not lie before `end`. */
static bool cut_pair(const uint8_t *p, const uint8_t *end, struct slice *key, struct slice *value)
{
    uint64_t key_n = 0, value_n = 0;
    size_t n = p < end ? varint_get(p, end, &key_n) : 0;
    if (n == 0)
        return false;
    p += n;
    n = p < end ? varint_get(p, end, &value_n) : 0;
    if (n == 0)
        return false;
    p += n;
    if (key_n > (uint64_t)(end - p) || value_n > (uint64_t)(end - p) - key_n)
        return false;
    *key = slice_of(p, (size_t)key_n);
    *value = slice_of(p + key_n, (size_t)value_n);
    return true;
}

static bool key_decodes(struct slice key)
{
    struct key_cursor c;
    struct scalar s;
    enum status status;
    key_cursor_init(&c, key);
    while ((status = key_next(&c, &s)) == ST_OK)
        continue;
    key_cursor_free(&c);
    return status == ST_END;
}

/* Pairs decode, stand one after the other, in key order, each key once. */
static bool check_pairs(const struct side *s)
{
    struct slice key, value, last = slice_of(NULL, 0);
    const uint8_t *at = s->pairs;
    for (uint64_t i = 0; i < s->count; i++) {
        if (s->order[i] != (uint64_t)(at - s->pairs) || !cut_pair(at, s->pairs_end, &key, &value))
            return false;
        if (!key_decodes(key) || val_check(value) != ST_OK ||
            (i > 0 && slice_compare(last, key) >= 0))
            return false;
        last = key;
        at = value.p + value.n;
    }
    return at == s->pairs_end;
}

static bool check_hashes(const struct side *s)
{
    struct slice key, value;
    for (uint64_t i = 0; i < s->count; i++) {
        const struct side_hash *h = &s->hashes[i];
        if (h->number >= s->count || (i > 0 && h[-1].hash > h->hash))
            return false;
        side_pair(s, h->number, &key, &value);
        if (XXH3_64bits(key.p, key.n) != h->hash)
            return false;
    }
    return true;
}

/* Sets the pointers into the map; the sizes named in the header must be the file's. */
static const char *check_frame(struct side *s)
{
    const struct side_header *h = s->map;
    if (!h || s->size < sizeof *h || memcmp(h->magic, SIDE_MAGIC, sizeof h->magic) != 0)
        return "it is no side file of lmr";
    for (size_t i = 0; i < sizeof h->reserved / sizeof *h->reserved; i++)
        if (h->reserved[i] != 0)
            return "its header does not hold";
    uint64_t body = s->size - sizeof *h;
    uint64_t each = sizeof *s->order + sizeof *s->hashes;
    if (h->pair_bytes > body || h->count > (body - h->pair_bytes) / each)
        return "it is cut";
    uint64_t padded = (h->pair_bytes + 7) / 8 * 8;
    if (padded + h->count * each != body)
        return "it is cut";
    s->count = h->count;
    s->pairs = (const uint8_t *)(h + 1);
    s->pairs_end = s->pairs + h->pair_bytes;
    s->order = (const uint64_t *)(const void *)(s->pairs + padded);
    s->hashes = (const struct side_hash *)(const void *)(s->order + h->count);
    if (XXH3_64bits(s->pairs, (size_t)body) != h->checksum)
        return "its checksum does not hold";
    return check_pairs(s) && check_hashes(s) ? NULL : "its index does not hold";
}

static enum status map_file(int fd, const char *path, struct side *s, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(e, errno, "read", path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        (void)err_set(e, ST_CORRUPT, "side file %s is broken: it is empty", path);
        err_at(e, path, -1, -1);
        return ST_CORRUPT;
    }
    s->size = (size_t)st.st_size;
    s->map = mmap(NULL, s->size, PROT_READ, MAP_SHARED, fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_sys(e, errno, "map", path);
    }
    return ST_OK;
}

static enum status map_and_check(const char *path, struct side *s, struct err *e)
{
    int fd;
    enum status status = sys_open_read(path, &fd, e);
    if (status != ST_OK)
        return status;
    status = map_file(fd, path, s, e);
    (void)close(fd);
    if (status != ST_OK)
        return status;
    const char *broken = check_frame(s);
    if (!broken)
        return ST_OK;
    (void)err_set(e, ST_CORRUPT, "side file %s is broken: %s", path, broken);
    err_at(e, path, -1, -1);
    return ST_CORRUPT;
}

enum status side_open(const char *index_path, struct side **out, struct err *e)
{
    struct side *s = sys_calloc(1, sizeof *s);
    if (!s)
        return err_memory(e, "a side file", sizeof *s);
    enum status status = map_and_check(index_path, s, e);
    if (status != ST_OK) {
        side_close(s);
        return status;
    }
    *out = s;
    return ST_OK;
}

void side_close(struct side *s)
{
    if (!s)
        return;
    if (s->map)
        (void)munmap(s->map, s->size);
    sys_free(s);
}

uint64_t side_count(const struct side *s)
{
    return s->count;
}

void side_pair(const struct side *s, uint64_t i, struct slice *key, struct slice *value)
{
    CHECK(i < s->count);
    CHECK(cut_pair(s->pairs + s->order[i], s->pairs_end, key, value));
}

/* The first entry whose hash is not below `hash`. */
static uint64_t first_hash(const struct side *s, uint64_t hash)
{
    uint64_t low = 0, high = s->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (s->hashes[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool side_lookup(const struct side *s, struct slice key, struct slice *value)
{
    uint64_t hash = XXH3_64bits(key.p, key.n);
    for (uint64_t at = first_hash(s, hash); at < s->count && s->hashes[at].hash == hash; at++) {
        struct slice found;
        side_pair(s, s->hashes[at].number, &found, value);
        if (slice_equal(found, key))
            return true;
    }
    return false;
}
