/* Names as given → files: what a name may be, and lists of names. */
#include "data/expand.h"

#include "base/sys.h"
#include "data/url.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIST_BYTES_MAX = 64 * 1024 * 1024 };

static enum status expand_list(struct expand *x, const char *path);

/* `list`: the name of the list that holds the name, or NULL. */
static enum status expand_name(struct expand *x, const char *name, const char *list)
{
    struct stat st;
    if (!*name)
        return err_set(x->e, ST_USAGE, "the name of an input is empty");
    if (*name == '@' && list)
        return err_set(x->e, ST_USAGE,
                       "%s is a list inside a list; name its files here, or ./%s if that is a "
                       "file's name",
                       name, name);
    if (*name == '@')
        return expand_list(x, name + 1);
    if (url_is(name))
        return expand_address(x, name);
    if (url_is_foreign(name) && lstat(name, &st) != 0)
        return expand_missing(name, x->e);
    if (glob_is_pattern(name) && lstat(name, &st) != 0)
        return glob_expand(x, name);
    return expand_path(x, name);
}

/* Puts the list and the line before an error's message. */
static enum status in_list(const char *list, unsigned long line, enum status status, struct err *e)
{
    if (status != ST_USAGE || !e)
        return status;
    char message[ERR_MESSAGE_MAX];
    memcpy(message, e->message, sizeof message);
    return err_set(e, status, "%.900s:%lu: %.500s", list, line, message);
}

static enum status expand_lines(struct expand *x, const char *list, char *text, size_t size)
{
    unsigned long number = 0;
    char *end = text + size;
    for (char *line = text; line < end; number++) {
        char *lf = memchr(line, '\n', (size_t)(end - line));
        char *stop = lf ? lf : end;
        size_t n = (size_t)(stop - line);
        if (n > 0 && line[n - 1] == '\r')
            n--;
        line[n] = '\0'; /* the text has room for one behind it */
        enum status status = ST_OK;
        if (strlen(line) < n)
            status = err_set(x->e, ST_USAGE,
                             "there is a NUL byte in this line; a list holds one name a line");
        else if (line[strspn(line, " \t")] != '\0' && *line != '#')
            status = expand_name(x, line, list);
        if (status != ST_OK)
            return in_list(list, number + 1, status, x->e);
        line = stop + 1;
    }
    return ST_OK;
}

static enum status check_list(const char *path, struct err *e)
{
    struct stat st;
    if (!*path)
        return err_set(e, ST_USAGE, "@ needs the name of a list behind it");
    if (stat(path, &st) != 0 && errno == ENOENT)
        return expand_missing(path, e);
    if (access(path, R_OK) != 0)
        return err_set(e, ST_USAGE, "cannot read the list %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(e, ST_USAGE, "%s is a directory, not a list of names; leave the @ out",
                       path);
    return ST_OK;
}

static enum status expand_list(struct expand *x, const char *path)
{
    struct buf text = BUF_EMPTY;
    size_t before = x->files.n;
    enum status status = check_list(path, x->e);
    if (status == ST_OK)
        status = sys_read_file(path, LIST_BYTES_MAX, &text, x->e);
    if (status == ST_OK && buf_terminate(&text) != ST_OK)
        status = err_memory(x->e, "a list of inputs", text.n);
    if (status == ST_OK)
        status = expand_lines(x, path, (char *)text.p, text.n);
    if (status == ST_OK && x->files.n == before)
        status = err_set(x->e, ST_USAGE, "the list %s names no file", path);
    buf_free(&text);
    return status;
}

static enum status finish(struct expand *x, struct input_files *out)
{
    out->count = x->files.n / sizeof(struct input_file);
    out->files = arena_alloc(x->arena, x->files.n);
    if (!out->files)
        return err_memory(x->e, "the list of input files", x->files.n);
    if (out->count > 0)
        memcpy(out->files, x->files.p, x->files.n);
    return ST_OK;
}

enum status inputs_expand(const struct input_name *names, size_t count, struct arena *a,
                          struct input_files *out, struct err *e)
{
    struct expand x = { a, BUF_EMPTY, 0, e };
    enum status status = ST_OK;
    for (size_t i = 0; status == ST_OK && i < count; i++) {
        x.input = names[i].input;
        status = expand_name(&x, names[i].path, NULL);
    }
    if (status == ST_OK)
        status = finish(&x, out);
    buf_free(&x.files);
    return status;
}
