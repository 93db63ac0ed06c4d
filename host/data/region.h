/* region.h: address space reserved at once and touched as it fills: no copying growth, and a small
 * job never owns the pages of a large plan. Owned by who opened it; region_close gives it back. */
#ifndef LMR_DATA_REGION_H
#define LMR_DATA_REGION_H

#include "base/bytes.h"

struct region {
    uint8_t *p;
    size_t size;
};

#define REGION_EMPTY ((struct region){ NULL, 0 })

/* Reserves `size` bytes, all zero, page-aligned; ST_MEMORY when there is no room. */
enum status region_open(struct region *r, size_t size);
/* Gives the pages from byte `from` on back (or, where `from` cuts a huge page, from the next):
 * those bytes are zero again. */
void region_clear(struct region *r, size_t from);
void region_close(struct region *r);

#endif
