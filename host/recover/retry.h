/* retry.h: when to try again: strategies, jitter, the retry budget. Pure; delays are seconds.
 *
 * delay before retry n (from 1), before jitter, never above max_delay:
 *   immediate 0 · fixed_delay base · linear_backoff base × n
 *   exponential_backoff base × multiplier^(n−1)
 * jitter (names after M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015):
 *   full: uniform in [0, d) · equal: d/2 + uniform in [0, d/2)
 *   decorrelated: d₁ = uniform in [base, 3·base), dₙ = uniform in [base, 3·dₙ₋₁), each cut at
 *   max_delay, whatever the strategy
 * Drawn from (seed, retry) alone: the same in every run, in whatever order it is asked for. */
#ifndef LMR_RECOVER_RETRY_H
#define LMR_RECOVER_RETRY_H

#include "base/status.h"

enum retry_strategy {
    STRATEGY_IMMEDIATE,
    STRATEGY_FIXED,
    STRATEGY_LINEAR,
    STRATEGY_EXPONENTIAL,
    STRATEGY_FUNCTION
};
enum retry_jitter { JITTER_NONE, JITTER_FULL, JITTER_EQUAL, JITTER_DECORRELATED };

struct retry_rule {
    uint32_t max_retries;
    enum retry_strategy strategy;
    uint32_t function; /* STRATEGY_FUNCTION: its number in the policy host */
    double base_delay, max_delay, multiplier;
    enum retry_jitter jitter;
};

/* Delay before retry `retry` (from 1). STRATEGY_FUNCTION counts as exponential (used when the
 * function fails). */
double retry_delay(const struct retry_rule *rule, uint32_t retry, uint64_t seed);
/* The least and the most that retry_delay may give, whatever the seed. */
void retry_delay_range(const struct retry_rule *rule, uint32_t retry, double *least, double *most);
/* Jitter alone, on a delay a strategy function gave (cut at max_delay first). Decorrelated takes it
 * for the delay before: uniform in [base, 3·delay). */
double retry_jittered(const struct retry_rule *rule, double delay, uint32_t retry, uint64_t seed);
/* The least and the most that retry_jittered may give. */
void retry_jittered_range(const struct retry_rule *rule, double delay, double *least, double *most);

/* Token bucket: a retry costs one, a success gives `refill` back, never more than `tokens`. (After
 * the retry throttling of gRPC, proposal A6.) */
struct retry_budget {
    double left, tokens, refill;
};
void retry_budget_init(struct retry_budget *b, double tokens, double refill);
/* True when so much is enough for a retry. */
bool retry_budget_allows(double left);
/* False: nothing left, nothing taken. */
bool retry_budget_take(struct retry_budget *b);
void retry_budget_success(struct retry_budget *b);
/* New numbers from a profile change; what is left stays in proportion. */
void retry_budget_change(struct retry_budget *b, double tokens, double refill);

#endif
