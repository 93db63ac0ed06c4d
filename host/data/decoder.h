/* decoder.h: what a decompressor is to a source. Private to the input half of this room.
 *
 * A decoder takes bytes from [in, in_end), puts bytes at [out, out_end), and moves both. It knows
 * nothing of files. Streams that follow one another in a file (members, frames) are its own
 * business. */
#ifndef LMR_DATA_DECODER_H
#define LMR_DATA_DECODER_H

#include "base/bytes.h"

struct decode_io {
    const uint8_t *in, *in_end;
    uint8_t *out, *out_end;
    bool last;       /* nothing follows in_end */
    const char *why; /* set with DECODE_BROKEN: what does not hold */
};

enum decoded {
    DECODE_MORE,   /* all went well; a stream is open */
    DECODE_WHOLE,  /* all went well; a stream has just ended, so that the file may end here */
    DECODE_BROKEN, /* the bytes are not what they should be */
    DECODE_MEMORY  /* memory is out */
};

enum { DECODER_WINDOW_LOG = 27, DECODER_MEMORY = 256 << 20 };

struct decoder {
    const char *name;    /* of the format, for messages */
    void *(*open)(void); /* NULL when memory is out */
    enum decoded (*step)(void *state, struct decode_io *io);
    void (*close)(void *state);
};

extern const struct decoder decoder_gz, decoder_zst, decoder_lz4, decoder_bz2, decoder_xz;

#endif
