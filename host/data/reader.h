/* reader.h: what the record readers share. Private to the input half of this room. */
#ifndef LMR_DATA_READER_H
#define LMR_DATA_READER_H

#include "data/input.h"
#include "data/saved.h"
#include "data/window.h"

/* Where a reader stood that is opened again. */
struct reader_mark {
    uint64_t at;       /* offset of its window */
    bool passed_bom;   /* a byte order mark moved the end of the part */
    struct saved rest; /* of its format */
};

/* Where a part ends that was cut within a byte order mark. */
enum { BOM_TO = 4 };

struct reader {
    enum status (*next)(struct reader *r, struct record *rec, struct err *e);
    uint64_t (*position)(const struct reader *r); /* NULL: by the lines' window */
    void (*close)(struct reader *r);              /* frees `state`; NULL: there is none */
    void (*save)(const struct reader *r, struct saver *to); /* more than the mark; NULL: nothing */
    struct reader_mark *mark; /* while it is opened again: to go on there. Else NULL */
    char *path;                                   /* owned */
    struct input_spec spec;                       /* its slices are borrowed */
    uint64_t from, to;                            /* of the part */
    struct source_file file;                      /* its strings but the path are borrowed */
    struct lines lines; /* every format but pairs reads through these, or through their window */
    uint64_t number;    /* of the next record */
    struct buf value;   /* the record's encoded value */
    void *state;        /* of the format */
};

/* Each sets `next` (and what else it needs) and opens the part. On failure the caller closes. */
enum status reader_text_open(struct reader *r, struct err *e);
enum status reader_json_open(struct reader *r, struct err *e);
enum status reader_csv_open(struct reader *r, struct err *e);
enum status reader_whole_open(struct reader *r, struct err *e);
enum status reader_fixed_open(struct reader *r, struct err *e);
enum status reader_pairs_open(struct reader *r, struct err *e);

/* Opens the part, whose table is read already: at its beginning, or at the mark. */
enum status reader_start(const struct split_part *part, const struct input_spec *spec,
                         struct reader_mark *mark, struct reader **out, struct err *e);
/* The next three go to the mark when there is one. */
/* Opens the window at byte `from` of the file, to read up to `until` and little more. */
enum status reader_open_window(struct reader *r, uint64_t from, uint64_t until, struct err *e);
/* Opens the lines at `from`, up to the end of the part. */
enum status reader_open_lines(struct reader *r, uint64_t from, struct err *e);
/* Passes over a UTF-8 byte order mark when the window stands at the beginning of the file. */
enum status reader_skip_bom(struct reader *r, struct err *e);
/* Fills a record whose raw bytes are known: place and number (which is counted on); value empty. */
void reader_place(struct reader *r, struct record *rec, uint64_t offset, struct slice raw);
/* Adds the record's place to an error that is set. Returns `status`. */
enum status reader_bad(const struct reader *r, const struct record *rec, enum status status,
                       struct err *e);

#endif
