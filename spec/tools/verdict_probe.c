/* verdict_probe: rules, verdicts and delays, a command a line (values in the notation of notation.h):
 *   rules VALUE              reads an encoded profile: "ok CHAINS HOST" (HOST: 1 when functions are in it) or an error
 *   begin NAME=WORD …        the first step about an err and a context, see `set` below
 *   answer VALUE             goes on with an answer
 *   no_answer TEXT           goes on without one
 *   built_in TEXT            the built-in verdict, because of TEXT (nothing: for no reason)
 *     these print "ACTION DELAY MEMORY TIMEOUT FRESH", a tab, the rule, a tab, the reason,
 *     or "ask FUNCTION STEP FOR_DELAY"
 *   in_attempt TYPE MAY      "quarantine", "fail" or "ask"
 *   fingerprint TYPE TRACEBACK FILE OFFSET RECORD   16 hex digits
 *   delay STRATEGY JITTER BASE MAX MULTIPLIER RETRY SEED
 *   jittered JITTER BASE MAX DELAY RETRY SEED
 *   draws JITTER BASE MAX RETRY COUNT               one a line, for seeds 1 … COUNT
 *   budget TOKENS REFILL WORD…                      take, success, change=TOKENS,REFILL: what is left after each
 *   texts                    the built-in verdicts as they are printed
 *   random SEED COUNT        COUNT nonsense profiles and answers: what holds for every verdict is checked */
#include "recover/verdict.h"

#include "notation.h"

#include <inttypes.h>
#include <math.h>

struct probe {
    struct buf encoded;
    struct arena arena;
    struct rules rules;
    struct err err;
    struct verdict_context context;
    struct verdict_ask ask;
};

static double number(const char *text)
{
    return text ? strtod(text, NULL) : 0;
}

static uint64_t integer(const char *text)
{
    return text ? strtoull(text, NULL, 10) : 0;
}

/* --- rules and verdicts --- */

static void print_verdict(const struct verdict *v)
{
    (void)printf("%s %.17g %" PRIu64 " %.17g %d\t%s\t%s\n", verdict_name(v->action),
                 v->delay_seconds, v->memory_limit, v->timeout_seconds, v->fresh_worker, v->rule,
                 v->reason);
}

static void print_next(const struct probe *p, enum verdict_next next, const struct verdict *v)
{
    if (next == VERDICT_ASK)
        (void)printf("ask %u %u %d\n", p->ask.function, p->ask.step, p->ask.for_delay);
    else
        print_verdict(v);
}

static void read_rules(struct probe *p, char *line)
{
    struct err e;
    arena_free(&p->arena);
    p->arena = ARENA_EMPTY;
    p->encoded.n = 0;
    (void)notation_value(&line, &p->encoded);
    enum status st = rules_read(buf_slice(&p->encoded), &p->arena, &p->rules, &e);
    if (st == ST_OK)
        (void)printf("ok %u %d\n", p->rules.count, p->rules.has_functions);
    else
        notation_print_error(st, &e);
}

/* What stands in a `begin`; a detail is d.NAME=WORD. */
static void set(struct probe *p, const char *name, const char *word)
{
    struct verdict_context *c = &p->context;
    const struct {
        const char *name;
        uint32_t *at;
    } counts[] = { { "attempt", &c->attempt },
                   { "retry", &c->retry },
                   { "same", &c->same_failures },
                   { "of_type", &c->type_failures } };
    const struct {
        const char *name;
        double *at;
    } numbers[] = { { "longer", &c->timeout_seconds },
                    { "task", &c->task_timeout_seconds },
                    { "progress", &c->progress_timeout_seconds },
                    { "budget", &c->budget_left },
                    { "retry_after", &p->err.retry_after },
                    { "elapsed", &p->err.elapsed_seconds } };
    const struct {
        const char *name;
        bool *at;
    } flags[] = { { "culprit", &c->has_culprit },
                  { "quarantine", &c->may_quarantine },
                  { "drop", &c->may_drop },
                  { "run", &c->is_run } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strcmp(name, counts[i].name) == 0)
            *counts[i].at = (uint32_t)integer(word);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(name, numbers[i].name) == 0)
            *numbers[i].at = number(word);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (strcmp(name, flags[i].name) == 0)
            *flags[i].at = integer(word) != 0;
    if (strcmp(name, "os_error") == 0)
        p->err.os_error = (int)integer(word);
    else if (strcmp(name, "memory") == 0)
        c->memory_limit = integer(word);
    else if (strcmp(name, "seed") == 0)
        c->seed = integer(word);
    else if (strcmp(name, "key") == 0)
        (void)snprintf(p->err.key, sizeof p->err.key, "%s", word);
    else if (strncmp(name, "d.", 2) == 0)
        err_detail(&p->err, name + 2, "%s", word);
}

static void failed(struct probe *p, const char *type)
{
    (void)err_set(&p->err, status_from_type(type), "failed");
    (void)snprintf(p->err.type, sizeof p->err.type, "%s", type);
    p->context = (struct verdict_context){ .retry = 1, .same_failures = 1, .budget_left = 100 };
}

static void begin(struct probe *p, char *line)
{
    struct verdict v;
    char *word = notation_word(&line);
    failed(p, word ? word : "task_crash");
    while ((word = notation_word(&line)) != NULL) {
        char *is = strchr(word, '=');
        CHECK(is);
        *is = '\0';
        set(p, word, is + 1);
    }
    print_next(p, verdict_begin(&p->rules, &p->err, &p->context, &p->ask, &v), &v);
}

static void answer(struct probe *p, char *line)
{
    struct verdict v;
    struct buf value = BUF_EMPTY;
    (void)notation_value(&line, &value);
    enum verdict_next next =
        verdict_answer(&p->rules, &p->err, &p->context, &p->ask, buf_slice(&value), &v);
    print_next(p, next, &v);
    buf_free(&value);
}

static void no_answer(struct probe *p, char *line)
{
    struct verdict v;
    verdict_no_answer(&p->rules, &p->err, &p->context, &p->ask, line, &v);
    print_verdict(&v);
}

static void built_in(struct probe *p, char *line)
{
    struct verdict v;
    verdict_built_in(&p->rules, &p->err, &p->context, *line ? line : NULL, &v);
    print_verdict(&v);
}

static void in_attempt(struct probe *p, char *line)
{
    bool ask;
    const char *type = notation_word(&line);
    enum verdict_action action =
        verdict_in_attempt(&p->rules, type ? type : "", integer(notation_word(&line)) != 0, &ask);
    (void)printf("%s\n", ask ? "ask" : verdict_name(action));
}

static void fingerprint(struct probe *p, char *line)
{
    failed(p, notation_word(&line));
    (void)snprintf(p->err.traceback, sizeof p->err.traceback, "%s", notation_word(&line));
    char *file = notation_word(&line), *offset = notation_word(&line);
    char *record = notation_word(&line);
    CHECK(file && offset && record);
    err_at(&p->err, file, strtoll(offset, NULL, 10), strtoll(record, NULL, 10));
    (void)printf("%016" PRIx64 "\n", failure_fingerprint(&p->err));
}

static void texts(void)
{
    for (const struct built_in_text *t = built_in_verdicts; t->type; t++)
        (void)printf("%s\t%s\n", t->type, t->what);
}

/* --- delays --- */

static enum retry_jitter jitter_of(const char *name)
{
    static const char *const names[] = { "none", "full", "equal", "decorrelated" };
    int i = 0;
    while (i < 4 && strcmp(name, names[i]) != 0)
        i++;
    CHECK(i < 4);
    return (enum retry_jitter)i;
}

static void delay(struct probe *p, char *line)
{
    static const char *const names[] = { "immediate", "fixed_delay", "linear_backoff",
                                         "exponential_backoff", "function" };
    struct retry_rule rule = { .strategy = STRATEGY_IMMEDIATE };
    (void)p;
    char *strategy = notation_word(&line);
    for (int i = 0; i < 5; i++)
        if (strcmp(strategy, names[i]) == 0)
            rule.strategy = (enum retry_strategy)i;
    rule.jitter = jitter_of(notation_word(&line));
    rule.base_delay = number(notation_word(&line));
    rule.max_delay = number(notation_word(&line));
    rule.multiplier = number(notation_word(&line));
    uint32_t retry = (uint32_t)integer(notation_word(&line));
    (void)printf("%.17g\n", retry_delay(&rule, retry, integer(notation_word(&line))));
}

static struct retry_rule jitter_rule(char **line)
{
    struct retry_rule rule = { .strategy = STRATEGY_FIXED, .multiplier = 1 };
    rule.jitter = jitter_of(notation_word(line));
    rule.base_delay = number(notation_word(line));
    rule.max_delay = number(notation_word(line));
    return rule;
}

static void jittered(struct probe *p, char *line)
{
    (void)p;
    struct retry_rule rule = jitter_rule(&line);
    double given = number(notation_word(&line));
    uint32_t retry = (uint32_t)integer(notation_word(&line));
    (void)printf("%.17g\n", retry_jittered(&rule, given, retry, integer(notation_word(&line))));
}

static void draws(struct probe *p, char *line)
{
    (void)p;
    struct retry_rule rule = jitter_rule(&line);
    uint32_t retry = (uint32_t)integer(notation_word(&line));
    uint64_t count = integer(notation_word(&line));
    for (uint64_t seed = 1; seed <= count; seed++)
        (void)printf("%.17g\n", retry_delay(&rule, retry, seed));
}

static void budget(struct probe *p, char *line)
{
    (void)p;
    struct retry_budget b;
    double tokens = number(notation_word(&line));
    retry_budget_init(&b, tokens, number(notation_word(&line)));
    for (char *word; (word = notation_word(&line)) != NULL;) {
        char *comma = strchr(word, ',');
        if (strcmp(word, "take") == 0)
            (void)printf("%s ", retry_budget_take(&b) ? "yes" : "no");
        else if (strcmp(word, "success") == 0)
            retry_budget_success(&b);
        else if (comma)
            retry_budget_change(&b, strtod(strchr(word, '=') + 1, NULL), number(comma + 1));
        (void)printf("%.6g ", b.left);
    }
    (void)printf("\n");
}

/* --- nonsense --- */

struct chaos {
    uint64_t state;
    struct buf out;
};

static uint32_t dice(struct chaos *c, uint32_t sides)
{
    c->state = c->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(c->state >> 33) % sides;
}

static const char *random_word(struct chaos *c)
{
    static const char *const words[] = {
        "retry", "rules", "memory", "limits", "retry_budget", "strategy", "jitter", "kind",
        "action", "verdict", "function", "table", "ref", "max_retries", "base_delay_seconds",
        "max_delay_seconds", "backoff_multiplier", "memory_multiplier", "max_memory", "multiplier",
        "on_exhausted", "source", "max_attempts", "tokens", "refill_per_success", "task_crash",
        "network_failure", "timeout", "memory_error", "data_corruption", "disk_full",
        "script_error", "bad_record", "rate_limited", "quarantine", "recompute", "drop_task", "fail",
        "stop", "abort", "delay_seconds", "memory_limit", "timeout_seconds", "fresh_worker",
        "reason", "full", "equal", "decorrelated", "none", "immediate", "fixed_delay",
        "linear_backoff", "exponential_backoff", "", "\xff", "nonsense"
    };
    return words[dice(c, sizeof words / sizeof *words)];
}

static void random_scalar(struct chaos *c)
{
    static const double floats[] = { 0.5, -1, 0, 1e300, 1e-300, INFINITY, NAN, 604801, 3 };
    static const int64_t ints[] = { 0, 1, 2, 3, 5, -1, 100, INT64_MAX, INT64_MIN, 1 << 30 };
    switch (dice(c, 5)) {
    case 0: CHECK(val_put_float(&c->out, floats[dice(c, 9)]) == ST_OK); break;
    case 1: CHECK(val_put_int(&c->out, ints[dice(c, 10)]) == ST_OK); break;
    case 2: CHECK(val_put_bool(&c->out, dice(c, 2) == 1) == ST_OK); break;
    case 3: CHECK(val_put_null(&c->out) == ST_OK); break;
    default: CHECK(val_put_str(&c->out, random_word(c)) == ST_OK); break;
    }
}

static void random_value(struct chaos *c, unsigned depth)
{
    uint32_t kind = depth > 0 ? dice(c, 4) : 2, count = dice(c, 6);
    if (kind >= 2) {
        random_scalar(c);
        return;
    }
    CHECK((kind ? val_put_map(&c->out, count) : val_put_array(&c->out, count)) == ST_OK);
    for (; count > 0; count--) {
        if (kind)
            CHECK(val_put_str(&c->out, random_word(c)) == ST_OK);
        random_value(c, depth - 1);
    }
}

/* The given bytes with some changed, cut or doubled. */
static void mutate(struct chaos *c, struct slice s)
{
    CHECK(buf_append_slice(&c->out, s) == ST_OK);
    for (uint32_t n = dice(c, 4); n > 0 && c->out.n > 0; n--) {
        uint32_t at = dice(c, (uint32_t)c->out.n);
        if (dice(c, 4) == 0)
            c->out.n = at;
        else
            c->out.p[at] = (uint8_t)(dice(c, 2) ? dice(c, 256) : c->out.p[at] ^ 1u << dice(c, 8));
    }
}

/* One of the given values with one of its words exchanged: mostly sound. */
static void nearly(struct chaos *c, struct slice s)
{
    c->out.n = 0;
    if (dice(c, 3) == 0)
        random_value(c, 5);
    else
        mutate(c, s);
}

static void random_context(struct chaos *c, struct probe *p)
{
    static const char *const types[] = { "task_crash", "network_failure", "timeout",
                                         "memory_error", "data_corruption", "disk_full",
                                         "script_error", "bad_record", "rate_limited", "usage" };
    static const uint32_t counts[] = { 0, 1, 2, 3, 4, 19, 20, UINT32_MAX };
    static const double times[] = { 0, -1, 1, 1e9, INFINITY, NAN };
    failed(p, types[dice(c, 10)]);
    struct verdict_context *x = &p->context;
    x->attempt = counts[dice(c, 7)];
    x->retry = counts[dice(c, 7)];
    x->same_failures = counts[dice(c, 7)];
    x->type_failures = counts[dice(c, 8)];
    x->memory_limit = (uint64_t)dice(c, 3) << (20 + dice(c, 43));
    x->timeout_seconds = times[dice(c, 6)];
    x->task_timeout_seconds = dice(c, 2) * 60;
    x->progress_timeout_seconds = dice(c, 2) * 60;
    x->budget_left = dice(c, 3);
    x->has_culprit = dice(c, 2);
    x->may_quarantine = dice(c, 2);
    x->may_drop = dice(c, 2);
    x->is_run = dice(c, 2);
    p->err.retry_after = times[dice(c, 6)];
    p->err.elapsed_seconds = times[dice(c, 6)];
    if (dice(c, 4) == 0)
        err_detail(&p->err, "status", "%u", 400 + dice(c, 150));
}

/* What holds for every verdict, whatever was said. */
static void must_hold(const struct probe *p, const struct verdict *v)
{
    const struct verdict_context *c = &p->context;
    bool again = v->action == VERDICT_RETRY || v->action == VERDICT_QUARANTINE ||
                 v->action == VERDICT_RECOMPUTE;
    CHECK(v->action >= 0 && v->action < VERDICT_ACTIONS);
    CHECK(v->delay_seconds >= 0 && v->delay_seconds <= VERDICT_DELAY_MAX);
    CHECK(v->timeout_seconds >= 0);
    CHECK(!again || c->attempt + 1 < p->rules.max_attempts);
    CHECK(v->action != VERDICT_RETRY || retry_budget_allows(c->budget_left));
    CHECK(v->action != VERDICT_QUARANTINE || (c->has_culprit && c->may_quarantine));
    CHECK(v->action != VERDICT_DROP_TASK || c->may_drop);
    CHECK(v->action != VERDICT_RECOMPUTE || c->is_run);
    CHECK(memchr(v->rule, 0, sizeof v->rule) && memchr(v->reason, 0, sizeof v->reason));
    CHECK(v->reason[0] != '\0');
}

static void random_decision(struct chaos *c, struct probe *p, struct slice sound)
{
    struct verdict v;
    random_context(c, p);
    enum verdict_next next = verdict_begin(&p->rules, &p->err, &p->context, &p->ask, &v);
    for (int asked = 0; next == VERDICT_ASK; asked++) {
        CHECK(asked < 1000);
        c->out.n = 0;
        if (dice(c, 3) == 0)
            CHECK(val_put_null(&c->out) == ST_OK);
        else
            nearly(c, sound);
        next = verdict_answer(&p->rules, &p->err, &p->context, &p->ask, buf_slice(&c->out), &v);
    }
    must_hold(p, &v);
    verdict_built_in(&p->rules, &p->err, &p->context, dice(c, 2) ? "of chance" : NULL, &v);
    must_hold(p, &v);
}

static void random_rounds(struct probe *p, char *line)
{
    static const uint8_t verdict[] = { VAL_MAP, 2, VAL_STRING, 6, 'a', 'c', 't', 'i', 'o', 'n',
                                       VAL_STRING, 5, 'r', 'e', 't', 'r', 'y', VAL_STRING, 6, 'r',
                                       'e', 'a', 's', 'o', 'n', VAL_STRING, 1, 'x' };
    struct chaos c = { .state = integer(notation_word(&line)), .out = BUF_EMPTY };
    struct buf sound = BUF_EMPTY;
    uint64_t count = integer(notation_word(&line)), accepted = 0;
    CHECK(buf_append_slice(&sound, buf_slice(&p->encoded)) == ST_OK);
    for (uint64_t i = 0; i < count; i++) {
        struct err e;
        arena_free(&p->arena);
        p->arena = ARENA_EMPTY;
        p->encoded.n = 0;
        nearly(&c, buf_slice(&sound));
        CHECK(buf_append_slice(&p->encoded, buf_slice(&c.out)) == ST_OK);
        enum status st = rules_read(buf_slice(&p->encoded), &p->arena, &p->rules, &e);
        CHECK(st == ST_OK || (st == ST_CORRUPT && e.message[0]));
        accepted += st == ST_OK;
        for (int j = 0; st == ST_OK && j < 8; j++)
            random_decision(&c, p, slice_of(verdict, sizeof verdict));
    }
    (void)printf("%" PRIu64 " of %" PRIu64 " were profiles\n", accepted, count);
    buf_free(&sound);
    buf_free(&c.out);
}

/* --- commands --- */

static bool command(struct probe *p, char *line)
{
    static const struct {
        const char *name;
        void (*run)(struct probe *p, char *line);
    } commands[] = {
        { "rules", read_rules }, { "begin", begin },           { "answer", answer },
        { "no_answer", no_answer }, { "built_in", built_in },  { "in_attempt", in_attempt },
        { "fingerprint", fingerprint }, { "delay", delay },
        { "jittered", jittered }, { "draws", draws },          { "budget", budget },
        { "random", random_rounds },
    };
    char *name = notation_word(&line);
    if (name && strcmp(name, "texts") == 0) {
        texts();
        return true;
    }
    for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].run(p, line);
            return true;
        }
    return name == NULL;
}

int main(void)
{
    struct probe p = { .encoded = BUF_EMPTY, .arena = ARENA_EMPTY };
    struct err e;
    char *line = NULL;
    size_t room = 0;
    int code = 0;
    CHECK(rules_read(slice_of(NULL, 0), &p.arena, &p.rules, &e) == ST_OK);
    failed(&p, "task_crash");
    while (code == 0 && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        code = command(&p, line) ? 0 : 2;
    }
    free(line);
    buf_free(&p.encoded);
    arena_free(&p.arena);
    return code;
}
