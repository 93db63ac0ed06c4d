/* fingerprint_names.h: what counts by name in a fingerprint, and what is whose. */
#ifndef LMR_SCRIPT_FINGERPRINT_NAMES_H
#define LMR_SCRIPT_FINGERPRINT_NAMES_H

#include <lua.h>
#include <stdbool.h>

/* Each pushes a table.
 * names:   value → "string.find": what the standard library, mr and modules in C brought (a module in C that is not lua-cjson with the size
 *          and time of its file, after a NUL)
 * copies:  table of a library → what it held before the job was loaded
 * modules: table of a module in Lua → its name */
void names_push(lua_State *L);
void names_push_copies(lua_State *L);
void names_push_modules(lua_State *L);
/* For WALK_REACH: value → true for what is the host's, or a module's in C, and never changes as far as a job can see; modules as above. */
void names_push_kept(lua_State *L);

/* In a describe attempt before the job is loaded. */
void names_begin(lua_State *L);
/* Once it is loaded: learns the modules it has brought. */
void names_learn(lua_State *L);

/* Searches package.path (or, `in_c`, package.cpath) for a module; pushes the file's name, or nothing and false. */
bool names_find_module(lua_State *L, const char *module, bool in_c);
/* Pushes what tells one state of a file from another: its size and time, as text. */
void names_push_stamp(lua_State *L, const char *path);
/* The host's own: mr, mr.job, … */
bool names_is_host(const char *module);

#endif
