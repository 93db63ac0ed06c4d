#include "data/region.h"

#include <sys/mman.h>

/* Regions from this size on are worth huge pages: the table and the arena are touched at random. */
enum { HUGE_FROM = 4 << 20, HUGE_PAGE = 2 << 20 };

enum status region_open(struct region *r, size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED)
        return ST_MEMORY;
    if (size >= HUGE_FROM)
        (void)madvise(p, size, MADV_HUGEPAGE);
    *r = (struct region){ p, size };
    return ST_OK;
}

void region_clear(struct region *r, size_t from)
{
    uintptr_t start = (uintptr_t)r->p, first = start + from;
    if (from > 0)
        first = (first + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    if (!r->p || first >= start + r->size)
        return;
    size_t skipped = first - start;
    if (madvise(r->p + skipped, r->size - skipped, MADV_DONTNEED) != 0)
        memset(r->p + skipped, 0, r->size - skipped);
}

void region_close(struct region *r)
{
    if (r->p)
        CHECK(munmap(r->p, r->size) == 0);
    *r = REGION_EMPTY;
}
