#include "base/arena.h"

#include "base/sys.h"

#include <stdalign.h>

enum { ARENA_BLOCK = 64 * 1024 };

struct arena_block {
    struct arena_block *next;
    size_t cap;
    alignas(max_align_t) uint8_t data[];
};

static bool arena_grow(struct arena *a, size_t n)
{
    size_t cap = n > ARENA_BLOCK ? n : ARENA_BLOCK;
    struct arena_block *block = sys_malloc(sizeof *block + cap);
    if (!block)
        return false;
    block->next = a->blocks;
    block->cap = cap;
    a->blocks = block;
    a->used = 0;
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t align = alignof(max_align_t);
    n = (n + align - 1) / align * align;
    if (!a->blocks || a->blocks->cap - a->used < n)
        if (!arena_grow(a, n))
            return NULL;
    void *p = a->blocks->data + a->used;
    a->used += n;
    a->total += n;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (copy) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

void arena_free(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;
        sys_free(a->blocks);
        a->blocks = next;
    }
    *a = ARENA_EMPTY;
}
