/* output_internal.h: what output.c and output_suspend.c share, and nobody else. */
#ifndef LMR_DATA_OUTPUT_INTERNAL_H
#define LMR_DATA_OUTPUT_INTERNAL_H

#include "data/compress.h"
#include "data/output.h"
#include "data/run.h"
#include "output_row.h"

#include <xxhash.h>

struct output {
    struct output_spec spec; /* its own copy */
    row_writer write_row;
    char *path;
    int fd;
    struct buf text;    /* rows not yet written */
    struct buf packed;  /* the same, compressed */
    struct buf scratch; /* of the row writers */
    struct compressor *compressor; /* or NULL */
    XXH3_state_t *hash;
    struct run_writer *run; /* OUT_PAIRS: all the rest is empty */
    struct output_stats stats;
    uint64_t behind; /* bytes on their way to the disk */
};

/* An output without its file; `spec` is copied. */
enum status output_prepare(const char *path, const struct output_spec *spec, struct output **out,
                           struct err *e);
/* Creates the file of rows, without a header line. */
enum status output_open_rows(struct output *o, struct err *e);
/* Writes bytes of the file. */
enum status output_write(struct output *o, struct slice s, struct err *e);
/* Writes out the rows that are gathered. */
enum status output_flush(struct output *o, struct err *e);

#endif
