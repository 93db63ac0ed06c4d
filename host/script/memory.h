/* memory.h: the allocator of one Lua state: a cap, the peak, and small blocks out of slabs.
 *
 * Lua tells the size of what it frees, so small blocks need no header and come from free lists; large ones come from the system
 * allocator. The cap counts the bytes Lua asked for. Blocks belong to the state; memory_free gives back what lua_close left. */
#ifndef LMR_SCRIPT_MEMORY_H
#define LMR_SCRIPT_MEMORY_H

#include "base/status.h"

enum { MEMORY_CLASS_BYTES = 16, MEMORY_SMALL_MAX = 256, MEMORY_CLASSES = MEMORY_SMALL_MAX / MEMORY_CLASS_BYTES };

struct memory_slab;

struct memory {
    size_t cap; /* bytes; 0: none */
    size_t used, peak;
    /* A request beyond the cap is answered with NULL; Lua then collects and asks once more. When that fails too, or
     * when something else is asked for next (string buffers never ask twice), the script has seen an error: `hit` stays
     * set, so that no pcall can hide it. */
    const void *refused_block;
    size_t refused_size;
    bool hit;
    void *free[MEMORY_CLASSES];
    struct memory_slab *slabs;
    uint8_t *next, *end; /* what is left of the newest slab */
};

/* Starts empty; `cap` bytes, 0: no cap. */
void memory_init(struct memory *m, size_t cap);
/* A lua_Alloc; `context` is the struct memory. */
void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size);
/* True when the cap was hit. Between two calls into the allocator by the same Lua operation it may be too early to say: ask at the
 * end of an operation. */
static inline bool memory_is_hit(const struct memory *m)
{
    return m->hit || m->refused_size > 0;
}
/* Gives back every slab. After lua_close. */
void memory_free(struct memory *m);

#endif
