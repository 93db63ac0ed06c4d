/* policy.h: policy functions in Lua: the profile of a job, loaded in the policy host, and calls into it.
 *
 * The profile and the job's `recovery` are loaded as a description does it (script/attempt.h), so that functions have the same numbers.
 * A call gets the tables err and ctx of the design and a second; over all of them the state may grow by 64 MB beyond what loading
 * took. Both limits are like an attempt's: nothing the function catches hides them, but code that does not come back from C is
 * the driver's to kill. */
#ifndef LMR_SCRIPT_POLICY_H
#define LMR_SCRIPT_POLICY_H

#include "data/codec.h"

enum { POLICY_LOAD_SECONDS = 10, POLICY_CALL_SECONDS = 1, POLICY_CALL_MEMORY = 64 << 20 };

struct policy_script;

/* Loads the job file (for `recovery`) and the profile anew. `config`: an encoded map { job | one_liner, args, profile, set } as in a
 * describe assignment. `previous`: the encoded profile that a running job has, or empty. `loaded` gets (appended) the encoded map
 *   { profile = the effective profile, places = [ "my.lua:14" of each function, in their order ], warnings = [ text ] }
 * and with `previous` also adopted = the profile the job goes on with (policy keys of the new one, plan keys of the previous one),
 * report = text, a line for each key that changes and each plan key that is ignored.
 * ST_USAGE: job or profile are wrong (file:line in the message). *out is NULL then. */
enum status policy_script_open(struct slice config, struct slice previous, struct policy_script **out, struct buf *loaded, struct err *e);
/* Calls function number `function` (from 1): (err, ctx), or with for_delay (ctx.retry, ctx). `err` and `ctx` are encoded maps
 * (schedule/policy.h makes them). `answer` gets (appended) null, a verdict's name, the map { action, delay_seconds, memory_limit (bytes), timeout_seconds,
 * fresh_worker, reason } without what was not said, or for_delay a number ≥ 0. Errors: the message begins with the
 * place of the function or, in its file, of the error. ST_SCRIPT: it raised an error or returned nonsense. ST_TIMEOUT, ST_MEMORY: a limit. */
enum status policy_script_call(struct policy_script *p, uint32_t function, bool for_delay, struct slice err, struct slice ctx,
                               struct buf *answer, struct err *e);
/* True when a limit was hit: no further calls; close it. */
bool policy_script_is_spoiled(const struct policy_script *p);
/* NULL is accepted. */
void policy_script_close(struct policy_script *p);

#endif
