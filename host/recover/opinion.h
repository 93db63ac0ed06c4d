/* opinion.h: what a rule says before the bounds: shared by verdict.c and built_in.c, for no one
 * else. */
#ifndef LMR_RECOVER_OPINION_H
#define LMR_RECOVER_OPINION_H

#include "recover/verdict.h"

struct opinion {
    struct verdict v;
    /* Of a retry: whose strategy gives the delay; NULL: v.delay_seconds is it. */
    const struct retry_rule *numbers;
    bool is_exact; /* v.delay_seconds was said by a function: err.retry_after does not raise it */
};

/* What a retry may change, and how often it comes: a table of the profile, or the profile itself. */
struct retry_terms {
    const struct retry_rule *retry;
    double memory_multiplier;
    uint64_t max_memory;
};

enum memory_growth {
    MEMORY_STAYS, /* there is no limit, or it is not to grow */
    MEMORY_GROWS,
    MEMORY_SPENT /* it has grown as far as it may */
};

void opinion_rule(struct opinion *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
void opinion_say(struct opinion *o, enum verdict_action action, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts the culprit aside when there is one and that is allowed, else fails; `why` begins the reason. */
void opinion_aside_or_fail(struct opinion *o, const struct err *err,
                           const struct verdict_context *context, const char *why);
/* Gives a retry the terms' delay, and what the failure calls for where nothing is said yet. */
void opinion_retry_terms(struct opinion *o, const struct retry_terms *terms, const struct err *err,
                         const struct verdict_context *context);
/* Its limit after a memory_error; *limit is set when it grows. */
enum memory_growth memory_growth(const struct retry_terms *terms,
                                 const struct verdict_context *context, uint64_t *limit);

struct retry_terms profile_terms(const struct rules *rules);
/* The same record failed again in the same way, where failures are not expected to. */
bool is_poison(const struct err *err, const struct verdict_context *context);
uint32_t type_failures(const struct verdict_context *context);
/* "record" or "group". */
const char *culprit_name(const struct err *err);

void built_in_opinion(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, struct opinion *o);

#endif
