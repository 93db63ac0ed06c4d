/* resume.c: `lmr resume`: from a job's name to the options it was started with, and on with it. */
#include "base/arena.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/which_job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Before the directory changes; NULL stays. */
static enum status absolute(const char *path, struct arena *arena, const char **out, struct err *e)
{
    char cwd[PATH_MAX];
    *out = path;
    if (!path || path[0] == '/')
        return ST_OK;
    if (!path[0])
        return err_set(e, ST_USAGE, "the name of a directory is empty");
    if (!getcwd(cwd, sizeof cwd))
        return err_sys(e, errno, "find", "the working directory");
    size_t n = strlen(cwd) + strlen(path) + 2;
    char *whole = arena_alloc(arena, n);
    if (!whole)
        return err_memory(e, "a path", n);
    (void)snprintf(whole, n, "%s/%s", cwd, path);
    *out = whole;
    return ST_OK;
}

/* Puts what the job was started with in the place of what was given. */
static enum status take_options(struct request *request, const char *job_dir, struct arena *arena,
                                struct err *e)
{
    struct run_options run;
    const char *directory = NULL;
    enum status st = job_options(job_dir, request->run.from, arena, &run, &directory, e);
    if (st != ST_OK)
        return st;
    run.resume = job_dir;
    run.quarantined = request->run.quarantined;
    run.from = request->run.from;
    run.dry_run = request->run.dry_run;
    run.list_tasks = request->run.list_tasks;
    run.accept = request->run.accept;
    run.accept_count = request->run.accept_count;
    run.state_dir = request->run.state_dir;
    st = absolute(request->run.output_dir, arena, &run.moved_output, e);
    if (st == ST_OK)
        st = absolute(request->run.work_dir, arena, &run.moved_work, e);
    if (st != ST_OK)
        return st;
    if (run.moved_output)
        run.output_dir = run.moved_output;
    if (run.moved_work)
        run.work_dir = run.moved_work;
    request->run = run;
    if (directory && chdir(directory) != 0) {
        return err_set(e, ST_USAGE,
                       "cannot go to %s, where the job was started and its names begin: %s; put it back, or make a "
                       "link of that name to where it is now (ln -s), then resume again",
                       directory, strerror(errno));
    }
    return ST_OK;
}

/* Without a word: the latest that can be gone on with, or, to tell how it ended, the latest. */
static enum status find_job(const struct request *request, char *job_dir, size_t cap, struct err *e)
{
    const char *state_dir = request->run.state_dir;
    if (request->word_count == 0 && !request->run.quarantined &&
        which_open_job(state_dir, job_dir, cap, NULL) == ST_OK)
        return ST_OK;
    return which_job(state_dir, request->word_count ? request->words[0] : NULL, job_dir, cap, e);
}

int command_resume(struct request *request)
{
    char job_dir[PATH_MAX];
    struct arena arena = ARENA_EMPTY;
    struct err e;
    int code = EXIT_WRONG_USAGE;
    enum status st = ST_OK;
    err_clear(&e);
    if (request->run.quarantined && request->run.accept_count > 0)
        st = err_set(&e, ST_USAGE,
                     "--accept-change with --quarantined: a complete job runs only what had put records "
                     "aside again, whatever has changed; leave --accept-change out");
    else if (request->word_count > 1)
        st = err_set(&e, ST_USAGE, "%s: one job at a time can be resumed", request->words[1]);
    else if (request->rest_count > 0)
        st = err_set(&e, ST_USAGE,
                     "%s: a job goes on with the arguments it was started with; options of lmr resume stand "
                     "before --, and other arguments need another run",
                     request->rest[0]);
    if (st == ST_OK)
        st = find_job(request, job_dir, sizeof job_dir, &e);
    if (st == ST_OK)
        st = take_options(request, job_dir, &arena, &e);
    if (st == ST_OK)
        code = run_request(request);
    else
        log_err(&e);
    arena_free(&arena);
    return code;
}
