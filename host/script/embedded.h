/* embedded.h: the host's Lua files and the profiles, compiled into the binary. The table is generated
 * at build time from scripts and profiles; its entries live as long as the program. */
#ifndef LMR_SCRIPT_EMBEDDED_H
#define LMR_SCRIPT_EMBEDDED_H

#include "base/bytes.h"

struct embedded_file {
    const char *name; /* "scripts/mr.lua", "profiles/production.lua" */
    struct slice text;
};

/* All files, sorted by name; `*count` is set. */
const struct embedded_file *embedded_files(size_t *count);
/* One file by its name, or NULL. */
const struct embedded_file *embedded_find(const char *name);

#endif
