/* disk.h: what folders take on disk. Nothing is changed. */
#ifndef LMR_CLI_DISK_H
#define LMR_CLI_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Adds to *bytes what the tree at `path` takes on disk (blocks, not lengths), symbolic links not followed. A file
 * that has another name elsewhere is not counted: it would not be freed with this one. What is not there, or
 * cannot be read, counts as nothing. At most *entries names are looked at, which are taken off it; false: there
 * are more, and *bytes lacks them. */
bool disk_tree(const char *path, uint64_t *entries, uint64_t *bytes);

#endif
