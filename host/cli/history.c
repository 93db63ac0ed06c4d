/* history.c: the commands that read what jobs have left behind: `lmr show`, `lmr why`, `lmr
 * quarantine`, `lmr jobs`. What they say is written in scripts/report_*.lua. */
#include "recover/history.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/which_job.h"
#include "data/codec.h"
#include "schedule/place.h"
#include "script/report.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

/* --- what reports ask --- */

static enum status open_journal(void *context, const char *path, struct err *e)
{
    struct history **history = context;
    history_close(*history);
    *history = NULL;
    return path ? history_open(path, history, e) : ST_OK;
}

static enum status query(void *context, const char *sql, struct slice params, struct buf *rows,
                         struct err *e)
{
    struct history **history = context;
    if (!*history)
        return err_set(e, ST_USAGE, "no journal is open");
    return history_query(*history, sql, params, rows, e);
}

static const char *driver(const char *path, long pid)
{
    static const char *const words[] = {
        [WRITER_GONE] = "gone", [WRITER_ALIVE] = "alive", [WRITER_UNKNOWN] = "unknown"
    };
    return words[history_writer(path, pid)];
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

/* Runs a report; ends `argument`. */
static int report(const char *name, const struct request *request, struct val_map *argument)
{
    struct history *history = NULL;
    struct report_host host = { &history,       open_journal, query,      driver,
                                columns_disarm, columns_of,   columns_cut };
    struct buf value = BUF_EMPTY;
    struct err e;
    val_map_bool(argument, "json", request->json);
    val_map_bool(argument, "full", request->full);
    val_map_str(argument, "task", request->task);
    val_map_str(argument, "state_dir_option", request->run.state_dir);
    put_commands(argument);
    enum status st = val_map_end(argument, &value);
    if (st != ST_OK)
        (void)err_memory(&e, "a report", value.n);
    else
        st = report_run(name, buf_slice(&value), &host, STDOUT_FILENO, &e);
    history_close(history);
    buf_free(&value);
    if (st == ST_OK)
        return EXIT_COMPLETE;
    log_err(&e);
    return st == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

/* --- of one job --- */

static enum status put_job(const struct request *request, struct val_map *argument, struct err *e)
{
    char dir[PATH_BYTES], journal[PATH_BYTES + sizeof "/journal.db"];
    const char *word = request->word_count > 0 ? request->words[0] : NULL;
    enum status st = which_job(request->run.state_dir, word, dir, sizeof dir, e);
    if (st != ST_OK)
        return st;
    (void)snprintf(journal, sizeof journal, "%s/journal.db", dir);
    val_map_str(argument, "id", strrchr(dir, '/') + 1);
    val_map_str(argument, "job_dir", dir);
    val_map_str(argument, "journal", journal);
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
        st = put_job(request, &argument, &e);
    if (st == ST_OK) {
        if (words > 1 && request->word_count > 1)
            val_map_str(&argument, "word", request->words[1]);
        return report(name, request, &argument);
    }
    (void)val_map_end(&argument, &nothing);
    buf_free(&nothing);
    log_err(&e);
    return EXIT_WRONG_USAGE;
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

/* --- of all jobs --- */

static bool has_journal(const char *dir, const char *id)
{
    char path[PATH_BYTES];
    struct stat info;
    int n = snprintf(path, sizeof path, "%s/%s/journal.db", dir, id);
    return n > 0 && (size_t)n < sizeof path && stat(path, &info) == 0;
}

/* The ids of all jobs as an encoded array, in no order. */
static enum status list_jobs(const char *dir, struct buf *out, struct err *e)
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
    return st == ST_OK ? list_jobs(place->state_dir, ids, e) : st;
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
        code = report("jobs", request, &argument);
    } else {
        log_err(&e);
    }
    buf_free(&ids);
    place_free(&place);
    return code;
}
