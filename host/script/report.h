/* report.h: the script room's door for reports: what a command tells about jobs is written in Lua.
 *
 * The module mr.report_NAME (scripts/report_NAME.lua) is loaded with a table of functions, those of
 * the host's own Lua (native_check.c) and those below, and gives the function that is called with
 * the argument.
 *   open(path, still) opens a journal → true; or nil, message. The one before is closed; without a
 *                     path that is all. still: nobody writes it, and no trace is to be left beside it
 *   query(sql, …)     of the open journal → list of rows, each a table column → value
 *   decode(bytes)     the value that a column holds encoded, or nil
 *   driver(path, pid) "alive", "gone" or "unknown": the process that writes that journal
 *   read_quarantine(path, at)
 *                     entries of a quarantine file from a byte offset → list, offset to go on at
 *                     (nil: the end); or nil, message. A line that is no entry is { broken = true,
 *                     offset = its place }
 *   disk(path)        bytes that a tree takes on disk → number, whether that is all: one report looks at so
 *                     many names only
 *   size(path)        of a file → bytes; nil: there is none
 *   names(folder)     of what is in it → list, in no order; empty when it cannot be read
 *   check(kind, path) reads a whole file: a "run" with all its blocks, an "index" of a side file, a "task checkpoint",
 *                     or plain "bytes" → { bytes =, checksum = as the journal has it, or nil }; or nil, message
 *   progress(total)   shows on a terminal how many bytes of so many were checked; without total: no more
 *   write(text)       to the report
 *   usage(message)    ends the report: what was asked for is wrong
 *   fail(message)     ends the report: something of the job's is damaged
 *   disarm(text)      so that nothing in it steers a terminal; line ends are taken away too
 *   columns(text)     that it takes on a terminal
 *   cut(text, n)      its beginning that takes at most n columns
 *   duration_text(seconds), size_text(bytes), count_text(n)
 * Nobody else's code runs here. */
#ifndef LMR_SCRIPT_REPORT_H
#define LMR_SCRIPT_REPORT_H

#include "base/bytes.h"

struct report_checked {
    uint64_t bytes;
    char checksum[20];
};

/* What the report asks of other rooms; `context` is the caller's. open with a NULL path closes. */
struct report_host {
    void *context;
    enum status (*open)(void *context, const char *path, bool still, struct err *e);
    enum status (*query)(void *context, const char *sql, struct slice params, struct buf *rows,
                         struct err *e);
    const char *(*driver)(const char *path, long pid);
    bool (*disk)(void *context, const char *path, uint64_t *bytes);
    /* Fills checksum (as text) or leaves it empty. */
    enum status (*check)(void *context, const char *kind, const char *path,
                         struct report_checked *out, struct err *e);
    void (*progress)(void *context, uint64_t total); /* 0: no more */
    void (*disarm)(char *text);
    size_t (*columns)(const char *text, size_t n);
    size_t (*cut)(const char *text, size_t n, size_t columns);
};

/* Runs the report `name` with the encoded value `argument`, and writes what it tells to `fd` as it
 * comes. ST_USAGE: what was asked for is not there (message for the user). A reader that has gone
 * is no failure. */
enum status report_run(const char *name, struct slice argument, const struct report_host *host,
                       int fd, struct err *e);

#endif
