/* The part of sys.h that works on names: directories, renames, removal, whole files. */
#include "base/sys.h"

#include "base/failpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Cuts the last component off `path` in place ("a/b//" → "a", "a" → ".", "/a" → "/"). */
static void cut_to_parent(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0)
        path[n++] = '.';
    path[n] = '\0';
}

const char *sys_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The parent of `path`, to be freed by the caller; NULL when memory is out. */
static char *parent_dup(const char *path)
{
    char *parent = sys_malloc(strlen(path) + 2); /* room for "." when path is empty */
    if (parent) {
        memcpy(parent, path, strlen(path) + 1);
        cut_to_parent(parent);
    }
    return parent;
}

enum status sys_fsync_file(const char *path, const char *site, struct err *e)
{
    int fd = -1;
    enum status status = sys_open_read(path, &fd, e);
    if (status == ST_OK)
        status = sys_fsync(fd, path, site, e);
    if (fd >= 0)
        (void)close(fd);
    return status;
}

static enum status fsync_directory(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "open directory", path);
    enum status status = ST_OK;
    if (fsync(fd) != 0 && errno != EINVAL) /* EINVAL: this filesystem has nothing to sync here */
        status = err_sys(e, errno, "fsync directory", path);
    (void)close(fd);
    return status;
}

enum status sys_fsync_dir(const char *path, const char *site, struct err *e)
{
    failpoint_at(site, ":before");
    enum status status = fsync_directory(path, e);
    failpoint_at(site, ":after");
    return status;
}

enum status sys_fsync_parent(const char *path, const char *site, struct err *e)
{
    char *parent = parent_dup(path);
    if (!parent)
        return err_memory(e, "a path", strlen(path) + 2);
    enum status status = sys_fsync_dir(parent, site, e);
    sys_free(parent);
    return status;
}

void sys_unlink_where(const char *dir, bool (*wanted)(const void *context, const char *name), const void *context)
{
    struct buf path = BUF_EMPTY;
    const struct dirent *entry;
    DIR *d = opendir(dir);
    while (d && (entry = readdir(d))) {
        if (!wanted(context, entry->d_name))
            continue;
        path.n = 0;
        if (buf_printf(&path, "%s/%s", dir, entry->d_name) == ST_OK && buf_terminate(&path) == ST_OK)
            (void)sys_unlink((const char *)path.p, NULL);
    }
    if (d)
        (void)closedir(d);
    buf_free(&path);
}

static enum status rename_file(const char *from, const char *to, struct err *e)
{
    if (rename(from, to) == 0)
        return ST_OK;
    int os_error = errno;
    char what[ERR_FILE_MAX];
    (void)snprintf(what, sizeof what, "rename %s to", from);
    return err_sys(e, os_error, what, to);
}

enum status sys_rename(const char *from, const char *to, const char *site, struct err *e)
{
    failpoint_at(site, ":before");
    enum status status = rename_file(from, to, e);
    failpoint_at(site, ":after");
    return status;
}

enum status sys_unlink(const char *path, struct err *e)
{
    failpoint("unlink:before");
    if (unlink(path) != 0 && errno != ENOENT)
        return err_sys(e, errno, "remove", path);
    failpoint("unlink:after");
    return ST_OK;
}

void sys_rmdir(const char *path)
{
    failpoint("rmdir:before");
    (void)rmdir(path);
    failpoint("rmdir:after");
}

static enum status make_directory(const char *path, struct err *e)
{
    bool missing = failpoint_armed && access(path, F_OK) != 0;
    failpoint_at(missing ? "mkdir" : NULL, ":before");
    if (mkdir(path, 0777) == 0) {
        failpoint("mkdir:after");
        return ST_OK;
    }
    int os_error = errno;
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return ST_OK;
        os_error = ENOTDIR;
    }
    return err_sys(e, os_error, "make directory", path);
}

enum status sys_mkdir_all(const char *path, struct err *e)
{
    char *partial = sys_strdup(path);
    if (!partial)
        return err_memory(e, "a path", strlen(path) + 1);
    enum status status = ST_OK;
    for (char *p = partial; *p && status == ST_OK; p++) {
        if (*p != '/' || p == partial)
            continue;
        *p = '\0';
        status = make_directory(partial, e);
        *p = '/';
    }
    if (status == ST_OK)
        status = make_directory(partial, e);
    sys_free(partial);
    return status;
}

static enum status remove_entry(int parent, const char *name, const char *root, struct err *e);

/* Empties an open directory and closes it. */
static enum status empty_directory(int fd, const char *root, struct err *e)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int os_error = errno;
        (void)close(fd);
        return err_sys(e, os_error, "read directory in", root);
    }
    enum status status = ST_OK;
    while (status == ST_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno != 0)
                status = err_sys(e, errno, "read directory in", root);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = remove_entry(dirfd(dir), entry->d_name, root, e);
    }
    (void)closedir(dir);
    return status;
}

/* Removes `name` in the directory `parent`, whatever it is. A symlink goes, not what it points to. */
static enum status remove_entry(int parent, const char *name, const char *root, struct err *e)
{
    failpoint("rmtree:before");
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) {
        failpoint("rmtree:after");
        return ST_OK;
    }
    if (errno != EISDIR && errno != EPERM)
        return err_sys(e, errno, "remove all of", root);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "remove all of", root);
    enum status status = empty_directory(fd, root, e);
    if (status == ST_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        status = err_sys(e, errno, "remove all of", root);
    failpoint("rmtree:after");
    return status;
}

enum status sys_remove_tree(const char *path, struct err *e)
{
    return remove_entry(AT_FDCWD, path, path, e);
}

/* What statvfs and stat say of `path`, or of its nearest parent that is there. */
static enum status find_filesystem(const char *path, struct statvfs *fs, struct stat *st,
                                   struct err *e)
{
    char *existing = sys_malloc(strlen(path) + 2);
    if (!existing)
        return err_memory(e, "a path", strlen(path) + 2);
    memcpy(existing, path, strlen(path) + 1);
    int os_error = 0;
    while (statvfs(existing, fs) != 0 || stat(existing, st) != 0) {
        os_error = errno;
        if (os_error != ENOENT || strcmp(existing, "/") == 0 || strcmp(existing, ".") == 0)
            break;
        cut_to_parent(existing);
        os_error = 0;
    }
    sys_free(existing);
    return os_error ? err_sys(e, os_error, "see the free space of", path) : ST_OK;
}

enum status sys_free_space(const char *path, uint64_t *bytes, struct err *e)
{
    struct statvfs fs;
    struct stat st;
    enum status status = find_filesystem(path, &fs, &st, e);
    if (status == ST_OK)
        *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return status;
}

bool sys_same_filesystem(const char *a, const char *b)
{
    struct statvfs fs;
    struct stat sa = { 0 }, sb = { 0 };
    return find_filesystem(a, &fs, &sa, NULL) == ST_OK &&
           find_filesystem(b, &fs, &sb, NULL) == ST_OK && sa.st_dev == sb.st_dev;
}

enum status sys_read_file(const char *path, size_t limit, struct buf *out, struct err *e)
{
    enum { CHUNK = 64 * 1024 };
    int fd = -1;
    size_t start = out->n, got = 1;
    enum status status = sys_open_read(path, &fd, e);
    while (status == ST_OK && got > 0) {
        if (buf_reserve(out, CHUNK) != ST_OK) {
            status = err_memory(e, path, CHUNK);
            break;
        }
        status = sys_read(fd, out->p + out->n, CHUNK, &got, path, e);
        if (status != ST_OK)
            break;
        out->n += got;
        if (out->n - start > limit)
            status = err_set(e, ST_USAGE, "%s is longer than %zu bytes", path, limit);
    }
    if (status != ST_OK)
        out->n = start;
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* The failpoints of a file's steps are told apart, as they have one site. */
static enum status write_temporary(const char *path, struct slice content, bool durable,
                                   const char *site, struct err *e)
{
    int fd = -1;
    enum status status = sys_create(path, &fd, e);
    if (status != ST_OK)
        return status;
    failpoint_at(site, ".write:before");
    status = sys_write(fd, content.p, content.n, path, NULL, e);
    failpoint_at(site, ".write:after");
    if (status == ST_OK && durable) {
        status = sys_fsync(fd, path, NULL, e);
        failpoint_at(site, ".fsync:after");
    }
    if (close(fd) != 0 && status == ST_OK)
        status = err_sys(e, errno, "close", path);
    return status;
}

static enum status rename_temporary(const char *from, const char *to, bool durable,
                                    const char *site, struct err *e)
{
    failpoint_at(site, ".rename:before");
    enum status status = sys_rename(from, to, NULL, e);
    failpoint_at(site, ".rename:after");
    if (status != ST_OK) {
        (void)sys_unlink(from, NULL);
    } else if (durable) {
        status = sys_fsync_parent(to, NULL, e);
        failpoint_at(site, ".fsync_dir:after");
    }
    return status;
}

enum status sys_write_file(const char *path, struct slice content, bool durable, const char *site,
                           struct err *e)
{
    struct buf temporary = BUF_EMPTY;
    enum status status = buf_printf(&temporary, "%s.tmp-%ld", path, (long)getpid());
    if (status != ST_OK)
        return err_memory(e, "a path", strlen(path));
    const char *name = (const char *)temporary.p;
    status = write_temporary(name, content, durable, site, e);
    if (status == ST_OK)
        status = rename_temporary(name, path, durable, site, e);
    else
        (void)sys_unlink(name, NULL);
    buf_free(&temporary);
    return status;
}
