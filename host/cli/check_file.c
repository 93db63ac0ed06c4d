#include "cli/check_file.h"

#include "base/sys.h"
#include "data/run.h"
#include "data/side.h"
#include "script/checkpoint_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { PIECE = 1 << 20 };

static void put_checksum(uint64_t sum, struct report_checked *out)
{
    (void)snprintf(out->checksum, sizeof out->checksum, "%016" PRIx64, sum);
}

static uint64_t size_of(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* --- any bytes --- */

static enum status check_bytes(const char *path, check_tick tick, void *context,
                               struct report_checked *out, struct err *e)
{
    int fd = -1;
    size_t got = 1;
    uint8_t *piece = sys_malloc(PIECE);
    XXH3_state_t *hash = XXH3_createState();
    enum status st = piece && hash ? sys_open_read(path, &fd, e) : err_memory(e, path, PIECE);
    if (st == ST_OK)
        (void)XXH3_64bits_reset(hash);
    while (st == ST_OK && got > 0) {
        st = sys_read(fd, piece, PIECE, &got, path, e);
        if (st != ST_OK)
            break;
        (void)XXH3_64bits_update(hash, piece, got);
        out->bytes += got;
        tick(context, got);
    }
    if (st == ST_OK)
        put_checksum(XXH3_64bits_digest(hash), out);
    if (fd >= 0)
        (void)close(fd);
    (void)XXH3_freeState(hash);
    sys_free(piece);
    return st;
}

/* --- runs --- */

static enum status check_partition(struct run *r, uint64_t segment, uint32_t partition,
                                   check_tick tick, void *context, struct err *e)
{
    struct run_cursor *c = NULL;
    struct slice key, value;
    uint64_t told = 0;
    enum status st = run_cursor_open(r, segment, partition, &c, e);
    while (st == ST_OK && (st = run_cursor_next(c, &key, &value, e)) == ST_OK)
        if (run_cursor_bytes(c) - told >= PIECE) {
            tick(context, run_cursor_bytes(c) - told);
            told = run_cursor_bytes(c);
        }
    if (st == ST_END)
        tick(context, run_cursor_bytes(c) - told);
    run_cursor_close(c);
    return st == ST_END ? ST_OK : st;
}

static enum status check_run(const char *path, check_tick tick, void *context,
                             struct report_checked *out, struct err *e)
{
    struct run *r = NULL;
    enum status st = run_open(path, &r, e);
    if (st != ST_OK)
        return st;
    for (uint64_t s = 0; s < run_segments(r) && st == ST_OK; s++)
        for (uint32_t p = 0; p < run_partitions(r) && st == ST_OK; p++)
            if (run_partition_pairs(r, s, p) > 0)
                st = check_partition(r, s, p, tick, context, e);
    put_checksum(run_checksum(r), out);
    out->bytes = size_of(path);
    run_close(r);
    return st;
}

/* --- indexes --- */

static enum status check_index(const char *path, check_tick tick, void *context,
                               struct report_checked *out, struct err *e)
{
    struct side *s = NULL;
    enum status st = side_open(path, &s, e);
    if (st != ST_OK)
        return st;
    side_close(s);
    out->bytes = size_of(path);
    tick(context, out->bytes);
    return ST_OK;
}

/* --- task checkpoints --- */

static enum status check_task_checkpoint(const char *path, check_tick tick, void *context,
                                         struct report_checked *out, struct err *e)
{
    struct buf file = BUF_EMPTY;
    struct slice first, second;
    uint64_t records;
    enum status st = checkpoint_file_read(path, &file, &records, &first, &second, e);
    out->bytes = file.n;
    tick(context, file.n);
    buf_free(&file);
    return st;
}

enum status check_file(const char *kind, const char *path, check_tick tick, void *context,
                       struct report_checked *out, struct err *e)
{
    *out = (struct report_checked){ .bytes = 0 };
    if (strcmp(kind, "run") == 0)
        return check_run(path, tick, context, out, e);
    if (strcmp(kind, "index") == 0)
        return check_index(path, tick, context, out, e);
    if (strcmp(kind, "task checkpoint") == 0)
        return check_task_checkpoint(path, tick, context, out, e);
    return check_bytes(path, tick, context, out, e);
}
