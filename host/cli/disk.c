#include "cli/disk.h"

#include "base/sys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 512, DEPTH_MAX = 32 };

static bool add_entry(int parent, const char *name, unsigned depth, uint64_t *entries,
                      uint64_t *bytes);

static bool add_folder(int fd, unsigned depth, uint64_t *entries, uint64_t *bytes)
{
    const struct dirent *entry;
    bool all = true;
    DIR *d = fdopendir(fd);
    if (!d) {
        (void)close(fd);
        return true;
    }
    while (all && (entry = readdir(d)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            all = add_entry(dirfd(d), entry->d_name, depth, entries, bytes);
    (void)closedir(d);
    return all;
}

static bool add_entry(int parent, const char *name, unsigned depth, uint64_t *entries,
                      uint64_t *bytes)
{
    struct stat info;
    if (*entries == 0 || depth > DEPTH_MAX)
        return false;
    --*entries;
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return true; /* it has gone meanwhile */
    if (!S_ISDIR(info.st_mode)) {
        if (info.st_nlink <= 1)
            *bytes += (uint64_t)info.st_blocks * BLOCK_BYTES;
        return true;
    }
    *bytes += (uint64_t)info.st_blocks * BLOCK_BYTES;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || add_folder(fd, depth + 1, entries, bytes);
}

bool disk_tree(const char *path, uint64_t *entries, uint64_t *bytes)
{
    return add_entry(AT_FDCWD, path, 0, entries, bytes);
}
