#include "schedule/damage.h"

#include "base/sys.h"
#include "recover/checkpoint.h"
#include "recover/history.h"
#include "schedule/past.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the first page of an SQLite file. */
enum {
    HEADER_BYTES = 100,
    AT_PAGE_SIZE = 16,
    AT_CHANGES = 24,
    AT_PAGES = 28, /* holds when AT_VALID_FOR is what AT_CHANGES is */
    AT_VERSION = 60,
    AT_VALID_FOR = 92
};

static const char magic[16] = "SQLite format 3";

static uint32_t number_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (int64_t)info.st_size : -1;
}

static enum status check_version(const char *path, uint32_t version, struct err *e)
{
    if (version <= HISTORY_SCHEMA) /* what is older is told of by history.c */
        return ST_OK;
    return err_set(e, ST_USAGE,
                   "the journal %s has tables of version %u, and this lmr (" LMR_VERSION
                   ") knows version %d: a newer lmr wrote it, and can go on with it; nothing was "
                   "touched",
                   path, version, HISTORY_SCHEMA);
}

/* A file that has no WAL beside it must be whole by itself. */
static enum status check_whole(const char *path, const uint8_t *header, int64_t size, struct err *e)
{
    if (size < HEADER_BYTES)
        return err_set(e, ST_CORRUPT, "the journal %s is damaged: it ends after %" PRId64 " bytes",
                       path, size);
    uint32_t page = (uint32_t)header[AT_PAGE_SIZE] << 8 | header[AT_PAGE_SIZE + 1];
    uint64_t whole = (uint64_t)number_at(header + AT_PAGES) * (page == 1 ? 65536 : page);
    bool known = number_at(header + AT_CHANGES) == number_at(header + AT_VALID_FOR);
    if (memcmp(header, magic, sizeof magic) != 0)
        return err_set(e, ST_CORRUPT, "the journal %s is damaged: it does not begin like one", path);
    if (known && whole > (uint64_t)size)
        return err_set(e, ST_CORRUPT,
                       "the journal %s is damaged: it had %" PRIu64 " bytes, and ends after %" PRId64,
                       path, whole, size);
    return ST_OK;
}

static enum status check_file(const char *path, const char *wal, struct err *e)
{
    uint8_t header[HEADER_BYTES] = { 0 };
    size_t got = 0;
    int fd = -1;
    int64_t size = size_of(path), beside = size_of(wal);
    if (size == 0 && beside > 0)
        return err_set(e, ST_CORRUPT,
                       "the journal %s is damaged: it is empty, but what was written to it last stands "
                       "in %s",
                       path, wal);
    if (size == 0)
        return err_set(e, ST_USAGE,
                       "the journal %s is empty: its driver ended before it had a plan, or the file was "
                       "cut",
                       path);
    enum status st = sys_open_read(path, &fd, e);
    if (st == ST_OK)
        st = sys_pread(fd, header, sizeof header, 0, &got, path, e);
    if (fd >= 0)
        (void)close(fd);
    if (st != ST_OK) {
        if (e)
            e->status = ST_USAGE;
        return ST_USAGE;
    }
    st = beside > 0 ? ST_OK : check_whole(path, header, size, e);
    bool is_journal = memcmp(header, magic, sizeof magic) == 0;
    return st == ST_OK && is_journal ? check_version(path, number_at(header + AT_VERSION), e) : st;
}

enum status damage_check(const char *job_dir, struct err *e)
{
    char path[PATH_MAX], wal[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/journal.db", job_dir);
    (void)snprintf(wal, sizeof wal, "%s/journal.db-wal", job_dir);
    if (n < 0 || (size_t)n + sizeof "-wal" > sizeof path)
        return err_set(e, ST_USAGE, "the path of the job's folder is too long: %s", job_dir);
    return check_file(path, wal, e);
}

/* --- what can be done --- */

static bool is_whole(const char *path)
{
    struct past past = { .arena = ARENA_EMPTY };
    bool whole = past_read(path, &past, NULL) == ST_OK && past.job.n > 0;
    past_free(&past);
    return whole;
}

uint32_t damage_newest_whole(const char *job_dir)
{
    char dir[PATH_MAX];
    struct buf path = BUF_EMPTY;
    int n = snprintf(dir, sizeof dir, "%s/checkpoints", job_dir);
    uint32_t at = n < 0 || (size_t)n >= sizeof dir ? 0 : checkpoint_newest(dir, UINT32_MAX);
    while (at > 0 && !(checkpoint_path(dir, at, &path) == ST_OK && is_whole((const char *)path.p)))
        at = checkpoint_newest(dir, at);
    buf_free(&path);
    return at;
}

enum status damage_advise(const char *job_dir, struct err *e)
{
    size_t n = strlen(e->message);
    uint32_t number = damage_newest_whole(job_dir);
    if (number > 0)
        (void)snprintf(e->message + n, sizeof e->message - n,
                       "; checkpoint %" PRIu32 " of the job is whole: lmr resume %s --from %" PRIu32 " goes on from it",
                       number, sys_name(job_dir), number);
    else if (e->status == ST_CORRUPT && !strstr(e->message, "run again"))
        (void)snprintf(e->message + n, sizeof e->message - n,
                       "; no checkpoint of it is kept, so the job can only be run again");
    return e->status;
}
