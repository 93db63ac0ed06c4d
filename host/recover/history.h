/* history.h: what a job's journal tells, for reports. Read-only: neither the driver that writes it
 * nor anything that it has left behind is disturbed.
 *
 * A journal is read as of the moment it was opened: several queries see one state of a job that
 * runs. Rows come as encoded values (data/codec.h), so that no report knows of SQLite. Failures:
 * ST_USAGE when the file cannot be read or was written by another lmr with other tables, ST_CORRUPT
 * when it is damaged, ST_MEMORY. */
#ifndef LMR_RECOVER_HISTORY_H
#define LMR_RECOVER_HISTORY_H

#include "base/bytes.h"

enum { HISTORY_SCHEMA = 3 }; /* of the tables in journal.c */

struct history;

/* Opens the journal file at `path`; in a folder that cannot be written, as history_open_still. history_close
 * accepts NULL. */
enum status history_open(const char *path, struct history **out, struct err *e);
/* The same of a journal that nobody writes: no file is made beside it, and none is changed, as SQLite would do with
 * those by which it is shared. What a killed driver has left in its WAL is read from a copy in $TMPDIR, which is gone
 * when this returns. */
enum status history_open_still(const char *path, struct history **out, struct err *e);
void history_close(struct history *h);

/* Runs one SELECT. `params` is an encoded array of scalars for its `?`, or empty. Appends an
 * encoded array to `rows`: a map column → value for each row; columns that are NULL are left out;
 * texts and blobs are strings. */
enum status history_query(struct history *h, const char *sql, struct slice params, struct buf *rows,
                          struct err *e);

/* Of a value of the row `state` of the table job: there is nothing to go on with. */
bool history_is_over(const char *state);

enum history_writer { WRITER_GONE, WRITER_ALIVE, WRITER_UNKNOWN };
/* Does process `pid` still write the journal at `path`? Alive: it has the file open, so that
 * another process that got the same number is no driver. Unknown: there is such a process, but
 * somebody else's. */
enum history_writer history_writer(const char *path, long pid);

#endif
