#include "recover/verdict.h"

#include "data/codec.h"

#include <math.h>
#include <stdio.h>

static const double SECONDS_MAX = 1e9;
static const uint64_t MAX_MEMORY = UINT64_C(4) << 30;
enum { RETRIES = 3, ATTEMPTS = 20, COUNT_MAX = 1000000000, FACTOR_MAX = 1000 };

/* --- names --- */

static const char *const action_names[VERDICT_ACTIONS] = {
    [VERDICT_RETRY] = "retry", [VERDICT_QUARANTINE] = "quarantine",
    [VERDICT_RECOMPUTE] = "recompute", [VERDICT_DROP_TASK] = "drop_task",
    [VERDICT_FAIL] = "fail", [VERDICT_STOP] = "stop",
    [VERDICT_ABORT] = "abort",
};

static const char *const strategy_names[] = {
    [STRATEGY_IMMEDIATE] = "immediate",
    [STRATEGY_FIXED] = "fixed_delay",
    [STRATEGY_LINEAR] = "linear_backoff",
    [STRATEGY_EXPONENTIAL] = "exponential_backoff",
    [STRATEGY_FUNCTION] = NULL, /* { function = N } */
};

static const char *const jitter_names[] = {
    [JITTER_NONE] = "none",
    [JITTER_FULL] = "full",
    [JITTER_EQUAL] = "equal",
    [JITTER_DECORRELATED] = "decorrelated",
};

static int find_name(struct slice name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (names[i] && slice_equal(name, slice_str(names[i])))
            return i;
    return -1;
}

const char *verdict_name(enum verdict_action action)
{
    CHECK(action >= 0 && action < VERDICT_ACTIONS);
    return action_names[action];
}

bool verdict_from_name(struct slice name, enum verdict_action *out)
{
    int found = find_name(name, action_names, VERDICT_ACTIONS);
    if (found >= 0)
        *out = (enum verdict_action)found;
    return found >= 0;
}

/* --- fields: the first one that is nonsense is remembered --- */

struct reading {
    struct arena *arena;
    struct err *e;
    enum status status;
};

static void nonsense(struct reading *r, const char *field, const char *must)
{
    if (r->status == ST_OK)
        r->status = err_set(r->e, ST_CORRUPT, "the encoded profile: %s must be %s", field, must);
}

static double number(struct reading *r, struct slice map, const char *field, double fallback,
                     double min, double max)
{
    struct slice value;
    if (!val_get(map, field, &value))
        return fallback;
    double v = val_get_float(map, field, NAN);
    if (v >= min && v <= max)
        return v;
    char must[64];
    (void)snprintf(must, sizeof must, "a number from %g to %g", min, max);
    nonsense(r, field, must);
    return fallback;
}

/* Whole; what is too great to be reached is cut. */
static uint32_t count(struct reading *r, struct slice map, const char *field, uint32_t fallback,
                      uint32_t min)
{
    double v = number(r, map, field, fallback, min, 0x1p63);
    if (v != floor(v))
        nonsense(r, field, "a whole number");
    return v < COUNT_MAX ? (uint32_t)v : COUNT_MAX;
}

static uint64_t bytes(struct reading *r, struct slice map, const char *field, uint64_t fallback)
{
    struct slice value;
    if (!val_get(map, field, &value))
        return fallback;
    int64_t v = val_get_int(map, field, 0);
    if (v > 0)
        return (uint64_t)v;
    nonsense(r, field, "a number of bytes");
    return fallback;
}

/* A map under that name, or an empty one. */
static struct slice section(struct reading *r, struct slice map, const char *field)
{
    struct slice value;
    if (!val_get(map, field, &value))
        return slice_of(NULL, 0);
    if (!val_is_map(value))
        nonsense(r, field, "a table");
    return value;
}

static uint32_t function_number(struct reading *r, struct slice map, const char *field)
{
    int64_t n = val_get_int(map, field, 0);
    if (n < 1 || n > INT32_MAX)
        nonsense(r, field, "the number of a function");
    return n < 1 || n > INT32_MAX ? 0 : (uint32_t)n;
}

static void read_action(struct reading *r, struct slice map, const char *field,
                        enum verdict_action *out)
{
    struct slice name;
    if (!val_get_string(map, field, &name) || !verdict_from_name(name, out))
        nonsense(r, field, "a verdict");
}

/* --- numbers of a retry --- */

static void read_strategy(struct reading *r, struct slice map, struct retry_rule *rule)
{
    struct slice value, name;
    if (!val_get(map, "strategy", &value))
        return;
    if (val_is_map(value)) {
        rule->strategy = STRATEGY_FUNCTION;
        rule->function = function_number(r, value, "function");
        return;
    }
    int found = val_as_string(value, &name)
                    ? find_name(name, strategy_names, STRATEGY_FUNCTION)
                    : -1;
    if (found < 0)
        nonsense(r, "strategy", "the name of a strategy, or { function = N }");
    else
        rule->strategy = (enum retry_strategy)found;
}

static void read_jitter(struct reading *r, struct slice map, struct retry_rule *rule)
{
    struct slice value, name;
    if (!val_get(map, "jitter", &value))
        return;
    int found = JITTER_FULL;
    if (val_as_string(value, &name))
        found = find_name(name, jitter_names, JITTER_DECORRELATED + 1);
    else if (value.p[0] == VAL_FALSE)
        found = JITTER_NONE;
    else if (value.p[0] != VAL_TRUE)
        found = -1;
    if (found < 0)
        nonsense(r, "jitter", "\"none\", \"full\", \"equal\" or \"decorrelated\"");
    else
        rule->jitter = (enum retry_jitter)found;
}

/* What `map` says over `below`. */
static struct retry_rule read_retry(struct reading *r, struct slice map, struct retry_rule below)
{
    struct retry_rule rule = below;
    rule.max_retries = count(r, map, "max_retries", below.max_retries, 0);
    rule.base_delay = number(r, map, "base_delay_seconds", below.base_delay, 0, SECONDS_MAX);
    rule.max_delay = number(r, map, "max_delay_seconds", below.max_delay, 0, SECONDS_MAX);
    rule.multiplier = number(r, map, "backoff_multiplier", below.multiplier, 1, FACTOR_MAX);
    read_strategy(r, map, &rule);
    read_jitter(r, map, &rule);
    return rule;
}

/* --- rules --- */

static const char *read_source(struct reading *r, struct slice map)
{
    struct slice source;
    if (!val_get_string(map, "source", &source))
        source = slice_str("the profile");
    const char *text = arena_strndup(r->arena, (const char *)source.p, source.n);
    if (!text && r->status == ST_OK)
        r->status = err_memory(r->e, "the profile's rules", source.n);
    return text ? text : "";
}

static void read_table(struct reading *r, struct slice map, const struct rules *rules,
                       struct rule *out)
{
    struct slice value;
    out->kind = RULE_TABLE;
    out->retry = read_retry(r, map, rules->retry);
    out->memory_multiplier =
        number(r, map, "memory_multiplier", rules->memory_multiplier, 1, FACTOR_MAX);
    out->max_memory = bytes(r, map, "max_memory", rules->max_memory);
    out->has_on_exhausted = val_get(map, "on_exhausted", &value);
    if (out->has_on_exhausted)
        read_action(r, map, "on_exhausted", &out->on_exhausted);
}

/* "retry" is a table without numbers of its own. */
static void read_verdict(struct reading *r, struct slice map, const struct rules *rules,
                         struct rule *out)
{
    read_action(r, map, "action", &out->action);
    if (out->action == VERDICT_RETRY)
        read_table(r, slice_of(NULL, 0), rules, out);
}

static void read_rule(struct reading *r, struct slice map, const struct rules *rules,
                      struct rule *out)
{
    struct slice kind = slice_of(NULL, 0);
    *out = (struct rule){ .kind = RULE_VERDICT, .action = VERDICT_FAIL };
    out->source = read_source(r, map);
    (void)val_get_string(map, "kind", &kind);
    if (slice_equal(kind, slice_str("verdict"))) {
        read_verdict(r, map, rules, out);
    } else if (slice_equal(kind, slice_str("function"))) {
        out->kind = RULE_FUNCTION;
        out->function = function_number(r, map, "ref");
    } else if (slice_equal(kind, slice_str("table"))) {
        read_table(r, map, rules, out);
    } else {
        nonsense(r, "kind", "\"verdict\", \"function\" or \"table\"");
    }
}

static void *arena_array(struct reading *r, uint64_t n, size_t size)
{
    void *p = n < SIZE_MAX / size ? arena_alloc(r->arena, (size_t)n * size + 1) : NULL;
    if (!p && r->status == ST_OK)
        r->status = err_memory(r->e, "the profile's rules", (size_t)n * size);
    return p;
}

static bool needs_host(const struct rule *rule)
{
    return rule->kind == RULE_FUNCTION ||
           (rule->kind == RULE_TABLE && rule->retry.strategy == STRATEGY_FUNCTION);
}

static void read_chain(struct reading *r, struct slice type, struct slice value,
                       struct rules *rules, struct rule_chain *out)
{
    struct val_cursor c = val_cursor(value);
    struct slice element;
    struct scalar head;
    *out = (struct rule_chain){ .type = arena_strndup(r->arena, (const char *)type.p, type.n) };
    /* An empty Lua table is a map. */
    if (val_next(&c, &head) != ST_OK || (head.kind != SC_ARRAY && head.count > 0) ||
        (head.kind != SC_ARRAY && head.kind != SC_MAP)) {
        nonsense(r, "rules", "a list for each type");
        return;
    }
    out->rules = arena_array(r, head.count, sizeof *out->rules);
    if (!out->type && r->status == ST_OK)
        r->status = err_memory(r->e, "the profile's rules", type.n);
    for (uint64_t i = 0; r->status == ST_OK && i < head.count; i++) {
        (void)val_skip(&c, &element);
        read_rule(r, element, rules, &out->rules[i]);
        rules->has_functions |= needs_host(&out->rules[i]);
        out->count++;
    }
}

static void read_chains(struct reading *r, struct slice map, struct rules *rules)
{
    struct val_cursor c;
    struct slice key, value, type;
    uint64_t n = map.n > 0 ? val_map_open(map, &c) : 0;
    if (n == 0 || r->status != ST_OK)
        return;
    rules->chains = arena_array(r, n, sizeof *rules->chains);
    for (uint64_t i = 0; r->status == ST_OK && i < n; i++) {
        (void)val_skip(&c, &key);
        (void)val_skip(&c, &value);
        if (val_as_string(key, &type) && (type.n == 0 || !memchr(type.p, 0, type.n)))
            read_chain(r, type, value, rules, &rules->chains[rules->count++]);
        else
            nonsense(r, "rules", "named by error types");
    }
}

static const struct retry_rule built_in_retry = {
    .max_retries = RETRIES,
    .strategy = STRATEGY_EXPONENTIAL,
    .base_delay = 1,
    .max_delay = 60,
    .multiplier = 2,
    .jitter = JITTER_FULL,
};

enum status rules_read(struct slice profile, struct arena *arena, struct rules *out, struct err *e)
{
    struct reading r = { arena, e, ST_OK };
    *out = (struct rules){ .retry = built_in_retry };
    if (profile.n > 0 && (val_check(profile) != ST_OK || !val_is_map(profile)))
        return err_set(e, ST_CORRUPT, "the encoded profile is no table");
    struct slice memory = section(&r, profile, "memory");
    struct slice budget = section(&r, profile, "retry_budget");
    out->retry = read_retry(&r, section(&r, profile, "retry"), built_in_retry);
    out->memory_multiplier = number(&r, memory, "multiplier", 2, 1, FACTOR_MAX);
    out->max_memory = bytes(&r, memory, "max_memory", MAX_MEMORY);
    out->max_attempts = count(&r, section(&r, profile, "limits"), "max_attempts", ATTEMPTS, 1);
    out->budget_tokens = number(&r, budget, "tokens", 100, 0, INFINITY);
    out->budget_refill = number(&r, budget, "refill_per_success", 0.2, 0, INFINITY);
    out->has_functions = out->retry.strategy == STRATEGY_FUNCTION;
    read_chains(&r, section(&r, profile, "rules"), out);
    return r.status;
}
