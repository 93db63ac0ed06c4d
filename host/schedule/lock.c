#include "schedule/lock.h"

#include "base/sys.h"
#include "schedule/lock_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
    SETTLE_MS = 2000, /* within which one who has looked has written its entry */
    LOOK_MS = 100,
    UNNAMED_MS = 3000, /* at most: a driver that has just locked the file writes its entry */
    OPEN_TRIES = 10
};

struct lock {
    char *path;
    const char *job_id; /* in path, not ended by NUL */
    int job_id_n;
    int fd;
    bool has_flock, is_new, settled, beats;
    struct lock_user user;
    struct lock_entry own;
    char text[LOCK_ENTRY_MAX], found[LOCK_ENTRY_MAX]; /* of this driver; what stood there before */
    size_t text_n, found_n;
    atomic_bool lost;
    /* the thread that beats */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop; /* under the mutex */
};

/* --- the file --- */

/* NUL-terminated; what is too long for an entry is cut. */
static size_t read_text(int fd, char out[LOCK_ENTRY_MAX])
{
    ssize_t n = pread(fd, out, LOCK_ENTRY_MAX - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* By its name, so that a network filesystem asks its server. */
static size_t read_anew(const struct lock *l, char out[LOCK_ENTRY_MAX])
{
    int fd = open(l->path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    out[0] = '\0';
    if (fd >= 0) {
        n = read_text(fd, out);
        (void)close(fd);
    }
    return n;
}

static bool is_ours(const struct lock *l, const char *text, size_t n)
{
    return n == l->text_n &&
           memcmp(text + LOCK_BEAT_BYTES, l->text + LOCK_BEAT_BYTES, n - LOCK_BEAT_BYTES) == 0;
}

static enum status cannot(const struct lock *l, const char *what, int code, struct err *e)
{
    enum status st = err_sys(e, code, what, l->path);
    bool read_only = code == EROFS || code == EACCES || code == EPERM;
    if (read_only)
        (void)err_set(e, ST_USAGE,
                      "cannot %s %s: %s; who works on a job must be able to write its folder: copy "
                      "it to where you can, and name the copy's parent with --state-dir",
                      what, l->path, strerror(code));
    if (st == ST_DISK_FULL)
        return st;
    if (e)
        e->status = ST_USAGE;
    return ST_USAGE;
}

/* The file that stands under the name now; `again`: it has been replaced since it was opened. The
 * descriptor is closed on exec: a worker that outlives the driver would keep the lock. */
static enum status open_file(struct lock *l, struct err *e)
{
    l->fd = open(l->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    l->is_new = l->fd >= 0;
    if (l->fd < 0 && errno == EEXIST)
        l->fd = open(l->path, O_RDWR | O_CLOEXEC);
    return l->fd >= 0 ? ST_OK : cannot(l, "lock the job with", errno, e);
}

static bool is_the_file(const struct lock *l)
{
    struct stat opened, named;
    return fstat(l->fd, &opened) == 0 && stat(l->path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static void wait_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static bool goes_on(const struct lock *l)
{
    return !l->user.goes_on || l->user.goes_on(l->user.context);
}

/* --- others --- */

static enum status refuse(const struct lock *l, const struct lock_entry *other, struct err *e)
{
    char name[LOCK_NAME_MAX];
    bool here = strcmp(other->host, l->own.host) == 0;
    (void)err_set(e, ST_USAGE,
                  "%.*s is at work already: %s (its newest sign of life: %s); wait for its end, or "
                  "stop it with lmr stop %.*s%s%s, then resume",
                  l->job_id_n, l->job_id, lock_entry_name(other, name), other->beat, l->job_id_n,
                  l->job_id, here ? "" : " on ", here ? "" : other->host);
    return ST_END;
}

static enum status refuse_unnamed(const struct lock *l, struct err *e)
{
    (void)err_set(e, ST_USAGE,
                  "%.*s is at work already: another process has locked %s; wait for its end, then "
                  "resume",
                  l->job_id_n, l->job_id, l->path);
    return ST_END;
}

/* Somebody has the file locked. Whose entry is of a process that is dead has only just locked it. */
static bool names_holder(struct lock *l, struct lock_entry *other)
{
    char text[LOCK_ENTRY_MAX];
    (void)read_text(l->fd, text);
    return lock_entry_read(text, other) && lock_entry_life(other, &l->own) != LOCK_DEAD;
}

/* ST_OK: the file is locked, or this filesystem has no locks. ST_END: another one has it. */
static enum status lock_file(struct lock *l, struct err *e)
{
    struct lock_entry other;
    for (int waited = 0; flock(l->fd, LOCK_EX | LOCK_NB) != 0; waited += LOOK_MS / 5) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK) {
            l->has_flock = false;
            return ST_OK;
        }
        if (names_holder(l, &other))
            return refuse(l, &other, e);
        if (waited >= UNNAMED_MS)
            return refuse_unnamed(l, e);
        wait_ms(LOOK_MS / 5);
    }
    l->has_flock = true;
    return ST_OK;
}

static enum status open_locked(struct lock *l, struct err *e)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        enum status st = open_file(l, e);
        struct stat info;
        if (st != ST_OK)
            return st;
        lock_entry_own(fstat(l->fd, &info) == 0 ? (uint64_t)info.st_ino : 0, &l->own);
        st = lock_file(l, e);
        if (st != ST_OK || is_the_file(l))
            return st;
        (void)close(l->fd);
        l->fd = -1;
    }
    return err_set(e, ST_USAGE, "%s is replaced again and again", l->path);
}

/* Filesystems that one kernel at a time has. */
static bool is_local_disk(int fd)
{
    enum { EXT = 0xEF53, XFS = 0x58465342, TMPFS = 0x01021994, OVERLAY = 0x794C7630, F2FS = (int)0xF2F52010,
           BTRFS = (int)0x9123683E, ZFS = 0x2FC12FC1 };
    struct statfs info;
    if (fstatfs(fd, &info) != 0)
        return false;
    int type = (int)info.f_type;
    return type == EXT || type == XFS || type == TMPFS || type == OVERLAY || type == F2FS ||
           type == BTRFS || type == ZFS;
}

enum judged { IS_FREE, IS_HELD, IS_OPEN };

/* Whose lock is it, by what stands in it? IS_OPEN: only its beat can tell. */
static enum judged judge(const struct lock *l, struct lock_entry *other)
{
    if (l->found_n == 0 || strncmp(l->found, "free", 4) == 0)
        return IS_FREE;
    if (!lock_entry_read(l->found, other))
        return l->has_flock ? IS_FREE : IS_OPEN;
    if (other->inode != l->own.inode) /* a copy of another job's folder */
        return IS_FREE;
    bool here = lock_entry_same_boot(other, &l->own);
    bool same_host = strcmp(other->host, l->own.host) == 0;
    if (l->has_flock && (here || (same_host && is_local_disk(l->fd))))
        return IS_FREE;
    enum lock_life life = lock_entry_life(other, &l->own);
    return life == LOCK_ALIVE ? IS_HELD : life == LOCK_DEAD ? IS_FREE : IS_OPEN;
}

static void tell_watching(const struct lock *l, const struct lock_entry *other)
{
    char text[512];
    const char *host = other->host[0] ? other->host : "another host";
    (void)snprintf(text, sizeof text,
                   "%.*s was last at work on %s (process %ld, since %s): watching for %d s whether "
                   "the driver on %s still beats",
                   l->job_id_n, l->job_id, host, other->pid, other->since, LOCK_STILL_SECONDS, host);
    if (l->user.tell)
        l->user.tell(l->user.context, text);
}

/* ST_OK: nothing moved for so long. */
static enum status watch(const struct lock *l, const struct lock_entry *first, struct err *e)
{
    char text[LOCK_ENTRY_MAX];
    struct lock_entry other = *first;
    int64_t until = sys_now() + INT64_C(1000000000) * LOCK_STILL_SECONDS;
    tell_watching(l, first);
    while (sys_now() < until) {
        wait_ms(LOOK_MS);
        if (!goes_on(l))
            return err_set(e, ST_INTERRUPTED, "stopped while it watched another driver's lock");
        size_t n = read_anew(l, text);
        if (n == l->found_n && memcmp(text, l->found, n) == 0)
            continue;
        return lock_entry_read(text, &other) || other.host[0] ? refuse(l, &other, e)
                                                             : refuse_unnamed(l, e);
    }
    return ST_OK;
}

/* Other hosts see it once it has left this one; on a disk of its own nobody asks after a loss of power. */
static enum status write_text(struct lock *l, const char *text, size_t n, struct err *e)
{
    if (pwrite(l->fd, text, n, 0) == (ssize_t)n && ftruncate(l->fd, (off_t)n) == 0) {
        if (!is_local_disk(l->fd))
            (void)fdatasync(l->fd);
        return ST_OK;
    }
    return cannot(l, "write", errno ? errno : ENOSPC, e);
}

/* Where locks are not sure, two may have written their entries: the last one stays. */
static enum status stays(const struct lock *l, struct err *e)
{
    char text[LOCK_ENTRY_MAX];
    struct lock_entry other;
    for (int waited = 0; waited < SETTLE_MS; waited += LOOK_MS) {
        wait_ms(LOOK_MS);
        if (!goes_on(l))
            return err_set(e, ST_INTERRUPTED, "stopped while it took over another driver's lock");
    }
    size_t n = read_anew(l, text);
    if (is_ours(l, text, n))
        return ST_OK;
    return lock_entry_read(text, &other) ? refuse(l, &other, e) : refuse_unnamed(l, e);
}

/* The file is open, and locked if it can be. */
static enum status take_over(struct lock *l, struct err *e)
{
    struct lock_entry other = { .pid = 0 };
    l->found_n = read_text(l->fd, l->found);
    enum judged is = judge(l, &other);
    enum status st = is == IS_HELD ? refuse(l, &other, e) : ST_OK;
    if (is == IS_OPEN)
        st = watch(l, &other, e);
    if (st != ST_OK)
        return st;
    l->text_n = lock_entry_write(&l->own, 0, l->text);
    st = write_text(l, l->text, l->text_n, e);
    bool is_sure = l->has_flock ? is == IS_FREE : l->is_new;
    return st == ST_OK && !is_sure ? stays(l, e) : st;
}

/* --- beating --- */

static bool still_ours(const struct lock *l)
{
    char text[LOCK_ENTRY_MAX];
    struct stat info;
    if (fstat(l->fd, &info) == 0 && info.st_nlink == 0)
        return false;
    ssize_t n = pread(l->fd, text, sizeof text, 0);
    return n < 0 ? errno != ESTALE : is_ours(l, text, (size_t)n);
}

bool lock_is_held(struct lock *l)
{
    if (!atomic_load(&l->lost) && !still_ours(l))
        atomic_store(&l->lost, true);
    return !atomic_load(&l->lost);
}

/* Only the first line is written: a driver that was stopped between its look and this cannot put its
 * name over another's. */
static void beat(struct lock *l, uint64_t count)
{
    char line[LOCK_BEAT_BYTES + 1];
    lock_entry_beat(count, line);
    (void)!pwrite(l->fd, line, LOCK_BEAT_BYTES, 0);
}

/* True: it is time for the next beat. */
static bool rest(struct lock *l)
{
    struct timespec until;
    int code = 0;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += LOCK_BEAT_SECONDS;
    (void)pthread_mutex_lock(&l->mutex);
    while (!l->stop && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&l->wake, &l->mutex, &until);
    bool stop = l->stop;
    (void)pthread_mutex_unlock(&l->mutex);
    return !stop;
}

static void *beat_main(void *argument)
{
    struct lock *l = argument;
    char text[LOCK_ENTRY_MAX];
    for (uint64_t count = 1; rest(l); count++) {
        size_t n = read_anew(l, text);
        bool ours = (n == 0 || is_ours(l, text, n)) && lock_is_held(l);
        if (ours) {
            beat(l, count);
            continue;
        }
        atomic_store(&l->lost, true);
        if (l->user.lost)
            l->user.lost(l->user.context);
        return NULL;
    }
    return NULL;
}

/* Signals are the main thread's. */
static enum status start_beating(struct lock *l, struct err *e)
{
    pthread_condattr_t attributes;
    sigset_t all, before;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    l->beats = pthread_create(&l->thread, NULL, beat_main, l) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return l->beats ? ST_OK : err_set(e, ST_CRASH, "cannot start a thread that keeps %s", l->path);
}

static void stop_beating(struct lock *l)
{
    if (!l->beats)
        return;
    (void)pthread_mutex_lock(&l->mutex);
    l->stop = true;
    (void)pthread_cond_signal(&l->wake);
    (void)pthread_mutex_unlock(&l->mutex);
    (void)pthread_join(l->thread, NULL);
    (void)pthread_cond_destroy(&l->wake);
    (void)pthread_mutex_destroy(&l->mutex);
}

/* --- taking and freeing --- */

/* "…/word_count-3" → word_count-3 */
static enum status name_file(struct lock *l, const char *job_dir, struct err *e)
{
    size_t n = strlen(job_dir);
    l->path = sys_malloc(n + sizeof "/lock");
    if (!l->path)
        return err_memory(e, "a path", n);
    (void)snprintf(l->path, n + sizeof "/lock", "%s/lock", job_dir);
    while (n > 0 && job_dir[n - 1] != '/')
        n--;
    l->job_id = l->path + n;
    l->job_id_n = (int)strlen(job_dir + n);
    return ST_OK;
}

enum status lock_take(const char *job_dir, const struct lock_user *user, struct lock **out,
                      struct err *e)
{
    struct lock *l = sys_calloc(1, sizeof *l);
    *out = NULL;
    if (!l)
        return err_memory(e, "the job's lock", sizeof *l);
    l->fd = -1;
    if (user)
        l->user = *user;
    enum status st = name_file(l, job_dir, e);
    if (st == ST_OK)
        st = open_locked(l, e);
    if (st == ST_OK)
        st = take_over(l, e);
    if (st == ST_OK)
        st = start_beating(l, e);
    if (st == ST_OK)
        *out = l;
    else
        lock_release(l);
    return st;
}

void lock_settle(struct lock *l)
{
    l->settled = true;
}

enum status lock_say_lost(const struct lock *l, struct err *e)
{
    char text[LOCK_ENTRY_MAX], name[LOCK_NAME_MAX] = "another driver";
    struct lock_entry other;
    (void)read_anew(l, text);
    if (lock_entry_read(text, &other))
        (void)lock_entry_name(&other, name);
    return err_set(e, ST_INTERRUPTED,
                   "%.*s was taken over by %s, as this driver had given no sign of life for %d s; it "
                   "ends without writing anything more (lmr show %.*s tells how the job stands)",
                   l->job_id_n, l->job_id, name, LOCK_STILL_SECONDS, l->job_id_n, l->job_id);
}

/* Nobody's space is needed for it. */
static void give_back(struct lock *l)
{
    if (l->text_n == 0 || !still_ours(l))
        return;
    if (l->settled || l->is_new)
        (void)!pwrite(l->fd, "free", 4, 0);
    else
        (void)write_text(l, l->found, l->found_n, NULL);
}

void lock_release(struct lock *l)
{
    if (!l)
        return;
    stop_beating(l);
    if (l->fd >= 0) {
        give_back(l);
        (void)close(l->fd);
    }
    sys_free(l->path);
    sys_free(l);
}
