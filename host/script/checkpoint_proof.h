/* checkpoint_proof.h: whether a map attempt can go on in another Lua state as if nothing had happened. Private to checkpoint.c. */
#ifndef LMR_SCRIPT_CHECKPOINT_PROOF_H
#define LMR_SCRIPT_CHECKPOINT_PROOF_H

#include "script/map_internal.h"

enum { PROOF_TEXT_MAX = 400 };

/* In a protected call: true when what the step's functions see is as it was after load, and the state of init (at AT_STATE) is plain data
 * that only the attempt refers to; its encoding is then in m->checkpoint.state. Else `why` says what is not so. */
bool checkpoint_proof(lua_State *L, struct map_task *m, char why[PROOF_TEXT_MAX]);

#endif
