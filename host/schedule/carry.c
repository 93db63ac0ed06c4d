/* carry.c: the core's actions carried out, and the workers' words turned into events. What a turn
 * writes into the journal is committed before any effect of the turn leaves the driver. */
#include "schedule/driver.h"

#include "base/size.h"
#include "base/sys.h"

#include <stdio.h>

enum { EXIT_USAGE = 2, NANOSECONDS = 1000000000 };

/* --- words about an attempt --- */

static const char *phase_text(uint32_t phase)
{
    static const char *const texts[] = {
        [POS_IDLE] = "between attempts",
        [POS_LOAD] = "loading the job",
        [POS_INIT] = "in init",
        [POS_MAP] = "in map",
        [POS_COMBINE] = "combining",
        [POS_SPILL] = "writing a spill",
        [POS_REDUCE] = "in reduce",
        [POS_FINISH] = "in finish",
        [POS_WRITE] = "writing its output",
    };
    return phase < sizeof texts / sizeof *texts ? texts[phase] : "in an unknown phase";
}

/* Where the page says the attempt was, for an error that has no place yet. */
static void place_by_page(const struct driver *d, const struct core_slot *slot,
                          const struct position *page, struct err *e)
{
    const struct work *w = &d->work[slot->task];
    if (POSITION_GET(page, attempt_serial) != slot->serial || e->file[0] != '\0' || e->record >= 0)
        return;
    uint32_t phase = POSITION_GET(page, phase), part = POSITION_GET(page, part);
    if (w->kind == WORK_REDUCE && phase == POS_REDUCE) {
        e->record = (int64_t)POSITION_GET(page, record);
        (void)snprintf(e->key, sizeof e->key, "%.*s", (int)strnlen(page->key, POSITION_KEY_MAX),
                       page->key);
    }
    if (w->kind != WORK_MAP)
        return;
    const struct split *split = &d->plan.splits.splits[w->index];
    bool at_record = phase == POS_MAP;
    err_at(e, part < split->count ? split->parts[part].path : NULL,
           at_record ? (int64_t)POSITION_GET(page, offset) : -1,
           at_record ? (int64_t)POSITION_GET(page, record) : -1);
}

/* What the driver knows of a timeout goes before what the attempt said of it. */
static void word_timeout(const struct driver *d, enum core_reason reason, struct err *e)
{
    char text[SIZE_TEXT_MAX];
    struct err said = *e;
    const struct core_limits *limits = &d->core.limits;
    if (reason == REASON_PROGRESS)
        (void)err_set(e, ST_TIMEOUT, "no progress for %s (limits.progress_timeout_seconds)",
                      duration_format((double)limits->progress_timeout / 1e9, text));
    else if (reason == REASON_HEARTBEAT)
        (void)err_set(e, ST_TIMEOUT,
                      "no sign of life from the worker for %s (limits.heartbeat_timeout_seconds)",
                      duration_format((double)limits->heartbeat_timeout / 1e9, text));
    else
        (void)err_set(e, ST_TIMEOUT, "not done after %s (limits.task_timeout_seconds)",
                      duration_format((double)limits->task_timeout / 1e9, text));
    (void)snprintf(e->traceback, sizeof e->traceback, "%s", said.traceback);
    (void)snprintf(e->file, sizeof e->file, "%s", said.file);
    (void)snprintf(e->key, sizeof e->key, "%s", said.key);
    e->offset = said.offset;
    e->record = said.record;
}

static bool is_timeout(enum core_reason reason)
{
    return reason == REASON_PROGRESS || reason == REASON_HEARTBEAT || reason == REASON_DEADLINE;
}

static void remember_failure(struct driver *d, struct work *w, const struct err *e)
{
    if (!w->failure)
        w->failure = sys_malloc(sizeof *w->failure);
    if (w->failure)
        *w->failure = *e;
    else
        driver_fail(d, e, 1);
}

/* --- what workers say --- */

static void take_result(struct driver *d, uint32_t slot, struct slice payload)
{
    struct core_slot *s = &d->core.slots[slot];
    struct slice part;
    if (s->task == CORE_NONE || val_get_int(payload, "serial", -1) != (int64_t)s->serial) {
        pool_kill(d->pool, slot); /* a result nobody asked for */
        return;
    }
    struct work *w = &d->work[s->task];
    if (val_get(payload, "result", &part)) {
        w->result.n = 0;
        struct err e;
        if (buf_append_slice(&w->result, part) == ST_OK)
            driver_deliver(d, &(struct core_event){ .kind = CORE_SUCCEEDED, .slot = slot });
        else
            driver_fail(d, (err_memory(&e, "a result", part.n), &e), 1);
        return;
    }
    struct err failure;
    wire_get_err(val_get(payload, "error", &part) ? part : payload, &failure);
    place_by_page(d, s, pool_page(d->pool, slot), &failure);
    if (is_timeout(s->reason))
        word_timeout(d, s->reason, &failure);
    else if (failure.status == ST_TIMEOUT && d->core.limits.task_timeout > 0)
        word_timeout(d, REASON_DEADLINE, &failure);
    remember_failure(d, w, &failure);
    driver_deliver(d, &(struct core_event){ .kind = CORE_ERRED,
                                            .slot = slot,
                                            .fingerprint = failure_fingerprint(&failure) });
}

static bool hello_holds(struct slice payload)
{
    char version[64];
    return val_get_cstr(payload, "lmr", version, sizeof version) &&
           strcmp(version, LMR_VERSION) == 0 &&
           val_get_int(payload, "page", 0) == (int64_t)sizeof(struct position);
}

void carry_message(void *driver, uint32_t slot, const struct wire_message *message)
{
    struct driver *d = driver;
    if (message->type == WIRE_RESULT)
        take_result(d, slot, message->payload);
    else if (message->type == WIRE_HELLO && hello_holds(message->payload))
        driver_deliver(d, &(struct core_event){ .kind = CORE_WORKER_UP, .slot = slot });
    else
        pool_kill(d->pool, slot);
}

/* The page of the dead tells what it was at. */
static void word_death(const struct worker_end *end, struct err *e)
{
    size_t n = strlen(e->message);
    const char *phase = phase_text(POSITION_GET(end->page, phase));
    if (end->signal)
        (void)snprintf(e->message + n, sizeof e->message - n, " (it was %s)", phase);
    else
        (void)snprintf(e->message + n, sizeof e->message - n,
                       " in the middle of its work (it was %s; does the job call os.exit?)", phase);
}

void carry_worker_end(void *driver, uint32_t slot, const struct worker_end *end)
{
    struct driver *d = driver;
    const struct core_slot *s = &d->core.slots[slot];
    struct err failure = end->err;
    d->worker_failure = end->err;
    if (s->task != CORE_NONE) {
        word_death(end, &failure);
        place_by_page(d, s, end->page, &failure);
        if (is_timeout(s->reason))
            word_timeout(d, s->reason, &failure);
        remember_failure(d, &d->work[s->task], &failure);
    }
    driver_deliver(d, &(struct core_event){ .kind = CORE_WORKER_DOWN,
                                            .slot = slot,
                                            .fingerprint = failure_fingerprint(&failure) });
}

/* --- actions: into the journal --- */

static bool is_counted(const struct work *w)
{
    return w->kind == WORK_MAP || w->kind == WORK_REDUCE;
}

static void record_commit(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    w->winner = a->attempt;
    result_commit(d, w);
    if (d->journal)
        result_journal(d, w);
}

static void record_failure(struct driver *d, const struct work *w, uint32_t attempt,
                           const struct verdict *verdict)
{
    char name[TASK_NAME_MAX];
    if (!d->journal)
        return;
    struct journal_attempt row = {
        .place = { d->step + 1, d->round, task_name(d, w, name) },
        .attempt = attempt,
        .worker = w->worker,
        .started = w->started,
        .ended = sys_wall_clock(),
        .err = w->failure,
        .verdict = verdict ? verdict_name(verdict->action) : NULL,
        .rule = verdict ? verdict->rule : NULL,
        .reason = verdict ? verdict->reason : NULL,
        .delay_seconds = verdict ? verdict->delay_seconds : 0,
    };
    journal_attempt(d->journal, &row);
}

/* --- actions: effects --- */

static void spawn(struct driver *d, const struct core_action *a)
{
    struct err e;
    if (pool_spawn(d->pool, a->slot, &e) == ST_OK) {
        uint64_t live = pool_live(d->pool);
        d->totals.workers = live > d->totals.workers ? live : d->totals.workers;
        return;
    }
    d->worker_failure = e;
    driver_deliver(d, &(struct core_event){ .kind = CORE_SPAWN_FAILED, .slot = a->slot });
    if (!d->core.over && !d->told_short)
        report_warning(d, "%s; the job goes on with fewer workers", e.message);
    d->told_short = true;
}

static void assign(struct driver *d, const struct core_action *a)
{
    struct buf assignment = BUF_EMPTY;
    struct err e;
    struct work *w = &d->work[a->task];
    w->started = sys_wall_clock();
    w->worker = pool_pid(d->pool, a->slot);
    d->totals.attempts += is_counted(w);
    enum status st = assign_put(d, a, &assignment, &e);
    if (st == ST_OK)
        st = pool_send(d->pool, a->slot, WIRE_ASSIGN, buf_slice(&assignment), &e);
    if (st != ST_OK)
        driver_fail(d, &e, 0);
    buf_free(&assignment);
}

static void interrupt(struct driver *d, const struct core_action *a)
{
    static const uint8_t nothing[] = { VAL_MAP, 0 };
    (void)pool_send(d->pool, a->slot, WIRE_INTERRUPT, slice_of(nothing, sizeof nothing), NULL);
}

static void tell_retry(struct driver *d, const struct work *w, uint32_t attempt, double delay)
{
    char name[TASK_NAME_MAX], seconds[SIZE_TEXT_MAX], place[ERR_FILE_MAX + 96] = "";
    const struct err *f = w->failure;
    if (f->file[0] && f->offset >= 0 && f->record >= 0)
        (void)snprintf(place, sizeof place, " at %s, byte %lld, record %lld", f->file,
                       (long long)f->offset, (long long)f->record);
    else if (f->file[0] && f->offset >= 0)
        (void)snprintf(place, sizeof place, " at %s, byte %lld", f->file, (long long)f->offset);
    else if (f->key[0])
        (void)snprintf(place, sizeof place, " at key %s", f->key);
    report_note(d, "%s.%u failed (%s: %s%s); trying again in %s", task_name(d, w, name), attempt,
                f->type, f->message, place, duration_format(delay, seconds));
}

/* What the profile's rules say. A function of the profile has no opinion as long as no policy host runs
 * it, and nothing is put aside, recomputed or left out yet. */
static struct verdict decide(const struct driver *d, const struct work *w,
                             const struct core_action *a)
{
    static const uint8_t no_opinion[] = { VAL_NULL };
    const struct core_limits *limits = &d->core.limits;
    struct verdict_context context = {
        .attempt = a->attempt,
        .retry = a->retry,
        .same_failures = a->same_failures,
        .task_timeout_seconds = (double)limits->task_timeout / NANOSECONDS,
        .progress_timeout_seconds = (double)limits->progress_timeout / NANOSECONDS,
        .seed = d->seed,
        .budget_left = d->job.rules.budget_tokens,
        .has_culprit = w->failure->record >= 0,
    };
    struct verdict_ask ask;
    struct verdict verdict;
    enum verdict_next next =
        verdict_begin(&d->job.rules, w->failure, &context, &ask, &verdict);
    while (next == VERDICT_ASK)
        next = verdict_answer(&d->job.rules, w->failure, &context, &ask,
                              slice_of(no_opinion, sizeof no_opinion), &verdict);
    return verdict;
}

static void ask_policy(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    finish_attempt_files(d, w, a->attempt);
    if (d->ending) {
        record_failure(d, w, a->attempt, NULL);
        return;
    }
    d->totals.failures += is_counted(w);
    struct verdict verdict = decide(d, w, a);
    bool retry = verdict.action == VERDICT_RETRY;
    record_failure(d, w, a->attempt, &verdict);
    if (retry) {
        d->totals.retries += is_counted(w);
        tell_retry(d, w, a->attempt, verdict.delay_seconds);
    }
    driver_deliver(d, &(struct core_event){ .kind = CORE_VERDICT,
                                            .task = a->task,
                                            .retry = retry,
                                            .delay = (int64_t)(verdict.delay_seconds * 1e9) });
}

static void fail_job(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    struct err e = *w->failure;
    char name[TASK_NAME_MAX];
    if (d->at == AT_DESCRIBE) {
        driver_fail(d, &e, e.status == ST_CRASH && e.os_error ? 1 : EXIT_USAGE);
        return;
    }
    uint32_t failures = d->core.tasks[a->task].failures;
    (void)snprintf(e.message, sizeof e.message, "%s failed%s (%s): %.*s", task_name(d, w, name),
                   failures > 1 ? " again" : "", e.type, ERR_MESSAGE_MAX - 200,
                   w->failure->message);
    driver_fail(d, &e, 1);
}

static void broken(struct driver *d)
{
    struct err e = d->worker_failure;
    (void)snprintf(e.message, sizeof e.message,
                   "worker processes cannot be started or die at once: %.*s", ERR_MESSAGE_MAX - 200,
                   d->worker_failure.message);
    driver_fail(d, &e, 1);
}

static void stage_done(struct driver *d, const struct core_action *a)
{
    if (d->at != AT_RUN || a->stage != 0 || d->plan.partitions == 0)
        return;
    d->phase = JOB_REDUCE;
    d->totals.phase_tasks = d->plan.partitions;
    d->totals.phase_done = d->totals.phase_bytes_done = 0;
    d->totals.phase_bytes = d->totals.run_bytes - d->run_bytes_before;
}

static void act(struct driver *d, const struct core_action *a)
{
    if (d->ending && a->kind != ACT_KILL && a->kind != ACT_ASK_POLICY)
        return;
    switch (a->kind) {
    case ACT_SPAWN:
        spawn(d, a);
        break;
    case ACT_ASSIGN:
        assign(d, a);
        break;
    case ACT_ASK_POLICY:
        ask_policy(d, a);
        break;
    case ACT_INTERRUPT:
        interrupt(d, a);
        break;
    case ACT_KILL:
        pool_kill(d->pool, a->slot);
        break;
    case ACT_STAGE_DONE:
        stage_done(d, a);
        break;
    case ACT_DONE:
        steps_next(d);
        break;
    case ACT_FAIL_JOB:
        fail_job(d, a);
        break;
    case ACT_BROKEN:
        broken(d);
        break;
    case ACT_COMMIT: /* the journal has it */
    case ACT_KINDS:
        break;
    }
}

/* Workers have synced their files; a file's name is safe when its directory is synced too. */
static enum status sync_names(struct driver *d, struct err *e)
{
    struct place *p = &d->place;
    if (!d->job.durable || (d->at != AT_RUN && d->at != AT_FORMAT))
        return ST_OK;
    enum status st = place_sync(p, e);
    if (st == ST_OK)
        st = sys_fsync_dir(p->work_dir, "commit.fsync_work", e);
    if (st == ST_OK && p->stage_dir != p->work_dir)
        st = sys_fsync_dir(p->stage_dir, "commit.fsync_stage", e);
    return st;
}

/* The commit of the turn: first what the rows name, then the rows. */
static void commit_turn(struct driver *d, bool has_commits)
{
    struct err e;
    enum status st = has_commits ? sync_names(d, &e) : ST_OK;
    if (st == ST_OK && d->journal)
        st = journal_flush(d->journal, &e);
    if (st != ST_OK)
        driver_fail(d, &e, 1);
}

static void carry_batch(struct driver *d, struct slice batch)
{
    size_t count = batch.n / sizeof(struct core_action);
    struct core_action a;
    bool has_commits = false;
    for (size_t i = 0; i < count; i++) {
        memcpy(&a, batch.p + i * sizeof a, sizeof a);
        if (a.kind == ACT_COMMIT)
            record_commit(d, &a);
        has_commits |= a.kind == ACT_COMMIT;
    }
    commit_turn(d, has_commits);
    for (size_t i = 0; i < count; i++) {
        memcpy(&a, batch.p + i * sizeof a, sizeof a);
        act(d, &a);
    }
}

void carry_out(struct driver *d)
{
    while (d->actions.n > 0) {
        struct buf batch = d->actions;
        d->actions = BUF_EMPTY;
        carry_batch(d, buf_slice(&batch));
        buf_free(&batch);
    }
}
