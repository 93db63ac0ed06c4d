/* check_file.h: reads a file of a job from end to end and tells whether it is whole. Nothing is changed. */
#ifndef LMR_CLI_CHECK_FILE_H
#define LMR_CLI_CHECK_FILE_H

#include "script/report.h"

/* Called as bytes are read: how many more. */
typedef void (*check_tick)(void *context, uint64_t bytes);

/* kind: "run" (a run or a file of pairs: its frame, the checksum of each block; the checksum given is that of
 * run_checksum), "index" (of a side file), "task checkpoint", "bytes" (anything; XXH3-64 of the bytes). ST_CORRUPT says what does not hold,
 * ST_CRASH that it cannot be read; the message names the file. */
enum status check_file(const char *kind, const char *path, check_tick tick, void *context,
                       struct report_checked *out, struct err *e);

#endif
