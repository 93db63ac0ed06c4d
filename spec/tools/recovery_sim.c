/* recovery_sim: what recovery makes of jobs that fail, under a virtual clock. The scheduler's core,
 * the rules of a real profile with its functions, the verdicts, delays and the retry budget are the
 * host's own; the workers are made up (recovery_world.h).
 *
 *   recovery_sim SEED RUNS [NAME=WORD]…      RUNS jobs, from SEED on
 *       maps=990 reduces=10 slots=4
 *       percent=10           of the attempts fail in a way that comes and goes
 *       kinds=crash,…        in these (FATES of recovery_world.h); all unless told
 *       always=N             so many tasks fail in each of their attempts
 *       poison=N             so many others have one record that kills who reads it
 *       scale=SECONDS        what a task takes; unless told between 0.1 s and 30 s, by the seed
 *       profile=NAME|FILE  set=KEY=VALUE  job=FILE   as for lmr run (production, a job of one line)
 *       log                  also prints what happens
 *   A line a run: seed, how it ended, NAME=NUMBER…; `why=` and the reason of the job's failure. */
#include "core_text.h"
#include "recovery_world.h"

#include "base/sys.h"
#include "recover/statistics.h"
#include "schedule/description.h"
#include "schedule/judge.h"
#include "schedule/policy.h"
#include "script/policy.h"

enum { SETS_MAX = 16, EVENTS_MAX = 20000000 };

struct options {
    struct world world;
    uint32_t slots;
    const char *profile, *job, *sets[SETS_MAX];
    uint32_t set_count;
    bool has_scale, print;
};

/* What was asked of the policy, and will be answered. */
struct question {
    int64_t at;
    struct core_action action;
    struct err err;
    struct verdict_context context;
    struct verdict_ask ask;
    struct question *next;
};

struct sim_slot {
    int64_t at; /* when `event` comes; INT64_MAX: nothing does */
    enum core_event_kind event;
    struct fortune fortune;
    int64_t began;  /* its attempt */
    struct err err; /* of the attempt that ended here last */
};

struct sim_task {
    struct judge_task judged;
    int64_t first_started;
    bool started, skips;
};

struct sim {
    const struct options *options;
    struct world world;
    const struct description *job;
    struct policy_script *script;
    struct core core;
    int64_t now;
    struct sim_slot *slots;
    struct sim_task *tasks;
    struct question *first, **last; /* in the order they were asked */
    struct buf actions;             /* struct core_action, not yet carried out */
    struct retry_budget budget;
    struct statistics statistics;
    double budget_least;
    uint64_t log_hash, events, quarantined, rests, asked;
    uint32_t most_attempts;
    const char *end;
    struct verdict fatal;
};

static _Noreturn void give_up(const struct err *e)
{
    (void)fprintf(stderr, "recovery_sim: %s\n", e->message);
    exit(2);
}

static void check(enum status st, const struct err *e)
{
    if (st != ST_OK)
        give_up(e);
}

static void need(enum status st)
{
    struct err e;
    if (st != ST_OK) {
        (void)err_memory(&e, "a simulation", 0);
        give_up(&e);
    }
}

static void say(struct sim *s, const char *text)
{
    for (const char *p = text; *p; p++)
        s->log_hash = (s->log_hash ^ (uint8_t)*p) * UINT64_C(0x100000001B3);
    s->log_hash = (s->log_hash ^ (uint64_t)s->now) * UINT64_C(0x100000001B3);
    if (s->options->print)
        (void)printf("%10.3f %s\n", (double)s->now / 1e9, text);
}

static void deliver(struct sim *s, const struct core_event *event)
{
    s->events++;
    core_event(&s->core, event, s->now);
    need(buf_append(&s->actions, s->core.actions, s->core.action_count * sizeof *s->core.actions));
}

/* --- verdicts --- */

static void take_verdict(struct sim *s, const struct question *q, const struct verdict *v)
{
    char text[VERDICT_REASON_MAX + VERDICT_RULE_MAX + 96];
    struct sim_task *t = &s->tasks[q->action.task];
    (void)snprintf(text, sizeof text, "%s of task %u: %s after %.3f s (%s: %s)", q->err.type,
                   q->action.task, verdict_name(v->action), v->delay_seconds, v->rule, v->reason);
    say(s, text);
    statistics_failure(&s->statistics, &q->err, v, 0);
    if (v->action == VERDICT_QUARANTINE)
        t->skips = true;
    if (v->action != VERDICT_RETRY && v->action != VERDICT_QUARANTINE && !s->fatal.rule[0])
        s->fatal = *v;
    if (v->action == VERDICT_STOP || v->action == VERDICT_ABORT) {
        s->end = "stopped";
        return;
    }
    struct core_event event = judge_verdict(q->action.task, q->err.status, v, CORE_NONE, &t->judged,
                                            &s->budget);
    s->budget_least = fmin(s->budget_least, s->budget.left);
    deliver(s, &event);
}

static void put_question(const struct sim *s, const struct question *q, struct buf *err,
                         struct buf *context)
{
    char name[32];
    const struct verdict_context *c = &q->context;
    struct slice limits = slice_of(NULL, 0);
    struct buf failures = BUF_EMPTY;
    name_task(&s->world, q->action.task, name);
    (void)val_get(s->job->profile, "limits", &limits);
    need(policy_put_err(&(struct policy_failure){ .err = &q->err,
                                                  .task = name,
                                                  .attempt = q->action.attempt,
                                                  .fingerprint = failure_fingerprint(&q->err) },
                        err));
    need(statistics_put_failures(&s->statistics, &failures));
    need(policy_put_context(&(struct policy_context){ .attempt = c->attempt,
                                                      .retry = c->retry,
                                                      .failures = c->failures,
                                                      .same_failures = c->same_failures,
                                                      .elapsed_seconds = c->elapsed_seconds,
                                                      .budget_left = c->budget_left,
                                                      .now = (double)s->now / 1e9,
                                                      .limits = limits,
                                                      .tasks = s->core.task_count,
                                                      .done = s->statistics.committed,
                                                      .job_failures = buf_slice(&failures) },
                            context));
    buf_free(&failures);
}

/* The function answers; it may be a chain of them. */
static void answer(struct sim *s, struct question *q)
{
    enum verdict_next next = VERDICT_ASK;
    struct verdict v;
    q->context.budget_left = s->budget.left;
    while (next == VERDICT_ASK) {
        struct buf err = BUF_EMPTY, context = BUF_EMPTY, said = BUF_EMPTY;
        struct err e;
        put_question(s, q, &err, &context);
        s->asked++;
        check(policy_script_call(s->script, q->ask.function, q->ask.for_delay, buf_slice(&err),
                                 buf_slice(&context), &said, &e),
              &e);
        next = verdict_answer(&s->job->rules, &q->err, &q->context, &q->ask, buf_slice(&said), &v);
        buf_free(&err);
        buf_free(&context);
        buf_free(&said);
    }
    take_verdict(s, q, &v);
}

/* As schedule/decide.c does it. Where a function has its say, that takes a moment. */
static void ask(struct sim *s, const struct core_action *a)
{
    char name[32];
    struct question *q = sys_calloc(1, sizeof *q);
    const struct sim_task *t = &s->tasks[a->task];
    struct verdict v;
    CHECK(q);
    name_task(&s->world, a->task, name);
    q->action = *a;
    q->err = s->slots[a->slot].err;
    const struct judge_facts facts = {
        .limits = &s->core.limits,
        .task_name = name,
        .job_seed = s->world.seed,
        .attempts = s->core.tasks[a->task].attempts,
        .memory_limit = s->job->memory_limit,
        .elapsed_seconds = (double)(s->now - t->first_started) / 1e9,
        .budget_left = s->budget.left,
        .has_units = true,
        .may_quarantine = s->quarantined < s->job->max_quarantined,
    };
    q->context = judge_context(a, &q->err, &t->judged, &facts);
    if (verdict_begin(&s->job->rules, &q->err, &q->context, &q->ask, &v) == VERDICT_DECIDED) {
        take_verdict(s, q, &v);
        sys_free(q);
        return;
    }
    q->at = s->now + 50 * millisecond;
    *s->last = q;
    s->last = &q->next;
}

static void answer_first(struct sim *s)
{
    struct question *q = s->first;
    s->first = q->next;
    if (!s->first)
        s->last = &s->first;
    answer(s, q);
    sys_free(q);
}

/* --- workers --- */

static void plan(struct sim *s, uint32_t slot, enum core_event_kind event, int64_t delay)
{
    s->slots[slot].event = event;
    s->slots[slot].at = event == CORE_TICK ? INT64_MAX : s->now + delay;
}

static void begin_attempt(struct sim *s, const struct core_action *a)
{
    struct sim_slot *slot = &s->slots[a->slot];
    struct sim_task *t = &s->tasks[a->task];
    const struct attempt_name name = { a->task, a->attempt, a->speculative };
    static const enum core_event_kind ends[FATE_KINDS] = {
        [FATE_ok] = CORE_SUCCEEDED,  [FATE_crash] = CORE_WORKER_DOWN,
        [FATE_record] = CORE_WORKER_DOWN, [FATE_network] = CORE_ERRED,
        [FATE_hang] = CORE_TICK,     [FATE_deaf] = CORE_TICK, /* nothing comes of itself */
    };
    if (!t->started)
        t->first_started = s->now;
    t->started = true;
    slot->fortune = tell_fortune(&s->world, &name, t->skips);
    slot->began = s->now;
    plan(s, a->slot, ends[slot->fortune.fate], slot->fortune.length);
    statistics_attempt(&s->statistics, a->speculative);
    uint32_t attempts = s->core.tasks[a->task].attempts;
    s->most_attempts = attempts > s->most_attempts ? attempts : s->most_attempts;
}

static void end_attempt(struct sim *s, uint32_t slot, struct core_event *event)
{
    const struct core_slot *c = &s->core.slots[slot];
    struct sim_slot *own = &s->slots[slot];
    if (c->task == CORE_NONE || event->kind == CORE_SUCCEEDED)
        return;
    word_failure(&s->world, c->task, &own->fortune, c->reason, (double)(s->now - own->began) / 1e9,
                 &own->err);
    event->fingerprint = failure_fingerprint(&own->err);
}

static void worker_event(struct sim *s, uint32_t slot)
{
    struct core_event event = { .kind = s->slots[slot].event, .slot = slot };
    plan(s, slot, CORE_TICK, 0);
    end_attempt(s, slot, &event);
    deliver(s, &event);
}

static void show_page(struct sim *s, uint32_t slot)
{
    const struct core_slot *c = &s->core.slots[slot];
    struct sim_slot *own = &s->slots[slot];
    if (c->state == SLOT_EMPTY || c->state == SLOT_STARTING)
        return;
    double fraction = -1;
    int64_t ran = s->now - own->began;
    if (ran > own->fortune.length)
        ran = own->fortune.length;
    if (c->task != CORE_NONE && c->task < s->world.maps)
        fraction = own->fortune.fraction * (double)ran / (double)own->fortune.length;
    deliver(s, &(struct core_event){ .kind = CORE_PAGE,
                                     .slot = slot,
                                     .heartbeat = (uint64_t)s->now,
                                     .progress = (uint64_t)(own->began + ran),
                                     .fraction = fraction });
}

/* --- actions --- */

static void commit(struct sim *s, const struct core_action *a)
{
    const struct sim_task *t = &s->tasks[a->task];
    retry_budget_success(&s->budget);
    statistics_commit(&s->statistics, a->speculative, s->core.tasks[a->task].failures > 0, 0);
    s->quarantined += t->skips;
    statistics_quarantined(&s->statistics, a->task >= s->world.maps, t->skips);
}

static void carry(struct sim *s, const struct core_action *a)
{
    char text[CORE_TEXT_MAX];
    core_action_text(a, text);
    say(s, text);
    switch (a->kind) {
    case ACT_SPAWN:
        plan(s, a->slot, CORE_WORKER_UP, 20 * millisecond);
        break;
    case ACT_ASSIGN:
        begin_attempt(s, a);
        break;
    case ACT_COMMIT:
        commit(s, a);
        break;
    case ACT_LOST:
        statistics_lost(&s->statistics, a->speculative, 0);
        break;
    case ACT_BACKUP_FAILED:
        statistics_backup_failure(&s->statistics, &s->slots[a->slot].err, 0);
        break;
    case ACT_ASK_POLICY:
        ask(s, a);
        break;
    case ACT_INTERRUPT: /* code that hangs in C does not hear it */
        if (s->slots[a->slot].fortune.fate != FATE_deaf)
            plan(s, a->slot, CORE_ERRED, 10 * millisecond);
        break;
    case ACT_KILL:
        plan(s, a->slot, CORE_WORKER_DOWN, 5 * millisecond);
        break;
    case ACT_REST:
        s->rests++;
        break;
    case ACT_DONE:
        s->end = "done";
        break;
    case ACT_FAIL_JOB:
        s->end = "failed";
        break;
    case ACT_BROKEN:
        s->end = "broken";
        break;
    case ACT_REDO:
    case ACT_STAGE_DONE:
    case ACT_KINDS:
        break;
    }
}

static void carry_out(struct sim *s)
{
    for (size_t at = 0; at < s->actions.n; at += sizeof(struct core_action)) {
        struct core_action a;
        memcpy(&a, s->actions.p + at, sizeof a);
        if (!s->end)
            carry(s, &a);
    }
    s->actions.n = 0;
}

/* --- a run --- */

/* The driver looks five times a second; here it is once, for there is much to get through. */
static void tick(struct sim *s)
{
    for (uint32_t i = 0; i < s->options->slots; i++)
        show_page(s, i);
    deliver(s, &(struct core_event){ .kind = CORE_TICK });
}

static void step(struct sim *s, int64_t *next_tick)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < s->options->slots; i++)
        if (s->slots[i].at < s->slots[first].at)
            first = i;
    int64_t worker = s->slots[first].at, due = core_next_due(&s->core);
    int64_t policy = s->first ? s->first->at : INT64_MAX;
    int64_t timer = due < *next_tick ? due : *next_tick;
    if (policy <= worker && policy <= timer) {
        s->now = policy;
        answer_first(s);
    } else if (worker <= timer) {
        s->now = worker;
        worker_event(s, first);
    } else {
        s->now = timer > s->now ? timer : s->now;
        if (timer == *next_tick) {
            *next_tick += second;
            tick(s);
        } else {
            deliver(s, &(struct core_event){ .kind = CORE_TICK });
        }
    }
    carry_out(s);
}

static void sim_open(struct sim *s, const struct options *o, const struct description *job,
                     struct policy_script *script, uint64_t seed)
{
    const struct attempt_name nobody = { UINT32_MAX, UINT32_MAX, false };
    const uint32_t sizes[] = { o->world.maps, o->world.reduces };
    struct err e;
    *s = (struct sim){ .options = o, .world = o->world, .job = job, .script = script };
    s->world.seed = seed;
    if (!o->has_scale)
        s->world.scale = 0.1 * pow(300, draw(&s->world, &nobody, 0));
    s->log_hash = UINT64_C(0xCBF29CE484222325);
    s->last = &s->first;
    check(core_open(&s->core, o->slots, &job->limits, &e), &e);
    check(core_load(&s->core, sizes, 2, &e), &e);
    s->slots = sys_calloc(o->slots, sizeof *s->slots);
    s->tasks = sys_calloc(s->core.task_count, sizeof *s->tasks);
    CHECK(s->slots && s->tasks);
    for (uint32_t i = 0; i < o->slots; i++)
        s->slots[i].at = INT64_MAX;
    retry_budget_init(&s->budget, job->rules.budget_tokens, job->rules.budget_refill);
    s->budget_least = s->budget.left;
}

static void sim_close(struct sim *s)
{
    while (s->first) {
        struct question *next = s->first->next;
        sys_free(s->first);
        s->first = next;
    }
    core_close(&s->core);
    buf_free(&s->actions);
    sys_free(s->slots);
    sys_free(s->tasks);
}

static void print_run(const struct sim *s)
{
    const struct statistics *n = &s->statistics;
    (void)printf("%" PRIu64 " %s tasks=%" PRIu32 " committed=%" PRIu64 " attempts=%" PRIu64,
                 s->world.seed, s->end, s->core.task_count, n->committed, n->attempts);
    (void)printf(" failures=%" PRIu64 " retries=%" PRIu64 " recovered=%" PRIu64 " waited=%.3f",
                 statistics_failures(n), statistics_retries(n), n->recovered, n->seconds_waited);
    (void)printf(" budget_least=%.6g budget_left=%.6g most_attempts=%" PRIu32 " rests=%" PRIu64,
                 s->budget_least, s->budget.left, s->most_attempts, s->rests);
    (void)printf(" quarantined=%" PRIu64 " asked=%" PRIu64 " backups=%" PRIu64, s->quarantined,
                 s->asked, n->speculative.started);
    (void)printf(" backups_won=%" PRIu64 " seconds=%.3f log=%016" PRIx64 "%s%s%s%s\n",
                 n->speculative.won, (double)s->now / 1e9, s->log_hash,
                 s->fatal.rule[0] ? " why=" : "", s->fatal.rule, s->fatal.rule[0] ? ": " : "",
                 s->fatal.reason);
}

static void run(const struct options *o, const struct description *job,
                struct policy_script *script, uint64_t seed)
{
    struct sim s;
    int64_t next_tick = second;
    sim_open(&s, o, job, script, seed);
    deliver(&s, &(struct core_event){ .kind = CORE_BEGIN });
    carry_out(&s);
    while (!s.end) {
        step(&s, &next_tick);
        CHECK(s.events < EVENTS_MAX);
    }
    print_run(&s);
    sim_close(&s);
}

/* --- the profile --- */

static void put_config(const struct options *o, struct buf *out)
{
    struct val_map m = VAL_MAP_EMPTY, code = VAL_MAP_EMPTY;
    struct buf one = BUF_EMPTY, none = BUF_EMPTY, sets = BUF_EMPTY;
    val_map_str(&code, "map", "emit(value, 1)");
    val_map_str(&code, "reduce", "sum");
    need(val_map_end(&code, &one));
    if (o->job)
        val_map_str(&m, "job", o->job);
    else
        val_map_value(&m, "one_liner", buf_slice(&one));
    need(val_put_array(&none, 0));
    val_map_value(&m, "args", buf_slice(&none));
    val_map_str(&m, "profile", o->profile);
    need(val_put_array(&sets, o->set_count));
    for (uint32_t i = 0; i < o->set_count; i++)
        need(val_put_str(&sets, o->sets[i]));
    val_map_value(&m, "set", buf_slice(&sets));
    need(val_map_end(&m, out));
    buf_free(&one);
    buf_free(&none);
    buf_free(&sets);
}

/* As the policy host loads it, and the driver reads it. */
static void load_profile(const struct options *o, struct policy_script **script,
                         struct description *job)
{
    struct buf config = BUF_EMPTY, loaded = BUF_EMPTY;
    struct slice profile;
    struct err e;
    put_config(o, &config);
    check(policy_script_open(buf_slice(&config), slice_of(NULL, 0), script, &loaded, &e), &e);
    CHECK(val_get(buf_slice(&loaded), "profile", &profile));
    *job = (struct description){ .encoded = BUF_EMPTY, .arena = ARENA_EMPTY };
    check(description_take_profile(job, profile, &e), &e);
    buf_free(&config);
    buf_free(&loaded);
}

/* --- options --- */

static bool take_number(struct options *o, const char *name, const char *word)
{
    const struct {
        const char *name;
        uint32_t *at;
    } numbers[] = { { "maps", &o->world.maps },
                    { "reduces", &o->world.reduces },
                    { "slots", &o->slots },
                    { "always", &o->world.always },
                    { "poison", &o->world.poison } };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].at = (uint32_t)strtoul(word, NULL, 10);
            return true;
        }
    return false;
}

static bool take_option(struct options *o, char *text)
{
    char *word = strchr(text, '=');
    if (strcmp(text, "log") == 0)
        return o->print = true;
    if (!word)
        return false;
    *word++ = '\0';
    if (take_number(o, text, word))
        return true;
    if (strcmp(text, "percent") == 0)
        o->world.fails = strtod(word, NULL) / 100;
    else if (strcmp(text, "kinds") == 0)
        choose_kinds(&o->world, word);
    else if (strcmp(text, "scale") == 0)
        o->has_scale = (o->world.scale = strtod(word, NULL)) > 0;
    else if (strcmp(text, "profile") == 0)
        o->profile = word;
    else if (strcmp(text, "job") == 0)
        o->job = word;
    else if (strcmp(text, "set") == 0 && o->set_count < SETS_MAX)
        o->sets[o->set_count++] = word;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct options o = { .world = { .maps = 990, .reduces = 10, .fails = 0.1 },
                         .slots = 4,
                         .profile = "production" };
    struct policy_script *script;
    struct description job;
    choose_kinds(&o.world, "crash,record,network,hang,deaf");
    for (int i = 3; i < argc; i++)
        if (!take_option(&o, argv[i])) {
            (void)fprintf(stderr, "recovery_sim: there is no option %s\n", argv[i]);
            return 2;
        }
    if (argc < 3)
        return 2;
    load_profile(&o, &script, &job);
    uint64_t seed = strtoull(argv[1], NULL, 10), runs = strtoull(argv[2], NULL, 10);
    for (uint64_t i = 0; i < runs; i++)
        run(&o, &job, script, seed + i);
    policy_script_close(script);
    description_free(&job);
    return 0;
}
