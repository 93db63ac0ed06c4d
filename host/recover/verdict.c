#include "recover/verdict.h"

#include "data/codec.h"
#include "recover/opinion.h"

#include <math.h>
#include <stdio.h>
#include <xxhash.h>

uint64_t failure_fingerprint(const struct err *err)
{
    if (err->record < 0)
        return 0;
    bool by_chance = err->status == ST_TIMEOUT || err->status == ST_MEMORY;
    const char *traceback = by_chance ? "" : err->traceback;
    char text[ERR_TYPE_MAX + ERR_TRACEBACK_MAX + ERR_FILE_MAX + 64];
    int n = snprintf(text, sizeof text, "%s\n%s\n%s\n%lld %lld", err->type, traceback, err->file,
                     (long long)err->offset, (long long)err->record);
    uint64_t hash = XXH3_64bits(text, (size_t)n);
    return hash ? hash : 1;
}

enum { PART_MAX = VERDICT_REASON_MAX / 2 - 40 }; /* of a reason that has two */

/* One decision under way. */
struct decision {
    const struct rules *rules;
    const struct rule_chain *chain; /* NULL: none for this type */
    const struct err *err;
    const struct verdict_context *context;
};

static const struct rule_chain *find_chain(const struct rules *rules, const char *type)
{
    for (uint32_t i = 0; i < rules->count; i++)
        if (strcmp(rules->chains[i].type, type) == 0)
            return &rules->chains[i];
    return NULL;
}

static struct decision decision_of(const struct rules *rules, const struct err *err,
                                   const struct verdict_context *context)
{
    return (struct decision){ rules, find_chain(rules, err->type), err, context };
}

/* The rule at `step`; NULL past the chain's end. */
static const struct rule *rule_at(const struct decision *d, uint32_t step)
{
    return d->chain && step < d->chain->count ? &d->chain->rules[step] : NULL;
}

static struct retry_terms table_terms(const struct rule *rule)
{
    return (struct retry_terms){ &rule->retry, rule->memory_multiplier, rule->max_memory };
}

/* --- the bounds --- */

static void refuse(struct opinion *o, const char *rule, const char *why)
{
    opinion_say(o, VERDICT_FAIL, "%s (%s said %s)", why, o->v.rule, verdict_name(o->v.action));
    opinion_rule(o, "%s", rule);
}

static void again_at_once(struct opinion *o, const char *why)
{
    o->numbers = NULL;
    o->v.delay_seconds = 0;
    opinion_say(o, VERDICT_RETRY, "%s", why);
}

/* Where the attempt died, its page names a culprit that another run has to confirm. */
static bool needs_confirmation(const char *type)
{
    enum status status = status_from_type(type);
    return status == ST_CRASH || status == ST_TIMEOUT || status == ST_MEMORY;
}

static void bound_quarantine(const struct decision *d, struct opinion *o)
{
    const struct verdict_context *c = d->context;
    char why[VERDICT_REASON_MAX];
    if (!c->has_culprit || !c->may_quarantine) {
        memcpy(why, o->v.reason, sizeof why);
        opinion_aside_or_fail(o, d->err, c, why);
    } else if (needs_confirmation(d->err->type) && c->same_failures < 2) {
        (void)snprintf(why, sizeof why, "to confirm the culprit: the same %s must fail once more",
                       culprit_name(d->err));
        again_at_once(o, why);
    }
}

static void bound_recompute(const struct decision *d, struct opinion *o)
{
    if (d->context->is_run)
        return;
    if (type_failures(d->context) <= 1)
        again_at_once(o, d->context->is_own
                             ? "the task that wrote this data is over and done: it is read once more"
                             : "no task of this job wrote this data: it is read once more");
    else if (d->context->is_own)
        opinion_say(o, VERDICT_FAIL,
                    "read again it is no better, and the task that wrote it is of a step that is "
                    "over: run the job again");
    else
        opinion_say(o, VERDICT_FAIL,
                    "read again it is no better, and no task of this job wrote this data: mend the "
                    "file, then lmr resume");
}

static void bound_attempts(const struct decision *d, struct opinion *o)
{
    char why[160];
    enum verdict_action action = o->v.action;
    bool needs_attempt = action == VERDICT_RETRY || action == VERDICT_QUARANTINE ||
                         action == VERDICT_RECOMPUTE;
    if (needs_attempt && (uint64_t)d->context->attempt + 1 >= d->rules->max_attempts) {
        (void)snprintf(why, sizeof why, "all attempts a task may have are made: %u",
                       d->rules->max_attempts);
        refuse(o, "limits.max_attempts", why);
    } else if (action == VERDICT_RETRY && !retry_budget_allows(d->context->budget_left)) {
        (void)snprintf(why, sizeof why,
                       "too many retries in this job: mend what fails, then lmr resume, or raise "
                       "retry_budget.tokens (%g)",
                       d->rules->budget_tokens);
        refuse(o, "retry_budget", why);
    }
}

static void bound(const struct decision *d, struct opinion *o)
{
    if (o->v.action == VERDICT_QUARANTINE)
        bound_quarantine(d, o);
    else if (o->v.action == VERDICT_RECOMPUTE)
        bound_recompute(d, o);
    else if (o->v.action == VERDICT_DROP_TASK && !d->context->may_drop)
        opinion_say(o, VERDICT_FAIL, "the job cannot go on without this task: what comes after it "
                                     "has begun to use the whole");
    bound_attempts(d, o);
}

/* --- delays --- */

static double sane_delay(double delay)
{
    return delay > 0 ? fmin(delay, VERDICT_DELAY_MAX) : 0;
}

static double at_least_asked(const struct decision *d, double delay)
{
    return sane_delay(fmax(delay, d->err->retry_after));
}

static void set_delay(const struct decision *d, double delay, double least, double most,
                      struct verdict *out)
{
    out->delay_seconds = at_least_asked(d, delay);
    out->delay_least = at_least_asked(d, least);
    out->delay_most = at_least_asked(d, most);
}

static void set_drawn_delay(const struct decision *d, const struct retry_rule *numbers,
                            struct verdict *out)
{
    double least, most;
    retry_delay_range(numbers, d->context->retry, &least, &most);
    set_delay(d, retry_delay(numbers, d->context->retry, d->context->seed), least, most, out);
}

/* What is not for a retry is not said of anything else. */
static void keep_to_action(struct verdict *v)
{
    if (v->action == VERDICT_RETRY || v->action == VERDICT_QUARANTINE)
        return;
    v->memory_limit = 0;
    v->timeout_seconds = v->delay_seconds = 0;
    v->fresh_worker = false;
}

/* The bounds, then the delay; a strategy function is asked only for a retry that will be. */
static enum verdict_next conclude(const struct decision *d, struct opinion *o,
                                  struct verdict_ask *ask, struct verdict *out)
{
    bound(d, o);
    keep_to_action(&o->v);
    o->v.delay_seconds = sane_delay(o->v.delay_seconds);
    *out = o->v;
    out->delay_least = out->delay_most = o->v.delay_seconds;
    if (o->v.action != VERDICT_RETRY)
        return VERDICT_DECIDED;
    if (ask && o->numbers && o->numbers->strategy == STRATEGY_FUNCTION) {
        ask->function = o->numbers->function;
        ask->for_delay = true;
        ask->numbers = o->numbers;
        ask->pending = o->v;
        return VERDICT_ASK;
    }
    if (o->numbers)
        set_drawn_delay(d, o->numbers, out);
    else if (!o->is_exact)
        set_delay(d, o->v.delay_seconds, o->v.delay_seconds, o->v.delay_seconds, out);
    return VERDICT_DECIDED;
}

/* --- rules of the profile --- */

static void exhausted(const struct decision *d, const struct rule *rule, const char *why,
                      struct opinion *o)
{
    if (!rule->has_on_exhausted)
        opinion_aside_or_fail(o, d->err, d->context, why);
    else
        opinion_say(o, rule->on_exhausted, "%s", why);
    if (o->v.action == VERDICT_RETRY)
        o->numbers = &rule->retry;
}

static void table_opinion(const struct decision *d, const struct rule *rule, struct opinion *o)
{
    char why[96];
    uint64_t limit;
    struct retry_terms terms = table_terms(rule);
    if (is_poison(d->err, d->context)) {
        (void)snprintf(why, sizeof why, "the same %s failed in the same way %u times",
                       culprit_name(d->err), d->context->same_failures);
        exhausted(d, rule, why, o);
    } else if (d->context->retry > rule->retry.max_retries) {
        (void)snprintf(why, sizeof why, "its %u retr%s used up", rule->retry.max_retries,
                       rule->retry.max_retries == 1 ? "y is" : "ies are");
        exhausted(d, rule, why, o);
    } else if (status_from_type(d->err->type) == ST_MEMORY &&
               memory_growth(&terms, d->context, &limit) == MEMORY_SPENT) {
        exhausted(d, rule, "it has had all the memory it may have (max_memory)", o);
    } else {
        opinion_say(o, VERDICT_RETRY, "retry %u of %u", d->context->retry, rule->retry.max_retries);
        opinion_retry_terms(o, &terms, d->err, d->context);
    }
}

static void rule_opinion(const struct decision *d, const struct rule *rule, struct opinion *o)
{
    *o = (struct opinion){ .v = { .action = VERDICT_FAIL } };
    opinion_rule(o, "%s", rule->source);
    if (rule->kind == RULE_TABLE)
        table_opinion(d, rule, o);
    else
        opinion_say(o, rule->action, "the profile says %s for %s", verdict_name(rule->action),
                    d->err->type);
}

static enum verdict_next evaluate(const struct decision *d, struct verdict_ask *ask,
                                  struct verdict *out)
{
    struct opinion o;
    const struct rule *rule = rule_at(d, ask->step);
    if (rule && rule->kind == RULE_FUNCTION) {
        ask->function = rule->function;
        ask->for_delay = false;
        return VERDICT_ASK;
    }
    if (rule)
        rule_opinion(d, rule, &o);
    else
        built_in_opinion(d->rules, d->err, d->context, &o);
    return conclude(d, &o, ask, out);
}

enum verdict_next verdict_begin(const struct rules *rules, const struct err *err,
                                const struct verdict_context *context, struct verdict_ask *ask,
                                struct verdict *out)
{
    struct decision d = decision_of(rules, err, context);
    *ask = (struct verdict_ask){ .step = 0 };
    *out = (struct verdict){ .action = VERDICT_FAIL };
    return evaluate(&d, ask, out);
}

/* --- answers of the policy host --- */

/* What a function said, field by field; the first problem ends it. */
struct answer {
    struct opinion *o;
    bool has_action;
    const char *problem; /* static text, or NULL */
};

static double positive(struct answer *a, const struct scalar *value, const char *problem)
{
    double v = value->kind == SC_INT ? (double)value->i : value->kind == SC_FLOAT ? value->f : -1;
    if (v > 0 && isfinite(v))
        return v;
    a->problem = problem;
    return 0;
}

static void answer_action(struct answer *a, const struct scalar *value)
{
    a->has_action = value->kind == SC_STRING && verdict_from_name(value->s, &a->o->v.action);
    if (!a->has_action)
        a->problem = "its action is no verdict";
}

static void answer_delay(struct answer *a, const struct scalar *value)
{
    bool is_zero = (value->kind == SC_INT && value->i == 0) ||
                   (value->kind == SC_FLOAT && value->f == 0);
    a->o->is_exact = true;
    a->o->v.delay_seconds =
        is_zero ? 0 : positive(a, value, "its delay_seconds is no number of seconds");
}

static void answer_memory(struct answer *a, const struct scalar *value)
{
    double bytes = positive(a, value, "its memory_limit is no size");
    if (bytes >= 0x1p62)
        a->problem = "its memory_limit is no size";
    else
        a->o->v.memory_limit = (uint64_t)ceil(bytes);
}

static void answer_reason(struct answer *a, const struct scalar *value)
{
    if (value->kind != SC_STRING) {
        a->problem = "its reason is no text";
        return;
    }
    int n = (int)(value->s.n < VERDICT_REASON_MAX ? value->s.n : VERDICT_REASON_MAX);
    (void)snprintf(a->o->v.reason, sizeof a->o->v.reason, "%.*s", n, (const char *)value->s.p);
}

static void answer_field(struct answer *a, struct slice name, const struct scalar *value)
{
    if (slice_equal(name, slice_str("action")))
        answer_action(a, value);
    else if (slice_equal(name, slice_str("delay_seconds")))
        answer_delay(a, value);
    else if (slice_equal(name, slice_str("memory_limit")))
        answer_memory(a, value);
    else if (slice_equal(name, slice_str("timeout_seconds")))
        a->o->v.timeout_seconds =
            positive(a, value, "its timeout_seconds is no number of seconds");
    else if (slice_equal(name, slice_str("reason")))
        answer_reason(a, value);
    else if (!slice_equal(name, slice_str("fresh_worker")))
        a->problem = "it has a field that no verdict has";
    else if (value->kind != SC_TRUE && value->kind != SC_FALSE)
        a->problem = "its fresh_worker is no boolean";
    else
        a->o->v.fresh_worker = value->kind == SC_TRUE;
}

static void answer_map(struct answer *a, struct slice map)
{
    struct val_cursor c;
    struct slice key, name, field;
    struct scalar value;
    for (uint64_t n = val_map_open(map, &c); n > 0 && !a->problem; n--) {
        (void)val_skip(&c, &key);
        (void)val_skip(&c, &field);
        struct val_cursor inside = val_cursor(field);
        (void)val_next(&inside, &value);
        if (val_as_string(key, &name))
            answer_field(a, name, &value);
        else
            a->problem = "it has a field that no verdict has";
    }
    if (!a->problem && !a->has_action)
        a->problem = "it has no action";
}

/* NULL, or what is wrong with the answer. */
static const char *read_answer(struct slice value, struct opinion *o)
{
    struct answer a = { o, false, NULL };
    struct slice name;
    if (val_check(value) != ST_OK)
        return "it does not decode";
    if (val_is_map(value))
        answer_map(&a, value);
    else if (!val_as_string(value, &name))
        return "it is neither a verdict's name nor a table";
    else if (!verdict_from_name(name, &o->v.action))
        return "it is the name of no verdict";
    return a.problem;
}

/* The numbers of the chain's first table, else the profile's. */
static struct retry_terms terms_of_chain(const struct decision *d)
{
    const struct rule *rule;
    for (uint32_t i = 0; (rule = rule_at(d, i)) != NULL; i++)
        if (rule->kind == RULE_TABLE)
            return table_terms(rule);
    return profile_terms(d->rules);
}

static void bad_answer(const struct decision *d, const struct verdict_ask *ask, const char *wrong,
                       struct verdict *out)
{
    char problem[VERDICT_REASON_MAX];
    const struct rule *rule = rule_at(d, ask->step);
    (void)snprintf(problem, sizeof problem, "%s: the answer makes no sense: %s",
                   ask->for_delay ? "the strategy function" : rule ? rule->source : "the policy",
                   wrong);
    verdict_no_answer(d->rules, d->err, d->context, ask, problem, out);
}

static enum verdict_next answer_for_delay(const struct decision *d, const struct verdict_ask *ask,
                                          struct slice answer, struct verdict *out)
{
    struct scalar s = { .kind = SC_NULL };
    struct val_cursor c = val_cursor(answer);
    double delay = NAN;
    if (val_check(answer) == ST_OK && val_next(&c, &s) == ST_OK)
        delay = s.kind == SC_INT ? (double)s.i : s.kind == SC_FLOAT ? s.f : NAN;
    if (!(delay >= 0)) {
        bad_answer(d, ask, "it is no number of seconds", out);
        return VERDICT_DECIDED;
    }
    *out = ask->pending;
    double least, most;
    retry_jittered_range(ask->numbers, delay, &least, &most);
    delay = retry_jittered(ask->numbers, delay, d->context->retry, d->context->seed);
    set_delay(d, delay, least, most, out);
    return VERDICT_DECIDED;
}

static bool is_null(struct slice value)
{
    return value.n == 1 && value.p[0] == VAL_NULL;
}

enum verdict_next verdict_answer(const struct rules *rules, const struct err *err,
                                 const struct verdict_context *context, struct verdict_ask *ask,
                                 struct slice answer, struct verdict *out)
{
    struct decision d = decision_of(rules, err, context);
    struct opinion o = { .v = { .action = VERDICT_FAIL } };
    if (ask->for_delay)
        return answer_for_delay(&d, ask, answer, out);
    if (is_null(answer)) {
        ask->step++;
        return evaluate(&d, ask, out);
    }
    const struct rule *rule = rule_at(&d, ask->step);
    opinion_rule(&o, "%s", rule ? rule->source : "the policy");
    const char *wrong = read_answer(answer, &o);
    if (wrong) {
        bad_answer(&d, ask, wrong, out);
        return VERDICT_DECIDED;
    }
    if (o.v.reason[0] == '\0')
        opinion_say(&o, o.v.action, "the profile's function says %s", verdict_name(o.v.action));
    if (o.v.action == VERDICT_RETRY) {
        struct retry_terms terms = terms_of_chain(&d);
        opinion_retry_terms(&o, &terms, err, context);
    }
    return conclude(&d, &o, ask, out);
}

/* Puts what went wrong before the reason. */
static void tell_problem(struct verdict *v, const char *problem, const char *instead)
{
    char reason[VERDICT_REASON_MAX];
    (void)snprintf(reason, sizeof reason, "%s", v->reason);
    (void)snprintf(v->reason, sizeof v->reason, "the policy failed (%.*s), so %s: %.*s", PART_MAX,
                   problem, instead, PART_MAX, reason);
}

void verdict_no_answer(const struct rules *rules, const struct err *err,
                       const struct verdict_context *context, const struct verdict_ask *ask,
                       const char *problem, struct verdict *out)
{
    struct decision d = decision_of(rules, err, context);
    if (!ask->for_delay) {
        verdict_built_in(rules, err, context, problem, out);
        return;
    }
    *out = ask->pending;
    set_drawn_delay(&d, ask->numbers, out);
    tell_problem(out, problem, "the delay is exponential");
}

void verdict_built_in(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, const char *problem,
                      struct verdict *out)
{
    struct decision d = decision_of(rules, err, context);
    struct opinion o;
    built_in_opinion(rules, err, context, &o);
    (void)conclude(&d, &o, NULL, out);
    if (problem)
        tell_problem(out, problem, "the built-in verdict stands");
}

/* --- within a living attempt --- */

static bool puts_aside_at_once(const struct rules *rules, const struct rule *rule,
                               const char *type)
{
    enum status status = status_from_type(type);
    if (!rule) {
        bool spent = status == ST_DECLARED && rules->retry.max_retries == 0;
        return status == ST_SCRIPT || status == ST_BAD_RECORD || spent;
    }
    if (rule->kind == RULE_VERDICT)
        return rule->action == VERDICT_QUARANTINE;
    return rule->retry.max_retries == 0 &&
           (!rule->has_on_exhausted || rule->on_exhausted == VERDICT_QUARANTINE);
}

enum verdict_action verdict_in_attempt(const struct rules *rules, const char *type,
                                       bool may_quarantine, bool *ask)
{
    const struct rule_chain *chain = find_chain(rules, type);
    const struct rule *rule = chain && chain->count > 0 ? &chain->rules[0] : NULL;
    *ask = rule && rule->kind == RULE_FUNCTION && !needs_confirmation(type);
    if (*ask || !may_quarantine || needs_confirmation(type))
        return VERDICT_FAIL;
    return puts_aside_at_once(rules, rule, type) ? VERDICT_QUARANTINE : VERDICT_FAIL;
}
