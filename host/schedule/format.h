/* format.h: an attempt that runs no Lua: writes pair runs as a part file of the job's output
 * format. Needed when only the stop test of an iteration tells, after the round, that its output
 * was the last.
 *
 * Assignment (see script/attempt.h for the common fields):
 *   kind "format", runs = [ paths ], part, output = spec
 * Result, as a reduce gives it:
 *   { records_in, bytes_in, pairs_out, bytes_out, part = { records, bytes, raw_bytes, checksum } } */
#ifndef LMR_SCHEDULE_FORMAT_H
#define LMR_SCHEDULE_FORMAT_H

#include "base/position.h"
#include "data/codec.h"

enum status format_attempt(struct slice assignment, struct position *page, struct buf *result,
                           struct err *e);

#endif
