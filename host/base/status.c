#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *type;
    bool transient;
} statuses[ST_COUNT] = {
#define X(code, type, transient) [code] = { type, transient },
    STATUS_LIST(X)
#undef X
};

const char *status_type(enum status status)
{
    CHECK(status < ST_COUNT);
    return statuses[status].type;
}

enum status status_from_type(const char *type)
{
    for (int i = 0; i < ST_COUNT; i++)
        if (strcmp(statuses[i].type, type) == 0)
            return (enum status)i;
    return ST_DECLARED;
}

bool status_is_transient(enum status status)
{
    CHECK(status < ST_COUNT);
    return statuses[status].transient;
}

void err_clear(struct err *e)
{
    e->status = ST_OK;
    e->os_error = 0;
    e->type[0] = e->message[0] = e->traceback[0] = e->file[0] = e->key[0] = '\0';
    e->offset = e->record = -1;
    e->retry_after = -1;
    e->details[0] = '\0';
    e->exit_status = -1;
    e->signal = 0;
    e->elapsed_seconds = -1;
    e->memory_peak = 0;
    e->simulated = false;
}

enum status err_set(struct err *e, enum status status, const char *format, ...)
{
    if (!e)
        return status;
    err_clear(e);
    e->status = status;
    (void)snprintf(e->type, sizeof e->type, "%s", status_type(status));
    va_list args;
    va_start(args, format);
    (void)vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return status;
}

static enum status status_of_errno(int os_error)
{
    switch (os_error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ST_DISK_FULL;
    case ENOMEM:
        return ST_MEMORY;
    case EPIPE:
        return ST_INTERRUPTED;
    default:
        return ST_CRASH;
    }
}

enum status err_sys(struct err *e, int os_error, const char *what, const char *path)
{
    enum status status = status_of_errno(os_error);
    if (!e)
        return status;
    (void)err_set(e, status, "cannot %s %s: %s", what, path, strerror(os_error));
    e->os_error = os_error;
    err_at(e, path, -1, -1);
    err_detail(e, "errno", "%d", os_error);
    return status;
}

enum status err_memory(struct err *e, const char *what, size_t bytes)
{
    return err_set(e, ST_MEMORY, "out of memory: %zu bytes for %s", bytes, what);
}

void err_at(struct err *e, const char *file, int64_t offset, int64_t record)
{
    if (!e)
        return;
    if (file)
        (void)snprintf(e->file, sizeof e->file, "%s", file);
    e->offset = offset;
    e->record = record;
}

/* Where the value of a detail begins, or NULL. */
static const char *find_detail(const struct err *e, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = e->details; *p; p = strchr(p, '\n') + 1)
        if (strncmp(p, name, n) == 0 && p[n] == '\t')
            return p + n + 1;
    return NULL;
}

void err_detail(struct err *e, const char *name, const char *format, ...)
{
    char value[ERR_DETAILS_MAX];
    va_list args;
    if (!e || find_detail(e, name))
        return;
    va_start(args, format);
    int length = vsnprintf(value, sizeof value, format, args);
    va_end(args);
    size_t used = strlen(e->details);
    if (length < 0 || used + strlen(name) + (size_t)length + 2 >= sizeof e->details)
        return;
    for (char *p = value; *p; p++)
        if (*p == '\t' || *p == '\n' || *p == '\r')
            *p = ' ';
    (void)snprintf(e->details + used, sizeof e->details - used, "%s\t%s\n", name, value);
}

double err_detail_number(const struct err *e, const char *name, double fallback)
{
    const char *value = find_detail(e, name);
    char *end;
    if (!value)
        return fallback;
    double number = strtod(value, &end);
    return end != value && *end == '\n' ? number : fallback;
}

void check_failed(const char *file, int line, const char *expression)
{
    (void)fprintf(stderr, "lmr: %s:%d: this must hold and does not: %s (a bug in lmr; please report it)\n",
                  file, line, expression);
    abort();
}
