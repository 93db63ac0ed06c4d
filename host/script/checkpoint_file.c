/* checkpoint_file.c: see checkpoint_file.h. */
#include "script/checkpoint_file.h"

#include "base/sys.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { FILE_VERSION = 1 };

static const char MAGIC[8] = "lmrCKPT\n";

struct head {
    char magic[8];
    uint32_t version, zero;
    uint64_t records, bytes, hash, first;
};

static_assert(sizeof(struct head) == 48, "the head of a checkpoint has no holes");

/* From the length of the first part on. */
enum { HASHED_FROM = offsetof(struct head, first) };

enum status checkpoint_file_first(struct buf *file)
{
    struct head head;
    memset(&head, 0, sizeof head);
    file->n = 0;
    return buf_append(file, &head, sizeof head);
}

void checkpoint_file_second(struct buf *file)
{
    uint64_t first = file->n - sizeof(struct head);
    memcpy(file->p + offsetof(struct head, first), &first, sizeof first);
}

static uint64_t hash_of(struct slice file, uint64_t records)
{
    return XXH3_64bits_withSeed(file.p + HASHED_FROM, file.n - HASHED_FROM, records);
}

enum status checkpoint_file_write(struct buf *file, const char *path, uint64_t records, bool durable, struct err *e)
{
    struct head head;
    memcpy(&head, file->p, sizeof head);
    memcpy(head.magic, MAGIC, sizeof head.magic);
    head.version = FILE_VERSION;
    head.records = records;
    head.bytes = file->n - HASHED_FROM;
    head.hash = hash_of(buf_slice(file), records);
    memcpy(file->p, &head, sizeof head);
    return sys_write_file(path, buf_slice(file), durable, "checkpoint", e);
}

static bool head_holds(const struct head *head)
{
    return memcmp(head->magic, MAGIC, sizeof head->magic) == 0 && head->version == FILE_VERSION;
}

static bool holds(struct slice file, struct head *head)
{
    if (file.n < sizeof *head)
        return false;
    memcpy(head, file.p, sizeof *head);
    return head_holds(head) && head->bytes == file.n - HASHED_FROM && head->first <= file.n - sizeof *head &&
           head->hash == hash_of(file, head->records);
}

enum status checkpoint_file_read(const char *path, struct buf *file, uint64_t *records, struct slice *first, struct slice *second,
                                 struct err *e)
{
    struct head head;
    file->n = 0;
    enum status st = sys_read_file(path, SIZE_MAX / 2, file, e);
    if (st != ST_OK)
        return st;
    if (!holds(buf_slice(file), &head)) {
        st = err_set(e, ST_CORRUPT, "%s is damaged, or of another version of lmr", path);
        err_at(e, path, -1, -1);
        return st;
    }
    *records = head.records;
    *first = slice_of(file->p + sizeof head, (size_t)head.first);
    *second = slice_of(first->p + first->n, file->n - sizeof head - first->n);
    return ST_OK;
}

bool checkpoint_file_records(const char *path, uint64_t *records)
{
    struct head head;
    size_t got = 0;
    int fd = -1;
    if (sys_open_read(path, &fd, NULL) != ST_OK)
        return false;
    enum status st = sys_pread(fd, &head, sizeof head, 0, &got, path, NULL);
    (void)close(fd);
    if (st != ST_OK || got != sizeof head || !head_holds(&head))
        return false;
    *records = head.records;
    return true;
}
