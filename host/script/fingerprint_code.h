/* fingerprint_code.h: the code of one Lua function, out of what lua_dump writes: a hash without lines and names, and what it asks for by
 * name. Only for Lua 5.4; other or damaged bytes are refused. */
#ifndef LMR_SCRIPT_FINGERPRINT_CODE_H
#define LMR_SCRIPT_FINGERPRINT_CODE_H

#include "base/bytes.h"

enum code_mention {
    CODE_LOOKUP = 1,           /* the words lookup or side_pairs stand in it: side files */
    CODE_ARGS = 2,             /* args */
    CODE_OUTPUT = 4,           /* output */
    CODE_ALL_GLOBALS = 8,      /* the table of globals itself is used */
    CODE_COMPUTED_MODULE = 16, /* require of what is no constant */
    CODE_LOADS_FILE = 32,      /* dofile or loadfile */
};

struct code {
    uint64_t hash;     /* instructions, constants, nested functions */
    unsigned mentions; /* of enum code_mention */
    struct buf globals, modules; /* struct slice each, borrowed from the dump: names of globals, constants given to require; may repeat */
};

/* Indexes (from 0) of the function's upvalues that are the table of globals and the global require; −1: it has none. */
struct code_upvalues {
    int env, require;
};

/* Reads a stripped dump. `out` is zeroed, or used before; code_free ends it. ST_CORRUPT: not understood. ST_MEMORY. */
enum status code_read(struct slice dump, struct code_upvalues up, struct code *out);
void code_free(struct code *c);

static inline size_t code_count(const struct buf *names)
{
    return names->n / sizeof(struct slice);
}
static inline struct slice code_name(const struct buf *names, size_t i)
{
    struct slice s;
    memcpy(&s, names->p + i * sizeof s, sizeof s);
    return s;
}

#endif
