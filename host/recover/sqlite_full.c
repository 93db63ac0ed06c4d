#include "recover/sqlite_full.h"

#include <errno.h>

bool sqlite_was_full(sqlite3 *db)
{
    int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM, os_error = db ? sqlite3_system_errno(db) : 0;
    bool by_system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    return code == SQLITE_FULL || (db && sqlite3_extended_errcode(db) == SQLITE_IOERR_SHMSIZE) ||
           (by_system && (os_error == ENOSPC || os_error == EDQUOT));
}
