/* clean.c: `lmr rm` and `lmr clean`: which jobs are removed, and what is told of it. */
#include "base/log.h"
#include "base/size.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/history.h"
#include "cli/remove.h"
#include "cli/table.h"
#include "cli/which_job.h"
#include "data/codec.h"
#include "recover/history.h"
#include "schedule/place.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What has become of jobs, as the report removed takes it: an encoded map each. */
struct told {
    struct buf jobs;
    uint64_t count;
    bool refused; /* one that was asked for could not be removed */
    enum status status;
};

static void tell(struct told *t, const char *id, const struct removal *r, bool kept,
                 const char *error)
{
    struct val_map m = VAL_MAP_EMPTY;
    val_map_bool(&m, "kept", kept);
    val_map_str(&m, "id", id);
    val_map_str(&m, "state", r->state[0] ? r->state : NULL);
    if (r->ended)
        val_map_int(&m, "ended", r->ended);
    val_map_int(&m, "bytes", (int64_t)r->bytes);
    val_map_bool(&m, "at_least", r->at_least);
    val_map_str(&m, "note", r->note[0] ? r->note : NULL);
    val_map_str(&m, "error", error);
    if (val_map_end(&m, &t->jobs) != ST_OK)
        t->status = ST_MEMORY;
    t->count++;
}

static int report_told(const struct request *request, struct told *t, const char *state_dir)
{
    struct val_map argument = VAL_MAP_EMPTY;
    struct buf list = BUF_EMPTY;
    struct err e;
    err_clear(&e);
    if (t->status == ST_OK)
        t->status = val_put_array(&list, t->count);
    if (t->status == ST_OK)
        t->status = buf_append_slice(&list, buf_slice(&t->jobs));
    if (t->status == ST_OK)
        val_map_value(&argument, "removed", buf_slice(&list));
    else
        argument.status = t->status;
    val_map_bool(&argument, "dry_run", request->run.dry_run);
    val_map_str(&argument, "state_dir", state_dir);
    int code = history_report("removed", request, &argument);
    buf_free(&list);
    buf_free(&t->jobs);
    return code;
}

/* --- rm --- */

/* A job that is not there stops all before anything is removed. */
static enum status check_words(const struct request *request, struct err *e)
{
    char job_dir[PATH_MAX];
    enum status st = ST_OK;
    if (request->rest_count)
        return err_set(e, ST_USAGE, "lmr rm takes nothing after --; usage: lmr rm [--dry-run] JOB…");
    if (request->word_count == 0)
        return err_set(e, ST_USAGE,
                       "which job? usage: lmr rm [--dry-run] JOB…; lmr jobs lists them, and lmr clean "
                       "removes old ones");
    for (size_t i = 0; i < request->word_count && st == ST_OK; i++)
        st = which_one_job(request->run.state_dir, request->words[i], job_dir, sizeof job_dir, e);
    return st;
}

static void remove_one(const struct request *request, const char *job_dir, struct told *t)
{
    struct removal r = { .dry_run = request->run.dry_run };
    struct err e;
    err_clear(&e);
    (void)remove_look(job_dir, &r, &e);
    err_clear(&e);
    enum status st = remove_job(job_dir, &r, &e);
    if (st != ST_OK) {
        log_err(&e);
        t->refused = true;
    }
    tell(t, sys_name(job_dir), &r, false, st == ST_OK ? NULL : e.message);
}

int command_rm(struct request *request)
{
    char job_dir[PATH_MAX];
    struct told t = { .jobs = BUF_EMPTY };
    struct err e;
    err_clear(&e);
    enum status st = check_words(request, &e);
    if (st != ST_OK) {
        log_err(&e);
        return EXIT_WRONG_USAGE;
    }
    for (size_t i = 0; i < request->word_count; i++)
        if (which_one_job(request->run.state_dir, request->words[i], job_dir, sizeof job_dir, &e) ==
            ST_OK) /* else it was named twice */
            remove_one(request, job_dir, &t);
    int code = report_told(request, &t, NULL);
    return code == EXIT_COMPLETE && t.refused ? EXIT_FAILED : code;
}

/* --- clean --- */

static enum status oldest_age(const struct request *request, double *seconds, struct err *e)
{
    if (request->word_count || request->rest_count)
        return err_set(e, ST_USAGE,
                       "lmr clean takes no jobs; lmr rm JOB removes one, lmr clean --older-than 7d all that ended "
                       "longer ago");
    if (!request->older_than)
        return err_set(e, ST_USAGE,
                       "--older-than is missing: how long ago must a job have ended to be removed? try lmr clean "
                       "--older-than 7d --dry-run");
    size_t n = strlen(request->older_than); /* 7 would be seconds here, and days in the mind of who typed it */
    bool has_unit = n > 0 && request->older_than[n - 1] >= 'a' && request->older_than[n - 1] <= 'z';
    if (!has_unit || !duration_parse(request->older_than, seconds) || *seconds < 0)
        return err_set(e, ST_USAGE,
                       "--older-than %s: not a time, which is a number with s, m, h or d behind it; try --older-than 7d",
                       request->older_than);
    return ST_OK;
}

/* Who runs is found out by its lock, under which it is removed. */
static void clean_one(const struct request *request, const char *job_dir, int64_t limit,
                      struct told *t)
{
    struct removal r = { .dry_run = request->run.dry_run };
    struct err e;
    err_clear(&e);
    if (remove_look(job_dir, &r, &e) != ST_OK)
        return;
    bool whole = r.ended <= limit && (request->all || history_is_over(r.state));
    if (!whole && strcmp(r.state, "complete") != 0)
        return;
    enum status st = whole ? remove_job(job_dir, &r, &e) : remove_kept(job_dir, &r, &e);
    if (st == ST_USAGE || (st == ST_OK && !whole && r.bytes == 0))
        return; /* it runs, or is half published; or it keeps nothing */
    if (st != ST_OK) {
        log_err(&e);
        t->refused = true;
    }
    tell(t, sys_name(job_dir), &r, !whole, st == ST_OK ? NULL : e.message);
}

static enum status clean_all(const struct request *request, const char *state_dir, double seconds,
                             struct told *t, struct err *e)
{
    char job_dir[PATH_MAX], id[NAME_MAX + 1];
    struct buf ids = BUF_EMPTY;
    struct val_cursor c;
    struct scalar v;
    double now = (double)sys_wall_clock();
    int64_t limit = seconds * 1e9 < now ? (int64_t)(now - seconds * 1e9) : 0;
    enum status st = history_ids(state_dir, &ids, e);
    uint64_t n = st == ST_OK ? val_array(buf_slice(&ids), &c) : 0;
    for (uint64_t i = 0; i < n && val_next(&c, &v) == ST_OK; i++) {
        (void)snprintf(id, sizeof id, "%.*s", (int)v.s.n, (const char *)v.s.p);
        int length = snprintf(job_dir, sizeof job_dir, "%s/%s", state_dir, id);
        if (length > 0 && (size_t)length < sizeof job_dir)
            clean_one(request, job_dir, limit, t);
    }
    buf_free(&ids);
    return st;
}

int command_clean(struct request *request)
{
    struct run_options options = { .state_dir = request->run.state_dir };
    struct place place = { .arena = ARENA_EMPTY };
    struct told t = { .jobs = BUF_EMPTY };
    struct err e;
    double seconds = 0;
    int code = EXIT_WRONG_USAGE;
    err_clear(&e);
    enum status st = oldest_age(request, &seconds, &e);
    if (st == ST_OK)
        st = place_plan(&place, &options, &e);
    if (st == ST_OK)
        st = clean_all(request, place.state_dir, seconds, &t, &e);
    if (st == ST_OK)
        code = report_told(request, &t, place.state_dir);
    else
        log_err(&e);
    place_free(&place);
    return code == EXIT_COMPLETE && t.refused ? EXIT_FAILED : code;
}
