/* state.h: one Lua state with its limits; the only way from C into Lua.
 *
 * Every entry goes through script_protect: it adds a traceback that starts at the user's line, maps the result to a status, and
 * lets no limit that was hit pass unseen, whatever the script caught. A C failure below Lua (a full disk in the collector) travels as
 * script_raise: its struct err is kept here, and wins. */
#ifndef LMR_SCRIPT_STATE_H
#define LMR_SCRIPT_STATE_H

#include "base/position.h"
#include "script/memory.h"
#include "script/rng.h"
#include "script/value.h"

#include <lauxlib.h>
#include <lua.h>

struct task;
struct watchdog;

enum { SCRIPT_SIDES_MAX = 64, SCRIPT_STOP_MAX = 160 };

struct script_side {
    const char *name; /* anchored in the registry */
    struct side *side;
};

struct script {
    lua_State *L;              /* the thread that runs now: the main one, but for mr.run inside a coroutine */
    struct memory memory;
    _Atomic int interrupted;   /* enum status asked for by script_interrupt or the deadline; ST_OK: none */
    double deadline;           /* seconds; 0: none */
    struct watchdog *watchdog;
    struct position *page;     /* never NULL */
    struct position own_page;  /* for a state that no worker runs */
    struct task *task;         /* the attempt being run, or NULL */
    struct err failure;        /* of the last error the message handler saw */
    struct err fatal;          /* a C failure that no pcall may hide; status ST_OK: none */
    struct rng rng;
    struct encoder encoder;
    struct key_cursor cursor;
    struct buf text;           /* scratch that outlives an error: source files, JSON */
    struct buf bytes, more;    /* scratch of the mr functions, likewise */
    struct script_side sides[SCRIPT_SIDES_MAX];
    unsigned side_count;
    int mr;                    /* registry reference of the module table, or LUA_NOREF */
    int natives;               /* registry reference of the table of C functions that the host's Lua gets */
};

struct script_config {
    size_t memory_limit;       /* bytes; 0: none */
    double deadline;           /* seconds; 0: none */
    struct position *page;     /* or NULL */
    const char *seed_task;     /* task id that math.random is seeded from */
    uint64_t seed;
};

/* Makes a state with libraries, limits and the mr module's searcher. ST_MEMORY when it cannot. script_close accepts NULL. */
enum status script_open(const struct script_config *config, struct script **out, struct err *e);
void script_close(struct script *s);
/* The struct script of a Lua thread. */
static inline struct script *script_of(lua_State *L)
{
    struct script *s;
    memcpy(&s, lua_getextraspace(L), sizeof(struct script *));
    return s;
}

/* Calls fn(L) protected, with `context` as its light userdata argument; the stack is as before afterwards. */
enum status script_protect(struct script *s, lua_CFunction fn, void *context, struct err *e);
/* In a protected call: raises `e` as an error that wins over whatever the script makes of it. Does not return. */
int script_raise(lua_State *L, const struct err *e);
/* In a protected call: raises what is wrong with the job, the profile or an argument (ST_USAGE). Does not return. */
int script_usage(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* In a protected call: raises when an interrupt, a deadline or the memory cap was hit, or a C failure is kept. */
static inline void script_check(lua_State *L, struct script *s);
int script_stopped(lua_State *L, struct script *s);

static inline bool script_is_stopped(const struct script *s)
{
    return atomic_load_explicit(&s->interrupted, memory_order_relaxed) != ST_OK || memory_is_hit(&s->memory) || s->fatal.status != ST_OK;
}

static inline void script_check(lua_State *L, struct script *s)
{
    if (__builtin_expect(script_is_stopped(s), 0))
        (void)script_stopped(L, s);
}

/* In a protected call: pushes the function of a text chunk read from `path`; raises ST_USAGE when it cannot be read, is bytecode, or does
 * not compile; `hint` follows what the compiler said. */
void script_load_file(lua_State *L, const char *path, const char *hint);
/* The same for a text of the host, compiled in ("scripts/job.lua"). */
void script_load_embedded(lua_State *L, const char *name);
/* In a protected call: pushes the host's module table ("mr", "mr.job"), loading it when it is not. */
void script_require(lua_State *L, const char *module);
/* Puts `directory` first in package.path, in a protected call. */
void script_add_path(lua_State *L, const char *directory);

#endif
