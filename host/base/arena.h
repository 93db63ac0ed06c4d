/* arena.h: memory that is freed all at once. An arena owns every block it handed out; pointers stay
 * valid until arena_reset or arena_free. Start as ARENA_EMPTY. */
#ifndef LMR_BASE_ARENA_H
#define LMR_BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used, total; /* bytes used in the newest block; bytes handed out in all */
};

#define ARENA_EMPTY ((struct arena){ NULL, 0, 0 })

/* `n` bytes aligned for any type, not cleared; NULL when memory is out. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy of `s` with a NUL after it; NULL when memory is out. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_strdup(struct arena *a, const char *s);
void arena_free(struct arena *a);

#endif
