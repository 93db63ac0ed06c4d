/* base_probe.c: shows what base/size.h, base/sys.h, base/log.h and base/bytes.h do with the arguments:
 * base_probe COMMAND ARGUMENT… One line for each answer. */
#include "base/log.h"
#include "base/size.h"
#include "base/sys.h"
#include "script/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_LIMIT = 1 << 20 };

static int fail(const struct err *e)
{
    (void)printf("%s: %s\n", e->type, e->message);
    return 1;
}

static int show_size(char **args)
{
    char text[SIZE_TEXT_MAX];
    for (; *args; args++) {
        uint64_t bytes;
        if (size_parse(*args, &bytes))
            (void)printf("%llu %s\n", (unsigned long long)bytes, size_format(bytes, text));
        else
            (void)printf("no\n");
    }
    return 0;
}

static int show_duration(char **args)
{
    char text[SIZE_TEXT_MAX];
    for (; *args; args++) {
        double seconds;
        if (duration_parse(*args, &seconds))
            (void)printf("%.10g %s\n", seconds, duration_format(seconds, text));
        else
            (void)printf("no\n");
    }
    return 0;
}

static int show_count(char **args)
{
    char text[SIZE_TEXT_MAX];
    for (; *args; args++)
        (void)printf("%s\n", count_format(strtoull(*args, NULL, 10), text));
    return 0;
}

static int show_nearest(char **args)
{
    const char *found = nearest_name(args[0], (const char *const *)args + 1);
    (void)printf("%s\n", found ? found : "(none)");
    return 0;
}

static int show_cores(char **args)
{
    (void)args;
    (void)printf("%u\n", sys_cores());
    return 0;
}

static int make_directory(char **args)
{
    struct err e;
    return sys_mkdir_all(args[0], &e) == ST_OK ? 0 : fail(&e);
}

static int remove_tree(char **args)
{
    struct err e;
    return sys_remove_tree(args[0], &e) == ST_OK ? 0 : fail(&e);
}

static int write_file(char **args)
{
    struct err e;
    struct slice content = slice_str(args[1]);
    return sys_write_file(args[0], content, true, "probe.write", &e) == ST_OK ? 0 : fail(&e);
}

static int read_file(char **args)
{
    struct err e;
    struct buf text = BUF_EMPTY;
    size_t limit = args[1] ? (size_t)strtoull(args[1], NULL, 10) : READ_LIMIT;
    enum status status = sys_read_file(args[0], limit, &text, &e);
    if (status == ST_OK)
        (void)fwrite(text.p, 1, text.n, stdout);
    buf_free(&text);
    return status == ST_OK ? 0 : fail(&e);
}

static int free_space(char **args)
{
    struct err e;
    uint64_t bytes;
    if (sys_free_space(args[0], &bytes, &e) != ST_OK)
        return fail(&e);
    (void)printf("%llu\n", (unsigned long long)bytes);
    return 0;
}

/* Reads a range with sys_pread: FILE OFFSET LENGTH. */
static int read_range(char **args)
{
    struct err e;
    int fd = -1;
    size_t n = (size_t)strtoull(args[2], NULL, 10), got = 0;
    uint8_t *room = sys_malloc(n);
    enum status status = room ? sys_open_read(args[0], &fd, &e) : err_memory(&e, "a range", n);
    if (status == ST_OK)
        status = sys_pread(fd, room, n, strtoull(args[1], NULL, 10), &got, args[0], &e);
    if (status == ST_OK)
        (void)fwrite(room, 1, got, stdout);
    if (fd >= 0)
        (void)close(fd);
    sys_free(room);
    return status == ST_OK ? 0 : fail(&e);
}

static int log_lines(char **args)
{
    struct err e;
    log_error("%s", args[0]);
    log_warning("%s", args[0]);
    log_note("%s", args[0]);
    log_set_quiet(true);
    log_note("not to be seen");
    (void)err_set(&e, ST_SCRIPT, "it broke");
    err_at(&e, "in.txt", 12, 3);
    (void)snprintf(e.traceback, sizeof e.traceback, "stack traceback:\n\tjob.lua:7: in map");
    log_err(&e);
    (void)err_sys(&e, 28, "write", "out.txt");
    log_err(&e);
    return 0;
}

static int list_embedded(char **args)
{
    size_t count;
    const struct embedded_file *files = embedded_files(&count);
    for (size_t i = 0; i < count; i++)
        (void)printf("%s %zu %d\n", files[i].name, files[i].text.n, embedded_find(files[i].name) == &files[i]);
    const struct embedded_file *one = args[0] ? embedded_find(args[0]) : NULL;
    if (one)
        (void)fwrite(one->text.p, 1, one->text.n, stdout);
    return args[0] && !one;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(char **args);
        int arguments;
    } commands[] = {
        { "size", show_size, 0 },        { "duration", show_duration, 0 }, { "count", show_count, 0 },
        { "nearest", show_nearest, 1 },  { "cores", show_cores, 0 },       { "mkdir", make_directory, 1 },
        { "remove", remove_tree, 1 },    { "write", write_file, 2 },       { "read", read_file, 1 },
        { "space", free_space, 1 },      { "range", read_range, 3 },       { "log", log_lines, 1 },
        { "embedded", list_embedded, 0 },
    };
    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].arguments)
            return commands[i].run(argv + 2);
    (void)fprintf(stderr, "usage: base_probe COMMAND ARGUMENT...\n");
    return 2;
}
