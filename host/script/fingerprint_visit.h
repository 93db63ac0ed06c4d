/* fingerprint_visit.h: one value met on a walk: what it counts for, and which part it belongs to. For fingerprint_walk.c alone. */
#ifndef LMR_SCRIPT_FINGERPRINT_VISIT_H
#define LMR_SCRIPT_FINGERPRINT_VISIT_H

#include "script/fingerprint_walk.h"

#include <xxhash.h>

enum { VISIT_LABEL_MAX = 160, VISIT_TITLE_MAX = 256 };

/* What hashes begin with. */
enum tag { TAG_NIL = 1, TAG_FALSE, TAG_TRUE, TAG_INT, TAG_FLOAT, TAG_STRING, TAG_NAME, TAG_TABLE, TAG_FUNCTION, TAG_UNSURE, TAG_POINTER,
           TAG_NUMBER, TAG_GLOBAL, TAG_MODULE, TAG_ENTRY, TAG_METATABLE, TAG_VARIABLE, TAG_GONE };

/* What becomes of a value: its hash in the part it stands in, and in the key. */
struct print {
    uint64_t own, linked;
};

/* How a value is called that gets a part of its own. */
struct head {
    const char *title;    /* of the part, when it is no function: "upvalue 'x' of map" */
    const char *label;    /* of a function, and of those in a table: "x" */
    uint32_t place;       /* in the text; 0: its own */
    bool is_root;         /* a function's part is called by its title */
};

static inline uint64_t visit_mix(uint64_t a, uint64_t b)
{
    const uint64_t words[2] = { a, b };
    return XXH3_64bits(words, sizeof words);
}

static inline uint64_t visit_hash(enum tag tag, const void *p, size_t n)
{
    return XXH3_64bits_withSeed(p, n, tag);
}

static inline struct print visit_plain(uint64_t hash)
{
    return (struct print){ hash, hash };
}

static inline void visit_into_key(struct walk *w, uint64_t hash)
{
    w->key = visit_mix(w->key, hash);
}

/* Raises when memory is out. */
void visit_need(lua_State *L, enum status st, size_t bytes);
/* Appends a text with its NUL; returns where. A file's name as a place. */
uint32_t visit_put_text(struct walk *w, const char *text);
uint32_t visit_put_file(struct walk *w, const char *path);
/* A part; a name that is there already gets a number. */
uint32_t visit_new_part(struct walk *w, const char *title, uint32_t place);
void visit_cannot(struct walk *w, uint32_t part, const char *why);
/* The number of a thing met before; 0: it was not. Absolute indexes here and below. */
uint32_t visit_number(struct walk *w, int index);
uint32_t visit_add_node(struct walk *w, int index, const struct node *node);
struct print visit_object(struct walk *w, enum tag tag, int index, uint32_t number);
/* False: it is something else. */
bool visit_scalar(lua_State *L, int index, uint64_t *hash);
/* What counts by name (in REACH: what is kept). */
bool visit_name(struct walk *w, int index, uint64_t *hash);
/* A value that stands in a part; `inner` says how a table or function in it is met. */
struct print visit_value(struct walk *w, int index, const struct node *inner);
/* A value that gets a part, unless it has one. */
struct print visit_head(struct walk *w, int index, const struct head *head);

#endif
