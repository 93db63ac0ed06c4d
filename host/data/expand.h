/* expand.h: what the two halves of inputs_expand share. Private to the input half of this room. */
#ifndef LMR_DATA_EXPAND_H
#define LMR_DATA_EXPAND_H

#include "data/input.h"

#include <sys/stat.h>

/* Files found so far, and the name being expanded. */
struct expand {
    struct arena *arena;
    struct buf files; /* struct input_file */
    uint32_t input;
    struct err *e;
};

/* The entries of a directory, sorted bytewise. */
struct entries {
    struct buf text;  /* names, each with its NUL */
    struct buf names; /* const char *, NULL at the end */
    size_t count;
};

enum status entries_read(const char *directory, struct entries *out, struct err *e);
void entries_free(struct entries *l);
const char *const *entries_names(const struct entries *l);

/* directory/name in `out`, NUL-terminated; "" is the working directory. */
enum status path_join(const char *directory, const char *name, struct buf *out);

/* Adds a regular file, or a directory's files in order; or says why not. `path` may be
 * a symlink. */
enum status expand_path(struct expand *x, const char *path);
/* The same for a path that a pattern matched: not yet in order, and an empty directory is no
 * error. */
enum status expand_match(struct expand *x, const char *path);
/* Sorts the files found since `before` (a value of files.n) by path. */
void expand_sort(struct expand *x, size_t before);
/* Adds an address (data/url.h), its size not known yet. */
enum status expand_address(struct expand *x, const char *url);
/* True when some component has *, ? or [. */
bool glob_is_pattern(const char *name);
/* Adds what a pattern matches, sorted by path. */
enum status glob_expand(struct expand *x, const char *pattern);

/* "No such file", with what is there instead. ST_USAGE. */
enum status expand_missing(const char *path, struct err *e);

#endif
