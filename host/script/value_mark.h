/* value_mark.h: how a decoded empty map is told from an empty array: it has a metatable of ours. */
#ifndef LMR_SCRIPT_VALUE_MARK_H
#define LMR_SCRIPT_VALUE_MARK_H

#include <lua.h>
#include <stdbool.h>

bool value_is_empty_map(lua_State *L, int index);

#endif
