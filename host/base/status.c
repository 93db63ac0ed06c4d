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

void check_failed(const char *file, int line, const char *expression)
{
    (void)fprintf(stderr, "lmr: %s:%d: this must hold and does not: %s (a bug in lmr; please report it)\n",
                  file, line, expression);
    abort();
}
