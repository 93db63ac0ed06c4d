/* mr.c: the two tables: what the mr module exports, and the natives around it. */
#include "script/mr.h"

#include "script/failure.h"
#include "script/fingerprint.h"

void mr_setup(lua_State *L)
{
    lua_createtable(L, 0, 32);
    lua_createtable(L, 0, 32);
    mr_add_task(L);
    mr_add_side(L);
    mr_add_text(L);
    lua_setfield(L, -2, "mr");
    native_add_check(L);
    native_add_run(L);
    native_add_profile(L);
    native_add_fingerprint(L);
    failure_push_metatable(L);
    lua_setfield(L, -2, "failure");
    script_of(L)->natives = luaL_ref(L, LUA_REGISTRYINDEX);
}

struct task *mr_task(lua_State *L, const char *what)
{
    struct task *t = script_of(L)->task;
    if (!t)
        (void)luaL_error(L, "%s works only inside a running task", what);
    return t;
}
