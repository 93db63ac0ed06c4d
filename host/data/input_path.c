/* A path → the regular file it is, or the files of the directory it is. */
#include "data/expand.h"

#include "base/size.h"
#include "base/sys.h"
#include "data/url.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Where each name starts, once the text no longer moves. */
static enum status index_names(struct entries *l)
{
    const char *name = (const char *)l->text.p;
    for (size_t i = 0; i < l->count; i++, name += strlen(name) + 1)
        if (buf_append(&l->names, &name, sizeof name) != ST_OK)
            return ST_MEMORY;
    if (l->count > 0)
        qsort(l->names.p, l->count, sizeof name, compare_names);
    name = NULL;
    return buf_append(&l->names, &name, sizeof name);
}

static enum status read_entries(DIR *d, struct entries *out)
{
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(d))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (buf_append(&out->text, entry->d_name, strlen(entry->d_name) + 1) != ST_OK)
            return ST_MEMORY;
        out->count++;
    }
    return errno ? ST_CRASH : index_names(out);
}

enum status entries_read(const char *directory, struct entries *out, struct err *e)
{
    *out = (struct entries){ BUF_EMPTY, BUF_EMPTY, 0 };
    if (!*directory)
        directory = ".";
    DIR *d = opendir(directory);
    if (!d)
        return err_set(e, ST_USAGE, "cannot read the directory %s: %s", directory, strerror(errno));
    enum status status = read_entries(d, out);
    if (status == ST_CRASH)
        status = err_sys(e, errno, "read the directory", directory);
    else if (status != ST_OK)
        status = err_memory(e, "the names in a directory", out->text.n);
    (void)closedir(d);
    return status;
}

void entries_free(struct entries *l)
{
    buf_free(&l->text);
    buf_free(&l->names);
}

const char *const *entries_names(const struct entries *l)
{
    return (const char *const *)(const void *)l->names.p;
}

enum status path_join(const char *directory, const char *name, struct buf *out)
{
    out->n = 0;
    size_t n = strlen(directory);
    bool slash = n > 0 && directory[n - 1] != '/';
    if (buf_append(out, directory, n) != ST_OK || (slash && buf_append_byte(out, '/') != ST_OK) ||
        buf_append_str(out, name) != ST_OK)
        return ST_MEMORY;
    return buf_terminate(out);
}

/* What a missing component may have meant, from the names in `directory`; the caller frees `l`. */
static const char *nearest_entry(const char *directory, const char *name, struct entries *l)
{
    struct err ignored;
    return entries_read(directory, l, &ignored) == ST_OK ? nearest_name(name, entries_names(l))
                                                         : NULL;
}

/* The first component of `path` that is not there: its end, and what stands before it in
 * `directory`. */
static size_t missing_component(const char *path, char *directory, char *name, size_t cap)
{
    size_t at = 0;
    for (;;) {
        size_t from = at + strspn(path + at, "/");
        size_t to = from + strcspn(path + from, "/");
        char prefix[ERR_FILE_MAX];
        (void)snprintf(directory, cap, "%.*s", (int)from, path);
        (void)snprintf(name, cap, "%.*s", (int)(to - from), path + from);
        (void)snprintf(prefix, sizeof prefix, "%.*s", (int)to, path);
        struct stat st;
        if (!path[to] || to >= sizeof prefix || stat(prefix, &st) != 0)
            return to;
        at = to;
    }
}

enum status expand_missing(const char *path, struct err *e)
{
    struct stat st;
    char directory[ERR_FILE_MAX], name[ERR_FILE_MAX], target[ERR_FILE_MAX];
    if (url_is_foreign(path)) /* only the scheme is shown: what follows may hold a password */
        return err_set(e, ST_USAGE,
                       "an input begins with %.*s://, and inputs are files or addresses that begin "
                       "with http:// or https://; pipe it in: COMMAND ADDRESS | lmr run … -",
                       (int)strcspn(path, ":"), path);
    if (lstat(path, &st) == 0) {
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        return err_set(e, ST_USAGE, "%.600s is a symbolic link to %.600s, which is not there", path,
                       target);
    }
    size_t to = missing_component(path, directory, name, sizeof name);
    struct entries l;
    const char *near = nearest_entry(directory, name, &l);
    enum status status;
    if (near)
        status = err_set(e, ST_USAGE, "no such file: %.500s; is it %.400s%.300s%.200s?", path,
                         directory, near, path + to);
    else if (path[to])
        status = err_set(e, ST_USAGE, "no such file: %.500s; there is no directory %.400s%.300s",
                         path, directory, name);
    else
        status = err_set(e, ST_USAGE, "no such file: %.500s; check its name", path);
    entries_free(&l);
    err_at(e, path, -1, -1);
    return status;
}

static enum status cannot_read(const char *path, int os_error, struct err *e)
{
    if (os_error == ENOENT)
        return expand_missing(path, e);
    const char *hint = os_error == EACCES ? "; check its permissions" : "";
    enum status status =
        err_set(e, ST_USAGE, "cannot read %s: %s%s", path, strerror(os_error), hint);
    err_at(e, path, -1, -1);
    return status;
}

static enum status not_regular(const char *path, mode_t mode, struct err *e)
{
    const char *what = S_ISFIFO(mode) ? "a named pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
    enum status status = err_set(e, ST_USAGE,
                                 "%s is %s, not a regular file; give its bytes on standard input "
                                 "and name - as the input, or copy them to a file",
                                 path, what);
    err_at(e, path, -1, -1);
    return status;
}

static enum status add_file(struct expand *x, const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return not_regular(path, st->st_mode, x->e);
    if (access(path, R_OK) != 0)
        return cannot_read(path, errno, x->e);
    struct input_file f = { .path = arena_strdup(x->arena, path),
                            .size = (uint64_t)st->st_size,
                            .mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                            .input = x->input };
    if (!f.path || buf_append(&x->files, &f, sizeof f) != ST_OK)
        return err_memory(x->e, "the list of input files", x->files.n);
    return ST_OK;
}

enum status expand_address(struct expand *x, const char *url)
{
    struct input_file f = { .size = INPUT_SIZE_UNKNOWN, .input = x->input, .whole = true };
    enum status status = url_split(url, x->arena, &f.path, &f.secret, x->e);
    if (status == ST_OK && buf_append(&x->files, &f, sizeof f) != ST_OK)
        status = err_memory(x->e, "the list of input files", x->files.n);
    return status;
}

bool input_is_remote(const char *path)
{
    return url_is(path);
}

/* Directories still to be read: paths, each with its NUL. */
static enum status push(struct expand *x, struct buf *directories, const char *path)
{
    return buf_append(directories, path, strlen(path) + 1) == ST_OK
             ? ST_OK
             : err_memory(x->e, "the list of directories", directories->n);
}

/* A name met inside a directory: files (through symlinks too) are added, directories put on the
 * list, but not those behind a symlink, which may lead in a circle. */
static enum status visit(struct expand *x, const char *path, struct buf *directories)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return cannot_read(path, errno, x->e);
    bool is_link = S_ISLNK(st.st_mode);
    if (is_link && stat(path, &st) != 0)
        return cannot_read(path, errno, x->e);
    if (!S_ISDIR(st.st_mode))
        return add_file(x, path, &st);
    return is_link ? ST_OK : push(x, directories, path);
}

static enum status visit_entries(struct expand *x, const char *directory, struct buf *directories)
{
    struct entries l;
    struct buf path = BUF_EMPTY;
    enum status status = entries_read(directory, &l, x->e);
    for (size_t i = 0; status == ST_OK && i < l.count; i++) {
        const char *name = entries_names(&l)[i];
        if (*name == '.' || *name == '_')
            continue;
        status =
            path_join(directory, name, &path) == ST_OK ? ST_OK : err_memory(x->e, "a path", path.n);
        if (status == ST_OK)
            status = visit(x, (const char *)path.p, directories);
    }
    buf_free(&path);
    entries_free(&l);
    return status;
}

static int compare_files(const void *a, const void *b)
{
    const struct input_file *f = a, *g = b;
    return strcmp(f->path, g->path);
}

void expand_sort(struct expand *x, size_t before)
{
    size_t count = (x->files.n - before) / sizeof(struct input_file);
    if (count > 1)
        qsort(x->files.p + before, count, sizeof(struct input_file), compare_files);
}

static enum status expand_directory(struct expand *x, const char *path)
{
    struct buf directories = BUF_EMPTY;
    enum status status = push(x, &directories, path);
    for (size_t at = 0; status == ST_OK && at < directories.n;) {
        /* A copy: the list moves as it grows. */
        char *directory = sys_strdup((const char *)directories.p + at);
        if (!directory) {
            status = err_memory(x->e, "a path", directories.n);
            break;
        }
        at += strlen(directory) + 1;
        status = visit_entries(x, directory, &directories);
        sys_free(directory);
    }
    buf_free(&directories);
    return status;
}

enum status expand_match(struct expand *x, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return cannot_read(path, errno, x->e);
    return S_ISDIR(st.st_mode) ? expand_directory(x, path) : add_file(x, path, &st);
}

enum status expand_path(struct expand *x, const char *path)
{
    size_t before = x->files.n;
    enum status status = expand_match(x, path);
    if (status != ST_OK)
        return status;
    if (x->files.n == before)
        return err_set(x->e, ST_USAGE,
                       "the directory %s holds no input file (names that begin with . or _ are "
                       "passed over)",
                       path);
    expand_sort(x, before);
    return ST_OK;
}
