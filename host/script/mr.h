/* mr.h: the C functions of the mr module, and those that the host's own Lua is given. */
#ifndef LMR_SCRIPT_MR_H
#define LMR_SCRIPT_MR_H

#include "script/task.h"

/* In a protected call, once a state: makes the table of natives (registry reference script->natives); its field `mr` holds what the mr
 * module exports. */
void mr_setup(lua_State *L);
/* Pushes the read-only handle of the running task. */
void mr_push_task(lua_State *L, struct task *t);
/* The running task; raises "WHAT works only inside a task" when there is none. */
struct task *mr_task(lua_State *L, const char *what);

/* Parts of the two tables, each adding its functions to the table on top of the stack. */
void mr_add_task(lua_State *L);   /* task, increment, status, progress, sleep, output */
void mr_add_side(lua_State *L);   /* lookup, side_pairs */
void mr_add_text(lua_State *L);   /* words, split, fields, json_encode, json_decode, parse_time, null */
void native_add_check(lua_State *L); /* for validation: nearest, size, duration, check_input, … */
void native_add_profile(lua_State *L); /* for lmr profile explain: rules, verdict, … */
void native_add_run(lua_State *L);   /* for mr.run: run_map, run_reduce, files */

#endif
