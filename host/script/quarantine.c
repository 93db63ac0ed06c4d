/* quarantine.c: see quarantine.h. */
#include "script/quarantine.h"

#include "base/sys.h"
#include "data/json.h"
#include "script/attempt.h"
#include "script/failure.h"
#include "script/task.h"

#include <stdio.h>
#include <stdlib.h>

struct type_count {
    char type[ERR_TYPE_MAX];
    uint64_t n;
};

/* --- the assignment --- */

static void next_skip(struct quarantine *q)
{
    q->skip_at = UINT64_MAX;
    if (q->skips_left == 0 || val_skip(&q->skips, &q->skip) != ST_OK)
        return;
    q->skips_left--;
    int64_t record = val_get_int(q->skip, "record", -1);
    q->skip_at = record >= 0 ? (uint64_t)record : UINT64_MAX;
}

static uint64_t next_only(struct quarantine *q)
{
    struct slice element;
    int64_t record;
    if (q->skips_left == 0 || val_skip(&q->skips, &element) != ST_OK)
        return UINT64_MAX;
    q->skips_left--;
    return val_as_int(element, &record) && record >= 0 ? (uint64_t)record : UINT64_MAX;
}

/* skip_at becomes the first number from `from` on that is not in `only`. */
static void pass_from(struct quarantine *q, uint64_t from)
{
    while (q->only_at == from) {
        q->only_at = next_only(q);
        from++;
    }
    q->skip_at = from;
}

bool quarantine_pass(struct quarantine *q)
{
    if (!q->is_only) {
        q->skipped++;
        next_skip(q);
        return true;
    }
    if (q->only_at == UINT64_MAX)
        return false;
    pass_from(q, q->skip_at + 1);
    return true;
}

static void open_only(struct quarantine *q, struct slice list)
{
    q->is_only = true;
    q->skips_left = val_array(list, &q->skips);
    q->only_at = next_only(q);
    pass_from(q, 0);
}

enum status quarantine_open(struct quarantine *q, struct task *t, struct err *e)
{
    struct slice path, list;
    *q = (struct quarantine){ .task = t, .max = val_get_int(t->assignment, "put_aside_max", -1), .skip_at = UINT64_MAX };
    if (val_get(t->assignment, "only", &list))
        open_only(q, list);
    if (!val_get_string(t->assignment, "quarantine", &path))
        return ST_OK;
    q->path = arena_strndup(&t->arena, (const char *)path.p, path.n);
    if (!q->path)
        return err_memory(e, "the name of a quarantine file", path.n);
    (void)val_get(t->assignment, "put_aside", &q->types);
    t->undo.active = val_is_map(q->types);
    if (!q->is_only && val_get(t->assignment, "skip", &list)) {
        q->skips_left = val_array(list, &q->skips);
        next_skip(q);
    }
    return ST_OK;
}

/* --- an entry as a line --- */

/* A line being written; the first failure is kept. */
struct line {
    struct buf *out;
    enum status status;
    bool is_open; /* a field stands before */
};

static void put(struct line *l, enum status st)
{
    if (l->status == ST_OK)
        l->status = st;
}

/* Names are plain text. */
static void put_name(struct line *l, const char *name)
{
    put(l, buf_append_str(l->out, l->is_open ? ",\"" : "\""));
    put(l, buf_append_str(l->out, name));
    put(l, buf_append_str(l->out, "\":"));
    l->is_open = true;
}

static void put_string(struct line *l, const char *name, struct slice s)
{
    put_name(l, name);
    put(l, json_put_string(l->out, s));
}

static void put_text(struct line *l, const char *name, const char *text)
{
    if (text && *text)
        put_string(l, name, slice_str(text));
}

static void put_number(struct line *l, const char *name, int64_t v)
{
    char text[NUMBER_TEXT_MAX];
    if (v < 0)
        return;
    put_name(l, name);
    put(l, buf_append(l->out, text, int_format(v, text)));
}

/* One detail; what reads as a number is one. */
static void put_detail(struct line *l, struct slice name, struct slice value)
{
    char text[ERR_DETAILS_MAX];
    char *end;
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    double number = strtod(text, &end);
    bool is_number = *text && *end == '\0' && number - number == 0;
    put(l, buf_append_str(l->out, l->is_open ? "," : ""));
    put(l, json_put_string(l->out, name));
    put(l, buf_append_byte(l->out, ':'));
    l->is_open = true;
    if (!is_number) {
        put(l, json_put_string(l->out, value));
        return;
    }
    char digits[NUMBER_TEXT_MAX];
    long long whole = strtoll(text, &end, 10);
    bool is_whole = *end == '\0' && value.n < 19;
    put(l, buf_append(l->out, digits, is_whole ? int_format(whole, digits) : float_format(number, digits)));
}

/* Details are lines "NAME\tVALUE\n". */
static void put_details(struct line *l, const char *details)
{
    if (!*details)
        return;
    put_name(l, "details");
    put(l, buf_append_byte(l->out, '{'));
    l->is_open = false;
    for (const char *p = details, *tab, *end; (tab = strchr(p, '\t')) && (end = strchr(tab, '\n')); p = end + 1)
        put_detail(l, slice_of(p, (size_t)(tab - p)), slice_of(tab + 1, (size_t)(end - tab - 1)));
    put(l, buf_append_byte(l->out, '}'));
    l->is_open = true;
}

static enum status base64(struct slice s, struct buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    enum status st = buf_reserve(out, s.n / 3 * 4 + 4);
    for (size_t i = 0; st == ST_OK && i < s.n; i += 3) {
        size_t n = s.n - i < 3 ? s.n - i : 3;
        uint32_t word = (uint32_t)s.p[i] << 16 | (n > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) | (n > 2 ? s.p[i + 2] : 0);
        char four[4] = { digits[word >> 18], digits[word >> 12 & 63], n > 1 ? digits[word >> 6 & 63] : '=',
                         n > 2 ? digits[word & 63] : '=' };
        st = buf_append(out, four, sizeof four);
    }
    return st;
}

/* A character that the cut would split is left out, so that text stays text. */
static void put_bytes(struct line *l, struct slice bytes)
{
    if (!bytes.p)
        return;
    bool cut = bytes.n > QUARANTINE_BYTES_MAX;
    struct slice kept = slice_of(bytes.p, cut ? QUARANTINE_BYTES_MAX : bytes.n);
    size_t text = json_text_length(kept);
    if (text == kept.n || (cut && kept.n - text < 4 && kept.p[text] >= 0xC0)) {
        put_string(l, "bytes", slice_of(kept.p, text));
    } else {
        put_name(l, "bytes_base64");
        put(l, buf_append_byte(l->out, '"'));
        put(l, base64(kept, l->out));
        put(l, buf_append_byte(l->out, '"'));
    }
    put_number(l, "bytes_total", (int64_t)bytes.n);
    if (cut) {
        put_name(l, "truncated");
        put(l, buf_append_str(l->out, "true"));
    }
}

static void put_key(struct line *l, struct slice key)
{
    if (key.p)
        put_string(l, "key", slice_of(key.p, key.n < QUARANTINE_BYTES_MAX ? key.n : QUARANTINE_BYTES_MAX));
}

/* q->line: the entry's line after a byte that makes it an encoded key, for raw output writes a key that stands alone as it is. */
static enum status build_line(struct quarantine *q, const struct culprit *c, const struct err *e, struct err *failure)
{
    struct line l = { &q->line, ST_OK, false };
    q->line.n = 0;
    put(&l, buf_append_byte(l.out, KEY_STRING));
    put(&l, buf_append_byte(l.out, '{'));
    put_text(&l, "task", q->task->id);
    put_number(&l, "attempt", q->task->attempt);
    put_text(&l, "unit", c->unit);
    put_text(&l, "file", c->file);
    put_number(&l, "offset", c->offset);
    put_number(&l, "record", c->record);
    put_key(&l, c->key);
    put_text(&l, "type", e->type);
    put_text(&l, "message", e->message);
    put_text(&l, "traceback", e->traceback);
    put_details(&l, e->details);
    put_bytes(&l, c->bytes);
    put(&l, buf_append_str(l.out, "}\n"));
    return l.status == ST_OK ? ST_OK : err_memory(failure, "a quarantined record", c->bytes.n);
}

/* --- the file --- */

static enum status open_file(struct quarantine *q, struct err *e)
{
    struct output_spec raw = { .format = OUT_RAW };
    return q->output ? ST_OK : output_open(q->path, &raw, &q->output, e);
}

static enum status count_type(struct quarantine *q, const char *type)
{
    struct type_count *counts = (struct type_count *)(void *)q->counts.p;
    size_t n = q->counts.n / sizeof *counts;
    for (size_t i = 0; i < n; i++)
        if (strcmp(counts[i].type, type) == 0) {
            counts[i].n++;
            return ST_OK;
        }
    struct type_count one = { .n = 1 };
    (void)snprintf(one.type, sizeof one.type, "%s", type);
    return buf_append(&q->counts, &one, sizeof one);
}

/* What a person is told of all that was put aside: the first one. */
static enum status keep_example(struct quarantine *q, const struct culprit *c, const struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    if (q->count > 0)
        return ST_OK;
    val_map_str(&m, "type", e->type);
    val_map_str(&m, "message", e->message);
    val_map_str(&m, "file", c->file);
    if (c->offset >= 0)
        val_map_int(&m, "offset", c->offset);
    val_map_int(&m, "record", c->record);
    if (c->key.p)
        val_map_string(&m, "key", c->key);
    return val_map_end(&m, &q->example);
}

static enum status write_entry(struct quarantine *q, const struct culprit *c, struct err *e)
{
    static const uint8_t alone[] = { VAL_TRUE };
    struct err failure;
    err_clear(&failure);
    enum status st = open_file(q, &failure);
    if (st == ST_OK)
        st = build_line(q, c, e, &failure);
    if (st == ST_OK)
        st = output_pair(q->output, buf_slice(&q->line), slice_of(alone, sizeof alone), &failure);
    if (st == ST_OK && (count_type(q, e->type) != ST_OK || keep_example(q, c, e) != ST_OK))
        st = err_memory(&failure, "a quarantined record", sizeof(struct type_count));
    if (st != ST_OK) {
        *e = failure;
        return st;
    }
    q->count++;
    return ST_OK;
}

/* --- one more --- */

bool quarantine_is_for(enum status status)
{
    return status == ST_BAD_RECORD || status == ST_SCRIPT || status == ST_DECLARED;
}

/* What put_aside says of an error's type. */
static bool rule_for(const struct quarantine *q, const struct err *e, struct slice *how)
{
    return q->path && (val_get_string(q->types, e->type, how) || val_get_string(q->types, "*", how));
}

static bool is_allowed(struct quarantine *q, struct err *e)
{
    struct slice how;
    const struct attempt_host *host = q->task->host;
    if (!rule_for(q, e, &how))
        return false;
    if (slice_equal(how, slice_str("quarantine")))
        return true;
    if (!slice_equal(how, slice_str("ask")) || !host || !host->put_aside)
        return false;
    task_measure(q->task, e);
    return host->put_aside(host->context, e);
}

static bool is_known(const struct quarantine *q, const struct err *e)
{
    struct slice how;
    return rule_for(q, e, &how);
}

static enum status refuse_more(const struct quarantine *q, const struct culprit *c, struct err *e)
{
    size_t n = strlen(e->message);
    err_detail(e, "put_aside_max", "%lld", (long long)q->max);
    (void)snprintf(e->message + n, sizeof e->message - n,
                   "; this %s is not put aside, for the limit of limits.max_quarantined is reached (%lld in this task): mend the job or "
                   "its input, or raise it with --set limits.max_quarantined=N", c->unit, (long long)q->max);
    return e->status;
}

enum status quarantine_put(struct quarantine *q, const struct culprit *c, struct err *e)
{
    if (q->max >= 0 && q->count >= (uint64_t)q->max && is_known(q, e))
        return refuse_more(q, c, e);
    if (is_allowed(q, e))
        return write_entry(q, c, e);
    struct script *s = q->task->script;
    if (script_is_stopped(s)) /* while it asked */
        (void)failure_status(s, LUA_OK, e);
    return e->status;
}

static void read_skip_error(struct slice skip, struct err *e)
{
    struct slice error;
    err_clear(e);
    e->status = ST_CRASH;
    if (!val_get(skip, "error", &error))
        error = slice_of(NULL, 0);
    (void)val_get_cstr(error, "type", e->type, sizeof e->type);
    (void)val_get_cstr(error, "message", e->message, sizeof e->message);
    (void)val_get_cstr(error, "traceback", e->traceback, sizeof e->traceback);
    (void)val_get_cstr(error, "details", e->details, sizeof e->details);
    if (!*e->type)
        (void)snprintf(e->type, sizeof e->type, "%s", status_type(ST_CRASH));
    e->status = status_from_type(e->type);
}

enum status quarantine_skip(struct quarantine *q, const struct culprit *c, struct err *e)
{
    read_skip_error(q->skip, e);
    err_at(e, c->file, c->offset, c->record);
    q->skipped++;
    next_skip(q);
    if (q->max >= 0 && q->count >= (uint64_t)q->max)
        return refuse_more(q, c, e);
    return write_entry(q, c, e);
}

/* --- the end --- */

enum status quarantine_close(struct quarantine *q, struct err *e)
{
    struct output *output = q->output;
    if (!output)
        return ST_OK;
    q->output = NULL;
    enum status st = output_close(output, q->task->durable, &q->stats, e);
    if (st == ST_OK && q->task->durable)
        st = sys_fsync_parent(q->path, "quarantine.fsync", e);
    return st;
}

static enum status put_types(const struct quarantine *q, struct val_map *m)
{
    const struct type_count *counts = (const struct type_count *)(const void *)q->counts.p;
    struct val_map types = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    for (size_t i = 0; i < q->counts.n / sizeof *counts; i++)
        val_map_int(&types, counts[i].type, (int64_t)counts[i].n);
    enum status st = val_map_end(&types, &bytes);
    if (st == ST_OK)
        val_map_value(m, "types", buf_slice(&bytes));
    buf_free(&bytes);
    return st;
}

void quarantine_result(const struct quarantine *q, struct val_map *result)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    char checksum[20];
    if (q->count == 0)
        return;
    (void)snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)q->stats.checksum);
    val_map_int(&m, "records", (int64_t)q->count);
    val_map_int(&m, "bytes", (int64_t)q->stats.bytes);
    val_map_str(&m, "checksum", checksum);
    val_map_value(&m, "example", buf_slice(&q->example));
    enum status st = put_types(q, &m);
    if (val_map_end(&m, &bytes) != ST_OK || st != ST_OK)
        result->status = ST_MEMORY;
    else
        val_map_value(result, "quarantine", buf_slice(&bytes));
    buf_free(&bytes);
}

/* --- checkpoints --- */

static enum status suspend_file(struct quarantine *q, struct val_map *m, struct err *e)
{
    struct buf saved = BUF_EMPTY;
    if (!q->output)
        return ST_OK;
    enum status st = output_suspend(q->output, q->task->durable, &saved, e);
    if (st == ST_OK && q->task->durable)
        st = sys_fsync_parent(q->path, "checkpoint.fsync_quarantine", e);
    if (st == ST_OK)
        val_map_string(m, "saved", buf_slice(&saved));
    buf_free(&saved);
    return st;
}

enum status quarantine_save(struct quarantine *q, struct val_map *first, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf bytes = BUF_EMPTY;
    val_map_int(&m, "count", (int64_t)q->count);
    val_map_int(&m, "skipped", (int64_t)q->skipped);
    if (q->example.n > 0)
        val_map_value(&m, "example", buf_slice(&q->example));
    enum status st = put_types(q, &m) == ST_OK ? suspend_file(q, &m, e) : err_memory(e, "a quarantine", q->counts.n);
    if (val_map_end(&m, &bytes) != ST_OK && st == ST_OK)
        st = err_memory(e, "a quarantine", bytes.n);
    if (st == ST_OK)
        val_map_value(first, "quarantine", buf_slice(&bytes));
    buf_free(&bytes);
    return st;
}

/* Those on the list that come before `records` must be those that came. */
static bool skip_to(struct quarantine *q, uint64_t records, uint64_t skipped)
{
    while (q->skip_at < records) {
        q->skipped++;
        next_skip(q);
    }
    return q->skipped == skipped;
}

static enum status restore_types(struct quarantine *q, struct slice types)
{
    struct val_cursor c;
    struct slice key, value, name;
    int64_t n;
    enum status st = ST_OK;
    for (uint64_t i = val_map_open(types, &c); i > 0 && st == ST_OK; i--) {
        struct type_count one = { .n = 0 };
        if (val_skip(&c, &key) != ST_OK || val_skip(&c, &value) != ST_OK || !val_as_string(key, &name) ||
            !val_as_int(value, &n) || name.n >= sizeof one.type)
            return ST_CORRUPT;
        memcpy(one.type, name.p, name.n);
        one.n = (uint64_t)n;
        st = buf_append(&q->counts, &one, sizeof one);
    }
    return st;
}

enum status quarantine_restore(struct quarantine *q, struct slice first, const char *from, uint64_t records, struct err *e)
{
    struct output_spec raw = { .format = OUT_RAW };
    struct slice m, types, saved, example = slice_of(NULL, 0);
    if (!val_get(first, "quarantine", &m) || !val_get(m, "types", &types))
        return err_set(e, ST_CORRUPT, "it does not say what was put aside");
    if (!skip_to(q, records, (uint64_t)val_get_int(m, "skipped", 0)))
        return err_set(e, ST_USAGE, "a record is put aside now that it had mapped");
    q->count = (uint64_t)val_get_int(m, "count", 0);
    (void)val_get(m, "example", &example);
    enum status st = restore_types(q, types);
    if (st == ST_OK)
        st = buf_append_slice(&q->example, example);
    if (st != ST_OK)
        return st == ST_MEMORY ? err_memory(e, "a quarantine", types.n) : err_set(e, st, "what it put aside does not decode");
    if (!val_get_string(m, "saved", &saved))
        return ST_OK;
    return from ? output_resume(from, saved, q->path, &raw, &q->output, e)
                : err_set(e, ST_USAGE, "records were put aside, which is not allowed any more");
}

void quarantine_free(struct quarantine *q)
{
    output_abandon(q->output);
    q->output = NULL;
    buf_free(&q->counts);
    buf_free(&q->example);
    buf_free(&q->line);
}
