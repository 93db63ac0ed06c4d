/* steps.c: what comes next when the core's tasks are done.
 *
 *   describe, spool standard input if it is read, ask servers for the inputs they have;
 *   for each step, for each round: prepare (side indexes, the round before as an index, sample),
 *     run (maps, reduces), stop test;
 *   format what only the stop test told to be the output; publish. */
#include "schedule/driver.h"

#include "base/sys.h"
#include "schedule/options.h"
#include "schedule/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void begin_round(struct driver *d);

/* Runs what may fail; the failure ends the job. */
static bool holds(struct driver *d, enum status st, const struct err *e)
{
    if (st != ST_OK)
        driver_fail(d, e, 0);
    return st == ST_OK;
}

static const struct described_step *step_of(const struct driver *d)
{
    return &d->job.steps[d->step];
}

static void load(struct driver *d, enum driver_at at, enum job_phase phase,
                 const struct work_group *groups, uint32_t count, bool staged)
{
    d->at = at;
    d->phase = phase;
    d->totals.phase_done = d->totals.phase_bytes_done = d->totals.phase_bytes = 0;
    d->totals.phase_tasks = groups[0].count;
    driver_load(d, groups, count, staged);
}

void steps_start(struct driver *d)
{
    load(d, AT_DESCRIBE, JOB_PREPARE, &(struct work_group){ WORK_DESCRIBE, 1 }, 1, true);
}

/* --- running --- */

static void run(struct driver *d)
{
    const struct work_group groups[] = { { WORK_MAP, (uint32_t)d->plan.splits.count },
                                         { WORK_REDUCE, d->plan.partitions } };
    struct err e;
    if (!restore_is_here(d)) /* else its journal has the plan */
        plan_journal(d);
    if (!holds(d, journal_flush(d->journal, &e), &e))
        return;
    d->maps = groups[0].count;
    d->run_bytes_before = d->totals.run_bytes;
    d->aside_before = d->quarantined;
    d->totals.map_tasks += groups[0].count;
    d->totals.reduce_tasks += groups[1].count;
    d->totals.tasks += groups[0].count + groups[1].count;
    load(d, AT_RUN, JOB_MAP, groups, mend_maps_first(d) ? 1 : 2, true);
    d->totals.phase_bytes = d->plan.input_bytes;
}

/* The maps of a mend are done, and it is known which reduces they reach. */
static void run_reduces(struct driver *d)
{
    const struct work_group groups[] = { { WORK_MAP, (uint32_t)d->plan.splits.count },
                                         { WORK_REDUCE, d->plan.partitions } };
    struct err e;
    if (holds(d, mend_maps_done(d, &e), &e))
        load(d, AT_RUN, JOB_MAP, groups, 2, true);
}

/* --- preparing --- */

/* Side files must be there before anything is started. */
static enum status check_sides(const struct driver *d, struct err *e)
{
    for (size_t i = 0; i < d->job.side_count; i++) {
        const struct described_side *side = &d->job.sides[i];
        struct stat info;
        if (stat(side->path, &info) != 0)
            return err_set(e, ST_USAGE, "side file %s: cannot read %s: %s", side->name, side->path,
                           strerror(errno));
        if (!S_ISREG(info.st_mode))
            return err_set(e, ST_USAGE, "side file %s: %s is no file", side->name, side->path);
    }
    return ST_OK;
}

static enum status plan_side(struct driver *d, size_t i, struct buf *path)
{
    const struct described_side *side = &d->job.sides[i];
    struct stat info;
    path->n = 0;
    enum status st = buf_printf(path, "%s/side_%zu.index", d->place.work_dir, i);
    if (st == ST_OK)
        st = buf_terminate(path);
    if (st == ST_OK)
        st = kept_add(&d->indexes, (const char *)path->p, slice_str(side->name), slice_of(NULL, 0));
    if (st == ST_OK && stat(side->path, &info) == 0)
        d->indexes.files[i].bytes = (uint64_t)info.st_size;
    return st;
}

/* The index files of side files: their paths and, until they are built, the sizes of what they
 * index. */
static enum status plan_sides(struct driver *d, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = ST_OK;
    for (size_t i = 0; i < d->job.side_count && st == ST_OK; i++)
        st = plan_side(d, i, &path);
    buf_free(&path);
    return st == ST_OK ? ST_OK : err_memory(e, "the side files", d->job.side_count);
}

static bool needs_previous(const struct driver *d)
{
    return step_of(d)->reread && d->round > 1;
}

static bool needs_sample(const struct driver *d)
{
    return step_of(d)->total_order && d->plan.partitions > 1 && d->plan.splits.count > 0 &&
           !restore_is_here(d);
}

static void prepare(struct driver *d)
{
    const struct work_group groups[] = {
        { WORK_SIDE, d->sides_built ? 0 : (uint32_t)d->job.side_count },
        { WORK_PREVIOUS, needs_previous(d) },
        { WORK_SAMPLE, needs_sample(d) },
    };
    bool samples = groups[2].count > 0;
    uint32_t count = groups[0].count + groups[1].count + groups[2].count;
    if (count == 0 || restore_is_whole(d)) {
        run(d);
        return;
    }
    load(d, AT_PREPARE, samples ? JOB_SAMPLE : JOB_INDEX, groups, 3, false);
    d->totals.phase_tasks = count;
}

/* The boundaries that the sample found; with few distinct keys they are fewer than asked for, and
 * so are the reduces. */
static enum status take_boundaries(struct driver *d, struct slice result, struct err *e)
{
    struct slice list;
    struct val_cursor c;
    if (!val_get(result, "boundaries", &list))
        return err_set(e, ST_CORRUPT, "the sample brought no boundaries");
    uint64_t n = val_array(list, &c);
    if (n + 1 > d->plan.partitions)
        return err_set(e, ST_CORRUPT, "the sample brought %" PRIu64 " boundaries for %u reduces", n,
                       d->plan.partitions);
    d->plan.partitions = (uint32_t)n + 1;
    d->plan.boundaries.n = 0;
    if (n > 0 && buf_append_slice(&d->plan.boundaries, list) != ST_OK)
        return err_memory(e, "the boundaries", list.n);
    return ST_OK;
}

/* The index of the round before takes the name "previous", after the side files. */
static enum status take_previous(struct driver *d, const struct work *w, struct err *e)
{
    struct buf path = BUF_EMPTY;
    enum status st = attempt_path(d, w, w->winner, d->place.work_dir, ".index", &path);
    if (st == ST_OK)
        st = kept_add(&d->indexes, (const char *)path.p, slice_str("previous"), slice_of(NULL, 0));
    buf_free(&path);
    return st == ST_OK ? ST_OK : err_memory(e, "an index", ATTEMPT_NAME_MAX);
}

/* An index of an earlier round, or a side file that the job calls "previous": from the second round
 * on that name is the round before. */
static void drop_previous(struct driver *d)
{
    struct kept_files *k = &d->indexes;
    for (size_t i = 0; i < k->count; i++) {
        struct kept_file *f = &k->files[i];
        if (!slice_equal(buf_slice(&f->name), slice_str("previous")))
            continue;
        (void)sys_unlink((const char *)f->path.p, NULL);
        buf_free(&f->path);
        buf_free(&f->name);
        memmove(f, f + 1, (k->count - i - 1) * sizeof *f);
        k->count--;
        return;
    }
}

static void prepared(struct driver *d)
{
    struct err e;
    enum status st = ST_OK;
    if (needs_previous(d))
        drop_previous(d);
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++) {
        const struct work *w = &d->work[i];
        if (w->kind == WORK_SAMPLE)
            st = take_boundaries(d, buf_slice(&w->result), &e);
        else if (w->kind == WORK_PREVIOUS)
            st = take_previous(d, w, &e);
    }
    d->sides_built = true;
    if (holds(d, st, &e))
        run(d);
}

/* --- rounds and steps --- */

static void begin_round(struct driver *d)
{
    struct err e;
    if (needs_previous(d) && d->sides_built) /* else when they are (a job that goes on) */
        drop_previous(d);
    if (holds(d, plan_round(d, &e), &e))
        prepare(d);
}

static void begin_step(struct driver *d)
{
    for (size_t i = 0; i < d->step_input.count; i++) /* the step before read them */
        checkpoint_remove_file(d, (const char *)d->step_input.files[i].path.p, d->step - 1, 0, d->step,
                               UINT32_MAX);
    kept_free(&d->step_input);
    d->step_input = d->pairs;
    d->pairs = (struct kept_files){ NULL, 0, 0 };
    d->previous.n = 0;
    d->round = step_of(d)->iterates ? 1 : 0;
    begin_round(d);
}

static void step_done(struct driver *d)
{
    if (d->step + 1 == d->job.step_count) {
        finish_publish(d);
        return;
    }
    if (step_of(d)->reread)
        drop_previous(d);
    checkpoint_phase(d, "step %u done", d->step + 1);
    d->step++;
    begin_step(d);
}

/* The output of a last round that was written as pairs, as nobody knew: part by part in the job's
 * format. */
static void format(struct driver *d)
{
    load(d, AT_FORMAT, JOB_PUBLISH, &(struct work_group){ WORK_FORMAT, (uint32_t)d->pairs.count },
         1, true);
}

static void last_round_done(struct driver *d)
{
    if (d->step + 1 == d->job.step_count && !d->plan.is_last)
        format(d);
    else
        step_done(d);
}

static void next_round(struct driver *d)
{
    checkpoint_phase(d, "round %u done", d->round);
    d->round++;
    begin_round(d);
}

static void round_done(struct driver *d)
{
    struct err e;
    const struct described_step *step = step_of(d);
    if (mend_maps_first(d)) {
        run_reduces(d);
        return;
    }
    if (!holds(d, result_round(d, &e), &e))
        return;
    if (!step->iterates || d->round == step->max_rounds)
        last_round_done(d);
    else if (step->has_stop_when)
        load(d, AT_STOP_TEST, JOB_REDUCE, &(struct work_group){ WORK_STOP, 1 }, 1, true);
    else
        next_round(d);
}

static void stop_tested(struct driver *d)
{
    if (val_get_bool(buf_slice(&d->work[0].result), "stop", false)) {
        last_round_done(d);
        return;
    }
    next_round(d);
}

static void formatted(struct driver *d)
{
    struct err e;
    if (holds(d, result_round(d, &e), &e))
        step_done(d);
}

/* --- the start --- */

/* What is so each time that a driver takes the job up. */
static void journal_driver(struct driver *d)
{
    char host[256];
    struct journal *j = d->journal;
    if (!restore_was_publishing(d))
        journal_job(j, "state", "running");
    if (d->restore)
        journal_job(j, "message", NULL);
    journal_job(j, "job_dir", d->place.job_dir);
    journal_job(j, "lmr_version", LMR_VERSION);
    journal_job_number(j, "pid", (uint64_t)getpid());
    journal_job(j, "host", gethostname(host, sizeof host) == 0 ? host : NULL);
    journal_job(j, "profile_name", d->options->profile ? d->options->profile : "production");
    journal_job_blob(j, "description", buf_slice(&d->job.encoded));
    journal_job_blob(j, "profile", d->job.profile);
}

static void journal_options(struct driver *d)
{
    struct buf encoded = BUF_EMPTY;
    if (options_put(d->options, &encoded) == ST_OK)
        journal_job_blob(d->journal, "options", buf_slice(&encoded));
    buf_free(&encoded);
}

static void journal_header(struct driver *d)
{
    char text[32], cwd[4096];
    struct journal *j = d->journal;
    journal_driver(d);
    journal_options(d);
    journal_job(j, "id", d->place.job_id);
    journal_job(j, "name", d->job.job_name);
    (void)snprintf(text, sizeof text, "%" PRId64, sys_wall_clock());
    journal_job(j, "created", text);
    journal_job(j, "job_file", d->options->job_path);
    journal_job(j, "directory", getcwd(cwd, sizeof cwd));
    journal_job(j, "output_dir", d->place.output_dir);
    journal_job(j, "stage_dir", d->place.stage_dir);
    journal_job(j, "work_dir", d->place.work_dir);
    (void)snprintf(text, sizeof text, "%" PRIu64, d->seed);
    journal_job(j, "seed", text);
    journal_job_number(j, "sort_buffer", d->sort_buffer);
    journal_job_blob(j, "fingerprints", d->job.fingerprints);
}

static enum status make_place(struct driver *d, struct err *e)
{
    fence_watch(d);
    enum status st = place_make(&d->place, d->job.job_name, e);
    if (st != ST_OK)
        return st;
    lock_settle(d->place.lock);
    const char *path = place_join(&d->place, d->place.job_dir, "journal.db");
    st = path ? journal_create(path, d->job.durable, &d->journal, e)
              : err_memory(e, "a path", sizeof "journal.db");
    if (st == ST_OK) {
        journal_guard(d->journal, fence_holds, d);
        journal_header(d);
    } else {
        d->start_failed = true;
    }
    if (st == ST_OK)
        st = checkpoint_begin(d, e);
    if (st == ST_OK)
        st = requests_open(d, e);
    return st;
}

/* Who reads a directory and writes below it reads an earlier result too. */
static void warn_of_loop(struct driver *d)
{
    struct stat out, parent;
    char directory[ERR_FILE_MAX];
    if (!d->place.replaces || stat(d->place.output_dir, &out) != 0)
        return;
    for (size_t i = 0; i < d->files.count; i++) {
        const char *path = d->files.files[i].path, *slash = strrchr(path, '/');
        int n = slash ? (int)(slash - path) + 1 : 1;
        (void)snprintf(directory, sizeof directory, "%.*s", n, slash ? path : ".");
        if (stat(directory, &parent) != 0 || parent.st_dev != out.st_dev ||
            parent.st_ino != out.st_ino)
            continue;
        report_warning(d, "the input %s is a file of the earlier result that the new one replaces",
                       path);
        return;
    }
}

static void warn_of_network(struct driver *d)
{
    if (place_is_remote(d->place.job_dir))
        report_warning(d,
                       "the job's journal is on a network filesystem (%s), which may lose or delay "
                       "what is written; use --state-dir",
                       d->place.job_dir);
}

static void warn_of_place(struct driver *d)
{
    warn_of_network(d);
    plan_warn_of_space(d);
    warn_of_loop(d);
}

static void begin_job(struct driver *d)
{
    struct err e;
    warn_of_place(d);
    d->step = 0;
    if (holds(d, plan_sides(d, &e), &e))
        begin_step(d);
}

static void spool(struct driver *d)
{
    const char *path = place_join(&d->place, d->place.work_dir, "stdin");
    struct err e;
    if (!path) {
        driver_fail(d, (err_memory(&e, "a path", sizeof "stdin"), &e), 1);
        return;
    }
    for (size_t i = 0; i < d->name_count; i++)
        if (strcmp(d->names[i].path, "-") == 0)
            d->names[i].path = path;
    d->at = AT_SPOOL;
    if (!holds(d, journal_flush(d->journal, &e), &e)) /* it may be long before the next turn */
        return;
    driver_spool(d, path);
}

static void show_plan(struct driver *d)
{
    struct err e;
    d->round = step_of(d)->iterates ? 1 : 0;
    enum status st = plan_round(d, &e);
    if (st == ST_OK)
        st = dryrun_show(d, &e);
    if (holds(d, st, &e)) {
        d->at = AT_END;
        driver_end(d, 0);
    }
}

/* Goes on where the job stood. */
static void go_on(struct driver *d)
{
    struct err e;
    enum status st = restore_begin(d, &e);
    if (st == ST_OK)
        st = plan_sides(d, &e);
    if (!holds(d, st, &e))
        return;
    if (d->options->dry_run) {
        d->at = AT_END;
        driver_end(d, EXIT_COMPLETE);
        return;
    }
    journal_driver(d);
    warn_of_network(d); /* it may have been moved there */
    st = journal_flush(d->journal, &e); /* what checkpoints begin with is read back from it */
    if (st == ST_OK)
        st = checkpoint_begin(d, &e);
    if (st == ST_OK)
        st = requests_open(d, &e);
    if (st == ST_OK)
        st = journal_flush(d->journal, &e);
    if (!holds(d, st, &e))
        return;
    restore_remove_leftovers(d);
    restore_clear(d);
    if (restore_stands(d))
        prepare(d);
    else
        begin_step(d);
}

static void inputs_known(struct driver *d)
{
    if (d->restore)
        go_on(d);
    else if (d->options->dry_run)
        show_plan(d);
    else
        begin_job(d);
}

/* A job that goes on knows what servers told when it began, if it came so far. */
static void ask_servers(struct driver *d)
{
    const struct work_group group = { WORK_REMOTE, remote_tasks(d) };
    if (group.count > 0 && !restore_remote(d))
        load(d, AT_REMOTE, JOB_PREPARE, &group, 1, true);
    else
        inputs_known(d);
}

static void servers_asked(struct driver *d)
{
    struct err e;
    enum status st = ST_OK;
    for (uint32_t i = 0; i < d->work_count && st == ST_OK; i++)
        st = remote_take(d, i, buf_slice(&d->work[i].result), &e);
    if (holds(d, st, &e))
        inputs_known(d);
}

void steps_spooled(struct driver *d)
{
    struct err e;
    if (!holds(d, d->spool_failure.status, &d->spool_failure))
        return;
    journal_job_number(d->journal, "stdin_bytes", d->spool_bytes);
    if (holds(d, inputs_expand(d->names, d->name_count, &d->arena, &d->files, &e), &e))
        ask_servers(d);
}

static void described(struct driver *d)
{
    struct err e;
    enum status st = description_read(&d->job, buf_slice(&d->work[0].result), &e);
    if (st == ST_OK)
        st = d->restore ? restore_place(d, &e) : place_plan(&d->place, d->options, &e);
    if (st == ST_OK)
        st = plan_settings(d, &e);
    if (st == ST_OK)
        st = plan_inputs(d, &e);
    if (st == ST_OK)
        st = check_sides(d, &e);
    if (st == ST_OK && !d->options->dry_run)
        st = checkpoint_check_dir(d, &e);
    if (!holds(d, st, &e))
        return;
    retry_budget_init(&d->budget, d->job.rules.budget_tokens, d->job.rules.budget_refill);
    d->core.limits = d->job.limits;
    if (d->restore) {
        if (!d->has_stdin || holds(d, restore_stdin(d, &e), &e))
            ask_servers(d);
        return;
    }
    bool dry = d->options->dry_run;
    if (!dry && (!holds(d, make_place(d, &e), &e) || !holds(d, remote_keep_secrets(d, &e), &e)))
        return;
    if (!dry && d->has_stdin)
        spool(d);
    else
        ask_servers(d);
}

void steps_next(struct driver *d)
{
    switch (d->at) {
    case AT_DESCRIBE:
        described(d);
        break;
    case AT_REMOTE:
        servers_asked(d);
        break;
    case AT_PREPARE:
        prepared(d);
        break;
    case AT_RUN:
        round_done(d);
        break;
    case AT_STOP_TEST:
        stop_tested(d);
        break;
    case AT_FORMAT:
        formatted(d);
        break;
    case AT_START:
    case AT_SPOOL:
    case AT_PUBLISH:
    case AT_END:
        CHECK(d->at == AT_RUN); /* no tasks run in these */
    }
}
