#include "recover/journal_points.h"

#include "base/failpoint.h"

#include <sqlite3.h>
#include <stddef.h>
#include <unistd.h>

static ssize_t write_at(int fd, const void *p, size_t n, off_t offset)
{
    failpoint("journal.write:before"); /* what comes after it is before the next, or the commit's */
    if (pwrite(fd, p, n / 2, offset) < 0)
        return -1;
    failpoint("journal.write:half");
    return pwrite(fd, p, n, offset);
}

static int cut(int fd, off_t size)
{
    failpoint("journal.cut:before");
    int code = ftruncate(fd, size);
    failpoint("journal.cut:after");
    return code;
}

static int remove_file(const char *path)
{
    failpoint("journal.unlink:before");
    int code = unlink(path);
    failpoint("journal.unlink:after");
    return code;
}

void journal_points(void)
{
    static const struct {
        const char *name;
        sqlite3_syscall_ptr call;
    } calls[] = {
        { "pwrite", (sqlite3_syscall_ptr)write_at },
        { "pwrite64", (sqlite3_syscall_ptr)write_at },
        { "ftruncate", (sqlite3_syscall_ptr)cut },
        { "unlink", (sqlite3_syscall_ptr)remove_file },
    };
    sqlite3_vfs *vfs = failpoint_armed ? sqlite3_vfs_find(NULL) : NULL;
    for (size_t i = 0; vfs && vfs->xSetSystemCall && i < sizeof calls / sizeof *calls; i++)
        (void)vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call);
}
