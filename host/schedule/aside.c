/* aside.c: records and groups put aside: what attempts are told about them, what they bring, and how
 * many there may be (limits.max_quarantined). */
#include "schedule/driver.h"

#include "base/sys.h"

#include <inttypes.h>
#include <stdio.h>

/* --- how many there may be --- */

static bool is_share(const struct driver *d)
{
    return d->job.max_quarantined_share >= 0;
}

bool aside_may(const struct driver *d)
{
    if (is_share(d))
        return d->job.max_quarantined_share > 0;
    return d->quarantined < d->job.max_quarantined;
}

bool aside_may_skip(const struct driver *d, const struct work *w)
{
    return aside_may(d) && (is_share(d) || d->quarantined + w->skip_count < d->job.max_quarantined);
}

/* Records of the whole job, judged by the bytes that committed maps have read. */
static double expected_records(const struct driver *d)
{
    const struct job_snapshot *t = &d->totals;
    double records = (double)t->records_in, bytes = (double)t->bytes_in;
    if (d->phase != JOB_MAP || d->step > 0 || d->round > 1 || bytes <= 0)
        return records;
    double whole = (double)d->plan.input_bytes;
    return whole > bytes ? records * whole / bytes : records;
}

/* " (the first: TYPE: MESSAGE at FILE, byte N, record N)" from what an attempt said of it. */
static const char *example_text(struct slice quarantine, char *out, size_t cap)
{
    char place[FAILED_PLACE_MAX];
    struct slice example;
    struct err e;
    out[0] = '\0';
    if (!val_get(quarantine, "example", &example))
        return out;
    wire_get_err(example, &e);
    (void)snprintf(out, cap, "%s: %s%s", e.type, e.message, failed_place(&e, place));
    return out;
}

static void too_many(struct driver *d, const char *what)
{
    struct err e;
    if (d->journal)
        journal_job_number(d->journal, "too_many_aside", 1);
    (void)err_set(&e, ST_BAD_RECORD,
                  "too many bad records: %s; see them with lmr quarantine %s; after a mend of the job lmr "
                  "resume tries them again, after one of its input run it again; the newest: %s",
                  what, d->place.job_id,
                  d->aside_example.n > 0 ? (const char *)d->aside_example.p : "not known");
    driver_fail(d, &e, EXIT_FAILED);
}

void aside_judge(struct driver *d)
{
    char text[160];
    uint64_t most = d->job.max_quarantined;
    if (is_share(d) &&
        (double)d->quarantined > d->job.max_quarantined_share * expected_records(d))
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " are put aside, more than limits.max_quarantined = %g%%",
                       d->quarantined, 100 * d->job.max_quarantined_share);
    else if (!is_share(d) && d->quarantined > most)
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " are put aside, more than limits.max_quarantined = %" PRIu64,
                       d->quarantined, most);
    else
        return;
    too_many(d, text);
}

/* Whatever the limit: what fails on most of its input is no job with a few bad records. */
void aside_judge_round(struct driver *d)
{
    char text[96];
    if (d->ending || 2 * d->round_quarantined <= d->round_units)
        return;
    (void)snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " %s failed", d->round_quarantined,
                   d->round_units, d->phase == JOB_MAP ? "records" : "groups");
    too_many(d, text);
}

/* --- to an attempt --- */

static void put_type(const struct driver *d, const char *type, struct val_map *types)
{
    bool asks = false;
    enum verdict_action action = verdict_in_attempt(&d->job.rules, type, aside_may(d), &asks);
    if (asks)
        val_map_str(types, type, "ask");
    else if (action == VERDICT_QUARANTINE)
        val_map_str(types, type, "quarantine");
}

/* Types that a living attempt can tell of a record: those of the user's code. */
static enum status put_types(const struct driver *d, struct buf *out)
{
    struct val_map types = VAL_MAP_EMPTY;
    put_type(d, status_type(ST_SCRIPT), &types);
    put_type(d, status_type(ST_BAD_RECORD), &types);
    for (uint32_t i = 0; i < d->job.rules.count; i++)
        if (status_from_type(d->job.rules.chains[i].type) == ST_DECLARED)
            put_type(d, d->job.rules.chains[i].type, &types);
    return val_map_end(&types, out);
}

static int64_t most(const struct driver *d)
{
    if (is_share(d))
        return -1;
    return d->quarantined < d->job.max_quarantined
               ? (int64_t)(d->job.max_quarantined - d->quarantined)
               : 0;
}

static enum status quarantine_path(const struct driver *d, const struct work *w,
                                   struct attempt_id id, struct buf *out)
{
    return attempt_path(d, w, id, d->place.quarantine_dir, ".jsonl", out);
}

enum status aside_put_skip(const struct work *w, struct val_map *assignment)
{
    struct buf list = BUF_EMPTY;
    if (w->skip_count == 0)
        return ST_OK;
    enum status st = val_put_array(&list, w->skip_count);
    if (st == ST_OK)
        st = buf_append_slice(&list, buf_slice(&w->skip));
    if (st == ST_OK)
        val_map_value(assignment, "skip", buf_slice(&list));
    buf_free(&list);
    return st;
}

enum status aside_put(const struct driver *d, const struct work *w, struct attempt_id id,
                      struct val_map *assignment, struct err *e)
{
    struct buf scratch = BUF_EMPTY;
    enum status st = put_types(d, &scratch);
    if (st == ST_OK) {
        val_map_value(assignment, "put_aside", buf_slice(&scratch));
        val_map_int(assignment, "put_aside_max", most(d));
        st = quarantine_path(d, w, id, &scratch);
    }
    if (st == ST_OK) {
        val_map_string(assignment, "quarantine", buf_slice(&scratch));
        st = aside_put_skip(w, assignment);
    }
    buf_free(&scratch);
    return st == ST_OK ? st : err_memory(e, "an assignment", scratch.n);
}

/* --- the list of what killed attempts --- */

/* The record of the element that starts at `element`. */
static int64_t record_of(struct slice element)
{
    return val_get_int(element, "record", -1);
}

/* Where among the elements, in bytes, a record's own goes: they ascend. */
static size_t place_in(const struct work *w, int64_t record)
{
    struct val_cursor c = val_cursor(buf_slice(&w->skip));
    struct slice element;
    size_t at = 0;
    for (uint32_t i = 0; i < w->skip_count && val_skip(&c, &element) == ST_OK; i++) {
        if (record_of(element) > record)
            break;
        at += element.n;
    }
    return at;
}

static enum status put_element(const struct err *e, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf error = BUF_EMPTY;
    enum status st = wire_put_err(e, &error);
    val_map_int(&m, "record", e->record);
    if (st == ST_OK)
        val_map_value(&m, "error", buf_slice(&error));
    enum status ended = val_map_end(&m, out);
    buf_free(&error);
    return st == ST_OK ? ended : st;
}

enum status aside_skip(struct work *w, struct err *e)
{
    struct buf element = BUF_EMPTY;
    const struct err *failure = &w->failure->err;
    enum status st = put_element(failure, &element);
    size_t at = place_in(w, failure->record), tail = w->skip.n - at;
    if (st == ST_OK)
        st = buf_reserve(&w->skip, element.n);
    if (st == ST_OK) {
        memmove(w->skip.p + at + element.n, w->skip.p + at, tail);
        memcpy(w->skip.p + at, element.p, element.n);
        w->skip.n += element.n;
        w->skip_count++;
    }
    buf_free(&element);
    return st == ST_OK ? st : err_memory(e, "the list of bad records", w->skip.n);
}

/* --- from an attempt --- */

int64_t aside_of(struct slice result)
{
    struct slice quarantine;
    return val_get(result, "quarantine", &quarantine) ? val_get_int(quarantine, "records", 0) : 0;
}

static void keep_example(struct driver *d, struct slice quarantine)
{
    char example[ERR_MESSAGE_MAX + FAILED_PLACE_MAX];
    (void)example_text(quarantine, example, sizeof example);
    d->aside_example.n = 0;
    if (buf_append_str(&d->aside_example, example) != ST_OK ||
        buf_terminate(&d->aside_example) != ST_OK)
        buf_free(&d->aside_example);
}

void aside_count_round(struct driver *d, const struct work *w, int sign)
{
    struct slice result = buf_slice(&w->result);
    int64_t units = val_get_int(result, w->kind == WORK_MAP ? "records_in" : "groups", 0);
    d->round_units += (uint64_t)(sign * units);
    d->round_quarantined += (uint64_t)(sign * aside_of(result));
}

void aside_count(struct driver *d, const struct work *w, int sign)
{
    struct slice quarantine;
    int64_t count = aside_of(buf_slice(&w->result));
    aside_count_round(d, w, sign);
    if (!val_get(buf_slice(&w->result), "quarantine", &quarantine))
        return;
    d->quarantined += (uint64_t)(sign * count);
    statistics_quarantined(&d->statistics, w->kind == WORK_REDUCE, sign * count);
    d->statistics_changed = true;
    if (sign > 0)
        keep_example(d, quarantine);
}

void aside_tell(struct driver *d, const struct work *w)
{
    char name[TASK_NAME_MAX];
    struct slice quarantine;
    const char *unit = w->kind == WORK_REDUCE ? "group" : "record";
    int64_t count = aside_of(buf_slice(&w->result));
    if (!val_get(buf_slice(&w->result), "quarantine", &quarantine))
        return;
    report_warning(d, "%s put aside %lld %s%s; the first: %s", task_name(d, w, name),
                   (long long)count, unit, count == 1 ? "" : "s",
                   d->aside_example.n > 0 ? (const char *)d->aside_example.p : "not known");
    aside_judge(d);
}

void aside_journal(struct driver *d, const struct work *w, const struct journal_place *place)
{
    struct slice quarantine;
    struct buf path = BUF_EMPTY;
    char checksum[24] = "";
    if (!val_get(buf_slice(&w->result), "quarantine", &quarantine) ||
        quarantine_path(d, w, w->winner, &path) != ST_OK)
        return;
    (void)val_get_cstr(quarantine, "checksum", checksum, sizeof checksum);
    struct journal_file row = {
        .place = *place,
        .kind = "quarantine",
        .path = (const char *)path.p,
        .name = "",
        .records = (uint64_t)val_get_int(quarantine, "records", 0),
        .bytes = (uint64_t)val_get_int(quarantine, "bytes", 0),
        .checksum = checksum,
    };
    journal_file(d->journal, &row);
    buf_free(&path);
}

enum status aside_keep(struct driver *d, const struct work *w)
{
    char name[TASK_NAME_MAX];
    struct slice quarantine;
    struct buf path = BUF_EMPTY;
    if (!val_get(buf_slice(&w->result), "quarantine", &quarantine))
        return ST_OK;
    enum status st = quarantine_path(d, w, w->winner, &path);
    if (st == ST_OK)
        st = kept_add(&d->asides, (const char *)path.p, slice_str(task_name(d, w, name)),
                      quarantine);
    buf_free(&path);
    return st;
}

enum status aside_list(const struct driver *d, struct buf *out)
{
    if (d->asides.count == 0)
        return ST_OK;
    enum status st = val_put_array(out, d->asides.count);
    for (size_t i = 0; i < d->asides.count && st == ST_OK; i++) {
        const struct kept_file *f = &d->asides.files[i];
        struct val_map m = VAL_MAP_EMPTY;
        val_map_str(&m, "task", (const char *)f->name.p);
        val_map_str(&m, "path", (const char *)f->path.p);
        val_map_int(&m, "records", (int64_t)f->records);
        st = val_map_end(&m, out);
    }
    return st;
}
