/* gmatch.h: string.gmatch, faster for the patterns that jobs use most.
 *
 * A pattern that is one character class and a plus ("%a+", "%w+", "[%w_]+", "%S+") gives the maximal runs of
 * bytes of that class; nothing in it can backtrack. For these the iterator walks a table of 256 bytes, which Lua's own
 * string.find fills, so that what belongs to the class is Lua's word and not ours. Every other pattern, and a call
 * with a start position, goes to Lua's gmatch. */
#ifndef LMR_SCRIPT_GMATCH_H
#define LMR_SCRIPT_GMATCH_H

#include <lua.h>

/* Puts the faster gmatch in place of string.gmatch. In a protected call, once, after luaL_openlibs. */
void gmatch_setup(lua_State *L);

#endif
