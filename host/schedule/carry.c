/* carry.c: the core's actions carried out, and the workers' words turned into events. What a turn
 * writes into the journal is committed before any effect of the turn leaves the driver. */
#include "schedule/driver.h"

#include "base/failpoint.h"
#include "base/size.h"
#include "base/sys.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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
    int64_t cpu = val_get_int(payload, "cpu_ns", 0);
    d->running[slot].cpu_ns = cpu > 0 ? (uint64_t)cpu : 0;
    task_checkpoint_see(d, slot, pool_page(d->pool, slot));
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
    failed_by_word(d, slot, val_get(payload, "error", &part) ? part : payload, &failure);
    if (failed_remember(d, slot, &failure))
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
    else if (message->type == WIRE_ASK)
        decide_record(d, slot, message->payload);
    else if (message->type == WIRE_HELLO && hello_holds(message->payload))
        driver_deliver(d, &(struct core_event){ .kind = CORE_WORKER_UP, .slot = slot });
    else
        pool_kill(d->pool, slot);
}

/* A worker may send its result and die in one turn: by then the core has given it another task. What the
 * slot runs is known to the driver when that was carried out. */
static void catch_up(struct driver *d, uint32_t slot)
{
    const struct core_slot *s = &d->core.slots[slot];
    if (s->task != CORE_NONE && s->serial != d->running[slot].serial)
        carry_out(d);
}

void carry_worker_end(void *driver, uint32_t slot, const struct worker_end *end)
{
    struct driver *d = driver;
    struct err failure = end->err;
    uint64_t fingerprint = 0;
    catch_up(d, slot);
    d->worker_failure = end->err;
    if (d->core.slots[slot].task != CORE_NONE) {
        failed_by_death(d, slot, end, &failure);
        task_checkpoint_see(d, slot, end->page);
        if (POSITION_GET(end->page, attempt_serial) == d->core.slots[slot].serial)
            d->running[slot].cpu_ns = POSITION_GET(end->page, cpu_ns);
        if (!failed_remember(d, slot, &failure))
            return;
        fingerprint = failure_fingerprint(&failure);
    }
    driver_deliver(d, &(struct core_event){ .kind = CORE_WORKER_DOWN,
                                            .slot = slot,
                                            .fingerprint = fingerprint });
}

/* --- actions: into the journal --- */

bool work_is_counted(const struct work *w)
{
    return w->kind == WORK_MAP || w->kind == WORK_REDUCE;
}

bool work_has_units(const struct work *w)
{
    return work_is_counted(w) || w->kind == WORK_SAMPLE;
}

static void count_commit(struct driver *d, const struct core_action *a)
{
    const struct work *w = &d->work[a->task];
    const struct running *r = &d->running[a->slot];
    if (!work_is_counted(w))
        return;
    d->totals.committed++;
    d->statistics_changed = true;
    retry_budget_success(&d->budget);
    statistics_commit(&d->statistics, r->id.speculative, w->failed_before || w->failure != NULL,
                      (double)r->cpu_ns / 1e9);
}

static void record_commit(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    const struct running *r = &d->running[a->slot];
    char name[TASK_NAME_MAX], took[SIZE_TEXT_MAX];
    w->winner = r->id;
    count_commit(d, a);
    if (work_is_counted(w))
        report_detail(d, "%s.%u%s is committed after %s", task_name(d, w, name), r->id.number,
                      r->id.speculative ? "s" : "",
                      duration_format((double)(sys_wall_clock() - r->started) / 1e9, took));
    result_commit(d, w);
    if (d->journal)
        result_journal(d, w, r);
}

/* What a committed task brought does not count any more: its run is corrupt, it runs again. */
static void record_redo(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    char name[TASK_NAME_MAX];
    struct journal_place place = { d->step + 1, d->round, task_name(d, w, name) };
    result_undo(d, w);
    w->result.n = 0;
    d->totals.committed -= work_is_counted(w);
    statistics_recomputed(&d->statistics);
    d->statistics_changed = true;
    if (d->journal)
        journal_redo(d->journal, &place);
}

/* From here on the slot's words are those of this attempt, even when it is not sent any more. */
static void record_assign(struct driver *d, const struct core_action *a)
{
    d->running[a->slot] = (struct running){ .id = { a->attempt, a->speculative },
                                            .serial = a->serial,
                                            .started = sys_wall_clock(),
                                            .worker = pool_pid(d->pool, a->slot) };
    task_checkpoint_give(d, a->task, &d->running[a->slot]);
    if (!d->journal)
        return;
    char name[TASK_NAME_MAX];
    const struct running *r = &d->running[a->slot];
    const struct journal_place place = { d->step + 1, d->round,
                                         task_name(d, &d->work[a->task], name) };
    journal_running(d->journal, &place, r->id.number, r->id.speculative, r->worker, r->started);
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
    char name[TASK_NAME_MAX];
    struct err e;
    struct work *w = &d->work[a->task];
    struct running *r = &d->running[a->slot];
    sys_free(d->failures[a->slot]); /* of a record, where the attempt got over it */
    d->failures[a->slot] = NULL;
    if (w->first_started == 0)
        w->first_started = r->started;
    if (work_is_counted(w)) {
        d->totals.attempts++;
        statistics_attempt(&d->statistics, a->speculative);
        if (a->attempt > 0 || a->speculative)
            report_detail(d, "%s.%u%s begins on worker %ld", task_name(d, w, name), a->attempt,
                          a->speculative ? "s" : "", r->worker);
    }
    enum status st = assign_put(d, a->task, r, &assignment, &e);
    failpoint("hand-out:before");
    if (st == ST_OK)
        st = pool_send(d->pool, a->slot, WIRE_ASSIGN, buf_slice(&assignment), &e);
    failpoint("hand-out:after");
    if (st != ST_OK)
        driver_fail(d, &e, 0);
    buf_free(&assignment);
}

static void interrupt(struct driver *d, const struct core_action *a)
{
    static const uint8_t nothing[] = { VAL_MAP, 0 };
    (void)pool_send(d->pool, a->slot, WIRE_INTERRUPT, slice_of(nothing, sizeof nothing), NULL);
}

static void rest(struct driver *d, const struct core_action *a)
{
    report_warning(d,
                   "worker %u died again and again (%s); no worker is started in its place for a "
                   "while (restart_intensity)",
                   a->slot, d->worker_failure.message);
}

static void fail_job(struct driver *d, const struct core_action *a)
{
    const struct work *w = &d->work[a->task];
    struct err e = w->failure->err;
    char name[TASK_NAME_MAX];
    if (d->at == AT_DESCRIBE) {
        bool is_ours = e.status == ST_CRASH && (e.os_error || e.signal == SIGKILL);
        driver_fail(d, &e, is_ours ? EXIT_FAILED : EXIT_WRONG_USAGE);
        return;
    }
    uint32_t failures = d->core.tasks[a->task].failures;
    (void)snprintf(e.message, sizeof e.message, "%s failed%s (%s): %.*s", task_name(d, w, name),
                   failures > 1 ? " again" : "", e.type, ERR_MESSAGE_MAX - 200,
                   w->failure->err.message);
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
    if (d->at != AT_RUN)
        return;
    aside_judge_round(d);
    d->round_units = d->round_quarantined = 0;
    if (a->stage != 0 || d->plan.partitions == 0)
        return;
    checkpoint_phase(d, "maps done");
    d->phase = JOB_REDUCE;
    d->totals.phase_tasks = d->plan.partitions;
    d->totals.phase_done = d->totals.phase_bytes_done = 0;
    for (uint32_t i = d->maps; i < d->work_count; i++) {
        if (d->core.tasks[i].state != TASK_COMMITTED)
            continue;
        d->totals.phase_done++; /* before the job went on */
        aside_count_round(d, &d->work[i], 1);
    }
    d->totals.phase_bytes = d->totals.run_bytes - d->run_bytes_before;
}

static void act(struct driver *d, const struct core_action *a)
{
    if ((d->ending || d->stopping) && a->kind != ACT_KILL && a->kind != ACT_COMMIT && a->kind != ACT_ASK_POLICY &&
        a->kind != ACT_BACKUP_FAILED)
        return;
    switch (a->kind) {
    case ACT_SPAWN:
        spawn(d, a);
        break;
    case ACT_ASSIGN:
        assign(d, a);
        break;
    case ACT_ASK_POLICY:
        decide_failure(d, a);
        break;
    case ACT_BACKUP_FAILED:
        decide_backup(d, a);
        break;
    case ACT_REST:
        rest(d, a);
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
    case ACT_COMMIT:
        task_checkpoint_committed(d, &d->work[a->task]);
        break;
    case ACT_REDO: /* the journal has these */
    case ACT_LOST:
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
    if (st == ST_OK && d->quarantined > 0)
        st = sys_fsync_dir(p->quarantine_dir, "commit.fsync_quarantine", e);
    return st;
}

/* What the turn wrote is brought to the disk: first what its rows name, then the rows. */
static void commit_turn(struct driver *d, bool has_commits)
{
    struct err e;
    enum status st = has_commits ? sync_names(d, &e) : ST_OK;
    if (st == ST_OK && d->journal)
        st = journal_flush(d->journal, &e);
    if (st != ST_OK)
        driver_fail(d, &e, st == ST_DISK_FULL ? EXIT_STOPPED : EXIT_FAILED);
}

static void journal_statistics(struct driver *d)
{
    struct buf encoded = BUF_EMPTY;
    if (!d->journal || !d->statistics_changed)
        return;
    d->statistics_changed = false;
    if (statistics_put(&d->statistics, &encoded) == ST_OK)
        journal_job_blob(d->journal, "statistics", buf_slice(&encoded));
    buf_free(&encoded);
}

static struct core_action action_at(struct slice batch, size_t i)
{
    struct core_action a;
    memcpy(&a, batch.p + i * sizeof a, sizeof a);
    return a;
}

/* Tasks commit and others are handed out: nothing that a loss of power would make wrong. */
static bool only_hands_out(struct slice batch, size_t count)
{
    bool only = true;
    for (size_t i = 0; i < count && only; i++) {
        enum core_action_kind kind = action_at(batch, i).kind;
        only = kind == ACT_COMMIT || kind == ACT_ASSIGN || kind == ACT_LOST;
    }
    return only;
}

/* Workers get their next attempts before the disk has the rows of the last ones: the rows are written in
 * order, so what comes later is never known without what came before. All else waits for the disk. */
static void carry_batch(struct driver *d, struct slice batch)
{
    size_t count = batch.n / sizeof(struct core_action);
    bool has_commits = false;
    for (size_t i = 0; i < count; i++) {
        struct core_action a = action_at(batch, i);
        if (a.kind == ACT_COMMIT)
            record_commit(d, &a);
        else if (a.kind == ACT_REDO)
            record_redo(d, &a);
        else if (a.kind == ACT_LOST)
            decide_lost(d, &a);
        else if (a.kind == ACT_ASSIGN)
            record_assign(d, &a);
        has_commits |= a.kind == ACT_COMMIT;
    }
    journal_statistics(d);
    bool early = only_hands_out(batch, count) && d->journal && journal_write(d->journal, NULL) == ST_OK;
    for (size_t i = 0; i < count && early; i++) {
        struct core_action a = action_at(batch, i);
        if (a.kind == ACT_ASSIGN)
            act(d, &a);
    }
    commit_turn(d, has_commits);
    for (size_t i = 0; i < count; i++) {
        struct core_action a = action_at(batch, i);
        if (a.kind != ACT_ASSIGN || !early)
            act(d, &a);
    }
}

void carry_out(struct driver *d)
{
    journal_statistics(d);
    commit_turn(d, false); /* verdicts that gave no action yet */
    while (d->actions.n > 0) {
        struct buf batch = d->actions;
        d->actions = BUF_EMPTY;
        carry_batch(d, buf_slice(&batch));
        buf_free(&batch);
    }
}
