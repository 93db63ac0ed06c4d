/* Patterns: component by component, so that what cannot be read is named, and order is bytewise in
 * every locale. */
#include "data/expand.h"

#include "base/sys.h"

#include <fnmatch.h>

static bool is_wild(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] == '*' || s[i] == '?' || s[i] == '[')
            return true;
    return false;
}

bool glob_is_pattern(const char *name)
{
    return is_wild(name, strlen(name));
}

/* A wildcard at the beginning matches no "." and no "_". */
static bool matches(const char *component, const char *name)
{
    if ((*name == '_' || *name == '.') && *component != *name)
        return false;
    return fnmatch(component, name, FNM_PERIOD) == 0;
}

/* Paths that matched so far, each with its NUL; empty ones begin at the working directory. */
struct matched {
    struct buf paths;
};

static enum status add_match(struct matched *m, const char *path)
{
    return buf_append(&m->paths, path, strlen(path) + 1);
}

/* One wild component below one directory. */
static enum status match_entries(const char *directory, const char *component, struct matched *next,
                                 struct err *e)
{
    struct stat st;
    if (*directory && (stat(directory, &st) != 0 || !S_ISDIR(st.st_mode)))
        return ST_OK;
    struct entries l;
    struct buf path = BUF_EMPTY;
    enum status status = entries_read(directory, &l, e);
    for (size_t i = 0; status == ST_OK && i < l.count; i++) {
        const char *name = entries_names(&l)[i];
        if (!matches(component, name))
            continue;
        if (path_join(directory, name, &path) != ST_OK ||
            add_match(next, (const char *)path.p) != ST_OK)
            status = err_memory(e, "the names a pattern matches", next->paths.n);
    }
    buf_free(&path);
    entries_free(&l);
    return status;
}

/* One plain component below one directory; what is not there matches nothing. */
static enum status match_plain(const char *directory, const char *component, struct matched *next,
                               struct err *e)
{
    struct buf path = BUF_EMPTY;
    struct stat st;
    enum status status = path_join(directory, component, &path);
    if (status == ST_OK && lstat((const char *)path.p, &st) == 0)
        status = add_match(next, (const char *)path.p);
    buf_free(&path);
    return status == ST_OK ? ST_OK : err_memory(e, "the names a pattern matches", next->paths.n);
}

static enum status match_component(const struct matched *m, const char *component,
                                   struct matched *next, struct err *e)
{
    enum status status = ST_OK;
    bool wild = is_wild(component, strlen(component));
    for (size_t at = 0; status == ST_OK && at < m->paths.n;) {
        const char *directory = (const char *)m->paths.p + at;
        at += strlen(directory) + 1;
        status = wild ? match_entries(directory, component, next, e)
                      : match_plain(directory, component, next, e);
    }
    return status;
}

static enum status match_all(const char *pattern, struct matched *m, struct err *e)
{
    enum status status = add_match(m, *pattern == '/' ? "/" : "");
    if (status != ST_OK)
        return err_memory(e, "a pattern", strlen(pattern));
    const char *rest = pattern + strspn(pattern, "/");
    while (status == ST_OK && *rest) {
        size_t n = strcspn(rest, "/");
        struct matched next = { BUF_EMPTY };
        struct buf component = BUF_EMPTY;
        if (buf_append(&component, rest, n) != ST_OK || buf_terminate(&component) != ST_OK)
            status = err_memory(e, "a pattern", n);
        else
            status = match_component(m, (const char *)component.p, &next, e);
        buf_free(&component);
        buf_free(&m->paths);
        *m = next;
        rest += n;
        rest += strspn(rest, "/");
    }
    return status;
}

static enum status nothing(const char *pattern, bool matched, struct err *e)
{
    return matched
             ? err_set(e, ST_USAGE, "the directories that %s matches hold no input file", pattern)
             : err_set(e, ST_USAGE,
                       "no file matches %s; check the pattern (names that begin with . or _ "
                       "must be named with it)",
                       pattern);
}

enum status glob_expand(struct expand *x, const char *pattern)
{
    struct matched m = { BUF_EMPTY };
    size_t before = x->files.n;
    enum status status = match_all(pattern, &m, x->e);
    bool any = m.paths.n > 0;
    for (size_t at = 0; status == ST_OK && at < m.paths.n;) {
        const char *path = (const char *)m.paths.p + at;
        at += strlen(path) + 1;
        status = expand_match(x, path);
    }
    buf_free(&m.paths);
    if (status == ST_OK && x->files.n == before)
        return nothing(pattern, any, x->e);
    if (status == ST_OK)
        expand_sort(x, before);
    return status;
}
