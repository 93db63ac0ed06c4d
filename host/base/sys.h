/* sys.h: the one seam between lmr and the operating system.
 *
 * Clock, allocation, reads, writes, fsync and rename go through here and nowhere else, so that a
 * failure simulator can later stand in the real path. Every durable step names its site (a string
 * constant such as "run.fsync"), which is what its failpoints before and after it are called by
 * (failpoint.h); NULL where the step makes nothing durable (a terminal, a pipe). Paths are C strings;
 * descriptors are opened CLOEXEC. Errors are mapped by err_sys and name the path. */
#ifndef LMR_BASE_SYS_H
#define LMR_BASE_SYS_H

#include "base/bytes.h"

#include <sys/types.h>

/* Monotonic time and wall-clock time (since 1970, UTC), in nanoseconds. */
int64_t sys_now(void);
int64_t sys_wall_clock(void);
/* CPU time (user + system) of this process, and of its ended children, in nanoseconds. */
int64_t sys_cpu_time(void);
int64_t sys_children_cpu_time(void);
/* Greatest resident set of this process so far, in bytes. */
int64_t sys_peak_memory(void);

/* Allocation. NULL when memory is out; sys_free accepts NULL. */
void *sys_malloc(size_t n);
void *sys_calloc(size_t count, size_t size);
void *sys_realloc(void *p, size_t n);
void sys_free(void *p);
char *sys_strdup(const char *s);

/* Opens what is closed of standard input, output and error, so that no file of ours gets their numbers: input then
 * ends at once, writing to output is an error (EBADF), and messages are dropped. Once, at the start of the program. */
void sys_open_standard(void);
/* Opens for reading; ST_CRASH with errno in `e` when that fails. */
enum status sys_open_read(const char *path, int *fd, struct err *e);
/* Creates (or empties) a file for writing, mode 0666 less the umask. */
enum status sys_create(const char *path, int *fd, struct err *e);
/* Reads up to `n` bytes; *got is 0 at the end of the file. Restarts after a signal. */
enum status sys_read(int fd, void *p, size_t n, size_t *got, const char *path, struct err *e);
/* The same at an offset; reads until `n` bytes or the end of the file. */
enum status sys_pread(int fd, void *p, size_t n, uint64_t offset, size_t *got, const char *path, struct err *e);
/* Waits until a descriptor that somebody has made non-blocking can go on (events as for poll), or a signal comes. */
void sys_wait(int fd, short events);
/* Writes all `n` bytes, or fails; a non-blocking descriptor is waited for. */
enum status sys_write(int fd, const void *p, size_t n, const char *path, const char *site, struct err *e);
/* Appends the first `n` bytes of the file `from` to `fd` (whose path is `path`), in the kernel where the filesystem can;
 * a shorter file is ST_CORRUPT. */
enum status sys_copy(const char *from, uint64_t n, int fd, const char *path, const char *site, struct err *e);
/* Asks the kernel to begin writing to disk what the file got since *begun (an offset, 0 at first), once that is some
 * MiB, so that the fsync at its end has less to wait for. A hint: it never waits, fails or makes anything durable. */
void sys_write_behind(int fd, uint64_t written, uint64_t *begun);
/* After a failed fsync the caller writes the file again from its source; it never calls this again on
 * the same descriptor. */
enum status sys_fsync(int fd, const char *path, const char *site, struct err *e);
/* The same of a file that others wrote. */
enum status sys_fsync_file(const char *path, const char *site, struct err *e);
/* fsync of the directory that holds `path` (its last component is cut off). */
enum status sys_fsync_parent(const char *path, const char *site, struct err *e);
enum status sys_fsync_dir(const char *path, const char *site, struct err *e);
enum status sys_rename(const char *from, const char *to, const char *site, struct err *e);
/* Removes a file; one that is not there is no error. */
enum status sys_unlink(const char *path, struct err *e);
/* Removes a directory that is empty; all else is left as it is. */
void sys_rmdir(const char *path);
/* Removes the files of a folder whose names are wanted; what cannot be removed stays, in silence. */
void sys_unlink_where(const char *dir, bool (*wanted)(const void *context, const char *name), const void *context);
/* What stands behind the last slash of a path: a file's or folder's own name. */
const char *sys_name(const char *path);
/* Makes a directory and its parents; one that is there is no error. */
enum status sys_mkdir_all(const char *path, struct err *e);
/* Removes a directory with all it holds; one that is not there is no error. Never follows symlinks. */
enum status sys_remove_tree(const char *path, struct err *e);
/* Bytes free for us on the filesystem of `path`, or of its nearest parent that is there. */
enum status sys_free_space(const char *path, uint64_t *bytes, struct err *e);
/* True when both would take their space from the same filesystem; false also where nobody can tell. */
bool sys_same_filesystem(const char *a, const char *b);
/* Whole file into `out` (appended), at most `limit` bytes, else ST_USAGE. */
enum status sys_read_file(const char *path, size_t limit, struct buf *out, struct err *e);
/* Writes a file durably: temporary name beside it, write, fsync, rename, fsync of the directory
 * (the two fsyncs only when `durable`). */
enum status sys_write_file(const char *path, struct slice content, bool durable, const char *site, struct err *e);

/* Cores this process may use: affinity and cgroup quota, at least 1. */
unsigned sys_cores(void);

#endif
