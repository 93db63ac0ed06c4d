/* publish.h: the end of a job: staged part files become the output.
 *
 * The journal says `publishing` before publish_commit and `complete` after it. Every step of it may
 * be done again: a kill between two steps is mended by calling it once more with the same
 * arguments. Order: an earlier result (--overwrite) is moved aside into the stage folder, parts are
 * renamed into place, _MANIFEST.json is written, _SUCCESS is written (not over a hole: a partial
 * result has none). */
#ifndef LMR_DATA_PUBLISH_H
#define LMR_DATA_PUBLISH_H

#include "data/codec.h"

#include <signal.h>

/* What errors of publish_stream name as the file. */
#define PUBLISH_STDOUT "standard output"

/* The folder in the stage folder that an earlier result is moved to. */
#define PUBLISH_OLD "old"

struct publish_file {
    const char
        *from; /* staged file; with publish_commit on the filesystem of the output directory */
    const char *name; /* "part-00000.gz", "errors-00000" */
    uint64_t records, bytes;
    const char *checksum; /* 16 hex digits, XXH3-64 of the file's bytes */
};

struct publish {
    const char *output_dir, *stage_dir, *job_id;
    const struct publish_file *files;
    size_t file_count;
    struct slice manifest; /* text, from publish_manifest */
    bool partial;          /* tasks were dropped: no _SUCCESS */
    bool replaces;         /* the directory holds an earlier result of ours */
    bool durable;
    uint64_t version;      /* of this job's result, from 1: an earlier version is replaced too */
};

struct publish_manifest {
    const char *job_id, *job_name, *lmr_version, *profile;
    int64_t finished; /* sys_wall_clock */
    uint64_t records_in, bytes_in, quarantined;
    struct slice quarantine; /* encoded array of { task, path, records }: the files of what was put aside */
    uint32_t dropped;       /* tasks that the result lacks */
    struct slice drops;     /* their names: encoded array, or empty */
    struct slice statistics; /* of failures and retries: encoded map, or empty */
    uint64_t plan_hash, profile_hash;
    const struct publish_file *files;
    size_t file_count;
    struct slice counters; /* encoded map, or empty */
    uint64_t version;      /* of the job's result, from 1; the first one is not written down */
    struct slice previous; /* facts of the version before: encoded map, or empty */
};

/* May results go to `dir`? It must be absent or empty (folders of unfinished jobs do not count),
 * or, with `overwrite`, hold an earlier result
 * (*replaces is set). Else ST_USAGE with what to do. */
enum status publish_check(const char *dir, bool overwrite, bool *replaces, struct err *e);
/* Facts of the result of job `job_id` that stands in `dir`: appends { version, finished, quarantined, … }.
 * ST_USAGE: the directory holds no result, or that of another job. */
enum status publish_facts(const char *dir, const char *job_id, struct buf *out, struct err *e);
/* Has the file this size and checksum (as in struct publish_file)? Reads all of it. */
bool publish_is_as_told(const char *path, uint64_t bytes, const char *checksum);
/* Puts a published file back to where it was staged, as a link to it (else as a copy), if it has the bytes and
 * checksum that it was published with. ST_CORRUPT: it has not; ST_CRASH, ST_DISK_FULL. */
enum status publish_take_back(const char *dir, const struct publish_file *file, bool durable,
                              struct err *e);
/* Appends the manifest's JSON text. */
enum status publish_manifest(const struct publish_manifest *m, struct buf *out, struct err *e);
enum status publish_commit(const struct publish *p, struct err *e);
/* Copies the files, in order, to `fd`. A closed pipe: ST_INTERRUPTED with os_error EPIPE. When
 * *stop is set by a signal handler (installed without SA_RESTART) the copy ends with ST_INTERRUPTED
 * and os_error EINTR. */
enum status publish_stream(const struct publish_file *files, size_t count, int fd,
                           const volatile sig_atomic_t *stop, struct err *e);

#endif
