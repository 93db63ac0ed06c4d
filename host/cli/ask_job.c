/* ask_job.c: `lmr stop` and `lmr checkpoint`: what the driver of a running job is asked to do. */
#include "cli/ask_job.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/table.h"
#include "cli/which_job.h"
#include "recover/history.h"
#include "schedule/control.h"
#include "schedule/past.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A checkpoint waits for attempts that put down where they stand, and a stop for them and for the disk. */
enum { ANSWER_SECONDS = 60, END_SECONDS = 60, LOOK_MS = 20 };

enum status ask_job(const char *job_dir, const char *command, double seconds, struct buf *reply,
                    struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf request = BUF_EMPTY;
    val_map_str(&m, "command", command);
    enum status st = val_map_end(&m, &request);
    st = st == ST_OK ? control_call(job_dir, buf_slice(&request), seconds, reply, e)
                     : err_memory(e, "a request", request.n);
    if (st == ST_OK && val_check(buf_slice(reply)) != ST_OK)
        st = err_set(e, ST_CORRUPT, "job %s answered with what is no value",
                     sys_name(job_dir));
    buf_free(&request);
    return st;
}

/* " --state-dir DIR" for commands that are to be typed, or "". */
static const char *state_option(const struct request *request, char out[PATH_MAX + 16])
{
    out[0] = '\0';
    if (request->run.state_dir)
        (void)snprintf(out, PATH_MAX + 16, " --state-dir %s", request->run.state_dir);
    return out;
}

/* --- who does not run cannot be asked --- */

static void advise(const struct request *request, const char *job_dir, const char *state,
                   const char *host, struct err *e)
{
    char option[PATH_MAX + 16];
    const char *id = sys_name(job_dir);
    (void)state_option(request, option);
    if (history_is_over(state))
        (void)err_set(e, ST_USAGE, "%s is not running: it is %s (lmr show %s%s)", id, state, id,
                      option);
    else if (strcmp(state, "running") == 0 || strcmp(state, "publishing") == 0)
        (void)err_set(e, ST_USAGE,
                      "the driver of %s cannot be reached: it has gone, or it runs on another host than this one "
                      "(it was started on %s); if it has gone, lmr resume %s%s goes on",
                      id, host ? host : "one that is not known", id, option);
    else
        (void)err_set(e, ST_USAGE, "%s is not running: it is %s; lmr resume %s%s goes on with it", id,
                      state, id, option);
}

/* Says of a job that did not answer how it stands, and what to do. */
static void explain(const struct request *request, const char *job_dir, struct err *e)
{
    char path[PATH_MAX + sizeof "/journal.db"];
    struct past past = { .arena = ARENA_EMPTY };
    struct err ignored;
    err_clear(&ignored);
    (void)snprintf(path, sizeof path, "%s/journal.db", job_dir);
    if (e->status == ST_USAGE && past_read_job(path, &past, &ignored) == ST_OK) {
        const char *state = past_text(&past, "state");
        if (state)
            advise(request, job_dir, state, past_text(&past, "host"), e);
    }
    past_free(&past);
}

/* --- both commands --- */

static enum status find_one(const struct request *request, const char *usage, char job_dir[PATH_MAX],
                            struct err *e)
{
    if (request->word_count == 0)
        return err_set(e, ST_USAGE, "which job? usage: %s; lmr jobs lists them", usage);
    if (request->word_count > 1 || request->rest_count)
        return err_set(e, ST_USAGE, "one job at a time; usage: %s", usage);
    return which_job(request->run.state_dir, request->words[0], job_dir, PATH_MAX, e);
}

/* Asks, and takes a refusal for a failure. */
static enum status ask(const struct request *request, const char *job_dir, const char *command,
                       struct buf *reply, struct err *e)
{
    struct slice message = { NULL, 0 };
    enum status st = ask_job(job_dir, command, ANSWER_SECONDS, reply, e);
    if (st != ST_OK) {
        explain(request, job_dir, e);
        return st;
    }
    if (val_get_bool(buf_slice(reply), "ok", false))
        return ST_OK;
    (void)val_get_string(buf_slice(reply), "message", &message);
    return err_set(e, ST_CRASH, "%.*s", (int)message.n, (const char *)message.p);
}

static int ended_with(enum status st, const struct err *e)
{
    if (st == ST_OK)
        return EXIT_COMPLETE;
    log_err(e);
    return st == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
}

static int tell_checkpoint(const char *job_dir, struct slice reply)
{
    struct text t = TEXT_EMPTY;
    char path[PATH_MAX];
    (void)val_get_cstr(reply, "path", path, sizeof path);
    columns_disarm(path);
    text_printf(&t, "checkpoint %" PRId64 " of %s: %s\n", val_get_int(reply, "number", 0),
                sys_name(job_dir), path);
    return text_print(&t, STDOUT_FILENO);
}

int command_checkpoint(struct request *request)
{
    char job_dir[PATH_MAX];
    struct buf reply = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    enum status st = find_one(request, "lmr checkpoint JOB", job_dir, &e);
    if (st == ST_OK)
        st = ask(request, job_dir, "checkpoint", &reply, &e);
    int code = st == ST_OK ? tell_checkpoint(job_dir, buf_slice(&reply)) : ended_with(st, &e);
    buf_free(&reply);
    return code;
}

/* --- stop --- */

static void pause_ms(long ms)
{
    const struct timespec time = { .tv_nsec = ms * 1000000 };
    (void)nanosleep(&time, NULL);
}

/* The socket goes with the driver, at its end. False: it is still there. */
static bool wait_for_end(const char *job_dir)
{
    char path[PATH_MAX + sizeof "/control.sock"];
    struct stat info;
    int64_t deadline = sys_now() + INT64_C(1000000000) * END_SECONDS;
    (void)snprintf(path, sizeof path, "%s/control.sock", job_dir);
    while (stat(path, &info) == 0) {
        if (sys_now() > deadline)
            return false;
        pause_ms(LOOK_MS);
    }
    return true;
}

/* It may have come to its end before it was told to stop. */
static int tell_end(const struct request *request, const char *job_dir)
{
    char path[PATH_MAX + sizeof "/journal.db"], option[PATH_MAX + 16];
    struct past past = { .arena = ARENA_EMPTY };
    struct text t = TEXT_EMPTY;
    struct err e;
    err_clear(&e);
    (void)snprintf(path, sizeof path, "%s/journal.db", job_dir);
    enum status st = past_read_job(path, &past, &e);
    const char *state = st == ST_OK ? past_text(&past, "state") : NULL, *id = sys_name(job_dir);
    if (state && history_is_over(state))
        text_printf(&t, "%s is %s: it ended before it could be stopped\n", id, state);
    else
        text_printf(&t, "%s is stopped; lmr resume %s%s goes on\n", id, id,
                    state_option(request, option));
    past_free(&past);
    return text_print(&t, STDOUT_FILENO);
}

int command_stop(struct request *request)
{
    char job_dir[PATH_MAX], option[PATH_MAX + 16];
    struct buf reply = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    enum status st = find_one(request, "lmr stop JOB", job_dir, &e);
    if (st == ST_OK)
        st = ask(request, job_dir, "stop", &reply, &e);
    buf_free(&reply);
    if (st != ST_OK)
        return ended_with(st, &e);
    if (!wait_for_end(job_dir)) {
        log_error("%s was told to stop, but its driver is still there after %d s; lmr show %s%s tells what it does",
                  sys_name(job_dir), END_SECONDS, sys_name(job_dir), state_option(request, option));
        return EXIT_FAILED;
    }
    return tell_end(request, job_dir);
}
