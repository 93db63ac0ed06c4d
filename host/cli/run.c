/* run.c: `lmr run`: from a parsed command line to job_run, and from what it reports to what is
 * seen. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/table.h"

#include <stdio.h>
#include <unistd.h>

/* One run as it is seen. Plan and summary are built when the observer is called and printed at
 * the end. */
struct view {
    const struct request *request;
    struct progress progress;
    struct text plan, summary;
    bool has_summary;
    struct view_losses losses;
    char job_id[256], resume[1024];
};

/* --- observer --- */

static void on_plan(void *context, const struct job_plan_view *plan)
{
    struct view *view = context;
    if (view->request->json)
        plan_json(&view->plan, plan);
    else
        plan_write(&view->plan, plan);
}

/* A dry run's is all that is printed, on standard output; else the text is told as a note. */
static void on_resume(void *context, const struct resume_view *resume)
{
    struct view *view = context;
    struct text tasks = TEXT_EMPTY;
    if (view->request->run.dry_run && view->request->json)
        resume_json(&view->plan, resume, view->request->run.list_tasks);
    else if (view->request->run.dry_run)
        resume_write(&view->plan, resume, view->request->run.list_tasks);
    else if (!view->request->quiet) {
        resume_tasks(&tasks, resume);
        (void)text_print(&tasks, STDERR_FILENO);
    }
}

static void on_progress(void *context, const struct job_snapshot *snapshot)
{
    struct view *view = context;
    progress_show(&view->progress, snapshot);
}

static void on_note(void *context, const char *text)
{
    (void)context;
    log_note("%s", text);
}

static void on_warning(void *context, const char *text)
{
    struct view *view = context;
    if (!view->request->quiet)
        log_warning("%s", text);
}

static void on_summary(void *context, const struct job_summary *summary)
{
    struct view *view = context;
    view->has_summary = true;
    (void)snprintf(view->job_id, sizeof view->job_id, "%s", summary->job_id);
    view->losses = (struct view_losses){ summary->quarantined, summary->dropped, view->job_id };
    (void)snprintf(view->resume, sizeof view->resume, "%s", summary->resume_command
                   ? summary->resume_command : "");
    if (view->request->json)
        summary_json(&view->summary, summary);
    else
        summary_write(&view->summary, summary);
}

/* --- the end --- */

static void print_summary(struct view *view, int code)
{
    struct text t = TEXT_EMPTY;
    if (view->request->quiet || view->request->json || !view->has_summary)
        return;
    text_printf(&t, "lmr: %s: %s\n", view->job_id, outcome_name(code));
    text_add_bytes(&t, (const char *)view->summary.buf.p, view->summary.buf.n);
    if (exit_has_result(code))
        summary_result(&t, &view->losses, view->request->run.output_dir);
    (void)text_print(&t, STDERR_FILENO);
}

/* Where results are not: so that a program can read the one without the other. */
static int print_json(struct view *view, int code, const struct err *e)
{
    struct text t = TEXT_EMPTY;
    bool plain = view->request->run.output_dir != NULL;
    text_add(&t, "{");
    text_add_bytes(&t, (const char *)view->summary.buf.p, view->summary.buf.n);
    summary_json_end(&t, code, e);
    return text_print(&t, plain ? STDOUT_FILENO : STDERR_FILENO);
}

static void print_error(struct view *view, int code, const struct err *e)
{
    if (exit_has_result(code))
        return;
    if (e->message[0])
        log_err(e);
    if (view->resume[0])
        log_error("to go on: %s", view->resume);
}

static int finish(struct view *view, int code, const struct err *e)
{
    bool planned = view->request->run.dry_run && code == EXIT_COMPLETE;
    progress_end(&view->progress);
    if (planned)
        return text_print(&view->plan, STDOUT_FILENO);
    print_summary(view, code);
    print_error(view, code, e);
    if (!view->request->json)
        return code;
    int printed = print_json(view, code, e);
    return code == EXIT_COMPLETE ? printed : code;
}

/* --- the start --- */

static enum status take_words(struct request *request, struct err *e)
{
    struct run_options *run = &request->run;
    size_t used = 0;
    if (!run->map_code) {
        if (run->reduce_code)
            return err_set(e, ST_USAGE,
                           "--reduce without --map: a job without a file needs both, as in lmr "
                           "run -m CODE -r sum; a job in a file has its own reduce");
        if (request->word_count == 0)
            return err_set(e, ST_USAGE,
                           "no job: give a file (lmr run JOB.lua), or code (lmr run -m CODE); lmr "
                           "new FILE writes one to start from");
        run->job_path = request->words[used++];
    }
    run->inputs = (char *const *)(request->words + used);
    run->input_count = request->word_count - used;
    run->args = request->rest;
    run->arg_count = request->rest_count;
    return ST_OK;
}

static enum status check_together(const struct run_options *run, struct err *e)
{
    if (run->overwrite && !run->output_dir)
        return err_set(e, ST_USAGE,
                       "--overwrite without --output: there is nothing to overwrite; add -o DIR");
    return ST_OK;
}

int command_run(struct request *request)
{
    struct err e;
    err_clear(&e);
    if (take_words(request, &e) == ST_OK && check_together(&request->run, &e) == ST_OK)
        return run_request(request);
    log_err(&e);
    return EXIT_WRONG_USAGE;
}

int run_request(struct request *request)
{
    struct err e;
    err_clear(&e);
    struct view view = { .request = request, .plan = TEXT_EMPTY, .summary = TEXT_EMPTY };
    struct job_observer observer = { .plan = on_plan,
                                     .resume = on_resume,
                                     .progress = on_progress,
                                     .note = on_note,
                                     .warning = on_warning,
                                     .summary = on_summary,
                                     .context = &view };
    log_set_quiet(request->quiet);
    progress_start(&view.progress, request->quiet || request->run.dry_run,
                   request->run.output_dir ? -1 : STDOUT_FILENO);
    int code = job_run(&request->run, &observer, &e);
    code = finish(&view, code, &e);
    text_free(&view.plan);
    text_free(&view.summary);
    return code;
}
