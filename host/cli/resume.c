/* resume.c: `lmr resume`: from a job's name to the options it was started with, and on with it. */
#include "base/arena.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/which_job.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

/* Puts what the job was started with in the place of what was given. */
static enum status take_options(struct request *request, const char *job_dir, struct arena *arena,
                                struct err *e)
{
    struct run_options run;
    const char *directory = NULL;
    enum status st = job_options(job_dir, arena, &run, &directory, e);
    if (st != ST_OK)
        return st;
    run.resume = job_dir;
    run.quarantined = request->run.quarantined;
    run.state_dir = request->run.state_dir;
    request->run = run;
    if (directory && chdir(directory) != 0) {
        (void)err_sys(e, errno, "go to the directory where the job was started,", directory);
        return ST_USAGE;
    }
    return ST_OK;
}

int command_resume(struct request *request)
{
    char job_dir[PATH_MAX];
    struct arena arena = ARENA_EMPTY;
    struct err e;
    int code = EXIT_WRONG_USAGE;
    enum status st = ST_OK;
    err_clear(&e);
    if (request->word_count > 1)
        st = err_set(&e, ST_USAGE, "%s: one job at a time can be resumed", request->words[1]);
    if (st == ST_OK)
        st = which_job(request->run.state_dir, request->word_count ? request->words[0] : NULL,
                       job_dir, sizeof job_dir, &e);
    if (st == ST_OK)
        st = take_options(request, job_dir, &arena, &e);
    if (st == ST_OK)
        code = run_request(request);
    else
        log_err(&e);
    arena_free(&arena);
    return code;
}
