/* Record readers on any bytes: whatever a file holds, a reader gives slices that can be read,
 * offsets that rise, and ends; and a file that can be cut gives the same records in two parts as in
 * one.
 *
 * The first bytes choose the format, whether the file is compressed and how, and where it is
 * cut. */
#include "base/sys.h"
#include "data/input.h"
#include "data/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 4, RECORDS_MAX = 200000 };

static const struct input_spec specs[] = {
    { .format = IN_TEXT, .max_record = 40 },
    { .format = IN_TEXT, .max_record = MAX_RECORD_DEFAULT },
    { .format = IN_JSONL, .max_record = 4000 },
    { .format = IN_CSV, .separator = ',', .quote = '"', .header = true, .max_record = 200 },
    { .format = IN_CSV, .separator = ';', .quote = '\'', .max_record = 60 },
    { .format = IN_CSV, .separator = ',', .quote = '"', .multiline = true, .max_record = 30 },
    { .format = IN_TSV,
      .separator = '\t',
      .quote = '"',
      .header = true,
      .multiline = true,
      .max_record = 500 },
    { .format = IN_TSV, .separator = '\t', .max_record = 500 },
    { .format = IN_WHOLE, .max_record = 1000 },
    { .format = IN_FIXED, .record_size = 7, .max_record = 100 },
    { .format = IN_PAIRS, .max_record = 100 },
};

static const char *const endings[] = { "", "", "", ".gz", ".zst", ".lz4", ".bz2", ".xz" };

/* A number that says what was read: of every byte of every record, in order, but not of how it was
 * cut. */
struct digest {
    uint64_t sum, records;
};

static void add(struct digest *d, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        d->sum = (d->sum ^ s.p[i]) * UINT64_C(0x100000001b3);
    d->sum = (d->sum ^ s.n) * UINT64_C(0x100000001b3);
}

static void add_record(struct digest *d, const struct record *rec, enum status status)
{
    add(d, slice_of(&rec->offset, sizeof rec->offset));
    add(d, rec->raw);
    add(d, slice_of(&status, sizeof status));
    d->records++;
    if (status != ST_OK)
        return;
    add(d, rec->value);
    if (rec->has_key)
        add(d, rec->key);
    if (!rec->is_raw)
        CHECK(val_check(rec->value) == ST_OK);
}

static enum status read_part(const struct split_part *part, const struct input_spec *spec,
                             struct digest *d)
{
    struct reader *r = NULL;
    struct record rec;
    struct err e;
    err_clear(&e);
    enum status status = reader_open(part, spec, &r, &e);
    if (status != ST_OK) {
        CHECK(status == ST_CORRUPT && *e.message);
        return status;
    }
    int64_t last = -1;
    do {
        status = reader_next(r, &rec, &e);
        if (status == ST_OK || status == ST_BAD_RECORD) {
            CHECK((int64_t)rec.offset > last);
            last = (int64_t)rec.offset;
            add_record(d, &rec, status);
        }
        CHECK(reader_position(r) <= part->size);
    } while ((status == ST_OK || status == ST_BAD_RECORD) && d->records < RECORDS_MAX);
    if (status != ST_END && status != ST_OK && status != ST_BAD_RECORD)
        CHECK(status == ST_CORRUPT && *e.message && *e.file);
    reader_close(r);
    return status;
}

static bool is_cuttable(const struct input_spec *spec)
{
    return spec->format != IN_WHOLE && spec->format != IN_PAIRS && !spec->multiline;
}

static void check_cut(struct split_part part, const struct input_spec *spec, uint64_t at,
                      enum status status, const struct digest *whole)
{
    struct digest cut = { 0, 0 };
    uint64_t to = part.to;
    part.to = at;
    enum status first = read_part(&part, spec, &cut);
    part.from = at;
    part.to = to;
    enum status second = read_part(&part, spec, &cut);
    CHECK(first == status && second == status);
    CHECK(cut.records == whole->records && cut.sum == whole->sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD)
        return 0;
    const struct input_spec *spec = &specs[data[0] % (sizeof specs / sizeof *specs)];
    const char *ending = endings[data[1] % (sizeof endings / sizeof *endings)];
    uint64_t cut = data[2] + 256u * data[3];
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/lmr-fuzz-reader-%ld%s", (long)getpid(), ending);
    CHECK(sys_write_file(path, slice_of(data + HEAD, size - HEAD), false, "fuzz", NULL) == ST_OK);
    struct split_part part = { .path = path, .to = size - HEAD, .size = size - HEAD };
    struct digest whole = { 0, 0 };
    enum status status = read_part(&part, spec, &whole);
    if (!*ending && is_cuttable(spec) && whole.records < RECORDS_MAX)
        check_cut(part, spec, size - HEAD > 0 ? cut % (size - HEAD + 1) : 0, status, &whole);
    (void)sys_unlink(path, NULL);
    return 0;
}
