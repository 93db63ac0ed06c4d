#include "schedule/past.h"

#include "data/codec.h"
#include "recover/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const struct slice no_params = { NULL, 0 };

/* --- rows --- */

/* Runs a query and makes room for `size` bytes a row, zeroed. */
static enum status read_rows(struct past *p, struct history *h, const char *sql, struct buf *rows,
                             size_t size, void *list, size_t *count, struct err *e)
{
    struct val_cursor c;
    enum status st = history_query(h, sql, no_params, rows, e);
    if (st != ST_OK)
        return st;
    *count = (size_t)val_array(buf_slice(rows), &c);
    void *items = arena_alloc(&p->arena, (*count + 1) * size);
    if (!items)
        return err_memory(e, "rows of the journal", *count * size);
    memset(items, 0, (*count + 1) * size);
    memcpy(list, &items, sizeof items);
    return ST_OK;
}

static uint32_t small(struct slice row, const char *name)
{
    int64_t v = val_get_int(row, name, 0);
    return v > 0 && v < UINT32_MAX ? (uint32_t)v : 0;
}

static struct slice text_of(struct slice row, const char *name)
{
    struct slice s = slice_of(NULL, 0);
    (void)val_get_string(row, name, &s);
    return s;
}

static int by_name(const void *name, const void *task)
{
    const struct past_task *t = task;
    return slice_compare(*(const struct slice *)name, t->name);
}

static struct past_task *find_task(const struct past *p, struct slice name)
{
    return bsearch(&name, p->tasks, p->task_count, sizeof *p->tasks, by_name);
}

static enum status read_steps(struct past *p, struct history *h, struct err *e)
{
    struct val_cursor c;
    struct slice row;
    enum status st = read_rows(p, h, "SELECT * FROM step ORDER BY step, round", &p->step_rows,
                               sizeof *p->steps, &p->steps, &p->step_count, e);
    if (st != ST_OK)
        return st;
    (void)val_array(buf_slice(&p->step_rows), &c);
    for (size_t i = 0; i < p->step_count && val_skip(&c, &row) == ST_OK; i++)
        p->steps[i] = (struct past_step){ small(row, "step"), small(row, "round"),
                                          small(row, "maps"), small(row, "reduces"),
                                          text_of(row, "boundaries") };
    return ST_OK;
}

/* What became of tasks: `drop` (the job goes on without it), `anew` (what it did and how it failed
 * counts no more). */
static enum status read_events(struct past *p, struct history *h, struct err *e)
{
    static const char sql[] = "SELECT time, kind, text FROM event WHERE kind IN ('drop', 'anew') "
                              "ORDER BY rowid";
    struct val_cursor c;
    struct slice row;
    enum status st = history_query(h, sql, no_params, &p->event_rows, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&p->event_rows), &c) : 0;
    for (uint64_t i = 0; i < n && val_skip(&c, &row) == ST_OK; i++) {
        struct past_task *t = find_task(p, text_of(row, "text"));
        if (!t)
            continue;
        t->dropped = slice_equal(text_of(row, "kind"), slice_str("drop"));
        if (!t->dropped)
            t->began_anew = val_get_int(row, "time", 0);
    }
    return st;
}

/* A result that is no value is taken for none: its task runs again. */
static struct past_task task_of(struct slice row)
{
    struct slice result = text_of(row, "result"), ignored;
    bool committed = val_get(row, "winner", &ignored) && val_check(result) == ST_OK;
    return (struct past_task){ .name = text_of(row, "task"),
                               .step = small(row, "step"),
                               .round = small(row, "round"),
                               .attempts = small(row, "attempts"),
                               .backups = small(row, "backups"),
                               .failed = small(row, "failures") > 0,
                               .committed = committed,
                               .speculative = small(row, "speculative") != 0,
                               .winner = small(row, "winner"),
                               .cpu_seconds = val_get_float(row, "cpu", 0),
                               .result = result };
}

static enum status read_tasks(struct past *p, struct history *h, struct err *e)
{
    static const char sql[] =
        "WITH tried AS (SELECT step, round, task,"
        "  max(CASE WHEN speculative THEN 0 ELSE attempt + 1 END) AS attempts,"
        "  max(CASE WHEN speculative THEN attempt ELSE 0 END) AS backups,"
        "  sum(outcome NOT IN ('committed', 'lost', 'ended')) AS failures"
        "  FROM (SELECT step, round, task, attempt, speculative, outcome FROM attempt UNION ALL"
        "   SELECT step, round, task, attempt, speculative, 'ended' FROM running)"
        "  GROUP BY step, round, task)"
        " SELECT tried.task AS task, tried.step AS step, tried.round AS round, attempts, backups,"
        "  failures, task.attempt AS winner, task.speculative AS speculative,"
        "  won.result AS result, won.cpu AS cpu"
        " FROM tried LEFT JOIN task ON task.step = tried.step AND task.round = tried.round"
        "  AND task.task = tried.task"
        " LEFT JOIN attempt AS won ON won.task = task.task AND won.step = task.step"
        "  AND won.round = task.round AND won.attempt = task.attempt"
        "  AND won.speculative = task.speculative AND won.outcome = 'committed'"
        " ORDER BY tried.task";
    struct val_cursor c;
    struct slice row;
    enum status st = read_rows(p, h, sql, &p->task_rows, sizeof *p->tasks, &p->tasks,
                               &p->task_count, e);
    if (st != ST_OK)
        return st;
    (void)val_array(buf_slice(&p->task_rows), &c);
    for (size_t i = 0; i < p->task_count && val_skip(&c, &row) == ST_OK; i++)
        p->tasks[i] = task_of(row);
    return read_events(p, h, e);
}

static enum status read_splits(struct past *p, struct history *h, struct err *e)
{
    static const char sql[] = "SELECT * FROM split ORDER BY step, round, rowid";
    struct val_cursor c;
    struct slice row;
    enum status st = read_rows(p, h, sql, &p->split_rows, sizeof *p->splits, &p->splits,
                               &p->split_count, e);
    if (st != ST_OK)
        return st;
    (void)val_array(buf_slice(&p->split_rows), &c);
    for (size_t i = 0; i < p->split_count && val_skip(&c, &row) == ST_OK; i++)
        p->splits[i] = (struct past_split){ small(row, "step"), small(row, "round"),
                                            text_of(row, "task"), text_of(row, "path"),
                                            (uint64_t)val_get_int(row, "first", 0),
                                            (uint64_t)val_get_int(row, "last", 0),
                                            (uint64_t)val_get_int(row, "size", 0),
                                            val_get_int(row, "mtime", 0) };
    return ST_OK;
}

/* Of what a job counts: the other tasks prepare, or look on. */
static enum status read_totals(struct past *p, struct history *h, struct err *e)
{
    static const char sql[] =
        "SELECT count(*) + (SELECT count(*) FROM running"
        "  WHERE task GLOB '*map_*' OR task GLOB '*reduce_*') AS attempts,"
        " sum(outcome = 'committed') AS committed, sum(cpu) AS cpu,"
        " count(DISTINCT CASE WHEN outcome NOT IN ('committed', 'lost', 'ended')"
        "  AND EXISTS (SELECT 1 FROM task WHERE task.task = attempt.task) THEN task END) AS recovered "
        "FROM attempt WHERE task GLOB '*map_*' OR task GLOB '*reduce_*'";
    struct buf rows = BUF_EMPTY;
    struct val_cursor c;
    struct slice row;
    enum status st = history_query(h, sql, no_params, &rows, e);
    if (st == ST_OK && val_array(buf_slice(&rows), &c) > 0 && val_skip(&c, &row) == ST_OK) {
        p->attempts = (uint64_t)val_get_int(row, "attempts", 0);
        p->recovered = (uint64_t)val_get_int(row, "recovered", 0);
        p->committed = (uint64_t)val_get_int(row, "committed", 0);
        p->cpu_seconds = val_get_float(row, "cpu", 0);
    }
    buf_free(&rows);
    return st;
}

/* The table `job` as one map. */
static enum status read_job(struct past *p, struct history *h, struct err *e)
{
    struct buf rows = BUF_EMPTY;
    struct val_cursor c;
    struct slice row, value;
    char key[64];
    struct val_map m = VAL_MAP_EMPTY;
    enum status st = history_query(h, "SELECT key, value FROM job", no_params, &rows, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&rows), &c) : 0;
    for (uint64_t i = 0; i < n && val_skip(&c, &row) == ST_OK; i++)
        if (val_get_cstr(row, "key", key, sizeof key) && val_get(row, "value", &value))
            val_map_value(&m, key, value);
    enum status ended = val_map_end(&m, &p->job);
    buf_free(&rows);
    return st == ST_OK && ended != ST_OK ? err_memory(e, "a journal", p->job.n) : st;
}

/* A journal without a WAL is nobody's: it is read without a trace. */
static enum status open_journal(const char *path, struct history **out, struct err *e)
{
    struct buf wal = BUF_EMPTY;
    struct stat info;
    *out = NULL;
    if (buf_printf(&wal, "%s-wal", path) != ST_OK || buf_terminate(&wal) != ST_OK) {
        buf_free(&wal);
        return err_memory(e, "a path", strlen(path));
    }
    bool still = stat((const char *)wal.p, &info) != 0 || info.st_size == 0;
    buf_free(&wal);
    return still ? history_open_still(path, out, e) : history_open(path, out, e);
}

typedef enum status (*opener)(const char *path, struct history **out, struct err *e);

static enum status read_job_by(opener open, const char *path, struct past *out, struct err *e)
{
    struct history *h = NULL;
    enum status st = open(path, &h, e);
    if (st == ST_OK)
        st = read_job(out, h, e);
    history_close(h);
    return st;
}

enum status past_read_job(const char *path, struct past *out, struct err *e)
{
    return read_job_by(open_journal, path, out, e);
}

enum status past_read_job_still(const char *path, struct past *out, struct err *e)
{
    return read_job_by(history_open_still, path, out, e);
}

static enum status read_by(opener open, const char *path, struct past *out, struct err *e)
{
    static const char skips[] =
        "SELECT task, attempt, ended, outcome, message, traceback, file, \"offset\", record, \"key\" "
        "FROM attempt WHERE verdict = 'quarantine' ORDER BY rowid";
    struct history *h = NULL;
    enum status st = open(path, &h, e);
    if (st == ST_OK)
        st = read_job(out, h, e);
    if (st == ST_OK)
        st = read_steps(out, h, e);
    if (st == ST_OK)
        st = read_tasks(out, h, e);
    if (st == ST_OK)
        st = read_splits(out, h, e);
    if (st == ST_OK)
        st = read_totals(out, h, e);
    if (st == ST_OK)
        st = history_query(h, skips, no_params, &out->skip_rows, e);
    history_close(h);
    return st;
}

enum status past_read(const char *path, struct past *out, struct err *e)
{
    return read_by(open_journal, path, out, e);
}

enum status past_read_still(const char *path, struct past *out, struct err *e)
{
    return read_by(history_open_still, path, out, e);
}

void past_free(struct past *p)
{
    buf_free(&p->job);
    buf_free(&p->step_rows);
    buf_free(&p->task_rows);
    buf_free(&p->event_rows);
    buf_free(&p->skip_rows);
    buf_free(&p->split_rows);
    arena_free(&p->arena);
    *p = (struct past){ .arena = ARENA_EMPTY };
}

/* --- looking --- */

struct slice past_blob(const struct past *p, const char *key)
{
    return text_of(buf_slice(&p->job), key);
}

const char *past_text(struct past *p, const char *key)
{
    struct slice s;
    if (!val_get_string(buf_slice(&p->job), key, &s))
        return NULL;
    return arena_strndup(&p->arena, (const char *)s.p, s.n);
}

/* Numbers may stand there as texts: seed, created. */
int64_t past_number(const struct past *p, const char *key, int64_t fallback)
{
    char text[32];
    if (val_get_cstr(buf_slice(&p->job), key, text, sizeof text))
        return (int64_t)strtoull(text, NULL, 10);
    return val_get_int(buf_slice(&p->job), key, fallback);
}

const struct past_task *past_task(const struct past *p, const char *name)
{
    return find_task(p, slice_str(name));
}

/* The first row that is of the step's round or a later one; with `after`, of a later one. */
static size_t split_bound(const struct past *p, const struct past_step *s, bool after)
{
    size_t low = 0, high = p->split_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct past_split *row = &p->splits[middle];
        bool before = row->step < s->step || (row->step == s->step && row->round < s->round);
        bool same = row->step == s->step && row->round == s->round;
        if (before || (after && same))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct past_split *past_splits(const struct past *p, const struct past_step *s,
                                     size_t *count)
{
    size_t first = split_bound(p, s, false);
    *count = split_bound(p, s, true) - first;
    return p->splits + first;
}

static void read_failure(struct slice row, struct err *out)
{
    char type[ERR_TYPE_MAX], message[ERR_MESSAGE_MAX];
    (void)val_get_cstr(row, "outcome", type, sizeof type);
    (void)val_get_cstr(row, "message", message, sizeof message);
    (void)err_set(out, status_from_type(type), "%s", message);
    (void)snprintf(out->type, sizeof out->type, "%s", type);
    (void)val_get_cstr(row, "traceback", out->traceback, sizeof out->traceback);
    (void)val_get_cstr(row, "file", out->file, sizeof out->file);
    (void)val_get_cstr(row, "key", out->key, sizeof out->key);
    out->offset = val_get_int(row, "offset", -1);
    out->record = val_get_int(row, "record", -1);
}

static bool is_skip_of(struct slice row, const struct past_task *t)
{
    return slice_equal(text_of(row, "task"), t->name) &&
           val_get_int(row, "ended", 0) > t->began_anew;
}

bool past_has_skips(const struct past *p, const struct past_task *t)
{
    struct val_cursor c;
    struct slice row;
    uint64_t n = val_array(buf_slice(&p->skip_rows), &c);
    for (uint64_t i = 0; i < n && val_skip(&c, &row) == ST_OK; i++)
        if (is_skip_of(row, t))
            return true;
    return false;
}

enum status past_skips(const struct past *p, const char *name, uint32_t first,
                       enum status (*take)(void *context, const struct err *failure),
                       void *context)
{
    struct val_cursor c;
    struct slice row;
    struct err failure;
    enum status st = ST_OK;
    const struct past_task *t = past_task(p, name);
    uint64_t n = t ? val_array(buf_slice(&p->skip_rows), &c) : 0;
    for (uint64_t i = 0; i < n && st == ST_OK && val_skip(&c, &row) == ST_OK; i++) {
        if (!is_skip_of(row, t) || small(row, "attempt") < first)
            continue;
        read_failure(row, &failure);
        st = take(context, &failure);
    }
    return st;
}
