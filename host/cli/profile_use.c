#include "cli/profile_use.h"

#include "base/log.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/which_job.h"
#include "schedule/control.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 30 };

static bool is_path(const char *profile)
{
    size_t n = strlen(profile);
    return strchr(profile, '/') || (n > 4 && strcmp(profile + n - 4, ".lua") == 0);
}

/* The driver may have started in another directory. */
static enum status full_name(const char *profile, char out[PATH_MAX], struct err *e)
{
    if (is_path(profile)) {
        if (realpath(profile, out))
            return ST_OK;
        (void)err_sys(e, errno, "read the profile", profile);
        return ST_USAGE;
    }
    if (strlen(profile) >= PATH_MAX)
        return err_set(e, ST_USAGE, "the name of the profile is too long");
    memcpy(out, profile, strlen(profile) + 1);
    return ST_OK;
}

static enum status call(const char *job_dir, const char *profile, struct buf *reply, struct err *e)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf request = BUF_EMPTY;
    val_map_str(&m, "command", "profile");
    val_map_str(&m, "profile", profile);
    enum status st = val_map_end(&m, &request);
    st = st == ST_OK ? control_call(job_dir, buf_slice(&request), ANSWER_SECONDS, reply, e)
                     : err_memory(e, "a request", request.n);
    buf_free(&request);
    return st;
}

/* Values of a profile stand in it, which may be anybody's: none shall steer the terminal. */
static void add_lines(struct text *t, struct slice message)
{
    for (size_t at = 0, end; at < message.n; at = end + 1) {
        char line[1024];
        for (end = at; end < message.n && message.p[end] != '\n';)
            end++;
        (void)snprintf(line, sizeof line, "%.*s", (int)(end - at), (const char *)message.p + at);
        columns_disarm(line);
        text_printf(t, "%s\n", line);
    }
}

static int tell(const char *job_dir, const char *profile, struct slice reply)
{
    struct text t = TEXT_EMPTY;
    struct slice message = { NULL, 0 };
    (void)val_get_string(reply, "message", &message);
    if (!val_get_bool(reply, "ok", false)) {
        log_error("%.*s; nothing was changed", (int)message.n, (const char *)message.p);
        return EXIT_WRONG_USAGE;
    }
    text_printf(&t, "job %s follows %s from its next decision on:\n", strrchr(job_dir, '/') + 1,
                profile);
    add_lines(&t, message);
    return text_print(&t, STDOUT_FILENO);
}

int profile_use(const char *state_dir, const char *const *words, size_t count)
{
    char job_dir[PATH_MAX], profile[PATH_MAX];
    struct buf reply = BUF_EMPTY;
    struct err e;
    int code = EXIT_WRONG_USAGE;
    err_clear(&e);
    if (count < 1 || count > 2) {
        log_error("which profile? usage: lmr profile use [JOB] NAME|FILE");
        return code;
    }
    enum status st = full_name(words[count - 1], profile, &e);
    if (st == ST_OK)
        st = which_job(state_dir, count == 2 ? words[0] : NULL, job_dir, sizeof job_dir, &e);
    if (st == ST_OK)
        st = call(job_dir, profile, &reply, &e);
    if (st == ST_OK)
        code = tell(job_dir, words[count - 1], buf_slice(&reply));
    else
        log_err(&e);
    buf_free(&reply);
    return code;
}
