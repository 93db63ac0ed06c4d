/* failure.h: from a Lua error to a struct err. */
#ifndef LMR_SCRIPT_FAILURE_H
#define LMR_SCRIPT_FAILURE_H

#include "script/state.h"

/* A message handler: fills script_of(L)->failure from the error object and the stack; returns the object. */
int failure_handler(lua_State *L);
/* Pushes the metatable of errors with a type ({ type =, message =, retry_after =, details = { NAME, TEXT, … } }): mr.fail, mr.reject, usage errors. */
void failure_push_metatable(lua_State *L);
/* Pushes such an error; its text is its message. */
void failure_push(lua_State *L, const char *type, const char *message);
/* What the end of a protected call means: `code` as lua_pcall gave it. Fills `e`. */
enum status failure_status(struct script *s, int code, struct err *e);
/* True when the chunk is the host's own (its frames are not shown). */
bool failure_is_host_chunk(const char *source);
/* Chunks of the host are named "=" HOST_CHUNK "job.lua". */
#define HOST_CHUNK "lmr:"

#endif
