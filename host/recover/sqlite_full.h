/* sqlite_full.h: what a failure of SQLite was. Private to this room. */
#ifndef LMR_RECOVER_SQLITE_FULL_H
#define LMR_RECOVER_SQLITE_FULL_H

#include <sqlite3.h>
#include <stdbool.h>

/* The newest call on this connection failed for want of room (or of quota). A full tmpfs shows where the index of the
 * log is grown. NULL: no connection, memory was out. */
bool sqlite_was_full(sqlite3 *db);

#endif
