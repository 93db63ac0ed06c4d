#include "cli/new.h"

#include "base/log.h"
#include "base/size.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/table.h"
#include "script/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TEMPLATES_MAX = 32, NAME_BYTES = 64 };

struct names {
    char text[TEMPLATES_MAX][NAME_BYTES];
    const char *list[TEMPLATES_MAX + 1];
    size_t count;
};

static const char *template_name(const struct embedded_file *file, char out[NAME_BYTES])
{
    size_t prefix = strlen(TEMPLATE_PREFIX);
    if (strncmp(file->name, TEMPLATE_PREFIX, prefix) != 0)
        return NULL;
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)strcspn(file->name + prefix, "."),
                   file->name + prefix);
    return out;
}

static void names_of_templates(struct names *names)
{
    size_t count;
    const struct embedded_file *files = embedded_files(&count);
    names->count = 0;
    for (size_t i = 0; i < count && names->count < TEMPLATES_MAX; i++)
        if (template_name(&files[i], names->text[names->count])) {
            names->list[names->count] = names->text[names->count];
            names->count++;
        }
    names->list[names->count] = NULL;
}

static const struct embedded_file *template_find(const char *name)
{
    char file[NAME_BYTES + 32];
    (void)snprintf(file, sizeof file, "%s%s.lua", TEMPLATE_PREFIX, name);
    return embedded_find(file);
}

static int list_templates(void)
{
    struct names names;
    struct text t = TEXT_EMPTY;
    names_of_templates(&names);
    for (size_t i = 0; i < names.count; i++) {
        struct slice content = template_find(names.list[i])->text;
        const char *summary = (const char *)content.p;
        size_t n = 0, skip = strspn(summary, "- ");
        while (n < content.n && summary[n] != '\n')
            n++;
        text_printf(&t, "%-10s%.*s\n", names.list[i], (int)(n - skip), summary + skip);
    }
    return text_print(&t, STDOUT_FILENO);
}

static int unknown_template(const char *name)
{
    struct names names;
    names_of_templates(&names);
    const char *near = nearest_name(name, names.list);
    if (near)
        log_error("no template %s; did you mean %s? (lmr new --list names all templates)", name,
                  near);
    else
        log_error("no template %s; lmr new --list names all templates", name);
    return EXIT_WRONG_USAGE;
}

/* "jobs/top words.lua" → "top_words": letters, digits and '_' only, starting with a letter. */
static void job_name(const char *path, char out[NAME_BYTES])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strlen(base);
    if (n > 4 && strcmp(base + n - 4, ".lua") == 0)
        n -= 4;
    size_t used = 0;
    for (size_t i = 0; i < n && used + 1 < NAME_BYTES; i++) {
        char c = base[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (used == 0 && !letter)
            continue;
        if (!letter && !digit)
            c = '_';
        out[used++] = c;
    }
    out[used] = '\0';
    if (used == 0)
        (void)snprintf(out, NAME_BYTES, "job");
}

/* The template's text with its marks replaced. File names come from outside: what could end a
 * comment's line is made harmless. */
static void fill(struct text *t, struct slice content, const char *path)
{
    char name[NAME_BYTES], shown[256];
    job_name(path, name);
    (void)snprintf(shown, sizeof shown, "%s", path);
    columns_disarm(shown);
    const char *p = (const char *)content.p, *end = p + content.n;
    while (p < end) {
        const char *mark = memchr(p, '@', (size_t)(end - p));
        if (!mark)
            mark = end;
        text_add_bytes(t, p, (size_t)(mark - p));
        p = mark;
        if (end - p >= 6 && memcmp(p, "@FILE@", 6) == 0) {
            text_add(t, shown);
            p += 6;
        } else if (end - p >= 6 && memcmp(p, "@NAME@", 6) == 0) {
            text_add(t, name);
            p += 6;
        } else if (p < end) {
            text_add_bytes(t, p++, 1);
        }
    }
}

/* Opened so that a file that is there is never touched, whoever makes it meanwhile. */
static enum status write_new(const char *path, const struct text *t, struct err *e)
{
    if (t->status != ST_OK)
        return err_memory(e, path, t->buf.n);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        return err_set(e, ST_USAGE,
                       "%s exists and was left as it is; give another name, or remove it first",
                           path);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, ST_CRASH,
                       "cannot create %s: there is no such directory; make it first, with mkdir -p",
                           path);
    if (fd < 0)
        return err_sys(e, errno, "create", path);
    enum status status = sys_write(fd, t->buf.p, t->buf.n, path, "new.write", e);
    if (close(fd) != 0 && status == ST_OK)
        status = err_sys(e, errno, "write", path);
    if (status != ST_OK)
        (void)sys_unlink(path, NULL);
    return status;
}

static int write_template(const struct embedded_file *template, const char *path)
{
    struct text t = TEXT_EMPTY;
    struct err e;
    err_clear(&e);
    fill(&t, template->text, path);
    enum status status = write_new(path, &t, &e);
    text_free(&t);
    if (status != ST_OK) {
        log_err(&e);
        return status == ST_USAGE ? EXIT_WRONG_USAGE : EXIT_FAILED;
    }
    log_note("wrote %s; its first lines say how to run it", path);
    return EXIT_COMPLETE;
}

int command_new(struct request *request)
{
    const char *name = request->template_name ? request->template_name : "text";
    if (request->list)
        return list_templates();
    if (request->word_count != 1 || request->rest_count) {
        log_error("%s; usage: lmr new FILE [--template TEMPLATE]", request->word_count
                  ? "more than one name" : "no name for the new file");
        return EXIT_WRONG_USAGE;
    }
    const struct embedded_file *template = template_find(name);
    return template ? write_template(template, request->words[0]) : unknown_template(name);
}
