/* Hostile bytes into whatever decodes values, keys, partial results and side files. The first byte
 * picks which; what decodes must also hold together with the rest of the codec. */
#include "base/sys.h"
#include "data/aggregate.h"
#include "data/json.h"
#include "data/output.h"
#include "data/side.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fuzzers meet values that are checked and such that are not; both may be walked. */
static void fuzz_value(struct slice bytes)
{
    struct buf out = BUF_EMPTY, key = BUF_EMPTY;
    struct val_cursor c = val_cursor(bytes);
    struct scalar s;
    struct slice value;
    int order;
    bool good = val_check(bytes) == ST_OK;
    while (val_next(&c, &s) == ST_OK)
        continue;
    c = val_cursor(bytes);
    while (val_skip(&c, &value) == ST_OK)
        continue;
    (void)val_get(bytes, "a", &value);
    (void)val_get_int(bytes, "b", 0);
    enum status status = json_from_value(bytes, 2, &out, NULL);
    CHECK(!good || status == ST_OK || status == ST_SCRIPT);
    out.n = 0;
    (void)output_text_of_value(bytes, &out);
    status = value_to_key(bytes, &key, NULL);
    CHECK(!good || status == ST_OK || status == ST_SCRIPT);
    if (status == ST_OK) {
        out.n = 0;
        CHECK(key_to_value(buf_slice(&key), &out) == ST_OK);
        CHECK(val_check(buf_slice(&out)) == ST_OK);
        CHECK(value_order(bytes, buf_slice(&out), &order, NULL) == ST_OK && order == 0);
    }
    buf_free(&out);
    buf_free(&key);
}

static void fuzz_group(struct slice key, unsigned n)
{
    struct buf out = BUF_EMPTY;
    size_t length;
    if (key_group_length(key, n, &length) == ST_OK) {
        CHECK(length <= key.n);
        (void)key_prefix(key, n, &out);
    }
    out.n = 0;
    (void)key_first_element(key, &out);
    buf_free(&out);
}

/* A key that decodes is exactly the key its value has. */
static void fuzz_key(struct slice key)
{
    struct buf value = BUF_EMPTY, again = BUF_EMPTY;
    struct key_cursor c;
    struct scalar s;
    key_cursor_init(&c, key);
    while (key_next(&c, &s) == ST_OK)
        continue;
    key_cursor_free(&c);
    for (unsigned n = 0; n < 4; n++)
        fuzz_group(key, n);
    if (key_to_value(key, &value) == ST_OK) {
        CHECK(val_check(buf_slice(&value)) == ST_OK);
        CHECK(value_to_key(buf_slice(&value), &again, NULL) == ST_OK);
        CHECK(slice_equal(buf_slice(&again), key));
    }
    buf_free(&value);
    buf_free(&again);
}

static enum status put_declaration(unsigned which, struct buf *out)
{
    static const char *const names[] = {
        "sum",  "count",    "min", "mean",            "first",
        "list", "distinct", "top", "approx_distinct", "quantiles",
    };
    const char *name = names[which % (sizeof names / sizeof *names)];
    struct buf at = BUF_EMPTY;
    struct val_map m = VAL_MAP_EMPTY;
    val_map_str(&m, "agg", name);
    if (strcmp(name, "top") == 0)
        val_map_int(&m, "n", 3);
    if (strcmp(name, "approx_distinct") == 0)
        val_map_float(&m, "error", 0.2);
    if (strcmp(name, "quantiles") == 0) {
        CHECK(val_put_array(&at, 1) == ST_OK && val_put_float(&at, 0.5) == ST_OK);
        val_map_value(&m, "at", buf_slice(&at));
    }
    buf_free(&at);
    return val_map_end(&m, out);
}

/* Adds the bytes as a value (when they are one), merges them as a partial, and what follows from
 * that. */
static void fuzz_aggregate(unsigned which, struct slice bytes)
{
    struct buf declaration = BUF_EMPTY, out = BUF_EMPTY;
    struct agg *agg = NULL;
    CHECK(put_declaration(which, &declaration) == ST_OK);
    CHECK(agg_parse(buf_slice(&declaration), &agg, NULL) == ST_OK);
    void *state = sys_malloc(agg_state_size(agg));
    CHECK(state);
    agg_init(agg, state);
    if (val_check(bytes) == ST_OK)
        (void)agg_add(agg, state, bytes, NULL);
    for (int i = 0; i < 3; i++)
        if (agg_merge(agg, state, bytes, NULL) == ST_OK) {
            out.n = 0;
            CHECK(agg_partial(agg, state, &out) == ST_OK);
            CHECK(agg_merge(agg, state, buf_slice(&out), NULL) != ST_MEMORY);
            out.n = 0;
            CHECK(agg_finish(agg, state, &out, NULL) == ST_OK);
            CHECK(val_check(buf_slice(&out)) == ST_OK);
            (void)agg_weight(agg, state);
        }
    agg_drop(agg, state);
    sys_free(state);
    agg_free(agg);
    buf_free(&declaration);
    buf_free(&out);
}

static void use_side(const struct side *side)
{
    struct slice key, value, found;
    for (uint64_t i = 0; i < side_count(side); i++) {
        side_pair(side, i, &key, &value);
        CHECK(side_lookup(side, key, &found) && slice_equal(found, value));
        CHECK(val_check(value) == ST_OK);
    }
}

/* The checksum is mended, so that what lies behind it is reached. */
static void fuzz_side(struct slice bytes)
{
    enum { CHECKSUM_AT = 24, HEADER = 64 };
    char path[64];
    struct buf file = BUF_EMPTY;
    struct side *side = NULL;
    int fd = memfd_create("side", 0);
    CHECK(fd >= 0 && buf_append_slice(&file, bytes) == ST_OK);
    if (file.n >= HEADER) {
        uint64_t checksum = XXH3_64bits(file.p + HEADER, file.n - HEADER);
        memcpy(file.p, "lmrSID1\n", 8);
        memcpy(file.p + CHECKSUM_AT, &checksum, sizeof checksum);
    }
    CHECK(sys_write(fd, file.p, file.n, "memory", "fuzz", NULL) == ST_OK);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (side_open(path, &side, NULL) == ST_OK)
        use_side(side);
    side_close(side);
    (void)close(fd);
    buf_free(&file);
}

static void fuzz_descriptions(struct slice bytes)
{
    struct output_spec spec;
    struct agg *agg = NULL;
    struct buf out = BUF_EMPTY;
    struct err e;
    if (output_spec_parse(bytes, &spec, &e) == ST_OK)
        output_spec_free(&spec);
    if (agg_parse(bytes, &agg, &e) == ST_OK)
        agg_free(agg);
    if (json_to_value(bytes, &out, &e) == ST_OK)
        CHECK(val_check(buf_slice(&out)) == ST_OK);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    unsigned which = data[0];
    if (which < 64)
        fuzz_value(bytes);
    else if (which < 128)
        fuzz_key(bytes);
    else if (which < 192)
        fuzz_aggregate(which, bytes);
    else if (which < 224)
        fuzz_side(bytes);
    else
        fuzz_descriptions(bytes);
    return 0;
}
