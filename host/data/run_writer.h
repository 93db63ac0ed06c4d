/* run_writer.h: what run_write.c and run_suspend.c share; and for those who resume a run. */
#ifndef LMR_DATA_RUN_WRITER_H
#define LMR_DATA_RUN_WRITER_H

#include "data/run.h"
#include "data/run_format.h"

struct run_writer {
    char *path;
    int fd;
    uint32_t partitions;
    bool compress, in_segment;
    uint8_t header[RUN_HEADER_SIZE];
    uint64_t written, behind; /* bytes of the file already written; of these, on their way to the disk */
    struct buf
        out;      /* finished blocks, then the header's room and raw bytes of the one being built */
    size_t block; /* where in `out` that one begins */
    struct buf packed; /* scratch for LZ4 */
    struct buf index;  /* entries so far */
    uint64_t segments, pairs;
    uint32_t partition; /* the one being written, and its entry: */
    uint64_t entry_offset, entry_pairs, entry_chain;
};

/* Writes bytes of the file. */
enum status run_write_out(struct run_writer *w, const void *p, size_t n, struct err *e);
/* Makes room in `out` for `need` more bytes, without doubling beyond what is asked. */
enum status run_make_room(struct run_writer *w, size_t need, struct err *e);

/* A state that holds for a run may be none of its owner's: whether it was saved inside a segment. */
static inline bool run_in_segment(const struct run_writer *w)
{
    return w->in_segment;
}

#endif
