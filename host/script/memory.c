/* memory.c: see memory.h. */
#include "script/memory.h"

#include "base/sys.h"

#include <string.h>

/* The sanitizer must see each block by itself. */
#if defined(__SANITIZE_ADDRESS__)
#define SMALL_LIMIT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SMALL_LIMIT 0
#endif
#endif
#ifndef SMALL_LIMIT
#define SMALL_LIMIT MEMORY_SMALL_MAX
#endif

enum { SLAB_BYTES = 64 * 1024 - 32 };

struct memory_slab {
    struct memory_slab *older;
    uint8_t bytes[SLAB_BYTES - 16] __attribute__((aligned(16)));
};

void memory_init(struct memory *m, size_t cap)
{
    *m = (struct memory){ .cap = cap };
}

static inline bool is_small(size_t n)
{
    return n <= SMALL_LIMIT;
}

static inline size_t class_of(size_t n)
{
    return (n - 1) / MEMORY_CLASS_BYTES;
}

static void *carve(struct memory *m, size_t class)
{
    size_t n = (class + 1) * MEMORY_CLASS_BYTES;
    if ((size_t)(m->end - m->next) < n) {
        struct memory_slab *slab = sys_malloc(sizeof *slab);
        if (!slab)
            return NULL;
        slab->older = m->slabs;
        m->slabs = slab;
        m->next = slab->bytes;
        m->end = slab->bytes + sizeof slab->bytes;
    }
    void *block = m->next;
    m->next += n;
    return block;
}

static inline void *take(struct memory *m, size_t n)
{
    if (!is_small(n))
        return sys_malloc(n);
    size_t class = class_of(n);
    void *block = m->free[class];
    if (!block)
        return carve(m, class);
    memcpy(&m->free[class], block, sizeof(void *));
    return block;
}

static inline void give(struct memory *m, void *block, size_t n)
{
    if (!is_small(n)) {
        sys_free(block);
        return;
    }
    size_t class = class_of(n);
    memcpy(block, &m->free[class], sizeof(void *));
    m->free[class] = block;
}

static void *refuse(struct memory *m, const void *block, size_t n)
{
    if (m->refused_block == block && m->refused_size == n)
        m->hit = true;
    m->refused_block = block;
    m->refused_size = n;
    return NULL;
}

static void *resize(struct memory *m, void *block, size_t old_size, size_t new_size)
{
    if (!is_small(old_size) && !is_small(new_size))
        return sys_realloc(block, new_size);
    if (is_small(old_size) && is_small(new_size) && class_of(old_size) == class_of(new_size))
        return block;
    void *moved = take(m, new_size);
    if (!moved)
        return NULL;
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    give(m, block, old_size);
    return moved;
}

void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *m = context;
    if (!block)
        old_size = 0; /* Lua passes the kind of object there */
    if (new_size == 0) {
        if (old_size) {
            give(m, block, old_size);
            m->used -= old_size;
        }
        return NULL;
    }
    if (new_size > old_size && m->refused_size && (m->refused_block != block || m->refused_size != new_size))
        m->hit = true;
    if (m->cap && new_size > old_size && m->used - old_size + new_size > m->cap)
        return refuse(m, block, new_size);
    void *got = old_size ? resize(m, block, old_size, new_size) : take(m, new_size);
    if (!got)
        return refuse(m, block, new_size);
    m->refused_size = new_size > old_size ? 0 : m->refused_size;
    m->used += new_size - old_size;
    if (m->used > m->peak)
        m->peak = m->used;
    return got;
}

void memory_free(struct memory *m)
{
    while (m->slabs) {
        struct memory_slab *older = m->slabs->older;
        sys_free(m->slabs);
        m->slabs = older;
    }
    m->next = m->end = NULL;
}
