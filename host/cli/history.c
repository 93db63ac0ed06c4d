/* history.c: the commands that read what jobs have left behind: `lmr show`, `lmr why`, `lmr
 * quarantine`, `lmr jobs`, `lmr checkpoints`. What they say is written in scripts/report_*.lua. */
#include "cli/history.h"

#include "base/log.h"
#include "base/size.h"
#include "base/sys.h"
#include "cli/ask_job.h"
#include "cli/check_file.h"
#include "cli/cli.h"
#include "cli/disk.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/which_job.h"
#include "data/codec.h"
#include "recover/history.h"
#include "schedule/damage.h"
#include "schedule/place.h"
#include "script/report.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names that one report looks at to tell what takes how much on disk: half a second at most. */
enum { PATH_BYTES = 4096, PROGRESS_SECONDS = 2, ENTRIES_MAX = 300000 };

/* --- what reports ask --- */

/* What reports ask of other rooms, and what was read so far. */
struct reading {
    struct history *history;
    uint64_t entries; /* of folders, still to be looked at */
    uint64_t read, total;
    int64_t next; /* progress: when to draw it again */
    bool is_shown, quiet;
};

static enum status open_journal(void *context, const char *path, bool still, struct err *e)
{
    struct reading *r = context;
    history_close(r->history);
    r->history = NULL;
    if (!path)
        return ST_OK;
    return still ? history_open_still(path, &r->history, e) : history_open(path, &r->history, e);
}

static enum status query(void *context, const char *sql, struct slice params, struct buf *rows,
                         struct err *e)
{
    struct reading *r = context;
    if (!r->history)
        return err_set(e, ST_USAGE, "no journal is open");
    return history_query(r->history, sql, params, rows, e);
}

static const char *driver(const char *path, long pid)
{
    static const char *const words[] = {
        [WRITER_GONE] = "gone", [WRITER_ALIVE] = "alive", [WRITER_UNKNOWN] = "unknown"
    };
    return words[history_writer(path, pid)];
}

static bool disk(void *context, const char *path, uint64_t *bytes)
{
    struct reading *r = context;
    return disk_tree(path, &r->entries, bytes);
}

/* --- checking, which may take long --- */

static void clear_line(struct reading *r)
{
    if (r->is_shown)
        (void)sys_write(STDERR_FILENO, "\r\033[K", 4, "standard error", "report.progress", NULL);
    r->is_shown = false;
}

static void show_line(struct reading *r)
{
    char line[3 * SIZE_TEXT_MAX], read[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX];
    int n = snprintf(line, sizeof line, "\r\033[K%s of %s", size_format(r->read, read),
                     size_format(r->total, total));
    if (n > 0)
        (void)sys_write(STDERR_FILENO, line, (size_t)n, "standard error", "report.progress", NULL);
    r->is_shown = true;
}

static void tick(void *context, uint64_t bytes)
{
    struct reading *r = context;
    r->read += bytes;
    if (r->total == 0 || sys_now() < r->next)
        return;
    r->next = sys_now() + INT64_C(200000000);
    show_line(r);
}

static enum status check(void *context, const char *kind, const char *path,
                         struct report_checked *out, struct err *e)
{
    return check_file(kind, path, tick, context, out, e);
}

/* On a terminal, and only once it takes long enough to wonder. */
static void progress(void *context, uint64_t total)
{
    struct reading *r = context;
    clear_line(r);
    r->total = r->quiet || !isatty(STDERR_FILENO) ? 0 : total;
    r->next = sys_now() + INT64_C(500000000);
}

/* Which next steps may be named: the commands that this lmr has. */
static void put_commands(struct val_map *argument)
{
    const char *names[COMMANDS_MAX];
    const char *const *list = command_names(names);
    struct val_map known = VAL_MAP_EMPTY;
    struct buf value = BUF_EMPTY;
    for (; *list; list++)
        val_map_bool(&known, *list, true);
    if (val_map_end(&known, &value) == ST_OK)
        val_map_value(argument, "commands", buf_slice(&value));
    else
        argument->status = ST_MEMORY;
    buf_free(&value);
}

int history_report(const char *name, const struct request *request, struct val_map *argument)
{
    struct reading reading = { .entries = ENTRIES_MAX, .quiet = request->quiet };
    struct report_host host = { &reading, open_journal, query,          driver,     disk,
                                check,    progress,     columns_disarm, columns_of, columns_cut };
    struct buf value = BUF_EMPTY;
    struct err e;
    val_map_bool(argument, "json", request->json);
    val_map_bool(argument, "full", request->full);
    val_map_bool(argument, "quiet", request->quiet);
    val_map_str(argument, "task", request->task);
    val_map_str(argument, "state_dir_option", request->run.state_dir);
    put_commands(argument);
    enum status st = val_map_end(argument, &value);
    if (st != ST_OK)
        (void)err_memory(&e, "a report", value.n);
    else
        st = report_run(name, buf_slice(&value), &host, STDOUT_FILENO, &e);
    clear_line(&reading);
    history_close(reading.history);
    buf_free(&value);
    if (st == ST_OK)
        return EXIT_COMPLETE;
    log_err(&e);
    return st == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

/* --- of one job --- */

/* What the driver of a running job tells of its attempts; of others nothing. */
static void put_progress(const char *dir, struct val_map *argument)
{
    struct buf reply = BUF_EMPTY;
    if (ask_job(dir, "progress", PROGRESS_SECONDS, &reply, NULL) == ST_OK)
        val_map_value(argument, "progress", buf_slice(&reply));
    buf_free(&reply);
}

static enum status put_job(const struct request *request, const char *report,
                           struct val_map *argument, struct err *e)
{
    char dir[PATH_BYTES], journal[PATH_BYTES + sizeof "/journal.db"];
    const char *word = request->word_count > 0 ? request->words[0] : NULL;
    enum status st = which_job(request->run.state_dir, word, dir, sizeof dir, e);
    if (st != ST_OK)
        return st;
    (void)snprintf(journal, sizeof journal, "%s/journal.db", dir);
    val_map_str(argument, "id", sys_name(dir));
    val_map_str(argument, "job_dir", dir);
    val_map_str(argument, "journal", journal);
    if (strcmp(report, "show") == 0)
        put_progress(dir, argument);
    if (strcmp(report, "verify") == 0) /* what to go back to when the journal cannot be read */
        val_map_int(argument, "whole_checkpoint", (int64_t)damage_newest_whole(dir));
    return ST_OK;
}

/* `words` may be given: a job, and more where the report takes it. */
static int job_report(const char *name, const struct request *request, size_t words,
                      const char *usage)
{
    struct val_map argument = VAL_MAP_EMPTY;
    struct buf nothing = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    enum status st = ST_OK;
    if (request->word_count > words || request->rest_count)
        st = err_set(&e, ST_USAGE, "too many words; usage: lmr %s %s", name, usage);
    if (st == ST_OK)
        st = put_job(request, name, &argument, &e);
    if (st == ST_OK) {
        if (words > 1 && request->word_count > 1)
            val_map_str(&argument, "word", request->words[1]);
        return history_report(name, request, &argument);
    }
    (void)val_map_end(&argument, &nothing);
    buf_free(&nothing);
    log_err(&e);
    return st == ST_CORRUPT ? EXIT_FAILED : EXIT_WRONG_USAGE;
}

int command_show(struct request *request)
{
    return job_report("show", request, 1, "[JOB]");
}

int command_why(struct request *request)
{
    return job_report("why", request, 2, "[JOB [TASK]]");
}

int command_quarantine(struct request *request)
{
    return job_report("quarantine", request, 1, "[JOB] [--task TASK] [--full]");
}

int command_verify(struct request *request)
{
    return job_report("verify", request, 1, "[JOB]");
}

int command_checkpoints(struct request *request)
{
    return job_report("checkpoints", request, 1, "[JOB]");
}

/* --- of all jobs --- */

static bool has_journal(const char *dir, const char *id)
{
    char path[PATH_BYTES];
    struct stat info;
    int n = snprintf(path, sizeof path, "%s/%s/journal.db", dir, id);
    return n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0;
}

enum status history_ids(const char *dir, struct buf *out, struct err *e)
{
    struct buf all = BUF_EMPTY;
    const struct dirent *entry;
    uint64_t count = 0;
    DIR *d = opendir(dir);
    if (!d && errno != ENOENT) {
        (void)err_sys(e, errno, "read the state folder", dir);
        return ST_USAGE;
    }
    enum status st = ST_OK;
    while (d && st == ST_OK && (entry = readdir(d))) {
        if (entry->d_name[0] == '.' || !has_journal(dir, entry->d_name))
            continue;
        st = val_put_str(&all, entry->d_name);
        count++;
    }
    if (d)
        (void)closedir(d);
    if (st == ST_OK)
        st = val_put_array(out, count);
    if (st == ST_OK)
        st = buf_append_slice(out, buf_slice(&all));
    buf_free(&all);
    return st == ST_OK ? ST_OK : err_memory(e, "a list of jobs", (size_t)count);
}

static enum status find_jobs(const struct request *request, struct place *place, struct buf *ids,
                             struct err *e)
{
    struct run_options options = { .state_dir = request->run.state_dir };
    if (request->word_count || request->rest_count)
        return err_set(e, ST_USAGE, "jobs takes no words; of one job tells lmr show JOB");
    enum status st = place_plan(place, &options, e);
    return st == ST_OK ? history_ids(place->state_dir, ids, e) : st;
}

int command_jobs(struct request *request)
{
    struct val_map argument = VAL_MAP_EMPTY;
    struct buf ids = BUF_EMPTY;
    struct place place = { .arena = ARENA_EMPTY };
    struct err e;
    int code = EXIT_WRONG_USAGE;
    err_clear(&e);
    enum status st = find_jobs(request, &place, &ids, &e);
    if (st == ST_OK) {
        val_map_str(&argument, "state_dir", place.state_dir);
        val_map_value(&argument, "ids", buf_slice(&ids));
        code = history_report("jobs", request, &argument);
    } else {
        log_err(&e);
    }
    buf_free(&ids);
    place_free(&place);
    return code;
}
