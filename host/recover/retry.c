#include "recover/retry.h"

#include <math.h>

/* What many small refills add up to may lack a bit of the whole token. */
static const double ALMOST_ONE = 1 - 1e-9;

/* splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* In [0, 1), the same for the same pair. */
static double draw(uint64_t seed, uint32_t retry)
{
    return (double)(mix(mix(seed) + retry) >> 11) * 0x1p-53;
}

static double at_most(double delay, double max)
{
    return delay < max ? delay : max;
}

/* Uniform in [from, to), up to max; `from` when there is nothing between. */
static double between(double from, double to, double max, uint64_t seed, uint32_t retry)
{
    double width = to > from ? to - from : 0;
    return at_most(from + draw(seed, retry) * width, max);
}

static double plain_delay(const struct retry_rule *rule, uint32_t retry)
{
    if (rule->base_delay <= 0)
        return 0;
    switch (rule->strategy) {
    case STRATEGY_IMMEDIATE:
        return 0;
    case STRATEGY_FIXED:
        return at_most(rule->base_delay, rule->max_delay);
    case STRATEGY_LINEAR:
        return at_most(rule->base_delay * retry, rule->max_delay);
    case STRATEGY_EXPONENTIAL:
    case STRATEGY_FUNCTION:
        break;
    }
    return at_most(rule->base_delay * pow(rule->multiplier, (double)retry - 1), rule->max_delay);
}

/* Each delay is drawn from the one before it. */
static double decorrelated(const struct retry_rule *rule, uint32_t retry, uint64_t seed)
{
    double delay = rule->base_delay;
    for (uint32_t n = 1; n <= retry; n++)
        delay = between(rule->base_delay, 3 * delay, rule->max_delay, seed, n);
    return delay;
}

double retry_delay(const struct retry_rule *rule, uint32_t retry, uint64_t seed)
{
    retry = retry ? retry : 1;
    if (rule->jitter == JITTER_DECORRELATED)
        return decorrelated(rule, retry, seed);
    return retry_jittered(rule, plain_delay(rule, retry), retry, seed);
}

double retry_jittered(const struct retry_rule *rule, double delay, uint32_t retry, uint64_t seed)
{
    delay = at_most(delay, rule->max_delay);
    switch (rule->jitter) {
    case JITTER_NONE:
        break;
    case JITTER_FULL:
        return draw(seed, retry) * delay;
    case JITTER_EQUAL:
        return delay / 2 + draw(seed, retry) * (delay / 2);
    case JITTER_DECORRELATED:
        return between(rule->base_delay, 3 * delay, rule->max_delay, seed, retry);
    }
    return delay;
}

void retry_jittered_range(const struct retry_rule *rule, double delay, double *least, double *most)
{
    delay = at_most(delay, rule->max_delay);
    *least = *most = delay;
    switch (rule->jitter) {
    case JITTER_NONE:
        break;
    case JITTER_FULL:
        *least = 0;
        break;
    case JITTER_EQUAL:
        *least = delay / 2;
        break;
    case JITTER_DECORRELATED:
        *least = at_most(rule->base_delay, rule->max_delay);
        *most = at_most(fmax(rule->base_delay, 3 * delay), rule->max_delay);
        break;
    }
}

void retry_delay_range(const struct retry_rule *rule, uint32_t retry, double *least, double *most)
{
    double delay = plain_delay(rule, retry ? retry : 1);
    if (rule->jitter == JITTER_DECORRELATED) /* each up to three times the one before */
        delay = rule->base_delay * pow(3, (double)(retry ? retry : 1) - 1);
    retry_jittered_range(rule, delay, least, most);
}

void retry_budget_init(struct retry_budget *b, double tokens, double refill)
{
    *b = (struct retry_budget){ .left = tokens, .tokens = tokens, .refill = refill };
}

bool retry_budget_allows(double left)
{
    return left >= ALMOST_ONE;
}

bool retry_budget_take(struct retry_budget *b)
{
    if (!retry_budget_allows(b->left))
        return false;
    b->left = b->left > 1 ? b->left - 1 : 0;
    return true;
}

void retry_budget_success(struct retry_budget *b)
{
    b->left = at_most(b->left + b->refill, b->tokens);
}

void retry_budget_change(struct retry_budget *b, double tokens, double refill)
{
    double left = b->tokens > 0 ? b->left * (tokens / b->tokens) : tokens;
    *b = (struct retry_budget){ .left = at_most(left, tokens), .tokens = tokens, .refill = refill };
}
