/* checkpoint_file.h: the file of a task checkpoint, ATTEMPT.ckpt in the job's work directory.
 *
 *   "lmrCKPT\n", u32 version, u32 zero, u64 records that it holds, u64 bytes that follow, u64 XXH3-64 of them seeded with the records
 *   u64 bytes of the first part; the first part: an encoded map; the second part: the collector as it saved itself, or nothing
 * Integers are little-endian. It is written under another name and renamed, so that a file of this name is whole. What is in it is
 * defined by script/checkpoint.c. The version goes up with any change of what an attempt saves. */
#ifndef LMR_SCRIPT_CHECKPOINT_FILE_H
#define LMR_SCRIPT_CHECKPOINT_FILE_H

#include "base/bytes.h"

/* Builds a file in `file` (replaced): then the first part is appended by the caller, checkpoint_file_second called, the second
 * part appended, checkpoint_file_write called. */
enum status checkpoint_file_first(struct buf *file);
void checkpoint_file_second(struct buf *file);
enum status checkpoint_file_write(struct buf *file, const char *path, uint64_t records, bool durable, struct err *e);

/* Reads a whole file into `file` (replaced); the parts point into it. ST_CORRUPT: it is damaged, or another version's. */
enum status checkpoint_file_read(const char *path, struct buf *file, uint64_t *records, struct slice *first, struct slice *second,
                                 struct err *e);
/* Reads the records alone; false when there is no such file, or it does not begin as one. */
bool checkpoint_file_records(const char *path, uint64_t *records);

#endif
