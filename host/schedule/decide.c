/* decide.c: what becomes of a failed attempt, and of a record that fails in a living one: the rules are
 * evaluated (recover/verdict.h), the policy host is asked where they hold a function, and what was
 * decided is journalled before it takes effect. Nobody waits: an answer comes as an event. */
#include "schedule/driver.h"

#include "base/size.h"
#include "base/sys.h"

#include <signal.h>
#include <stdio.h>

/* --- what is known --- */

/* The map task whose run `path` is, or CORE_NONE. One that runs again already has not replaced it yet. */
static uint32_t producer_of(const struct driver *d, const char *path)
{
    struct buf run = BUF_EMPTY;
    uint32_t found = CORE_NONE;
    if (d->at != AT_RUN || d->plan.partitions == 0)
        return found;
    for (uint32_t i = 0; i < d->maps && found == CORE_NONE; i++)
        if (!d->work[i].dropped &&
            (d->core.tasks[i].state == TASK_COMMITTED || d->core.tasks[i].redone) &&
            attempt_path(d, &d->work[i], d->work[i].winner, d->place.work_dir, ".run", &run) ==
                ST_OK &&
            strcmp((const char *)run.p, path) == 0)
            found = i;
    buf_free(&run);
    return found;
}

/* A run of ours that is not the winner's any more: its producer runs again, or has done so. */
static bool is_old_run(const struct driver *d, const char *path)
{
    size_t n = strlen(d->place.work_dir), m = strlen(path);
    return strncmp(path, d->place.work_dir, n) == 0 && path[n] == '/' && m > 4 &&
           strcmp(path + m - 4, ".run") == 0;
}

/* Intermediate data of this job, whoever wrote it. */
static bool is_own_file(const struct driver *d, const char *path)
{
    const char *dirs[] = { d->place.work_dir, d->place.stage_dir };
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        size_t n = dirs[i] ? strlen(dirs[i]) : 0;
        if (n > 0 && strncmp(path, dirs[i], n) == 0 && path[n] == '/')
            return true;
    }
    return false;
}

/* Its assignment named the runs it reads. */
static bool has_read_runs(enum core_state state)
{
    return state == TASK_RUNNING || state == TASK_ENDING || state == TASK_COMMITTED;
}

/* A map can be left out as long as no reduce of its step uses it, or did (then the map runs again, for
 * another one found its run corrupt); a reduce always. */
static bool may_drop(const struct driver *d, const struct work *w)
{
    if (d->at != AT_RUN || !work_is_counted(w))
        return false;
    for (uint32_t i = d->maps; w->kind == WORK_MAP && i < d->work_count; i++)
        if (has_read_runs(d->core.tasks[i].state))
            return false;
    return true;
}

static struct verdict_context context_of(const struct driver *d, const struct work *w,
                                         const struct core_action *a, const struct err *e)
{
    char name[TASK_NAME_MAX];
    const struct judge_facts facts = {
        .limits = &d->core.limits,
        .task_name = task_name(d, w, name),
        .job_seed = d->seed,
        .attempts = d->core.tasks[a->task].attempts - d->core.tasks[a->task].attempts_before,
        .memory_limit = d->job.memory_limit,
        .elapsed_seconds = (double)(sys_wall_clock() - w->first_started) / 1e9,
        .budget_left = d->budget.left,
        .has_units = work_has_units(w),
        .may_quarantine = aside_may_skip(d, w) && err_detail_number(e, "put_aside_max", -1) < 0,
        .may_drop = may_drop(d, w),
        .is_own = is_own_file(d, e->file),
        .is_run = e->file[0] && d->at == AT_RUN && d->place.work_dir && is_old_run(d, e->file),
    };
    return judge_context(a, e, &w->judged, &facts);
}

/* --- the decision takes effect --- */

static void journal_failure(struct driver *d, uint32_t task, const struct verdict *v,
                            const char *outcome)
{
    char name[TASK_NAME_MAX];
    struct work *w = &d->work[task];
    const struct failure *f = w->failure;
    struct buf assignment = BUF_EMPTY;
    if (!d->journal)
        return;
    if (v && work_is_counted(w))
        (void)assign_put(d, task, &f->attempt, &assignment, NULL);
    struct journal_attempt row = {
        .place = { d->step + 1, d->round, task_name(d, w, name) },
        .attempt = f->attempt.id.number,
        .speculative = f->attempt.id.speculative,
        .worker = f->attempt.worker,
        .started = f->attempt.started,
        .ended = f->attempt.ended,
        .cpu_ns = f->attempt.cpu_ns,
        .err = &f->err,
        .outcome = outcome,
        .fingerprint = f->fingerprint,
        .same_failures = d->core.tasks[task].same_failures,
        .verdict = v ? verdict_name(v->action) : NULL,
        .rule = v ? v->rule : NULL,
        .reason = v && v->reason[0] ? v->reason : NULL,
        .delay_seconds = v ? v->delay_seconds : 0,
        .assignment = buf_slice(&assignment),
        .went_on_at = (int64_t)f->attempt.went_on_at,
    };
    journal_attempt(d->journal, &row);
    buf_free(&assignment);
}

static void tell(struct driver *d, const struct work *w, const struct verdict *v)
{
    char name[TASK_NAME_MAX], place[FAILED_PLACE_MAX], delay[SIZE_TEXT_MAX], next[128];
    const struct failure *f = w->failure;
    const char *unit = w->kind == WORK_REDUCE ? "group" : "record";
    switch (v->action) {
    case VERDICT_RETRY:
        if (v->delay_seconds < 0.005)
            (void)snprintf(next, sizeof next, "trying again at once");
        else
            (void)snprintf(next, sizeof next, "trying again in %s",
                           duration_format(v->delay_seconds, delay));
        break;
    case VERDICT_QUARANTINE:
        (void)snprintf(next, sizeof next, "this %s is put aside, and the task tried again", unit);
        break;
    case VERDICT_RECOMPUTE:
        (void)snprintf(next, sizeof next, "the task that wrote it runs again");
        break;
    case VERDICT_DROP_TASK:
        (void)snprintf(next, sizeof next, "going on without the task");
        break;
    default: /* what failed is told at the end of the job; with wrong usage that says it all */
        if (f->err.status == ST_USAGE)
            return;
        report_note(d, "%s.%u: %s: %s (%s)", task_name(d, w, name), f->attempt.id.number,
                    verdict_name(v->action), v->reason[0] ? v->reason : "the policy says so",
                    v->rule);
        return;
    }
    report_note(d, "%s.%u failed (%s: %s%s); %s (%s)", task_name(d, w, name),
                f->attempt.id.number, f->err.type, f->err.message, failed_place(&f->err, place),
                next, v->rule);
}

static void note_drop(struct driver *d, struct work *w)
{
    char name[TASK_NAME_MAX];
    w->dropped = true;
    d->dropped++;
    if (d->journal)
        journal_event(d->journal, "drop", task_name(d, w, name));
}

/* Fails or stops the job at once: running attempts are killed. */
static void end_job(struct driver *d, uint32_t task, const struct verdict *v)
{
    char name[TASK_NAME_MAX];
    const struct failure *f = d->work[task].failure;
    struct err e = f->err;
    (void)snprintf(e.message, sizeof e.message, "%s failed (%s): %.*s",
                   task_name(d, &d->work[task], name), e.type, ERR_MESSAGE_MAX - 200,
                   f->err.message);
    if (v->action == VERDICT_STOP)
        stop_begin(d, &e, EXIT_STOPPED, "stop");
    else
        driver_fail(d, &e, EXIT_FAILED);
}

/* Several reduces may find the same run corrupt: the first has its producer run again, and the others
 * wait for it too. What was read may be an old run by now: then it is just tried again. */
static void carry_verdict(struct driver *d, uint32_t task, const struct verdict *v)
{
    struct work *w = &d->work[task];
    uint32_t producer = CORE_NONE;
    struct err e;
    if (v->action == VERDICT_STOP || v->action == VERDICT_ABORT) {
        end_job(d, task, v);
        return;
    }
    if (v->action == VERDICT_QUARANTINE && aside_skip(w, &e) != ST_OK) {
        driver_fail(d, &e, 1);
        return;
    }
    if (v->action == VERDICT_QUARANTINE)
        w->judged.forgiven += d->core.tasks[task].same_failures;
    if (v->action == VERDICT_RETRY || v->action == VERDICT_QUARANTINE)
        d->totals.retries += work_is_counted(w);
    if (v->action == VERDICT_RECOMPUTE)
        producer = producer_of(d, w->failure->err.file);
    if (v->action == VERDICT_DROP_TASK)
        note_drop(d, w);
    struct core_event event = judge_verdict(task, w->failure->err.status, v, producer, &w->judged,
                                            &d->budget);
    driver_deliver(d, &event);
}

/* The row goes into the journal now and is committed with this turn, before the next assignment of the
 * task leaves the driver. */
static void decided(struct driver *d, uint32_t task, const struct verdict *v)
{
    struct work *w = &d->work[task];
    w->failure->verdict = *v;
    journal_failure(d, task, v, NULL);
    if (work_is_counted(w)) {
        statistics_failure(&d->statistics, &w->failure->err, v,
                           (double)w->failure->attempt.cpu_ns / 1e9);
        d->statistics_changed = true;
    }
    tell(d, w, v);
    carry_verdict(d, task, v);
}

/* --- the policy host --- */

static struct question *take_question(struct driver *d, uint64_t id)
{
    for (size_t i = 0; i < d->question_count; i++) {
        struct question *q = d->questions[i];
        if (q->id != id)
            continue;
        memmove(d->questions + i, d->questions + i + 1,
                (d->question_count - i - 1) * sizeof(struct question *));
        d->question_count--;
        return q;
    }
    return NULL;
}

static enum status keep_question(struct driver *d, struct question *q)
{
    if (d->question_count == d->question_capacity) {
        size_t capacity = d->question_capacity ? 2 * d->question_capacity : 16;
        struct question **grown = sys_realloc(d->questions, capacity * sizeof(struct question *));
        if (!grown)
            return ST_MEMORY;
        d->questions = grown;
        d->question_capacity = capacity;
    }
    d->questions[d->question_count++] = q;
    return ST_OK;
}

/* What the function is given (design §5). */
static enum status encode_err(const struct driver *d, const struct question *q, struct buf *out)
{
    char name[TASK_NAME_MAX];
    const struct work *w = &d->work[q->action.task];
    const struct running *r = q->in_attempt ? &d->running[q->action.slot] : &w->failure->attempt;
    const struct policy_failure failure = { .err = &q->err,
                                            .task = task_name(d, w, name),
                                            .attempt = r->id.number,
                                            .worker = r->worker,
                                            .fingerprint = failure_fingerprint(&q->err) };
    return policy_put_err(&failure, out);
}

static enum status encode_context(const struct driver *d, const struct question *q, struct buf *out)
{
    struct slice limits = slice_of(NULL, 0);
    struct buf failures = BUF_EMPTY;
    const struct verdict_context *c = &q->context;
    enum status st = statistics_put_failures(&d->statistics, &failures);
    (void)val_get(d->job.profile, "limits", &limits);
    const struct policy_context context = {
        .attempt = c->attempt,
        .retry = c->retry,
        .failures = c->failures,
        .same_failures = c->same_failures,
        .elapsed_seconds = c->elapsed_seconds,
        .budget_left = c->budget_left,
        .now = (double)sys_wall_clock() / 1e9,
        .limits = limits,
        .tasks = d->totals.tasks,
        .done = d->totals.committed,
        .job_failures = buf_slice(&failures),
    };
    if (st == ST_OK)
        st = policy_put_context(&context, out);
    buf_free(&failures);
    return st;
}

/* Its attempt, and the round, may be over by now; a task that has failed waits for its verdict. */
static bool is_awaited(const struct driver *d, const struct question *q)
{
    const struct core_slot *s = &d->core.slots[q->action.slot];
    return !d->ending &&
           (!q->in_attempt || (s->task != CORE_NONE && s->serial == q->action.serial));
}

static void settle_question(struct driver *d, struct question *q, const struct verdict *v);
static void evaluate(struct driver *d, struct question *q);

static void on_answer(void *driver, uint64_t id, enum status st, struct slice answer,
                      const struct err *problem);

enum status decide_open_policy(struct driver *d, struct err *e)
{
    const struct policy_handlers handlers = { on_answer, change_loaded, d };
    struct buf config = BUF_EMPTY;
    if (d->policy)
        return ST_OK;
    enum status st = assign_policy(d, d->options->profile, &config, e);
    if (st == ST_OK)
        st = policy_open(&d->loop, &handlers, &d->policy, e);
    if (st == ST_OK)
        st = policy_config(d->policy, buf_slice(&config), d->job.profile, e);
    buf_free(&config);
    return st;
}

static enum status put_question(struct driver *d, struct question *q, struct err *e)
{
    struct buf err = BUF_EMPTY, context = BUF_EMPTY;
    q->id = ++d->next_question;
    enum status st = decide_open_policy(d, e);
    if (st != ST_OK)
        return st;
    st = encode_err(d, q, &err);
    if (st == ST_OK)
        st = encode_context(d, q, &context);
    if (st == ST_OK)
        st = keep_question(d, q);
    if (st != ST_OK) {
        st = err_memory(e, "a question to the policy", err.n);
    } else {
        st = policy_ask(d->policy, q->id, q->ask.function, q->ask.for_delay, buf_slice(&err),
                        buf_slice(&context), e);
        if (st != ST_OK)
            (void)take_question(d, q->id);
    }
    buf_free(&err);
    buf_free(&context);
    return st;
}

static void stand_by_built_in(struct driver *d, struct question *q, const struct err *problem)
{
    struct verdict v;
    report_warning(d, "the policy failed: %s; the built-in verdict stands", problem->message);
    verdict_no_answer(&d->job.rules, &q->err, &q->context, &q->ask, problem->message, &v);
    settle_question(d, q, &v);
}

/* The policy host is asked; when even that fails, the built-in verdict stands. */
static void ask(struct driver *d, struct question *q)
{
    struct err e;
    if (put_question(d, q, &e) != ST_OK)
        stand_by_built_in(d, q, &e);
}

/* The job went on while the policy host was asked. */
static void refresh(const struct driver *d, struct question *q)
{
    struct verdict_context *c = &q->context;
    c->may_drop = may_drop(d, &d->work[q->action.task]);
    c->may_quarantine = c->may_quarantine && aside_may_skip(d, &d->work[q->action.task]);
    c->budget_left = d->budget.left;
}

static void on_answer(void *driver, uint64_t id, enum status st, struct slice answer,
                      const struct err *problem)
{
    struct driver *d = driver;
    struct question *q = take_question(d, id);
    struct verdict v;
    if (!q)
        return;
    if (!is_awaited(d, q)) {
        sys_free(q);
        return;
    }
    refresh(d, q);
    if (st == ST_INTERRUPTED)
        evaluate(d, q); /* by the new rules */
    else if (st != ST_OK)
        stand_by_built_in(d, q, problem);
    else if (verdict_answer(&d->job.rules, &q->err, &q->context, &q->ask, answer, &v) ==
             VERDICT_ASK)
        ask(d, q);
    else
        settle_question(d, q, &v);
}

/* --- records in living attempts --- */

static void answer_worker(struct driver *d, uint32_t slot, uint64_t serial, bool aside)
{
    struct val_map m = VAL_MAP_EMPTY;
    struct buf payload = BUF_EMPTY;
    struct err e;
    val_map_int(&m, "serial", (int64_t)serial);
    val_map_bool(&m, "put_aside", aside);
    enum status st = val_map_end(&m, &payload);
    if (st == ST_OK)
        st = pool_send(d->pool, slot, WIRE_ANSWER, buf_slice(&payload), &e);
    if (st != ST_OK)
        pool_kill(d->pool, slot); /* it waits for an answer that will not come */
    buf_free(&payload);
}

/* Another verdict than to put the record aside is that of the failure which ends the attempt. */
static void record_decided(struct driver *d, const struct question *q, const struct verdict *v)
{
    uint32_t slot = q->action.slot;
    bool aside = v->action == VERDICT_QUARANTINE;
    if (!aside && failed_remember(d, slot, &q->err)) {
        struct failure *f = d->failures[slot];
        f->verdict = *v;
        f->decided = f->fingerprint != 0;
    }
    answer_worker(d, slot, q->action.serial, aside);
}

static void settle_question(struct driver *d, struct question *q, const struct verdict *v)
{
    if (is_awaited(d, q) && q->in_attempt)
        record_decided(d, q, v);
    else if (is_awaited(d, q))
        decided(d, q->action.task, v);
    sys_free(q);
}

static void evaluate(struct driver *d, struct question *q)
{
    struct verdict v;
    if (verdict_begin(&d->job.rules, &q->err, &q->context, &q->ask, &v) == VERDICT_ASK)
        ask(d, q);
    else
        settle_question(d, q, &v);
}

static void decide(struct driver *d, const struct core_action *a, const struct err *e,
                   bool in_attempt)
{
    const struct work *w = &d->work[a->task];
    struct question *q = sys_calloc(1, sizeof *q);
    if (!q) {
        struct err failure;
        (void)err_memory(&failure, "a decision", sizeof *q);
        driver_fail(d, &failure, 1);
        return;
    }
    q->action = *a;
    q->in_attempt = in_attempt;
    q->err = *e;
    q->context = context_of(d, w, a, e);
    evaluate(d, q);
}

void decide_record(struct driver *d, uint32_t slot, struct slice payload)
{
    const struct core_slot *s = &d->core.slots[slot];
    struct slice error;
    struct err e;
    if (s->task == CORE_NONE || val_get_int(payload, "serial", -1) != (int64_t)s->serial ||
        !val_get(payload, "error", &error)) {
        pool_kill(d->pool, slot);
        return;
    }
    const struct core_task *t = &d->core.tasks[s->task];
    failed_by_word(d, slot, error, &e);
    struct core_action a = { .kind = ACT_ASK_POLICY,
                             .slot = slot,
                             .task = s->task,
                             .serial = s->serial,
                             .attempt = d->running[slot].id.number,
                             .retry = t->failures + 1,
                             .failures = t->failures,
                             .same_failures =
                                 core_same_failures(t, failure_fingerprint(&e)) + 1 };
    decide(d, &a, &e, true);
}

/* --- ends of attempts --- */

/* No profile is known yet, and what killed the worker may have nothing to do with the job: it is loaded
 * once more. */
static bool loads_again(const struct driver *d, const struct core_action *a, const struct err *e,
                        struct verdict *v)
{
    if (d->at != AT_DESCRIBE || e->status != ST_CRASH || e->signal != SIGKILL || a->failures > 0)
        return false;
    *v = (struct verdict){ .action = VERDICT_RETRY };
    (void)snprintf(v->rule, sizeof v->rule, "built-in: %s", e->type);
    return true;
}

void decide_failure(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    failed_adopt(d, a->slot, w);
    struct failure *f = w->failure;
    task_checkpoint_failed(d, w, f);
    finish_attempt_files(d, w, f->attempt.id);
    if (d->ending) {
        journal_failure(d, a->task, NULL, "ended");
        return;
    }
    d->totals.failures += work_is_counted(w);
    struct verdict v;
    if (loads_again(d, a, &f->err, &v)) {
        decided(d, a->task, &v);
        return;
    }
    bool decided_so = f->decided && (f->verdict.action != VERDICT_DROP_TASK || may_drop(d, w));
    f->decided = false;
    if (decided_so) { /* of a record, while the attempt lived */
        v = f->verdict;
        decided(d, a->task, &v);
        return;
    }
    decide(d, a, &f->err, false);
}

void decide_backup(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    char name[TASK_NAME_MAX];
    failed_adopt(d, a->slot, w);
    const struct failure *f = w->failure;
    finish_attempt_files(d, w, f->attempt.id);
    journal_failure(d, a->task, NULL, d->ending ? "ended" : NULL);
    if (d->ending)
        return;
    if (work_is_counted(w)) {
        d->totals.failures++;
        statistics_backup_failure(&d->statistics, &f->err, (double)f->attempt.cpu_ns / 1e9);
        d->statistics_changed = true;
    }
    report_note(d, "%s.%u%s failed (%s: %s); another attempt of the task still runs",
                task_name(d, w, name), f->attempt.id.number, f->attempt.id.speculative ? "s" : "",
                f->err.type, f->err.message);
}

void decide_lost(struct driver *d, const struct core_action *a)
{
    struct work *w = &d->work[a->task];
    char name[TASK_NAME_MAX];
    struct running *r = &d->running[a->slot];
    const struct position *page = pool_page(d->pool, a->slot);
    if (page && POSITION_GET(page, attempt_serial) == r->serial)
        r->cpu_ns = POSITION_GET(page, cpu_ns);
    finish_attempt_files(d, w, r->id);
    if (work_is_counted(w)) {
        statistics_lost(&d->statistics, r->id.speculative, (double)r->cpu_ns / 1e9);
        d->statistics_changed = true;
    }
    if (!d->journal)
        return;
    struct journal_attempt row = {
        .place = { d->step + 1, d->round, task_name(d, w, name) },
        .attempt = r->id.number,
        .speculative = r->id.speculative,
        .worker = r->worker,
        .started = r->started,
        .ended = sys_wall_clock(),
        .cpu_ns = r->cpu_ns,
        .outcome = "lost",
        .went_on_at = (int64_t)r->went_on_at,
    };
    journal_attempt(d->journal, &row);
}

void decide_free(struct driver *d)
{
    for (size_t i = 0; i < d->question_count; i++)
        sys_free(d->questions[i]);
    sys_free(d->questions);
    d->questions = NULL;
    d->question_count = d->question_capacity = 0;
}
