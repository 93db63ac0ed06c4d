/* replay.c: `lmr replay`: an attempt that failed, or records that were put aside, again, in the
 * foreground: what is run comes from the job's journal, what became of it is told here. */
#include "cli/replay.h"

#include "base/log.h"
#include "base/size.h"
#include "cli/cli.h"
#include "cli/json_text.h"
#include "cli/replay_story.h"
#include "cli/table.h"
#include "cli/which_job.h"
#include "recover/history.h"
#include "schedule/wire.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAMES_SHOWN = 6, NAMES_MAX = 256 };

struct replay {
    const struct request *request;
    char job_dir[REPLAY_PATH_MAX];
    const char *id;        /* of the job, in job_dir */
    struct buf directory;  /* where the job was started, a C string */
    struct buf description; /* of the job, encoded */
    char job_file[PATH_MAX]; /* --job, absolute; "" without */
    struct history *history; /* while the journal is read */
    struct buf rows;       /* encoded: what is to be run */
    struct buf stored, sides; /* the assignment at hand, ready to be changed; scratch */
    struct arena arena;
    struct replay_box *box;
    struct replay_end end;
};

/* --- the journal --- */

static enum status query(struct replay *r, const char *sql, const char *word, struct buf *rows,
                         struct err *e)
{
    struct buf params = BUF_EMPTY;
    enum status st = ST_OK;
    rows->n = 0;
    if (word)
        st = val_put_array(&params, 1);
    if (word && st == ST_OK)
        st = val_put_str(&params, word);
    if (st == ST_OK)
        st = history_query(r->history, sql, buf_slice(&params), rows, e);
    else
        st = err_memory(e, "a question to the journal", params.n);
    buf_free(&params);
    return st;
}

/* A value of the table job, as a C string. */
static enum status job_value(struct replay *r, const char *key, struct buf *out, struct err *e)
{
    struct slice row, value;
    struct val_cursor c;
    enum status st = query(r, "SELECT value FROM job WHERE key = ?", key, &r->rows, e);
    if (st != ST_OK)
        return st;
    if (val_array(buf_slice(&r->rows), &c) == 0 || val_skip(&c, &row) != ST_OK ||
        !val_get_string(row, "value", &value))
        return err_set(e, ST_USAGE, "the journal of %s has no %s", r->id, key);
    bool fits = buf_append_slice(out, value) == ST_OK && buf_terminate(out) == ST_OK;
    return fits ? ST_OK : err_memory(e, "a value of the journal", value.n);
}

static enum status open_journal(struct replay *r, const char *job, struct err *e)
{
    char path[REPLAY_PATH_MAX + sizeof "/journal.db"];
    enum status st = which_job(r->request->run.state_dir, job, r->job_dir, sizeof r->job_dir, e);
    if (st != ST_OK)
        return st;
    r->id = strrchr(r->job_dir, '/') + 1;
    (void)snprintf(path, sizeof path, "%s/journal.db", r->job_dir);
    st = history_open(path, &r->history, e);
    if (st == ST_OK)
        st = job_value(r, "directory", &r->directory, e);
    if (st == ST_OK)
        st = job_value(r, "description", &r->description, e);
    return st;
}

/* "map_0.1s" → "map_0", 1, a backup; "map_0": no number (−1). "2.7:map_0" is a task. */
static void split_word(const char *word, char task[NAMES_MAX], int64_t *attempt, bool *speculative)
{
    const char *dot = strrchr(word, '.');
    char *end = NULL;
    *attempt = -1;
    *speculative = false;
    (void)snprintf(task, NAMES_MAX, "%s", word);
    if (!dot || dot[1] < '0' || dot[1] > '9')
        return;
    long long number = strtoll(dot + 1, &end, 10);
    if (strcmp(end, "") != 0 && strcmp(end, "s") != 0)
        return;
    *attempt = number;
    *speculative = *end == 's';
    (void)snprintf(task, NAMES_MAX, "%.*s", (int)(dot - word), word);
}

static void attempt_name(struct slice row, char out[NAMES_MAX])
{
    char task[NAMES_MAX];
    (void)val_get_cstr(row, "task", task, sizeof task);
    (void)snprintf(out, NAMES_MAX, "%.200s.%lld%s", task, (long long)val_get_int(row, "attempt", 0),
                   val_get_int(row, "speculative", 0) ? "s" : "");
}

/* "map_0.0 (script_error), map_0.1 (committed)": the first rows. */
static const char *list_names(struct slice rows, char *out, size_t cap)
{
    struct val_cursor c;
    struct slice row;
    size_t used = 0;
    uint64_t n = val_array(rows, &c);
    out[0] = '\0';
    for (uint64_t i = 0; i < n && i < NAMES_SHOWN && val_skip(&c, &row) == ST_OK; i++) {
        char name[NAMES_MAX], outcome[ERR_TYPE_MAX];
        attempt_name(row, name);
        (void)val_get_cstr(row, "outcome", outcome, sizeof outcome);
        int more = snprintf(out + used, cap - used, "%s%s (%s)", i ? ", " : "", name, outcome);
        if (more < 0 || (size_t)more >= cap - used)
            break;
        used += (size_t)more;
    }
    return out;
}

static enum status which_attempt(struct replay *r, struct err *e)
{
    char names[1024];
    enum status st = query(r, "SELECT task, attempt, speculative, outcome FROM attempt WHERE "
                              "assignment IS NOT NULL ORDER BY rowid DESC", NULL, &r->rows, e);
    struct val_cursor c;
    if (st != ST_OK)
        return st;
    if (val_array(buf_slice(&r->rows), &c) == 0)
        return err_set(e, ST_USAGE, "no attempt of %s failed, and nothing was put aside: there is "
                                    "nothing to replay", r->id);
    return err_set(e, ST_USAGE,
                   "which attempt? Of %s can be replayed: %s; usage: lmr replay JOB ATTEMPT, or lmr "
                   "replay JOB --quarantined",
                   r->id, list_names(buf_slice(&r->rows), names, sizeof names));
}

static enum status no_task(struct replay *r, const char *task, struct err *e)
{
    const char *names[NAMES_MAX + 1];
    struct val_cursor c;
    struct slice row, name;
    size_t n = 0;
    enum status st = query(r, "SELECT DISTINCT task FROM attempt", NULL, &r->rows, e);
    if (st != ST_OK)
        return st;
    uint64_t count = val_array(buf_slice(&r->rows), &c);
    for (uint64_t i = 0; i < count && n < NAMES_MAX && val_skip(&c, &row) == ST_OK; i++)
        if (val_get_string(row, "task", &name) &&
            (names[n] = arena_strndup(&r->arena, (const char *)name.p, name.n)))
            n++;
    names[n] = NULL;
    const char *near = nearest_name(task, names);
    return err_set(e, ST_USAGE, "no attempt of a task %s has ended in %s%s%s%s", task, r->id,
                   near ? "; is it " : "", near ? near : "", near ? "?" : "");
}

static enum status no_assignment(const struct replay *r, struct slice row, const char *word,
                                 struct err *e)
{
    char outcome[ERR_TYPE_MAX], names[1024];
    if (!row.p)
        return err_set(e, ST_USAGE, "%s has no attempt %s; it has %s", r->id, word,
                       list_names(buf_slice(&r->rows), names, sizeof names));
    (void)val_get_cstr(row, "outcome", outcome, sizeof outcome);
    if (strcmp(outcome, "committed") == 0)
        return err_set(e, ST_USAGE, "%s committed and put nothing aside: there is nothing to replay; "
                                    "lmr replay %s names what can be replayed", word, r->id);
    return err_set(e, ST_USAGE, "what %s was to do is not kept, for it did not fail (it was %s); lmr "
                                "replay %s names what can be replayed", word, outcome, r->id);
}

/* The row that a word means: of an attempt, or of the newest of a task that can be replayed. */
static enum status find_attempt(struct replay *r, const char *word, struct slice *found,
                                struct err *e)
{
    char task[NAMES_MAX];
    int64_t attempt;
    bool speculative;
    struct slice row, named = slice_of(NULL, 0), assignment;
    struct val_cursor c;
    split_word(word, task, &attempt, &speculative);
    enum status st = query(r, "SELECT task, attempt, speculative, outcome, message, record, assignment "
                              "FROM attempt WHERE task = ? ORDER BY rowid", task, &r->rows, e);
    if (st != ST_OK)
        return st;
    uint64_t n = val_array(buf_slice(&r->rows), &c);
    if (n == 0)
        return no_task(r, task, e);
    *found = slice_of(NULL, 0);
    for (; n > 0 && val_skip(&c, &row) == ST_OK; n--) {
        bool fits = attempt < 0 || (val_get_int(row, "attempt", -1) == attempt &&
                                    (val_get_int(row, "speculative", 0) != 0) == speculative);
        if (fits)
            named = row;
        if (fits && val_get_string(row, "assignment", &assignment))
            *found = row;
    }
    return found->p ? ST_OK : no_assignment(r, named, word, e);
}

/* A row a task that put something aside: its file, and the assignment of its winning attempt. */
static enum status find_quarantined(struct replay *r, const char *task, struct err *e)
{
    static const char sql[] =
        "SELECT f.task, f.path, t.attempt, t.speculative, a.assignment FROM file f "
        "JOIN task t USING (step, round, task) "
        "LEFT JOIN attempt a ON a.step = f.step AND a.round = f.round AND a.task = f.task AND "
        "a.attempt = t.attempt AND a.speculative = t.speculative AND a.outcome = 'committed' "
        "WHERE f.kind = 'quarantine' AND (?1 = '' OR f.task = ?1) "
        "ORDER BY f.step, f.round, f.task LIKE '%reduce_%', length(f.task), f.task";
    struct val_cursor c;
    enum status st = query(r, sql, task ? task : "", &r->rows, e);
    if (st == ST_OK && val_array(buf_slice(&r->rows), &c) == 0)
        return err_set(e, ST_USAGE, "%s put nothing aside%s%s", r->id, task ? " in " : "",
                       task ? task : "");
    return st;
}

/* --- running --- */

static enum status take_job_file(struct replay *r, struct err *e)
{
    const char *path = r->request->job_file;
    if (!path || realpath(path, r->job_file))
        return ST_OK;
    (void)err_sys(e, errno, "read the job", path);
    return e->status = ST_USAGE;
}

static enum status go(struct replay *r, struct err *e)
{
    const char *directory = (const char *)r->directory.p;
    history_close(r->history);
    r->history = NULL;
    if (chdir(directory) != 0) {
        (void)err_sys(e, errno, "go to the directory where the job was started,", directory);
        return e->status = ST_USAGE;
    }
    return replay_open(r->request->json, &r->box, e);
}

static const char *job_file(const struct replay *r)
{
    return r->job_file[0] ? r->job_file : NULL;
}

static struct slice assignment_of(struct slice row)
{
    struct slice assignment = slice_of(NULL, 0);
    (void)val_get_string(row, "assignment", &assignment);
    return assignment;
}

/* r->stored becomes the row's assignment, with all that it reads in its place. When that was stopped by
 * a signal, r->end says so. */
static enum status prepare(struct replay *r, struct slice row, struct err *e)
{
    struct slice assignment = assignment_of(row);
    r->sides.n = r->stored.n = 0;
    enum status st = val_check(assignment) != ST_OK
                         ? err_set(e, ST_CORRUPT, "the assignment in the journal does not decode")
                         : replay_sides(r->box, buf_slice(&r->description), assignment, &r->sides,
                                        &r->end, e);
    if (st == ST_OK)
        st = replay_replace(assignment, "sides", buf_slice(&r->sides), &r->stored, e);
    if (st == ST_OK && !r->end.stopped)
        st = replay_check_inputs(buf_slice(&r->stored), r->id, e);
    return st;
}

/* The whole attempt. */
static enum status replay_whole(struct replay *r, struct slice row, struct err *e)
{
    char type[ERR_TYPE_MAX];
    struct buf assignment = BUF_EMPTY;
    (void)val_get_cstr(row, "outcome", type, sizeof type);
    struct replay_change change = { .dir = replay_dir(r->box), .job = job_file(r),
                                    .as_ruled = r->request->put_aside, .culprit_type = type,
                                    .culprit = val_get_int(row, "record", -1) };
    enum status st = prepare(r, row, e);
    if (st == ST_OK)
        st = replay_assignment(buf_slice(&r->stored), &change, &assignment, e);
    if (st == ST_OK && !r->end.stopped)
        st = replay_run(r->box, buf_slice(&assignment), &r->end, e);
    buf_free(&assignment);
    return st;
}

static int run_whole(struct replay *r, struct slice row, struct err *e)
{
    char name[NAMES_MAX];
    attempt_name(row, name);
    story_begin_attempt(name, row);
    if (replay_whole(r, row, e) != ST_OK)
        return -1;
    return r->request->json ? story_attempt_json(r->id, name, &r->end)
                            : story_attempt(&r->end);
}

static enum status try_records(struct replay *r, struct slice row, struct replay_record *records,
                               size_t count, struct err *e)
{
    enum status st = prepare(r, row, e);
    if (st != ST_OK || r->end.stopped)
        return st;
    return replay_records(r->box, buf_slice(&r->stored), job_file(r), records, count, &r->arena,
                          &r->end, e);
}

static int run_record(struct replay *r, struct slice row, struct err *e)
{
    char name[NAMES_MAX];
    struct slice stored = assignment_of(row);
    struct replay_record one = { .record = r->request->record };
    attempt_name(row, name);
    if (try_records(r, row, &one, 1, e) != ST_OK)
        return -1;
    if (one.outcome == REPLAY_MISSING) {
        (void)err_set(e, ST_USAGE, "%s has no %s %lld: they are numbered from 0, and it reads %lld",
                      name, story_unit(stored), (long long)one.record,
                      (long long)story_units(buf_slice(&r->end.result)));
        return -1;
    }
    return r->request->json ? story_record_json(r->id, name, stored, &one, &r->end)
                            : story_record(stored, &one, &r->end);
}

/* --- records put aside --- */

static int by_record(const void *a, const void *b)
{
    const struct replay_record *x = a, *y = b;
    return (x->record > y->record) - (x->record < y->record);
}

/* The entries of a task's file as records, ascending, each once; the list is in the arena. */
static enum status load_records(struct replay *r, struct slice row, struct buf *entries,
                                struct replay_record **out, size_t *count, struct err *e)
{
    char path[REPLAY_PATH_MAX];
    uint64_t n = 0;
    struct slice entry;
    (void)val_get_cstr(row, "path", path, sizeof path);
    enum status st = replay_entries(path, entries, &n, e);
    if (st != ST_OK)
        return st;
    struct replay_record *list = arena_alloc(&r->arena, (size_t)(n + 1) * sizeof *list);
    if (!list)
        return err_memory(e, "a list of records", (size_t)n * sizeof *list);
    struct val_cursor c = val_cursor(buf_slice(entries));
    *count = 0;
    for (; n > 0 && val_skip(&c, &entry) == ST_OK; n--)
        if (val_get_int(entry, "record", -1) >= 0)
            list[(*count)++] = (struct replay_record){ .record = val_get_int(entry, "record", -1),
                                                       .entry = entry };
    qsort(list, *count, sizeof *list, by_record);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || list[i].record != list[kept - 1].record)
            list[kept++] = list[i];
    *count = kept;
    *out = list;
    return ST_OK;
}

static enum status try_task(struct replay *r, struct slice row, struct replay_record *records,
                            size_t count, struct err *e)
{
    if (!assignment_of(row).p)
        return err_set(e, ST_USAGE, "its assignment is not in the journal: run the job again with "
                                    "this lmr");
    return try_records(r, row, records, count, e);
}

/* A task that cannot be tried is told, and the next one is tried. */
static enum status run_task(struct replay *r, struct slice row, struct story *story, struct err *e)
{
    char name[NAMES_MAX];
    struct buf entries = BUF_EMPTY;
    struct replay_record *records = NULL;
    size_t count = 0;
    (void)val_get_cstr(row, "task", name, sizeof name);
    enum status st = load_records(r, row, &entries, &records, &count, e);
    if (st == ST_OK && try_task(r, row, records, count, e) != ST_OK)
        log_error("%s: %s", name, e->message);
    if (st == ST_OK)
        story_add_task(story, name, assignment_of(row), records, count);
    buf_free(&entries);
    return st;
}

static int run_quarantined(struct replay *r, struct err *e)
{
    struct story story;
    struct val_cursor c;
    struct slice row;
    uint64_t n = val_array(buf_slice(&r->rows), &c);
    story_open(&story, r->id, r->request->json);
    enum status st = ST_OK;
    for (; n > 0 && st == ST_OK && r->end.stopped == 0 && val_skip(&c, &row) == ST_OK; n--)
        st = run_task(r, row, &story, e);
    int code = story_end(&story, &r->end, r->request->job_file != NULL);
    return st == ST_OK ? code : -1;
}

/* --- the command --- */

static enum status check_words(const struct request *q, struct err *e)
{
    if (q->word_count > 2 || q->rest_count)
        return err_set(e, ST_USAGE, "too many words; usage: lmr replay JOB ATTEMPT, or lmr replay "
                                    "[JOB] --quarantined");
    if (q->run.quarantined && (q->has_record || q->put_aside))
        return err_set(e, ST_USAGE, "--quarantined tries all records that were put aside: it goes "
                                    "without --record and --put-aside");
    if (q->has_record && q->put_aside)
        return err_set(e, ST_USAGE, "--record tries one record alone: it goes without --put-aside");
    return ST_OK;
}

/* −1: `e` says why not. */
static int replay(struct replay *r, struct err *e)
{
    const struct request *q = r->request;
    const char *word = q->word_count > 1 ? q->words[1] : NULL;
    struct slice row = slice_of(NULL, 0);
    enum status st = check_words(q, e);
    if (st == ST_OK)
        st = take_job_file(r, e);
    if (st == ST_OK)
        st = open_journal(r, q->word_count ? q->words[0] : NULL, e);
    if (st != ST_OK)
        return -1;
    if (q->run.quarantined)
        st = find_quarantined(r, word, e);
    else
        st = word ? find_attempt(r, word, &row, e) : which_attempt(r, e);
    if (st == ST_OK)
        st = go(r, e);
    if (st != ST_OK)
        return -1;
    if (q->run.quarantined)
        return run_quarantined(r, e);
    return q->has_record ? run_record(r, row, e) : run_whole(r, row, e);
}

int command_replay(struct request *request)
{
    struct replay r = { .request = request, .arena = ARENA_EMPTY };
    struct err e;
    err_clear(&e);
    int code = replay(&r, &e);
    history_close(r.history);
    replay_close(r.box);
    if (code < 0) {
        log_err(&e);
        code = e.status == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
    }
    buf_free(&r.directory);
    buf_free(&r.description);
    buf_free(&r.stored);
    buf_free(&r.sides);
    buf_free(&r.rows);
    buf_free(&r.end.result);
    arena_free(&r.arena);
    return code;
}
