/* replay_story.c: see replay_story.h. */
#include "cli/replay_story.h"

#include "base/log.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/json_text.h"
#include "schedule/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SHOWN_BYTES = 300, SIGNAL_BASE = 128 };

/* --- words --- */

static bool is_reduce(struct slice assignment)
{
    struct slice kind;
    return val_get_string(assignment, "kind", &kind) && slice_equal(kind, slice_str("reduce"));
}

const char *story_unit(struct slice assignment)
{
    return is_reduce(assignment) ? "group" : "record";
}

int64_t story_units(struct slice result)
{
    int64_t groups = val_get_int(result, "groups", -1);
    return groups >= 0 ? groups : val_get_int(result, "records_in", 0);
}

static void add_count(struct text *t, int64_t n, const char *unit)
{
    char number[SIZE_TEXT_MAX];
    text_printf(t, "%s %s%s", count_format((uint64_t)n, number), unit, n == 1 ? "" : "s");
}

/* Text of users and data: nothing in it steers the terminal; tabs stay. */
static void add_safe(struct text *t, struct slice s)
{
    char copy[SHOWN_BYTES + 1];
    size_t n = s.n < SHOWN_BYTES ? s.n : SHOWN_BYTES;
    for (size_t i = 0; i < n; i++)
        copy[i] = s.p[i] ? (char)s.p[i] : '?';
    copy[n] = '\0';
    for (char *p = copy; *p;) {
        size_t length = strcspn(p, "\t");
        bool tab = p[length] == '\t';
        p[length] = '\0';
        columns_disarm(p);
        text_add(t, p);
        if (tab)
            text_add(t, "\t");
        p += length + tab;
    }
    if (s.n > n)
        text_add(t, "…");
}

/* " (in.txt, byte 12)" or " (key b)", as far as known. */
static void add_place(struct text *t, struct slice place)
{
    struct slice file, key;
    int64_t offset = val_get_int(place, "offset", -1);
    bool has_file = val_get_string(place, "file", &file);
    bool has_key = val_get_string(place, "key", &key);
    if (!has_file && !has_key)
        return;
    text_add(t, " (");
    if (has_key) {
        text_add(t, "key ");
        add_safe(t, key);
    }
    if (has_file) {
        text_add(t, has_key ? ", " : "");
        add_safe(t, file);
    }
    if (has_file && offset >= 0)
        text_printf(t, ", byte %" PRId64, offset);
    text_add(t, ")");
}

/* --- codes --- */

static int code_of(const struct err *e)
{
    if (e->status == ST_OK)
        return EXIT_COMPLETE;
    return e->status == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

static int tell_stopped(const struct replay_end *end)
{
    struct text t = TEXT_EMPTY;
    const struct err *e = &end->err;
    text_add(&t, "lmr: stopped");
    if (e->record >= 0)
        text_printf(&t, " at %s %" PRId64, e->key[0] || !e->file[0] ? "group" : "record", e->record);
    struct val_map m = VAL_MAP_EMPTY;
    struct buf place = BUF_EMPTY;
    if (e->file[0])
        val_map_str(&m, "file", e->file);
    if (e->offset >= 0)
        val_map_int(&m, "offset", e->offset);
    if (e->key[0])
        val_map_str(&m, "key", e->key);
    if (val_map_end(&m, &place) == ST_OK)
        add_place(&t, buf_slice(&place));
    buf_free(&place);
    text_add(&t, "\n");
    (void)text_print(&t, STDERR_FILENO);
    return SIGNAL_BASE + end->stopped;
}

/* --- an attempt --- */

void story_begin_attempt(const char *name, struct slice row)
{
    char type[ERR_TYPE_MAX], message[ERR_MESSAGE_MAX];
    (void)val_get_cstr(row, "outcome", type, sizeof type);
    (void)val_get_cstr(row, "message", message, sizeof message);
    if (strcmp(type, "committed") == 0)
        log_note("%s again; it committed, but put something aside", name);
    else
        log_note("%s again; it failed (%s: %.*s)", name, type, (int)strcspn(message, "\n"), message);
}

/* ", and 2 records to NAME" for each mr.output file. */
static void add_outputs(struct text *t, struct slice result)
{
    struct slice list, output, name;
    struct val_cursor c;
    uint64_t n = val_get(result, "side_outputs", &list) ? val_array(list, &c) : 0;
    for (; n > 0 && val_skip(&c, &output) == ST_OK; n--) {
        text_add(t, ", ");
        add_count(t, val_get_int(output, "records", 0), "record");
        if (val_get_string(output, "name", &name)) {
            text_add(t, " to ");
            add_safe(t, name);
        }
    }
}

int story_attempt(const struct replay_end *end)
{
    struct text t = TEXT_EMPTY;
    struct slice result = buf_slice(&end->result), aside;
    if (end->stopped)
        return tell_stopped(end);
    if (end->err.status != ST_OK) {
        log_err(&end->err);
        return code_of(&end->err);
    }
    text_add(&t, "it holds now: ");
    add_count(&t, story_units(result), val_get_int(result, "groups", -1) >= 0 ? "group" : "record");
    text_add(&t, ", ");
    add_count(&t, val_get_int(result, "pairs_out", 0), "pair");
    add_outputs(&t, result);
    if (val_get(result, "quarantine", &aside))
        text_printf(&t, ", %" PRId64 " put aside", val_get_int(aside, "records", 0));
    text_add(&t, "\n");
    return text_print(&t, STDOUT_FILENO);
}

/* --- a record --- */

static void add_shown(struct text *t, struct slice result)
{
    struct slice shown, line, run;
    struct val_cursor c;
    uint64_t n = val_get(result, "shown", &shown) ? val_array(shown, &c) : 0;
    int64_t all = val_get(result, "run", &run)    ? val_get_int(run, "pairs", 0)
                  : val_get(result, "part", &run) ? val_get_int(run, "records", 0)
                                                  : 0;
    for (uint64_t i = 0; i < n && val_skip(&c, &line) == ST_OK; i++) {
        struct slice text = slice_of(NULL, 0);
        (void)val_as_string(line, &text);
        text_add(t, "  ");
        add_safe(t, text);
        text_add(t, "\n");
    }
    if (n > 0 && all > (int64_t)n)
        text_printf(t, "  … (%" PRId64 " in all)\n", all);
}

int story_record(struct slice assignment, const struct replay_record *record,
                 const struct replay_end *end)
{
    struct text t = TEXT_EMPTY;
    struct slice result = buf_slice(&end->result);
    struct err e;
    if (end->stopped)
        return tell_stopped(end);
    if (record->outcome == REPLAY_FAILS) {
        wire_get_err(record->error, &e);
        log_err(&e);
        return code_of(&e);
    }
    int64_t pairs = val_get_int(result, "pairs_out", 0);
    text_printf(&t, "it holds now: %s %" PRId64 ", ", story_unit(assignment), record->record);
    add_count(&t, pairs, "pair");
    add_outputs(&t, result);
    text_add(&t, pairs > 0 ? ":\n" : "\n");
    add_shown(&t, result);
    return text_print(&t, STDOUT_FILENO);
}

/* --- all that was put aside --- */

void story_open(struct story *s, const char *job, bool json)
{
    *s = (struct story){ .job = job, .json = json, .text = TEXT_EMPTY };
    if (json) {
        json_open(&s->text, NULL, '{');
        json_string(&s->text, "job", job);
        json_open(&s->text, "records", '[');
    }
}

/* What is not there, or empty, is left out. */
static void json_field(struct text *t, struct slice from, const char *name)
{
    struct slice value, text;
    if (val_get(from, name, &value) && (!val_as_string(value, &text) || text.n > 0))
        json_encoded(t, name, value);
}

/* What is known of a failure; null when there is none. */
static void json_failure(struct text *t, const char *name, struct slice error)
{
    static const char *const fields[] = { "type", "message", "traceback", "file", "offset",
                                          "record", "key" };
    struct slice value;
    if (error.n == 0) {
        json_string(t, name, NULL);
        return;
    }
    json_open(t, name, '{');
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_field(t, error, fields[i]);
    int64_t number = val_get_int(error, "signal", 0);
    if (number > 0)
        json_integer(t, "signal", number);
    if (val_get(error, "exit_status", &value) && val_get_int(error, "exit_status", -1) >= 0)
        json_encoded(t, "exit_status", value);
    json_close(t, '}');
}

static const char *outcome_word(const struct replay_record *r)
{
    switch (r->outcome) {
    case REPLAY_HOLDS:
        return "holds";
    case REPLAY_FAILS:
        return "fails";
    case REPLAY_MISSING:
        return "missing";
    default:
        return "untried";
    }
}

static void add_record_json(struct text *t, const char *task, const char *unit,
                            const struct replay_record *r)
{
    struct slice entry = r->entry, value;
    json_open(t, NULL, '{');
    json_string(t, "task", task);
    json_string(t, "unit", unit);
    json_integer(t, "record", r->record);
    json_field(t, entry, "file");
    json_field(t, entry, "offset");
    json_field(t, entry, "key");
    json_string(t, "outcome", outcome_word(r));
    if (val_get(entry, "type", &value)) {
        json_open(t, "was", '{');
        json_field(t, entry, "type");
        json_field(t, entry, "message");
        json_close(t, '}');
    }
    json_failure(t, "error", r->error);
    json_close(t, '}');
}

static void add_error(struct text *t, struct slice error)
{
    struct err e;
    wire_get_err(error, &e);
    text_printf(t, "still fails: %s: ", e.type);
    add_safe(t, slice_of(e.message, strcspn(e.message, "\n")));
}

static void add_record(struct text *t, const char *task, const char *unit,
                       const struct replay_record *r)
{
    text_printf(t, "%s, %s %" PRId64, task, unit, r->record);
    add_place(t, r->entry);
    text_add(t, ": ");
    if (r->outcome == REPLAY_FAILS)
        add_error(t, r->error);
    else
        text_add(t, r->outcome == REPLAY_HOLDS     ? "holds now"
                    : r->outcome == REPLAY_MISSING ? "is not there any more"
                                                   : "was not tried");
    text_add(t, "\n");
}

void story_add_task(struct story *s, const char *task, struct slice assignment,
                    const struct replay_record *records, size_t count)
{
    const char *unit = story_unit(assignment);
    for (size_t i = 0; i < count; i++) {
        const struct replay_record *r = &records[i];
        s->held += r->outcome == REPLAY_HOLDS;
        s->failed += r->outcome == REPLAY_FAILS;
        s->untried += r->outcome == REPLAY_UNTRIED || r->outcome == REPLAY_MISSING;
        if (s->json)
            add_record_json(&s->text, task, unit, r);
        else
            add_record(&s->text, task, unit, r);
    }
    s->unit = !s->unit || strcmp(s->unit, unit) == 0 ? unit : "record";
}

static void add_totals(struct story *s, bool mended)
{
    uint64_t all = s->held + s->failed + s->untried;
    struct text *t = &s->text;
    if (s->held == all) {
        text_add(t, "all that was put aside holds now (");
        add_count(t, (int64_t)all, s->unit ? s->unit : "record");
        text_printf(t, "); %slmr resume %s --quarantined puts it into the result\n",
                    mended ? "mend the job's own file likewise, and " : "", s->job);
        return;
    }
    bool one = s->held == 1 || all == 1;
    text_printf(t, "%" PRIu64 " of ", s->held);
    add_count(t, (int64_t)all, s->unit ? s->unit : "record");
    text_printf(t, " %s now, %" PRIu64 " still %s", one ? "holds" : "hold", s->failed,
                s->failed == 1 ? "fails" : "fail");
    if (s->untried)
        text_printf(t, ", %" PRIu64 " could not be tried", s->untried);
    text_add(t, "\n");
}

int story_end(struct story *s, const struct replay_end *end, bool mended)
{
    int code = end->stopped ? SIGNAL_BASE + end->stopped
               : s->failed + s->untried > 0 ? EXIT_FAILED
                                            : EXIT_COMPLETE;
    if (s->json) {
        json_close(&s->text, ']');
        json_count(&s->text, "held", s->held);
        json_count(&s->text, "failed", s->failed);
        json_count(&s->text, "untried", s->untried);
        json_integer(&s->text, "exit_code", code);
        json_close(&s->text, '}');
        text_add(&s->text, "\n");
    } else {
        add_totals(s, mended);
    }
    int printed = text_print(&s->text, STDOUT_FILENO);
    if (end->stopped)
        return tell_stopped(end);
    return code == EXIT_COMPLETE ? printed : code;
}

/* --- one attempt or record, for a program --- */

static int finish_json(struct text *t, const struct replay_end *end, int code)
{
    json_integer(t, "exit_code", code);
    json_close(t, '}');
    text_add(t, "\n");
    int printed = text_print(t, STDOUT_FILENO);
    if (end->stopped)
        return tell_stopped(end);
    return code == EXIT_COMPLETE ? printed : code;
}

static void json_result(struct text *t, struct slice result)
{
    static const char *const fields[] = { "records_in", "groups", "pairs_out", "side_outputs",
                                          "counters", "quarantine", "shown" };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        json_field(t, result, fields[i]);
}

static void begin_json(struct text *t, const char *job, const char *name, const char *outcome)
{
    json_open(t, NULL, '{');
    json_string(t, "job", job);
    json_string(t, "attempt", name);
    json_string(t, "outcome", outcome);
}

int story_attempt_json(const char *job, const char *name, const struct replay_end *end)
{
    struct text t = TEXT_EMPTY;
    struct buf error = BUF_EMPTY;
    bool failed = end->err.status != ST_OK;
    if (failed && wire_put_err(&end->err, &error) != ST_OK)
        t.status = ST_MEMORY;
    begin_json(&t, job, name, end->stopped ? "stopped" : failed ? "fails" : "holds");
    json_result(&t, buf_slice(&end->result));
    json_failure(&t, "error", buf_slice(&error));
    buf_free(&error);
    return finish_json(&t, end, end->stopped ? SIGNAL_BASE + end->stopped : code_of(&end->err));
}

int story_record_json(const char *job, const char *name, struct slice assignment,
                      const struct replay_record *record, const struct replay_end *end)
{
    struct text t = TEXT_EMPTY;
    struct err e;
    err_clear(&e);
    if (record->error.n > 0)
        wire_get_err(record->error, &e);
    begin_json(&t, job, name, end->stopped ? "stopped" : outcome_word(record));
    json_string(&t, "unit", story_unit(assignment));
    json_integer(&t, "record", record->record);
    if (record->outcome == REPLAY_HOLDS)
        json_result(&t, buf_slice(&end->result));
    json_failure(&t, "error", record->error);
    return finish_json(&t, end, end->stopped ? SIGNAL_BASE + end->stopped : code_of(&e));
}
