/* fingerprint_walk.h: the walk behind fingerprint.h: from values to all that they reach, breadth first, so that each thing met has a number
 * and a name that follow from the values alone. */
#ifndef LMR_SCRIPT_FINGERPRINT_WALK_H
#define LMR_SCRIPT_FINGERPRINT_WALK_H

#include "script/fingerprint_code.h"

#include <lua.h>

struct memory;

enum walk_mode {
    WALK_PRINT, /* by content: two states, two processes can be compared */
    WALK_REACH, /* by identity, with all globals: one state, earlier and later */
};

/* What changed is told by it. */
struct part {
    uint32_t name, place; /* where they begin in `text`; place 0: none */
    uint32_t why;         /* 0: it can be compared; else where it begins what it is ("a userdata") */
    uint64_t hash;
};

/* A table or function that was met. */
struct node {
    enum node_kind { NODE_TABLE, NODE_FUNCTION, NODE_GLOBALS, NODE_LIBRARY, NODE_ARGS } kind;
    uint32_t part, label; /* label: where its short name begins in `text` */
    uint64_t at;          /* of a table: the way to it from where its part begins */
};

struct walk {
    lua_State *L;
    struct memory *memory; /* whose cap is lifted meanwhile; NULL: not any more */
    size_t cap, peak;      /* what they were */
    enum walk_mode mode;
    /* indexes on the stack: number → object; object → number; keys that wait; part's name → how many; and those of fingerprint_names.h */
    int nodes, seen, waiting, titles, names, copies, modules, globals, args;
    struct buf node_list, parts, text, dump, entries;
    struct code code;
    uint64_t key;      /* of all that was met */
    uint32_t variables, walked; /* counts: of upvalues met; of nodes followed */
    unsigned mentions; /* of all functions met */
    bool can;
    bool has_function; /* one was met */
};

/* In a protected call: pushes what a walk needs (its first value owns the struct) and leaves it there. Until walk_close the state has no
 * cap on its memory: what the walk needs is not the job's. */
struct walk *walk_open(lua_State *L, enum walk_mode mode);
/* Something the walk starts from: a function, or a value; absolute stack index. It is named in components as it is here. */
void walk_from(struct walk *w, const char *name, int index);
/* The same for what has the hash already. */
void walk_add(struct walk *w, const char *name, uint64_t hash);
/* Something that cannot be compared. */
void walk_cannot(struct walk *w, const char *name, const char *why);
/* Follows everything; may be called again after more has been added. */
void walk_run(struct walk *w);
/* Frees what is not Lua's at once, and puts the cap back; what was pushed stays. */
void walk_close(struct walk *w);

static inline struct part *walk_part(const struct walk *w, uint32_t i)
{
    return (struct part *)(void *)w->parts.p + i;
}
static inline uint32_t walk_parts(const struct walk *w)
{
    return (uint32_t)(w->parts.n / sizeof(struct part));
}
static inline const char *walk_text(const struct walk *w, uint32_t at)
{
    return (const char *)w->text.p + at;
}

/* After it, once nothing of the walk is on the stack any more. */
void walk_settle(lua_State *L);

#endif
