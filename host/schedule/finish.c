/* finish.c: publishing, and what is left behind. */
#include "schedule/driver.h"

#include "base/size.h"
#include "base/sys.h"
#include "data/output.h"
#include "schedule/restore.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 256 };

/* Set by the handler that stands while results are copied to standard output. */
static volatile sig_atomic_t stop_signal;

/* --- names of published files --- */

enum status finish_suffix(const struct driver *d, char out[FILE_SUFFIX_MAX], struct err *e)
{
    struct buf value = BUF_EMPTY;
    struct output_spec spec = { .format = OUT_TEXT };
    struct slice description = d->job.output.n > 0 ? d->job.output
                                                   : slice_of("\1", 1); /* VAL_NULL: text */
    enum status st = ST_OK;
    if (d->options->output_format) {
        st = val_put_str(&value, d->options->output_format);
        description = buf_slice(&value);
    }
    if (st == ST_OK)
        st = output_spec_parse(description, &spec, e);
    (void)snprintf(out, FILE_SUFFIX_MAX, "%s", st == ST_OK ? output_suffix(&spec) : "");
    output_spec_free(&spec);
    buf_free(&value);
    return st;
}

static enum status set_name(struct kept_file *f, const char *name, size_t number,
                            const char *suffix)
{
    f->name.n = 0;
    enum status st = buf_printf(&f->name, "%s-%05zu%s", name, number, suffix);
    return st == ST_OK ? buf_terminate(&f->name) : st;
}

static enum status name_files(struct driver *d, struct err *e)
{
    char suffix[FILE_SUFFIX_MAX], name[NAME_MAX_BYTES];
    enum status st = finish_suffix(d, suffix, e);
    for (size_t i = 0; i < d->parts.count && st == ST_OK; i++)
        st = set_name(&d->parts.files[i], "part", d->parts.files[i].number, suffix);
    for (size_t i = 0; i < d->outputs.count && st == ST_OK; i++) {
        struct kept_file *f = &d->outputs.files[i];
        (void)snprintf(name, sizeof name, "%s", (const char *)f->name.p);
        st = set_name(f, name, f->number, suffix);
    }
    return st;
}

static struct publish_file *list_files(struct driver *d, bool with_outputs, size_t *count)
{
    const struct kept_files *lists[] = { &d->parts, &d->outputs };
    struct publish_file *files = arena_alloc(&d->arena, (d->parts.count + d->outputs.count + 1) *
                                                            sizeof *files);
    *count = 0;
    for (size_t l = 0; files && l < (with_outputs ? 2u : 1u); l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct kept_file *f = &lists[l]->files[i];
            files[(*count)++] = (struct publish_file){ (const char *)f->path.p,
                                                       (const char *)f->name.p, f->records,
                                                       f->bytes, f->checksum };
        }
    return files;
}

/* Encoded array of the names of tasks that the result lacks; nothing when it lacks none. */
static enum status list_drops(const struct driver *d, struct buf *out)
{
    if (d->drops.count == 0)
        return ST_OK;
    enum status st = val_put_array(out, d->drops.count);
    for (size_t i = 0; i < d->drops.count && st == ST_OK; i++)
        st = val_put_str(out, (const char *)d->drops.files[i].name.p);
    return st;
}

static const char *profile_name(const struct driver *d)
{
    if (d->profile_name)
        return d->profile_name;
    return d->options->profile ? d->options->profile : "production";
}

/* --- to a directory --- */

static enum status write_output(struct driver *d, const struct publish_file *files, size_t count,
                                struct err *e)
{
    struct buf counters = BUF_EMPTY, statistics = BUF_EMPTY, text = BUF_EMPTY;
    struct buf quarantine = BUF_EMPTY, drops = BUF_EMPTY;
    enum status st = counters_put(&d->counters, &counters);
    if (st == ST_OK)
        st = aside_list(d, &quarantine);
    if (st == ST_OK)
        st = list_drops(d, &drops);
    if (st == ST_OK)
        st = statistics_put(&d->statistics, &statistics);
    struct publish_manifest manifest = {
        .job_id = d->place.job_id,
        .job_name = d->job.job_name,
        .lmr_version = LMR_VERSION,
        .profile = profile_name(d),
        .finished = sys_wall_clock(),
        .records_in = d->totals.records_in,
        .bytes_in = d->totals.bytes_in,
        .quarantined = d->quarantined,
        .quarantine = buf_slice(&quarantine),
        .dropped = d->dropped,
        .drops = buf_slice(&drops),
        .statistics = buf_slice(&statistics),
        .plan_hash = d->plan_hash,
        .profile_hash = d->job.profile_hash,
        .files = files,
        .file_count = count,
        .counters = buf_slice(&counters),
        .version = restore_version(d),
        .previous = restore_previous(d),
    };
    if (st == ST_OK)
        st = publish_manifest(&manifest, &text, e);
    struct publish publish = {
        .output_dir = d->place.output_dir,
        .stage_dir = d->place.stage_dir,
        .job_id = d->place.job_id,
        .files = files,
        .file_count = count,
        .manifest = buf_slice(&text),
        .replaces = d->place.replaces,
        .partial = d->dropped > 0,
        .durable = d->job.durable,
        .version = restore_version(d),
    };
    if (st == ST_OK)
        st = publish_commit(&publish, e);
    buf_free(&counters);
    buf_free(&statistics);
    buf_free(&quarantine);
    buf_free(&drops);
    buf_free(&text);
    return st;
}

/* --- to standard output --- */

static void on_stop(int number)
{
    stop_signal = number;
}

static void catch_signals(struct sigaction old[STOP_SIGNALS])
{
    const struct sigaction action = { .sa_handler = on_stop };
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        (void)sigaction(driver_stop_signals[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN)
            (void)sigaction(driver_stop_signals[i], &action, NULL);
    }
}

/* The loop does not turn while a slow reader takes the result, so signals need a handler of their
 * own: one that ends a blocked write. */
static enum status stream_output(struct driver *d, const struct publish_file *files, size_t count,
                                 struct err *e)
{
    struct sigaction old[STOP_SIGNALS];
    stop_signal = 0;
    catch_signals(old);
    enum status st = publish_stream(files, count, d->options->stdout_fd, &stop_signal, e);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        (void)sigaction(driver_stop_signals[i], &old[i], NULL);
    if (stop_signal)
        d->stop_signal = stop_signal;
    return st == ST_INTERRUPTED && e->os_error == EPIPE ? ST_OK : st; /* who reads has had enough */
}

/* --- publishing --- */

static enum status publish(struct driver *d, struct err *e)
{
    size_t count = 0;
    enum status st = name_files(d, e);
    if (st != ST_OK)
        return st;
    bool to_directory = d->place.output_dir != NULL;
    struct publish_file *files = list_files(d, to_directory, &count);
    if (!files)
        return err_memory(e, "the list of parts", d->parts.count * sizeof *files);
    if (!to_directory && d->outputs.count > 0)
        report_warning(
            d,
            "files of mr.output are written with -o DIR only; %s and %zu more of them are left out",
            (const char *)d->outputs.files[0].name.p, d->outputs.count - 1);
    if (to_directory) { /* from here on there is something to finish after a kill */
        journal_job(d->journal, "state", "publishing");
        st = journal_flush(d->journal, e);
    }
    if (st == ST_OK)
        st = to_directory ? write_output(d, files, count, e) : stream_output(d, files, count, e);
    return st;
}

/* Somebody else may have put a result into the directory while the job ran. */
static enum status check_output(struct driver *d, struct err *e)
{
    struct place *p = &d->place;
    if (!p->output_dir || restore_was_publishing(d))
        return ST_OK;
    enum status st = restore_version(d) > 1
                         ? mend_check_output(d)
                         : publish_check(p->output_dir, d->options->overwrite, &p->replaces, e);
    if (st == ST_USAGE)
        (void)err_set(e, st,
                      "output directory %s is not as it was when the job started: something else "
                      "was written there meanwhile, and is left alone",
                      p->output_dir);
    return st;
}

void finish_publish(struct driver *d)
{
    struct err e;
    if (check_output(d, &e) != ST_OK) {
        driver_fail(d, &e, 1);
        return;
    }
    d->at = AT_PUBLISH;
    d->phase = JOB_PUBLISH;
    d->totals.phase_tasks = d->totals.phase_done = 0;
    report_progress(d);
    pool_dismiss(d->pool); /* the workers leave while we publish */
    enum status st = publish(d, &e);
    if (st != ST_OK) {
        driver_fail(d, &e, d->stop_signal ? 128 + d->stop_signal : 1);
        return;
    }
    d->at = AT_END;
    d->phase = JOB_DONE;
    driver_end(d, d->dropped > 0 ? EXIT_PARTIAL : d->quarantined > 0 ? EXIT_QUARANTINED : 0);
}

/* --- attempts that did not win --- */

static bool is_of_attempt(const void *prefix, const char *name)
{
    size_t n = strlen(prefix);
    char next = strncmp(name, prefix, n) == 0 ? name[n] : '\0';
    return next == '.' || next == '-'; /* "map_0.1" is no file of "map_0.10" or "map_0.1s" */
}

/* What sys_write_file had not yet given its name. */
static bool is_unfinished(const void *unused, const char *name)
{
    (void)unused;
    return strstr(name, ".tmp-") != NULL;
}

void finish_attempt_files(struct driver *d, const struct work *w, struct attempt_id id)
{
    char name[ATTEMPT_NAME_MAX];
    if (!d->place.job_dir || d->is_fenced || task_checkpoint_keeps(d, w, id))
        return;
    (void)attempt_file_name(d, w, id, name);
    sys_unlink_where(d->place.stage_dir, is_of_attempt, name);
    if (d->place.work_dir != d->place.stage_dir)
        sys_unlink_where(d->place.work_dir, is_of_attempt, name);
    sys_unlink_where(d->place.quarantine_dir, is_of_attempt, name);
}

/* --- the end --- */

/* A file that may not grow: no space would help. */
static void advise_on_file_size(struct driver *d)
{
    size_t n = strlen(d->failure.message);
    (void)snprintf(d->failure.message + n, sizeof d->failure.message - n,
                   "; the size of a file is limited here (ulimit -f, or the filesystem): raise the "
                   "limit, or make files smaller with a smaller --split-size and more --reducers");
}

/* What a full disk needs, in words that can be followed. Asked before anything is removed. */
static void advise_on_space(struct driver *d)
{
    enum { LEAST = 1 << 20 };
    char need[SIZE_TEXT_MAX], there[SIZE_TEXT_MAX];
    if (strcmp(d->failure.file, PUBLISH_STDOUT) == 0)
        return; /* whatever it is, it is not a place of ours */
    const char *where = d->failure.file[0] ? d->failure.file : d->place.work_dir;
    size_t n = strlen(d->failure.message);
    uint64_t total = plan_space(d) + LEAST, space = 0;
    if (d->place.output_dir)
        total += plan_output_space(d);
    (void)sys_free_space(where, &space, NULL);
    (void)snprintf(
        d->failure.message + n, sizeof d->failure.message - n,
        "; the job may need %s in all and the disk has %s free: free that much there, or use "
        "another disk (--work-dir for runs, -o for the result, --state-dir for the journal)",
        size_format(total, need), size_format(space, there));
}

/* A publishing may have moved an earlier result into the stage folder. */
static bool has_committed(const struct driver *d)
{
    if (d->restore || task_checkpoint_any(d) || (d->at == AT_PUBLISH && d->place.output_dir) ||
        (d->at >= AT_REMOTE && d->has_stdin)) /* nobody can give us that again */
        return true;
    return d->at >= AT_RUN && d->at < AT_END &&
           d->totals.run_bytes + d->totals.bytes_out + d->pairs.count > 0;
}

static void close_failed(struct driver *d)
{
    sys_rmdir(d->place.quarantine_dir);
    if (d->exit_code == EXIT_FAILED && has_committed(d) && checkpoint_is_behind(d))
        checkpoint_now(d, "failed");
    const char *state = d->stop_signal || d->exit_code == EXIT_STOPPED ? "stopped" : "failed";
    if (d->failure.status == ST_DISK_FULL && d->failure.os_error == EFBIG)
        advise_on_file_size(d);
    else if (d->failure.status == ST_DISK_FULL)
        advise_on_space(d);
    if (!has_committed(d))
        (void)place_remove_temporary(&d->place, false, NULL);
    else
        report_note(d, "committed work is kept in %s%s%s; remove it when you do not need it",
                    d->place.work_dir, d->place.work_dir != d->place.stage_dir ? " and " : "",
                    d->place.work_dir != d->place.stage_dir ? d->place.stage_dir : "");
    if (d->journal) {
        bool publishing = restore_was_publishing(d) ||
                          (d->at == AT_PUBLISH && d->place.output_dir);
        if (!publishing) /* that can be finished yet */
            journal_job(d->journal, "state", state);
        journal_job(d->journal, "message", d->failure.message);
    }
}

/* A journal that never took a row belongs to a job that never was. */
static void close_journal(struct driver *d)
{
    struct err e;
    enum status st = journal_close(d->journal, &e);
    d->journal = NULL;
    if (st == ST_OK)
        return;
    if (d->at < AT_RUN)
        place_remove_all(&d->place);
    else if (d->at == AT_END && d->observer->warning)
        d->observer->warning(d->observer->context, e.message);
}

/* A kill from here on costs a repeated publishing at most, which changes nothing. But what was printed is
 * not printed again, and so must be known as complete before the parts go. */
static void complete(struct driver *d)
{
    checkpoint_complete(d);
    if (d->place.output_dir && journal_flush(d->journal, NULL) == ST_OK)
        journal_last(d->journal);
    if (restore_version(d) > 1)
        mend_journal_end(d);
    if (d->quarantined > 0 || restore_version(d) > 1)
        journal_job_number(d->journal, "quarantined", d->quarantined);
    journal_job(d->journal, "state", d->dropped > 0 ? "partial" : "complete");
    if (!d->place.output_dir)
        (void)journal_flush(d->journal, NULL); /* what fails shows when it is closed */
}

bool finish_keeps_runs(const struct driver *d)
{
    return d->quarantined > 0 && d->aside_before == 0 && d->dropped == 0 && d->plan.is_last;
}

/* But not what an earlier result left, or a process that died while it wrote. */
static void keep_runs(struct driver *d)
{
    const char *old = place_join(&d->place, d->place.stage_dir, PUBLISH_OLD);
    if (old && d->place.output_dir)
        (void)sys_remove_tree(old, NULL);
    sys_unlink_where(d->place.work_dir, is_unfinished, NULL);
    if (d->place.stage_dir != d->place.work_dir)
        sys_unlink_where(d->place.stage_dir, is_unfinished, NULL);
    report_note(d, "what it needs to try them again is kept in %s: lmr resume --quarantined %s",
                d->place.work_dir, d->place.job_id);
}

void finish_cleanup(struct driver *d)
{
    struct err e;
    if (!d->place.job_dir || (d->restore && !d->journal))
        return; /* nothing was begun */
    if (fence_ends(d))
        return;
    if (d->at == AT_END) {
        complete(d);
        sys_rmdir(d->place.quarantine_dir); /* unless something is in it */
        if (finish_keeps_runs(d))
            keep_runs(d);
        else if (!checkpoint_cleans_up(d))
            report_note(d, "nothing is removed (checkpoint.auto_cleanup = false); lmr rm %s does it", d->place.job_id);
        else if (place_remove_temporary(&d->place, true, &e) != ST_OK)
            report_warning(d, "temporary files are left: %s", e.message);
    } else {
        close_failed(d);
    }
    close_journal(d);
    if (d->start_failed)
        place_remove_all(&d->place);
}

/* As a shell reads it: in quotes where that is needed. */
static enum status put_word(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_-./+,:@%";
    if (word[0] && word[strspn(word, plain)] == '\0')
        return buf_append_str(out, word);
    enum status st = buf_append_byte(out, '\'');
    for (; *word && st == ST_OK; word++)
        st = *word == '\'' ? buf_append_str(out, "'\\''") : buf_append_byte(out, (uint8_t)*word);
    return st == ST_OK ? buf_append_byte(out, '\'') : st;
}

/* What goes on with the job, or NULL: there is nothing to go on with, or no way. */
static const char *resume_command(const struct driver *d, struct buf *out)
{
    if (d->at == AT_END || d->at < AT_REMOTE || !d->place.job_id || d->is_fenced)
        return NULL;
    if (d->exit_code == EXIT_FAILED && !has_committed(d))
        return NULL; /* it would begin anew */
    enum status st = buf_append_str(out, "lmr resume ");
    if (st == ST_OK)
        st = put_word(out, d->place.job_id);
    if (st == ST_OK && d->options->state_dir)
        st = buf_append_str(out, " --state-dir ");
    if (st == ST_OK && d->options->state_dir)
        st = put_word(out, d->place.state_dir);
    return st == ST_OK && buf_terminate(out) == ST_OK ? (const char *)out->p : NULL;
}

void finish_summary(struct driver *d)
{
    struct buf counters = BUF_EMPTY, statistics = BUF_EMPTY, resume = BUF_EMPTY;
    struct job_summary summary = { .job_id = d->place.job_id,
                                   .output_dir = d->place.output_dir ? d->options->output_dir
                                                                     : "" };
    if (!d->place.job_dir || (d->restore && d->at < AT_REMOTE) || !d->observer->summary)
        return;
    summary.resume_command = resume_command(d, &resume);
    report_snapshot(d, &summary.totals);
    summary.wall_seconds = (double)(sys_now() - d->started) / 1e9;
    summary.cpu_seconds = (double)(sys_cpu_time() + sys_children_cpu_time()) / 1e9;
    uint64_t own = (uint64_t)sys_peak_memory(), workers = pool_peak_memory();
    summary.peak_memory = own > workers ? own : workers;
    if (d->counters.count > 0 && counters_put(&d->counters, &counters) == ST_OK)
        summary.counters = buf_slice(&counters);
    if (statistics_put(&d->statistics, &statistics) == ST_OK)
        summary.statistics = buf_slice(&statistics);
    summary.quarantined = d->quarantined;
    summary.quarantine_dir = d->place.quarantine_dir;
    summary.dropped = d->dropped;
    d->observer->summary(d->observer->context, &summary);
    buf_free(&resume);
    buf_free(&counters);
    buf_free(&statistics);
}
