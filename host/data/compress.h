/* compress.h: writing compressed streams: gz, zst, lz4, bz2, xz.
 *
 * Bytes go in, compressed bytes are appended to a buffer of the caller's. Every COMPRESS_MEMBER
 * uncompressed bytes a member (gz), frame (zst, lz4) or stream (bz2, xz) ends and a new one begins,
 * so that a writer can later go on at such a place; readers take them as one. The bytes are a
 * function of the bytes given alone, not of how they were cut into calls. All kinds but gz and bz2
 * (which have CRCs of their own) are asked for a content checksum. */
#ifndef LMR_DATA_COMPRESS_H
#define LMR_DATA_COMPRESS_H

#include "base/bytes.h"
#include "data/output.h"

enum { COMPRESS_MEMBER = 64 * 1024 * 1024 };

struct compressor;

/* `kind` is not COMPRESS_NONE. ST_MEMORY when it cannot start. */
enum status compressor_open(enum output_compress kind, struct compressor **out, struct err *e);
/* Takes `raw`, appends what is ready. ST_MEMORY, or ST_CRASH when the library fails. */
enum status compressor_write(struct compressor *c, struct slice raw, struct buf *out,
                             struct err *e);
/* Ends the last member (an empty stream is one empty member). Nothing may be written after it. */
enum status compressor_finish(struct compressor *c, struct buf *out, struct err *e);
void compressor_free(struct compressor *c); /* NULL accepted */

#endif
