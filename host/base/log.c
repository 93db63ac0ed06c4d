#include "base/log.h"

#include "base/sys.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2 * ERR_MESSAGE_MAX };

/* The only mutable state outside main: how loud this process is, and which progress line stands on its
 * terminal. Both belong to the process as a whole (there is one standard error), are set once at the
 * start, and would otherwise travel through every call that may print a warning. */
static struct {
    bool quiet;
    void (*before_line)(void *);
    void *context;
} output;

void log_set_quiet(bool quiet)
{
    output.quiet = quiet;
}

void log_set_hook(void (*before_line)(void *), void *context)
{
    output.before_line = before_line;
    output.context = context;
}

/* File names and records are shown in messages; their control bytes must not steer the terminal. */
static void disarm(char *text)
{
    for (char *p = text; *p; p++)
        if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
            *p = '?';
}

/* One write a line, so that lines of several processes do not mix. Nobody is left to tell when
 * standard error itself fails. */
static void print_line(const char *prefix, const char *text)
{
    char line[ERR_TRACEBACK_MAX + LINE_MAX_BYTES];
    if (output.before_line)
        output.before_line(output.context);
    (void)snprintf(line, sizeof line - 1, "%s%s", prefix, text);
    disarm(line);
    size_t n = strlen(line);
    line[n++] = '\n';
    (void)sys_write(STDERR_FILENO, line, n, "standard error", NULL, NULL);
}

static void print_formatted(const char *prefix, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void print_formatted(const char *prefix, const char *format, va_list args)
{
    char text[LINE_MAX_BYTES];
    (void)vsnprintf(text, sizeof text, format, args);
    print_line(prefix, text);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_formatted("lmr: ", format, args);
    va_end(args);
}

void log_warning(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_formatted("lmr: warning: ", format, args);
    va_end(args);
}

void log_note(const char *format, ...)
{
    if (output.quiet)
        return;
    va_list args;
    va_start(args, format);
    print_formatted("lmr: ", format, args);
    va_end(args);
}

/* "FILE, byte OFFSET, record N, key K", as far as known; false when the message says as much. */
static bool position(const struct err *e, char *out, size_t size)
{
    size_t n = 0;
    bool in_message = e->file[0] && strstr(e->message, e->file);
    if (e->offset < 0 && e->record < 0 && !e->key[0] && (in_message || !e->file[0]))
        return false;
    const char *separator = "";
    out[0] = '\0';
#define ADD(...)                                                                                   \
    do {                                                                                           \
        if (n < size)                                                                              \
            n += (size_t)snprintf(out + n, size - n, __VA_ARGS__);                                 \
        separator = ", ";                                                                          \
    } while (0)
    if (e->file[0])
        ADD("%s", e->file);
    if (e->offset >= 0)
        ADD("%sbyte %lld", separator, (long long)e->offset);
    if (e->record >= 0)
        ADD("%srecord %lld", separator, (long long)e->record);
    if (e->key[0])
        ADD("%skey %s", separator, e->key);
#undef ADD
    return true;
}

static void print_traceback(const char *traceback)
{
    while (*traceback) {
        size_t n = strcspn(traceback, "\n");
        char line[ERR_TRACEBACK_MAX];
        size_t skip = strspn(traceback, "\t ");
        (void)snprintf(line, sizeof line, "%.*s", (int)(n > skip ? n - skip : 0), traceback + skip);
        if (line[0])
            print_line(skip ? "    " : "  ", line);
        traceback += n + (traceback[n] == '\n');
    }
}

void log_err(const struct err *e)
{
    print_line("lmr: ", e->message);
    char where[ERR_FILE_MAX + ERR_KEY_MAX + 128];
    if (position(e, where, sizeof where))
        print_line("  at ", where);
    print_traceback(e->traceback);
}
