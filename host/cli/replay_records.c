/* replay_records.c: see replay.h: which records hold when they are tried again. */
#include "base/sys.h"
#include "cli/replay.h"
#include "data/json.h"
#include "schedule/wire.h"

#include <stdio.h>

enum { QUARANTINE_FILE_MAX = 1 << 30 };

struct tries {
    struct replay_box *box;
    struct slice stored;
    const char *job_file;
    struct replay_record *records;
    size_t count;
    struct arena *arena;
    int64_t *only; /* scratch: numbers of the untried; `count` of them fit */
};

/* --- quarantine files --- */

enum status replay_entries(const char *path, struct buf *entries, uint64_t *count, struct err *e)
{
    struct buf text = BUF_EMPTY;
    *count = 0;
    enum status st = sys_read_file(path, QUARANTINE_FILE_MAX, &text, e);
    const uint8_t *p = text.p, *end = p + text.n;
    while (st == ST_OK && p < end) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        struct slice line = slice_of(p, (size_t)((stop ? stop : end) - p));
        size_t start = entries->n;
        st = json_to_value(line, entries, e);
        if (st == ST_BAD_RECORD) {
            entries->n = start;
            st = ST_OK;
        } else if (st == ST_OK) {
            (*count)++;
        }
        p += line.n + 1;
    }
    buf_free(&text);
    return st;
}

/* --- outcomes --- */

static struct replay_record *find(const struct tries *t, int64_t record)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->records[middle].record < record)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && t->records[low].record == record ? &t->records[low] : NULL;
}

static enum status fail(const struct tries *t, struct replay_record *r, const struct err *failure,
                        struct err *e)
{
    struct buf bytes = BUF_EMPTY;
    enum status st = wire_put_err(failure, &bytes);
    const char *kept = st == ST_OK ? arena_strndup(t->arena, (const char *)bytes.p, bytes.n) : NULL;
    r->outcome = REPLAY_FAILS;
    r->error = slice_of(kept, kept ? bytes.n : 0);
    buf_free(&bytes);
    return kept ? ST_OK : err_memory(e, "an error", sizeof *failure);
}

/* What the attempt put aside has failed. */
static enum status take_aside(const struct tries *t, struct err *e)
{
    char path[REPLAY_PATH_MAX];
    struct buf entries = BUF_EMPTY;
    struct val_cursor c;
    struct slice entry;
    struct err failure;
    uint64_t count;
    (void)snprintf(path, sizeof path, "%s/aside", replay_dir(t->box));
    enum status st = replay_entries(path, &entries, &count, e);
    c = val_cursor(buf_slice(&entries));
    for (; count > 0 && st == ST_OK && val_skip(&c, &entry) == ST_OK; count--) {
        struct replay_record *r = find(t, val_get_int(entry, "record", -1));
        if (!r)
            continue;
        wire_get_err(entry, &failure);
        failure.status = status_from_type(failure.type);
        st = fail(t, r, &failure, e);
    }
    buf_free(&entries);
    return st;
}

/* The attempt came to its end: who is not told of as failed holds, if there is such a record. */
static enum status take_result(const struct tries *t, struct slice result, struct err *e)
{
    struct slice aside;
    bool is_reduce = val_get(result, "groups", &aside);
    int64_t read = val_get_int(result, is_reduce ? "groups" : "records_in", 0);
    enum status st = val_get(result, "quarantine", &aside) ? take_aside(t, e) : ST_OK;
    for (size_t i = 0; i < t->count && st == ST_OK; i++) {
        struct replay_record *r = &t->records[i];
        if (r->outcome == REPLAY_UNTRIED)
            r->outcome = r->record < read ? REPLAY_HOLDS : REPLAY_MISSING;
    }
    return st;
}

/* The attempt died or failed: of one of the records, which is left out from now on; else of something
 * that none of them gets past. */
static enum status take_failure(const struct tries *t, const struct err *failure, struct err *e)
{
    struct replay_record *r = failure->record >= 0 ? find(t, failure->record) : NULL;
    if (r && r->outcome == REPLAY_UNTRIED)
        return fail(t, r, failure, e);
    enum status st = ST_OK;
    for (size_t i = 0; i < t->count && st == ST_OK; i++)
        if (t->records[i].outcome == REPLAY_UNTRIED)
            st = fail(t, &t->records[i], failure, e);
    return st;
}

static size_t list_untried(const struct tries *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->records[i].outcome == REPLAY_UNTRIED)
            t->only[n++] = t->records[i].record;
    return n;
}

static enum status try_once(const struct tries *t, size_t count, struct replay_end *end,
                            struct err *e)
{
    struct buf assignment = BUF_EMPTY;
    struct replay_change change = { .dir = replay_dir(t->box), .job = t->job_file,
                                    .only = t->only, .only_count = count, .puts_aside = true };
    enum status st = replay_assignment(t->stored, &change, &assignment, e);
    if (st == ST_OK)
        st = replay_run(t->box, buf_slice(&assignment), end, e);
    buf_free(&assignment);
    if (st != ST_OK || end->stopped)
        return st;
    return end->err.status == ST_OK ? take_result(t, buf_slice(&end->result), e)
                                    : take_failure(t, &end->err, e);
}

enum status replay_records(struct replay_box *box, struct slice stored, const char *job_file,
                           struct replay_record *records, size_t count, struct arena *arena,
                           struct replay_end *end, struct err *e)
{
    struct tries t = { box, stored, job_file, records, count, arena,
                       sys_malloc((count + 1) * sizeof *t.only) };
    size_t left;
    if (!t.only)
        return err_memory(e, "a list of records", count * sizeof *t.only);
    enum status st = ST_OK;
    end->stopped = 0;
    while (st == ST_OK && end->stopped == 0 && (left = list_untried(&t)) > 0)
        st = try_once(&t, left, end, e);
    sys_free(t.only);
    return st;
}
