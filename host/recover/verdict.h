/* verdict.h: what to do about a failed attempt: the policy's rules, evaluated. Pure: no clock, no
 * I/O, no Lua.
 *
 * The effective profile holds, for each error type, a CHAIN of rules, strongest first
 * (scripts/profile.lua compiles it from on_error of every layer). Each rule is
 *   verdict    on_error.T = "quarantine": that is it ("retry": as a table without numbers)
 *   function   on_error.T = function, or a table's `decide`: the policy host is asked; nil: the next
 *              rule
 *   table      numbers for retry: retried while retry ≤ max_retries, then on_exhausted, else put
 *              aside when a culprit is known and that is allowed, else failed
 * When the chain ends without a verdict the built-in verdict of the type stands (built_in.c, which
 * `lmr profile explain` prints). The policy host is another process, so evaluation stops there and
 * goes on with its answer. What a rule says is then bounded: limits.max_attempts, the job's retry
 * budget, what can be put aside, dropped or recomputed at all. Every verdict RETRY costs a token of
 * the budget.
 *
 * A retry that says nothing of memory or timeouts itself, whoever it comes from, changes what its
 * failure calls for: after a memory_error the limit grows by memory_multiplier up to max_memory; the
 * first timeout doubles the limit that struck.
 *
 * The chain's first table, else profile.retry, gives the delay of a function's retry. A delay that
 * is not said by a function itself is at least what the failure asked for (err.retry_after), also
 * above max_delay. */
#ifndef LMR_RECOVER_VERDICT_H
#define LMR_RECOVER_VERDICT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "recover/retry.h"

enum verdict_action {
    VERDICT_RETRY,
    VERDICT_QUARANTINE,
    VERDICT_RECOMPUTE,
    VERDICT_DROP_TASK,
    VERDICT_FAIL,
    VERDICT_STOP,
    VERDICT_ABORT,
    VERDICT_ACTIONS
};
const char *verdict_name(enum verdict_action action); /* "drop_task" */
/* False: it is none of them. */
bool verdict_from_name(struct slice name, enum verdict_action *out);

enum { VERDICT_RULE_MAX = 256, VERDICT_REASON_MAX = 512 };
/* No delay is longer than a week, whoever asks for it (servers are hostile). */
enum { VERDICT_DELAY_MAX = 7 * 24 * 3600 };

struct verdict {
    enum verdict_action action;
    double delay_seconds;
    double delay_least, delay_most; /* what jitter could have made of it; without: the delay */
    uint64_t memory_limit;  /* of the next attempts of this task, bytes; 0: as before */
    double timeout_seconds; /* of the next attempts: a task or progress timeout that is set and lower
                               is raised to it; 0: as before */
    bool fresh_worker;      /* the retry gets a worker that has run nothing yet */
    char rule[VERDICT_RULE_MAX]; /* "profiles/production.lua:12", "built-in: task_crash",
                                    "limits.max_attempts", "retry_budget" */
    char reason[VERDICT_REASON_MAX]; /* in words */
};

/* --- rules, read once from the encoded profile --- */

enum rule_kind { RULE_VERDICT, RULE_FUNCTION, RULE_TABLE };

struct rule {
    enum rule_kind kind;
    enum verdict_action action; /* RULE_VERDICT */
    uint32_t function;          /* RULE_FUNCTION: its number in the policy host, from 1 */
    struct retry_rule retry;    /* RULE_TABLE */
    double memory_multiplier;   /* RULE_TABLE */
    uint64_t max_memory;        /* RULE_TABLE, bytes */
    bool has_on_exhausted;
    enum verdict_action on_exhausted;
    const char *source; /* "my.lua:12", in the arena */
};

struct rule_chain {
    const char *type;
    struct rule *rules;
    uint32_t count;
};

struct rules {
    struct rule_chain *chains;
    uint32_t count;          /* one a type: the eight and the declared ones */
    struct retry_rule retry; /* profile.retry: for built-in verdicts */
    double memory_multiplier;
    uint64_t max_memory;   /* of the built-in memory_error, bytes */
    uint32_t max_attempts; /* limits.max_attempts */
    double budget_tokens, budget_refill; /* retry_budget */
    bool has_functions;                  /* a policy host may be needed */
};
/* From the encoded effective profile (its fields retry, memory, rules, limits, retry_budget; see
 * scripts/profile.lua). Absent fields, and an empty slice, have the built-in values. Memory from
 * `arena`. ST_CORRUPT when it is nonsense (the message names the field), ST_MEMORY. */
enum status rules_read(struct slice profile, struct arena *arena, struct rules *out, struct err *e);

/* --- one decision --- */

struct verdict_context {
    uint32_t attempt;       /* from 0: of the newest normal one */
    uint32_t retry;         /* the one that would come, from 1 */
    uint32_t failures;      /* earlier ones of this task */
    uint32_t same_failures; /* with this fingerprint, this one included */
    uint32_t type_failures; /* of this type, this one included; 0: not known, `retry` counts */
    double elapsed_seconds; /* since the task's first attempt began */
    uint64_t memory_limit;  /* the failed attempt had, bytes; 0: none */
    double timeout_seconds; /* the failed attempt had beyond the profile's own; 0: the profile's */
    double task_timeout_seconds, progress_timeout_seconds,
        heartbeat_timeout_seconds; /* the profile's; 0: none */
    uint64_t seed;       /* the job's, mixed with the task's name: jitter is drawn from it */
    double budget_left;  /* tokens of the retry budget */
    bool has_culprit;    /* a record or group is known */
    bool may_quarantine; /* limits.max_quarantined leaves room */
    bool may_drop;       /* the task can be gone on without */
    bool is_own;         /* err.file is intermediate data of this job, of an earlier step for one */
    bool is_run;         /* err.file is a run of this job: recompute means its producer */
};

enum verdict_next {
    VERDICT_DECIDED, /* out is filled, bounds applied */
    VERDICT_ASK,     /* ask the policy host for function `ask.function`, then verdict_answer */
};

/* The question that stands open. Plain data, owned by the caller, valid while the rules are. */
struct verdict_ask {
    uint32_t step;     /* of the chain */
    uint32_t function; /* in the policy host */
    bool for_delay;    /* it is a strategy function: strategy(retry, ctx) → seconds */
    const struct retry_rule *numbers; /* for_delay: its own */
    struct verdict pending;           /* for_delay: what is decided but for the delay */
};

/* Evaluates the chain of err->type from the start. */
enum verdict_next verdict_begin(const struct rules *rules, const struct err *err,
                                const struct verdict_context *context, struct verdict_ask *ask,
                                struct verdict *out);
/* Goes on after the policy host's answer. `answer` is an encoded value: VAL_NULL (no opinion), a
 * string (a verdict's name), a map { action, delay_seconds, memory_limit, timeout_seconds,
 * fresh_worker, reason } (normalised by scripts/policy.lua: memory_limit in bytes), or for_delay: a
 * number. An answer that makes no sense is taken as verdict_no_answer does, the problem in words in
 * out->reason. */
enum verdict_next verdict_answer(const struct rules *rules, const struct err *err,
                                 const struct verdict_context *context, struct verdict_ask *ask,
                                 struct slice answer, struct verdict *out);
/* The policy host failed on the open question (`problem`: "my.lua:14: attempt to …", "took longer
 * than 2 s"): for_delay, the retry stands with the exponential delay of its numbers; else the
 * built-in verdict. The reason says so. */
void verdict_no_answer(const struct rules *rules, const struct err *err,
                       const struct verdict_context *context, const struct verdict_ask *ask,
                       const char *problem, struct verdict *out);
/* The built-in verdict, because of `problem` (NULL: for no reason to tell). */
void verdict_built_in(const struct rules *rules, const struct err *err,
                      const struct verdict_context *context, const char *problem,
                      struct verdict *out);

/* What becomes of a record within a living attempt, without asking: VERDICT_QUARANTINE when the
 * chain of `type` (or the built-in) puts it aside at once, VERDICT_FAIL when it does not (the attempt
 * fails and verdict_begin has its say), or true in *ask when a function must be asked. */
enum verdict_action verdict_in_attempt(const struct rules *rules, const char *type,
                                       bool may_quarantine, bool *ask);

/* Hash of type + traceback + record; 0 (which equals nothing) without a record. Where a loop stood
 * when it was stopped, and which allocation was one too many, is chance: the traceback of a timeout
 * or memory_error does not count. */
uint64_t failure_fingerprint(const struct err *err);

/* --- the built-in verdicts, for printing: rows in order, NULL-ended --- */
struct built_in_text {
    const char *type, *what;
};
extern const struct built_in_text built_in_verdicts[];

#endif
