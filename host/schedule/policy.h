/* policy.h: the driver's side of the policy host, and the host itself.
 *
 * Policy functions (on_error, strategies) are Lua and may do anything, so they run in a process of
 * their own, `lmr policy`, which is started when the first question comes and again whenever it was
 * lost. Questions are put to it one at a time, in the order they came; the driver never waits: answers
 * come as calls of a handler from its loop. A question is answered exactly once, whatever happens:
 *   - the function raised an error or returned nonsense: ST_SCRIPT, and the host goes on
 *   - it used up its time or memory (script/policy.h): ST_TIMEOUT or ST_MEMORY, and the host is replaced
 *   - it took longer than POLICY_ANSWER_SECONDS, as in a slow pattern: the host is killed; ST_TIMEOUT
 *   - the host died of it: ST_CRASH
 *   - the profile cannot be loaded: its error, for all that wait
 *   - other rules were taken meanwhile: ST_INTERRUPTED, to be asked anew by the new rules
 * A function that was lost POLICY_LIVES times in one of the ways two to four is switched off: questions for
 * it are answered with its last problem, without asking, until other rules are taken. So the worst that bad
 * policies do is to delay other verdicts by POLICY_LIVES × POLICY_ANSWER_SECONDS each.
 *
 * No handler is called from within a call of ours, but for policy_close. */
#ifndef LMR_SCHEDULE_POLICY_H
#define LMR_SCHEDULE_POLICY_H

#include "data/codec.h"

#include <uv.h>

enum { POLICY_ANSWER_SECONDS = 2, POLICY_READY_SECONDS = 12, POLICY_LIVES = 3 };

/* What a load gave; valid during the call. */
struct policy_loaded {
    struct slice profile; /* encoded: what the job goes on with (plan keys stay as they were) */
    struct slice pure;    /* encoded: the new rules as loaded; with `config` what a resume needs */
    struct slice config;  /* encoded: the candidate's */
    const char *report;   /* the change in lines: "  retry.max_retries: 5 -> 2"; indented, no end */
    struct slice warnings; /* encoded array of texts */
};

struct policy_handlers {
    /* ST_OK: `answer` (script/policy.h; valid during the call). Else `problem` says why. */
    void (*answered)(void *context, uint64_t id, enum status st, struct slice answer,
                     const struct err *problem);
    /* How policy_load ended. ST_OK: the new rules stand; what waited is answered after this call. */
    void (*loaded)(void *context, enum status st, const struct policy_loaded *loaded,
                   const struct err *problem);
    void *context;
};

struct policy;

enum status policy_open(uv_loop_t *loop, const struct policy_handlers *handlers,
                        struct policy **out, struct err *e);
/* What the host loads: `config` as for policy_script_open; `profile` is the effective profile that
 * the job's function numbers are of. When what the host loads is not the same, because a file was
 * changed meanwhile, nothing is asked, and the problem says so. An empty `profile` takes what comes. */
enum status policy_config(struct policy *p, struct slice config, struct slice profile,
                          struct err *e);
/* Puts a question. `err` and `ctx` are encoded maps (below). `id` is the caller's and not looked at. */
enum status policy_ask(struct policy *p, uint64_t id, uint32_t function, bool for_delay,
                       struct slice err, struct slice ctx, struct err *e);
/* Loads other rules in a second host, while the present one goes on; `previous` is the effective
 * profile of the running job. When it holds, it takes over. One at a time: ST_USAGE while another
 * one is loading. */
enum status policy_load(struct policy *p, struct slice config, struct slice previous,
                        struct err *e);
/* Kills the hosts and waits until they are gone (some milliseconds; it runs the loop, so call it when
 * uv_run has returned). No handler is called; open questions are dropped. The loop must run once
 * more before it is closed. NULL is accepted. */
void policy_close(struct policy *p);

/* The same config, but with another profile (a name, or an absolute path). Appended to `out`. */
enum status policy_config_with(struct slice config, const char *profile, struct buf *out);

/* --- what a function is given --- */

struct policy_failure {
    const struct err *err;
    const char *task;     /* "map_0", with step and round in front as everywhere */
    uint32_t attempt;     /* from 0 */
    long worker;          /* pid; 0: not known */
    uint64_t fingerprint; /* 0: none */
};
/* The map `err` of design §5 (details as lines; scripts/policy.lua makes a table of them). Fields that
 * do not apply are left out. */
enum status policy_put_err(const struct policy_failure *failure, struct buf *out);

struct policy_context {
    uint32_t attempt, retry, failures, same_failures;
    double elapsed_seconds, budget_left;
    double now;           /* seconds since 1970, UTC */
    struct slice limits;  /* encoded map: the profile's; empty: none */
    uint64_t tasks, done; /* of the job */
    struct slice job_failures; /* encoded map { type = n }; empty: none */
};
enum status policy_put_context(const struct policy_context *context, struct buf *out);

/* The policy host: `lmr policy`, started by the driver with the socket on descriptor 3. Returns the
 * exit code. */
int policy_main(void);

#endif
