/* output.h: a part file: pairs formatted as text, tsv, csv, jsonl, raw bytes, or as a typed pair
 * run for the next step; compressed when asked. The writer owns its descriptor. Nothing is durable
 * before output_close, which flushes, fsyncs when asked, and closes. */
#ifndef LMR_DATA_OUTPUT_H
#define LMR_DATA_OUTPUT_H

#include "data/codec.h"

enum output_format { OUT_TEXT, OUT_TSV, OUT_CSV, OUT_JSONL, OUT_RAW, OUT_PAIRS };
enum output_compress {
    COMPRESS_NONE, COMPRESS_GZ, COMPRESS_ZST, COMPRESS_LZ4, COMPRESS_BZ2, COMPRESS_XZ
};

enum { OUTPUT_COLUMNS_MAX = 256 };

/* How pairs are written.
 *   text: key TAB value LF; strings as they are, integers without a point, floats shortest, tables as
 *         JSON; a key stored alone (value true) prints alone. write_value_only: the value alone.
 *   tsv/csv: key elements, then value elements (an array's elements, a map's values in the order of
 *         `columns`, else key order); csv quotes by RFC 4180 with LF as line end; tsv writes TAB, LF,
 *         CR and backslash inside a field as \t \n \r \\. `header`: first line from `columns`, which
 *         name all fields of a row: those the key does not fill pick a map's fields by name (an
 *         absent one is empty, one that is not named is left out). null is an empty field, a table
 *         inside a field JSON. A key stored alone prints alone unless `columns` ask for more.
 *   jsonl: {"key":…,"value":…}; write_value_only: the value alone.
 *   raw: the value's bytes as they are, no separator (a key stored alone: the key's bytes); value
 *         must be a string.
 *   pairs: typed, a run file with one partition and one segment (see run.h), for the next step; lz4
 *         is its blocks' compression.
 * Compressed parts end members at fixed uncompressed sizes: see compress.h. */
struct output_spec {
    enum output_format format;
    enum output_compress compress;
    bool header, write_value_only;
    uint32_t ncolumns;
    char *columns[OUTPUT_COLUMNS_MAX]; /* owned */
};

/* From an encoded description: a format's name, or { format=, compress=, columns={…}, header=,
 * write="pair"|"value" }. VAL_NULL: text. ST_USAGE when wrong. */
enum status output_spec_parse(struct slice description, struct output_spec *spec, struct err *e);
void output_spec_free(struct output_spec *spec);
/* ".gz" and so on; "" for none. */
const char *output_suffix(const struct output_spec *spec);

struct output;

struct output_stats {
    uint64_t records;
    uint64_t bytes;      /* in the file, compressed */
    uint64_t raw_bytes;  /* before compression */
    uint64_t checksum;   /* XXH3-64 of the file's bytes; pairs: that of the run's footer */
};

/* Creates the file. What it needs of `spec` is copied. */
enum status output_open(const char *path, const struct output_spec *spec, struct output **out,
                        struct err *e);
/* Writes one pair (encoded key and value). A value the format cannot hold: ST_SCRIPT (nothing of
 * the pair is written). A closed pipe never happens here: parts are files. */
enum status output_pair(struct output *o, struct slice key, struct slice value, struct err *e);
/* Flushes, fsyncs (when `durable`), closes and frees; the file and its directory's entry: the
 * caller fsyncs the directory. On failure the file is left for the caller to remove; the writer is
 * freed all the same. */
enum status output_close(struct output *o, bool durable, struct output_stats *stats, struct err *e);
/* Closes and frees without finishing. NULL is accepted. */
void output_abandon(struct output *o);

/* Task checkpoints. False when the output cannot be continued: what a library has of the open member
 * of a compressed part is out of reach, so a part in gz, zst, lz4, bz2 or xz is not checkpointed
 * (pairs are, compressed or not). *why (may be NULL) becomes a few words for a message then. */
bool output_can_suspend(const struct output *o, const char **why);
/* Writes out what there is, fsyncs when `durable` (the file alone: the caller fsyncs its directory),
 * and appends the state to `out`; the output goes on as if nothing had been. ST_USAGE when it cannot
 * be continued (nothing has happened then). */
enum status output_suspend(struct output *o, bool durable, struct buf *out, struct err *e);
/* output_open, but standing where the one of `state` stood: `path` becomes a copy of the bytes that
 * `from_path` (another name, only read; it may have grown since) had then. `spec` is as it was.
 * ST_CORRUPT when the state does not hold or is of another spec, or those bytes are not what they
 * were (rows are checked against their checksum); the new file is then for the caller to remove. */
enum status output_resume(const char *from_path, struct slice state, const char *path,
                          const struct output_spec *spec, struct output **out, struct err *e);

/* The text of one key or value as the text format prints it; for messages and tables too. */
enum status output_text_of_key(struct slice key, struct buf *out);
enum status output_text_of_value(struct slice value, struct buf *out);

#endif
