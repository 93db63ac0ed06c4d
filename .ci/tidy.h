/* What clang-tidy cannot see: these functions never return, though they are declared to. */
struct lua_State;
struct err;
int lua_error(struct lua_State *L) __attribute__((noreturn));
int luaL_error(struct lua_State *L, const char *format, ...) __attribute__((noreturn));
int luaL_argerror(struct lua_State *L, int arg, const char *message) __attribute__((noreturn));
int luaL_typeerror(struct lua_State *L, int arg, const char *name) __attribute__((noreturn));
int script_raise(struct lua_State *L, const struct err *e) __attribute__((noreturn));
