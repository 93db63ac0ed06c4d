/* lua_reader.h: a record reader in Lua: { open = function(path, from, to) → handle, next = function(handle) → key, value | nil,
 * save =, restore = }; a handle with a __close metamethod (a file) is closed at the end. */
#ifndef LMR_SCRIPT_LUA_READER_H
#define LMR_SCRIPT_LUA_READER_H

#include "script/map_parts.h"

struct lua_reader {
    int base; /* stack index of the reader's next function; its handle is above */
};

/* In a protected call: pushes a function of the open part's reader (nil and false: it has none of that name). */
bool lua_reader_push(lua_State *L, int step, const struct map_parts *parts, const char *name);
/* All in a protected call. Opens the reader of the open part's input; two slots of the stack are its own. */
void lua_reader_open(lua_State *L, struct lua_reader *r, int step, const struct map_parts *parts);
/* Pushes the next key and value and returns true; or pushes nothing at the end. */
bool lua_reader_next(lua_State *L, struct lua_reader *r);
void lua_reader_close(lua_State *L, struct lua_reader *r);

#endif
