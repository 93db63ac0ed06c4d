/* job.h: loading the job of an assignment and finding in it what an attempt calls.
 *
 * What the job returned is resolved by scripts/job.lua into one table a step:
 *   { map = f | nil, word_mapper = bool, maps = { [entry] = f }, readers = { [entry] = reader, [0] = default },
 *     combine = "lua" | declaration | nil, combine_function = f, reduce = …, reduce_function = f, by = f | field name | nil,
 *     partition = f, init = f, finish = f, stop_when = f, output = spec } */
#ifndef LMR_SCRIPT_JOB_H
#define LMR_SCRIPT_JOB_H

#include "script/task.h"

/* In a protected call: runs the job file (or compiles the one-liner) and pushes the job. Raises ST_USAGE when it is none. */
void job_load(lua_State *L, struct task *t);
/* In a protected call: pushes the resolved step of the task, loading the job first unless the caller gave one. */
void job_push_step(lua_State *L, struct task *t);
/* Pushes a field of the table at `index` and says whether it is there (not nil). */
bool job_field(lua_State *L, int index, const char *name);
/* In a protected call: calls the step's init with the task's handle, leaving its state (nil without init). */
void job_init(lua_State *L, struct task *t, int step);

#endif
