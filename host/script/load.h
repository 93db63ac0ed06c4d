/* load.h: source text into functions: job files, modules, the host's own Lua. Text only, never bytecode. */
#ifndef LMR_SCRIPT_LOAD_H
#define LMR_SCRIPT_LOAD_H

#include "script/state.h"

/* Puts the host's searcher into package.searchers and makes load, loadfile, dofile and require take text only. In a protected call, once. */
void load_setup(lua_State *L);

#endif
