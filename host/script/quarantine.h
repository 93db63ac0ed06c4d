/* quarantine.h: records and groups that an attempt puts aside, and the file they go to.
 *
 * The assignment says what may be put aside (put_aside, put_aside_max, skip, quarantine: see attempt.h). The file is made when the first
 * entry comes. It holds a line of JSON for each, in the order of the records, with these fields (those that do not apply are left out):
 *   task, attempt   "map_0", 0
 *   unit            "record" | "group"
 *   record          its number in the attempt, from 0; of a group among the groups of its partition
 *   file, offset    of a record: where it stands in its input (in the uncompressed bytes)
 *   key             as text: of a group, or of a record that is a pair of the step before
 *   type, message, traceback, details = { NAME = text or number }     of the error
 *   bytes           the record as it stands in the input, without its line end; of a pair, and of what a reader in Lua gives (unless it is
 *                   a string), the value as JSON
 *   bytes_base64    instead of bytes when they are no UTF-8, or hold a NUL
 *   bytes_total     how many there are; only the first QUARANTINE_BYTES_MAX are kept, and then `truncated` is true
 * Attempts of one task write the same lines but for `attempt`. Text in other fields that is no UTF-8 has U+FFFD in its place. */
#ifndef LMR_SCRIPT_QUARANTINE_H
#define LMR_SCRIPT_QUARANTINE_H

#include "data/output.h"

struct task;

enum { QUARANTINE_BYTES_MAX = 64 * 1024 };

struct quarantine {
    struct task *task;
    const char *path;           /* in the task's arena; NULL: nothing may be put aside */
    struct slice types;         /* put_aside of the assignment, borrowed; empty: none */
    int64_t max;                /* −1: no limit */
    uint64_t count;
    struct val_cursor skips;    /* entries of the skip list that are still to come */
    uint64_t skips_left;
    struct slice skip;          /* the next one */
    uint64_t skipped;           /* entries that have come */
    uint64_t skip_at;           /* its record; UINT64_MAX: there is none, and no record has this number */
    bool is_only;               /* the list is `only`: skip_at is the next record that is passed by */
    uint64_t only_at;           /* the next one of `only` beyond skip_at; UINT64_MAX: there is none */
    struct output *output;      /* once there is an entry */
    struct output_stats stats;  /* once it is closed */
    struct buf counts;          /* struct type_count: see quarantine.c */
    struct buf example;         /* encoded: of the first entry, for the result */
    struct buf line;            /* scratch */
};

/* What an error was about. */
struct culprit {
    const char *unit;    /* "record" or "group" */
    const char *file;    /* or NULL */
    int64_t offset, record; /* offset −1: none */
    struct slice key;    /* text; .p NULL: none */
    struct slice bytes;  /* .p NULL: none */
};

/* Reads the assignment of the task; the path is made in its arena. */
enum status quarantine_open(struct quarantine *q, struct task *t, struct err *e);
/* Whether an error of this status may be a record's own fault. The others always fail the attempt. */
bool quarantine_is_for(enum status status);
/* Puts the culprit of `e` (complete, with its place) aside, asking the driver when the assignment says so, and returns ST_OK; else returns
 * what the attempt fails with, which is in `e`: its own error, that error with a word about the limit, or one of writing the file. */
enum status quarantine_put(struct quarantine *q, const struct culprit *c, struct err *e);
/* Puts aside what is next on the skip list (c->record is q->skip_at), with the error that is noted there. */
enum status quarantine_skip(struct quarantine *q, const struct culprit *c, struct err *e);
/* Passes by the record q->skip_at, without a trace: then that is the next one. False: no record of `only` is left. */
bool quarantine_pass(struct quarantine *q);
/* Task checkpoints: adds quarantine = { count, skipped, types, example, saved } to `first`, with the file written out (fsync, also of its
 * directory, when durable). */
enum status quarantine_save(struct quarantine *q, struct val_map *first, struct err *e);
/* A quarantine that was just opened becomes as the saved one was after `records` records; `from` is the file of that. ST_USAGE: the skip list
 * now has a record among those. */
enum status quarantine_restore(struct quarantine *q, struct slice first, const char *from, uint64_t records, struct err *e);
/* Finishes the file (fsync, also of its directory, when durable). */
enum status quarantine_close(struct quarantine *q, struct err *e);
/* After quarantine_close: adds quarantine = { records, bytes, checksum, types, example } to the result when something was put aside. */
void quarantine_result(const struct quarantine *q, struct val_map *result);
/* Closes what is open and frees. A zeroed one is accepted. */
void quarantine_free(struct quarantine *q);

#endif
